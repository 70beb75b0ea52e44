//! Many hosts at once: wall time of one op on 200 ssh hosts beside `ansible -f 50` and `parallel-ssh -p 50`, in one
//! run, and a pipeline over 1,000 hosts with an sshd as it comes. Prints; fails where a promise is broken.
//!
//! A dashboard looks at its hosts once a minute and holds a connection to each, so that is how it is compared; how long
//! it takes without any connection, right after a start, is printed beside it and promised nothing.
//!
//! `cargo bench --bench fleet` (some minutes). Needs sshd, python3 with venv (ansible-core is put into a temporary
//! environment) and Debian's `pssh`. `FLEET=200` or `FLEET=1000` runs one half only.

#[path = "../tests/support/mod.rs"]
mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use support::Dashboard;
use support::sshd::Sshd;

type Outcome = Result<(), Box<dyn std::error::Error>>;

const OPS: &str = "[probe]\ninterval = \"0s\"\n\
    [[op]]\nid = \"noop\"\nscript = \"true\"\nretryable = true\n\
    [[op]]\nid = \"second\"\nscript = \"echo $QD_HOST\"\nretryable = true\n\
    [[pipeline]]\nid = \"two\"\nops = [\"noop\", \"second\"]\n";

fn main() -> Outcome {
    let which = std::env::var("FLEET").unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let mut broken = Vec::new();
    if which != "1000" {
        runtime.block_on(beside_others(&mut broken))?;
    }
    if which != "200" {
        runtime.block_on(a_thousand(&mut broken))?;
    }
    if broken.is_empty() {
        Ok(())
    } else {
        Err(broken.join("; ").into())
    }
}

#[expect(clippy::print_stdout, reason = "a bench's result is what it prints")]
fn say(text: &str) {
    println!("{text}");
}

/// A log-in without start-up files: what the developer's own shell does at each log-in is not what is measured.
fn bare(home: &Path) -> String {
    format!("SetEnv HOME={}", home.display())
}

/// A dashboard that knows `hosts` names of one sshd, each with its own spool.
async fn fleet(sshd: &Sshd, hosts: usize) -> Result<Dashboard, Box<dyn std::error::Error>> {
    let config = format!("{OPS}[ssh]\nconfig_file = \"{}\"\n", sshd.ssh_config.display());

    let dashboard = Dashboard::start(&config).await;
    for n in 0..hosts {
        let spool = dashboard.path(&format!("spool/h{n}"));
        let body = json!({"name": format!("h{n}"), "ssh": format!("root@127.0.0.1:{}", sshd.port), "spool": spool});
        let (status, answer) = dashboard.post("/hosts", &body).await;
        if status != 201 {
            return Err(format!("host h{n}: {answer}").into());
        }
    }
    Ok(dashboard)
}

/// Runs a program to its good end; how long that took.
fn timed(program: &mut Command) -> Result<Duration, Box<dyn std::error::Error>> {
    let begun = Instant::now();
    let output = program.stdin(Stdio::null()).output()?;
    let took = begun.elapsed();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(took);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().last().unwrap_or_default();
    Err(format!("{program:?} ended with {}: {last}\n{text}", output.status).into())
}

