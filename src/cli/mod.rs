//! The command line: a client of the JSON API over the Unix socket in the data folder.
//!
//! It changes nothing by itself. While no dashboard runs, what only reads opens the journal read-only,
//! and what changes something says what to start. It knows the API's addresses and rows, the
//! configuration and the composition root (for `serve`); nothing of engine, executor or HTTP handlers.

mod acknowledge;
mod audit;
mod cancel;
mod client;
mod confirm;
mod context;
mod extend;
mod failure;
mod find_out;
mod follow;
mod history;
mod hold;
mod host;
mod keep;
mod log;
mod login;
mod notify;
mod op;
mod open;
mod out;
mod output;
mod pipeline;
mod recover;
mod resolve;
mod retry;
mod rows;
mod run;
mod secret;
mod serve;
mod show;
mod source;
mod sweep;
mod token;
mod user;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Config, Flags};

use client::Remote;
use context::Context;
use failure::Failure;
use out::Out;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  the op did not succeed (or this program failed)
  2  usage: something that was given cannot be taken, or does not exist
  3  not reachable: no dashboard is running, or the host does not answer
  4  refused: the host is busy, or the present state does not allow it";

/// Runs ops on a fleet of hosts over plain OpenSSH and never loses track of what happened.
#[derive(Debug, Parser)]
#[command(name = "quarterdeck", version, after_help = EXIT_CODES, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    /// The address and port of the pages, where no subcommand is given; as in `serve`
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What every subcommand takes.
#[derive(Debug, clap::Args)]
struct Global {
    /// The data folder: journal, outputs, socket
    #[arg(long, global = true, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// The configuration file
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A dashboard elsewhere, for example https://fleet.example.org:7440
    #[arg(long, global = true, value_name = "URL", env = "QUARTERDECK_URL")]
    url: Option<String>,
    /// The file that holds the token for it; else the environment's QUARTERDECK_TOKEN counts
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The certificate, in PEM, that vouches for the dashboard elsewhere, beside those that the system trusts
    #[arg(long, global = true, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Print data as JSON, one object a line
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the dashboard (the default)
    Serve(serve::Args),
    /// Print a one-time link that opens the pages in a browser
    Open,
    /// The hosts of the fleet
    #[command(subcommand)]
    Host(host::Command),
    /// The ops of the catalog
    #[command(subcommand)]
    Op(op::Command),
    /// Pipelines: ordered stages over many hosts
    #[command(subcommand)]
    Pipeline(pipeline::Command),
    /// Run an op on one or several hosts
    Run(run::Args),
    /// Show all that is known of a command
    Show(show::Args),
    /// Print what a command wrote
    Output(output::Args),
    /// Stop a command
    Cancel(cancel::Args),
    /// Give a command more time
    Extend(extend::Args),
    /// Ask a command's host now what became of it
    FindOut(find_out::Args),
    /// Ask for a command's op once more on its host
    Retry(retry::Args),
    /// End by hand a command whose outcome cannot be found out
    Resolve(resolve::Args),
    /// Note that you have looked at how a command ended: it needs no attention any more
    Acknowledge(acknowledge::Args),
    /// Let no sweep take a command, its events and output
    Keep(keep::Args),
    /// Let a kept command go when its time comes
    Unkeep(keep::Unkeep),
    /// List commands, newest first
    History(history::Args),
    /// List events: who did what to what, when
    Log(log::Args),
    /// Act under your own name from here on
    Login(login::Args),
    /// End that
    Logout,
    /// People who may log in
    #[command(subcommand)]
    User(user::Command),
    /// Programs that may ask over the network
    #[command(subcommand)]
    Token(token::Command),
    /// Check that the journal is what was written
    #[command(subcommand)]
    Audit(audit::Command),
    /// Who is told what happens, and whether that works
    #[command(subcommand)]
    Notify(notify::Command),
    /// Show what a start of the dashboard would do to the commands that are open now
    Recover,
    /// Delete what is past its retention, now
    Sweep,
    /// Ranges of time of which no sweep takes anything
    #[command(subcommand)]
    Hold(hold::Command),
}

