//! Verifying beside a dashboard that works: no false alarm, however often, whatever it does meanwhile.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::json;

use crate::support::cli::quarterdeck;
use crate::support::fake_clock::FakeClock;
use crate::support::{Dashboard, wait_for};

const CONFIG: &str = "[probe]\ninterval = \"0s\"\n[retention]\nevents_days = 1\ncommands_days = 1\n\
     [[op]]\nid = \"three\"\nscript = \"echo three; exit 3\"\n";

/// Each round is a day: the sweep takes what the day before has left.
const DAYS: i64 = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_working_dashboard_verifies_at_any_moment() {
    let mut qd = Dashboard::prepare(CONFIG);
    let clock = FakeClock::of(&mut qd);
    clock.is_off_by(-(DAYS + 1) * 86_400);
    qd.start_again().await;
    let over = AtomicBool::new(false);
    let (verified, swept) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let verify = async {
        while !over.load(Ordering::Relaxed) {
            let (code, text, err) = quarterdeck(&qd, "audit verify").await;
            assert_eq!(code, 0, "a false alarm: {text}{err}");
            verified.fetch_add(1, Ordering::Relaxed);
        }
    };
    let work = async {
        for day in 0..DAYS {
            clock.is_off_by(-(DAYS - day) * 86_400);
            let host = format!("h{day}");
            for n in 0..6 {
                let (name, spool) = (format!("{host}-{n}"), qd.path(&format!("spool-{day}-{n}")));
                let asked = [
                    ("/hosts", json!({"name": name, "local": true, "spool": spool})),
                    ("/tokens", json!({"name": name, "role": "viewer"})),
                    (
                        "/commands",
                        json!({"op": if n % 2 == 0 { "uptime" } else { "three" }, "hosts": [name]}),
                    ),
                    ("/commands", json!({"op": "uptime", "hosts": [name]})),
                ];
                for (path, body) in asked {
                    let (status, answer) = qd.post(path, &body).await;
                    assert!(status < 300 || status == 409, "{status}: {answer}");
                }
                qd.get("/export?what=events&format=csv").await;
            }
            wait_for("their ends", async || {
                (qd.sql("SELECT count(*) FROM commands WHERE finished_at IS NULL") == "0").then_some(())
            })
            .await;
            let (status, answer) = qd.post("/sweep", &json!({})).await;
            assert!((200..300).contains(&status), "{answer}");
            let gone = answer.to_string();
            swept.fetch_add(usize::from(!gone.contains("\"events\":0")), Ordering::Relaxed);
        }
        over.store(true, Ordering::Relaxed);
    };
    tokio::join!(verify, work);
    let (verified, swept) = (verified.into_inner(), swept.into_inner());
    assert!(
        verified >= 5 && swept >= 5,
        "verified {verified} times beside {swept} sweeps"
    );
    qd.kill().await;
    let (code, text, err) = quarterdeck(&qd, "audit verify").await;
    assert_eq!(code, 0, "{text}{err}");
}
