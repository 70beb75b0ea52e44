//! One channel: a shell at the other end of a pipe, the text it gets, and the frames it answers with.
//! Noise of start-up files comes before the marker and is skipped; after it every byte is accounted for. Dropping a
//! channel ends the client on this side and nothing else.

use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::HostError;
use crate::domain::{MESSAGE_LIMIT, bounded};

/// The most that start-up files may print.
const NOISE_LIMIT: usize = 256 * 1024;
/// The longest line of the protocol.
const LINE_LIMIT: u64 = 64 * 1024;
/// The largest block of bytes in one frame.
const BLOCK_LIMIT: usize = 2 * 1024 * 1024;

/// One answer of the program.
#[derive(Debug)]
pub(super) enum Frame {
    /// A word and the rest of its line.
    Line(String, String),
    /// What its line says beside the length, and the bytes, which are whole.
    Block(String, Vec<u8>),
    /// The protocol's own end: everything was said.
    End,
}

/// A shell that has said the marker.
pub(super) struct Channel {
    child: Child,
    reader: BufReader<ChildStdout>,
    nonce: String,
    /// The last that was printed before the marker: where there is none, it may say why.
    noise: Vec<u8>,
    stderr: Stderr,
    /// Held while the channel is open.
    _permit: Option<OwnedSemaphorePermit>,
}

/// Why no marker was seen.
pub(super) enum Opening {
    /// The client ended first; this is what it wrote to standard error.
    Ended(String),
    /// It could not be spawned, or said nothing in time.
    Failed(HostError),
}

struct Stderr {
    kept: Arc<Mutex<Vec<u8>>>,
    task: JoinHandle<()>,
}

