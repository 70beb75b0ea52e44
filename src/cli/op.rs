//! `op list`: the catalog.

use super::Context;
use super::failure::Failure;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the ops that can be run
    List,
}

pub(super) async fn list(context: &mut Context) -> Result<(), Failure> {
    let ops = context.source()?.ops().await?;
    if context.out.is_json() {
        return ops.iter().try_for_each(|op| context.out.json(op));
    }
    let rows: Vec<Vec<String>> = ops
        .iter()
        .map(|op| {
            let text = |key: &str| op[key].as_str().unwrap_or_default().to_owned();
            let mark = |key: &str, word: &str| op[key].as_bool().unwrap_or_default().then(|| word.to_owned());
            let marks: Vec<_> = [mark("dangerous", "dangerous"), mark("retryable", "retryable")]
                .into_iter()
                .flatten()
                .collect();
            vec![text("id"), text("timeout"), marks.join(", "), text("description")]
        })
        .collect();
    context.out.table(&["OP", "TIME", "", "WHAT IT DOES"], &rows)
}
