//! The system log: found by words and filters, paged without gap or repeat, told in lines, live.

mod support;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use support::cli::{json as lines, quarterdeck};
use support::page::Browser;
use support::{Dashboard, wait_for};

const OPS: &str = "[probe]\ninterval = \"0s\"\n\
    [[op]]\nid = \"fails\"\nlabel = \"Fail\"\nscript = \"exit 4\"\nretryable = true\n\
    [[op]]\nid = \"waits\"\nlabel = \"Wait\"\nscript = 'while [ ! -e \"$HOME/go\" ]; do sleep 0.05; done'\n";

/// The messages that a filter of the API finds, newest first.
async fn found(qd: &Dashboard, query: &[(&str, &str)]) -> Vec<Value> {
    let url = "http://localhost/api/v1/events";
    let answer = qd.client.get(url).query(query).send().await.expect("an answer");
    let status = answer.status();
    let answer: Value = answer.json().await.expect("JSON");
    assert_eq!(status, 200, "{query:?}: {answer}");
    answer["events"].as_array().expect("events").clone()
}

#[tokio::test]
async fn s45_words_in_messages_and_details_are_found() {
    let qd = Dashboard::start(OPS).await;
    let first = qd.accepted("fails", "localhost").await;
    qd.until_final(&first).await;
    let body =
        json!({"op": "uptime", "hosts": ["localhost"], "reason": "Größe der Warteschlange: =1+1 \"quoted\" 100%"});
    let (status, answer) = qd.post("/commands", &body).await;
    assert_eq!(status, 202, "{answer}");
    let second = answer["commands"][0]["id"].as_str().expect("id").to_owned();
    qd.until_final(&second).await;

    let failed = found(&qd, &[("q", "fails localhost failed")]).await;
    assert!(!failed.is_empty());
    assert!(failed.iter().all(|event| event["command_id"] == first), "{failed:?}");
    // Every word must be there; a phrase, in its order; a star is the rest of a word; case and accents do not count.
    assert!(
        found(&qd, &[("q", "fails uptime localhost succeeded")])
            .await
            .is_empty()
    );
    assert!(!found(&qd, &[("q", "\"fails on localhost\"")]).await.is_empty());
    assert!(found(&qd, &[("q", "\"localhost on fails\"")]).await.is_empty());
    assert!(found(&qd, &[("q", "localh")]).await.is_empty());
    assert_eq!(
        found(&qd, &[("q", "LOCALH*")]).await.len(),
        found(&qd, &[("q", "localhost")]).await.len()
    );
    // Details, nested ones too, and by their keys.
    let of_details = found(&qd, &[("q", "grosse warteschlange")]).await;
    assert!(of_details.is_empty(), "ß is no ss");
    let of_details = found(&qd, &[("q", "größe \"der warteschlange\"")]).await;
    assert!(!of_details.is_empty(), "{:?}", qd.events_of(&second).await);
    assert!(of_details.iter().all(|event| event["command_id"] == second));
    // Beside every other filter.
    let both = found(&qd, &[("q", "localhost"), ("level", "error"), ("action", "op:fails")]).await;
    assert!(
        !both.is_empty()
            && both
                .iter()
                .all(|event| event["level"] == "error" && event["action"] == "op:fails")
    );
    assert!(
        found(&qd, &[("q", "localhost"), ("until", "2020-01-01")])
            .await
            .is_empty()
    );

    // Whatever is typed is words: never syntax, never a 500.
    let browser = Browser::signed_in(&qd).await;
    for text in [
        "\"",
        "(",
        "a AND",
        "NOT",
        "NEAR(a b)",
        "text:a",
        "{text}:a",
        "^a",
        "a*b",
        "\"a",
        "'; DROP TABLE event_log; --",
        "%",
        "a\u{0}b",
        "*",
        "-",
        "\u{202e}x",
        "a + b",
        "😀",
        "² ½ ؀",
    ] {
        let url = "http://localhost/api/v1/events";
        let answer = qd
            .client
            .get(url)
            .query(&[("q", text)])
            .send()
            .await
            .expect("an answer");
        let status = answer.status().as_u16();
        assert!(status == 200 || status == 422, "{text:?}: {status}");
        let typed = reqwest::Url::parse_with_params("http://h/log", [("q", text)]).expect("url");
        let (status, page) = browser
            .get(&format!("/log?{}", typed.query().unwrap_or_default()))
            .await;
        assert!(status == 200 || status == 400, "{text:?}: {status} {page}");
    }

    // The command line, from a dashboard and from a journal at rest.
    let live = lines(&qd, "log --search \"fails\"").await;
    assert!(
        !live.is_empty() && live.iter().all(|event| event.to_string().contains("fails")),
        "{live:?}"
    );
    let (code, csv, err) = quarterdeck(&qd, "audit export --search fails").await;
    assert_eq!(code, 0, "{err}");
    assert_eq!(
        csv.lines()
            .filter(|line| line.ends_with('\r') || !line.is_empty())
            .count(),
        live.len() + 1,
        "{csv}"
    );
}

