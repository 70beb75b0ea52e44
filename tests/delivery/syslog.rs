//! Events to log servers: all of them, in order, whatever stops in between; and what they look like there.

use serde_json::{Value, json};

use super::sinks::{Heard, Sink};
use super::support::{Dashboard, wait_for};
use super::{OPS, configure, delivery, events, first_seen, id, ids, something, until_event};

fn forward(address: &str, more: &str) -> String {
    format!("{OPS}\n[[forward]]\nname = \"siem\"\nsyslog = \"{address}\"\n{more}\n")
}

/// Waits until a sink has the newest event, and gives the ids as they arrived first.
async fn until_all(dashboard: &Dashboard, sink: &Sink, from: i64) -> Vec<i64> {
    wait_for("the newest event at the log server", async || {
        let wanted: Vec<i64> = ids(dashboard).await.into_iter().filter(|id| *id >= from).collect();
        let seen = first_seen(sink.ids());
        (seen == wanted).then_some(seen)
    })
    .await
}

#[tokio::test]
async fn every_event_arrives_in_order_through_an_outage_and_a_kill() {
    let heard = Heard::default();
    let sink = Sink::tcp("127.0.0.1:0", &heard).await;
    let address = sink.address.clone();
    let mut dashboard = Dashboard::start(&forward(&format!("tcp://{address}"), "from = \"start\"")).await;
    let first = dashboard.accepted("quick", "localhost").await;
    dashboard.until_final(&first).await;
    until_all(&dashboard, &sink, 1).await;

    // The log server goes; things happen; the dashboard is killed, and started again.
    drop(sink);
    something(&dashboard).await;
    until_event(&dashboard, "forward:failing").await;
    dashboard.accepted("quick", "localhost").await;
    dashboard.kill().await;
    dashboard.start_again().await;
    something(&dashboard).await;
    let place = wait_for("the outage to be known again", async || {
        let place = delivery(&dashboard, "forward", "siem").await;
        (place["behind"].as_i64() > Some(3)).then_some(place)
    })
    .await;
    assert!(
        !place["failing_since"].is_null() && !place["failure"].is_null(),
        "{place}"
    );
    assert_eq!(place["target"], format!("tcp://{address}"));

    // It is named beside readiness, which stays green: ops run without it.
    let ready = reqwest::get(format!("{}/readyz", dashboard.url)).await.expect("readyz");
    assert_eq!(ready.status(), 200);
    let text = ready.text().await.expect("text");
    assert!(text.starts_with("ready\n") && text.contains("“siem”"), "{text}");

    let sink = Sink::tcp(&address, &heard).await;
    let back = until_event(&dashboard, "forward:back").await;
    assert!(back["details"]["caught_up"].as_i64() > Some(3), "{back}");
    let seen = until_all(&dashboard, &sink, 1).await;
    assert_eq!(seen.first(), Some(&1));
    assert_eq!(
        events(&dashboard, "forward:failing").await.len(),
        1,
        "one event for one outage"
    );
    wait_for("the cursor", async || {
        let place = delivery(&dashboard, "forward", "siem").await;
        (place["behind"] == 0 && place["failing_since"].is_null()).then_some(())
    })
    .await;

    // A clean stop is answered with a goodbye: nothing is sent again.
    something(&dashboard).await;
    until_all(&dashboard, &sink, 1).await;
    dashboard.stop().await;
    let before = sink.ids().len();
    dashboard.start_again().await;
    let seen = until_all(&dashboard, &sink, 1).await;
    let again: Vec<i64> = sink.ids().split_off(before);
    assert_eq!(again, seen[seen.len() - again.len()..], "only what is new");
}

#[tokio::test]
async fn what_a_log_server_gets_is_rfc_5424_whatever_it_holds() {
    let heard = Heard::default();
    let sink = Sink::tcp("127.0.0.1:0", &heard).await;
    let dashboard = Dashboard::start(&forward(&format!("tcp://{}", sink.address), "from = \"start\"")).await;
    let hostile = format!(
        "two\nlines \"quoted\" ] \\ \u{0} \u{1b}[31m ü <b> {}",
        "x".repeat(3_000)
    );
    let asked = json!({"op": "fails", "hosts": ["localhost"], "reason": hostile});
    let (status, answer) = dashboard.post("/commands", &asked).await;
    assert_eq!(status, 202, "{answer}");
    dashboard
        .until_final(&super::support::id_of(&answer["commands"][0]))
        .await;
    until_all(&dashboard, &sink, 1).await;

    let rows = dashboard.events().await;
    let mut with_reason = 0;
    for message in sink.heard() {
        let row = rows.iter().find(|row| id(row) == message.id()).expect("an event");
        let severity = match row["level"].as_str().expect("level") {
            "error" => 3,
            "warn" => 4,
            "success" => 5,
            _ => 6,
        };
        assert_eq!((message.facility, message.severity), (3, severity), "{message:?}");
        assert_eq!(
            (message.app_name.as_str(), message.sd_id.as_str()),
            ("quarterdeck", "quarterdeck@32473")
        );
        assert_eq!(
            row["action"]
                .as_str()
                .expect("action")
                .get(..32)
                .unwrap_or(row["action"].as_str().expect("action")),
            message.msgid
        );
        assert_eq!(message.procid, dashboard.pid().to_string());
        assert_eq!(
            message.msg,
            row["message"].as_str().expect("message").replace('\n', "\\n")
        );
        for (param, key) in [("actor", "actor"), ("category", "category"), ("link", "link")] {
            assert_eq!(message.params[param], row[key].as_str().expect(key), "{param}");
        }
        assert_eq!(
            message.params.get("command").map(String::as_str),
            row["command_id"].as_str()
        );
        if let Some(details) = message.params.get("details") {
            let read: Value = serde_json::from_str(details).expect("JSON");
            assert_eq!(read, row["details"]);
            with_reason += usize::from(
                read["reason"]
                    .as_str()
                    .is_some_and(|reason| reason.contains("\"quoted\" ]")),
            );
        }
    }
    assert!(
        with_reason > 0,
        "the hostile reason went there, and came back as it was"
    );
}

