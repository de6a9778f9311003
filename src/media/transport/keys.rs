//! Session keys from master keys (RFC 3711 section 4.3), expanded once for the life of a session.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used))]

use super::srtp::SrtpError;
use crate::base::prefetch::prefetch_behind;
use crate::contract::SrtpProfile;
use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, Algorithm, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;

/// Bytes of the tag of AEAD_AES_128_GCM and AEAD_AES_256_GCM (RFC 7714 section 13).
pub(super) const GCM_TAG: usize = 16;
/// Lines of memory of expanded keys of AES-GCM: round keys, and a table of powers for the tag.
const GCM_LINES: usize = 9;
/// Bytes of the tag of HMAC_SHA1_80 (RFC 3711 section 5.2).
pub(super) const SHA1_80_TAG: usize = 10;

/// Which keys of a session: they differ by their labels (RFC 3711 section 4.3.1).
#[derive(Clone, Copy)]
pub(super) enum Use {
    Rtp,
    Rtcp,
}

/// The keys of one direction, ready to work.
pub(super) enum SessionKeys {
    Gcm(GcmKeys),
    /// Boxed: it is forty times larger, and rare.
    CmSha1(Box<CmSha1Keys>),
}

/// AEAD_AES_128_GCM and AEAD_AES_256_GCM (RFC 7714).
pub(super) struct GcmKeys {
    key: LessSafeKey,
    salt: [u8; 12],
}

/// AES counter mode with HMAC-SHA1 (RFC 3711 sections 4.1.1 and 4.2.1).
pub(super) struct CmSha1Keys {
    cipher: EncryptingKey,
    auth: hmac::Key,
    salt: [u8; 14],
}

impl SessionKeys {
    pub fn derive(profile: SrtpProfile, master_key: &[u8], master_salt: &[u8], usage: Use) -> Result<Self, SrtpError> {
        if master_key.len() != profile.key_len() || master_salt.len() != profile.salt_len() {
            return Err(SrtpError::KeyLength);
        }
        let prf = Prf::new(master_key, master_salt)?;
        let labels = Labels::of(usage);
        Ok(match profile {
            SrtpProfile::AeadAes128Gcm => Self::Gcm(GcmKeys::new(&AES_128_GCM, &prf.derive::<16>(labels.encryption)?, prf.derive(labels.salt)?)?),
            SrtpProfile::AeadAes256Gcm => Self::Gcm(GcmKeys::new(&AES_256_GCM, &prf.derive::<32>(labels.encryption)?, prf.derive(labels.salt)?)?),
            SrtpProfile::AesCm128HmacSha1_80 => {
                let auth: [u8; 20] = prf.derive(labels.authentication)?;
                Self::CmSha1(Box::new(CmSha1Keys {
                    cipher: counter_mode(&prf.derive::<16>(labels.encryption)?)?,
                    auth: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &auth),
                    salt: prf.derive(labels.salt)?,
                }))
            }
        })
    }

    /// Asks for the memory of the expanded keys.
    pub fn fetch(&self) {
        if let Self::Gcm(keys) = self {
            // The library's type is a tag, a pointer to the keys and one to the algorithm, and keeps them to itself.
            prefetch_behind(&keys.key, 1, GCM_LINES);
        }
    }

    pub const fn tag_len(&self) -> usize {
        match self {
            Self::Gcm(_) => GCM_TAG,
            Self::CmSha1(_) => SHA1_80_TAG,
        }
    }
}

impl GcmKeys {
    fn new(algorithm: &'static Algorithm, key: &[u8], salt: [u8; 12]) -> Result<Self, SrtpError> {
        let key = UnboundKey::new(algorithm, key).map_err(|_| SrtpError::KeyLength)?;
        Ok(Self { key: LessSafeKey::new(key), salt })
    }

    /// Encrypts `plain` into `cipher` (of the same length), the tag beside it.
    pub fn seal_scatter(&self, ssrc: u32, index: u64, aad: &[u8], plain: &[u8], cipher: &mut [u8], tag: &mut [u8]) -> Option<()> {
        self.key.seal_out_of_place_scatter(self.nonce(ssrc, index), Aad::from(aad), plain, cipher, &[], tag).ok()
    }

    /// Encrypts in place, the tag beside it.
    pub fn seal_in_place(&self, ssrc: u32, index: u64, aad: &[u8], text: &mut [u8], tag: &mut [u8]) -> Option<()> {
        self.key.seal_in_place_scatter(self.nonce(ssrc, index), Aad::from(aad), text, &[], tag).ok()
    }

