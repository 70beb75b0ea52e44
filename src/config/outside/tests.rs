//! What `[[forward]]`, `[[witness]]` and `[[notify]]` take, and what they refuse.

use super::super::{Config, Flags};
use super::*;

fn read(text: &str) -> Result<Outside, ConfigError> {
    let env = Environment::from([
        ("HOME".to_owned(), "/h".to_owned()),
        ("HOOK".to_owned(), "Authorization: s3cret".to_owned()),
    ]);
    let config = Config::build(
        Some((Path::new("/etc/qd/quarterdeck.toml"), text)),
        &env,
        &Flags::default(),
    )?;
    assert!(!format!("{config:?}").contains("s3cret"), "{config:?}");
    Ok(config.outside)
}

#[test]
fn every_kind_of_place_is_understood() {
    let outside = read(
        r#"
        public_url = "https://fleet.example.org/"
        [[forward]]
        name = "siem"
        syslog = "tcp://[::1]:601"
        witness = true
        [[forward]]
        name = "here"
        syslog = "unix:///dev/log"
        [[forward]]
        name = "lines"
        file = "events.jsonl"
        from = "start"
        [[witness]]
        name = "far"
        url = "https://witness.example.org/s3cret"
        header_file = "far.headers"
        [[notify]]
        name = "chat"
        url = "https://hooks.example.org/s3cret"
        header_env = "HOOK"
        on = ["failed", "unhealthy"]
        [[notify]]
        name = "pager"
        command = ["bin/page", "--key", "s3cret"]
        pipeline_commands = true
        "#,
    )
    .expect("good");
    assert_eq!(outside.public_url.as_deref(), Some("https://fleet.example.org"));
    let targets: Vec<_> = outside.forwards.iter().map(|forward| forward.target.shown()).collect();
    assert_eq!(targets, ["tcp://[::1]:601", "unix:///dev/log", "/etc/qd/events.jsonl"]);
    assert!(outside.forwards[0].witness && outside.forwards[2].from_start && !outside.forwards[1].from_start);
    assert_eq!(
        outside.witnesses[0].headers,
        Headers::File("/etc/qd/far.headers".into())
    );
    assert_eq!(outside.notifies[0].on.len(), 2);
    assert_eq!(
        outside.notifies[1].on.len(),
        Notice::ALL.len(),
        "of everything, where nothing is said"
    );
    assert_eq!(outside.notifies[1].target.shown(), "/etc/qd/bin/page …");
}

#[test]
fn the_data_folder_is_for_nobody_else() {
    let text = "data_dir = \"/d\"\n[[forward]]\nname = \"a\"\nfile = \"/d/quarterdeck.db\"";
    let wrong = read(text).map(|_| ()).expect_err("in the data folder");
    assert!(
        wrong.problem.contains("/d/quarterdeck.db lies in the data folder"),
        "{wrong}"
    );
}

#[test]
fn what_cannot_be_taken_is_refused_at_its_line() {
    for (text, line, words) in [
        ("[forward]\nname = \"a\"", 1, "[[forward]]"),
        ("[[forward]]\nname = \"a\"", 1, "needs either syslog"),
        (
            "[[forward]]\nname = \"a\"\nsyslog = \"udp://a:1\"",
            3,
            "tcp://HOST:PORT",
        ),
        ("[[forward]]\nname = \"a\"\nsyslog = \"tcp://a\"", 3, "tcp://HOST:PORT"),
        ("[[forward]]\nname = \"a\"\nfile = \"~/x\"", 3, "not expanded"),
        (
            "[[notify]]\nname = \"a\"\nurl = \"https://h\"\ntries = 0",
            4,
            "from 1 to 1000",
        ),
        (
            "[[forward]]\nname = \"a\"\nfile = \"/x\"\nfrom = \"head\"",
            4,
            "\"start\"",
        ),
        ("[[forward]]\nname = \"a\"\nfiel = \"/x\"", 3, "did you mean “file”"),
        ("[[forward]]\nname = \"a b\"\nfile = \"/x\"", 2, "letters, digits"),
        ("[[forward]]\nfile = \"/x\"", 1, "name"),
        (
            "[[notify]]\nname = \"a\"\nurl = \"https://u:p@h/\"",
            3,
            "user or password",
        ),
        ("[[notify]]\nname = \"a\"\nurl = \"http://h/\"", 3, "use https"),
        (
            "[[notify]]\nname = \"a\"\nurl = \"http://127.0.0.1:1/\"\non = [\"faild\"]",
            4,
            "did you mean “failed”",
        ),
        (
            "[[notify]]\nname = \"a\"\nurl = \"http://127.0.0.1:1/\"\non = []",
            4,
            "on is empty",
        ),
        ("[[notify]]\nname = \"a\"\ncommand = []", 3, "command is empty"),
        (
            "[[notify]]\nname = \"a\"\ncommand = [\"x\"]\nurl = \"https://h\"",
            3,
            "exclude",
        ),
        (
            "[[notify]]\nname = \"a\"\nurl = \"https://h\"\nheader_env = \"NOPE\"",
            4,
            "no variable of that name",
        ),
        (
            "[[notify]]\nname = \"a\"\nurl = \"https://h\"\ntries = 0",
            4,
            "from 1 to 1000",
        ),
        (
            "[[forward]]\nname = \"a\"\nfile = \"/x\"\n[[notify]]\nname = \"a\"\nurl = \"https://h\"",
            5,
            "is taken at",
        ),
        ("public_url = \"fleet\"", 1, "such as https://"),
        ("public_url = \"https://:s3cret@h\"", 1, "without user, password"),
        (
            "[[notify]]\nname = \"a\"\ncommand = \"/bin/x --token s3cret\"",
            3,
            "command: must be a list",
        ),
        (
            "[[notify]]\nname = \"a\"\nurl = [\"https://h/s3cret\"]",
            3,
            "url: must be a string",
        ),
        ("[[notify]]\nname = \"a\"\nurl = \"s3cret\"", 3, "no address"),
        (
            "[[notify]]\nname = \"a\"\nurl = \"https://h\"\nheader_env = \"s3cret\"",
            4,
            "no variable",
        ),
    ] {
        let wrong = read(text).map(|_| ()).expect_err(text);
        assert!(
            !wrong.to_string().contains("s3cret"),
            "no value that may be a secret: {wrong}"
        );
        assert_eq!(
            wrong.place,
            format!("/etc/qd/quarterdeck.toml:{line}"),
            "{text}: {wrong}"
        );
        assert!(wrong.problem.contains(words), "{text}: {wrong}");
    }
}