async fn beside_others(broken: &mut Vec<String>) -> Outcome {
    const HOSTS: usize = 200;
    // The others have no second try where sshd turns a connection away.
    let scratch = tempfile::tempdir()?;
    let sshd = Sshd::start_with(&format!("MaxStartups 500\n{}", bare(scratch.path())), &[]);
    let ansible = ansible(scratch.path())?;
    fs::write(
        scratch.path().join("inventory"),
        inventory(&sshd, scratch.path(), HOSTS),
    )?;
    fs::write(
        scratch.path().join("names"),
        format!("root@127.0.0.1:{}\n", sshd.port).repeat(HOSTS),
    )?;
    let mut dashboard = fleet(&sshd, HOSTS).await?;
    say(&format!(
        "one op (`true`) on {HOSTS} ssh hosts, wall time in seconds, three turns"
    ));
    let (mut ours, mut at_first, mut pssh, mut theirs) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for turn in 1..=3 {
        // Without a connection from before.
        let _ = dashboard.stop().await;
        dashboard.start_again().await;
        let mut program = dashboard.program();
        program.args(["pipeline", "start", "noop", "--all", "--wait"]);
        let cold = timed(&mut program)?; // 0 is COMPLETE
        let mut program = dashboard.program();
        program.args(["pipeline", "start", "noop", "--all", "--wait"]);
        let warm = timed(&mut program)?;
        let mut program = Command::new("parallel-ssh");
        program.args(["-p", "50", "-t", "0", "-x", "-F"]);
        program
            .arg("-x")
            .arg(&sshd.ssh_config)
            .arg("-h")
            .arg(scratch.path().join("names"))
            .arg("true");
        let by_pssh = timed(&mut program)?;
        let mut program = Command::new(&ansible);
        program
            .env("HOME", scratch.path())
            .env("ANSIBLE_HOME", scratch.path().join("ansible"))
            .args(["all", "-f", "50", "-m", "command", "-a", "true", "-i"])
            .arg(scratch.path().join("inventory"));
        let by_ansible = timed(&mut program)?;
        say(&format!(
            "  turn {turn}: quarterdeck {:.1} (right after its start: {:.1}), parallel-ssh -p 50 {:.1}, ansible -f 50 {:.1}",
            warm.as_secs_f64(),
            cold.as_secs_f64(),
            by_pssh.as_secs_f64(),
            by_ansible.as_secs_f64()
        ));
        ours.push(warm);
        at_first.push(cold);
        pssh.push(by_pssh);
        theirs.push(by_ansible);
    }
    let (ours, at_first) = (middle(&mut ours), middle(&mut at_first));
    let (pssh, theirs) = (middle(&mut pssh), middle(&mut theirs));
    for (when, took) in [("connected", ours), ("right after its start", at_first)] {
        say(&format!(
            "  medians, {when}: {:.1} times as fast as ansible, {:.2} times as fast as parallel-ssh",
            theirs / took,
            pssh / took
        ));
    }
    if theirs / ours < 5.0 {
        broken.push(format!("only {:.1} times as fast as ansible", theirs / ours));
    }
    if pssh / ours < 1.0 {
        broken.push(format!("slower than parallel-ssh ({:.2})", pssh / ours));
    }
    dashboard.stop().await;
    Ok(())
}

fn middle(figures: &mut [Duration]) -> f64 {
    figures.sort();
    figures[figures.len() / 2].as_secs_f64()
}

/// ansible-core in an environment of its own.
fn ansible(scratch: &Path) -> Result<std::path::PathBuf, Box<dyn std::error::Error>> {
    let environment = scratch.join("environment");
    timed(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
    timed(Command::new(environment.join("bin/pip")).args(["install", "-q", "ansible-core"]))?;
    Ok(environment.join("bin/ansible"))
}

/// One connection per name, as ours has: by default ansible would share one among all names of an address.
fn inventory(sshd: &Sshd, scratch: &Path, hosts: usize) -> String {
    (0..hosts)
        .map(|n| {
            format!(
                "h{n} ansible_host=127.0.0.1 ansible_port={} ansible_user=root ansible_python_interpreter=/usr/bin/python3 \
                 ansible_ssh_common_args='-F {}' ansible_control_path={}/m{n}\n",
                sshd.port,
                sshd.ssh_config.display(),
                scratch.display()
            )
        })
        .collect()
}

/// A pipeline of two stages over 1,000 hosts; sshd's MaxStartups as it comes (10:30:100).
async fn a_thousand(broken: &mut Vec<String>) -> Outcome {
    const HOSTS: usize = 1_000;
    let scratch = tempfile::tempdir()?;
    let sshd = Sshd::start_with(&bare(scratch.path()), &[]);
    let mut dashboard = fleet(&sshd, HOSTS).await?;
    say(&format!(
        "a pipeline of two stages over {HOSTS} ssh hosts, sshd with its default MaxStartups"
    ));
    let pid = dashboard.pid();
    let mut program = dashboard.program();
    program.args(["pipeline", "start", "two", "--all", "--wait"]);
    let took = timed(&mut program)?; // 0 is COMPLETE
    let memory = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let peak = memory
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap_or_default()
        .to_owned();
    let dropped = sshd.log().lines().filter(|line| line.contains("MaxStartups")).count();
    say(&format!(
        "  {:.1} s; the dashboard's memory: {peak}; connections that sshd turned away: {dropped}",
        took.as_secs_f64()
    ));
    let counts = dashboard.sql(
        "select group_concat(status || ' ' || n, ', ') from (select status, count(*) n from commands group by status)",
    );
    say(&format!("  commands: {counts}"));
    if counts != format!("SUCCESS {}", HOSTS * 2) {
        broken.push(format!("not every command succeeded: {counts}"));
    }
    let id = dashboard.sql("select id from pipelines");
    let mut times = Vec::new();
    for _ in 0..20 {
        let begun = Instant::now();
        let (status, answer) = dashboard.get(&format!("/pipelines/{id}")).await;
        assert_eq!(status, 200, "{answer}");
        times.push(begun.elapsed());
    }
    say(&format!(
        "  its row, counts and results in the API: {:.0} ms (median of 20)",
        middle(&mut times) * 1_000.0
    ));
    dashboard.stop().await;
    Ok(())
}
