//! The page of a command: its timeline, its output, what it says of what ran.

use crate::support::Dashboard;
use crate::support::page::Browser;
use crate::{OPS, between};

#[tokio::test]
async fn a_long_timeline_shows_its_newest_events_and_says_so() {
    use diesel::Connection as _;
    use diesel::connection::SimpleConnection as _;

    let dashboard = Dashboard::start("[probe]\ninterval = \"0s\"\n").await;
    let browser = Browser::signed_in(&dashboard).await;
    let id = dashboard.accepted("uptime", "localhost").await;
    dashboard.until_final(&id).await;
    let page = browser.get(&format!("/commands/{id}")).await.1;
    assert!(
        page.contains("contacting the host") && !page.contains("Earlier events"),
        "{page}"
    );
    let file = dashboard.path("data/quarterdeck.db");
    let mut journal = diesel::SqliteConnection::establish(&file.to_string_lossy()).expect("database");
    let many = format!(
        "PRAGMA busy_timeout = 5000; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) \
         INSERT INTO event_log (category, level, actor, action, message, command_id) \
         SELECT 'system', 'info', 'system', 'op:uptime', 'note ' || i || '.', '{id}' FROM n"
    );
    journal.batch_execute(&many).expect("written");
    let page = browser.get(&format!("/commands/{id}")).await.1;
    assert!(
        page.contains("Earlier events are not shown here: only the newest 200 are."),
        "{page}"
    );
    let (first, last) = (page.find("note 1.<"), page.find("note 200.<"));
    assert!(first.is_some() && first < last, "oldest first, and the newest is there");
    assert!(!page.contains("contacting the host"));
}

#[tokio::test]
async fn a_command_page_says_what_ran_and_shows_whole_lines() {
    let dashboard = Dashboard::start(&format!(
        "{OPS}\n[[op]]\nid = \"prints\"\nretryable = true\nscript = \"seq -f 'line %g of a long output' 1 20000; exit 3\"\n\n[[op]]\nid = \"needless\"\npre_check = \"exit 10\"\nscript = \"true\"\n"
    ))
    .await;
    let browser = Browser::signed_in(&dashboard).await;
    let place = browser
        .press("/run", "op=prints&host=localhost&reason=weekly+round")
        .await;
    dashboard.until_final(place.rsplit('/').next().expect("id")).await;
    let (_, page) = browser.get(&place).await;
    let shown = between(&page, "<pre id=\"output\"", "</pre>");
    assert_eq!(shown.matches("line ").count(), 40, "{shown}");
    assert!(shown.contains(">line 19961 of"), "{shown}");
    assert!(
        page.contains("name=\"reason\" value=\"weekly round\""),
        "a retry carries the reason"
    );
    let (_, all) = browser.get(&format!("{place}?output=all")).await;
    assert!(
        all.contains(">line 1 of a long output\n"),
        "all of it begins at the beginning"
    );
    let later = between(&all, "&amp;from=", "\"");
    let (_, next) = browser.get(&format!("{place}?output=all&from={later}")).await;
    let shown = next.split("<pre id=\"output\"").nth(1).expect("output");
    let first = shown.split_once('>').expect("text").1;
    assert!(first.starts_with("line "), "{}", &first[..40]);
    assert!(all.contains(
        &format!("line {} of", first[5..].split(' ').next().expect("number").parse::<u32>().expect("number") - 1)
    ));

    let place = browser.press("/run", "op=needless&host=localhost").await;
    dashboard.until_final(place.rsplit('/').next().expect("id")).await;
    let (_, page) = browser.get(&place).await;
    assert!(page.contains("It did not run, so there is no output."), "{page}");
    assert!(!page.contains("needed: not needed"), "{page}");
    let name = dashboard.command(place.rsplit('/').next().expect("id")).await["actor"]
        .as_str()
        .expect("actor")
        .to_owned();
    let bare = name.split(':').next_back().expect("name");
    for who in [bare, &name] {
        let (_, log) = browser.get(&format!("/log?actor={who}")).await;
        assert!(log.contains("was asked for") || log.contains("<tr id=\"e-"), "{who}");
    }
    let (_, past) = browser.get("/history?since=2020-01-01").await;
    assert!(
        past.contains("Commands stay listed for 30 days") && past.contains("sweeps move older ones to the archive"),
        "{past}"
    );
}
