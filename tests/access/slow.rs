//! Who sends slowly keeps no connection.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::support::Dashboard;
use super::{OPS, user};

/// Sends the head of a request and one byte of its body, and waits for the end of the connection: what came, and when.
async fn one_byte(dashboard: &Dashboard, path: &str, kind: &str) -> (String, Duration) {
    let address = dashboard.url.strip_prefix("http://").expect("plain");
    let mut stream = TcpStream::connect(address).await.expect("connects");
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}\r\nContent-Type: {kind}\r\n\
         Content-Length: 50\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    let begun = Instant::now();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(40), stream.read_to_end(&mut answer)).await;
    let ended = read.unwrap_or_else(|_| panic!("{path}: still open: {}", String::from_utf8_lossy(&answer)));
    // Whatever was answered, a connection that is torn down is gone too.
    let _ = ended;
    (String::from_utf8_lossy(&answer).into_owned(), begun.elapsed())
}

#[tokio::test]
async fn a_body_that_does_not_arrive_keeps_no_connection() {
    let dashboard = Dashboard::start(OPS).await;
    user(&dashboard, "alice", "viewer").await;
    let form = "application/x-www-form-urlencoded";
    let paths = [
        ("/api/v1/login", "application/json", "408"),
        ("/enter", form, "408"),
        ("/setup", form, "408"),
        // These are answered before anything of the body is looked at.
        ("/api/v1/commands", "application/json", "401"),
        ("/run", form, "401"),
    ];
    let answers = join_all(paths.map(|(path, kind, _)| one_byte(&dashboard, path, kind))).await;
    for ((path, _, status), (answer, after)) in paths.iter().zip(answers) {
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {answer}");
        assert!(after < Duration::from_secs(30), "{path}: {after:?}");
    }
}
