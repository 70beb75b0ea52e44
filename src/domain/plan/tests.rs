//! The planner by table and by property. A small world carries out what the planner says, as the store does.

use proptest::prelude::*;

use super::*;
use crate::domain::Digest;

fn op_stage(name: &str) -> Stage {
    Stage {
        action: Action::Op {
            op: name.parse().expect("op"),
            definition: Digest::of(name.as_bytes()),
            dangerous: name == "reboot",
        },
        on_failure: OnFailure::StopHost,
        only: None,
    }
}

fn wait_stage() -> Stage {
    Stage {
        action: Action::Wait {
            text: "look".to_owned(),
        },
        ..op_stage("x")
    }
}

fn plan(stages: &[&str], batches: &[&[i64]]) -> Plan {
    Plan {
        stages: stages
            .iter()
            .map(|name| if *name == "wait" { wait_stage() } else { op_stage(name) })
            .collect(),
        batches: batches.iter().map(|batch| batch.to_vec()).collect(),
        max_parallel: 100,
        ..Plan::default()
    }
}

/// `1:G.F` is host 1: Good, nothing, Failed. O is open, U unreachable, R the rest.
fn cells(text: &str) -> Cells {
    let mut cells = Cells::new();
    for host in text.split_whitespace() {
        let (host, row) = host.split_once(':').expect("host:row");
        for (stage, c) in row.chars().enumerate() {
            let cell = match c {
                'O' => Cell::Open,
                'G' => Cell::Good,
                'F' => Cell::Failed,
                'U' => Cell::Unreachable,
                'R' => Cell::Rest,
                _ => continue,
            };
            cells.insert((host.parse().expect("number"), stage), cell);
        }
    }
    cells
}

