//! What a report says, in words: rows become lines, counts become tables. What is drawn here is what its digest is of,
//! so nothing in here may look at a clock, a version or a row that is not handed in.

use std::collections::BTreeMap;
use std::path::Path;

use askama::Template;

use crate::domain::{Actor, CommandStatus, Definition, Digest, Paper, ReportAsk, Span, Timestamp, bounded};
use crate::engine::ClockState;
use crate::store::{CommandRow, EventLine, ReportRow, output};

use super::super::clock::Clock;
use super::super::words::{self, bytes, count};
use super::report_gather::{Covered, Gathered, is_unexplained};

/// The longest message that is printed, in bytes; the log has the rest.
const MESSAGE: usize = 1_500;
/// Lines, and bytes, of a command's output that are printed.
const EXCERPT: (usize, u64) = (12, 1_500);
/// Excerpts that one part prints at most.
const EXCERPTS: usize = 300;
/// The longest script that is printed, in bytes.
const SCRIPT: usize = 16_000;
/// An outcome that was learned this much after the end was settled later.
const LATE: Span = Span::from_secs(30);

/// How the dashboard stood when the report was made.
pub(super) struct Making {
    pub(super) organisation: String,
    pub(super) version: &'static str,
    pub(super) dashboard: String,
    pub(super) keeps_events: Option<Span>,
    pub(super) keeps_commands: Option<Span>,
    pub(super) clock: ClockState,
    /// What `audit verify` said, in a sentence; whether it is good.
    pub(super) verdict: Option<(bool, Vec<String>)>,
    /// The last outside witness, in a sentence.
    pub(super) witness: Option<String>,
}