#[tokio::test]
async fn a_star_stands_for_the_rest_of_a_word_however_many_words_begin_so() {
    let qd = Dashboard::start(OPS).await;
    let mut ids = Vec::new();
    for reason in [
        "moved kilo1 beside kilo2",
        "moved kilogram elsewhere",
        &(0..90).map(|n| format!("zq{n}x")).collect::<Vec<_>>().join(" "),
    ] {
        let body = json!({"op": "uptime", "hosts": ["localhost"], "reason": reason});
        let (status, answer) = qd.post("/commands", &body).await;
        assert_eq!(status, 202, "{answer}");
        let id = answer["commands"][0]["id"].as_str().expect("id").to_owned();
        qd.until_final(&id).await;
        ids.push(id);
    }
    for (text, commands) in [
        ("kilo*", vec![0, 1]),
        ("KILO*", vec![0, 1]),
        ("kilog*", vec![1]),
        ("\"moved kilo\"*", vec![]),
        ("moved kilo* beside", vec![0]),
        ("kilogram*", vec![1]),
        ("kilograms*", vec![]),
        // More words than are spelled out, and the same among other filters.
        ("zq0x zq1*", vec![2]),
        ("zq1*", vec![2]),
        ("zq1x zq8*", vec![2]),
    ] {
        let found: BTreeSet<String> = found(&qd, &[("q", text)])
            .await
            .iter()
            .filter_map(|event| event["command_id"].as_str().map(str::to_owned))
            .collect();
        let expected: BTreeSet<String> = commands.iter().map(|n: &usize| ids[*n].clone()).collect();
        assert_eq!(found, expected, "{text}");
    }
}

#[tokio::test]
async fn a_beginning_that_most_events_have_pages_both_ways_and_beside_filters() {
    let qd = Dashboard::start(OPS).await;
    let waits = qd.accepted("waits", "localhost").await;
    qd.until_status(&waits, "EXECUTING").await;
    for n in 0..260 {
        let reason = match n {
            // Half way down FTS5 has to help: what these letters are in its index, nobody else knows.
            130 => "о ноде".to_owned(),
            131 => "n\u{308}ode and n\u{f6}de, no-de".to_owned(),
            n if n % 9 == 0 => "nowhere".to_owned(),
            n if n % 5 == 0 => format!("Größe of NODE{n}"),
            n => format!("moved node{n:03}"),
        };
        let body = json!({"op": "uptime", "hosts": ["localhost"], "reason": reason});
        let (status, answer) = qd.post("/commands", &body).await;
        assert_eq!(status, 409, "{answer}");
    }
    let browser = Browser::signed_in(&qd).await;
    let events = qd.events().await;
    wait_for("the index to have them", async || {
        let last = events.last().expect("events")["id"].as_i64();
        (qd.sql("SELECT event_id FROM event_index").parse().ok() >= last).then_some(())
    })
    .await;
    let has = |event: &Value, of: &[&str]| {
        let text = event.to_string().to_lowercase();
        of.iter().any(|word| text.contains(word))
    };
    // A stroke above the n or not: for a search both are node.
    let every = ["node", "n\u{308}ode"];
    for (filter, of) in [
        ("q=node*", &every[..]),
        ("q=node*&level=warn&action=refused", &every),
        ("q=node*&host=localhost&actor=local:nobody", &[]),
        ("q=%22moved%20node*%22", &["moved node"]),
        ("q=node*%20moved", &["moved node"]),
        ("q=nod*%20gr%C3%B6%C3%9Fe", &["größe of node"]),
    ] {
        let expected: Vec<i64> = events
            .iter()
            .rev()
            .filter(|event| has(event, of))
            .filter_map(|event| event["id"].as_i64())
            .collect();
        let down = page_through(&browser, &format!("/log?{filter}"), "next").await;
        assert_eq!(down, expected, "{filter}");
        let up = page_through(&browser, &format!("/log?{filter}&after=0"), "prev").await;
        assert_eq!(up, expected, "{filter}, upwards");
    }
    std::fs::write(qd.path("home/go"), "").expect("go");
}

