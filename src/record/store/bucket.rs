//! A bucket of a service that speaks S3: objects by name, and in plain words why they cannot be had.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder, AwsCredential};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{ClientOptions, CredentialProvider, Error, GetOptions, ObjectStore, ObjectStoreExt, PutPayload, RetryConfig};

use crate::config::S3Config;

/// A connection has to be there so soon.
const CONNECT: Duration = Duration::from_secs(5);
/// A request may take so long: a part of a file in half a megabit a second.
const REQUEST: Duration = Duration::from_secs(120);
/// A request that has failed by chance is made again so often at once; beyond that whoever asks decides.
const TRIES: usize = 2;
/// As long as that takes at most.
const TRYING: Duration = Duration::from_secs(20);
/// Types that objects are given by their endings: whoever looks into the bucket sees what they are.
const TYPES: [(&str, &str); 9] = [
    ("webm", "video/webm"),
    ("mp4", "video/mp4"),
    ("m4a", "audio/mp4"),
    ("ogg", "audio/ogg"),
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("webp", "image/webp"),
    ("json", "application/json"),
    ("jsonl", "application/jsonl"),
];

/// A bucket. Its requests are signed with their content's sum (SHA-256), so that the service takes nothing that was changed on the way.
pub struct Bucket {
    client: AmazonS3,
    keys: Arc<Keys>,
    name: String,
    prefix: Path,
}

/// The key that requests are signed with at present.
struct Keys(ArcSwap<AwsCredential>);

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(…)")
    }
}

#[async_trait]
impl CredentialProvider for Keys {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        Ok(self.0.load_full())
    }
}

fn credential(config: &S3Config) -> AwsCredential {
    AwsCredential { key_id: config.access_key.as_str().to_owned(), secret_key: config.secret_key.as_str().to_owned(), token: None }
}

/// An object, without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Bytes.
    pub bytes: u64,
    /// What the service calls this content, as long as it is the same.
    pub tag: Option<String>,
    /// When it was put there: nanoseconds since the Unix epoch.
    pub modified: u64,
}

/// An object of an item, by its name in the bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The item.
    pub id: String,
    /// Its file.
    pub name: String,
    /// What is known of it.
    pub found: Found,
}

/// A file that goes there in parts.
pub struct Parts {
    /// The service's name for the undertaking: who begins anew ends it by that.
    pub upload: String,
    key: Path,
}

/// Why the bucket does not do what is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// There is no such object.
    Missing,
    /// The service does not answer.
    Unreachable(String),
    /// It knows no such key.
    UnknownKey,
    /// The key's secret is another one, or this machine's clock is wrong.
    WrongSecret,
    /// The key may not do that.
    Forbidden,
    /// It has no such bucket.
    NoBucket(String),
    /// It is in another region.
    WrongRegion,
    /// The object is another one by now, or is not what was put there.
    Changed,
    /// Something else, in the service's words.
    Other(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Missing => f.write_str("there is no such object"),
            Trouble::Unreachable(why) => write!(f, "the service does not answer ({why}): is s3.endpoint right, and can it be reached from here?"),
            Trouble::UnknownKey => f.write_str("the service knows no such key: check s3.access_key"),
            Trouble::WrongSecret => f.write_str("the signature is wrong: check s3.secret_key, and this machine's clock"),
            Trouble::Forbidden => {
                f.write_str("the key may not do that: it has to be allowed to list the bucket, and to get, put and delete objects in it")
            }
            Trouble::NoBucket(name) => write!(f, "there is no bucket `{name}`: make it, or check s3.bucket"),
            Trouble::WrongRegion => f.write_str("the bucket is in another region: check s3.region"),
            Trouble::Changed => f.write_str("the object is not what was put there"),
            Trouble::Other(why) => f.write_str(why),
        }
    }
}