#[test]
fn what_comes_next_by_table() {
    let two = || plan(&["pull", "switch"], &[&[1, 2, 3]]);
    let rolling = || plan(&["pull", "switch"], &[&[1], &[2, 3]]);
    let none = Orders::default;
    let cancelled = || Orders {
        cancelled: true,
        ..Orders::default()
    };
    let held = || Orders {
        held: true,
        ..Orders::default()
    };
    let stop_at = |n| Plan {
        stop_at: Some(n),
        ..two()
    };
    let canary = || Plan {
        first_batch_must_pass: true,
        ..rolling()
    };
    // plan, rows, orders; what starts, what is written off, current stage, end
    type Case<'a> = (
        &'a str,
        Plan,
        &'a str,
        Orders,
        &'a str,
        &'a str,
        usize,
        Option<PipelineStatus>,
    );
    #[rustfmt::skip]
    let table: Vec<Case<'_>> = vec![
        ("all begin", two(), "", none(), "1.0 2.0 3.0", "", 0, None),
        ("as many as fit", Plan { max_parallel: 2, ..two() }, "", none(), "1.0 2.0", "", 0, None),
        ("one place is free", Plan { max_parallel: 2, ..two() }, "1:G 2:O", none(), "3.0", "", 0, None),
        ("barrier", two(), "1:G 2:O 3:G", none(), "", "", 0, None),
        ("barrier over hosts still in", two(), "1:G 2:F 3:G", none(), "1.1 3.1", "2.1e", 1, None),
        ("all good", two(), "1:GG 2:GG 3:GG", none(), "", "", 2, Some(PipelineStatus::Complete)),
        ("not all", two(), "1:GG 2:FR 3:GG", none(), "", "", 2, Some(PipelineStatus::Partial)),
        ("not all, rest missing", two(), "1:GG 2:F 3:GG", none(), "", "2.1e", 2, None),
        ("none", two(), "1:FR 2:UR 3:GF", none(), "", "", 2, Some(PipelineStatus::Failed)),
        ("held", two(), "1:G 2:G 3:F", held(), "", "3.1e", 1, None),
        ("held to its end", two(), "1:GG 2:GG 3:GG", held(), "", "", 2, Some(PipelineStatus::Complete)),
        ("batch by batch", rolling(), "1:G", none(), "1.1", "", 0, None),
        ("the next batch", rolling(), "1:GG", none(), "2.0 3.0", "", 0, None),
        ("a failed batch does not stop the next", rolling(), "1:FR", none(), "2.0 3.0", "", 0, None),
        ("but a failed canary does", canary(), "1:FR", none(), "", "2.0s 2.1s 3.0s 3.1s", 0, None),
        ("so does one that was not reached", canary(), "1:UR", none(), "", "2.0s 2.1s 3.0s 3.1s", 0, None),
        ("cancelled", two(), "1:O 2:G 3:FR", cancelled(), "", "2.1c", 0, None),
        ("cancelled, nothing open", two(), "1:FR 2:GR 3:FR", cancelled(), "", "", 2, Some(PipelineStatus::Cancelled)),
        ("killed", two(), "1:F 2:F 3:F", cancelled(), "", "1.1c 2.1c 3.1c", 2, None),
        ("trips", stop_at(1), "1:F 2:O 3:G", none(), "", "1.1e 3.1s", 0, None),
        ("not reached does not trip", stop_at(1), "1:UR 2:G 3:G", none(), "2.1 3.1", "", 1, None),
        ("unless asked", Plan { count_unreachable: true, ..stop_at(1) }, "1:UR 2:G 3:G", none(), "", "2.1s 3.1s", 1, None),
        ("busy hosts let others go first", Plan { max_parallel: 1, ..two() }, "", Orders { busy: [1].into(), ..none() }, "2.0", "", 0, None),
        ("a retry", Plan { begin: [(1, 1)].into(), ..two() }, "", none(), "2.0 3.0", "", 0, None),
        ("a retry at its barrier", Plan { begin: [(1, 1)].into(), ..two() }, "2:G 3:FR", none(), "1.1 2.1", "", 1, None),
    ];
    for (what, plan, rows, orders, start, write_off, stage, end) in table {
        let next = plan.next(&cells(rows), &orders);
        let started: Vec<_> = next
            .start
            .iter()
            .map(|(host, stage)| format!("{host}.{stage}"))
            .collect();
        assert_eq!(started.join(" "), start, "{what}: start");
        let off: Vec<_> = next
            .write_off
            .iter()
            .map(|(host, stage, why)| {
                let why = match why {
                    Why::EarlierStage => 'e',
                    Why::Stopped => 's',
                    Why::Cancelled => 'c',
                };
                format!("{host}.{stage}{why}")
            })
            .collect();
        assert_eq!(off.join(" "), write_off, "{what}: written off");
        assert_eq!(next.current_stage, stage, "{what}: current stage");
        assert_eq!(next.end, end, "{what}: end");
    }
}

#[test]
fn going_on_after_a_failure_still_counts_as_failed() {
    let mut plan = plan(&["pull", "switch"], &[&[1, 2]]);
    plan.stages[0].on_failure = OnFailure::GoOn;
    let next = plan.next(&cells("1:F 2:G"), &Orders::default());
    assert_eq!(next.start, [(1, 1), (2, 1)]);
    let next = plan.next(&cells("1:FG 2:GG"), &Orders::default());
    assert_eq!(next.end, Some(PipelineStatus::Partial));
}

#[test]
fn a_stage_for_some_hosts_only_is_no_barrier_for_the_others_rows() {
    let mut plan = plan(&["pull", "switch"], &[&[1, 2]]);
    plan.stages[0].only = Some([1].into());
    let first = plan.next(&Cells::new(), &Orders::default());
    assert_eq!(first.start, [(1, 0)], "the barrier holds host 2 before stage 2");
    let then = plan.next(&cells("1:G"), &Orders::default());
    assert_eq!(then.start, [(1, 1), (2, 1)]);
    let end = plan.next(&cells("1:GG 2:.G"), &Orders::default());
    assert_eq!(end.end, Some(PipelineStatus::Complete));
}

