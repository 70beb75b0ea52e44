//! What a command wrote: the end first, any other part by its bytes, new bytes as they come, all of it
//! as a download.

use std::io;
use std::path::Path;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    HeaderValue,
};
use actix_web::web::Bytes;
use futures_util::stream;
use tokio::task::spawn_blocking;

use crate::domain::CommandId;
use crate::store::output;

use super::super::Web;
use super::super::ansi::{self, Pen};
use super::super::error::Problem;
use super::super::words::bytes;

/// The most output that one page shows.
pub(super) const PAGE: u64 = 256 * 1024;
/// The most that one poll appends.
const PIECE: u64 = 64 * 1024;
/// The lines of a command's own page.
const LINES: usize = 40;
/// How far back those lines are looked for.
const LOOK_BACK: u64 = 64 * 1024;
/// How often a waiting poll looks at the file's length.
pub(super) const GLANCE: Duration = Duration::from_millis(150);
/// What a download reads at once.
const BLOCK: u64 = 256 * 1024;

/// A part of the output on a page.
pub(super) struct Part {
    /// Safe HTML: drawn by [`ansi::draw`], which escapes every character.
    pub(super) html: String,
    /// Where the part begins, and where the next one does.
    pub(super) from: u64,
    pub(super) end: u64,
    /// How the next piece begins to be written.
    pub(super) pen: String,
    /// How much there is in all.
    pub(super) size: u64,
    /// Said before the part, where something was left out.
    pub(super) note: String,
}

impl Part {
    pub(super) fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// True where bytes before the part are not shown.
    pub(super) fn is_cut(&self) -> bool {
        self.from > 0
    }

    /// All of it, for a reader: `12 KiB`.
    pub(super) fn total(&self) -> String {
        bytes(self.size)
    }

    /// Where the part before this one begins.
    pub(super) fn earlier(&self) -> Option<u64> {
        (self.from > 0).then(|| self.from.saturating_sub(PAGE))
    }

    /// Where the last part begins.
    pub(super) fn last(&self) -> u64 {
        self.size.saturating_sub(PAGE)
    }

    /// Where the part after this one begins.
    pub(super) fn later(&self) -> Option<u64> {
        (self.end < self.size).then_some(self.end)
    }
}

/// The first lines of an output, among others on a page.
pub(super) struct Excerpt {
    /// Safe HTML: drawn by [`ansi::draw`], which escapes every character.
    pub(super) html: String,
    /// Whether there is more than that.
    pub(super) more: bool,
}

/// The last lines of several outputs, where what went wrong stands; empty where nothing was written.
pub(super) async fn excerpts(web: &Web, ids: Vec<CommandId>) -> Result<Vec<Excerpt>, Problem> {
    const LINES: usize = 6;
    const BYTES: u64 = 1_200;
    let folder = web.engine.data_dir().to_owned();
    let read = move |id: &CommandId| -> io::Result<Excerpt> {
        let size = output::length(&folder, *id)?;
        if size == 0 {
            return Ok(Excerpt {
                html: String::new(),
                more: false,
            });
        }
        let begin = size.saturating_sub(BYTES);
        let bytes = output::read_range(&folder, *id, begin, size)?;
        let from = last_lines(&bytes, LINES, begin > 0);
        let shown = bytes.get(from..).unwrap_or_default();
        Ok(Excerpt {
            html: ansi::draw(shown, Pen::default(), true).html,
            more: begin > 0 || from > 0,
        })
    };
    spawn_blocking(move || ids.iter().map(read).collect())
        .await
        .map_err(io::Error::other)
        .and_then(std::convert::identity)
        .map_err(|why| unreadable(&why))
}

/// The last lines.
pub(super) async fn tail(web: &Web, id: CommandId, open: bool) -> Result<Part, Problem> {
    let size = length(web, id).await?;
    let begin = size.saturating_sub(LOOK_BACK);
    let read = read(web, id, begin, size).await?;
    let from = last_lines(&read, LINES, begin > 0);
    let begin = begin + from as u64;
    let drawn = ansi::draw(read.get(from..).unwrap_or_default(), Pen::default(), !open);
    Ok(Part {
        end: begin + drawn.used as u64,
        html: drawn.html,
        from: begin,
        pen: drawn.pen.text(),
        size: size.max(begin + drawn.used as u64),
        note: String::new(),
    })
}

