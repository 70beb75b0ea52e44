//! Every page by every role, along its own links: what a page offers somebody, a link or a form, is theirs to press.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::browser::Browser;
use super::support::{Dashboard, id_of, wait_for};
use super::{OPS, PASSWORD, change, host, token, user};

/// Views of one page that are looked at.
const VIEWS: usize = 2;

#[tokio::test]
async fn a_page_offers_each_role_what_is_theirs_to_press() {
    let dashboard = Dashboard::start(OPS).await;
    fill(&dashboard).await;
    let mut offered = BTreeMap::new();
    let mut acknowledged = 0;
    // Root may everything.
    for (name, role) in ROLES.into_iter().skip(1) {
        let mut browser = Browser::of(&dashboard, name).await;
        change(
            &dashboard,
            "UPDATE sessions SET proved_at = '2020-01-01 00:00:00.000000'",
        )
        .await;
        let forms = walk(&mut browser, name).await;
        for form in &forms {
            // Ends the session that walks.
            if form.action == "/logout" || form.button == "End this one" {
                continue;
            }
            let fields: Vec<(&str, &str)> = form.fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            let answer = browser.post(&form.action, &fields).await;
            // Those of other hosts would be said to be left.
            let picks = form.action == "/history/acknowledge" && fields.iter().any(|(name, _)| *name == "id");
            // Twice, from two views of the same page, is said to be so.
            let went = answer.status == 303 || answer.text.contains("already, ");
            assert!(!picks || went, "{name}: {form:?}: {}", answer.text);
            acknowledged += u32::from(picks);
            let asks = answer.status == 403 && answer.text.contains("Is it you?");
            assert!(
                asks || !matches!(answer.status, 401 | 403 | 405 | 500..),
                "{name} ({role}): {form:?}: {} {}",
                answer.status,
                answer.text
            );
        }
        offered.insert(name, forms);
    }
    assert!(acknowledged >= 2, "by olga those of the lab, by otto the others");
    // It has looked where there is something to see.
    for (name, action, is_there) in [
        ("vera", "/run", false),
        ("vera", "/audit/reports", true),
        ("olga", "/run", true),
        ("olga", "/hosts", false),
        ("amy", "/hosts/prod1/remove", true),
        ("amy", "/tokens/weak/revoke", true),
        ("amy", "/tokens/strong/revoke", false),
        ("amy", "/users/vera/role", true),
        ("amy", "/users/root/role", false),
        ("amy", "/settings/holds", true),
    ] {
        let found = offered[name].iter().any(|form| form.action == action);
        assert_eq!(found, is_there, "{name}: {action}: {:#?}", offered[name]);
    }
    let amys: Vec<_> = offered["amy"]
        .iter()
        .filter(|form| form.action.starts_with("/sessions/"))
        .collect();
    assert!(amys.len() >= 4, "sessions of others that are hers to end: {amys:?}");
}

/// Who there is. Admins last: they end the sessions of others.
const ROLES: [(&str, &str); 5] = [
    ("root", "admin dangerous"),
    ("vera", "viewer"),
    ("olga", "operator@lab dangerous@prod"),
    ("otto", "operator"),
    ("amy", "admin"),
];

/// Something of everything, on hosts of both tags.
async fn fill(dashboard: &Dashboard) {
    host(dashboard, "lab1", "lab").await;
    host(dashboard, "prod1", "prod").await;
    for (name, role) in ROLES {
        user(dashboard, name, role).await;
        // Another session, to be ended.
        let log_in = json!({ "name": name, "password": PASSWORD });
        assert_eq!(dashboard.post("/login", &log_in).await.0, 201);
    }
    token(dashboard, "strong", "operator dangerous").await;
    token(dashboard, "weak", "operator").await;
    for name in ["lab1", "prod1"] {
        for op in ["fails", "hurts"] {
            let row = dashboard.run(op, name).await;
            dashboard.until_final(&id_of(&row)).await;
        }
    }
    for hosts in [json!(["lab1", "prod1"]), json!(["lab1"])] {
        let (status, row) = dashboard
            .post("/pipelines", &json!({ "name": "fails", "hosts": hosts }))
            .await;
        assert_eq!(status, 202, "{row}");
        wait_for("its end", async || {
            let (_, row) = dashboard.get(&format!("/pipelines/{}", id_of(&row))).await;
            (!row["finished_at"].is_null()).then_some(())
        })
        .await;
    }
    let hold = json!({ "from": "2026-01-01", "reason": "an audit" });
    let (status, row) = dashboard.post("/holds", &hold).await;
    assert_eq!(status, 201, "{row}");
    let row = dashboard.run("waits", "prod1").await;
    dashboard.until_status(&id_of(&row), "EXECUTING").await;
}

/// A form of a page, as somebody sends it who ticks everything.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
struct Form {
    action: String,
    button: String,
    fields: Vec<(String, String)>,
}