#[tokio::test]
async fn both_kinds_of_unix_sockets_are_served() {
    let (streamed, datagrams) = (Heard::default(), Heard::default());
    let dir = tempfile::tempdir().expect("folder");
    let stream = Sink::unix(&dir.path().join("stream"), &streamed);
    let datagram = Sink::datagram(&dir.path().join("log"), &datagrams);
    let config = format!(
        "{OPS}\n[[forward]]\nname = \"stream\"\nsyslog = \"unix://{}\"\nfrom = \"start\"\n\
         [[forward]]\nname = \"log\"\nsyslog = \"unix://{}\"\nfrom = \"start\"\n",
        stream.address, datagram.address
    );
    let dashboard = Dashboard::start(&config).await;
    dashboard.accepted("quick", "localhost").await;
    until_all(&dashboard, &stream, 1).await;
    until_all(&dashboard, &datagram, 1).await;
}

#[tokio::test]
async fn a_new_place_begins_with_what_comes_and_a_removed_one_goes_on_from_where_it_was() {
    let heard = Heard::default();
    let sink = Sink::tcp("127.0.0.1:0", &heard).await;
    let mut dashboard = Dashboard::start(OPS).await;
    dashboard.accepted("quick", "localhost").await;
    dashboard.stop().await;
    let with = forward(&format!("tcp://{}", sink.address), "");
    configure(&dashboard, &with);
    let before: i64 = dashboard.sql("SELECT max(id) FROM event_log").parse().expect("an id");
    dashboard.start_again().await;
    something(&dashboard).await;
    wait_for("something new", async || (!sink.ids().is_empty()).then_some(())).await;
    let first = sink.ids()[0];
    assert!(first > before, "{first} is from before the place was known");
    until_all(&dashboard, &sink, first).await;
    dashboard.stop().await;

    configure(&dashboard, OPS);
    dashboard.start_again().await;
    something(&dashboard).await;
    assert_eq!(delivery(&dashboard, "forward", "siem").await["active"], false);
    dashboard.stop().await;
    configure(&dashboard, &with);
    dashboard.start_again().await;
    until_all(&dashboard, &sink, first).await;
    assert_eq!(delivery(&dashboard, "forward", "siem").await["active"], true);
}

#[tokio::test]
async fn events_that_were_swept_before_they_were_sent_are_named() {
    let heard = Heard::default();
    let mut dashboard = Dashboard::start(&forward("tcp://127.0.0.1:9", "from = \"start\"")).await;
    dashboard.accepted("quick", "localhost").await;
    until_event(&dashboard, "forward:failing").await;
    for _ in 0..12 {
        something(&dashboard).await;
    }
    dashboard.kill().await;
    super::without_events(&dashboard, "id BETWEEN 1 AND 4 OR id = 8");
    let sink = Sink::tcp("127.0.0.1:0", &heard).await;
    configure(
        &dashboard,
        &forward(&format!("tcp://{}", sink.address), "from = \"start\""),
    );
    dashboard.start_again().await;
    let gap = until_event(&dashboard, "forward:gap").await;
    assert_eq!(gap["details"]["gaps"], json!([[1, 4], [8, 8]]), "{gap}");
    assert_eq!(
        (gap["category"].as_str(), gap["details"]["events"].as_i64()),
        (Some("error"), Some(5))
    );
    let seen = until_all(&dashboard, &sink, 5).await;
    assert_eq!(seen[..4], [5, 6, 7, 9]);
    // Once, over a restart too.
    dashboard.kill().await;
    dashboard.start_again().await;
    until_all(&dashboard, &sink, 5).await;
    assert_eq!(events(&dashboard, "forward:gap").await.len(), 1);
}

#[tokio::test]
async fn a_place_that_comes_and_goes_fills_no_log() {
    let heard = Heard::default();
    let sink = Sink::tcp("127.0.0.1:0", &heard).await;
    let address = sink.address.clone();
    let dashboard = Dashboard::start(&forward(&format!("tcp://{address}"), "from = \"start\"")).await;
    drop(sink);
    something(&dashboard).await;
    until_event(&dashboard, "forward:failing").await;
    let sink = Sink::tcp(&address, &heard).await;
    until_event(&dashboard, "forward:back").await;
    drop(sink);
    something(&dashboard).await;
    wait_for("the second outage", async || {
        let place = delivery(&dashboard, "forward", "siem").await;
        (!place["failing_since"].is_null()).then_some(())
    })
    .await;
    let sink = Sink::tcp(&address, &heard).await;
    until_all(&dashboard, &sink, 1).await;
    wait_for("its end", async || {
        let place = delivery(&dashboard, "forward", "siem").await;
        place["failing_since"].is_null().then_some(())
    })
    .await;
    assert_eq!(
        events(&dashboard, "forward:failing").await.len(),
        1,
        "the second one so soon is shown, not journaled"
    );
    assert_eq!(events(&dashboard, "forward:back").await.len(), 1);
}
