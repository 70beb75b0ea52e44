//! A follower: the one reader of a job's output and end. It decides nothing; when its connection is lost it says so, and
//! whoever follows opens another one from the offset that he has.

use std::collections::VecDeque;
use std::time::Duration;

use super::answers::{evidence, nowhere, number, place};
use super::channel::{Channel, Frame};
use super::{HostError, JobEvent};
use crate::domain::Identity;

/// The host speaks every 3 s; this long a silence is a lost connection.
const SILENCE: Duration = Duration::from_secs(30);

/// Hears what a job does. Dropping it ends the connection, never the job.
pub struct Follower {
    channel: Channel,
    at: Identity,
    heard: VecDeque<JobEvent>,
}

impl Follower {
    pub(super) fn new(channel: Channel) -> Self {
        Self {
            channel,
            at: nowhere(),
            heard: VecDeque::new(),
        }
    }

    /// Waits until the host has acknowledged the start or said why there is none; nothing is lost to [`Self::next`].
    pub(super) async fn acknowledged(mut self) -> Result<Self, HostError> {
        loop {
            let event = self.hear().await?;
            let is_place = matches!(event, JobEvent::At(_));
            self.heard.push_back(event);
            if !is_place {
                return Ok(self);
            }
        }
    }

    /// The next event; after [`JobEvent::Ended`] there is none.
    ///
    /// # Errors
    /// `Lost` when the connection ended before the last word, `DiskFull` and `Spool` when the launch could not be
    /// prepared. None of them ends the job.
    pub async fn next(&mut self) -> Result<JobEvent, HostError> {
        match self.heard.pop_front() {
            Some(event) => Ok(event),
            None => self.hear().await,
        }
    }

    async fn hear(&mut self) -> Result<JobEvent, HostError> {
        loop {
            match self.channel.frame(SILENCE).await? {
                Frame::Line(word, rest) => match word.as_str() {
                    "started" => {
                        let age_ms = number(&rest)?;
                        return Ok(JobEvent::Started { age_ms });
                    }
                    "alive" => {
                        let age_ms = number(&rest)?;
                        return Ok(JobEvent::Alive { age_ms });
                    }
                    "evidence" => return Ok(JobEvent::Ended(evidence(&rest)?)),
                    word => {
                        if place(&mut self.at, word, &rest) {
                            return Ok(JobEvent::At(self.at.clone()));
                        }
                    }
                },
                Frame::Block(offset, bytes) => {
                    let offset = u64::try_from(number(&offset)?)
                        .map_err(|_| HostError::Lost("a block of output at no offset".to_owned()))?;
                    return Ok(JobEvent::Output { offset, bytes });
                }
                Frame::End => return Err(HostError::Lost("the host said no last word".to_owned())),
            }
        }
    }
}