/// Where the last lines begin; at a line's beginning wherever there is one.
fn last_lines(text: &[u8], lines: usize, cut: bool) -> usize {
    let body = text.strip_suffix(b"\n").unwrap_or(text);
    let mut ends = body
        .iter()
        .enumerate()
        .rev()
        .filter(|(_, byte)| **byte == b'\n')
        .map(|(at, _)| at);
    match ends.nth(lines - 1) {
        Some(at) => at + 1,
        None if cut => body.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1),
        None => 0,
    }
}

/// A page full of output from an offset, else from its beginning; whole lines wherever it has lines.
pub(super) async fn range(web: &Web, id: CommandId, from: Option<u64>) -> Result<Part, Problem> {
    let size = length(web, id).await?;
    let from = from.unwrap_or(0).min(size);
    let to = (from + PAGE).min(size);
    // The byte before tells whether the part begins at a line already.
    let before = from.saturating_sub(1);
    let read = read(web, id, before, to).await?;
    let (text, at_line) = match read.split_first() {
        Some((byte, rest)) if from > 0 => (rest, *byte == b'\n'),
        _ => (read.as_slice(), true),
    };
    let (begin, end) = whole_lines(text, at_line, to == size);
    let drawn = ansi::draw(text.get(begin..end).unwrap_or_default(), Pen::default(), true);
    Ok(Part {
        end: from + end as u64,
        html: drawn.html,
        from: from + begin as u64,
        pen: String::new(),
        size,
        note: String::new(),
    })
}

/// Which of these bytes are whole lines; all of them where there is no line's end to cut at.
fn whole_lines(text: &[u8], at_line: bool, at_end: bool) -> (usize, usize) {
    let first = text.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let begin = if at_line { 0 } else { first };
    let last = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let end = if at_end || last <= begin { text.len() } else { last };
    if begin < end { (begin, end) } else { (0, text.len()) }
}

/// What came after an offset. Too much of it, and only its end is shown.
pub(super) async fn piece(web: &Web, id: CommandId, from: u64, pen: Pen, open: bool) -> Result<Part, Problem> {
    let size = length(web, id).await?;
    let from = from.min(size);
    let skips = size - from > PAGE;
    let (begin, pen) = if skips {
        (size - PIECE, Pen::default())
    } else {
        (from, pen)
    };
    let end = (begin + PIECE).min(size);
    let mut read = read(web, id, begin, end).await?;
    let cut = if skips { whole_lines(&read, false, true).0 } else { 0 };
    let begin = begin + cut as u64;
    read.drain(..cut);
    let drawn = ansi::draw(&read, pen, !open && end == size);
    let note = if begin > from {
        format!(
            "… {} more were written meanwhile; “All output” has them …",
            bytes(begin - from)
        )
    } else {
        String::new()
    };
    Ok(Part {
        end: begin + drawn.used as u64,
        html: drawn.html,
        from: begin,
        pen: drawn.pen.text(),
        size,
        note,
    })
}

/// How long the output is now; 0 where there is none.
pub(super) async fn length(web: &Web, id: CommandId) -> Result<u64, Problem> {
    let folder = web.engine.data_dir().to_owned();
    spawn_blocking(move || output::length(&folder, id))
        .await
        .map_err(io::Error::other)
        .and_then(std::convert::identity)
        .map_err(|why| unreadable(&why))
}

async fn read(web: &Web, id: CommandId, from: u64, to: u64) -> Result<Vec<u8>, Problem> {
    if from >= to {
        return Ok(Vec::new());
    }
    let folder = web.engine.data_dir().to_owned();
    read_from(folder.as_path(), id, from, to)
        .await
        .map_err(|why| unreadable(&why))
}

async fn read_from(folder: &Path, id: CommandId, from: u64, to: u64) -> io::Result<Vec<u8>> {
    let folder = folder.to_owned();
    spawn_blocking(move || output::read_range(&folder, id, from, to))
        .await
        .map_err(io::Error::other)?
}

fn unreadable(why: &io::Error) -> Problem {
    Problem::internal(format!("the command's output cannot be read: {why}"))
}

