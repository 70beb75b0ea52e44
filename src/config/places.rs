//! Where the configuration file and the data folder are, when nobody says so: systemd's folders
//! first, then the XDG ones. Pure: the environment is an argument.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::{ConfigError, Flags};

/// The environment as it is looked at here.
pub type Environment = BTreeMap<String, String>;

/// The configuration files that may exist, best first. A named one must exist.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Files {
    Named(PathBuf),
    Default(Vec<PathBuf>),
}

pub(super) fn files(env: &Environment, flags: &Flags) -> Files {
    if let Some(path) = &flags.config {
        return Files::Named(path.clone());
    }
    if let Some(path) = given(env, "QUARTERDECK_CONFIG") {
        return Files::Named(path);
    }
    let systemd = first_of_list(env, "CONFIGURATION_DIRECTORY").map(|folder| folder.join("quarterdeck.toml"));
    let xdg = absolute(env, "XDG_CONFIG_HOME").or_else(|| absolute(env, "HOME").map(|home| home.join(".config")));
    let xdg = xdg.map(|folder| folder.join("quarterdeck").join("quarterdeck.toml"));
    Files::Default(systemd.into_iter().chain(xdg).collect())
}

pub(super) fn data_dir(env: &Environment) -> Result<PathBuf, ConfigError> {
    first_of_list(env, "STATE_DIRECTORY")
        .or_else(|| absolute(env, "XDG_STATE_HOME").map(|folder| folder.join("quarterdeck")))
        .or_else(|| absolute(env, "HOME").map(|home| home.join(".local/state/quarterdeck")))
        .ok_or_else(|| {
            ConfigError::new(
                "--data-dir",
                "there is no HOME to put the data folder under; name one with --data-dir",
            )
        })
}

pub(super) fn credentials(env: &Environment) -> Option<PathBuf> {
    absolute(env, "CREDENTIALS_DIRECTORY")
}

/// The most bytes that the path of a Unix socket may have: what its address holds, without the closing zero.
const SOCKET_LIMIT: usize = 107;

/// The socket for programs, in a data folder whose path is short enough for it.
pub(super) fn socket(data_dir: &Path) -> Result<PathBuf, ConfigError> {
    let socket = data_dir.join("quarterdeck.sock");
    let bytes = socket.as_os_str().as_bytes().len();
    if bytes <= SOCKET_LIMIT {
        return Ok(socket);
    }
    let room = SOCKET_LIMIT - "/quarterdeck.sock".len();
    Err(ConfigError::new(
        "data_dir",
        format!(
            "the folder {} is too deep: its Unix socket's path would have {bytes} bytes, and {SOCKET_LIMIT} is the \
             most that the system takes; choose a folder of {room} bytes or fewer with --data-dir",
            data_dir.display()
        ),
    ))
}

fn given(env: &Environment, name: &str) -> Option<PathBuf> {
    env.get(name).filter(|text| !text.is_empty()).map(PathBuf::from)
}

/// The XDG rules: a relative path there is ignored.
fn absolute(env: &Environment, name: &str) -> Option<PathBuf> {
    given(env, name).filter(|path| path.is_absolute())
}

/// systemd separates several folders by colons; ours is the first.
fn first_of_list(env: &Environment, name: &str) -> Option<PathBuf> {
    let list = env.get(name)?;
    list.split(':').map(PathBuf::from).find(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Environment {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn systemd_before_xdg_before_home() {
        let all = env(&[
            ("STATE_DIRECTORY", "/var/lib/qd:/var/lib/other"),
            ("CONFIGURATION_DIRECTORY", "/etc/qd"),
            ("XDG_STATE_HOME", "/x/state"),
            ("XDG_CONFIG_HOME", "relative is ignored"),
            ("HOME", "/home/alice"),
        ]);
        assert_eq!(data_dir(&all).expect("dir"), PathBuf::from("/var/lib/qd"));
        assert_eq!(
            files(&all, &Flags::default()),
            Files::Default(vec![
                "/etc/qd/quarterdeck.toml".into(),
                "/home/alice/.config/quarterdeck/quarterdeck.toml".into(),
            ])
        );
        let home = env(&[("HOME", "/home/alice")]);
        assert_eq!(
            data_dir(&home).expect("dir"),
            PathBuf::from("/home/alice/.local/state/quarterdeck")
        );
        assert!(data_dir(&env(&[])).is_err());
    }

    #[test]
    fn a_socket_needs_a_short_folder() {
        let fits = PathBuf::from(format!("/{}", "d".repeat(89)));
        assert_eq!(socket(&fits).expect("fits").as_os_str().len(), SOCKET_LIMIT);
        let deep = PathBuf::from(format!("/{}", "d".repeat(90)));
        let why = socket(&deep).expect_err("too deep").to_string();
        assert!(
            why.contains(&deep.display().to_string()) && why.contains("--data-dir") && why.contains("108 bytes"),
            "{why}"
        );
    }

    #[test]
    fn a_named_file_is_the_only_one() {
        let vars = env(&[("QUARTERDECK_CONFIG", "/a.toml"), ("HOME", "/h")]);
        assert_eq!(files(&vars, &Flags::default()), Files::Named("/a.toml".into()));
        let flags = Flags {
            config: Some("/b.toml".into()),
            ..Flags::default()
        };
        assert_eq!(files(&vars, &flags), Files::Named("/b.toml".into()));
    }
}
