//! `sweep`: one deletion pass now.

use serde_json::json;

use super::Context;
use super::failure::Failure;
use super::rows::when;

pub(super) async fn execute(context: &mut Context) -> Result<(), Failure> {
    let swept = context.client()?.post_patiently("/sweep", &json!({})).await?;
    if context.out.is_json() {
        return context.out.json(&swept);
    }
    if let Some(until) = swept["postponed_until"].as_str().and_then(|time| time.parse().ok()) {
        let until = when(until, &context.config.zone);
        return context.out.line(&format!(
            "nothing was removed: it would be two days more than the last sweep removed, so it waits for a sweep after {until}"
        ));
    }
    let counts: Vec<String> = swept
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(what, count)| {
            count
                .as_i64()
                .filter(|count| *count > 0)
                .map(|count| format!("{count} {what}"))
        })
        .collect();
    if counts.is_empty() {
        return context.out.line("nothing was past its retention");
    }
    context
        .out
        .line(&format!("swept {}", counts.join(", ").replace('_', " ")))
}
