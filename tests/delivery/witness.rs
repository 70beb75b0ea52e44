//! Checkpoints outside: what a witness has can be checked by itself, and the journal knows who has which.

use quarterdeck::domain::Checkpoint;
use serde_json::Value;

use super::hooks::Hook;
use super::sinks::{Heard, Sink};
use super::support::cli::quarterdeck;
use super::support::{Dashboard, lines_of, wait_for};
use super::{OPS, delivery, events, until_event};

/// Ids of the checkpoints that a place has, by the journal.
fn witnessed(dashboard: &Dashboard, name: &str) -> String {
    dashboard.sql(&format!(
        "SELECT coalesce(group_concat(checkpoint_id), '') FROM (SELECT checkpoint_id FROM witnesses WHERE name = '{name}' ORDER BY id)"
    ))
}

#[tokio::test]
async fn checkpoints_go_to_every_kind_of_witness_and_are_known_to_be_there() {
    let (hook, heard) = (Hook::start().await, Heard::default());
    let sink = Sink::tcp("127.0.0.1:0", &heard).await;
    hook.answers(["500 No", "500 No"]);
    let config = format!(
        "{OPS}\n[[forward]]\nname = \"lines\"\nfile = \"checkpoints.jsonl\"\nwitness = true\n\
         [[forward]]\nname = \"siem\"\nsyslog = \"tcp://{}\"\nwitness = true\n\
         [[witness]]\nname = \"far\"\nurl = \"http://{}/keep\"\n",
        sink.address, hook.address
    );
    let mut dashboard = Dashboard::start(&config).await;
    until_event(&dashboard, "witness:failing").await;
    until_event(&dashboard, "witness:back").await;
    dashboard.stop().await;
    dashboard.start_again().await;
    let newest = || dashboard.sql("SELECT max(id) FROM checkpoints");
    for name in ["lines", "siem", "far"] {
        wait_for(name, async || {
            witnessed(&dashboard, name).ends_with(&newest()).then_some(())
        })
        .await;
        wait_for("its cursor", async || {
            (delivery(&dashboard, "witness", name).await["behind"] == 0).then_some(())
        })
        .await;
    }
    let ids: Vec<i64> = witnessed(&dashboard, "far")
        .split(',')
        .map(|id| id.parse().expect("id"))
        .collect();
    assert!(
        ids.len() >= 3 && ids.windows(2).all(|pair| pair[0] + 1 == pair[1]),
        "{ids:?}"
    );

    // Each of them is a statement that anybody can check with it alone.
    let in_file: Vec<String> = lines_of(&dashboard.path("checkpoints.jsonl"));
    let in_file = in_file.iter().filter(|line| line.contains("\"signature\""));
    let in_syslog = sink
        .heard()
        .into_iter()
        .filter(|message| message.msgid.starts_with("checkpoint:"));
    let posted = hook.posts().into_iter().map(|post| {
        assert_eq!(post.path, "/keep");
        post.body.to_string()
    });
    let mut count = 0;
    for line in in_file
        .cloned()
        .chain(in_syslog.map(|message| message.msg))
        .chain(posted)
    {
        let checkpoint = Checkpoint::read(&line).expect("a signed checkpoint");
        assert_eq!(checkpoint.dashboard, dashboard.sql("SELECT dashboard_id FROM instance"));
        count += 1;
    }
    assert!(count >= 9, "{count}");
    assert_eq!(events(&dashboard, "witness:failing").await.len(), 1);
    // And the program checks the journal against what the file has, mixed with events as it is.
    let file = dashboard.path("checkpoints.jsonl");
    let (code, out, err) = quarterdeck(
        &dashboard,
        &format!("audit verify --from-checkpoint {}", file.display()),
    )
    .await;
    assert_eq!(code, 0, "{out}{err}");
    let last: Value = dashboard
        .sql("SELECT json_object('name', name, 'event', event_id) FROM witnesses ORDER BY event_id DESC, id DESC LIMIT 1")
        .parse()
        .expect("JSON");
    assert_eq!(
        last["event"].to_string(),
        dashboard.sql("SELECT max(event_id) FROM checkpoints")
    );
}
