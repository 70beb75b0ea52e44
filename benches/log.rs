//! Every filter and search of the system log and the history with 1,000,000 events and 200,000 commands, beside a log of
//! 10,000: median in the store and as a page of a real dashboard. Prints; fails where a promise is broken.
//!
//! `cargo bench --bench log` (some minutes, 3 GB in the folder for temporary files).

#[path = "generate.rs"]
mod generate;
#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Instant;

use generate::{Outcome, command, fill, pipeline};
use quarterdeck::domain::{CommandStatus, Timestamp};
use quarterdeck::store::{EventFilter, HistoryFilter, Journal, OpenSettings, ReadError, Store};
use support::Dashboard;
use support::page::Browser;

const CONFIG: &str =
    "[probe]\ninterval = \"0s\"\n[retention]\nevents_days = \"forever\"\ncommands_days = \"forever\"\n";

/// What is promised, in milliseconds.
const STORE: f64 = 10.0;
const PAGE: f64 = 25.0;
/// A page of the large log beside one of the small log, where both have as many rows and the look was no bounded one.
const RATIO: f64 = 2.0;
/// So often each is measured.
const ROUNDS: usize = 51;
/// Rows of a page of the log.
const ROWS: usize = 100;

#[expect(clippy::print_stdout, reason = "a bench's result is what it prints")]
fn say(text: &str) {
    println!("{text}");
}

/// One filter, as the address of its page has it, and what it took.
struct Figure {
    rows: usize,
    store: f64,
    page: f64,
}

fn main() -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    // A smaller one shows what grows, where there is no time for the whole.
    let commands = std::env::var("LOG_COMMANDS").ok().and_then(|text| text.parse().ok());
    let [small, large] = runtime.block_on(figures([2_000, commands.unwrap_or(200_000)]))?;
    let mut broken = Vec::new();
    say("medians in milliseconds at 10,000 and 1,000,000 events (2,000 and 200,000 commands)");
    say(&format!(
        "  {:<62} {:>6} {:>17} {:>17}  ratio",
        "filter", "rows", "store", "page"
    ));
    for ((place, small), large) in PLACES.iter().zip(&small).zip(&large) {
        let (store, page) = (large.store / small.store, large.page / small.page);
        say(&format!(
            "  {place:<62} {:>6} {:>7.2} {:>9.2} {:>7.2} {:>9.2}  {store:.2} {page:.2}{}",
            large.rows,
            small.store,
            large.store,
            small.page,
            large.page,
            match (small.rows == large.rows, is_bounded(place, large.rows)) {
                (_, true) => " (bounded: no ratio asked)",
                (true, false) => "",
                (false, false) => " (fewer rows in the small one)",
            }
        ));
        if large.store >= STORE || large.page >= PAGE {
            broken.push(format!(
                "{place} takes {:.1} ms, {:.1} as a page",
                large.store, large.page
            ));
        } else if small.rows == large.rows && !is_bounded(place, large.rows) && (store >= RATIO || page >= RATIO) {
            broken.push(format!("{place} grows with the log: {store:.2}, {page:.2} as a page"));
        }
    }
    if broken.is_empty() {
        Ok(())
    } else {
        Err(broken.join("; ").into())
    }
}

/// Whether a look ended without a full page along several lists at once: at the end of one of them, or where the walk
/// itself stops, after 5 ms. How long it took then says how little the lists have in common; it cannot grow beyond that
/// limit with the log, and in a log that is small enough the lists are over before it.
fn is_bounded(place: &str, rows: usize) -> bool {
    rows < ROWS && lists(place) > 1
}

/// How many lists of events an address joins: one for each filter and each word. A category together with a level is one,
/// and a range of time is none.
fn lists(place: &str) -> usize {
    let Some(query) = place.strip_prefix("/log?") else {
        return 1;
    };
    let of = |(key, value): (&str, &str)| match key {
        "since" | "until" => 0,
        "level" if query.contains("category=") => 0,
        "q" if value.starts_with("%22") => 1,
        "q" => value.split("%20").count(),
        _ => 1,
    };
    query.split('&').filter_map(|pair| pair.split_once('=')).map(of).sum()
}

