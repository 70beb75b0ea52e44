//! Log servers of the test's own, that can be stopped and started again.

use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::{TcpListener, UnixDatagram, UnixListener};
use tokio::task::JoinHandle;

use super::rfc5424::{self, Message};

/// What arrived, over all starts of a sink.
pub(crate) type Heard = Arc<Mutex<Vec<Message>>>;

/// A log server that is up until it is dropped.
pub(crate) struct Sink {
    pub(crate) address: String,
    pub(crate) heard: Heard,
    serving: JoinHandle<()>,
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Sink {
    /// TCP, on this address (port 0 for any).
    pub(crate) async fn tcp(address: &str, heard: &Heard) -> Self {
        let listener = TcpListener::bind(address).await.expect("a port");
        let address = listener.local_addr().expect("address").to_string();
        let into = Arc::clone(heard);
        let serving = tokio::spawn(async move {
            // All connections live in this task and die with it.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(frames(stream, Arc::clone(&into)));
            }
        });
        Self {
            address,
            heard: Arc::clone(heard),
            serving,
        }
    }

    /// A stream socket.
    pub(crate) fn unix(path: &Path, heard: &Heard) -> Self {
        let listener = UnixListener::bind(path).expect("a socket");
        let into = Arc::clone(heard);
        let serving = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(frames(stream, Arc::clone(&into)));
            }
        });
        Self {
            address: path.display().to_string(),
            heard: Arc::clone(heard),
            serving,
        }
    }

    /// A datagram socket, as `/dev/log` is one.
    pub(crate) fn datagram(path: &Path, heard: &Heard) -> Self {
        let socket = UnixDatagram::bind(path).expect("a socket");
        let into = Arc::clone(heard);
        let serving = tokio::spawn(async move {
            let mut bytes = vec![0; 1 << 20];
            while let Ok(length) = socket.recv(&mut bytes).await {
                into.lock().expect("heard").push(rfc5424::read(&bytes[..length]));
            }
        });
        Self {
            address: path.display().to_string(),
            heard: Arc::clone(heard),
            serving,
        }
    }

    pub(crate) fn heard(&self) -> Vec<Message> {
        self.heard.lock().expect("heard").clone()
    }

    /// The ids of the events that arrived, in the order in which they did.
    pub(crate) fn ids(&self) -> Vec<i64> {
        self.heard().iter().map(Message::id).collect()
    }
}

/// Octet counting: `LENGTH SP MESSAGE`, and nothing between.
async fn frames(mut stream: impl AsyncRead + Unpin, into: Heard) {
    loop {
        let mut length = 0_usize;
        loop {
            let Ok(byte) = stream.read_u8().await else { return };
            match byte {
                b' ' => break,
                b'0'..=b'9' => length = length * 10 + usize::from(byte - b'0'),
                other => panic!("{other} in a length"),
            }
        }
        let mut message = vec![0; length];
        if stream.read_exact(&mut message).await.is_err() {
            return;
        }
        into.lock().expect("heard").push(rfc5424::read(&message));
    }
}
