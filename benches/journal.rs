//! How fast the journal is, as ratios within one run: durable changes in groups beside one commit each, and
//! pages of a small beside those of a large history. Prints; fails where a promise is broken.
//!
//! `cargo bench --bench journal` (a minute or two, 2 GB in the folder for temporary files); `JOURNAL_PAGES=1` measures the
//! pages alone.

#[path = "generate.rs"]
mod generate;

use std::path::Path;
use std::time::{Duration, Instant};

use generate::{Outcome, fill};
use quarterdeck::domain::{Actor, CommandStatus, HostName, Reach, Timestamp, built_in};
use quarterdeck::store::{By, EventFilter, HistoryFilter, Journal, NewHost, OpenSettings, ReadError, Request, Store};

fn main() -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let mut broken = Vec::new();
    if std::env::var_os("JOURNAL_PAGES").is_none() {
        groups(&runtime, &mut broken)?;
    }
    pages(&mut broken)?;
    if broken.is_empty() {
        Ok(())
    } else {
        Err(broken.join("; ").into())
    }
}

/// Changes in groups beside one commit each.
fn groups(runtime: &tokio::runtime::Runtime, broken: &mut Vec<String>) -> Outcome {
    say("durable status changes a second (row, event and version each; synchronous=FULL)");
    for callers in [1, 16, 64] {
        // In turns, so that whatever else the machine does falls on both.
        let (mut grouped, mut alone) = (Vec::new(), Vec::new());
        for _ in 0..5 {
            grouped.push(runtime.block_on(changes(tempfile::tempdir()?.path(), callers, true))?);
            alone.push(runtime.block_on(changes(tempfile::tempdir()?.path(), callers, false))?);
        }
        let (grouped, alone) = (middle(&mut grouped), middle(&mut alone));
        let ratio = grouped / alone;
        say(&format!(
            "  {callers:>2} callers: {grouped:>8.0} in groups, {alone:>8.0} with one commit each, ratio {ratio:.1}"
        ));
        if callers == 64 && ratio < 4.0 {
            broken.push(format!("groups are only {ratio:.1} times as fast at 64 callers"));
        }
    }
    Ok(())
}

fn middle(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

#[expect(clippy::print_stdout, reason = "a bench's result is what it prints")]
fn say(text: &str) {
    println!("{text}");
}

fn open(dir: &Path) -> Result<Store, Box<dyn std::error::Error>> {
    Ok(Store::open(&OpenSettings {
        data_dir: dir.to_owned(),
        low_space: 1,
        checkpoint_key: None,
        machine_folder: None,
    })?)
}

fn by() -> By {
    Actor::User("bench".to_owned()).into()
}

/// Each caller moves its own command from asked-for to refused again and again: three changes a round.
/// Without groups the callers take turns, so that each change has a commit of its own.
async fn changes(dir: &Path, callers: usize, grouped: bool) -> Result<f64, Box<dyn std::error::Error>> {
    let store = open(dir)?;
    let op = built_in().remove(0);
    let turn = std::sync::Arc::new(tokio::sync::Semaphore::new(if grouped { callers } else { 1 }));
    for n in 0..callers {
        let host = NewHost {
            name: format!("h{n}").parse()?,
            reach: Reach::Local,
            spool: None,
            run_as: None,
            tags: Vec::new(),
            automatic: false,
        };
        store.add_host(host, by()).await?;
    }
    let began = Instant::now();
    let mut tasks = Vec::new();
    for n in 0..callers {
        let (store, op, turn) = (store.clone(), op.clone(), turn.clone());
        let host: HostName = format!("h{n}").parse()?;
        tasks.push(tokio::spawn(async move {
            let mut changes = 0u32;
            while began.elapsed() < Duration::from_secs(2) {
                let request = Request {
                    op: op.id.clone(),
                    definition: op.definition(),
                    hosts: vec![host.clone()],
                    by: by(),
                    reason: None,
                    retry_of: None,
                };
                let permit = turn.acquire().await;
                let id = store.request(request).await.ok()?.first()?.id;
                drop(permit);
                let permit = turn.acquire().await;
                store.begin_validating(id).await.ok()??;
                drop(permit);
                let permit = turn.acquire().await;
                store.skip(id, "bench".to_owned()).await.ok()??;
                drop(permit);
                changes += 3;
            }
            Some(changes)
        }));
    }
    let mut all = 0;
    for task in tasks {
        all += task.await?.ok_or("a change was refused")?;
    }
    let took = began.elapsed().as_secs_f64();
    store.close();
    Ok(f64::from(all) / took)
}

/// A journal with so many commands, of 1,000 hosts.
fn filled(commands: u32) -> Result<(tempfile::TempDir, Store), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    open(dir.path())?.close();
    fill(dir.path(), commands, 1)?;
    // Else the system writes it out while the first pages are measured.
    nix::unistd::sync();
    let store = open(dir.path())?;
    Ok((dir, store))
}

