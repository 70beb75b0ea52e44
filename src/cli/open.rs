//! `open`: a one-time link to the pages.

use serde_json::json;

use super::Context;
use super::failure::Failure;

pub(super) async fn execute(context: &mut Context) -> Result<(), Failure> {
    let answer = context.client()?.post("/links", &json!({})).await?;
    if context.out.is_json() {
        return context.out.json(&answer);
    }
    context.out.line(answer["url"].as_str().unwrap_or_default())
}
