//! A clock that a dashboard believes in and a test sets, also while it runs: libfaketime before its C library. Only the
//! time of day is another one; what measures durations goes on, and so do the clocks of hosts.

use std::fs;
use std::path::{Path, PathBuf};

use super::Dashboard;

/// The clock; a test sets it by its distance from the true one.
pub(crate) struct FakeClock(PathBuf);

impl FakeClock {
    /// A clock for the next starts of this dashboard, which goes right at first.
    pub(crate) fn of(dashboard: &mut Dashboard) -> Self {
        let clock = Self(dashboard.path("clock"));
        clock.is_off_by(0);
        let library = ["x86_64-linux-gnu", "aarch64-linux-gnu"]
            .iter()
            .map(|arch| format!("/usr/lib/{arch}/faketime/libfaketimeMT.so.1"))
            .find(|path| Path::new(path).exists())
            .expect("libfaketime (Debian: faketime)");
        for (name, value) in [
            ("LD_PRELOAD", library.as_str()),
            ("FAKETIME_TIMESTAMP_FILE", &clock.0.to_string_lossy()),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("DONT_FAKE_MONOTONIC", "1"),
            ("NO_FAKE_STAT", "1"),
        ] {
            dashboard.env.push((name.to_owned(), value.to_owned()));
        }
        clock
    }

    /// From now on it is this many seconds ahead of the true time, behind it where negative.
    pub(crate) fn is_off_by(&self, seconds: i64) {
        let new = self.0.with_extension("new");
        fs::write(&new, format!("{seconds:+}\n")).expect("clock");
        // In one step: the dashboard reads it at any moment.
        fs::rename(new, &self.0).expect("clock");
    }
}
