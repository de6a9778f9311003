use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384, date_time_ymd};

use super::identity::{Name, Source};
use super::*;

const DAY: i64 = 86_400;

/// A directory that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("althing-tls-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).expect("written");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A certificate for a name and its key, both PEM; the years are those of its beginning and its end.
fn made(name: &str, years: (i32, i32)) -> (String, String) {
    let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
    (params.not_before, params.not_after) = (date_time_ymd(years.0, 1, 1), date_time_ymd(years.1, 1, 1));
    let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).expect("a key");
    (params.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
}

fn parsed(cert: &str, key: &str, now: i64) -> Result<Identity, TlsError> {
    let at = |path, setting| Source { path: Path::new(path), setting };
    Identity::from_pem((cert.as_bytes(), at("c.pem", "tls.cert")), (key.as_bytes(), at("k.pem", "tls.key")), now)
}

fn refused(cert: &str, key: &str) -> String {
    parsed(cert, key, now()).expect_err("refused").to_string()
}

#[test]
fn only_one_crypto_provider_is_in_the_build() {
    // rustls panics here when it could choose between two.
    let chosen = rustls::ServerConfig::builder().crypto_provider().cipher_suites.len();
    assert_eq!(chosen, provider().cipher_suites.len());
}

#[test]
fn a_certificate_says_whom_it_is_for_and_until_when() {
    let (cert, key) = made("Meet.Example.org", (2020, 2090));
    let identity = parsed(&cert, &key, now()).expect("good");
    assert_eq!(identity.names, [Name::Dns("meet.example.org".into())]);
    assert_eq!(identity.not_after, date_time_ymd(2090, 1, 1).unix_timestamp());
}

