//! The hash chain over the event log: what a row's canonical form is, and how one link follows another.
//!
//! The canonical row is the eleven columns id, timestamp, category, level, actor, host_id, action, message, details,
//! command_id, pipeline_id, in this order, each as the text that the database holds: `LENGTH:TEXT,` with the length in
//! bytes (a netstring), and `-,` where the column is NULL. The link of an event is
//! `SHA-256(link of the event before ‖ SHA-256(canonical row))`; before the first event stand 32 zero bytes. Ids rise
//! by one. Anything that knows SHA-256 can check it.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use super::Invalid;
use super::schema::{described, text};

/// A SHA-256 as bytes: the hash of a canonical row, or a link of the chain.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Link([u8; 32]);

impl Link {
    /// What stands before the first event.
    pub const START: Self = Self([0; 32]);

    /// From what the database holds.
    ///
    /// # Errors
    /// Where it is not 32 bytes long.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Invalid> {
        let bytes = bytes
            .try_into()
            .map_err(|_| Invalid::new("link", format!("it has {} bytes, not 32", bytes.len())))?;
        Ok(Self(bytes))
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The hash of a row, by the text of its columns in their order.
    #[must_use]
    pub fn of_row<'a>(columns: impl IntoIterator<Item = Option<&'a str>>) -> Self {
        let mut hash = Sha256::new();
        for column in columns {
            match column {
                Some(text) => {
                    hash.update(text.len().to_string());
                    hash.update(b":");
                    hash.update(text);
                    hash.update(b",");
                }
                None => hash.update(b"-,"),
            }
        }
        Self(hash.finalize().into())
    }

    /// The link after this one, by the hash of the next row.
    #[must_use]
    pub fn next(self, row: Self) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(row.0);
        Self(hash.finalize().into())
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Link {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = || Invalid::new("link", "it is no 64 hex digits");
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return Err(wrong());
        }
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = text
                .get(at * 2..at * 2 + 2)
                .and_then(|two| u8::from_str_radix(two, 16).ok())
                .ok_or_else(wrong)?;
        }
        Ok(Self(bytes))
    }
}

impl serde::Serialize for Link {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Link {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

described!(
    Link,
    text(
        "^[0-9a-f]{64}$",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "A SHA-256"
    )
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canonical_row_cannot_be_read_in_two_ways() {
        let of = |columns: &[Option<&str>]| Link::of_row(columns.iter().copied());
        assert_ne!(of(&[Some("ab"), Some("c")]), of(&[Some("a"), Some("bc")]));
        assert_ne!(of(&[None]), of(&[Some("")]));
        assert_ne!(of(&[Some("-,")]), of(&[None, None]));
        assert_ne!(of(&[Some("a,1:b")]), of(&[Some("a"), Some("b")]));
    }

    /// By hand: `printf '1:1,-,' | sha256sum`, then `( head -c32 /dev/zero; echo HASH | xxd -r -p ) | sha256sum`.
    #[test]
    fn a_link_is_what_other_programs_compute() {
        let row = Link::of_row([Some("1"), None]);
        assert_eq!(row.to_string(), ROW);
        assert_eq!(Link::START.next(row).to_string(), NEXT);
        assert_eq!(ROW.parse::<Link>(), Ok(row));
        assert!("zz".parse::<Link>().is_err());
    }

    const ROW: &str = "33cd9e7a5d6480322c5269d4528c34aef715225b9949e1e4b8ccd3b95f52430c";
    const NEXT: &str = "d1a29b13685fd20d9e095a1b21d9e7b9d6ad4d2fb03d5067a4b3f7dfcd1d98cd";
}
