//! Every combination of filters, beside what SQLite says of its plan.

use super::super::super::tests::Plans;
use super::*;

/// Every filter beside every other, as the history's form and the API allow; bit by bit.
#[test]
fn every_combination_of_filters_walks_an_index() {
    const HOST: u32 = 1;
    const OP: u32 = 2;
    const STATUS: u32 = 4;
    const ACTOR: u32 = 8;
    const OPEN: u32 = 16;
    const PIPELINE: u32 = 32;
    const RANGE: u32 = 64;
    const ATTENTION: u32 = 128;
    let id = CommandId::after(None);
    let now = Timestamp::now();
    let mut plans = Plans::new();
    for bits in 0..ATTENTION * 2 {
        let given = |bit: u32| bits & bit != 0;
        if given(OPEN) && given(ATTENTION) {
            continue; // Never asked: nothing is both.
        }
        let filter = HistoryFilter {
            host: given(HOST).then_some(1),
            op: given(OP).then(|| "pull".to_owned()),
            status: Vec::new(),
            open_only: given(OPEN),
            ended_only: false,
            attention_only: given(ATTENTION),
            pipeline: given(PIPELINE).then(|| PipelineId::after(None)),
            actor: given(ACTOR).then(|| "user:x".to_owned()),
            since: given(RANGE).then_some(now),
            until: given(RANGE).then_some(now),
        };
        let status = given(STATUS).then_some(CommandStatus::Error);
        let bounds = if given(RANGE) {
            (Some(id), Some(id))
        } else {
            (None, None)
        };
        for cut in [Cut::Newest, Cut::Below(id), Cut::Above(id)] {
            let query = history_query(&filter, status, bounds, cut).limit(50);
            let plan = plans.of(&diesel::debug_query::<diesel::sqlite::Sqlite, _>(&query).to_string());
            assert!(!plan.contains("TEMP B-TREE"), "{bits:b} {cut:?}: {plan}");
            // "all" walks the index of ids, and "open" that of open ones, one row a host: both stop after a page.
            let walks = plan.contains("SCAN commands");
            let may = bits == 0 || given(OPEN) || bits == ATTENTION || bits == ATTENTION | RANGE;
            assert!(
                !walks || may && plan.contains("SCAN commands USING INDEX"),
                "{bits:b} {cut:?}: {plan}"
            );
            // Pairs whose walk along either alone may pass most of the table.
            let pairs = [HOST | OP, HOST | STATUS, OP | STATUS, ACTOR | STATUS];
            if pairs.contains(&bits) && !given(OPEN) {
                assert!(plan.contains("=? AND"), "{bits:b} {cut:?}: {plan}");
            }
            if given(OPEN) && !given(PIPELINE) {
                assert!(plan.contains("INDEX commands_open"), "{bits:b} {cut:?}: {plan}");
            }
            let by_attention = [0, HOST, OP, ACTOR].map(|bit| bit | ATTENTION);
            if by_attention.contains(&bits) {
                assert!(plan.contains("INDEX commands_attention"), "{bits:b} {cut:?}: {plan}");
            }
            if bits & !(ACTOR | OPEN | RANGE) == 0 {
                let query = alone_query(&filter, bounds, cut).limit(50);
                let plan = plans.of(&diesel::debug_query::<diesel::sqlite::Sqlite, _>(&query).to_string());
                assert!(!plan.contains("TEMP B-TREE"), "{bits:b} {cut:?}: {plan}");
                let index = match (given(OPEN), given(ACTOR)) {
                    (true, _) => "INDEX commands_open",
                    (false, true) => "commands_alone_actor (",
                    (false, false) => "commands_alone",
                };
                assert!(plan.contains(index), "{bits:b} {cut:?}: {plan}");
            }
        }
    }
}