/// Everything from the arguments to the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(why) => {
            // Help and version are no failures, and go to stdout.
            let _ = why.print();
            return ExitCode::from(u8::try_from(why.exit_code()).unwrap_or(2));
        }
    };
    match execute(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn execute(cli: Cli) -> Result<(), Failure> {
    let mut command = cli.command.unwrap_or(Command::Serve(serve::Args::default()));
    if cli.listen.is_some() {
        let Command::Serve(args) = &mut command else {
            return Err(Failure::Usage("--listen goes with `serve` alone".to_owned()));
        };
        args.listen = args.listen.take().or(cli.listen);
    }
    let mut flags = Flags {
        config: cli.global.config,
        data_dir: cli.global.data_dir,
        listen: None,
        insecure_http: false,
    };
    if let Command::Serve(args) = command {
        flags.listen = args.listen;
        flags.insecure_http = args.insecure_http;
        return serve::execute(Config::load(&flags)?);
    }
    let remote = cli.global.url.map(|url| Remote {
        url: url.trim_end_matches('/').to_owned(),
        token_file: cli.global.token_file,
        ca: cli.global.ca,
    });
    let mut context = Context {
        config: Config::load(&flags)?,
        remote,
        out: Out::stdout(cli.global.json),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(dispatch(command, &mut context));
    done.map_err(|failure| failure.spoken_in(&context.config.zone))?;
    context.out.flush()
}

async fn dispatch(command: Command, context: &mut Context) -> Result<(), Failure> {
    match command {
        Command::Serve(_) => Ok(()), // Has no runtime of ours around it; see `execute`.
        Command::Open => open::execute(context).await,
        Command::Host(command) => host::execute(command, context).await,
        Command::Op(op::Command::List) => op::list(context).await,
        Command::Pipeline(command) => pipeline::execute(command, context).await,
        Command::Run(args) => run::execute(args, context).await,
        Command::Show(args) => show::execute(args, context).await,
        Command::Output(args) => output::execute(args, context).await,
        Command::Cancel(args) => cancel::execute(args, context).await,
        Command::Extend(args) => extend::execute(args, context).await,
        Command::FindOut(args) => find_out::execute(args, context).await,
        Command::Retry(args) => retry::execute(args, context).await,
        Command::Resolve(args) => resolve::execute(args, context).await,
        Command::Acknowledge(args) => acknowledge::execute(args, context).await,
        Command::Keep(args) => keep::keep(args, context).await,
        Command::Unkeep(args) => keep::unkeep(args, context).await,
        Command::History(args) => history::execute(args, context).await,
        Command::Log(args) => log::execute(args, context).await,
        Command::Login(args) => login::log_in(args, context).await,
        Command::Logout => login::log_out(context).await,
        Command::User(command) => user::execute(command, context).await,
        Command::Token(command) => token::execute(command, context).await,
        Command::Audit(command) => audit::execute(command, context).await,
        Command::Notify(command) => notify::execute(command, context).await,
        Command::Recover => recover::execute(context).await,
        Command::Sweep => sweep::execute(context).await,
        Command::Hold(command) => hold::execute(command, context).await,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_definition_of_the_arguments_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn arguments_are_read_as_documented() {
        for line in [
            "quarterdeck",
            "quarterdeck serve --listen 127.0.0.1:0",
            "quarterdeck --listen 127.0.0.1:0",
            "quarterdeck show 6f2a91c0",
            "quarterdeck history --status failed,timed-out,ERROR --actor alice --since 2h",
            "quarterdeck --data-dir /d host list --json",
            "quarterdeck host add web-03 --ssh root@web-03:22 --tag web --tag prod --spool /var/spool/qd --run-as root",
            "quarterdeck host add here --local",
            "quarterdeck host remove web-03 --yes --config /c.toml",
            "quarterdeck host test web-03",
            "quarterdeck op list",
            "quarterdeck run switch --host a --host b --reason weekly --wait",
            "quarterdeck show 0192b0a0-0000-7000-8000-000000000000",
            "quarterdeck output 0192b0a0-0000-7000-8000-000000000000 --follow",
            "quarterdeck cancel 0192b0a0-0000-7000-8000-000000000000 --reason oops",
            "quarterdeck extend 0192b0a0-0000-7000-8000-000000000000 30m",
            "quarterdeck find-out 0192b0a0-0000-7000-8000-000000000000",
            "quarterdeck resolve 0192b0a0-0000-7000-8000-000000000000 --reason looked",
            "quarterdeck acknowledge 6f2a91c0 --note looked",
            "quarterdeck history --attention --since 2d",
            "quarterdeck history --host a --op uptime --status error,TIMEOUT --limit 5",
            "quarterdeck log --follow --limit 3 --search web-03",
            "quarterdeck pipeline list --host a --status partial,FAILED --open --limit 5",
            "quarterdeck pipeline list --catalog",
            "quarterdeck pipeline start update --host a --tag web --batches 1,25%,100% --if-busy wait:5m --wait",
            "quarterdeck pipeline start update --all --dry-run --json",
            "quarterdeck pipeline show 0192b0a0-0000-7000-8000-000000000000",
            "quarterdeck pipeline cancel 0192b0a0-0000-7000-8000-000000000000 --kill --reason oops",
            "quarterdeck pipeline hold 0192b0a0-0000-7000-8000-000000000000",
            "quarterdeck pipeline continue 0192b0a0-0000-7000-8000-000000000000",
            "quarterdeck pipeline retry 0192b0a0-0000-7000-8000-000000000000 --yes --wait",
            "quarterdeck user add alice --role operator@lab --role viewer",
            "quarterdeck user role alice admin dangerous",
            "quarterdeck user passwd alice",
            "quarterdeck user totp alice --remove",
            "quarterdeck user disable alice",
            "quarterdeck token add ci --role viewer --lasts 90d",
            "quarterdeck token revoke ci",
            "quarterdeck audit export",
            "quarterdeck audit export --what commands --format jsonl --since 7d --status failed --output /tmp/x",
            "quarterdeck login alice",
            "quarterdeck --url https://fleet.example.org history --token-file /t",
            "quarterdeck audit verify /tmp/copy.db --from-checkpoint witness --public-key key.pem --no-outputs --no-archive",
            "quarterdeck audit key",
            "quarterdeck audit checkpoint",
            "quarterdeck notify list",
            "quarterdeck notify test chat",
            "quarterdeck recover",
            "quarterdeck sweep",
            "quarterdeck hold add --from 2026-11-01 --until 2d --reason case",
            "quarterdeck hold list --json",
            "quarterdeck hold release 1 --reason closed",
            "quarterdeck hold lift 1 --reason closed",
        ] {
            assert!(
                parse(line).is_ok(),
                "{line}: {:?}",
                parse(line).err().map(|why| why.to_string())
            );
        }
    }

    #[test]
    fn bad_arguments_name_the_argument_and_the_fix() {
        for (line, words) in [
            ("quarterdeck host add web-03", "--ssh"),
            ("quarterdeck host add all --local", "every host"),
            ("quarterdeck host add web --ssh -oProxyCommand=x", "--ssh"),
            ("quarterdeck host add web --ssh a --local", "cannot be used with"),
            ("quarterdeck host add web --local --spool tmp", "absolute folder"),
            ("quarterdeck run uptime", "--host"),
            ("quarterdeck pipeline start update", "--all"),
            ("quarterdeck pipeline list --status BROKEN", "is none of"),
            ("quarterdeck show 42", "is no id"),
            (
                "quarterdeck extend 0192b0a0-0000-7000-8000-000000000000 soon",
                "is no duration",
            ),
            ("quarterdeck resolve 0192b0a0-0000-7000-8000-000000000000", "--reason"),
            ("quarterdeck acknowledge 6f2a91c0", "--note"),
            ("quarterdeck history --status BROKEN", "is none of"),
            ("quarterdeck user add alice", "--role"),
            ("quarterdeck user add alice --role root", "is none of"),
            ("quarterdeck token add ci --role admin@lab", "whole fleet"),
            ("quarterdeck audit export --what rows", "events, commands, pipelines"),
            ("quarterdeck hold add --from 2d", "--reason"),
            ("quarterdeck hold release 0 --reason x", "not in"),
            ("quarterdeck histroy", "history"),
        ] {
            let wrong = parse(line).expect_err(line);
            assert!(wrong.to_string().contains(words), "{line}: {wrong}");
            assert_eq!(wrong.exit_code(), 2, "{line}");
        }
    }
}