#[test]
fn a_person_is_waited_for_in_each_batch() {
    let plan = plan(&["pull", "wait", "switch"], &[&[1], &[2]]);
    let next = plan.next(&cells("1:G"), &Orders::default());
    assert_eq!((next.waits, next.start, next.current_stage), (Some((0, 1)), vec![], 0));
    let passed = |passed: &[(usize, usize)]| Orders {
        passed: passed.iter().copied().collect(),
        ..Orders::default()
    };
    assert_eq!(plan.next(&cells("1:G"), &passed(&[(0, 1)])).start, [(1, 2)]);
    assert_eq!(plan.next(&cells("1:G.G"), &passed(&[(0, 1)])).start, [(2, 0)]);
    let again = plan.next(&cells("1:G.G 2:G"), &passed(&[(0, 1)]));
    assert_eq!((again.waits, again.current_stage), (Some((1, 1)), 1));
    // Where everybody is out, nobody is asked.
    let out = plan.next(&cells("1:F.R"), &Orders::default());
    assert_eq!((out.waits, out.start), (None, vec![(2, 0)]));
}

#[test]
fn the_next_dangerous_op_is_seen_before_it_starts() {
    let update = plan(&["pull", "reboot"], &[&[1, 2]]);
    let upcoming = |rows: &str| update.upcoming(&cells(rows), &Orders::default());
    assert_eq!(upcoming(""), Some(0));
    assert_eq!(upcoming("1:O 2:G"), Some(1), "after what runs");
    assert_eq!(upcoming("1:GO 2:GO"), None);
    let rolling = plan(&["reboot"], &[&[1], &[2]]);
    assert_eq!(
        rolling.upcoming(&cells("1:O"), &Orders::default()),
        Some(0),
        "the next batch"
    );
}

/// What happens in the world between two looks.
#[derive(Clone, Debug)]
enum Happens {
    /// The open command of the n-th host that has one ends so.
    Ends(usize, Cell),
    Cancel,
    Hold,
    Continue,
}

fn any_happening() -> impl Strategy<Value = Happens> {
    let end = prop::sample::select(vec![
        Cell::Good,
        Cell::Good,
        Cell::Good,
        Cell::Failed,
        Cell::Unreachable,
    ]);
    prop_oneof![
        20 => (0usize..8, end).prop_map(|(n, cell)| Happens::Ends(n, cell)),
        1 => Just(Happens::Cancel),
        2 => Just(Happens::Hold),
        4 => Just(Happens::Continue),
    ]
}

prop_compose! {
    fn any_plan()(
        stages in prop::collection::vec((0..5u8, any::<bool>(), prop::collection::btree_set(1..=6i64, 0..6)), 1..4),
        sizes in prop::collection::vec(1usize..4, 1..4),
        max_parallel in 1usize..5,
        stop_at in prop::option::of(1usize..4),
        first_batch_must_pass in any::<bool>(),
        count_unreachable in any::<bool>(),
        begin in prop::collection::btree_map(1..=6i64, 0usize..3, 0..3),
    ) -> Plan {
        let mut host = 0;
        let batches: Vec<Vec<i64>> = sizes.iter().map(|size| (0..*size).map(|_| { host += 1; host }).collect()).collect();
        let mut stages: Vec<Stage> = stages.into_iter().map(|(kind, go_on, only)| match kind {
            0 => wait_stage(),
            _ => Stage {
                on_failure: if go_on { OnFailure::GoOn } else { OnFailure::StopHost },
                only: (kind == 1).then_some(only),
                ..op_stage("pull")
            },
        }).collect();
        stages.push(op_stage("test"));
        let last = stages.len() - 1;
        let begin = begin.into_iter().map(|(host, stage)| (host, stage.min(last))).collect();
        Plan { stages, batches, max_parallel, stop_at, first_batch_must_pass, if_busy: IfBusy::Refuse, count_unreachable, begin }
    }
}

