//! The journal through its front door: a real file in a folder of its own.

mod aged;
mod cursors;
mod history;
mod opening;
mod pipelines;
mod proofs;
mod reading;
mod recovery;
mod retention;
mod schema;
mod writing;

use super::*;
use crate::domain::{Actor, CommandStatus, Evidence, HostName, Identity, Reach, Span, built_in};

/// SQLite's plans for queries, on an empty journal; without statistics a plan depends on the schema alone.
pub(super) struct Plans {
    conn: diesel::SqliteConnection,
    _dir: tempfile::TempDir,
}

impl Plans {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().expect("folder");
        let conn = open::open(dir.path()).expect("opens").conn;
        Self { conn, _dir: dir }
    }

    /// Of a query as `debug_query` shows it.
    pub(super) fn of(&mut self, sql: &str) -> String {
        use diesel::RunQueryDsl as _;

        #[derive(diesel::QueryableByName)]
        struct Line {
            #[diesel(sql_type = diesel::sql_types::Text)]
            detail: String,
        }
        let sql = sql.split(" -- binds").next().expect("text");
        let lines: Vec<Line> = diesel::sql_query(format!("EXPLAIN QUERY PLAN {sql}"))
            .load(&mut self.conn)
            .expect("plan");
        lines.into_iter().map(|line| line.detail).collect::<Vec<_>>().join("; ")
    }
}

impl Plans {
    /// The columns of a table, as the migrations make it.
    pub(super) fn columns(&mut self, table: &str) -> Vec<String> {
        use diesel::RunQueryDsl as _;

        #[derive(diesel::QueryableByName)]
        struct Column {
            #[diesel(sql_type = diesel::sql_types::Text)]
            name: String,
        }
        let columns: Vec<Column> = diesel::sql_query(format!("SELECT name FROM pragma_table_info('{table}')"))
            .load(&mut self.conn)
            .expect("columns");
        columns.into_iter().map(|column| column.name).collect()
    }
}

pub(super) fn plan_of(sql: &str) -> String {
    Plans::new().of(sql)
}

pub(super) fn settings(dir: &Path) -> OpenSettings {
    OpenSettings {
        data_dir: dir.to_owned(),
        low_space: 1,
        checkpoint_key: None,
        machine_folder: None,
    }
}

pub(super) fn store_in(dir: &tempfile::TempDir) -> Store {
    Store::open(&settings(dir.path())).expect("opens")
}

pub(super) fn alice() -> By {
    By::new(
        Actor::User("alice".to_owned()),
        Some("192.0.2.7".to_owned()),
        crate::domain::Access::Everything,
    )
}

pub(super) fn name(text: &str) -> HostName {
    text.parse().expect("name")
}

pub(super) async fn add(store: &Store, host: &str) -> HostRow {
    let host = NewHost {
        name: name(host),
        reach: Reach::Local,
        spool: None,
        run_as: None,
        tags: Vec::new(),
        automatic: false,
    };
    store.add_host(host, alice()).await.expect("added")
}

pub(super) fn ask(op: &str, hosts: &[&str]) -> Request {
    let op = built_in().into_iter().find(|o| o.id.as_str() == op).expect("op");
    Request {
        op: op.id.clone(),
        definition: op.definition(),
        hosts: hosts.iter().map(|host| name(host)).collect(),
        by: alice(),
        reason: Some("because".to_owned()),
        retry_of: None,
    }
}

pub(super) fn at() -> Identity {
    Identity {
        boot_id: "b:1".to_owned(),
        machine_id: "m".to_owned(),
        spool: "/spool/1".to_owned(),
    }
}

pub(super) fn exit(code: i64) -> Finish {
    Finish {
        status: if code == 0 {
            CommandStatus::Success
        } else {
            CommandStatus::Error
        },
        exit_code: Some(code),
        error: (code != 0).then(|| format!("the script ended with exit {code}")),
        evidence: Evidence::Exit {
            code,
            check: None,
            duration_ms: 1_500,
            stopped: None,
            left_behind: 0,
            output_cut: false,
        },
        duration: Some(Span::from_millis(1_500)),
        output: None,
    }
}

/// The whole event log, oldest first.
pub(super) fn all_events(journal: &mut Journal) -> Result<Vec<EventRow>, ReadError> {
    let mut all: Vec<EventRow> = Vec::new();
    loop {
        let after = Cursor::After(all.last().map_or(0, |event| event.id));
        let page = journal.events(&EventFilter::default(), Some(after), PAGE_LIMIT)?;
        if page.rows.is_empty() {
            return Ok(all);
        }
        all.extend(page.rows.into_iter().rev());
    }
}

/// One op on one host, as far as EXECUTING.
pub(super) async fn executing(store: &Store, host: &str) -> CommandRow {
    let row = store.request(ask("uptime", &[host])).await.expect("asked").remove(0);
    assert_eq!(row.status, CommandStatus::Pending, "{row:?}");
    store.begin_validating(row.id).await.expect("written").expect("open");
    store
        .begin_executing(row.id, &at(), None)
        .await
        .expect("written")
        .expect("open")
}

#[tokio::test]
async fn an_op_from_asking_to_its_end() {
    let dir = tempfile::tempdir().expect("folder");
    let store = store_in(&dir);
    let host = add(&store, "web-03").await;
    let before = store.reader().read(Journal::version).await.expect("version");
    let mut commands = store.watch(Topic::Commands);
    let row = executing(&store, "web-03").await;
    let row = store
        .acknowledge(row.id, row.started_at.expect("started"), None)
        .await
        .expect("written")
        .expect("open");
    let row = store.finish(row.id, exit(3)).await.expect("written").expect("open");
    assert_eq!((row.status, row.exit_code), (CommandStatus::Error, Some(3)));
    assert_eq!(row.host, "web-03");
    let (started, finished) = (row.started_at.expect("started"), row.finished_at.expect("finished"));
    assert!(row.created_at <= started && started <= finished);
    assert_eq!(finished.since(started), Span::from_millis(1_500));
    assert_eq!(row.actor, Actor::User("alice".to_owned()));
    let id = row.id;
    let (events, version) = store
        .reader()
        .read(move |journal| Ok((journal.events_of(id, 100)?, journal.version()?)))
        .await
        .expect("read");
    let messages: Vec<_> = events.iter().map(|event| event.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "alice asked for uptime on web-03",
            "uptime on web-03: contacting the host",
            "uptime starts on web-03",
            "web-03 acknowledged the start of uptime",
            "uptime on web-03 failed, exit 3, after 1.5 s",
        ]
    );
    assert!(events.iter().all(|event| event.host_id == Some(host.id)));
    assert_eq!(version, before + 5, "one version for each change");
    assert_eq!(*commands.borrow_and_update(), version);
    let json = serde_json::to_value(&row).expect("json");
    assert_eq!(json["evidence"]["kind"], "exit");
    assert!(json["created_at"].as_str().expect("text").ends_with('Z'));
    store.close();
}
