//! What of settings that are read again a running node does not take up.

use super::Config;

impl Config {
    /// The sections in which `new` says something that waits for a restart. Keys, secrets and the log's level do not.
    pub fn waits_for_a_restart(&self, new: &Self) -> Vec<&'static str> {
        let mut new = new.clone();
        new.ice.secret.clone_from(&self.ice.secret);
        new.log.level.clone_from(&self.log.level);
        if let (Some(new), Some(old)) = (&mut new.events, &self.events) {
            new.webhooks.secrets.clone_from(&old.webhooks.secrets);
        }
        if let (Some(new), Some(old)) = (&mut new.s3, &self.s3) {
            (new.access_key, new.secret_key) = (old.access_key.clone(), old.secret_key.clone());
        }
        // All of it is named, so that nothing new is forgotten here.
        #[rustfmt::skip]
        let Self {
            http, tls, admin, admin_hosts, kept, media, ice, turn, auth: _, rooms, calls, data, events, recording, s3, jobs, library, whip_out, limits, drain,
            otel, log,
        } = self;
        let sections = [
            ("http", *http != new.http),
            ("tls", *tls != new.tls),
            ("admin", (admin, admin_hosts, kept) != (&new.admin, &new.admin_hosts, &new.kept)),
            ("media", *media != new.media),
            ("ice", *ice != new.ice),
            ("turn", *turn != new.turn),
            ("rooms", *rooms != new.rooms),
            ("calls", *calls != new.calls),
            ("data", *data != new.data),
            ("events, webhooks", *events != new.events),
            ("recording", *recording != new.recording),
            ("s3", *s3 != new.s3),
            ("jobs", *jobs != new.jobs),
            ("library", *library != new.library),
            ("whip_out", *whip_out != new.whip_out),
            ("limits", *limits != new.limits),
            ("drain", *drain != new.drain),
            ("otel", *otel != new.otel),
            ("log", *log != new.log),
        ];
        sections.into_iter().filter_map(|(name, changed)| changed.then_some(name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AllowedOrigins, LogFormat, Secret};

    #[test]
    fn what_is_taken_up_waits_for_nothing_and_the_rest_is_named() {
        let config = Config::default();
        let mut new = config.clone();
        new.auth = [("main".to_owned(), Secret::new("0123456789abcdef0123456789abcdef").expect("long enough"))].into_iter().collect();
        new.ice.secret = Secret::of_others("another");
        new.log.level = "debug".into();
        assert_eq!(config.waits_for_a_restart(&new), [""; 0]);
        new.http.origins = AllowedOrigins::Any;
        new.rooms.max += 1;
        new.log.format = LogFormat::Json;
        assert_eq!(config.waits_for_a_restart(&new), ["http", "rooms", "log"]);
    }
}
