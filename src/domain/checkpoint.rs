//! Checkpoints: signed statements of how far the event log's chain had come. What is signed is a short text that people
//! and other programs can read ([`Checkpoint::text`]); what leaves the machine is one line of JSON
//! ([`Checkpoint::line`]). The signature is Ed25519.

use std::fmt;

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use super::status::words;
use super::{Digest, Invalid, Link, Timestamp};

words! {
    /// Why a checkpoint was made.
    CheckpointKind, "kind" {
        /// A dashboard started.
        Start = "start",
        /// Something had happened within an hour.
        Hour = "hour",
        /// A sweep removed something.
        Sweep = "sweep",
        /// A transaction of a sweep removed something: it stands for that alone, and in for no checkpoint.
        Piece = "piece",
        /// A dashboard stopped as it was told to.
        Stop = "stop",
        /// A report was made.
        Report = "report",
        /// Somebody asked for one.
        Asked = "asked",
    }
}

/// A signed statement: this is the link of this event, and so many there were.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Checkpoint {
    /// The dashboard's lasting id.
    pub dashboard: String,
    /// Its number; rises.
    pub id: i64,
    /// Why it was made.
    pub kind: CheckpointKind,
    /// When.
    pub made_at: Timestamp,
    /// The last event that it covers.
    pub event_id: i64,
    /// How many events there were since the beginning, those that are swept included.
    pub events: i64,
    /// That event's link.
    pub link: Link,
    /// What else is stated, as the text of a JSON object: what a sweep removed, and where the log begins since.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub details: Option<String>,
    /// The public key, as hex.
    pub key: PublicKey,
    /// The signature of [`Checkpoint::text`], as 128 hex digits.
    pub signature: String,
}

impl Checkpoint {
    /// The text that is signed.
    #[must_use]
    pub fn text(&self) -> String {
        let details = self
            .details
            .as_ref()
            .map_or_else(|| "-".to_owned(), |text| Digest::of(text.as_bytes()).to_string());
        format!(
            "quarterdeck checkpoint 1\ndashboard {}\nid {}\nkind {}\ntime {}\nevent {}\nevents {}\nlink {}\ndetails {details}\n",
            self.dashboard,
            self.id,
            self.kind,
            self.made_at.to_rfc3339(),
            self.event_id,
            self.events,
            self.link,
        )
    }

    /// One line of JSON with everything that it takes to check it.
    #[must_use]
    pub fn line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads such a line.
    ///
    /// # Errors
    /// What is wrong with it; that the signature is not one, too.
    pub fn read(line: &str) -> Result<Self, Invalid> {
        let checkpoint: Self =
            serde_json::from_str(line.trim()).map_err(|why| Invalid::new("checkpoint", why.to_string()))?;
        if checkpoint.is_signed() {
            Ok(checkpoint)
        } else {
            Err(Invalid::new("checkpoint", "its signature does not fit"))
        }
    }

    /// Whether the signature is by its key, over what it says.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        let Some(signature) = bytes::<64>(&self.signature) else {
            return false;
        };
        UnparsedPublicKey::new(&ED25519, self.key.0)
            .verify(self.text().as_bytes(), &signature)
            .is_ok()
    }
}