/// Follows every link; gives every form, once.
async fn walk(browser: &mut Browser, name: &str) -> BTreeSet<Form> {
    let mut forms = BTreeSet::new();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut queue = vec!["/".to_owned()];
    let mut known: BTreeSet<String> = queue.iter().cloned().collect();
    while let Some(place) = queue.pop() {
        let path = place.split(['?', '#']).next().unwrap_or_default().to_owned();
        let views = seen.entry(path.clone()).or_default();
        *views += 1;
        // Downloads are counted; assets are everybody's.
        if *views > VIEWS || path.starts_with("/static/") || path == "/audit/export" {
            continue;
        }
        let answer = browser.get(&place).await;
        assert!(
            matches!(answer.status, 200 | 303),
            "{name}: the link {place}: {} {}",
            answer.status,
            answer.text
        );
        if !answer.text.trim_start().starts_with("<!doctype html>") {
            continue;
        }
        let page = Page::read(&answer.text);
        forms.extend(page.forms);
        queue.extend(page.links.into_iter().filter(|link| known.insert(link.clone())));
    }
    assert!(seen.len() > 15, "{name}: {seen:?}");
    forms
}

#[derive(Default)]
struct Page {
    links: Vec<String>,
    forms: Vec<Form>,
}

impl Page {
    fn read(html: &str) -> Self {
        let mut page = Self::default();
        let mut drafts: Vec<(String, Form)> = Vec::new();
        let mut buttons: Vec<(usize, String, Option<String>)> = Vec::new();
        let (mut inside, mut select) = (None, None::<(usize, String, Vec<String>)>);
        for (at, _) in html.match_indices('<') {
            let Some(tag) = html[at + 1..].split('>').next() else {
                continue;
            };
            let after = &html[at + tag.len() + 2..];
            let kind = tag.split_ascii_whitespace().next().unwrap_or_default();
            let value = attribute(tag, "value").unwrap_or_default();
            let id_of_form = attribute(tag, "form");
            match kind {
                "a" => page
                    .links
                    .extend(attribute(tag, "href").filter(|place| place.starts_with('/'))),
                "form" if attribute(tag, "method").as_deref() == Some("post") => {
                    let form = Form {
                        action: attribute(tag, "action").expect("an action"),
                        ..Form::default()
                    };
                    drafts.push((attribute(tag, "id").unwrap_or_default(), form));
                    inside = Some(drafts.len() - 1);
                }
                "/form" => inside = None,
                "select" => {
                    select = inside.map(|form| (form, attribute(tag, "name").unwrap_or_default(), Vec::new()));
                }
                "option" => {
                    if let Some((_, _, options)) = &mut select {
                        options.push(value);
                    }
                }
                "/select" => {
                    if let Some((form, name, options)) = select.take() {
                        let usual = options.iter().find(|option| *option == "quick").or(options.first());
                        drafts[form].1.fields.push((name, usual.cloned().unwrap_or_default()));
                    }
                }
                "button" => {
                    if let Some(form) = inside {
                        let text = after.split('<').next().unwrap_or_default().to_owned();
                        buttons.push((form, text, attribute(tag, "formaction")));
                    }
                }
                "input" | "textarea" => {
                    let name = attribute(tag, "name").unwrap_or_default();
                    let elsewhere = || page_form(&drafts, id_of_form.as_deref()?);
                    // Boxes in a table may come before their form.
                    if let Some(form) = inside.or_else(elsewhere) {
                        drafts[form].1.fields.push((name.clone(), typed(tag, &name, value)));
                    } else if let Some(id) = id_of_form {
                        let form = Form {
                            fields: vec![(name.clone(), typed(tag, &name, value))],
                            ..Form::default()
                        };
                        drafts.push((id, form));
                    }
                }
                _ => {}
            }
        }
        for (form, button, action) in buttons {
            let (id, draft) = &drafts[form];
            let boxes = drafts
                .iter()
                .filter(|(of, draft)| of == id && !id.is_empty() && draft.action.is_empty());
            let mut fields: Vec<_> = boxes.flat_map(|(_, draft)| draft.fields.clone()).collect();
            fields.extend(draft.fields.iter().filter(|(name, _)| name != "form_token").cloned());
            page.forms.push(Form {
                action: action.unwrap_or_else(|| draft.action.clone()),
                button,
                fields,
            });
        }
        page
    }
}

fn page_form(drafts: &[(String, Form)], id: &str) -> Option<usize> {
    drafts
        .iter()
        .position(|(of, draft)| of == id && !draft.action.is_empty())
}

/// What somebody types where nothing stands yet.
fn typed(tag: &str, name: &str, value: String) -> String {
    match name {
        _ if !value.is_empty() => value,
        "new_password" | "again" => PASSWORD.to_owned(),
        "span" => "5m".to_owned(),
        "reason" | "note" => "a look".to_owned(),
        _ => attribute(tag, "placeholder").unwrap_or_default(),
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let rest = tag.split(&format!(" {name}=\"")).nth(1)?;
    let value = rest.split('"').next()?;
    Some(value.replace("&#38;", "&").replace("&amp;", "&").replace("&#39;", "'"))
}