    /// Decrypts in place; `text` ends with the tag. Returns the length without it. On failure `text` is not to be used.
    pub fn open_in_place(&self, ssrc: u32, index: u64, aad: &[u8], text: &mut [u8]) -> Option<usize> {
        self.key.open_in_place(self.nonce(ssrc, index), Aad::from(aad), text).ok().map(|plain| plain.len())
    }

    /// RFC 7714 sections 8.1 and 9.1: two zero bytes, the SSRC and the index in 48 bits, under the salt.
    fn nonce(&self, ssrc: u32, index: u64) -> Nonce {
        let [s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11] = self.salt;
        let high = u32::from_be_bytes([s0, s1, s2, s3]) ^ ssrc >> 16;
        let low = u64::from_be_bytes([s4, s5, s6, s7, s8, s9, s10, s11]) ^ (u64::from(ssrc) << 48 | index);
        let ([h0, h1, h2, h3], [l0, l1, l2, l3, l4, l5, l6, l7]) = (high.to_be_bytes(), low.to_be_bytes());
        Nonce::assume_unique_for_key([h0, h1, h2, h3, l0, l1, l2, l3, l4, l5, l6, l7])
    }
}

impl CmSha1Keys {
    /// Encrypts or decrypts in place: the key stream of packet `index` of `ssrc` (RFC 3711 section 4.1.1).
    pub fn apply(&self, ssrc: u32, index: u64, text: &mut [u8]) -> Option<()> {
        let counter = u128::from(ssrc) << 64 | u128::from(index) << 16;
        let mut salt = [0; 16];
        salt.first_chunk_mut().map(|first| *first = self.salt)?;
        let iv = counter ^ u128::from_be_bytes(salt);
        apply_counter_mode(&self.cipher, iv.to_be_bytes(), text)
    }

    /// The tag over `message` followed by `trailer`.
    pub fn tag(&self, message: &[u8], trailer: &[u8]) -> Option<[u8; SHA1_80_TAG]> {
        let mut context = hmac::Context::with_key(&self.auth);
        context.update(message);
        context.update(trailer);
        context.sign().as_ref().first_chunk().copied()
    }

    /// Whether `tag` is the tag over `message` followed by `trailer`, in constant time.
    pub fn verify(&self, message: &[u8], trailer: &[u8], tag: &[u8]) -> bool {
        self.tag(message, trailer).is_some_and(|right| verify_slices_are_equal(&right, tag).is_ok())
    }
}

/// Labels of RFC 3711 section 4.3.1.
struct Labels {
    encryption: u8,
    authentication: u8,
    salt: u8,
}

impl Labels {
    const fn of(usage: Use) -> Self {
        match usage {
            Use::Rtp => Self { encryption: 0, authentication: 1, salt: 2 },
            Use::Rtcp => Self { encryption: 3, authentication: 4, salt: 5 },
        }
    }
}

/// The pseudo-random function of RFC 3711 section 4.3.3 with a key derivation rate of 0; under a master key of 32 bytes
/// it is AES-256 (RFC 6188 section 3, RFC 7714 section 11).
struct Prf {
    cipher: EncryptingKey,
    salt: [u8; 16],
}

impl Prf {
    fn new(master_key: &[u8], master_salt: &[u8]) -> Result<Self, SrtpError> {
        // A salt of 12 bytes is padded with zeros on the right (RFC 7714 section 11), as the counter's place is anyway.
        let mut salt = [0; 16];
        salt.get_mut(..master_salt.len()).ok_or(SrtpError::KeyLength)?.copy_from_slice(master_salt);
        Ok(Self { cipher: counter_mode(master_key)?, salt })
    }

    fn derive<const N: usize>(&self, label: u8) -> Result<[u8; N], SrtpError> {
        let mut key = [0; N];
        // The label stands seven bytes before the end of the 14-byte salt, two bytes of block counter follow.
        let iv = u128::from_be_bytes(self.salt) ^ u128::from(label) << 64;
        apply_counter_mode(&self.cipher, iv.to_be_bytes(), &mut key).ok_or(SrtpError::KeyLength)?;
        Ok(key)
    }
}

fn counter_mode(key: &[u8]) -> Result<EncryptingKey, SrtpError> {
    let algorithm = if key.len() == 32 { &AES_256 } else { &AES_128 };
    UnboundCipherKey::new(algorithm, key).and_then(EncryptingKey::ctr).map_err(|_| SrtpError::KeyLength)
}

