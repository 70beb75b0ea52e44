//! Pipelines of the catalog by table: what is taken, and what is refused with which words.

use super::super::{Catalog, Span};
use super::*;

fn def(text: &str) -> Result<PipelineDef, String> {
    toml::from_str::<PipelineDef>(text).map_err(|why| why.message().to_owned())
}

fn checked(text: &str) -> Result<PipelineDef, String> {
    let def = def(text)?;
    Catalog::new(Vec::new()).expect("built in").check(&def)?;
    Ok(def)
}

#[test]
fn the_built_in_pipelines_are_sound() {
    let catalog = Catalog::new(Vec::new()).expect("built in");
    let found: Vec<_> = catalog
        .pipelines()
        .map(|def| {
            (
                def.id.to_string(),
                def.ops().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            )
        })
        .collect();
    let expected = [
        ("do-all", "pull switch test"),
        ("reboot-all", "reboot"),
        ("update", "pull switch"),
    ];
    assert_eq!(found, expected.map(|(id, ops)| (id.to_owned(), ops.to_owned())));
    for def in catalog.pipelines() {
        catalog.check(def).expect("sound");
        assert!(!def.description.is_empty(), "{} says what it does", def.id);
    }
    assert!(catalog.is_dangerous(catalog.pipeline("reboot-all").expect("there")));
    assert!(!catalog.is_dangerous(catalog.pipeline("do-all").expect("there")));
}

#[test]
fn both_ways_to_write_stages_are_read() {
    let short = checked("id = \"a\"\nops = [\"pull\", \"switch\"]").expect("short");
    let long = checked("id = \"a\"\nstages = [{ op = \"pull\" }, { op = \"switch\" }]").expect("long");
    assert_eq!(short, long);
    let whole = checked(
        "id = \"a\"\nmax_parallel = 5\nbatches = [1, \"25 %\", \"100%\"]\nstop_when = \"10%\"\nif_busy = \"wait:5m\"\n\
         count_unreachable = true\n\
         stages = [{ op = \"pull\", on_failure = \"go_on\" }, { wait = \"look\" }, { op = \"test\", only_tags = [\"web\"] }]",
    )
    .expect("whole");
    assert_eq!(
        whole.defaults.batches,
        [Share::Count(1), Share::Percent(25), Share::Percent(100)]
    );
    assert_eq!(whole.defaults.stop_when, Some(Share::Percent(10)));
    assert_eq!(whole.defaults.if_busy, IfBusy::Wait(Span::from_secs(300)));
    assert_eq!(whole.defaults.max_parallel, Some(5));
    assert_eq!(whole.stages[0].on_failure, OnFailure::GoOn);
    assert_eq!(whole.stages[1].action, ActionDef::Wait("look".to_owned()));
    assert_eq!(whole.stages[2].only_tags, ["web".parse().expect("tag")]);
}

#[test]
fn nonsense_is_refused_by_key() {
    for (text, words) in [
        ("id = \"a\"", "ops is missing"),
        ("id = \"a\"\nops = []", "ops is empty"),
        ("id = \"a\"\nops = [\"pul\"]", "did you mean “pull”"),
        ("id = \"a\"\nops = [\"xxxxxxxxxx\"]", "[[op]]"),
        ("id = \"pull\"\nops = [\"pull\"]", "that of an op"),
        ("id = \"a\"\nops = [\"pull\"]\nstages = [{ op = \"pull\" }]", "keep one"),
        ("id = \"a\"\nstages = [{ wait = \"look\" }]", "ops is empty"),
        (
            "id = \"a\"\nstages = [{ wait = \" \" }, { op = \"pull\" }]",
            "a wait needs a text",
        ),
        (
            "id = \"a\"\nstages = [{ op = \"pull\", wait = \"x\" }]",
            "stage 1 needs either",
        ),
        (
            "id = \"a\"\nstages = [{ op = \"pull\", on_failure = \"explode\" }]",
            "explode",
        ),
        ("id = \"a\"\nops = [\"pull\"]\nmax_parallel = 0", "max_parallel must be"),
        (
            "id = \"a\"\nops = [\"pull\"]\nbatches = [0]",
            "“0” is no number of hosts",
        ),
        (
            "id = \"a\"\nops = [\"pull\"]\nbatches = [\"101 %\"]",
            "“101 %” is no number",
        ),
        ("id = \"a\"\nops = [\"pull\"]\nstop_when = -1", "“-1” is no number"),
        ("id = \"a\"\nops = [\"pull\"]\nif_busy = \"wait\"", "wait:5m"),
        ("id = \"a\"\nops = [\"pull\"]\nif_busy = \"wait:soon\"", "no duration"),
        ("id = \"A b\"\nops = [\"pull\"]", "lower-case"),
    ] {
        let wrong = checked(text).expect_err(text);
        assert!(wrong.contains(words), "{text}: {wrong}");
    }
}

#[test]
fn shares_and_what_happens_to_busy_hosts_read_back() {
    for (text, share, of_40) in [
        ("3", Share::Count(3), 3),
        ("25 %", Share::Percent(25), 10),
        ("25%", Share::Percent(25), 10),
        (" 1% ", Share::Percent(1), 1),
        ("100 %", Share::Percent(100), 40),
    ] {
        let read: Share = text.parse().expect(text);
        assert_eq!((read, read.of(40)), (share, of_40), "{text}");
        let json = serde_json::to_string(&read).expect("json");
        assert_eq!(serde_json::from_str::<Share>(&json).expect("own form"), share, "{json}");
    }
    for text in ["refuse", "leave_out", "wait:5m"] {
        let read: IfBusy = text.parse().expect(text);
        assert_eq!(read.to_string().parse::<IfBusy>().expect("own form"), read);
    }
}
