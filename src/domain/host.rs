//! How a host is named and reached. Parsed once, strictly: what has this type is safe as a word of a
//! command line, a folder and a URL.

use std::fmt;
use std::str::FromStr;

use super::Invalid;
use super::schema::{described, text};

macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(|wrong: Invalid| serde::de::Error::custom(wrong.problem))
            }
        }
    };
}

checked_text! {
    /// A host's name in Quarterdeck: 1 to 253 letters, digits, `-`, `_` or `.`, beginning with a letter or digit.
    HostName
}
checked_text! {
    /// A tag of hosts: 1 to 64 letters, digits, `-`, `_`, `.` or `:`, beginning with a letter or digit.
    Tag
}
checked_text! {
    /// A folder on a host for spools: absolute, of letters, digits and `/ . _ - +`, without `..`.
    SpoolDir
}
checked_text! {
    /// A user that ops run as on a host, through `sudo -n` or `doas -n`: a POSIX user name.
    RunAs
}

fn starts_plainly(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
}

impl FromStr for HostName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let fits = (1..=253).contains(&text.len())
            && starts_plainly(text)
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if !fits {
            return Err(Invalid::new(
                "name",
                "must be 1 to 253 letters, digits, “-”, “_” or “.”, beginning with a letter or digit",
            ));
        }
        if text.eq_ignore_ascii_case("all") {
            return Err(Invalid::new("name", "“all” means every host; choose another name"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for Tag {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let fits = (1..=64).contains(&text.len())
            && starts_plainly(text)
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:".contains(c));
        if !fits {
            return Err(Invalid::new(
                "tag",
                "must be 1 to 64 letters, digits, “-”, “_”, “.” or “:”, beginning with a letter or digit",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for SpoolDir {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let text = text.trim_end_matches('/');
        let fits = (2..=1024).contains(&text.len())
            && text.starts_with('/')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+".contains(c))
            && text
                .split('/')
                .skip(1)
                .all(|part| !part.is_empty() && part != "." && part != "..");
        if !fits {
            return Err(Invalid::new(
                "spool",
                "must be an absolute folder of letters, digits and “/ . _ - +”, without “..”",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for RunAs {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let fits = (1..=32).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && text
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c));
        if !fits {
            return Err(Invalid::new(
                "run_as",
                "must be a user name of lower-case letters, digits, “-” or “_”",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

/// How a host is reached.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Reach {
    /// The dashboard's own machine, without any network.
    Local,
    /// The system's OpenSSH client.
    Ssh {
        /// The login user; none leaves it to `~/.ssh/config`.
        user: Option<String>,
        /// A host name, an address or an alias of `~/.ssh/config`.
        address: String,
        /// The port; none leaves it to `~/.ssh/config`.
        port: Option<u16>,
    },
}

impl Reach {
    /// Reads `[USER@]ADDRESS[:PORT]`; an IPv6 address with a port stands in brackets.
    ///
    /// # Errors
    /// When a part is empty, begins with `-` or holds what no user, address or port has.
    pub fn ssh(text: &str) -> Result<Self, Invalid> {
        let wrong = |problem: &str| Invalid::new("ssh", format!("“{}”: {problem}", super::bounded(text, 80)));
        let (user, rest) = match text.rsplit_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, text),
        };
        let (address, port) = if let Some(rest) = rest.strip_prefix('[') {
            let (address, tail) = rest
                .split_once(']')
                .ok_or_else(|| wrong("the bracket of the address is not closed"))?;
            match tail.strip_prefix(':') {
                Some(port) => (address, Some(port)),
                None if tail.is_empty() => (address, None),
                None => return Err(wrong("after the bracket only :PORT may follow")),
            }
        } else if rest.matches(':').count() == 1 {
            rest.split_once(':')
                .map_or((rest, None), |(address, port)| (address, Some(port)))
        } else {
            (rest, None)
        };
        if let Some(user) = user
            && (user.is_empty()
                || user.starts_with('-')
                || !user.chars().all(|c| c.is_ascii_alphanumeric() || "-_.+@\\".contains(c)))
        {
            return Err(wrong(
                "the user must be letters, digits, “-”, “_”, “.”, not beginning with “-”",
            ));
        }
        if address.is_empty()
            || address.len() > 253
            || address.starts_with('-')
            || !address
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.:%".contains(c))
        {
            return Err(wrong(
                "write it as [USER@]ADDRESS[:PORT], for example root@web-03.example.org:22",
            ));
        }
        let port = match port {
            None => None,
            Some(port) => match port.parse::<u16>() {
                Ok(port) if port > 0 => Some(port),
                _ => return Err(wrong("the port must be a number from 1 to 65535")),
            },
        };
        Ok(Self::Ssh {
            user: user.map(str::to_owned),
            address: address.to_owned(),
            port,
        })
    }
}

/// `local`, or what [`Reach::ssh`] reads.
impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("local"),
            Self::Ssh { user, address, port } => {
                if let Some(user) = user {
                    write!(f, "{user}@")?;
                }
                match port {
                    Some(port) if address.contains(':') => write!(f, "[{address}]:{port}"),
                    Some(port) => write!(f, "{address}:{port}"),
                    None => f.write_str(address),
                }
            }
        }
    }
}

described!(
    HostName,
    text(
        "^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$",
        "web-03",
        "The name of a host; not “all”."
    )
);
described!(
    Tag,
    text("^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$", "web", "A tag of hosts.")
);
described!(
    SpoolDir,
    text(
        "^(/[A-Za-z0-9_+-][A-Za-z0-9._+-]{0,30}){1,30}$",
        "/var/lib/quarterdeck",
        "An absolute folder on the host.",
    )
);
described!(
    RunAs,
    text(
        "^[a-z_][a-z0-9_-]{0,31}$",
        "deploy",
        "The user on the host that ops run as."
    )
);
described!(
    Reach,
    text(
        "^[^ ]{1,400}$",
        "root@web-03.example.org:22",
        "`local`, or `[USER@]ADDRESS[:PORT]`."
    )
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_how_to_reach_a_host() {
        for text in [
            "web-03",
            "root@web-03",
            "root@10.0.0.1:2222",
            "fe80::1",
            "root@[fe80::1%eth0]:22",
            "a.b.c:1",
        ] {
            assert_eq!(Reach::ssh(text).expect(text).to_string(), text);
        }
        for text in [
            "",
            "@web",
            "-oProxyCommand=x",
            "root@-x",
            "web:0",
            "web:70000",
            "we b",
            "web;rm",
            "[::1",
            "$(id)@x",
        ] {
            assert!(Reach::ssh(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_are_safe_words() {
        assert!("web-03.example.org".parse::<HostName>().is_ok());
        for text in ["", "-x", ".", "..", "a/b", "a b", "ä", "ALL", "all", &"x".repeat(254)] {
            assert!(text.parse::<HostName>().is_err(), "{text}");
        }
        assert!("/var/lib/qd/".parse::<SpoolDir>().is_ok());
        for text in ["/", "tmp", "/a/../b", "/a//b", "/a b", "/a'b", "~/x"] {
            assert!(text.parse::<SpoolDir>().is_err(), "{text}");
        }
    }
}