#[tokio::test]
async fn a_wrong_filter_of_the_log_gives_its_form_back() {
    let qd = Dashboard::start(OPS).await;
    let browser = Browser::signed_in(&qd).await;
    let field = |page: &str, name: &str| -> String {
        let mark = format!("name=\"{name}\"");
        let label = page.split("<label").find(|label| label.contains(&mark)).expect(name);
        label.split("</label>").next().expect("its end").to_owned()
    };
    for (name, bad, says) in [
        ("since", "soon", "2026"),
        ("until", "2026-13-01", "2026"),
        ("category", "noise", "audit"),
        ("level", "loud", "warn"),
        ("host", "nobody", "no host of that name"),
        ("host", "-x", "host"),
        ("command", "17", "id"),
        ("pipeline", "17", "id"),
        ("q", "-+", "has no word"),
        ("q", "ab*", "3 letters"),
    ] {
        let good = if name == "actor" {
            ""
        } else {
            "&actor=alice&action=op:fails"
        };
        let (status, page) = browser
            .get(&format!("/log?{name}={}{good}", bad.replace('+', "%2B")))
            .await;
        assert_eq!(status, 400, "{name}={bad}");
        assert!(page.contains("<nav aria-label=\"Main\">"), "{name}: {page}");
        assert!(page.contains("<details class=\"search\" open>"), "{name}: {page}");
        let label = field(&page, name);
        assert!(label.contains("role=\"alert\"") && label.contains(says), "{label}");
        assert!(label.contains(&format!("value=\"{bad}\"")), "as it was typed: {label}");
        // What was right stays, and is not blamed.
        assert!(field(&page, "actor").contains("value=\"alice\""), "{page}");
        assert!(field(&page, "action").contains("value=\"op:fails\""), "{page}");
        assert_eq!(page.matches("role=\"alert\"").count(), 1, "{page}");
        assert!(!page.contains("data-live=") && !page.contains("<tr id=\"e-"), "{page}");
    }
    // A place in the list is in no field.
    let (status, page) = browser.get("/log?before=x&actor=alice").await;
    assert_eq!(status, 400);
    assert!(page.contains("id=\"problem\"") && page.contains("before"), "{page}");
    assert!(field(&page, "actor").contains("value=\"alice\""), "{page}");
}