fn apply_counter_mode(cipher: &EncryptingKey, iv: [u8; 16], text: &mut [u8]) -> Option<()> {
    cipher.less_safe_encrypt(text, EncryptionContext::Iv128(FixedLength::from(iv))).ok().map(|_| ())
}

#[cfg(test)]
impl SessionKeys {
    /// The session keys of the examples in RFC 7714 sections 16 and 17, which give no master key.
    pub fn of_rfc_7714(profile: SrtpProfile) -> Self {
        let algorithm = if profile == SrtpProfile::AeadAes256Gcm { &AES_256_GCM } else { &AES_128_GCM };
        let key: Vec<u8> = (0..32).take(profile.key_len()).collect();
        Self::Gcm(GcmKeys::new(algorithm, &key, *b"Quid pro quo").unwrap())
    }
}

#[cfg(test)]
pub(super) fn hex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_library_keeps_expanded_keys_where_they_are_asked_for() {
        use crate::base::prefetch::word_of;
        let keys = [1, 2].map(|byte| GcmKeys::new(&AES_128_GCM, &[byte; 16], [0; 12]).unwrap().key);
        let [first, second] = [0, 1].map(|key| [1, 2].map(|word| word_of(&keys[key], word).unwrap()));
        assert_ne!(first[0], second[0], "each has its own");
        assert_eq!(first[1], second[1], "of one algorithm");
        assert_eq!(word_of(&keys[0], 3), None);
    }

    #[test]
    fn keys_are_derived_as_in_rfc_3711_appendix_b_3() {
        let prf = Prf::new(&hex("E1F97A0D3E018BE0D64FA32C06DE4139"), &hex("0EC675AD498AFEEBB6960B3AABE6")).unwrap();
        assert_eq!(prf.derive::<16>(0).unwrap()[..], hex("C61E7A93744F39EE10734AFE3FF7A087"));
        assert_eq!(prf.derive::<14>(2).unwrap()[..], hex("30CBBC08863D8C85D49DB34A9AE1"));
        let auth = "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCEE049646C43D9327AD175578EF72270986371C10C9A369AC2F94A8C5FBCDDDC256D6E919A48B610EF17C2041E47403576";
        assert_eq!(prf.derive::<20>(1).unwrap()[..], hex(auth)[..20]);
    }

    #[test]
    fn keys_are_derived_under_256_bits_as_in_rfc_6188_section_7_2() {
        let prf = Prf::new(&hex("F0F04914B513F2763A1B1FA130F10E2998F6F6E43E4309D1E622A0E332B9F1B6"), &hex("3B04803DE51EE7C96423AB5B78D2")).unwrap();
        assert_eq!(prf.derive::<32>(0).unwrap()[..], hex("5BA1064E30EC51613CAD926C5A28EF731EC7FB397F70A960653CAF06554CD8C4"));
        assert_eq!(prf.derive::<14>(2).unwrap()[..], hex("FA31791685CA444A9E07C6C64E93"));
        assert_eq!(prf.derive::<20>(1).unwrap()[..], hex("FD9C32D39ED5FBB5A9DC96B30818454D1313DC05"));
    }

    #[test]
    fn the_key_stream_is_that_of_rfc_3711_appendix_b_2() {
        let keys = CmSha1Keys {
            cipher: counter_mode(&hex("2B7E151628AED2A6ABF7158809CF4F3C")).unwrap(),
            auth: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &[]),
            salt: hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD").try_into().unwrap(),
        };
        let mut stream = [0; 48];
        keys.apply(0, 0, &mut stream).unwrap();
        assert_eq!(stream[..], hex("E03EAD0935C95E80E166B16DD92B4EB4D23513162B02D0F72A43A2FE4A5F97AB41E95B3BB0A2E8DD477901E4FCA894C0"));
    }

    #[test]
    fn keys_and_salts_of_a_wrong_length_are_refused() {
        for profile in [SrtpProfile::AeadAes128Gcm, SrtpProfile::AeadAes256Gcm, SrtpProfile::AesCm128HmacSha1_80] {
            let (right, salt) = (profile.key_len(), profile.salt_len());
            for (key, salt) in [(0, salt), (right - 1, salt), (right, salt + 1), (right, 0), (48 - right, salt), (24, salt)] {
                let keys = SessionKeys::derive(profile, &vec![0; key], &vec![0; salt], Use::Rtp);
                assert_eq!(keys.err(), Some(SrtpError::KeyLength));
            }
        }
    }
}
