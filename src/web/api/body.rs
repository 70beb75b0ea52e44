//! JSON bodies, strictly: at most 64 KiB, one object, no key that the request does not know.

use std::fmt;

use actix_web::web::{Bytes, Payload};
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::domain::{
    Fingerprint, HostName, Invalid, OpId, Reach, RunAs, Span, SpoolDir, Tag, Timestamp, bounded, nearest,
};
use crate::store::NewHost;

use super::problem::Problem;

/// The most bytes that a body may have.
const LIMIT: usize = 64 * 1024;

/// What a request can be given, by its keys.
pub(super) trait Body: DeserializeOwned {
    /// Every key that it knows.
    const KEYS: &[&str];
}

/// Start an op.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StartBody {
    /// The op's name in the catalog.
    #[schema(value_type = OpId)]
    pub(super) op: String,
    /// On these hosts.
    #[schema(value_type = Vec<HostName>, min_items = 1, max_items = 5000)]
    pub(super) hosts: Vec<String>,
    /// Why, for the journal.
    pub(super) reason: Option<String>,
}

impl Body for StartBody {
    const KEYS: &[&str] = &["op", "hosts", "reason"];
}

/// A word that a host's key is the right one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyBody {
    /// Of the key, as it was compared with what the host itself says.
    #[schema(value_type = Fingerprint)]
    pub(super) fingerprint: String,
}

impl Body for KeyBody {
    const KEYS: &[&str] = &["fingerprint"];
}

/// A wish that may say why.
#[derive(Debug, Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReasonBody {
    /// Why, for the journal.
    pub(super) reason: Option<String>,
}

impl Body for ReasonBody {
    const KEYS: &[&str] = &["reason"];
}

/// An end by hand.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ResolveBody {
    /// Why it is ended by hand.
    #[schema(pattern = "\\S")]
    pub(super) reason: String,
}

impl Body for ResolveBody {
    const KEYS: &[&str] = &["reason"];
}

/// What was found out about a bad end.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AcknowledgeBody {
    /// What was found, or done about it.
    #[schema(pattern = "\\S")]
    pub(super) note: String,
}

impl Body for AcknowledgeBody {
    const KEYS: &[&str] = &["note"];
}

/// What is to stay, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KeepBody {
    /// Why it is to be kept, or may go.
    #[schema(pattern = "\\S")]
    pub(super) reason: String,
}

impl Body for KeepBody {
    const KEYS: &[&str] = &["reason"];
}

/// A range of time of which nothing is swept.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HoldBody {
    /// From this time on ...
    pub(super) from: Timestamp,
    /// ... up to this one, which is later; without it, without an end.
    pub(super) until: Option<Timestamp>,
    /// Why.
    #[schema(pattern = "\\S")]
    pub(super) reason: String,
}

impl Body for HoldBody {
    const KEYS: &[&str] = &["from", "until", "reason"];
}

/// More time for a command.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExtendBody {
    #[serde(rename = "for")]
    /// How much more.
    #[schema(value_type = String, pattern = "^([1-9][0-9]{0,2}d|[1-9][0-9]{0,3}h( ?[0-9]{1,2}m)?( ?[0-9]{1,2}s)?|[1-9][0-9]{0,3}m( ?[0-9]{1,2}s)?|[1-9][0-9]{0,5}s)$", example = "30m")]
    pub(super) span: Span,
}

impl Body for ExtendBody {
    const KEYS: &[&str] = &["for"];
}

/// A new host, as it is written on the command line.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HostBody {
    #[schema(value_type = HostName)]
    name: String,
    /// Reached by SSH: `[USER@]ADDRESS[:PORT]`.
    #[schema(
        pattern = "^([A-Za-z0-9_][A-Za-z0-9._+-]{0,30}@)?[A-Za-z0-9][A-Za-z0-9._-]{0,252}(:[1-9][0-9]{0,3})?$",
        example = "root@web-03.example.org:22"
    )]
    ssh: Option<String>,
    /// The dashboard's own machine.
    #[serde(default)]
    local: bool,
    #[serde(default)]
    #[schema(value_type = Vec<Tag>)]
    tags: Vec<String>,
    /// The base folder of its spools, where it is not the usual one.
    #[schema(value_type = Option<SpoolDir>)]
    spool: Option<String>,
    /// The user that ops run as there, where it is not the one of the op.
    #[schema(value_type = Option<RunAs>)]
    run_as: Option<String>,
}