/// Whether so much failed that nothing further may start, in other words than the planner's.
fn tripped(plan: &Plan, cells: &Cells) -> bool {
    let of = |host: i64| {
        cells
            .iter()
            .filter(move |((h, _), _)| *h == host)
            .map(|(_, cell)| *cell)
    };
    let failed = |host: i64| of(host).any(|cell| cell == Cell::Failed);
    let missed = |host: i64| of(host).any(|cell| cell == Cell::Unreachable);
    let counts = |host: &i64| failed(*host) || plan.count_unreachable && missed(*host);
    let first = &plan.batches[0];
    plan.stop_at
        .is_some_and(|stop| plan.hosts().filter(counts).count() >= stop)
        || plan.first_batch_must_pass
            && plan.batches.len() > 1
            && (first.iter().any(counts) || first.iter().all(|host| failed(*host) || missed(*host)))
}

/// Carries out what the planner says until it says nothing more, and checks the rules on the way.
fn settle(plan: &Plan, cells: &mut Cells, orders: &Orders) -> Result<Next, TestCaseError> {
    loop {
        let next = plan.next(cells, orders);
        prop_assert_eq!(
            &next,
            &plan.next(&cells.clone(), &orders.clone()),
            "a look changes nothing"
        );
        let halted = orders.cancelled || tripped(plan, cells);
        prop_assert!(next.start.is_empty() || !(halted || orders.held));
        for (host, stage) in &next.start {
            prop_assert!(!cells.contains_key(&(*host, *stage)), "never twice: {host} {stage}");
            prop_assert!(plan.applies(*host, *stage));
            let batch = plan.batches.iter().find(|batch| batch.contains(host)).expect("batch");
            for other in batch {
                // Whoever is still in has left every earlier stage.
                let out = plan.stages_of(*other).any(|s| match cells.get(&(*other, s)) {
                    Some(Cell::Rest) => true,
                    Some(Cell::Failed | Cell::Unreachable) => plan.stages[s].on_failure == OnFailure::StopHost,
                    Some(Cell::Open | Cell::Good) | None => false,
                });
                let behind = plan
                    .stages_of(*other)
                    .filter(|s| s < stage)
                    .any(|s| matches!(cells.get(&(*other, s)), None | Some(Cell::Open)));
                prop_assert!(out || !behind, "barrier: {host} begins {stage} before {other}");
            }
            let earlier = plan.batches.iter().take_while(|b| !b.contains(host)).flatten();
            for other in earlier {
                let final_line = |s| {
                    let off = next
                        .write_off
                        .iter()
                        .any(|(host, stage, _)| (*host, *stage) == (*other, s));
                    off || cells.contains_key(&(*other, s))
                };
                let all = plan.stages_of(*other).all(final_line);
                prop_assert!(all, "batch: {host} begins before {other} is through");
            }
        }
        if next.start.is_empty() && next.write_off.is_empty() {
            let expected = plan
                .batches
                .iter()
                .enumerate()
                .flat_map(|(batch, members)| members.iter().map(move |host| (batch, *host)));
            let left = expected
                .filter_map(|(batch, host)| {
                    let out = plan
                        .stages_of(host)
                        .any(|s| matches!(cells.get(&(host, s)), Some(Cell::Rest)));
                    let failed = plan.stages_of(host).any(|s| {
                        matches!(cells.get(&(host, s)), Some(Cell::Failed | Cell::Unreachable))
                            && plan.stages[s].on_failure == OnFailure::StopHost
                    });
                    (0..plan.stages.len())
                        .filter(|s| plan.applies(host, *s))
                        .find(|s| {
                            if plan.stages[*s].op().is_none() {
                                !halted && !orders.passed.contains(&(batch, *s))
                            } else {
                                !matches!(
                                    cells.get(&(host, *s)),
                                    Some(Cell::Good | Cell::Failed | Cell::Unreachable)
                                )
                            }
                        })
                        .filter(|_| !out && !failed)
                })
                .min();
            prop_assert_eq!(next.current_stage, left.unwrap_or(plan.stages.len()), "current stage");
            return Ok(next);
        }
        for (host, stage, _) in &next.write_off {
            prop_assert!(cells.insert((*host, *stage), Cell::Rest).is_none(), "never two rows");
        }
        for (host, stage) in &next.start {
            prop_assert!(cells.insert((*host, *stage), Cell::Open).is_none(), "never two rows");
        }
        let open = cells.values().filter(|cell| **cell == Cell::Open).count();
        prop_assert!(
            open <= plan.max_parallel,
            "never more than {} at once: {open}",
            plan.max_parallel
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn a_pipeline_keeps_its_rules_and_ends_once(plan in any_plan(), happenings in prop::collection::vec(any_happening(), 0..60)) {
        let mut cells = Cells::new();
        let mut orders = Orders::default();
        let mut next = settle(&plan, &mut cells, &orders)?;
        let quiet = std::iter::repeat_n(Happens::Ends(0, Cell::Good), 200)
            .enumerate()
            .flat_map(|(n, end)| [Happens::Continue, if n % 3 == 0 { Happens::Ends(0, Cell::Failed) } else { end }]);
        for happening in happenings.into_iter().chain(quiet) {
            if next.end.is_some() {
                break;
            }
            let open: Vec<_> = cells.iter().filter(|(_, cell)| **cell == Cell::Open).map(|(at, _)| *at).collect();
            match happening {
                Happens::Ends(n, cell) => {
                    if let Some(at) = open.get(n % open.len().max(1)) {
                        cells.insert(*at, cell);
                    }
                }
                Happens::Cancel => orders.cancelled = true,
                Happens::Hold => orders.held = true,
                Happens::Continue => {
                    orders.held = false;
                    orders.passed.extend(next.waits);
                }
            }
            // A restart in between sees the same rows, so it goes on the same way.
            let mut replayed = cells.clone();
            next = settle(&plan, &mut cells, &orders)?;
            prop_assert_eq!(&settle(&plan, &mut replayed, &orders)?, &next);
            prop_assert_eq!(&replayed, &cells);
        }
        // It ends, with one status, every host has a final line, and a look afterwards says the same.
        prop_assert!(next.end.is_some(), "it never ended: {cells:?}");
        for host in plan.hosts() {
            for stage in plan.stages_of(host) {
                prop_assert!(cells.get(&(host, stage)).is_some_and(|cell| *cell != Cell::Open), "{host} {stage}");
            }
        }
        let passed = plan.hosts().filter(|host| plan.stopped_at(&cells, *host).is_none()).count();
        let all = plan.hosts().count();
        let expected = match (orders.cancelled, passed) {
            (true, _) => PipelineStatus::Cancelled,
            (false, n) if n == all => PipelineStatus::Complete,
            (false, 0) => PipelineStatus::Failed,
            (false, _) => PipelineStatus::Partial,
        };
        prop_assert_eq!(next.end, Some(expected));
        prop_assert_eq!(next.release.len(), all);
        let tally = plan.tally(&cells);
        prop_assert_eq!(tally.passed, passed);
        prop_assert_eq!(tally.passed + tally.failed + tally.unreachable + tally.written_off, all);
        prop_assert_eq!(plan.next(&cells, &orders).end, next.end);
    }
}

#[test]
fn the_turn_is_the_first_batch_that_is_not_through() {
    let two = plan(&["a", "b"], &[&[1], &[2, 3]]);
    for (text, turn) in [
        ("", Some((0, 0))),
        ("1:GO", Some((0, 1))),
        ("1:GF 2:G", Some((1, 0))),
        ("1:GF 2:GR 3:GR", None),
    ] {
        assert_eq!(two.turn(&cells(text), None), turn, "{text}");
    }
    let waits = plan(&["a", "wait", "b"], &[&[1]]);
    let hold = Some("waits for a person: look");
    let at = waits.turn(&cells("1:G"), hold);
    assert!(
        matches!(at, Some((0, 1))),
        "the wait, and not what comes behind it: {at:?}"
    );
    assert_eq!(waits.turn(&cells("1:O"), hold), Some((0, 0)));
}
