//! The configuration by table: texts in, a strict value or a message that names the place out.

use super::*;

fn env(pairs: &[(&str, &str)]) -> Environment {
    let home = [("HOME", "/home/alice"), ("PATH", "/bin")];
    home.iter()
        .chain(pairs)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn from_file(text: &str) -> Result<Config, ConfigError> {
    Config::build(
        Some((Path::new("/etc/qd/quarterdeck.toml"), text)),
        &env(&[]),
        &Flags::default(),
    )
}

#[test]
fn nothing_at_all_gives_the_documented_defaults() {
    let config = Config::build(None, &env(&[]), &Flags::default()).expect("defaults");
    assert_eq!(config.data_dir, Path::new("/home/alice/.local/state/quarterdeck"));
    assert_eq!(config.listen.to_string(), "127.0.0.1:7440");
    assert_eq!(config.retention.events.span(), Some(Span::from_days(7)));
    assert_eq!(config.retention.commands.span(), Some(Span::from_days(30)));
    assert_eq!(config.jobs.output_limit, 64 * 1024 * 1024);
    assert_eq!(config.probe_interval, Some(Span::from_secs(60)));
    assert!(config.catalog.get("uptime").is_some());
}

#[test]
fn a_whole_file_is_understood() {
    let config = from_file(
        r#"
        data_dir = "data"
        listen = "[::1]:8000"
        names = ["Fleet.example.org"]
        zone = "Europe/Vienna"
        low_space = "1GiB"

        [retention]
        events_days = "forever"
        commands_days = 3650

        [jobs]
        resume_within = "5m"
        kill_grace = "90s"
        output_limit = 1048576
        follow_limit = 10
        precheck_limit = "1m 30s"

        [ssh]
        program = "bin/ssh"
        config_file = "/etc/qd/ssh_config"
        connect_timeout = "3s"
        dials = 2
        channels = 1

        [probe]
        interval = "0s"

        [[op]]
        id = "uptime"
        script = "uptime --pretty"

        [[op]]
        id = "hello"
        script = "echo hello"
        "#,
    )
    .expect("good");
    assert_eq!(config.data_dir, Path::new("/etc/qd/data"), "relative to the file");
    assert_eq!(config.listen.to_string(), "[::1]:8000");
    assert_eq!(config.names, ["fleet.example.org"]);
    assert_eq!(config.zone.iana_name(), Some("Europe/Vienna"));
    assert_eq!(config.low_space, 1 << 30);
    assert_eq!(config.retention.events, Keep::Forever);
    assert_eq!(config.retention.commands, Keep::Days(3650));
    assert_eq!(config.jobs.precheck_limit, Span::from_secs(90));
    assert_eq!(config.ssh.program, Path::new("/etc/qd/bin/ssh"));
    assert_eq!(config.ssh.config_file.as_deref(), Some(Path::new("/etc/qd/ssh_config")));
    assert_eq!(config.probe_interval, None);
    assert_eq!(
        config.catalog.get("uptime").expect("replaced").script,
        "uptime --pretty"
    );
    assert!(config.catalog.get("hello").is_some());
    assert!(
        !format!("{config:?}").contains("echo hello"),
        "scripts stay out of Debug"
    );
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let file = "listen = \"127.0.0.1:1\"\ndata_dir = \"/file\"\n[retention]\nevents_days = 1\ncommands_days = 1";
    let vars = env(&[
        ("QUARTERDECK_LISTEN", "127.0.0.1:2"),
        ("QUARTERDECK_DATA_DIR", "/env"),
        ("QUARTERDECK_RETENTION_EVENTS_DAYS", "2"),
        ("QUARTERDECK_NAMES", "a.example, b.example"),
        ("QUARTERDECK_CONFIG", "/etc/qd.toml"),
        ("QUARTERDECK_LOG_FILTER", "debug"),
    ]);
    let flags = Flags {
        listen: Some("localhost:3".to_owned()),
        ..Flags::default()
    };
    let config = Config::build(Some((Path::new("/etc/qd.toml"), file)), &vars, &flags).expect("good");
    assert_eq!(config.listen.to_string(), "127.0.0.1:3");
    assert_eq!(config.data_dir, Path::new("/env"));
    assert_eq!(config.retention.events, Keep::Days(2));
    assert_eq!(config.retention.commands, Keep::Days(1));
    assert_eq!(config.names, ["a.example", "b.example"]);
}

#[test]
fn what_cannot_be_taken_is_refused_with_key_file_and_line() {
    for (text, line, words) in [
        (
            "[retention]\nevents_days = 0",
            2,
            "retention.events_days: must be a number of days from 1 to 3650",
        ),
        ("[retention]\nevents_days = -3", 2, "not -3"),
        ("[retention]\nevents_days = \"abc\"", 2, "“abc”"),
        ("[retention]\ncommands_days = 3651", 2, "3650"),
        ("[retention]\ncommands_days = 99999999999999999999999", 2, "3650"),
        ("[retention]\ncommands_days = 7.5", 2, "a float"),
        ("[retention]\nevent_days = 7", 2, "“retention.events_days”"),
        ("[retentoin]\nevents_days = 7", 2, "“retention.events_days”"),
        ("\n\nlitsen = \"127.0.0.1:1\"", 3, "“listen”"),
        ("events_days = 7", 1, "“retention.events_days”"),
        ("password = \"x\"", 1, "no known key"),
        ("listen = \"0.0.0.0:7440\"", 1, "certificate"),
        ("listen = \"192.168.1.1:7440\"", 1, "ssh -L"),
        ("listen = \"7440\"", 1, "address and port"),
        ("proxies = [\"10.0.0.0/8\", \"proxy\"]", 1, "no network"),
        ("[access]\nrequire_totp = [\"root\"]", 2, "is none of"),
        ("[access]\nidle = \"5s\"", 2, "must lie between"),
        ("listen = 7440", 1, "text in quotes"),
        ("zone = \"Mars/Olympus\"", 1, "Europe/Vienna"),
        ("names = [\"https://x\"]", 1, "without scheme"),
        ("names = \"x\"", 1, "list of texts"),
        ("[jobs]\nkill_grace = 10", 2, "\"10s\""),
        ("[jobs]\nkill_grace = \"0s\"", 2, "between 1s"),
        ("[jobs]\noutput_limit = \"64M\"", 2, "64MiB"),
        ("[jobs]\nfollow_limit = 0", 2, "from 1 to"),
        ("[ssh]\ndials = true", 2, "not true"),
        ("[ssh.more]\ndials = 1", 1, "no known key"),
        ("data_dir = \"~/x\"", 1, "not expanded"),
        ("ssh = 1", 1, "no known key"),
    ] {
        let wrong = from_file(text).map(|_| ()).expect_err(text);
        assert_eq!(
            wrong.place,
            format!("/etc/qd/quarterdeck.toml:{line}"),
            "{text}: {wrong}"
        );
        assert!(wrong.problem.contains(words), "{text}: {wrong}");
    }
}

#[test]
fn a_wrong_variable_is_named() {
    for (name, value, words) in [
        ("QUARTERDECK_LITSEN", "127.0.0.1:1", "QUARTERDECK_LISTEN"),
        (
            "QUARTERDECK_RETENTION_EVENT_DAYS",
            "1",
            "QUARTERDECK_RETENTION_EVENTS_DAYS",
        ),
        (
            "QUARTERDECK_RETENTION_EVENTS_DAYS",
            "0",
            "QUARTERDECK_RETENTION_EVENTS_DAYS: retention.events_days: must",
        ),
        ("QUARTERDECK_LISTEN", "", "is empty"),
    ] {
        let wrong = Config::build(None, &env(&[(name, value)]), &Flags::default()).map(|_| ());
        let wrong = wrong.expect_err(name).to_string();
        assert!(wrong.contains(words), "{name}: {wrong}");
    }
}

#[test]
fn a_named_file_must_exist() {
    let flags = Flags {
        config: Some(PathBuf::from("/nowhere/at/all.toml")),
        ..Flags::default()
    };
    let wrong = Config::load(&flags).map(|_| ()).expect_err("missing");
    assert!(wrong.to_string().contains("/nowhere/at/all.toml"), "{wrong}");
}

#[test]
fn others_are_let_near_only_with_a_certificate_or_a_plain_word() {
    let with = |text: &str, insecure_http: bool| {
        let flags = Flags {
            insecure_http,
            ..Flags::default()
        };
        let text = format!("data_dir = \"/d\"\n{text}");
        Config::build(
            Some((Path::new("/etc/qd/quarterdeck.toml"), &text)),
            &Environment::new(),
            &flags,
        )
    };
    let open = "listen = \"0.0.0.0:7440\"\n";
    assert!(with(open, false).is_err());
    assert!(with(open, true).is_ok());
    let tls = "[tls]\ncertificate = \"fleet.pem\"\nkey = \"/k/fleet.key\"";
    let config = with(&format!("{open}{tls}"), false).expect("a certificate");
    let files = config.tls.expect("files");
    assert_eq!(files.certificate, Path::new("/etc/qd/fleet.pem"));
    assert_eq!(files.key, Path::new("/k/fleet.key"));
    let half = with("[tls]\nkey = \"/k\"", false).map(|_| ()).expect_err("half");
    assert!(half.problem.contains("tls.certificate"), "{half}");
}

/// The README's table has every key and none that does not exist; what a table of the file may hold is named beside it.
#[test]
fn the_readme_knows_every_key() {
    let readme = include_str!("../../README.md");
    let section = readme.split("\n## Configuration\n").nth(1).expect("the section");
    let section = section.split("\n## ").next().expect("its text");
    let cells = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let mut listed: Vec<&str> = cells
        .flat_map(|cell| cell.split(", ").map(|key| key.trim_matches(['`', ' ', '|'])))
        .collect();
    let mut keys: Vec<&str> = KEYS.iter().map(|key| key.0).collect();
    listed.sort_unstable();
    keys.sort_unstable();
    assert_eq!(listed, keys);
    for key in document::table_keys().chain(outside::table_keys()) {
        let named = readme.contains(&format!("`{key}")) || readme.contains(&format!("\n{key} = "));
        assert!(named, "{key}");
    }
}