impl Body for HostBody {
    const KEYS: &[&str] = &["name", "ssh", "local", "tags", "spool", "run_as"];
}

impl HostBody {
    /// The host in the words of the journal.
    pub(super) fn parse(self) -> Result<NewHost, Invalid> {
        let reach = match (self.ssh, self.local) {
            (Some(ssh), false) => Reach::ssh(&ssh)?,
            (None, true) => Reach::Local,
            (Some(_), true) => return Err(Invalid::new("ssh", "a host is reached by ssh or is local, not both")),
            (None, false) => {
                return Err(Invalid::new(
                    "ssh",
                    "say how the host is reached: \"ssh\": \"USER@ADDRESS\", or \"local\": true",
                ));
            }
        };
        Ok(NewHost {
            name: self.name.parse::<HostName>()?,
            reach,
            spool: self.spool.map(|text| text.parse::<SpoolDir>()).transpose()?,
            run_as: self.run_as.map(|text| text.parse::<RunAs>()).transpose()?,
            tags: self
                .tags
                .iter()
                .map(|text| text.parse::<Tag>())
                .collect::<Result<_, _>>()?,
            automatic: false,
        })
    }
}

/// Reads and checks a body that must be there.
pub(super) async fn required<T: Body>(payload: Payload) -> Result<T, Problem> {
    parse(&bytes(payload).await?)
}

/// Reads a body that may be left away.
pub(super) async fn optional<T: Body + Default>(payload: Payload) -> Result<T, Problem> {
    parse_optional(&bytes(payload).await?)
}

/// The same of bytes that were read already.
pub(super) fn parse_optional<T: Body + Default>(bytes: &[u8]) -> Result<T, Problem> {
    if bytes.is_empty() {
        Ok(T::default())
    } else {
        parse(bytes)
    }
}

/// The body as it came.
pub(super) async fn bytes(payload: Payload) -> Result<Bytes, Problem> {
    match payload.to_bytes_limited(LIMIT).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(why)) => Err(Problem::malformed(format!("the body cannot be read: {why}"))),
        Err(_) => Err(Problem::too_large(LIMIT)),
    }
}

pub(super) fn parse<T: Body>(bytes: &[u8]) -> Result<T, Problem> {
    let Object(object) = serde_json::from_slice(bytes)
        .map_err(|why| Problem::malformed(format!("the body must be one JSON object: {why}")))?;
    for key in object.keys() {
        if !T::KEYS.contains(&key.as_str()) {
            return Err(Problem::invalid(key.clone(), unknown(key, T::KEYS)));
        }
    }
    // One key after another would not name the field of a wrong type; the path is short enough to try.
    serde_json::from_value(Value::Object(object.clone())).map_err(|why| {
        let field = T::KEYS.iter().find(|key| why.to_string().contains(&format!("`{key}`")));
        let culprit = field.copied().or_else(|| wrong_type::<T>(&object));
        match culprit {
            Some(field) => Problem::invalid(field, why.to_string()),
            None => Problem::malformed(why.to_string()),
        }
    })
}

/// A JSON object with no key in it twice: which of them counts, two readers may see differently.
struct Object(Map<String, Value>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;

        impl<'de> Visitor<'de> for Keys {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut given: A) -> Result<Object, A::Error> {
                let mut object = Map::new();
                while let Some((key, value)) = given.next_entry::<String, Value>()? {
                    if object.contains_key(&key) {
                        let key = bounded(&key, 60);
                        return Err(serde::de::Error::custom(format!("“{key}” is there twice")));
                    }
                    object.insert(key, whole(value));
                }
                Ok(Object(object))
            }
        }

        deserializer.deserialize_map(Keys)
    }
}

/// A key whose value is of a wrong type: serde does not say where it stands. One key after the other is taken away until
/// the complaint is another one (two may be wrong in the same way).
fn wrong_type<T: Body>(object: &Map<String, Value>) -> Option<&'static str> {
    let complaint = |object: Map<String, Value>| {
        let read = serde_json::from_value::<T>(Value::Object(object));
        read.err().map(|why| why.to_string())
    };
    let whole = complaint(object.clone());
    let mut rest = object.clone();
    T::KEYS
        .iter()
        .copied()
        .find(|key| rest.remove(*key).is_some() && complaint(rest.clone()) != whole)
}

