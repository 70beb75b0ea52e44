//! Checkpoints that outside places kept, as those places have them: among other things.

use std::fs;

use crate::journal::{Copied, journal};
use crate::support::Dashboard;
use crate::support::cli::quarterdeck;

#[tokio::test]
async fn checkpoints_are_found_in_a_syslog_among_operators_notes_and_other_dashboards() {
    let mut qd = journal().await;
    let (_, ours, _) = quarterdeck(&qd, "audit checkpoint").await;
    let ours = ours.trim();
    let mut other = Dashboard::start("[probe]\ninterval = \"0s\"\n").await;
    other.stop().await;
    let (_, theirs, _) = quarterdeck(&other, "audit checkpoint").await;
    qd.start_again().await;
    let id = qd.accepted("uptime", "localhost").await;
    qd.until_final(&id).await;
    qd.stop().await;
    let file = qd.path("syslog");
    let given = file.to_string_lossy().into_owned();
    let prefix = "2026-11-23T15:00:00.000000+00:00 deck quarterdeck[712]:";
    let notes = format!(
        "{prefix} alice refused uptime on web-03\n\
         2026-11-23T15:01:00+00:00 deck alice: restored the relay; {{\"dashboard\": \"see the wiki\"}} and go on\n\
         2026-11-23T15:01:01+00:00 deck alice: {{\"dashboard\":\"quoted by hand\"}}\n\
         {prefix} {}\n\
         {prefix} {}\n\n",
        &ours[..ours.len() / 2],
        theirs.trim()
    );
    let look = |copied: &Copied, text: &str| {
        fs::write(&file, text).expect("written");
        copied.verify(&["--from-checkpoint", &given])
    };
    let clean = Copied::of(&qd);
    let (code, text) = look(&clean, &format!("{notes}{prefix} {ours}\n"));
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("4 lines look like checkpoints, but are none of this dashboard"),
        "{text}"
    );
    assert!(
        !text.contains("No checkpoint from an outside place was given"),
        "{text}"
    );
    // It counts: what it covers is missing.
    let cut = Copied::of(&qd);
    cut.edit("DELETE FROM checkpoints WHERE id > 1; DELETE FROM event_log WHERE id > 6");
    let (code, text) = look(&cut, &format!("{notes}{prefix} {ours}\n"));
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("from outside: the database does not have it"), "{text}");
    // Notes alone are no witness, and neither is a checkpoint that somebody has edited.
    let forged = ours.replacen("\"event_id\":", "\"event_id\":1", 1);
    assert_ne!(forged, ours);
    for text in [notes.clone(), format!("{prefix} {forged}\n")] {
        let (code, said) = look(&clean, &text);
        assert_eq!(code, 2, "{text}: {said}");
        assert!(
            said.contains("there is no checkpoint of this dashboard in it"),
            "{said}"
        );
    }
}