impl Bucket {
    /// A bucket by its settings; nothing is asked yet.
    ///
    /// # Errors
    /// When the settings make no address.
    pub fn new(config: &S3Config) -> Result<Self, Trouble> {
        let options =
            TYPES.iter().fold(ClientOptions::new(), |options, (ending, media_type)| options.with_content_type_for_suffix(*ending, *media_type));
        let options = options.with_connect_timeout(CONNECT).with_timeout(REQUEST).with_allow_http(true);
        // Who speaks no TLS needs no certificates of authorities, which a minimal system has not.
        let options = options.with_no_system_certificates(!config.speaks_tls());
        let keys = Arc::new(Keys(ArcSwap::from_pointee(credential(config))));
        let builder = AmazonS3Builder::new()
            .with_region(&config.region)
            .with_bucket_name(&config.bucket)
            .with_credentials(keys.clone())
            .with_virtual_hosted_style_request(!config.path_style)
            // Not every service has the request for many at once.
            .with_disable_bulk_delete(true)
            .with_retry(RetryConfig { max_retries: TRIES, retry_timeout: TRYING, ..RetryConfig::default() })
            .with_client_options(options);
        let builder = match &config.endpoint {
            Some(endpoint) if config.path_style => builder.with_endpoint(endpoint),
            Some(endpoint) => builder.with_endpoint(endpoint.replacen("://", &format!("://{}.", config.bucket), 1)),
            None => builder,
        };
        let client = builder.build().map_err(|error| Trouble::Other(error.to_string()))?;
        Ok(Self { client, keys, name: config.bucket.clone(), prefix: Path::from(config.prefix.as_str()) })
    }