/// Addresses of pages; `COMMAND` and `PIPELINE` stand for one in the middle, `MIDDLE` for the time there.
const PLACES: &[&str] = &[
    "/log",
    "/log?category=audit",
    "/log?category=error",
    "/log?level=warn",
    "/log?level=error",
    "/log?actor=user:u3",
    "/log?host=h7",
    "/log?host=h961",
    "/log?action=op:",
    "/log?action=refused",
    "/log?command=COMMAND",
    "/log?pipeline=PIPELINE",
    "/log?since=MIDDLE",
    "/log?until=MIDDLE",
    "/log?category=audit&level=warn",
    "/log?actor=user:u3&host=h7",
    "/log?actor=user:u3&host=h961&level=warn",
    "/log?actor=system&action=refused",
    "/log?category=error&host=h8",
    "/log?level=error&action=op:op2&until=MIDDLE",
    "/log?q=asked",
    "/log?q=zebra",
    "/log?q=refused%20busy",
    "/log?q=%22busy%20with%20another%22",
    "/log?q=succ*",
    "/log?q=h96*",
    "/log?q=0001*",
    "/log?q=node*",
    "/log?q=node*&until=MIDDLE",
    "/log?q=node*&host=h961",
    "/log?q=ticket%20123",
    "/log?q=asked&host=h961",
    "/log?q=zebra&category=error&host=h8",
    "/log?q=succeeded%20refused",
    "/log?q=busy&actor=user:u2&until=MIDDLE",
    "/log?q=starts&actor=user:u2",
    "/history",
    "/history?host=h7",
    "/history?host=h961",
    "/history?op=op3",
    "/history?status=ERROR",
    "/history?actor=user:u3",
    "/history?show=attention",
    "/history?show=running",
    "/history?since=MIDDLE",
    "/history?until=MIDDLE",
    "/history?host=h7&op=op3",
    "/history?host=h7&status=ERROR",
    "/history?op=op3&status=TIMEOUT",
    "/history?actor=user:u3&status=ERROR",
    "/history?actor=user:u3&op=op3&host=h7",
];

/// A journal that is full, and the pages that are asked of it.
struct Log {
    qd: Dashboard,
    places: Vec<String>,
}

impl Log {
    fn open(&self) -> Result<Store, Box<dyn std::error::Error>> {
        Ok(Store::open(&OpenSettings {
            data_dir: self.qd.path("data"),
            low_space: 1,
            checkpoint_key: None,
            machine_folder: None,
        })?)
    }

    async fn of(commands: u32) -> Result<Self, Box<dyn std::error::Error>> {
        let places = PLACES.iter().map(|place| filled(place, commands)).collect();
        let qd = Dashboard::prepare(CONFIG);
        let data = qd.path("data");
        let log = Self { qd, places };
        log.open()?.close();
        fill(&data, commands, 5)?;
        let begun = Instant::now();
        let store = log.open()?;
        let linked = begun.elapsed();
        let begun = Instant::now();
        while store.index_some_events().await?.more {}
        let indexed = begun.elapsed();
        store.close();
        let bytes = std::fs::metadata(data.join("quarterdeck.db"))?.len();
        say(&format!(
            "{} events: linked at the start in {:.1} s, indexed in {:.1} s, {} MB",
            commands * 5,
            linked.as_secs_f64(),
            indexed.as_secs_f64(),
            bytes / 1_000_000
        ));
        Ok(log)
    }
}

