//! A browser without scripts: keeps its cookies, takes the token of the form that it was shown, follows nothing.

use std::collections::BTreeMap;

use reqwest::header::{COOKIE, LOCATION, RETRY_AFTER, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};

use super::PASSWORD;
use super::support::Dashboard;

pub(crate) struct Browser {
    pub(crate) client: Client,
    pub(crate) url: String,
    pub(crate) cookies: BTreeMap<String, String>,
    pub(crate) token: String,
    /// Sent with every request.
    pub(crate) headers: Vec<(String, String)>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) place: String,
    pub(crate) text: String,
    /// What `Retry-After` says, in seconds.
    pub(crate) again: Option<u64>,
}

impl Browser {
    pub(crate) fn new(dashboard: &Dashboard) -> Self {
        Self {
            client: Client::builder().redirect(Policy::none()).build().expect("client"),
            url: dashboard.url.clone(),
            cookies: BTreeMap::new(),
            token: String::new(),
            headers: Vec::new(),
        }
    }

    /// Somebody who has logged in with the usual password.
    pub(crate) async fn of(dashboard: &Dashboard, name: &str) -> Self {
        let mut browser = Self::new(dashboard);
        let answer = browser.log_in(name, PASSWORD, "").await;
        assert_eq!((answer.status, answer.place.as_str()), (303, "/"), "{}", answer.text);
        browser
    }

    pub(crate) async fn log_in(&mut self, name: &str, password: &str, code: &str) -> Answer {
        self.get("/enter").await;
        let form = [("name", name), ("password", password), ("code", code), ("next", "/")];
        self.post("/enter", &form).await
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        let request = self
            .client
            .get(format!("{}{path}", self.url))
            .header(COOKIE, self.cookie());
        let answer = self.with_headers(request).send().await.expect("an answer");
        self.take(answer).await
    }

    /// Sends a form with the token of the last page that had one.
    pub(crate) async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Answer {
        // Whoever has a session takes the token of a page of that.
        if self.has_session() {
            self.get("/account").await;
        }
        let token = self.token.clone();
        let mut pairs = vec![("form_token", token.as_str())];
        pairs.extend_from_slice(form);
        self.send(path, &pairs).await
    }

    pub(crate) async fn send(&mut self, path: &str, pairs: &[(&str, &str)]) -> Answer {
        let pairs: Vec<String> = pairs
            .iter()
            .map(|(key, value)| format!("{key}={}", encode(value)))
            .collect();
        let request = self
            .client
            .post(format!("{}{path}", self.url))
            .header(COOKIE, self.cookie())
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(pairs.join("&"));
        let answer = self.with_headers(request).send().await.expect("an answer");
        self.take(answer).await
    }

    fn with_headers(&self, mut request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request
    }

    /// Whether it keeps the cookie of a session, of whichever dashboard.
    pub(crate) fn has_session(&self) -> bool {
        self.cookies.keys().any(|name| name.contains("qd_session"))
    }

    pub(crate) fn cookie(&self) -> String {
        let all: Vec<_> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        all.join("; ")
    }

    async fn take(&mut self, answer: Response) -> Answer {
        for cookie in answer.headers().get_all(SET_COOKIE) {
            let cookie = cookie.to_str().expect("text");
            assert!(
                cookie.contains("SameSite=Strict") && cookie.contains("HttpOnly") || cookie.contains("Max-Age=0"),
                "{cookie}"
            );
            // Else a browser does not take it.
            assert!(
                !cookie.starts_with("__Host-") || cookie.contains("Secure") && cookie.contains("Path=/"),
                "{cookie}"
            );
            let (name, value) = cookie
                .split(';')
                .next()
                .and_then(|pair| pair.split_once('='))
                .expect("cookie");
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let status = answer.status().as_u16();
        let place = answer.headers().get(LOCATION).and_then(|place| place.to_str().ok());
        let place = place.unwrap_or_default().to_owned();
        let again = answer
            .headers()
            .get(RETRY_AFTER)
            .and_then(|text| text.to_str().ok()?.parse().ok());
        let text = answer.text().await.unwrap_or_default();
        if let Some(token) = hidden(&text, "form_token") {
            self.token = token;
        }
        Answer {
            status,
            place,
            text,
            again,
        }
    }
}

/// The value of a hidden field.
pub(crate) fn hidden(page: &str, name: &str) -> Option<String> {
    let rest = page.split(&format!("name=\"{name}\" value=\"")).nth(1)?;
    rest.split('"').next().map(str::to_owned)
}

pub(crate) fn encode(text: &str) -> String {
    let bytes = text.bytes().map(|byte| {
        if byte.is_ascii_alphanumeric() {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    });
    bytes.collect()
}
