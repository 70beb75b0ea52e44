//! What open pages cost: the CPU time of a real dashboard under 1,000 idle pages, each with its waiting request, and how
//! long a new event takes to 100 of them. Prints; fails where a promise is broken.
//!
//! `cargo bench --bench idle` (two minutes, 1,100 connections).

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant, SystemTime};

use reqwest::header::{COOKIE, SET_COOKIE};
use support::Dashboard;
use tokio::task::JoinSet;

type Outcome = Result<(), Box<dyn std::error::Error>>;

const QUIET: &str = "[probe]\ninterval = \"0s\"\n";

#[expect(clippy::print_stdout, reason = "a bench's result is what it prints")]
fn say(text: &str) {
    println!("{text}");
}

fn main() -> Outcome {
    // A connection of its own for each page, as browsers have it.
    let _ = nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, 4_096, 4_096);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let mut broken = Vec::new();
    runtime.block_on(latency(100, 100.0, &mut broken))?;
    runtime.block_on(latency(1_000, 1_000.0, &mut broken))?;
    runtime.block_on(idle(&mut broken))?;
    if broken.is_empty() {
        Ok(())
    } else {
        Err(broken.join("; ").into())
    }
}

/// One open page: a cookie, and a connection for each request that waits.
#[derive(Clone)]
struct Page {
    client: reqwest::Client,
    url: String,
    cookie: String,
}

impl Page {
    async fn session(qd: &Dashboard) -> Result<Self, Box<dyn std::error::Error>> {
        let client = client()?;
        let answer = client.get(&qd.link).send().await?;
        let cookie = answer.headers().get(SET_COOKIE).ok_or("no cookie")?.to_str()?;
        Ok(Self {
            client,
            url: qd.url.clone(),
            cookie: cookie.split(';').next().unwrap_or_default().to_owned(),
        })
    }

    /// The version that the page shows.
    async fn version(&self) -> Result<String, Box<dyn std::error::Error>> {
        let answer = self
            .client
            .get(format!("{}/log", self.url))
            .header(COOKIE, &self.cookie);
        let text = answer.send().await?.text().await?;
        let version = text
            .split("data-version=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        Ok(version.ok_or("no version on the page")?.to_owned())
    }

    /// Its waiting request: true where there was something new.
    async fn poll(&self, version: &str) -> Result<bool, reqwest::Error> {
        let request = self.client.get(format!("{}/log?live={version}", self.url));
        let answer = request
            .header(COOKIE, &self.cookie)
            .header("accept-encoding", "gzip")
            .header("hx-request", "true")
            .send()
            .await?
            .error_for_status()?;
        let changed = answer.status() == 200;
        answer.bytes().await?;
        Ok(changed)
    }
}

fn client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(60))
        .build()
}

/// CPU time that a process has used so far, of all its threads.
fn cpu(pid: u32) -> Result<Duration, Box<dyn std::error::Error>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields = stat.rsplit(')').next().ok_or("stat")?;
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Ok(Duration::from_millis(ticks * 10)) // 100 ticks a second on Linux
}

async fn dashboard() -> Result<(Dashboard, Page), Box<dyn std::error::Error>> {
    let qd = Dashboard::start(QUIET).await;
    let page = Page::session(&qd).await?;
    // A page full of rows, so that drawing it costs what it costs.
    for _ in 0..40 {
        let row = qd.run("uptime", "localhost").await;
        if row["finished_at"].is_null() {
            qd.until_final(&support::id_of(&row)).await;
        }
    }
    Ok((qd, page))
}

/// How long one event takes to so many pages: `promised` milliseconds at most to the last.
async fn latency(open: usize, promised: f64, broken: &mut Vec<String>) -> Outcome {
    let (qd, page) = dashboard().await?;
    let (mut first, mut middle, mut last) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..10 {
        until_quiet(&page).await?;
        let version = page.version().await?;
        let mut waiting = JoinSet::new();
        for _ in 0..open {
            let (page, version) = (page.clone(), version.clone());
            waiting.spawn(async move { page.poll(&version).await.map(|changed| (changed, SystemTime::now())) });
        }
        // They all wait: a page is answered no sooner than as many milliseconds after it asked as there are pages.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let newest = newest_event(&qd).await;
        // It says in the log who asked for it, and removes nothing.
        qd.post("/sweep", &serde_json::json!({})).await;
        let (mut seen, mut times) = (Vec::with_capacity(open), Vec::with_capacity(open));
        while let Some(done) = waiting.join_next().await {
            let (changed, at) = done??;
            if changed {
                seen.push(at);
            }
        }
        let happened = first_after(&qd, newest).await?;
        for at in seen {
            times.push(at.duration_since(happened)?.as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        if times.len() < open {
            return Err(format!("only {} of {open} pages saw the event", times.len()).into());
        }
        first.push(times[0]);
        middle.push(times[open / 2]);
        last.push(times[open - 1]);
    }
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let (first, middle, last) = (median(first), median(middle), median(last));
    say(&format!(
        "one event to {open} open pages of 100 rows, median of 10, in milliseconds: first {first:.0}, middle {middle:.0}, last {last:.0}"
    ));
    if last > promised {
        broken.push(format!("the last of {open} pages saw an event after {last:.0} ms"));
    }
    Ok(())
}

/// The number of the newest event.
async fn newest_event(qd: &Dashboard) -> i64 {
    let (_, page) = qd.get("/events?limit=1").await;
    page["events"][0]["id"].as_i64().unwrap_or_default()
}

/// When the first event after that one was journaled.
async fn first_after(qd: &Dashboard, newest: i64) -> Result<SystemTime, Box<dyn std::error::Error>> {
    let (_, page) = qd.get(&format!("/events?after={newest}&limit=1")).await;
    let text = page["events"][0]["timestamp"].as_str().ok_or("no event")?;
    Ok(text.parse::<jiff::Timestamp>()?.into())
}

/// Waits until nothing more is written.
async fn until_quiet(page: &Page) -> Outcome {
    let mut version = page.version().await?;
    loop {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let now = page.version().await?;
        if now == version {
            return Ok(());
        }
        version = now;
    }
}

async fn idle(broken: &mut Vec<String>) -> Outcome {
    const PAGES: usize = 1_000;
    const OVER: Duration = Duration::from_secs(60);
    let (qd, page) = dashboard().await?;
    until_quiet(&page).await?;
    let version = page.version().await?;
    let mut pages = JoinSet::new();
    for n in 0..PAGES {
        let (page, version) = (page.clone(), version.clone());
        pages.spawn(async move {
            // Not all at the same instant, as nobody opens them so.
            tokio::time::sleep(Duration::from_millis(u64::try_from(n).unwrap_or(0) * 20)).await;
            while !page.poll(&version).await? {}
            Ok::<(), reqwest::Error>(())
        });
    }
    // Opening them is not what is measured.
    tokio::time::sleep(Duration::from_secs(25)).await;
    let (before, begun) = (cpu(qd.pid())?, Instant::now());
    tokio::select! {
        () = tokio::time::sleep(OVER) => {}
        ended = pages.join_next() => return Err(format!("a page ended: {ended:?}").into()),
    }
    let share = (cpu(qd.pid())? - before).as_secs_f64() / begun.elapsed().as_secs_f64() * 100.0;
    say(&format!(
        "{PAGES} idle open pages over {} s: {share:.2} % of a core",
        OVER.as_secs()
    ));
    if share >= 2.0 {
        broken.push(format!("{PAGES} idle pages cost {share:.2} % of a core"));
    }
    Ok(())
}