#[tokio::test]
async fn a_long_sentence_is_shortened_in_the_list_and_whole_on_its_page() {
    let op = "[[op]]\nid = \"talks\"\nscript = \"true\"\n\
              pre_check = \"i=0; while [ $i -lt 90 ]; do printf 'and so on '; i=$((i+1)); done; echo the end; exit 1\"\n";
    let qd = Dashboard::start(&format!("{OPS}{op}")).await;
    let id = qd.accepted("talks", "localhost").await;
    qd.until_final(&id).await;
    let of_it = qd.events_of(&id).await;
    let long = |event: &&Value| event["message"].as_str().is_some_and(|text| text.len() > 900);
    let event = of_it
        .iter()
        .find(long)
        .unwrap_or_else(|| panic!("a long sentence: {of_it:?}"));
    let number = event["id"].as_i64().expect("id");
    let browser = Browser::signed_in(&qd).await;
    let (_, page) = browser.get(&format!("/log?command={id}&before=999999")).await;
    let line = page.split(&format!("<tr id=\"e-{number}\"")).nth(1).expect("its line");
    let sentence = line.split("<details").next().expect("its sentence");
    assert!(!sentence.contains("the end") && sentence.contains("…"), "{sentence}");
    assert!(
        sentence.contains(&format!("href=\"/log/{number}\">All of it")),
        "{sentence}"
    );
    let (_, page_of_it) = browser.get(&format!("/log/{number}")).await;
    let whole = page_of_it
        .split("<h1")
        .nth(1)
        .and_then(|rest| rest.split("</h1>").next());
    assert!(whole.is_some_and(|text| text.contains("the end")), "{page_of_it}");
    // From a part of the log there is a way to its newest events, with the same filters.
    assert!(
        page.contains(&format!("href=\"/log?command={id}\">To the newest events")),
        "{page}"
    );
    let (_, newest) = browser.get(&format!("/log?command={id}")).await;
    assert!(!newest.contains("To the newest events"), "{newest}");
}

#[tokio::test]
async fn a_bare_name_finds_whoever_has_it() {
    let qd = Dashboard::start(OPS).await;
    let (status, made) = qd.post("/tokens", &json!({"name": "ci", "role": "operator"})).await;
    assert_eq!(status, 201, "{made}");
    let client = reqwest::Client::new();
    let answer = client
        .post(format!("{}/api/v1/commands", qd.url))
        .bearer_auth(made["token"].as_str().expect("its secret"))
        .json(&json!({"op": "uptime", "hosts": ["localhost"]}))
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status().as_u16(), 202);
    let browser = Browser::signed_in(&qd).await;
    for (who, there) in [("ci", true), ("token:ci", true), ("user:ci", false), ("nobody", false)] {
        let (status, page) = browser.get(&format!("/log?actor={who}&action=op:uptime")).await;
        assert_eq!(status, 200, "{who}");
        assert_eq!(page.contains("<td data-th=\"Who\">ci</td>"), there, "{who}: {page}");
    }
}

#[tokio::test]
async fn the_index_catches_up_by_itself() {
    let qd = Dashboard::start(OPS).await;
    let id = qd.accepted("fails", "localhost").await;
    qd.until_final(&id).await;
    let ids = found(&qd, &[("q", "fails")]).await.len();
    assert_eq!(qd.sql("SELECT count(*) FROM event_words('fails')"), ids.to_string());
    let versions = qd.sql("SELECT version FROM state_version");
    wait_for("the index to have all", async || {
        (qd.sql("SELECT event_id FROM event_index") == qd.sql("SELECT max(id) FROM event_log")).then_some(())
    })
    .await;
    assert_eq!(
        qd.sql("SELECT version FROM state_version"),
        versions,
        "no page is woken by it"
    );
}

