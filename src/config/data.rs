//! Data channels to the server.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::{InvalidSetting, at_least, invalid};
use super::schema::LimitSettings;
use crate::contract::DataLimits;

/// Data between members.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DataSettings {
    /// Whether offers may have data channels.
    pub channels: bool,
    /// Bytes of a message.
    pub message_bytes: u32,
    /// Messages that a member may send each second.
    pub messages_per_second: u32,
    /// Bytes that a member may send each second.
    pub bytes_per_second: u32,
    /// Bytes that may wait for a member on its data channels.
    pub queue_bytes: u32,
}

impl Default for DataSettings {
    fn default() -> Self {
        let DataLimits { message_bytes, messages_per_second, bytes_per_second, queue_bytes } = DataLimits::default();
        Self { channels: true, message_bytes, messages_per_second, bytes_per_second, queue_bytes }
    }
}

/// Data between members, checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DataConfig {
    /// Whether offers may have data channels.
    pub channels: bool,
    /// What members are held to, on the socket and on data channels.
    pub limits: DataLimits,
}

impl DataSettings {
    /// The longest message that an association may have: what waits for its end is bounded by twice that.
    const LONGEST: u32 = 48 * 1_024;

    /// # Errors
    /// The first setting that does not fit the others.
    pub(super) fn check(&self, limits: &LimitSettings) -> Result<DataConfig, InvalidSetting> {
        at_least("data.message_bytes", self.message_bytes.into(), 1)?;
        at_least("data.messages_per_second", self.messages_per_second.into(), 1)?;
        at_least("data.bytes_per_second", self.bytes_per_second.into(), self.message_bytes.into())?;
        if self.message_bytes > Self::LONGEST {
            return invalid("data.message_bytes", format!("choose at most {}: longer things belong into several messages", Self::LONGEST));
        }
        // In base64, and with what is around it.
        if self.message_bytes.div_ceil(3).saturating_mul(4).saturating_add(DataLimits::ENVELOPE) > limits.message_bytes {
            let why = "a message has to fit into one of the socket, where it takes a third more: choose less, or more for limits.message_bytes";
            return invalid("data.message_bytes", why.to_owned());
        }
        let Self { message_bytes, messages_per_second, bytes_per_second, queue_bytes, .. } = *self;
        let checked = DataLimits { message_bytes, messages_per_second, bytes_per_second, queue_bytes };
        at_least("data.queue_bytes", queue_bytes.into(), u64::from(checked.longest()) * 2)?;
        if queue_bytes > 16 * 1_024 * 1_024 {
            return invalid("data.queue_bytes", "so much may wait for each member: choose at most 16777216".to_owned());
        }
        Ok(DataConfig { channels: self.channels, limits: checked })
    }
}
