//! What somebody asked for, in words: an address says it to programs, a sentence of the log says it to people.

use actix_web::HttpRequest;
use actix_web::http::Method;

use crate::domain::bounded;

/// `to stop command 809102ab`, `to open the page /users`.
pub(super) fn asked(request: &HttpRequest) -> String {
    let path = request.path();
    if request.method() == Method::GET {
        return format!("to open the page {}", bounded(path, 100));
    }
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let name = |text: &str| bounded(text, 80);
    // As pages show ids: by their last digits.
    let id = |text: &str| {
        let short = text.len().checked_sub(8).and_then(|at| text.get(at..));
        bounded(short.unwrap_or(text), 40)
    };
    match parts.as_slice() {
        ["run"] => "to run an op".to_owned(),
        ["hosts"] => "to add a host".to_owned(),
        ["hosts", host, "accept-key"] => format!("to accept the key of host {}", name(host)),
        ["hosts", host, verb] => format!("to {} host {}", plain(verb), name(host)),
        ["history", "acknowledge"] => "to acknowledge commands".to_owned(),
        ["commands", command, "find-out"] => format!("to ask what became of command {}", id(command)),
        ["commands", command, verb] => format!("to {} command {}", plain(verb), id(command)),
        ["pipelines"] => "to start a pipeline".to_owned(),
        ["pipelines", "new" | "preview"] => "to preview a pipeline".to_owned(),
        ["pipelines", pipeline, "continue"] => format!("to let pipeline {} go on", id(pipeline)),
        ["pipelines", pipeline, verb] => format!("to {} pipeline {}", plain(verb), id(pipeline)),
        ["account", "password"] => "to set a new password".to_owned(),
        ["account", "totp", ..] => "to change the second factor".to_owned(),
        ["sessions", _, "end"] => "to end a session".to_owned(),
        ["users"] => "to add a user".to_owned(),
        ["users", user, "totp", "remove"] => format!("to take the second factor from user {}", name(user)),
        ["users", user, "role" | "password"] => format!("to change user {}", name(user)),
        ["users", user, verb] => format!("to {} user {}", plain(verb), name(user)),
        ["tokens"] => "to make a token".to_owned(),
        ["tokens", token, verb] => format!("to {} token {}", plain(verb), name(token)),
        ["audit", "reports"] => "to make an audit report".to_owned(),
        ["audit", "reports", number, "reviewed"] => format!("to mark the audit report {} as reviewed", name(number)),
        ["settings", "sweep"] => "to sweep".to_owned(),
        ["settings", "holds"] => "to hold a range of time".to_owned(),
        ["settings", "holds", _, "release"] => "to release a hold".to_owned(),
        ["logout"] => "to log out".to_owned(),
        _ => format!("what {} takes", bounded(path, 100)),
    }
}

/// A verb of an address as a word of a sentence.
fn plain(verb: &str) -> String {
    bounded(&verb.replace('-', " "), 40)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_request_reads_as_a_wish() {
        let id = "0193a5c2-1f60-7c3e-8a4b-5d6e7f809102";
        for (method, path, words) in [
            (Method::GET, "/users".to_owned(), "to open the page /users"),
            (Method::POST, "/run".to_owned(), "to run an op"),
            (Method::POST, format!("/commands/{id}/stop"), "to stop command 7f809102"),
            (
                Method::POST,
                format!("/pipelines/{id}/cancel"),
                "to cancel pipeline 7f809102",
            ),
            (Method::POST, "/hosts/web-03/test".to_owned(), "to test host web-03"),
            (Method::POST, "/users/bob/disable".to_owned(), "to disable user bob"),
            (Method::POST, "/pipelines/ü/hold".to_owned(), "to hold pipeline ü"),
        ] {
            let request = TestRequest::with_uri(&path.replace('ü', "%C3%BC"))
                .method(method)
                .to_http_request();
            assert_eq!(asked(&request).replace("%C3%BC", "ü"), words);
        }
    }

    /// No route of a page is left to the words for an unknown one.
    #[test]
    fn every_page_that_changes_something_has_its_words() {
        for entry in super::super::routes::LIST
            .iter()
            .filter(|entry| entry.method == Method::POST)
        {
            if entry.path == "/enter" || entry.path == "/setup" {
                continue; // Nobody is signed in there.
            }
            let path = entry.path.replace("{id}", "0193a5c2").replace("{name}", "web-03");
            let request = TestRequest::with_uri(&path).method(Method::POST).to_http_request();
            assert!(!asked(&request).starts_with("what "), "{path}");
        }
    }
}
