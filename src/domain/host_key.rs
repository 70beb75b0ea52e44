//! The key by which a host proves that it is the one that was met before, as people compare it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use super::schema::{described, text};
use super::{Invalid, bounded};

/// SHA-256 of a host's public key, as OpenSSH writes it: `SHA256:` and 43 characters of base64.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Fingerprint {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let digest = text.trim().strip_prefix("SHA256:").unwrap_or_default();
        let fits = digest.len() == 43 && digest.chars().all(|c| c.is_ascii_alphanumeric() || "+/".contains(c));
        if !fits {
            let problem = format!(
                "“{}” is no fingerprint; it is SHA256: and 43 characters, as `ssh-keygen -l` prints it",
                bounded(text, 80)
            );
            return Err(Invalid::new("fingerprint", problem));
        }
        Ok(Self(text.trim().to_owned()))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map_err(|wrong: Invalid| serde::de::Error::custom(wrong.problem))
    }
}

/// A host's key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, utoipa::ToSchema)]
pub struct HostKey {
    /// Its type, as files of known hosts have it: `ssh-ed25519`.
    pub kind: String,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
}

impl HostKey {
    /// Its type as `ssh-keygen -l` says it, and as its file on the host is named: `ED25519`.
    #[must_use]
    pub fn word(&self) -> &str {
        match self.kind.as_str() {
            "ssh-ed25519" => "ED25519",
            "ssh-rsa" => "RSA",
            kind if kind.starts_with("ecdsa-") => "ECDSA",
            kind => kind,
        }
    }

    /// What prints the fingerprint on the host itself.
    #[must_use]
    pub fn line_on_host(&self) -> String {
        match self.word() {
            word @ ("ED25519" | "RSA" | "ECDSA") => {
                format!("ssh-keygen -lf /etc/ssh/ssh_host_{}_key.pub", word.to_ascii_lowercase())
            }
            _ => "for key in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen -lf $key; done".to_owned(),
        }
    }
}

/// `ED25519 SHA256:…`.
impl fmt::Display for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.word(), self.fingerprint)
    }
}

described!(
    Fingerprint,
    text(
        "^SHA256:[A-Za-z0-9+/]{43}$",
        "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
        "The fingerprint of a host's key, as `ssh-keygen -l` prints it.",
    )
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_nothing_else() {
        let good = format!("SHA256:{}", "aZ0+/".repeat(9).split_at(43).0);
        assert_eq!(good.parse::<Fingerprint>().expect("good").as_str(), good);
        let md5 = format!("MD5:{}", "0".repeat(43));
        for text in [
            "",
            "SHA256:",
            md5.as_str(),
            &good[..49],
            &format!("{good}A"),
            &good.replace('+', "\n"),
        ] {
            assert!(text.parse::<Fingerprint>().is_err(), "{text:?}");
        }
    }
}