fn pages(broken: &mut Vec<String>) -> Outcome {
    type Question = Box<dyn Fn(&mut Journal) -> Result<usize, ReadError>>;
    say("pages of 50 commands, median of 200, in microseconds");
    let (_small_dir, small) = filled(10_000)?;
    let (_large_dir, large) = filled(1_000_000)?;
    let mut questions: Vec<(&str, Question)> = Vec::new();
    for (what, filter) in filters() {
        let page = move |journal: &mut Journal| journal.history(&filter, None, 50).map(|page| page.rows.len());
        questions.push((what, Box::new(page)));
    }
    let events = EventFilter {
        action: Some("op:".to_owned()),
        ..EventFilter::default()
    };
    let page = move |journal: &mut Journal| journal.events(&events, None, 50).map(|page| page.rows.len());
    questions.push(("events, action op:", Box::new(page)));
    let fleet = |journal: &mut Journal| journal.fleet().map(|fleet| fleet.len());
    questions.push(("fleet of 1,000", Box::new(fleet)));
    for (what, question) in questions {
        let (small, large) = medians(&small, &large, &question)?;
        let ratio = large / small;
        say(&format!(
            "  {what:<20} {small:>8.0} at 10,000, {large:>8.0} at 1,000,000, ratio {ratio:.2}"
        ));
        if ratio >= 1.5 {
            broken.push(format!("{what} grows with the history: {ratio:.2}"));
        }
    }
    small.close();
    large.close();
    Ok(())
}

fn filters() -> Vec<(&'static str, HistoryFilter)> {
    let any = HistoryFilter::default();
    let half: Timestamp = Timestamp::from_micros(1_770_000_000_000_000);
    vec![
        ("all", any.clone()),
        (
            "host and op",
            HistoryFilter {
                host: Some(7),
                op: Some("op3".to_owned()),
                ..any.clone()
            },
        ),
        (
            "three statuses",
            HistoryFilter {
                status: vec![CommandStatus::Error, CommandStatus::Timeout, CommandStatus::Success],
                ..any.clone()
            },
        ),
        (
            "actor",
            HistoryFilter {
                actor: Some("user:u3".to_owned()),
                ..any.clone()
            },
        ),
        (
            "until",
            HistoryFilter {
                until: Some(half),
                ..any
            },
        ),
    ]
}

/// What a page takes in each of them, in turns, so that whatever else the machine does falls on both.
fn medians(
    small: &Store,
    large: &Store,
    question: impl Fn(&mut Journal) -> Result<usize, ReadError>,
) -> Result<(f64, f64), Box<dyn std::error::Error>> {
    let mut times = [Vec::with_capacity(200), Vec::with_capacity(200)];
    for _ in 0..200 {
        for (store, times) in [small, large].into_iter().zip(&mut times) {
            let began = Instant::now();
            let rows = store.reader().read_blocking(&question)?;
            times.push(began.elapsed().as_secs_f64() * 1e6);
            if rows < 50 {
                return Err(format!("a page of {rows} rows is not to be compared with a full one").into());
            }
        }
    }
    let [small, large] = &mut times;
    Ok((middle(small), middle(large)))
}