#[test]
fn what_cannot_be_used_is_refused_with_what_is_wrong_and_what_to_do() {
    let (cert, key) = made("a.example", (2020, 2090));
    let (_, other) = made("b.example", (2020, 2090));
    let says = |text: &str, words: &[&str]| words.iter().for_each(|word| assert!(text.contains(word), "`{word}` is not in: {text}"));
    says(&refused(&cert, &other), &["k.pem", "is not that of", "c.pem", "put the key there"]);
    says(&refused("", &key), &["no certificate in c.pem", "tls.cert", "BEGIN CERTIFICATE"]);
    says(&refused(&key, &key), &["no certificate in c.pem"]);
    says(&refused(&cert, ""), &["no private key in k.pem", "tls.key", "BEGIN PRIVATE KEY"]);
    says(
        &refused(&cert, "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"),
        &["k.pem", "encrypted", "openssl pkey"],
    );
    says(&refused(&cert[..cert.len() / 2], &key), &["c.pem", "PEM"]);
    says(&refused(&cert[..20], &key), &["c.pem", "PEM: a line that begins a certificate is cut off"]);
    says(&refused("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &key), &["c.pem", "can be read"]);
    let (ended, ended_key) = made("a.example", (2020, 2021));
    says(&refused(&ended, &ended_key), &["c.pem expired", "days ago", "renew it", "clock"]);
    let (coming, coming_key) = made("a.example", (2089, 2090));
    says(&refused(&coming, &coming_key), &["not valid for another", "days", "clock"]);
}

#[test]
fn no_refusal_repeats_a_key() {
    let (cert, key) = made("a.example", (2020, 2090));
    let (_, other) = made("b.example", (2020, 2090));
    let broken = key.replace("PRIVATE KEY-----\n", "PRIVATE KEY-----\n!!");
    let secret = key.lines().nth(1).expect("a line of the key");
    for text in [refused(&cert, &other), refused(&cert, &broken), refused(&key, &key)] {
        assert!(!text.contains(&secret[..16]), "{text}");
    }
    assert!(!format!("{:?}", parsed(&cert, &key, now()).expect("good")).contains(&secret[..16]));
}

#[test]
fn files_have_changed_when_they_are_written_replaced_or_gone() {
    let folder = Folder::new("files");
    let (cert, key) = made("a.example", (2020, 2090));
    let (cert_at, key_at) = (folder.write("c.pem", &cert), folder.write("k.pem", &key));
    let mut files = files::Files::new(&cert_at, &key_at);
    assert!(files.changed(), "never read");
    files.read(now()).expect("good");
    assert!(!files.changed());

    // As certbot does it: a link that leads elsewhere from now on, to a file that may be older.
    let (other, other_key) = made("b.example", (2020, 2090));
    folder.write("c2.pem", &other);
    fs::remove_file(&cert_at).expect("removed");
    assert!(files.changed(), "gone");
    let gone = files.read(now()).expect_err("gone").to_string();
    assert!(gone.contains("c.pem") && gone.contains("no such file") && gone.contains("tls.cert"), "{gone}");
    std::os::unix::fs::symlink("c2.pem", &cert_at).expect("a link");
    assert!(files.changed());
    assert!(files.read(now()).is_err(), "the key is still the other one's");
    assert!(!files.changed(), "said once");
    folder.write("k.pem", &other_key);
    assert!(files.changed());
    assert_eq!(files.read(now()).expect("good").names, [Name::Dns("b.example".into())]);

    fs::write(&key_at, vec![b'x'; 2 << 20]).expect("written");
    let big = files.read(now()).expect_err("no key is so big").to_string();
    assert!(big.contains("k.pem") && big.contains("tls.key"), "{big}");
    assert!(files::read(&folder.0).is_err(), "a directory is no file");
}

fn names(texts: &[&str]) -> BTreeSet<Name> {
    texts.iter().map(|text| text.parse().map_or_else(|_| Name::Dns((*text).to_owned()), Name::Address)).collect()
}

#[test]
fn a_development_certificate_stays_until_it_expires_or_a_name_is_missing() {
    let folder = Folder::new("dev");
    let cache = folder.0.join("deep/cache");
    let now = now();
    let kept = |list: &[&str], at: i64| dev::Kept::new(&cache, names(list)).read_or_make(at).expect("a certificate");
    let both = ["localhost", "192.0.2.10", "2001:db8::7"];
    let first = kept(&both, now);
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(&cache), mode(&cache.join("development.pem"))), (0o700, 0o600));
    assert_eq!(first.names.iter().cloned().collect::<BTreeSet<_>>(), names(&both));
    assert!((395..=398).contains(&first.days_left(now)), "{}", first.days_left(now));

    let text = || fs::read(cache.join("development.pem")).expect("kept");
    let before = text();
    kept(&both, now);
    kept(&both[..2], now);
    assert_eq!(text(), before, "an address less is no reason");
    kept(&["localhost", "192.0.2.11"], now);
    let with_another = text();
    assert_ne!(with_another, before, "an address is missing");
    kept(&["localhost", "192.0.2.11"], now + 395 * DAY);
    assert_eq!(text(), with_another);
    kept(&["localhost", "192.0.2.11"], now + 397 * DAY);
    let renewed = text();
    assert_ne!(renewed, with_another, "it expires");
    fs::write(cache.join("development.pem"), &renewed[..renewed.len() / 2]).expect("written");
    kept(&["localhost"], now);
    assert_ne!(text(), renewed[..renewed.len() / 2], "what is broken is made anew");
}

#[test]
fn a_development_certificate_is_for_all_that_this_machine_is_reached_by() {
    let addresses: Vec<std::net::IpAddr> = ["192.0.2.10", "2001:db8::7", "fe80::1", "0.0.0.0"].map(|ip| ip.parse().expect("an address")).into();
    let names = dev::names(&addresses);
    for there in ["localhost", "127.0.0.1", "::1", "192.0.2.10", "2001:db8::7"] {
        assert!(names.iter().any(|name| *name == self::names(&[there]).first().cloned().expect("one")), "{there}");
    }
    let addresses = names.iter().filter(|name| matches!(name, Name::Address(_))).count();
    assert_eq!(addresses, 4, "no link-local address, none that is unspecified: {names:?}");
}

#[test]
fn a_directory_that_cannot_be_written_is_named_with_its_setting() {
    let kept = dev::Kept::new(Path::new("/proc/althing"), names(&["localhost"]));
    let error = kept.read_or_make(now()).expect_err("not there").to_string();
    assert!(error.contains("/proc/althing") && error.contains("tls.cache="), "{error}");
}

#[test]
fn a_directory_that_others_may_read_is_closed_before_keys_go_in() {
    let folder = Folder::new("open");
    fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o755)).expect("opened");
    store::keep(&folder.0.join("key"), b"secret").expect("kept");
    assert_eq!(fs::metadata(&folder.0).expect("there").permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::read_dir(&folder.0).expect("there").count(), 1, "nothing unfinished is left");
}
