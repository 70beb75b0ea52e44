//! The program as an administrator types it, to its end.

use std::process::{Output, Stdio};

use serde_json::Value;

use super::Dashboard;

/// Runs the program to its end: exit code, stdout, stderr. Nobody sits at its terminal.
pub(crate) async fn quarterdeck(dashboard: &Dashboard, arguments: &str) -> (i32, String, String) {
    let mut program = dashboard.program();
    program.args(arguments.split_whitespace()).stdin(Stdio::null());
    let output: Output = tokio::task::spawn_blocking(move || program.output())
        .await
        .expect("join")
        .expect("it starts");
    (
        output.status.code().unwrap_or(-1),
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// The JSON lines of a success.
pub(crate) async fn json(dashboard: &Dashboard, arguments: &str) -> Vec<Value> {
    let (code, out, err) = quarterdeck(dashboard, &format!("{arguments} --json")).await;
    assert_eq!(code, 0, "{arguments}: {out}{err}");
    out.lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect()
}
