//! The command line reads what its help promises.

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
        "quarterdeck audit verify /tmp/copy.db --from-checkpoint witness --public-key key.pem --no-outputs",
        "quarterdeck audit key",
        "quarterdeck audit checkpoint",
        "quarterdeck notify list",
        "quarterdeck notify test chat",
        "quarterdeck recover",
        "quarterdeck sweep",
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
        ("quarterdeck histroy", "history"),
    ] {
        let wrong = parse(line).expect_err(line);
        assert!(wrong.to_string().contains(words), "{line}: {wrong}");
        assert_eq!(wrong.exit_code(), 2, "{line}");
    }
}