/// Pages through the log on pages as people see them, and gives the ids.
async fn page_through(browser: &Browser, start: &str, link: &str) -> Vec<i64> {
    let mut ids = Vec::new();
    let mut place = start.to_owned();
    loop {
        let (status, page) = browser.get(&place).await;
        assert_eq!(status, 200, "{place}");
        let on_page: Vec<i64> = page
            .split("data-event=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next()?.parse().ok())
            .collect();
        if link == "next" {
            ids.extend(&on_page);
        } else {
            ids.splice(0..0, on_page);
        }
        let mark = format!("rel=\"{link}\" href=\"");
        match page.split(&mark).nth(1).and_then(|rest| rest.split('"').next()) {
            Some(next) => place = next.replace("&amp;", "&").replace("&#38;", "&"),
            None => return ids,
        }
    }
}

#[tokio::test]
async fn s45_the_log_pages_both_ways_without_gap_or_repeat_while_rows_arrive() {
    let qd = Dashboard::start(OPS).await;
    let waits = qd.accepted("waits", "localhost").await;
    qd.until_status(&waits, "EXECUTING").await;
    // Refusals by different names: each is a row of its own.
    for _ in 0..130 {
        qd.run("uptime", "localhost").await;
    }
    let before: BTreeSet<i64> = qd
        .events()
        .await
        .iter()
        .filter_map(|event| event["id"].as_i64())
        .collect();
    let browser = Browser::signed_in(&qd).await;
    for filter in ["", "action=refused", "q=refused", "q=refused&level=warn&action=refused"] {
        let expected: BTreeSet<i64> = match filter {
            "" => before.clone(),
            _ => {
                let (_, page) = qd.get(&format!("/events?{filter}&limit=1000")).await;
                let rows = page["events"].as_array().expect("events").clone();
                rows.iter().filter_map(|event| event["id"].as_i64()).collect()
            }
        };
        assert!(expected.len() > 100, "{filter}: {}", expected.len());
        let arrive = async {
            for _ in 0..30 {
                qd.run("uptime", "localhost").await;
            }
        };
        let read = async {
            let down = page_through(&browser, &format!("/log?{filter}"), "next").await;
            let up = page_through(&browser, &format!("/log?{filter}&after=0"), "prev").await;
            (down, up)
        };
        let ((), (down, up)) = tokio::join!(arrive, read);
        for (way, ids) in [("down", &down), ("up", &up)] {
            assert!(
                ids.windows(2).all(|pair| pair[0] > pair[1]),
                "{filter} {way}: newest first, none twice"
            );
            let seen: BTreeSet<i64> = ids.iter().copied().collect();
            let missed: Vec<_> = expected.difference(&seen).collect();
            assert!(missed.is_empty(), "{filter} {way}: {missed:?}");
        }
    }
    std::fs::write(qd.path("home/go"), "").expect("go");
}

#[tokio::test]
async fn an_event_has_a_page_and_what_is_gone_has_no_link() {
    let qd = Dashboard::start(OPS).await;
    let id = qd.accepted("fails", "localhost").await;
    qd.until_final(&id).await;
    let browser = Browser::signed_in(&qd).await;
    let (_, log) = browser.get(&format!("/log?command={id}")).await;
    assert!(log.contains(&format!("href=\"/commands/{id}\"")), "{log}");
    assert!(
        log.contains("<summary>Details</summary>") && !log.contains("{&quot;") && !log.contains("{&#34;"),
        "{log}"
    );
    let last = qd.events_of(&id).await.pop().expect("an event");
    let number = last["id"].as_i64().expect("id");
    let (status, page) = browser.get(&format!("/log/{number}")).await;
    assert_eq!(status, 200);
    for text in [
        "record",
        "exit_code",
        last["link"].as_str().expect("link"),
        &format!("/commands/{id}"),
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    for nothing in ["/log/999999", "/log/x", "/log/-1"] {
        assert_eq!(browser.get(nothing).await.0, 404, "{nothing}");
    }
    // The command is swept, its events stay.
    {
        use diesel::Connection as _;
        use diesel::connection::SimpleConnection as _;
        let file = qd.path("data/quarterdeck.db");
        let mut connection = diesel::SqliteConnection::establish(&file.to_string_lossy()).expect("database");
        connection
            .batch_execute("PRAGMA busy_timeout = 10000; DELETE FROM commands WHERE finished_at IS NOT NULL")
            .expect("gone");
    }
    for place in [format!("/log?command={id}"), format!("/log/{number}")] {
        let (_, page) = browser.get(&place).await;
        assert!(!page.contains(&format!("href=\"/commands/{id}\"")), "{page}");
        assert!(page.contains(&format!("command {}", &id[id.len() - 8..])), "{page}");
    }
    wait_for("the health of the dashboard", async || {
        (qd.get("/state").await.0 == 200).then_some(())
    })
    .await;
}