/// Of a small and a large log, in turns, so that whatever else the machine does falls on both.
async fn figures(commands: [u32; 2]) -> Result<[Vec<Figure>; 2], Box<dyn std::error::Error>> {
    let mut logs = [Log::of(commands[0]).await?, Log::of(commands[1]).await?];
    // Else the system writes them out while the first pages are measured.
    nix::unistd::sync();
    let stores = [logs[0].open()?, logs[1].open()?];
    let mut found = Vec::new();
    for index in 0..PLACES.len() {
        let (mut rows, mut times) = ([0, 0], [Vec::new(), Vec::new()]);
        for _ in 0..ROUNDS {
            for which in 0..2 {
                let (these, took) = in_store(&stores[which], &logs[which].places[index])?;
                rows[which] = these;
                times[which].push(took);
            }
        }
        found.push((rows, times.map(median)));
    }
    for store in stores {
        store.close();
    }
    let mut browsers = Vec::new();
    for log in &mut logs {
        log.qd.start_again().await;
        browsers.push(Browser::signed_in(&log.qd).await);
    }
    let mut figures = [Vec::new(), Vec::new()];
    for (index, (rows, store)) in found.into_iter().enumerate() {
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for which in 0..2 {
                let place = &logs[which].places[index];
                let begun = Instant::now();
                let (status, page) = browsers[which].get(place).await;
                times[which].push(begun.elapsed().as_secs_f64() * 1e3);
                if status != 200 {
                    return Err(format!("{place}: {status} {page}").into());
                }
            }
        }
        let page = times.map(median);
        for which in 0..2 {
            figures[which].push(Figure {
                rows: rows[which],
                store: store[which],
                page: page[which],
            });
        }
    }
    for log in &mut logs {
        log.qd.stop().await;
    }
    Ok(figures)
}

fn filled(place: &str, commands: u32) -> String {
    place
        .replace("COMMAND", &command(commands / 2))
        .replace("PIPELINE", &pipeline(commands * 5 / 2_000))
        .replace("MIDDLE", "2026-02-02T02:40:00Z")
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Rows of the page, and how long reading them took, in milliseconds.
fn in_store(store: &Store, place: &str) -> Result<(usize, f64), Box<dyn std::error::Error>> {
    let (page, query) = place.split_once('?').unwrap_or((place, ""));
    let given = |name: &str| -> Option<String> {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let (_, value) = pairs.into_iter().find(|(key, _)| *key == name)?;
        Some(value.replace("%20", " ").replace("%22", "\""))
    };
    let time = |name: &str| given(name).map(|text| text.parse::<Timestamp>()).transpose();
    let host = |journal: &mut Journal| -> Result<Option<i64>, ReadError> {
        match given("host").and_then(|name| name.parse().ok()) {
            Some(name) => Ok(journal.host(&name)?.map(|row| row.id)),
            None => Ok(None),
        }
    };
    let events = EventFilter {
        category: given("category").map(|word| word.parse()).transpose()?,
        level: given("level").map(|word| word.parse()).transpose()?,
        actor: given("actor"),
        host: None,
        action: given("action"),
        command: given("command").map(|word| word.parse()).transpose()?,
        pipeline: given("pipeline").map(|word| word.parse()).transpose()?,
        since: time("since")?,
        until: time("until")?,
        text: given("q").map(|word| word.parse()).transpose()?,
    };
    let commands = HistoryFilter {
        op: given("op"),
        status: given("status")
            .map(|word| word.parse::<CommandStatus>())
            .transpose()?
            .into_iter()
            .collect(),
        open_only: query.contains("show=running"),
        attention_only: query.contains("show=attention"),
        actor: given("actor"),
        since: time("since")?,
        until: time("until")?,
        ..HistoryFilter::default()
    };
    let begun = Instant::now();
    let rows = store.reader().read_blocking(|journal| {
        let host = host(journal)?;
        if page == "/log" {
            let filter = EventFilter { host, ..events };
            journal.events(&filter, None, ROWS as i64).map(|page| page.rows.len())
        } else {
            let filter = HistoryFilter { host, ..commands };
            journal.history(&filter, None, 50).map(|page| page.rows.len())
        }
    })?;
    Ok((rows, begun.elapsed().as_secs_f64() * 1e3))
}