/// The whole output as a file, or the range that the browser asks for.
pub(super) async fn download(
    web: &Web,
    id: CommandId,
    name: &str,
    range: Option<&str>,
) -> Result<HttpResponse, Problem> {
    let size = length(web, id).await?;
    let wanted = range.map(|text| byte_range(text, size));
    let (from, to) = match wanted {
        None | Some(Wanted::Whole) => (0, size),
        Some(Wanted::Part(from, to)) => (from, to),
        Some(Wanted::Outside) => {
            return Ok(HttpResponse::RangeNotSatisfiable()
                .insert_header((CONTENT_RANGE, format!("bytes */{size}")))
                .finish());
        }
    };
    let mut answer = if matches!(wanted, Some(Wanted::Part(..))) {
        let mut answer = HttpResponse::PartialContent();
        answer.insert_header((CONTENT_RANGE, format!("bytes {from}-{}/{size}", to.saturating_sub(1))));
        answer
    } else {
        HttpResponse::Ok()
    };
    answer
        .insert_header((CONTENT_TYPE, "text/plain; charset=utf-8"))
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((ACCEPT_RANGES, "bytes"))
        // Said so that no compression changes the bytes that a range counts.
        .insert_header((CONTENT_ENCODING, HeaderValue::from_static("identity")))
        .insert_header((CONTENT_LENGTH, to - from))
        .no_chunking(to - from);
    let folder = web.engine.data_dir().to_owned();
    Ok(answer.streaming(stream::try_unfold(from, move |at| {
        let folder = folder.clone();
        async move {
            if at >= to {
                return Ok::<_, io::Error>(None);
            }
            let block = read_from(&folder, id, at, (at + BLOCK).min(to)).await?;
            if block.is_empty() {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
            let next = at + block.len() as u64;
            Ok(Some((Bytes::from(block), next)))
        }
    })))
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Wanted {
    Whole,
    Part(u64, u64),
    Outside,
}

/// One range of bytes, end exclusive; several ranges, or what cannot be read, mean the whole.
fn byte_range(header: &str, size: u64) -> Wanted {
    let Some((first, last)) = header
        .trim()
        .strip_prefix("bytes=")
        .and_then(|spec| spec.split_once('-'))
    else {
        return Wanted::Whole;
    };
    let (from, to) = match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(from), Ok(last)) if from <= last => (from, last.saturating_add(1).min(size)),
        (Ok(from), Err(_)) if last.trim().is_empty() => (from, size),
        (Err(_), Ok(count)) if first.trim().is_empty() && count > 0 => (size.saturating_sub(count), size),
        _ => return Wanted::Whole,
    };
    if from >= to {
        Wanted::Outside
    } else {
        Wanted::Part(from, to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_begin_at_a_line() {
        let text: String = (0..100).map(|n| format!("line {n}\n")).collect();
        let from = last_lines(text.as_bytes(), LINES, false);
        assert!(text[from..].starts_with("line 60\n"));
        assert_eq!(last_lines(b"one\ntwo", LINES, false), 0);
        assert_eq!(last_lines(b"half\nwhole\n", LINES, true), 5);
        assert_eq!(last_lines(b"", LINES, false), 0);
        assert_eq!(last_lines(&[b'x'; 100], LINES, true), 0);
    }

    #[test]
    fn a_part_has_whole_lines() {
        let whole = |text: &str, at_line, at_end| {
            let (begin, end) = whole_lines(text.as_bytes(), at_line, at_end);
            text[begin..end].to_owned()
        };
        assert_eq!(whole("a\nb\nhal", true, false), "a\nb\n");
        assert_eq!(whole("lf\nb\nhal", false, false), "b\n");
        assert_eq!(whole("lf\nb\nhal", false, true), "b\nhal");
        assert_eq!(whole("no end", false, false), "no end");
    }

    #[test]
    fn ranges_are_read_as_http_means_them() {
        for (header, wanted) in [
            ("bytes=0-99", Wanted::Part(0, 100)),
            ("bytes=900-", Wanted::Part(900, 1_000)),
            ("bytes=-10", Wanted::Part(990, 1_000)),
            ("bytes=990-5000", Wanted::Part(990, 1_000)),
            ("bytes=1000-", Wanted::Outside),
            ("bytes=5-2", Wanted::Whole),
            ("bytes=0-1,5-6", Wanted::Whole),
            ("lines=1-2", Wanted::Whole),
        ] {
            assert_eq!(byte_range(header, 1_000), wanted, "{header}");
        }
    }
}
