//! Syslog over TCP and stream sockets: each message behind its length in bytes and a space (RFC 6587, octet counting).
//!
//! This protocol has no answers. What counts as arrived: the other end's kernel acknowledged it (an end that does not
//! within [`UNACKNOWLEDGED`] is cut off), and the connection still stood [`SETTLES`] after it was sent, so its reader
//! had not gone. Whoever sends keeps what is younger, to send it again after a hang-up.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

use super::NotSent;

/// What the other end's kernel has not acknowledged after this time ends the connection.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(4);

/// See [`super::Sink::settles_after`].
pub(super) const SETTLES: Duration = Duration::from_secs(5);

/// How long a goodbye waits for the other end's.
const GOODBYE: Duration = Duration::from_secs(1);

trait Wire: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Wire for T {}

/// A connection to a log server.
pub struct Stream(Box<dyn Wire>);

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stream")
    }
}

/// Whether a refused stream means that the socket is there and takes datagrams.
pub(super) fn takes_datagrams(why: &std::io::Error) -> bool {
    why.raw_os_error() == Some(nix::errno::Errno::EPROTOTYPE as i32)
}

impl Stream {
    pub(super) async fn tcp(address: &str) -> Result<Self, NotSent> {
        let stream = TcpStream::connect(address).await.map_err(NotSent::new)?;
        let _ = stream.set_nodelay(true);
        #[cfg(target_os = "linux")]
        {
            let socket = socket2::SockRef::from(&stream);
            socket
                .set_tcp_user_timeout(Some(UNACKNOWLEDGED))
                .map_err(NotSent::new)?;
        }
        Ok(Self(Box::new(stream)))
    }

    /// The error is the system's own: it says whether datagrams would do.
    pub(super) async fn unix(path: &Path) -> std::io::Result<Self> {
        Ok(Self(Box::new(UnixStream::connect(path).await?)))
    }

    pub(super) async fn send(&mut self, messages: &[Vec<u8>]) -> Result<(), NotSent> {
        let mut framed = Vec::with_capacity(messages.iter().map(|message| message.len() + 8).sum());
        for message in messages {
            framed.extend_from_slice(message.len().to_string().as_bytes());
            framed.push(b' ');
            framed.extend_from_slice(message);
        }
        self.0.write_all(&framed).await.map_err(NotSent::new)?;
        self.0.flush().await.map_err(NotSent::new)
    }

    /// A log server says nothing; what it says all the same is thrown away.
    pub(super) async fn hung_up(&mut self) {
        let mut nothing = [0; 512];
        while matches!(self.0.read(&mut nothing).await, Ok(read) if read > 0) {}
    }

    /// An end that closes after ours has read everything: it saw the end behind it.
    pub(super) async fn close(mut self) -> bool {
        if self.0.shutdown().await.is_err() {
            return false;
        }
        let mut nothing = [0; 512];
        let said = async {
            loop {
                match self.0.read(&mut nothing).await {
                    Ok(0) => return true,
                    Ok(_) => {}
                    Err(_) => return false,
                }
            }
        };
        tokio::time::timeout(GOODBYE, said).await.unwrap_or(false)
    }
}
