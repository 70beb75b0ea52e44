//! The parts of a pipeline's page that repeat: a host's line in the matrix, and groups of equal results.

use crate::domain::{self, Stage};
use crate::store::{CommandRow, Group, MatrixRow, PipelineRow};

use super::super::clock::Clock;
use super::super::words::{self, Word, count};
use super::pipeline_words as pipelines;

/// One part of the matrix, in the line above it.
pub(super) struct Tab {
    pub(super) text: &'static str,
    pub(super) number: i64,
    pub(super) place: String,
    pub(super) chosen: bool,
    pub(super) tone: &'static str,
}

/// One host in the matrix.
pub(super) struct Line {
    pub(super) host: String,
    pub(super) batch: usize,
    pub(super) cells: Vec<Cell>,
}

/// One host in one stage.
pub(super) struct Cell {
    /// The stage's op, for a narrow page.
    pub(super) stage: String,
    /// The command, where there is one.
    pub(super) command: Option<String>,
    /// None where the stage is not for this host, or waits for a person.
    pub(super) status: Option<Word>,
    pub(super) took: String,
    /// Since when it runs: the script keeps the duration true.
    pub(super) since: Option<String>,
}

impl Line {
    pub(super) fn new(host: &MatrixRow, row: &PipelineRow, turn: Option<(usize, usize)>, clock: &Clock) -> Self {
        let cells = row.plan.stages.iter().zip(&host.cells).zip(&host.applies).enumerate();
        Self {
            host: host.host.clone(),
            batch: host.batch + 1,
            cells: cells
                .map(|(index, ((stage, command), applies))| {
                    let mut cell = Cell::new(stage, command.as_ref(), *applies, clock);
                    if stage.op().is_none() && *applies {
                        let mut later = host.cells.iter().skip(index + 1).flatten();
                        let is_turn = turn == Some((host.batch, index)) && row.is_open();
                        cell.status = wait(is_turn, later.any(came_after_a_wait));
                    }
                    cell
                })
                .collect(),
        }
    }
}

/// Whether a command was asked for when its turn came, and not only written off: whatever came of it, refused or not,
/// the wait before it was passed.
fn came_after_a_wait(row: &CommandRow) -> bool {
    let fate = domain::Cell::of(row.status, row.finished_at.is_none(), row.refusal);
    row.launched_at.is_some() || fate != domain::Cell::Rest
}

/// The word for a host at a wait for a person.
fn wait(is_turn: bool, is_passed: bool) -> Option<Word> {
    match (is_turn, is_passed) {
        (_, true) => Some(Word::new("quiet", "ok", "Passed", "somebody let it go on")),
        (true, false) => Some(Word::new("warn", "pause", "Waits for a person", "press Continue")),
        (false, false) => None,
    }
}

impl Cell {
    fn new(stage: &Stage, command: Option<&CommandRow>, applies: bool, clock: &Clock) -> Self {
        let status = match command {
            Some(command) => Some(pipelines::cell(command, clock)),
            None if applies && stage.op().is_some() => Some(Word::new("wait", "clock", "To come", "no command yet")),
            None => None,
        };
        let runs = command.filter(|command| command.finished_at.is_none());
        Self {
            stage: stage.text().to_owned(),
            command: command.map(|command| command.id.to_string()),
            status,
            took: command
                .and_then(|command| words::took(command, clock.now))
                .unwrap_or_default(),
            since: runs
                .and_then(|command| command.started_at)
                .map(crate::domain::Timestamp::to_rfc3339),
        }
    }
}

/// The groups of one stage.
pub(super) struct GroupsOfStage {
    pub(super) stage: String,
    pub(super) groups: Vec<GroupView>,
}

/// Hosts with the same end and the same output.
pub(super) struct GroupView {
    pub(super) hosts: String,
    pub(super) who: String,
    pub(super) status: Word,
    pub(super) example: String,
    /// Safe HTML: drawn by [`super::super::ansi::draw`], which escapes every character.
    pub(super) excerpt: String,
    /// Whether there is more than that.
    pub(super) more: bool,
    /// What the link to one of the commands says.
    pub(super) link: &'static str,
}

impl GroupsOfStage {
    pub(super) fn of(
        row: &PipelineRow,
        groups: &[(Group, Option<CommandRow>)],
        excerpts: &[super::output::Excerpt],
        clock: &Clock,
    ) -> Vec<Self> {
        let mut stages: Vec<(i64, Self)> = Vec::new();
        for ((group, example), excerpt) in groups.iter().zip(excerpts) {
            let Some(example) = example else { continue };
            let view = GroupView {
                hosts: count(group.hosts, "host", "hosts"),
                who: who(group),
                status: pipelines::cell(example, clock),
                example: example.id.to_string(),
                link: match (
                    group.hosts,
                    excerpt.more,
                    excerpt.html.is_empty() && example.launched_at.is_some(),
                ) {
                    (1, true, _) => "All of its output",
                    (1, _, true) => "It wrote nothing: its command",
                    (1, ..) => "Its command",
                    (_, true, _) => "All of the output, from one of them",
                    (_, _, true) => "They wrote nothing: one of them",
                    _ => "One of them",
                },
                excerpt: excerpt.html.clone(),
                more: excerpt.more,
            };
            match stages.last_mut() {
                Some((stage, of_stage)) if *stage == group.stage => of_stage.groups.push(view),
                _ => {
                    let index = usize::try_from(group.stage).unwrap_or(0);
                    let text = row.plan.stages.get(index).map_or("?", Stage::text);
                    let stage = match row.plan.stages.len() {
                        0 | 1 => text.to_owned(),
                        _ => format!("Stage {}, {text}", index + 1),
                    };
                    let groups = vec![view];
                    stages.push((group.stage, Self { stage, groups }));
                }
            }
        }
        stages.into_iter().map(|(_, stage)| stage).collect()
    }
}

/// `web-01, web-02 and 50 more`
fn who(group: &Group) -> String {
    let shown = group.names.join(", ");
    let named = i64::try_from(group.names.len()).unwrap_or(i64::MAX);
    match group.hosts - named {
        ..=0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