/// A whole number may be written `3.0` in JSON.
fn whole(value: Value) -> Value {
    /// Beyond it a float skips whole numbers.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() <= EXACT => Value::from(float as i64),
            Some(_) | None => Value::Number(number),
        },
        Value::Array(items) => Value::Array(items.into_iter().map(whole).collect()),
        other @ (Value::Null | Value::Bool(_) | Value::String(_) | Value::Object(_)) => other,
    }
}

/// What is said of a key or parameter that nobody knows.
pub(super) fn unknown(key: &str, known: &[&str]) -> String {
    if known.is_empty() {
        return "is not known here; nothing is taken".to_owned();
    }
    match nearest(key, known.iter().copied()) {
        Some(near) => format!("is not known here; did you mean “{near}”?"),
        None => format!("is not known here; known are {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong<T: Body + std::fmt::Debug>(text: &str) -> Value {
        let problem = parse::<T>(text.as_bytes()).expect_err(text);
        serde_json::to_value(problem).expect("json")
    }

    #[test]
    fn a_body_is_read_strictly() {
        let body: StartBody = parse(br#"{"op": "uptime", "hosts": ["a", "b"]}"#).expect("good");
        assert_eq!((body.op.as_str(), body.hosts.len(), body.reason), ("uptime", 2, None));
        for (text, status, field, words) in [
            ("", 400, None, "one JSON object"),
            ("[]", 400, None, "one JSON object"),
            ("{", 400, None, "one JSON object"),
            (
                r#"{"op": "x", "op": "y", "hosts": ["a"]}"#,
                400,
                None,
                "“op” is there twice",
            ),
            (
                r#"{"op": "x", "host": ["a"]}"#,
                422,
                Some("host"),
                "did you mean “hosts”",
            ),
            (
                r#"{"op": "x", "hosts": ["a"], "frobnicate": 1}"#,
                422,
                Some("frobnicate"),
                "known are op, hosts",
            ),
            (r#"{"op": "x"}"#, 422, Some("hosts"), "missing"),
            (r#"{"op": 7, "hosts": ["a"]}"#, 422, Some("op"), "string"),
            (r#"{"op": "x", "hosts": "a"}"#, 422, Some("hosts"), "sequence"),
            (
                r#"{"op": "x", "hosts": ["a"], "reason": {}}"#,
                422,
                Some("reason"),
                "string",
            ),
        ] {
            let problem = wrong::<StartBody>(text);
            assert_eq!(problem["status"], status, "{text}: {problem}");
            assert_eq!(problem["field"].as_str(), field, "{text}: {problem}");
            let detail = problem["detail"].as_str().expect("detail");
            assert!(detail.contains(words), "{text}: {detail}");
        }
    }

    #[test]
    fn a_host_is_reached_in_exactly_one_way() {
        let host = |text: &str| parse::<HostBody>(text.as_bytes()).expect("shape").parse();
        let good =
            host(r#"{"name": "web-03", "ssh": "root@web-03:22", "tags": ["web"], "run_as": "root"}"#).expect("good");
        assert_eq!(good.reach.to_string(), "root@web-03:22");
        assert!(!good.automatic);
        for (text, field) in [
            (r#"{"name": "a"}"#, "ssh"),
            (r#"{"name": "a", "ssh": "a", "local": true}"#, "ssh"),
            (r#"{"name": "all", "local": true}"#, "name"),
            (r#"{"name": "a", "local": true, "spool": "tmp"}"#, "spool"),
            (r#"{"name": "a", "local": true, "tags": ["a b"]}"#, "tag"),
        ] {
            assert_eq!(host(text).expect_err(text).field, field, "{text}");
        }
    }

    #[test]
    fn more_time_is_a_duration() {
        assert_eq!(
            parse::<ExtendBody>(br#"{"for": "30m"}"#).expect("good").span,
            Span::from_secs(1800)
        );
        let problem = wrong::<ExtendBody>(r#"{"for": "soon"}"#);
        assert_eq!(problem["field"], "for");
    }
}