    /// Requests are signed with the key of these settings from now on.
    pub fn take_up(&self, config: &S3Config) {
        self.keys.0.store(Arc::new(credential(config)));
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Puts an object there, in one request; the service's tag for it.
    ///
    /// # Errors
    /// Why not.
    pub async fn put(&self, id: &str, name: &str, content: Bytes) -> Result<Option<String>, Trouble> {
        let put = self.client.put(&self.key(id, name), PutPayload::from_bytes(content)).await;
        put.map(|put| put.e_tag).map_err(|error| self.trouble(&error))
    }

    /// Begins an object that comes in parts.
    ///
    /// # Errors
    /// Why not.
    pub async fn begin(&self, id: &str, name: &str) -> Result<Parts, Trouble> {
        let key = self.key(id, name);
        let upload = self.client.create_multipart(&key).await.map_err(|error| self.trouble(&error))?;
        Ok(Parts { upload, key })
    }

    /// Puts a part of it there, the first one being 0: at least 5 MiB but for the last.
    ///
    /// # Errors
    /// Why not.
    pub async fn put_part(&self, parts: &Parts, number: usize, content: Bytes) -> Result<PartId, Trouble> {
        let put = self.client.put_part(&parts.key, &parts.upload, number, PutPayload::from_bytes(content)).await;
        put.map_err(|error| self.trouble(&error))
    }

    /// Makes an object of its parts; the service's tag for it.
    ///
    /// # Errors
    /// Why not.
    pub async fn complete(&self, parts: &Parts, put: Vec<PartId>) -> Result<Option<String>, Trouble> {
        let put = self.client.complete_multipart(&parts.key, &parts.upload, put).await;
        put.map(|put| put.e_tag).map_err(|error| self.trouble(&error))
    }

    /// Gives up an object that was begun: its parts are gone. One that is not there any more is no trouble.
    ///
    /// # Errors
    /// Why not.
    pub async fn abandon(&self, id: &str, name: &str, upload: &str) -> Result<(), Trouble> {
        match self.client.abort_multipart(&self.key(id, name), &upload.to_owned()).await {
            Err(error) => match self.trouble(&error) {
                Trouble::Missing => Ok(()),
                trouble => Err(trouble),
            },
            Ok(()) => Ok(()),
        }
    }

    /// What is known of an object.
    ///
    /// # Errors
    /// [`Trouble::Missing`], or what else is wrong.
    pub async fn look(&self, id: &str, name: &str) -> Result<Found, Trouble> {
        self.client.head(&self.key(id, name)).await.map(found).map_err(|error| self.trouble(&error))
    }

    /// Bytes of an object, of that content or of none.
    ///
    /// # Errors
    /// [`Trouble::Changed`] when it is another one by now, or what else is wrong.
    pub async fn get(&self, id: &str, name: &str, tag: Option<&str>, range: Range<u64>) -> Result<Bytes, Trouble> {
        let wanted = range.end.saturating_sub(range.start);
        let options = GetOptions { range: Some(range.into()), if_match: tag.map(str::to_owned), ..GetOptions::default() };
        let got = self.client.get_opts(&self.key(id, name), options).await.map_err(|error| self.trouble(&error))?;
        let bytes = got.bytes().await.map_err(|error| self.trouble(&error))?;
        if bytes.len() as u64 == wanted { Ok(bytes) } else { Err(Trouble::Changed) }
    }

    /// Deletes an object. One that is not there is no trouble.
    ///
    /// # Errors
    /// Why not.
    pub async fn delete(&self, id: &str, name: &str) -> Result<(), Trouble> {
        match self.client.delete(&self.key(id, name)).await.map_err(|error| self.trouble(&error)) {
            Err(Trouble::Missing) | Ok(()) => Ok(()),
            Err(trouble) => Err(trouble),
        }
    }

    /// What there is of one item, or of all.
    ///
    /// # Errors
    /// Why that cannot be said.
    pub async fn list(&self, id: Option<&str>) -> Result<Vec<Listed>, Trouble> {
        let below = match id {
            Some(id) => self.prefix.clone().join(id),
            None => self.prefix.clone(),
        };
        let all = self.client.list(Some(&below)).map_err(|error| self.trouble(&error));
        // What lies deeper, or higher, is nobody's here.
        let ours = all.try_filter_map(async |object| {
            let parts: Option<Vec<_>> = object.location.prefix_match(&self.prefix).map(|parts| parts.map(|part| part.as_ref().to_owned()).collect());
            let listed = match parts.as_deref() {
                Some([id, name]) => Some(Listed { id: id.clone(), name: name.clone(), found: found(object) }),
                _ => None,
            };
            Ok(listed)
        });
        ours.try_collect().await
    }

    /// Writes an object, reads it, lists it and deletes it.
    ///
    /// # Errors
    /// The first of these that fails.
    pub async fn try_out(&self) -> Result<(), Trouble> {
        let (id, name) = (".althing-doctor", format!("{}.json", std::process::id()));
        let content = Bytes::from_static(b"{}");
        let tag = self.put(id, &name, content.clone()).await?;
        let read = self.get(id, &name, tag.as_deref(), 0..content.len() as u64).await;
        let listed = self.list(Some(id)).await;
        self.delete(id, &name).await?;
        if read? != content || !listed?.iter().any(|listed| listed.name == name) {
            return Err(Trouble::Changed);
        }
        Ok(())
    }

    fn key(&self, id: &str, name: &str) -> Path {
        self.prefix.clone().join(id).join(name)
    }

    fn trouble(&self, error: &Error) -> Trouble {
        let text = chain(error);
        let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map(|(code, _)| code);
        match (code, error) {
            (Some("NoSuchBucket"), _) => Trouble::NoBucket(self.name.clone()),
            (Some("InvalidAccessKeyId"), _) => Trouble::UnknownKey,
            (Some("SignatureDoesNotMatch" | "RequestTimeTooSkewed"), _) => Trouble::WrongSecret,
            (Some("AuthorizationHeaderMalformed" | "PermanentRedirect" | "IllegalLocationConstraintException"), _) => Trouble::WrongRegion,
            (_, Error::NotFound { .. }) => Trouble::Missing,
            (_, Error::PermissionDenied { .. } | Error::Unauthenticated { .. }) => Trouble::Forbidden,
            (_, Error::Precondition { .. }) => Trouble::Changed,
            (Some(code), _) => Trouble::Other(format!("the service answers {code}")),
            _ if text.contains("without LOCATION") => Trouble::WrongRegion,
            _ => Trouble::Unreachable(reason(error)),
        }
    }
}

fn found(object: object_store::ObjectMeta) -> Found {
    let modified = object.last_modified.timestamp_nanos_opt().and_then(|nanos| u64::try_from(nanos).ok()).unwrap_or(0);
    Found { bytes: object.size, tag: object.e_tag, modified }
}

/// An error with all that is behind it.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(deeper) = source {
        text.push('\n');
        text.push_str(&deeper.to_string());
        source = deeper.source();
    }
    text
}

/// What is behind all of it, in few words: the rest names URLs and how often it was tried.
fn reason(error: &Error) -> String {
    let mut deepest = std::error::Error::source(error);
    while let Some(deeper) = deepest.and_then(std::error::Error::source) {
        deepest = Some(deeper);
    }
    let text = deepest.map_or_else(|| error.to_string(), ToString::to_string);
    text.lines().next().unwrap_or_default().chars().take(160).collect()
}
