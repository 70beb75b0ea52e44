//! A follower: the one reader of a job's output and end. It decides nothing; when its connection is lost it says so, and
//! whoever follows opens another one from the offset that he has.
//!
//! Frames are read by a task of their own, so that waiting for the next event can be given up at any instant without
//! tearing a frame in two.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::answers::{evidence, milliseconds, nowhere, place};
use super::channel::{Channel, Frame};
use super::{HostError, JobEvent};
use crate::domain::Identity;

/// The host speaks every 3 s; this long a silence is a lost connection.
const SILENCE: Duration = Duration::from_secs(30);
/// Events that wait for a slow reader, of 1 MiB at most each; then the host waits.
const AHEAD: usize = 4;

/// Hears what a job does. Dropping it ends the connection, never the job.
pub struct Follower {
    heard: mpsc::Receiver<Result<JobEvent, HostError>>,
    /// Taken out of `heard` to learn whether the start was acknowledged.
    early: Vec<JobEvent>,
    reader: JoinHandle<()>,
}

impl Follower {
    pub(super) fn new(channel: Channel, offset: u64) -> Self {
        let (tell, heard) = mpsc::channel(AHEAD);
        Self {
            heard,
            early: Vec::new(),
            reader: tokio::spawn(read(channel, offset, tell)),
        }
    }

    /// Waits until the host has acknowledged the start or said why there is none; nothing is lost to [`Self::next`].
    pub(super) async fn acknowledged(mut self) -> Result<Self, HostError> {
        let mut early = Vec::new();
        loop {
            let event = self.next().await?;
            let is_place = matches!(event, JobEvent::At(_));
            early.insert(0, event);
            if !is_place {
                self.early = early;
                return Ok(self);
            }
        }
    }

    /// The next event; after [`JobEvent::Ended`] there is none. May be given up at any instant (`select!`) and called
    /// again: nothing is lost.
    ///
    /// # Errors
    /// `Lost` when the connection ended before the last word, `DiskFull`, `Spool` and `Scope` when the launch could not be
    /// prepared. None of them ends the job.
    pub async fn next(&mut self) -> Result<JobEvent, HostError> {
        match self.early.pop() {
            Some(event) => Ok(event),
            None => self.heard.recv().await.unwrap_or_else(|| Err(over())),
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// Reads to the last word or the first error, and tells each.
async fn read(mut channel: Channel, offset: u64, tell: mpsc::Sender<Result<JobEvent, HostError>>) {
    let mut hearing = Hearing { at: nowhere(), offset };
    loop {
        let event = match channel.frame(SILENCE).await {
            Ok(frame) => hearing.translate(frame),
            Err(error) => Err(error),
        };
        let last = matches!(event, Ok(Some(JobEvent::Ended(_))) | Err(_));
        if let Some(event) = event.transpose()
            && tell.send(event).await.is_err()
        {
            return;
        }
        if last {
            return;
        }
    }
}

/// What is known between two frames.
struct Hearing {
    at: Identity,
    /// Where the next byte of output belongs.
    offset: u64,
}

impl Hearing {
    /// None for a frame that is only a part of an event, or a sign of life.
    fn translate(&mut self, frame: Frame) -> Result<Option<JobEvent>, HostError> {
        Ok(match frame {
            Frame::Line(word, rest) => match word.as_str() {
                "started" => Some(JobEvent::Started {
                    age_ms: milliseconds(&rest)?,
                }),
                "alive" => Some(JobEvent::Alive {
                    age_ms: milliseconds(&rest)?,
                }),
                "evidence" => Some(JobEvent::Ended(evidence(&rest)?)),
                word => place(&mut self.at, word, &rest).then(|| JobEvent::At(self.at.clone())),
            },
            Frame::Block(offset, bytes) => {
                if offset != self.offset.to_string() {
                    return Err(HostError::Lost("a block of output came for another place".to_owned()));
                }
                let offset = self.offset;
                self.offset += bytes.len() as u64;
                Some(JobEvent::Output { offset, bytes })
            }
            Frame::End => return Err(over()),
        })
    }
}

fn over() -> HostError {
    HostError::Lost("the host said no last word".to_owned())
}
