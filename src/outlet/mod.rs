//! Ways out: sending bytes to a log server, a file, a web address or a program. Knows nothing of events, journals and
//! cursors; whoever sends says what and to where, and hears whether it went.
//!
//! `syslog` writes RFC 5424 messages, `stream` and `datagram` carry them, `file` appends lines, `http` posts,
//! `program` runs. A [`Sink`] is one of those that take batch after batch; [`post`](Http::post) and [`run`] send one
//! message each.

mod datagram;
mod file;
mod http;
mod program;
mod stream;
pub mod syslog;

use std::time::Duration;

use crate::domain::{Headers, Target, bounded};

pub use http::Http;
pub use program::run;

/// How long one batch may take on its way.
const SEND_LIMIT: Duration = Duration::from_secs(10);

/// Why something did not go out: one sentence without secrets, for the log and the pages.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotSent(String);

impl NotSent {
    fn new(why: impl std::fmt::Display) -> Self {
        Self(bounded(&why.to_string(), 300))
    }
}

/// Something that takes one batch after another.
#[derive(Debug)]
pub enum Sink {
    /// A syslog server over TCP or a stream socket.
    Stream(stream::Stream),
    /// A syslog socket that takes datagrams.
    Datagram(datagram::Datagram),
    /// A file.
    File(file::Appended),
    /// A web address; each message is a JSON text, posted by itself.
    Posted(http::Posted),
}

impl Sink {
    /// Opens the way to a target. A command takes no batches.
    ///
    /// # Errors
    /// Where it is not there, or takes nothing.
    pub async fn open(target: &Target, headers: &Headers) -> Result<Self, NotSent> {
        let opened = async {
            match target {
                Target::Tcp(address) => Ok(Self::Stream(stream::Stream::tcp(address).await?)),
                Target::Socket(path) => match stream::Stream::unix(path).await {
                    Ok(stream) => Ok(Self::Stream(stream)),
                    Err(why) if stream::takes_datagrams(&why) => Ok(Self::Datagram(datagram::Datagram::open(path)?)),
                    Err(why) => Err(NotSent::new(why)),
                },
                Target::File(path) => Ok(Self::File(file::Appended::open(path).await?)),
                Target::Url(url) => Ok(Self::Posted(http::Posted::new(url, headers)?)),
                Target::Program(_) => Err(NotSent::new("takes no batches")),
            }
        };
        in_time(opened).await
    }

    /// Sends messages in their order. After an error nobody knows how many of them went.
    ///
    /// # Errors
    /// Where not all of them went.
    pub async fn send(&mut self, messages: &[Vec<u8>]) -> Result<(), NotSent> {
        if let Self::Posted(posted) = self {
            return posted.send(messages).await; // Each has a time of its own.
        }
        let sent = async {
            match self {
                Self::Stream(stream) => stream.send(messages).await,
                Self::Datagram(socket) => socket.send(messages).await,
                Self::File(file) => file.append(messages).await,
                Self::Posted(_) => Ok(()),
            }
        };
        in_time(sent).await
    }

    /// Makes sure that what was sent is there. For a file: on the disk. The other ends of sockets say nothing of the
    /// kind; see [`Sink::settles_after`].
    ///
    /// # Errors
    /// Where it may not be.
    pub async fn sync(&mut self) -> Result<(), NotSent> {
        match self {
            Self::File(file) => in_time(file.sync()).await,
            Self::Stream(_) | Self::Datagram(_) | Self::Posted(_) => Ok(()),
        }
    }

    /// How long after it was sent something counts as arrived, if the connection still stands then. An end that has
    /// gone is noticed within that time.
    #[must_use]
    pub fn settles_after(&self) -> Duration {
        match self {
            Self::Stream(_) => stream::SETTLES,
            Self::Datagram(_) | Self::File(_) | Self::Posted(_) => Duration::ZERO,
        }
    }

    /// Ends when the other end has hung up; never for what has no other end.
    pub async fn hung_up(&mut self) {
        match self {
            Self::Stream(stream) => stream.hung_up().await,
            Self::Datagram(_) | Self::File(_) | Self::Posted(_) => std::future::pending().await,
        }
    }

    /// Says goodbye. True where the other end showed that it had read everything.
    pub async fn close(self) -> bool {
        match self {
            Self::Stream(stream) => stream.close().await,
            Self::Datagram(_) | Self::File(_) | Self::Posted(_) => true,
        }
    }
}

async fn in_time<T>(work: impl Future<Output = Result<T, NotSent>>) -> Result<T, NotSent> {
    match tokio::time::timeout(SEND_LIMIT, work).await {
        Ok(done) => done,
        Err(_) => Err(NotSent::new(format!("took longer than {} s", SEND_LIMIT.as_secs()))),
    }
}