/// The key that checkpoints are signed with.
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// A new key, as PKCS #8.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn generate() -> Result<Vec<u8>, Invalid> {
        let made = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new());
        let made = made.map_err(|_| Invalid::new("key", "there is no randomness to make one"))?;
        Ok(made.as_ref().to_vec())
    }

    /// Reads PKCS #8, as this program or `openssl genpkey -algorithm ed25519` makes it.
    ///
    /// # Errors
    /// Where it is none of Ed25519.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, Invalid> {
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)
            .map(Self)
            .map_err(|why| Invalid::new("key", format!("it is no Ed25519 key ({why})")))
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(bytes)
    }

    /// Signs a checkpoint: its key and signature are set.
    #[must_use]
    pub fn sign(&self, checkpoint: Checkpoint) -> Checkpoint {
        let signed = Checkpoint {
            key: self.public(),
            ..checkpoint
        };
        let signature = self.0.sign(signed.text().as_bytes());
        Checkpoint {
            signature: hex(signature.as_ref()),
            ..signed
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}

/// The public half of a key, 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// What stands before the key of every PEM of Ed25519: RFC 8410's SubjectPublicKeyInfo.
    const PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

    /// Its SHA-256: how a key is named.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.0)
    }

    /// As openssl writes and reads it.
    #[must_use]
    pub fn to_pem(&self) -> String {
        use base64::Engine as _;
        let der = [Self::PREFIX.as_slice(), self.0.as_slice()].concat();
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
    }

    /// Reads a PEM, or 64 hex digits.
    ///
    /// # Errors
    /// Where it is neither.
    pub fn read(text: &str) -> Result<Self, Invalid> {
        use base64::Engine as _;
        let wrong = || {
            Invalid::new(
                "public key",
                "it is no Ed25519 key in PEM; `quarterdeck audit key` prints one",
            )
        };
        if let Some(key) = bytes(text.trim()) {
            return Ok(Self(key));
        }
        let inner: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
        let der = base64::engine::general_purpose::STANDARD
            .decode(inner.trim())
            .map_err(|_| wrong())?;
        let key = der.strip_prefix(Self::PREFIX.as_slice()).ok_or_else(wrong)?;
        Ok(Self(key.try_into().map_err(|_| wrong())?))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl std::str::FromStr for PublicKey {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::read(text)
    }
}

impl Serialize for PublicKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

super::schema::described!(
    PublicKey,
    super::schema::text(
        "^[0-9a-f]{64}$",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "An Ed25519 public key"
    )
);

fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn bytes<const N: usize>(hex: &str) -> Option<[u8; N]> {
    if hex.len() != 2 * N || !hex.is_ascii() {
        return None;
    }
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(at * 2..at * 2 + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed() -> Checkpoint {
        let key = SigningKey::from_pkcs8(&SigningKey::generate().expect("key")).expect("key");
        key.sign(Checkpoint {
            dashboard: "d".to_owned(),
            id: 1,
            kind: CheckpointKind::Hour,
            made_at: Timestamp::from_micros(1),
            event_id: 7,
            events: 9,
            link: Link::START,
            details: None,
            key: key.public(),
            signature: String::new(),
        })
    }

    #[test]
    fn a_line_comes_back_and_whatever_is_changed_in_it_is_seen() {
        let checkpoint = signed();
        assert_eq!(Checkpoint::read(&checkpoint.line()), Ok(checkpoint.clone()));
        for other in [
            Checkpoint {
                event_id: 8,
                ..checkpoint.clone()
            },
            Checkpoint {
                id: 2,
                ..checkpoint.clone()
            },
            Checkpoint {
                events: 8,
                ..checkpoint.clone()
            },
            Checkpoint {
                kind: CheckpointKind::Stop,
                ..checkpoint.clone()
            },
            Checkpoint {
                dashboard: "e".to_owned(),
                ..checkpoint.clone()
            },
            Checkpoint {
                details: Some("{}".to_owned()),
                ..checkpoint.clone()
            },
            Checkpoint {
                key: signed().key,
                ..checkpoint.clone()
            },
            Checkpoint {
                signature: "00".repeat(64),
                ..checkpoint.clone()
            },
        ] {
            assert!(Checkpoint::read(&other.line()).is_err(), "{other:?}");
        }
    }

    #[test]
    fn a_public_key_is_read_as_it_is_written() {
        let key = signed().key;
        assert_eq!(PublicKey::read(&key.to_pem()), Ok(key));
        assert_eq!(PublicKey::read(&key.to_string()), Ok(key));
        assert!(PublicKey::read("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----").is_err());
    }
}
