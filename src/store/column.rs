//! How the words of the domain become columns and come back. The domain knows nothing of Diesel, so the
//! impls stand here. Text that cannot be read is an error of the row, never a panic.

use diesel::deserialize::{FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::serialize::{IsNull, Output, ToSql};
use diesel::sql_types::{Text, Timestamp as TimestampColumn};
use diesel::sqlite::{Sqlite, SqliteValue};

use crate::domain::{
    Actor, CancelMode, Category, CheckpointKind, CommandId, CommandStatus, DeliveryKind, Digest, Evidence, Factor,
    Grants, HostName, Level, OpId, Paper, PipelineId, PipelineStatus, Plan, PublicKey, Reach, Refusal, ReportAsk,
    ReportNumber, RunAs, SpoolDir, StopReason, Tag, Timestamp,
};

fn text(value: SqliteValue<'_, '_, '_>) -> diesel::deserialize::Result<String> {
    FromSql::<Text, Sqlite>::from_sql(value)
}

/// One type, one column type, one way to read it and one way to write it.
macro_rules! column {
    ($proxy:ident, $type:ty, $sql:ty, $read:expr, $write:expr) => {
        #[derive(AsExpression, FromSqlRow)]
        #[diesel(foreign_derive, sql_type = $sql)]
        #[expect(dead_code, reason = "only carries the derives to a type of the domain")]
        struct $proxy($type);

        impl FromSql<$sql, Sqlite> for $type {
            fn from_sql(value: SqliteValue<'_, '_, '_>) -> diesel::deserialize::Result<Self> {
                let read: fn(String) -> diesel::deserialize::Result<$type> = $read;
                read(text(value)?)
            }
        }

        impl ToSql<$sql, Sqlite> for $type {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> diesel::serialize::Result {
                let write: fn(&$type) -> String = $write;
                out.set_value(write(self));
                Ok(IsNull::No)
            }
        }
    };
}

/// A type that is written by `Display` and read by `FromStr`.
macro_rules! word_column {
    ($($proxy:ident = $type:ty as $sql:ty),+ $(,)?) => {
        $(column!($proxy, $type, $sql, |text| Ok(text.parse::<$type>()?), |word| word.to_string());)+
    };
}

word_column! {
    ActorColumn = Actor as Text,
    CancelModeColumn = CancelMode as Text,
    CategoryColumn = Category as Text,
    CheckpointKindColumn = CheckpointKind as Text,
    CommandIdColumn = CommandId as Text,
    CommandStatusColumn = CommandStatus as Text,
    DeliveryKindColumn = DeliveryKind as Text,
    FactorColumn = Factor as Text,
    GrantsColumn = Grants as Text,
    HostNameColumn = HostName as Text,
    LevelColumn = Level as Text,
    OpIdColumn = OpId as Text,
    PaperColumn = Paper as Text,
    PipelineIdColumn = PipelineId as Text,
    PipelineStatusColumn = PipelineStatus as Text,
    PublicKeyColumn = PublicKey as Text,
    RefusalColumn = Refusal as Text,
    ReportNumberColumn = ReportNumber as Text,
    RunAsColumn = RunAs as Text,
    SpoolDirColumn = SpoolDir as Text,
    StopReasonColumn = StopReason as Text,
    TimeColumn = Timestamp as TimestampColumn,
}

column!(
    DigestColumn,
    Digest,
    Text,
    |text| Ok(Digest::from_stored(text)),
    |digest| { digest.as_str().to_owned() }
);

column!(
    EvidenceColumn,
    Evidence,
    Text,
    |text| Ok(serde_json::from_str(&text)?),
    |evidence| { serde_json::to_string(evidence).unwrap_or_default() }
);

column!(
    PlanColumn,
    Plan,
    Text,
    |text| Ok(serde_json::from_str(&text)?),
    |plan| { serde_json::to_string(plan).unwrap_or_default() }
);

column!(
    ReportAskColumn,
    ReportAsk,
    Text,
    |text| Ok(serde_json::from_str(&text)?),
    |ask| { serde_json::to_string(ask).unwrap_or_default() }
);

/// A plan that may be absent; then it is empty.
pub struct MaybePlan(Option<Plan>);

impl diesel::Queryable<diesel::sql_types::Nullable<Text>, Sqlite> for MaybePlan {
    type Row = Option<Plan>;

    fn build(row: Self::Row) -> diesel::deserialize::Result<Self> {
        Ok(Self(row))
    }
}

impl From<MaybePlan> for Plan {
    fn from(plan: MaybePlan) -> Self {
        plan.0.unwrap_or_default()
    }
}

/// Ids of hosts: a JSON array in one column.
#[derive(Clone, Debug)]
pub struct Ids(pub(super) Vec<i64>);

column!(
    IdsColumn,
    Ids,
    Text,
    |text| Ok(Ids(serde_json::from_str(&text)?)),
    |ids| { serde_json::to_string(&ids.0).unwrap_or_else(|_| "[]".to_owned()) }
);

impl From<Ids> for Vec<i64> {
    fn from(ids: Ids) -> Self {
        ids.0
    }
}

column!(ReachColumn, Reach, Text, read_reach, write_reach);

fn read_reach(text: String) -> diesel::deserialize::Result<Reach> {
    match text.strip_prefix("ssh:") {
        Some(address) => Ok(Reach::ssh(address)?),
        None if text == "local" => Ok(Reach::Local),
        None => Err(format!("“{text}” is no way to reach a host").into()),
    }
}

fn write_reach(reach: &Reach) -> String {
    match reach {
        Reach::Local => "local".to_owned(),
        Reach::Ssh { .. } => format!("ssh:{reach}"),
    }
}

/// A host's tags: a JSON array in one column.
#[derive(Clone, Debug)]
pub struct Tags(pub(super) Vec<Tag>);

column!(
    TagsColumn,
    Tags,
    Text,
    |text| Ok(Tags(serde_json::from_str(&text)?)),
    |tags| { serde_json::to_string(&tags.0).unwrap_or_else(|_| "[]".to_owned()) }
);

impl From<Tags> for Vec<Tag> {
    fn from(tags: Tags) -> Self {
        tags.0
    }
}

/// A JSON value in one column.
#[derive(Clone, Debug)]
pub struct Json(pub(super) serde_json::Value);

column!(
    JsonColumn,
    Json,
    Text,
    |text| Ok(Json(serde_json::from_str(&text)?)),
    |json| { json.0.to_string() }
);

/// A JSON value that may be absent.
pub struct MaybeJson(Option<Json>);

impl diesel::Queryable<diesel::sql_types::Nullable<Text>, Sqlite> for MaybeJson {
    type Row = Option<Json>;

    fn build(row: Self::Row) -> diesel::deserialize::Result<Self> {
        Ok(Self(row))
    }
}

impl From<MaybeJson> for Option<serde_json::Value> {
    fn from(json: MaybeJson) -> Self {
        json.0.map(|json| json.0)
    }
}
