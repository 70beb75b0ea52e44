//! # Quarterdeck, from the inside
//!
//! Quarterdeck is a web dashboard with which fleet administrators run **ops** and **pipelines** on their hosts over
//! plain OpenSSH, and never lose track of what happened. One binary, one SQLite file, no agent.
//! This text is the architecture document: the map, the rules, the life of an op and that of a pipeline, who may ask,
//! who else is told, and what proves it afterwards.
//!
//! ## The map
//!
//! ```text
//! main -> cli -> app -> web -> engine -> { store, executor, outlet } -> domain
//!                         \____ reads only ____^
//! ```
//!
//! Arrows mean "may import", never the other way and never sideways; `tests/layers.rs` enforces it. `config` stands beside
//! them: `web`, `app` and `cli` know its settings, and it knows the domain.
//!
//! | module | what it is | what it does not know |
//! | --- | --- | --- |
//! | `domain` | words and rules: ids, times, statuses and their legal transitions, ops and pipelines, what a pipeline does next, evidence and what it settles, who may do what, how events are chained | any I/O |
//! | `store` | the journal and its archive: one file per table, one public method = one transaction with a domain name | processes, pages |
//! | `executor` | how a host is reached and how a job lives there | commands, statuses, the journal |
//! | `outlet` | ways out: log servers, files, web addresses, programs | events, journals, cursors |
//! | `engine` | start, follow, stop, pipelines, recovery, retention, reports, what goes to places outside: the one place that joins journal, hosts and outlets | HTTP, HTML, SQL |
//! | `web` | pages for people, the API for programs; errors become HTTP in one file of each (`error.rs`, `api/problem.rs`) | how jobs work |
//! | `config` | file < environment < flag, validated once | what the settings do |
//! | `app` | the composition root: start and stop of everything on one screen | how anything is done |
//! | `cli` | one file per subcommand; a client of the API, and a reader of a journal that no dashboard serves | how anything is done |
//!
//! ## The rules
//!
//! * **Persist first, act second.** If the journal cannot be written, nothing is started.
//! * A status changes only by compare-and-set on (old status, not final), in the transaction that
//!   writes its event and raises the version. Zero rows matched is an answer.
//! * One writer thread owns the only writable connection and commits in groups; nobody is answered
//!   before COMMIT has returned. The web layer holds only a [`store::Reader`]: "a page never writes" is a type.
//! * One open command per host is a partial unique index, not a check in code.
//! * A lost connection decides nothing. A passed deadline starts a stop; it is not an outcome.
//! * A command, and an open pipeline, has one driver (a task of the engine; `engine/drivers.rs`). A driver holds no state
//!   that matters: it reads the row, does what its status asks for, and reads the row again.
//! * What a host says becomes an outcome in one pure function, [`domain::settle`].
//! * **Who may do what is decided in one place**, [`domain::Access::may`], and asked twice: by the table of URLs
//!   (`web/routes.rs`, `web/api/mod.rs`), which is also how they are registered, so that what nobody listed is not
//!   served; and by every method of the engine that changes something, with the hosts that it is about.
//! * What a pipeline does next is one pure function too, [`domain::Plan::next`], of its frozen plan and the rows of
//!   its commands: they are its only state. A unique index keeps a stage from repeating on a host.
//! * **An event carries the link of a hash chain**, written with it; what ends a command or a pipeline seals its row.
//!
//! ## The life of an op
//!
//! 1. Somebody presses a button, or a program posts `{op, hosts}`. `web` parses it and calls
//!    [`engine::Engine::start`].
//! 2. `store` inserts one row per host in one transaction: PENDING, or BLOCKED with its reason (busy,
//!    reserved, removed), each with its event. Only then is the caller answered.
//! 3. The command's driver (`engine/drive.rs`) makes it VALIDATING, contacts the host and lets the
//!    pre-check decide: go, not needed (SKIPPED), or no (BLOCKED). Boot id, machine id and spool folder
//!    are journaled with EXECUTING.
//! 4. `executor` sends the job: a small `sh` program which claims a folder on the host, detaches a
//!    supervisor, takes the host's lock, and starts by renaming a file. A launch may be repeated at
//!    will; it starts once.
//! 5. `engine/follow.rs` reads output from a byte offset into `output/<id>`, watches the job's age,
//!    announces "takes longer than usual", stops it when its time is up or somebody said so, and
//!    looks on the host whether anything of it is alive.
//! 6. The host's last word (an exit code, published by a rename) is weighed by [`domain::settle`]. The
//!    output is synced, the row becomes final with size and SHA-256 of the output, and only then is
//!    the spool emptied.
//! 7. If the dashboard dies anywhere in between, the next start makes EXECUTING commands ORPHANED in
//!    one transaction, serves pages, and asks each host what became of its job
//!    (`engine/recover.rs`): reattached, settled with the host's evidence, started after the proof
//!    that it never was, or honestly unknown.
//!
//! ## Who asks
//!
//! 1. `web/guard.rs` looks at the name in `Host`, the origin and (where a proxy is trusted) the address.
//! 2. `web/session.rs` (pages) and `web/api/guard.rs` (programs) find out who it is: a session's cookie, the kernel's
//!    word on the Unix socket, a token. Of every secret only a hash is stored. The table of URLs says what it takes.
//! 3. A form must carry the token of the session that it was drawn for (`web/form.rs` puts it into every form).
//! 4. The engine ([`engine::Engine`], `engine/access`) asks again, for each host. Where only the proof is missing that it
//!    is them, it answers [`engine::EngineError::StepUp`], and the page "Is it you?" sends the same request once more.
//! 5. What was done, and what was refused, is an event with the actor, the address and what was proved.
//!
//! ## The life of a pipeline
//!
//! 1. [`engine::Engine::start_pipeline`] (or [`engine::Engine::start`] with several hosts: a pipeline of one stage)
//!    freezes a [`domain::Plan`]: which hosts, in which order and batches, with which definitions and limits.
//! 2. `store` journals it, reserves its hosts, and *advances* it: one transaction asks the planner what comes next
//!    from the rows and carries that out (commands that are PENDING or BLOCKED, rows that are written off, hosts that
//!    are released, the pipeline's own status). An advance with nothing to do writes nothing.
//! 3. The pipeline's driver (`engine/pipeline_driver.rs`) gives new commands their drivers and waits until one of them
//!    has ended, somebody said something, or a host that is waited for may be free. Then it advances again.
//! 4. After a restart the same rows say the same thing. A start holds a pipeline where no dashboard ran for long, or the
//!    next op is dangerous. Its PENDING and VALIDATING commands are neither started nor cancelled while it is held (a
//!    row that recovery cancelled would count as a failure of its host): "go on" gives them their drivers, a cancel
//!    cancels them. What was executing is followed like any other command.
//!
//! ## Telling others
//!
//! Log servers, files, witnesses and people hear what happens from the journal alone (`engine/delivery`): each has one
//! task and one stored cursor, which moves only after what is before it has arrived. Nothing that is journaled waits for
//! them, and a restart leaves nothing out. How bytes get there is the affair of `outlet`.
//!
//! ## What proves it
//!
//! 1. Each event's link covers the event and the link before ([`domain::Link`]); signed checkpoints
//!    ([`domain::Checkpoint`]) say how far the chain has come: every hour, at each sweep, report, start and stop.
//! 2. A sweep (`engine/retention`, `store/sweep`) writes what is past its time into a file of the archive, deletes it in
//!    small pieces, rows before files, and signs a checkpoint that stands for what went.
//! 3. `store/verify` holds the chain, the checkpoints, every final row, every output and every file of the archive
//!    against each other (`store/archive/verify`: one such file by itself). It only reads, so it works on a copy too.
//! 4. An audit report (`engine/report`, drawn by `web/pages/report`) is an event with the digest of what it says, and
//!    what it said is kept as it was printed.

pub mod app;
pub mod cli;
pub mod config;
pub mod domain;
pub mod engine;
pub mod executor;
pub mod outlet;
pub mod store;
pub mod web;