impl Channel {
    /// Spawns `command`, sends it `text` and waits for the marker, `patience` at most. The caller says whether dropping
    /// the channel ends the client (`kill_on_drop`); one that is left ends itself when it speaks and nobody hears it.
    pub(super) async fn open(
        mut command: Command,
        text: String,
        nonce: String,
        patience: Duration,
    ) -> Result<Self, Opening> {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.process_group(0);
        let cannot = |what: &str| Opening::Failed(HostError::Unreachable(format!("cannot start the client: {what}")));
        let mut child = command.spawn().map_err(|error| cannot(&error.to_string()))?;
        let (Some(mut stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(cannot("no pipes"));
        };
        tokio::spawn(async move {
            // An error shows as the missing marker.
            let _ = stdin.write_all(text.as_bytes()).await;
        });
        let mut channel = Self {
            child,
            reader: BufReader::with_capacity(64 * 1024, stdout),
            nonce,
            noise: Vec::new(),
            stderr: Stderr::collect(stderr),
            _permit: None,
        };
        match timeout(patience, channel.skip_noise()).await {
            Ok(Ok(())) => Ok(channel),
            Ok(Err(HostError::Lost(_))) => {
                let said = channel.complaint().await;
                let noise = String::from_utf8_lossy(&channel.noise).into_owned();
                Err(Opening::Ended(if said.is_empty() { noise } else { said }))
            }
            Ok(Err(error)) => Err(Opening::Failed(error)),
            Err(_) => {
                let said = channel.stderr.text();
                let secs = patience.as_secs();
                Err(Opening::Failed(HostError::Unreachable(bounded(
                    format!("no answer within {secs} s {said}").trim_end(),
                    MESSAGE_LIMIT,
                ))))
            }
        }
    }

    /// Keeps `permit` until the channel is dropped.
    pub(super) fn hold(mut self, permit: OwnedSemaphorePermit) -> Self {
        self._permit = Some(permit);
        self
    }

    async fn skip_noise(&mut self) -> Result<(), HostError> {
        let marker = format!("quarterdeck {}", self.nonce);
        let mut skipped = 0;
        while skipped < NOISE_LIMIT {
            let line = self.line().await?;
            if line == marker.as_bytes() {
                return Ok(());
            }
            skipped += line.len() + 1;
            if !line.is_empty() {
                self.noise = line;
            }
        }
        Err(HostError::Unreachable(
            "the login shell's start-up files print more than 256 KiB; make them quiet for sessions without a terminal"
                .to_owned(),
        ))
    }

    /// The next frame, `patience` at most.
    ///
    /// # Errors
    /// The program's own error; `Lost` for an end without the protocol's last line, or anything that is no frame.
    pub(super) async fn frame(&mut self, patience: Duration) -> Result<Frame, HostError> {
        match timeout(patience, self.read_frame()).await {
            Ok(Err(HostError::Lost(why))) => {
                let said = self.complaint().await;
                let why = if said.is_empty() { why } else { format!("{why}: {said}") };
                Err(HostError::Lost(bounded(&why, MESSAGE_LIMIT)))
            }
            Ok(answer) => answer,
            Err(_) => Err(HostError::Lost(format!("silent for {} s", patience.as_secs()))),
        }
    }

    async fn read_frame(&mut self) -> Result<Frame, HostError> {
        let line = self.line().await?;
        let line = String::from_utf8_lossy(&line).into_owned();
        let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
        match word {
            "end" if rest == self.nonce => Ok(Frame::End),
            "error" => Err(host_error(rest)),
            "data" | "check" => {
                let (about, length) = rest.rsplit_once(' ').ok_or_else(|| not_ours(&line))?;
                let length: usize = length.parse().map_err(|_| not_ours(&line))?;
                if length > BLOCK_LIMIT {
                    return Err(not_ours(&line));
                }
                let bytes = self.block(length).await?;
                Ok(Frame::Block(about.to_owned(), bytes))
            }
            _ => Ok(Frame::Line(word.to_owned(), rest.to_owned())),
        }
    }

    /// Bytes count only when the line behind them is in its place: a block cut short is no data.
    async fn block(&mut self, length: usize) -> Result<Vec<u8>, HostError> {
        let mut bytes = vec![0; length];
        self.reader.read_exact(&mut bytes).await.map_err(|_| cut_off())?;
        let trailer = format!("whole {}", self.nonce);
        let before = self.line().await?;
        let after = self.line().await?;
        if !before.is_empty() || after != trailer.as_bytes() {
            return Err(HostError::Lost("a block of output came cut short".to_owned()));
        }
        Ok(bytes)
    }

    async fn line(&mut self) -> Result<Vec<u8>, HostError> {
        let mut line = Vec::new();
        let mut limited = (&mut self.reader).take(LINE_LIMIT);
        limited.read_until(b'\n', &mut line).await.map_err(|_| cut_off())?;
        match line.pop() {
            Some(b'\n') => Ok(line),
            Some(last) if line.len() as u64 + 1 == LINE_LIMIT => {
                line.push(last);
                Ok(line)
            }
            Some(_) | None => Err(cut_off()),
        }
    }

    /// What the client wrote to standard error, once it has ended (or a moment has passed).
    async fn complaint(&mut self) -> String {
        let _ = timeout(Duration::from_millis(500), self.child.wait()).await;
        let _ = timeout(Duration::from_millis(200), &mut self.stderr.task).await;
        self.stderr.text()
    }
}

impl Stderr {
    fn collect(mut stream: impl tokio::io::AsyncRead + Unpin + Send + 'static) -> Self {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&kept);
        let task = tokio::spawn(async move {
            let mut piece = [0; 1024];
            while let Ok(length @ 1..) = stream.read(&mut piece).await {
                let mut kept = into.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend_from_slice(&piece[..length]);
                // The last words say why.
                let surplus = kept.len().saturating_sub(8 * 1024);
                kept.drain(..surplus);
            }
        });
        Self { kept, task }
    }

    fn text(&self) -> String {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&kept).trim().replace('\r', "")
    }
}

fn cut_off() -> HostError {
    HostError::Lost("the connection ended in the middle".to_owned())
}

fn not_ours(line: &str) -> HostError {
    HostError::Lost(format!("not understood: {}", bounded(line, 200)))
}

fn host_error(text: &str) -> HostError {
    let (kind, text) = text.split_once(' ').unwrap_or((text, ""));
    let text = bounded(text, MESSAGE_LIMIT);
    match kind {
        "disk" => HostError::DiskFull(text),
        "spool" => HostError::Spool(text),
        "scope" => HostError::Scope(text),
        _ => HostError::Lost(text),
    }
}
