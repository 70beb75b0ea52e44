//! With other programs than ours.

use std::process::Command;

use quarterdeck::domain::Checkpoint;

use crate::journal::{Copied, journal};
use crate::support::cli::quarterdeck;

/// The README's five lines see the same, and openssl agrees with the signature.
#[tokio::test]
async fn it_can_be_checked_without_this_program() {
    let qd = journal().await;
    let readme = include_str!("../../README.md");
    let script = readme
        .split("```python\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .expect("the five lines");
    assert_eq!(script.lines().count(), 5);
    let run = |copied: &Copied| {
        let output = Command::new("python3")
            .arg("-c")
            .arg(script)
            .arg(copied.database())
            .output()
            .expect("python3");
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    let copied = Copied::of(&qd);
    let link = copied.sql("SELECT lower(hex(link)) FROM event_log ORDER BY id DESC LIMIT 1");
    let said = run(&copied);
    assert!(said.starts_with("do not fit: []") && said.contains(&link), "{said}");
    copied.edit("UPDATE event_log SET message = 'nothing happened' WHERE id = 5");
    assert!(run(&copied).starts_with("do not fit: [5]"), "{}", run(&copied));

    let (_, line, _) = quarterdeck(&qd, "audit checkpoint").await;
    let (_, key, _) = quarterdeck(&qd, "audit key").await;
    let checkpoint = Checkpoint::read(&line).expect("a checkpoint");
    let dir = tempfile::tempdir().expect("folder");
    let signature: Vec<u8> = (0..128)
        .step_by(2)
        .map(|at| u8::from_str_radix(&checkpoint.signature[at..at + 2], 16).expect("hex"))
        .collect();
    let text = checkpoint.text();
    let files: [(&str, &[u8]); 3] = [
        ("text", text.as_bytes()),
        ("key.pem", key.as_bytes()),
        ("signature", &signature),
    ];
    for (name, bytes) in files {
        std::fs::write(dir.path().join(name), bytes).expect("written");
    }
    let agrees = || {
        let verified = Command::new("openssl")
            .current_dir(dir.path())
            .args([
                "pkeyutl",
                "-verify",
                "-pubin",
                "-inkey",
                "key.pem",
                "-rawin",
                "-in",
                "text",
                "-sigfile",
                "signature",
            ])
            .output()
            .expect("openssl");
        verified.status.success()
    };
    assert!(agrees(), "{text}");
    std::fs::write(dir.path().join("text"), text.replace("events", "Events")).expect("written");
    assert!(!agrees());
}
