//! A web server of the test's own that takes POSTs and answers as it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// One POST.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    pub(crate) path: String,
    pub(crate) headers: Vec<String>,
    pub(crate) body: Value,
}

#[derive(Default)]
struct State {
    posts: Vec<Post>,
    /// Status lines for the next requests; after them 204.
    answers: VecDeque<String>,
}

/// A web server that is up until it is dropped.
pub(crate) struct Hook {
    pub(crate) address: String,
    state: Arc<Mutex<State>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Hook {
    pub(crate) async fn start() -> Self {
        Self::start_on("127.0.0.1:0").await
    }

    pub(crate) async fn start_on(address: &str) -> Self {
        let listener = TcpListener::bind(address).await.expect("a port");
        let address = listener.local_addr().expect("address").to_string();
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        let serving = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self {
            address,
            state,
            serving,
        }
    }

    /// The next requests are answered so.
    pub(crate) fn answers(&self, lines: impl IntoIterator<Item = &'static str>) {
        let mut state = self.state.lock().expect("state");
        state.answers.extend(lines.into_iter().map(str::to_owned));
    }

    /// Every request so far, also those that were answered with an error.
    pub(crate) fn posts(&self) -> Vec<Post> {
        self.state.lock().expect("state").posts.clone()
    }
}

async fn serve(stream: TcpStream, state: Arc<Mutex<State>>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            if line.trim().is_empty() {
                break;
            }
            headers.push(line.trim().to_owned());
        }
        let length = headers.iter().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse().ok())?
        });
        let mut body = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut body).await.ok()?;
        let first = headers.remove(0);
        assert!(first.starts_with("POST "), "{first}");
        let answer = {
            let mut state = state.lock().expect("state");
            state.posts.push(Post {
                path: first.split(' ').nth(1)?.to_owned(),
                headers,
                body: serde_json::from_slice(&body).expect("JSON"),
            });
            state.answers.pop_front().unwrap_or_else(|| "204 No Content".to_owned())
        };
        let text = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(text.as_bytes()).await.ok()?;
    }
}