#[derive(Template)]
#[template(path = "report/content.html")]
pub(super) struct Content {
    number: String,
    organisation: String,
    question: String,
    part: Option<String>,
    over: bool,
    facts: Vec<(&'static str, String)>,
    integrity: Vec<(&'static str, String)>,
    verdict: Option<(bool, Vec<String>)>,
    witness: Option<String>,
    gaps: Vec<String>,
    /// Set in the second drawing: how many rows the first one had.
    pub(super) printed: (usize, usize),
    expected: (usize, usize),
    totals: Vec<Total>,
    exceptions: Vec<Exception>,
    exceptions_total: usize,
    commands: Vec<CommandLine>,
    commands_total: usize,
    with_events: bool,
    events: Vec<Event>,
    events_total: usize,
    access: Vec<Event>,
    access_total: usize,
    coverage: Option<(String, String)>,
    covered: Vec<CoverLine>,
    excerpts: Vec<Excerpt>,
    excerpts_left_out: usize,
    definitions: Vec<Def>,
    definitions_left_out: usize,
    zone: String,
    /// `CET, UTC+01:00`: where it is the same over the whole range.
    offset: Option<String>,
}

struct Total {
    title: &'static str,
    rows: Vec<(String, usize)>,
}

struct Exception {
    at: String,
    what: String,
    by: String,
    why: Vec<String>,
    row: Option<usize>,
}

struct CommandLine {
    row: usize,
    id: String,
    from: String,
    to: String,
    took: String,
    by: String,
    op: String,
    host: String,
    how: String,
    bad: bool,
    evidence: Vec<String>,
    reason: String,
}

struct Event {
    id: i64,
    at: String,
    level: String,
    by: String,
    action: String,
    host: String,
    message: String,
}

struct CoverLine {
    host: String,
    at: String,
    note: String,
    missing: bool,
}

struct Excerpt {
    row: usize,
    what: String,
    facts: String,
    text: String,
}

struct Def {
    digest: String,
    op: String,
    facts: String,
    parts: Vec<(&'static str, String)>,
}

impl Content {
    pub(super) fn new(row: &ReportRow, found: &Gathered, making: &Making, clock: &Clock, data_dir: &Path) -> Self {
        let ask = &row.parameters;
        let offset = same_offset(ask, row.made_at, clock);
        let said = Said {
            clock,
            found,
            named: offset.is_none(),
        };
        let (excerpts, excerpts_left_out) = if ask.excerpts {
            said.excerpts(data_dir)
        } else {
            (Vec::new(), 0)
        };
        let expected = (found.commands.len(), found.events.len());
        Self {
            number: row.number.to_string(),
            organisation: making.organisation.clone(),
            question: question(ask, clock),
            part: (found.parts > 1).then(|| {
                format!(
                    "Part {} of {}: commands {} and events {} of this range. Every part knows the events up to #{} and none above.",
                    ask.part,
                    found.parts,
                    places(found.commands_before, found.commands.len(), found.totals.commands),
                    places(found.events_before, found.events.len(), found.events_total),
                    found.covers
                )
            }),
            over: ask.until > row.made_at,
            facts: facts(row, making, clock),
            integrity: said.integrity(),
            verdict: making.verdict.clone(),
            witness: making.witness.clone(),
            gaps: said.gaps(ask),
            printed: (0, 0),
            expected,
            totals: said.totals(),
            exceptions: found.exceptions.iter().map(|row| said.exception(row)).collect(),
            exceptions_total: found.exceptions_total,
            commands: found.commands.iter().enumerate().map(|(at, row)| said.command(at, row)).collect(),
            commands_total: found.totals.commands,
            with_events: ask.events,
            events: found.events.iter().map(|event| said.event(event)).collect(),
            events_total: found.events_total,
            access: found.access.iter().map(|event| said.event(event)).collect(),
            access_total: found.access_total,
            coverage: ask.coverage.as_ref().map(|name| {
                let bad = found.coverage.iter().filter(|host| host.success.is_none()).count();
                let all = count(found.coverage.len(), "host", "hosts");
                let says = match bad {
                    0 => format!("All of {all} had a success in the range."),
                    bad => format!("{bad} of {all} had no success in the range."),
                };
                (name.to_string(), says)
            }),
            covered: found.coverage.iter().map(|covered| said.covered(covered)).collect(),
            excerpts,
            excerpts_left_out,
            definitions: definitions(found),
            definitions_left_out: found.definitions_left_out,
            zone: clock.zone(),
            offset: offset.filter(|_| clock.zone() != "UTC"),
        }
    }

    pub(super) fn expected(&self) -> (usize, usize) {
        self.expected
    }
}

/// `17 to 117 of 4711`, `none`.
fn places(before: usize, here: usize, all: usize) -> String {
    match here {
        0 => "none".to_owned(),
        _ => format!("{} to {} of {all}", before + 1, before + here),
    }
}

/// The report in one question.
fn question(ask: &ReportAsk, clock: &Clock) -> String {
    let who = match &ask.actor {
        Some(actor) => format!("What did {} do", actor_words(actor)),
        None => "Who did what".to_owned(),
    };
    let place = match (&ask.host, &ask.tag) {
        (Some(host), Some(tag)) => format!(" on {host}, if it is tagged {tag},"),
        (Some(host), None) => format!(" on {host}"),
        (None, Some(tag)) => format!(" on hosts tagged {tag}"),
        (None, None) => " on any host".to_owned(),
    };
    let op = ask
        .op
        .as_ref()
        .map(|op| format!(" with the op {op}"))
        .unwrap_or_default();
    let end = match ask.status {
        Some(status) => format!("which of it ended as “{}”", status.name()),
        None => "how did it end".to_owned(),
    };
    format!(
        "{who}{place}{op} from {} to {}, and {end}?",
        stamp(ask.since, clock),
        stamp(ask.until, clock)
    )
}

fn actor_words(actor: &str) -> String {
    match actor.parse::<Actor>() {
        Ok(Actor::System) => "the dashboard itself".to_owned(),
        Ok(Actor::User(name)) => name,
        Ok(Actor::Token(name)) => format!("the program {name}"),
        Ok(Actor::Local(name)) => format!("{name} (account of the dashboard's machine)"),
        Err(_) => actor.to_owned(),
    }
}

/// `2026-11-23 14:02:11 CET`: for a sentence.
fn stamp(at: Timestamp, clock: &Clock) -> String {
    clock.when(at).full
}

fn keeps(span: Option<Span>) -> String {
    match span {
        Some(span) => count(span.as_secs() / 86_400, "day", "days"),
        None => "for ever".to_owned(),
    }
}

fn facts(row: &ReportRow, making: &Making, clock: &Clock) -> Vec<(&'static str, String)> {
    let ask = &row.parameters;
    let filters: Vec<String> = [
        ask.host.as_ref().map(|host| format!("host {host}")),
        ask.tag.as_ref().map(|tag| format!("tag {tag}")),
        ask.op.as_ref().map(|op| format!("op {op}")),
        ask.actor.as_ref().map(|actor| format!("actor {actor}")),
        ask.status.map(|status| format!("status “{}”", status.name())),
    ]
    .into_iter()
    .flatten()
    .collect();
    let filters = if filters.is_empty() {
        "none: everything in the range".to_owned()
    } else {
        filters.join(", ")
    };
    let from = row
        .address
        .as_ref()
        .map(|address| format!(", from {address}"))
        .unwrap_or_default();
    let synchronised = match making.clock {
        ClockState::Synchronised => "yes, the system says that it follows a time server",
        ClockState::Free => "NO: the system says that its clock follows no time server",
        ClockState::Unknown => "unknown: the system did not say whether its clock follows a time server",
    };
    vec![
        ("From", stamp(ask.since, clock)),
        ("To", format!("{} (not included)", stamp(ask.until, clock))),
        ("Time zone", format!("{}; the journal itself is in UTC", clock.zone())),
        ("Filters", filters),
        ("Made by", format!("{}{from}", row.made_by)),
        ("Made at", stamp(row.made_at, clock)),
        (
            "Software",
            format!("Quarterdeck {}, dashboard {}", making.version, making.dashboard),
        ),
        (
            "Retention",
            format!(
                "events {}, commands and pipelines {}",
                keeps(making.keeps_events),
                keeps(making.keeps_commands)
            ),
        ),
        ("Clock synchronised", synchronised.to_owned()),
        ("Paper", row.paper.name().to_owned()),
    ]
}

/// The zone's offset, where no clock was changed from the beginning of the range up to when the report was made.
fn same_offset(ask: &ReportAsk, made: Timestamp, clock: &Clock) -> Option<String> {
    let until = ask.until.max(made).as_jiff();
    let mut changes = clock.zone.following(ask.since.as_jiff());
    if changes.next().is_some_and(|change| change.timestamp() <= until) {
        return None;
    }
    let at = ask.since.as_jiff().to_zoned(clock.zone.clone());
    Some(at.strftime("%Z, UTC%:z").to_string())
}

/// Says rows in words.
struct Said<'a> {
    clock: &'a Clock,
    found: &'a Gathered,
    /// Whether each time names its offset: in a range over a change of clocks.
    named: bool,
}

impl Said<'_> {
    /// For a table, before which the zone is named.
    fn at(&self, at: Timestamp) -> String {
        let full = self.clock.when(at).full;
        match full.rsplit_once(' ') {
            Some((plain, _)) if !self.named => plain.to_owned(),
            _ => full,
        }
    }

    fn integrity(&self) -> Vec<(&'static str, String)> {
        let found = self.found;
        let between = match (found.first_event, found.last_event) {
            (Some(first), Some(last)) => {
                let all = usize::try_from(last - first + 1).unwrap_or_default();
                let whole = if all == found.range_events {
                    "contiguous: no number is missing".to_owned()
                } else {
                    let missing = all.saturating_sub(found.range_events);
                    format!(
                        "NOT contiguous: {missing} numbers are missing; of {} of them a sweep kept the hash",
                        found.range_swept
                    )
                };
                format!(
                    "#{first} to #{last}, {} in the range; {whole}",
                    count(found.range_events, "event", "events")
                )
            }
            _ => "none in the range".to_owned(),
        };
        vec![
            ("Events of the range", between),
            ("Events known", format!("up to #{}", found.covers)),
            (
                "What the filters let through",
                format!(
                    "{}, {}",
                    count(found.totals.commands, "command", "commands"),
                    count(found.events_total, "event", "events")
                ),
            ),
        ]
    }

    /// What retention has taken from the range, and the sweeps themselves.
    fn gaps(&self, ask: &ReportAsk) -> Vec<String> {
        let mut gaps = Vec::new();
        match self.found.oldest {
            Some((id, at)) if id > 1 && at > ask.since => gaps.push(format!(
                "The oldest event still in the journal is #{id} of {}: events before it were removed by retention.",
                stamp(at, self.clock)
            )),
            None => gaps.push("The journal holds no event.".to_owned()),
            Some(_) => {}
        }
        for sweep in &self.found.sweeps {
            gaps.push(format!(
                "Sweep #{} at {}: {}.",
                sweep.id,
                stamp(sweep.timestamp, self.clock),
                sweep.message
            ));
        }
        gaps
    }

    fn totals(&self) -> Vec<Total> {
        let totals = &self.found.totals;
        let plain = |counts: &BTreeMap<String, usize>| -> Vec<(String, usize)> {
            let mut rows: Vec<_> = counts.iter().map(|(name, count)| (name.clone(), *count)).collect();
            rows.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
            rows
        };
        let all = CommandStatus::ALL.iter();
        let by_status = all.filter_map(|status| Some((status.name().to_owned(), *totals.by_status.get(status)?)));
        vec![
            Total {
                title: "By outcome",
                rows: by_status.collect(),
            },
            Total {
                title: "By op",
                rows: plain(&totals.by_op),
            },
            Total {
                title: "By host",
                rows: plain(&totals.by_host),
            },
            Total {
                title: "By actor",
                rows: plain(&totals.by_actor),
            },
        ]
    }

    fn how(&self, row: &CommandRow) -> String {
        bounded(&words::status(row, self.clock).text, MESSAGE)
    }

    fn exception(&self, row: &CommandRow) -> Exception {
        let mut why = Vec::new();
        if row.status.needs_attention() || row.status == CommandStatus::Blocked {
            why.push(self.how(row));
        }
        if let Some(by) = &row.resolved_by {
            why.push(format!("Resolved by hand: {by}"));
        }
        if is_unexplained(row, self.found.definition_of(row)) {
            why.push("Dangerous, and no reason was given".to_owned());
        }
        Exception {
            at: self.at(row.created_at),
            what: format!("{} on {}", row.op, row.host),
            by: row.actor.to_string(),
            why,
            row: self
                .found
                .commands
                .iter()
                .position(|printed| printed.id == row.id)
                .map(|at| self.number(at)),
        }
    }

    /// The number of a row of this part's commands among all.
    fn number(&self, at: usize) -> usize {
        self.found.commands_before + at + 1
    }

    fn command(&self, at: usize, row: &CommandRow) -> CommandLine {
        let late = matches!((row.finished_at, row.settled_at), (Some(end), Some(known)) if known.since(end) > LATE);
        let mut evidence = Vec::new();
        let how = self.how(row);
        if let Some(asked) = row
            .started_at
            .filter(|at| at.since(row.created_at) >= Span::from_secs(60))
        {
            evidence.push(format!(
                "Asked for at {}, {} before.",
                self.at(row.created_at),
                asked.since(row.created_at).human()
            ));
        }
        let error = row.error.as_ref().map(|error| self.clock.spoken(error, row.created_at));
        if let Some(error) = error.filter(|error| !how.contains(error.as_str())) {
            evidence.push(bounded(&error, MESSAGE));
        }
        if row.status != CommandStatus::Success || late || row.resolved_by.is_some() {
            evidence.extend(words::evidence(row).map(|text| bounded(&text, MESSAGE)));
        }
        if let (true, Some(known)) = (late, row.settled_at) {
            evidence.push(format!("Known since {}.", self.at(known)));
        }
        if let (Some(by), Some(at)) = (&row.stop_by, row.stop_at) {
            let note = row
                .stop_note
                .as_ref()
                .map(|note| format!(": {note}"))
                .unwrap_or_default();
            evidence.push(bounded(
                &format!("Stop asked for by {by} at {}{note}", self.at(at)),
                MESSAGE,
            ));
        }
        if let Some(by) = &row.resolved_by {
            evidence.push(format!("Resolved by hand by {by}."));
        }
        CommandLine {
            row: self.number(at),
            id: row.id.to_string(),
            from: self.at(row.started_at.unwrap_or(row.created_at)),
            to: row.finished_at.map_or_else(|| "open".to_owned(), |end| self.at(end)),
            took: match (row.started_at, row.finished_at) {
                (Some(began), Some(end)) => end.since(began).human(),
                (None, Some(_)) => "–".to_owned(),
                (_, None) => "open".to_owned(),
            },
            by: row.actor.to_string(),
            op: row.op.to_string(),
            host: row.host.clone(),
            bad: row.status.needs_attention() || row.status == CommandStatus::Blocked,
            how: match row.exit_code {
                Some(code) if !how.contains("exit") => format!("{how}, exit {code}"),
                _ => how,
            },
            evidence,
            reason: match row.reason.as_deref().map(str::trim) {
                None | Some("") => "none given".to_owned(),
                Some(reason) => bounded(reason, MESSAGE),
            },
        }
    }

    fn event(&self, event: &EventLine) -> Event {
        Event {
            id: event.id,
            at: self.at(event.timestamp),
            level: words::level(event.level).text,
            by: event.actor.to_string(),
            action: event.action.clone(),
            host: event.host.clone().unwrap_or_default(),
            message: bounded(&self.clock.spoken(&event.message, event.timestamp), MESSAGE),
        }
    }

    fn covered(&self, covered: &Covered) -> CoverLine {
        let gone = covered
            .host
            .removed_at
            .map(|at| format!("removed from the fleet at {}", self.at(at)));
        let (at, note) = match (&covered.success, &covered.attempt) {
            (Some((at, by, id)), _) => (self.at(*at), format!("by {by}, {id}")),
            (None, Some(row)) => (
                "none".to_owned(),
                format!("last attempt {}: {}", self.at(row.created_at), self.how(row)),
            ),
            (None, None) => ("none".to_owned(), String::new()),
        };
        let notes: Vec<String> = [Some(note).filter(|note| !note.is_empty()), gone]
            .into_iter()
            .flatten()
            .collect();
        CoverLine {
            host: covered.host.hostname.to_string(),
            at,
            note: notes.join("; "),
            missing: covered.success.is_none(),
        }
    }

    /// The ends of outputs, with the digest of the whole; and how many there was no room for.
    fn excerpts(&self, data_dir: &Path) -> (Vec<Excerpt>, usize) {
        let mut excerpts = Vec::new();
        let mut left_out = 0;
        for (at, row) in self.found.commands.iter().enumerate() {
            let length = u64::try_from(row.output_bytes.unwrap_or(0)).unwrap_or(0);
            if length == 0 {
                continue;
            }
            if excerpts.len() == EXCERPTS {
                left_out += 1;
                continue;
            }
            let from = length.saturating_sub(EXCERPT.1);
            let text = match output::read_range(data_dir, row.id, from, length) {
                Ok(read) => last_lines(&String::from_utf8_lossy(&read)),
                Err(_) => "(its file is not there any more)".to_owned(),
            };
            let digest = row.output_sha256.as_ref().map(ToString::to_string).unwrap_or_default();
            excerpts.push(Excerpt {
                row: self.number(at),
                what: format!("{} on {}", row.op, row.host),
                facts: format!("{} in all, SHA-256 {digest}", bytes(length)),
                text,
            });
        }
        (excerpts, left_out)
    }
}

impl Gathered {
    fn definition_of(&self, row: &CommandRow) -> Option<&Definition> {
        self.known.get(&row.definition).and_then(Option::as_ref)
    }
}

/// The last lines of an output, without colours, and safe.
fn last_lines(text: &str) -> String {
    let plain = without_colours(text);
    let lines: Vec<&str> = plain.lines().collect();
    let from = lines.len().saturating_sub(EXCERPT.0);
    bounded(&lines.get(from..).unwrap_or_default().join("\n"), 2 * MESSAGE)
}

/// Text without the sequences with which a terminal is told of colours.
fn without_colours(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut signs = text.chars().peekable();
    while let Some(sign) = signs.next() {
        if sign == '\r' {
            continue;
        }
        if sign != '\u{1b}' || signs.peek() != Some(&'[') {
            plain.push(sign);
            continue;
        }
        signs.next();
        // Parameters and intermediates, up to the letter that ends it.
        while signs.next_if(|sign| (' '..='?').contains(sign)).is_some() {}
        signs.next_if(|sign| ('@'..='~').contains(sign));
    }
    plain
}

fn definitions(found: &Gathered) -> Vec<Def> {
    let all = found.definitions.iter();
    let mut all: Vec<Def> = all.map(|(digest, text)| definition(digest, text.as_ref())).collect();
    all.sort_by(|a, b| (&a.op, &a.digest).cmp(&(&b.op, &b.digest)));
    all
}

fn definition(digest: &Digest, text: Option<&Definition>) -> Def {
    let Some(definition) = text else {
        return Def {
            digest: digest.to_string(),
            op: "not kept any more".to_owned(),
            facts: String::new(),
            parts: Vec::new(),
        };
    };
    let mut facts = vec![format!("up to {}", definition.timeout)];
    facts.extend(definition.run_as.as_ref().map(|user| format!("as {user}")));
    if definition.dangerous {
        facts.push("dangerous: asks before it starts".to_owned());
    }
    if !definition.environment.is_empty() {
        facts.push(format!("with the variables {}", definition.environment.join(", ")));
    }
    let part = |name, text: &Option<String>| text.as_ref().map(|text| (name, bounded(text, SCRIPT)));
    let parts = [
        part("Pre-check", &definition.pre_check),
        Some(("Script", bounded(&definition.script, SCRIPT))),
        part("Post-check", &definition.post_check),
    ];
    Def {
        digest: digest.to_string(),
        op: definition.op.to_string(),
        facts: facts.join("; "),
        parts: parts.into_iter().flatten().collect(),
    }
}

/// The style sheet of one report's paper: size, running header and foot. Chromium has neither running elements nor
/// named strings, so the words stand in it literally.
pub(super) fn paper_css(row: &ReportRow, organisation: &str) -> String {
    let size = match row.paper {
        Paper::A4 => "A4",
        Paper::Letter => "letter",
    };
    let digest = row.digest.as_ref().map(ToString::to_string).unwrap_or_default();
    let first = digest.get(..16).unwrap_or("not whole");
    format!(
        "@page {{\n  size: {size};\n  margin: 20mm 14mm 19mm;\n  font: 8pt sans-serif;\n  @top-left {{ content: \"{}\"; }}\n  \
         @top-right {{ content: \"Audit report, page \" counter(page) \" of \" counter(pages); }}\n  \
         @bottom-left {{ content: \"{}\"; }}\n  @bottom-center {{ content: \"SHA-256 {first}\"; }}\n  \
         @bottom-right {{ content: \"Page \" counter(page) \" of \" counter(pages); }}\n}}\n",
        css_text(organisation),
        row.number,
    )
}

/// Text inside the quotes of a style sheet: what is no plain letter is written as its number.
fn css_text(text: &str) -> String {
    use std::fmt::Write as _;
    let mut safe = String::with_capacity(text.len());
    for sign in text.chars() {
        if sign.is_alphanumeric() || " .,&()-+/".contains(sign) {
            safe.push(sign);
        } else {
            let _ = write!(safe, "\\{:x} ", u32::from(sign));
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_go_and_the_text_stays() {
        assert_eq!(without_colours("\u{1b}[1;31mred\u{1b}[0m\r\nplain"), "red\nplain");
        assert_eq!(without_colours("\u{1b}[38;5;1"), "");
        assert_eq!(last_lines("a\u{1b}]0;title\u{7}b"), "a\\u{1b}]0;title\\u{7}b");
        let many: String = (0..40).map(|line| format!("line {line}\n")).collect();
        assert!(last_lines(&many).starts_with("line 28\n"), "{}", last_lines(&many));
    }

    #[test]
    fn a_name_cannot_leave_its_quotes() {
        assert_eq!(css_text("Ä & Co. (Wien)"), "Ä & Co. (Wien)");
        assert_eq!(
            css_text("a\"; } body { display: none"),
            "a\\22 \\3b  \\7d  body \\7b  display\\3a  none"
        );
        assert_eq!(css_text("a\\\n<"), "a\\5c \\a \\3c ");
    }
}
