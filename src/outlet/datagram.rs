//! Syslog over a datagram socket, as `/dev/log` is: one message is one datagram. What the socket took counts as
//! arrived; the kernel keeps it for the reader.

use std::path::Path;

use tokio::net::UnixDatagram;

use super::NotSent;

/// A connected datagram socket.
#[derive(Debug)]
pub struct Datagram(UnixDatagram);

impl Datagram {
    pub(super) fn open(path: &Path) -> Result<Self, NotSent> {
        let socket = UnixDatagram::unbound().map_err(NotSent::new)?;
        socket.connect(path).map_err(NotSent::new)?;
        Ok(Self(socket))
    }

    pub(super) async fn send(&mut self, messages: &[Vec<u8>]) -> Result<(), NotSent> {
        for message in messages {
            self.0.send(message).await.map_err(NotSent::new)?;
        }
        Ok(())
    }
}
