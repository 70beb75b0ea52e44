//! Waiting for conditions; nothing here waits for a time.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Dashboard, PATIENCE};

impl Dashboard {
    /// Waits until a command's row fits, woken by the event log.
    pub(crate) async fn until(&self, id: &str, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        let mut seen = 0;
        loop {
            let row = self.command(id).await;
            if fits(&row) {
                return row;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "waited in vain for {what}: {row}\n{}",
                self.log()
            );
            let (_, events) = self.get(&format!("/events?after={seen}&wait=1&limit=1000")).await;
            if let Some(last) = events["events"].as_array().and_then(|events| events.last()) {
                seen = last["id"].as_i64().unwrap_or(seen);
            }
        }
    }

    /// Waits until a command is final.
    pub(crate) async fn until_final(&self, id: &str) -> Value {
        self.until(id, "its end", |row| !row["finished_at"].is_null()).await
    }

    /// Waits for a status.
    pub(crate) async fn until_status(&self, id: &str, status: &str) -> Value {
        self.until(id, status, |row| row["status"] == status).await
    }

    /// Waits until a pipeline is final, and gives its row.
    pub(crate) async fn until_through(&self, pipeline: &str) -> Value {
        wait_for("the pipeline's end", async || {
            let (_, row) = self.get(&format!("/pipelines/{pipeline}")).await;
            (!row["finished_at"].is_null()).then_some(row)
        })
        .await
    }

    /// Waits until a command's output holds a text.
    pub(crate) async fn until_output(&self, id: &str, text: &str) -> String {
        wait_for(&format!("“{text}” in the output"), async || {
            let output = String::from_utf8_lossy(&self.output(id).await).into_owned();
            output.contains(text).then_some(output)
        })
        .await
    }
}

/// Tries until there is something, and gives it.
pub(crate) async fn wait_for<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
