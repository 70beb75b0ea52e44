//! A browser without any script: it keeps its cookie, presses buttons, follows nothing by itself.

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response};

use super::Dashboard;

/// One visitor.
pub(crate) struct Browser {
    pub(crate) client: Client,
    url: String,
    /// The session's cookie; empty where there is none.
    pub(crate) cookie: String,
    /// The token that forms of this session carry.
    token: String,
}

impl Browser {
    /// Somebody without a session.
    pub(crate) fn stranger(dashboard: &Dashboard) -> Self {
        Self {
            client: Client::builder().redirect(Policy::none()).build().expect("client"),
            url: dashboard.url.clone(),
            cookie: String::new(),
            token: String::new(),
        }
    }

    /// Follows the dashboard's one-time link.
    pub(crate) async fn signed_in(dashboard: &Dashboard) -> Self {
        let mut browser = Self::stranger(dashboard);
        let answer = browser.client.get(&dashboard.link).send().await.expect("an answer");
        assert_eq!(answer.status(), 303);
        let cookie = answer.headers()[SET_COOKIE].to_str().expect("text").to_owned();
        assert!(
            cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
            "{cookie}"
        );
        browser.cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        let (_, page) = browser.get("/account").await;
        browser.token = browser.hidden(&page, "form_token");
        browser
    }

    /// Somebody who logs in with name and password.
    pub(crate) async fn logged_in(dashboard: &Dashboard, name: &str, password: &str) -> Self {
        let mut browser = Self::stranger(dashboard);
        let answer = browser.log_in(name, password).await;
        assert_eq!(answer.status(), 303);
        browser.keep_cookie(&answer);
        let (_, page) = browser.get("/account").await;
        browser.token = browser.hidden(&page, "form_token");
        browser
    }

    /// Sends the form of the page on which people log in.
    pub(crate) async fn log_in(&mut self, name: &str, password: &str) -> Response {
        let page = self.request("/enter").send().await.expect("an answer");
        self.keep_cookie(&page);
        let page = page.text().await.expect("text");
        self.token = self.hidden(&page, "form_token");
        self.post("/enter", &format!("name={name}&password={password}&code=&next=/"))
            .await
    }

    fn keep_cookie(&mut self, answer: &Response) {
        if let Some(cookie) = answer.headers().get(SET_COOKIE) {
            let cookie = cookie.to_str().expect("text");
            cookie
                .split(';')
                .next()
                .unwrap_or_default()
                .clone_into(&mut self.cookie);
        }
    }

    /// A page: status and HTML.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let answer = self.request(path).send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    }

    /// A look at a page, to be sent.
    pub(crate) fn request(&self, path: &str) -> RequestBuilder {
        let request = self.client.get(format!("{}{path}", self.url));
        request.header(COOKIE, &self.cookie)
    }

    /// Sends a form with what a browser would say about where it comes from.
    pub(crate) async fn post_from(&self, path: &str, form: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = self.client.post(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .header(COOKIE, &self.cookie)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("form_token={}&{form}", self.token));
        request.send().await.expect("an answer")
    }

    async fn post(&self, path: &str, form: &str) -> Response {
        self.post_from(path, form, &[("sec-fetch-site", "same-origin")]).await
    }

    /// Sends a form that is answered with a page: status and HTML.
    pub(crate) async fn send(&self, path: &str, form: &str) -> (u16, String) {
        let answer = self.post(path, form).await;
        (answer.status().as_u16(), answer.text().await.expect("text"))
    }

    /// Presses a button, and says where that leads.
    pub(crate) async fn press(&self, path: &str, form: &str) -> String {
        let answer = self.post(path, form).await;
        let status = answer.status();
        let place = answer.headers().get(LOCATION).cloned();
        let text = answer.text().await.expect("text");
        assert_eq!(status, 303, "{path} {form}: {text}");
        place.expect("a place").to_str().expect("text").to_owned()
    }

    /// What a form on the page carries unseen.
    pub(crate) fn hidden(&self, page: &str, name: &str) -> String {
        let mark = format!(r#"<input type="hidden" name="{name}" value=""#);
        let value = page.split(&mark).nth(1).and_then(|rest| rest.split('"').next());
        value.unwrap_or_else(|| panic!("no {name}: {page}")).to_owned()
    }
}

/// The words of a pipeline's matrix as its page shows them: `web-01: Succeeded | Running`, without durations.
pub(crate) fn matrix_of(page: &str) -> Vec<String> {
    let Some(table) = page.split(r#"<table class="cards matrix">"#).nth(1) else {
        return Vec::new();
    };
    let table = table.split("</table>").next().unwrap_or_default();
    table
        .split(r#"<tr id="h-"#)
        .skip(1)
        .map(|line| {
            let host = line.split('"').next().unwrap_or_default();
            let cells = line
                .split("<td data-th=")
                .skip(1)
                .filter(|cell| !cell.starts_with("\"Batch\""));
            let words: Vec<&str> = cells.map(word).collect();
            format!("{host}: {}", words.join(" | "))
        })
        .collect()
}

/// The status of one cell: the text beside its icon.
fn word(cell: &str) -> &str {
    match cell.split("</svg><span>").nth(1) {
        Some(rest) => rest.split('<').next().unwrap_or_default(),
        None => "–",
    }
}
