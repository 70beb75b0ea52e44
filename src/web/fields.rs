//! What a form or a query string sent, read once: a missing field and an empty one are the same.

use std::str::FromStr;

use actix_web::dev::Payload;
use actix_web::web::{Form, Query};
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::{FutureExt as _, LocalBoxFuture, TryFutureExt as _};

use crate::domain::{Invalid, bounded};
use crate::engine::EngineError;

use super::error::{Problem, bad_form};

/// The fields of one request, in the order in which they came.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(super) fn query(text: &str) -> Result<Self, Invalid> {
        Query::<Vec<(String, String)>>::from_query(text)
            .map(|pairs| Self(pairs.into_inner()))
            .map_err(|_| Invalid::new("address", "its part behind “?” cannot be read"))
    }

    pub(super) fn form(pairs: Vec<(String, String)>) -> Self {
        Self(pairs)
    }

    /// Refuses names that are not known, and those that come more than once: one of them would be passed over.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Invalid> {
        for (at, (name, _)) in self.0.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let problem = format!("is not known here; known are {}", known.join(", "));
                return Err(Invalid::new(bounded(name, 40), problem));
            }
            if self.0[..at].iter().any(|(before, _)| before == name) {
                return Err(Invalid::new(name, "is given twice"));
            }
        }
        Ok(())
    }

    /// All that have a text, as they came.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.0.iter().map(|(name, value)| (name.as_str(), value.trim()));
        pairs.filter(|(_, value)| !value.is_empty())
    }

    /// The field's text without the white space around it.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let values = self
            .0
            .iter()
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value.trim());
        values.into_iter().find(|value| !value.is_empty())
    }

    pub(super) fn owned(&self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    /// The field's text as it came, white space and all: a password.
    pub(super) fn raw(&self, name: &str) -> Option<String> {
        let value = self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value);
        value.filter(|value| !value.is_empty()).cloned()
    }

    /// Every value of a field that may come several times.
    pub(super) fn many<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.trim())
            .filter(|value| !value.is_empty())
    }

    /// The field in its strict type; what cannot be read is an error that names the field.
    pub(super) fn parse<T: FromStr<Err = Invalid>>(&self, name: &str) -> Result<Option<T>, Invalid> {
        parsed(name, self.text(name).unwrap_or_default())
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Invalid> {
        self.text(name)
            .map(|text| {
                text.parse::<u64>()
                    .map_err(|_| Invalid::new(name, format!("“{}” is no number", bounded(text, 40))))
            })
            .transpose()
    }
}

/// The text of a field; none where it is empty.
pub(super) fn given(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// The text of a field in its strict type; what cannot be read is an error that names the field.
pub(super) fn parsed<T: FromStr<Err = Invalid>>(field: &str, text: &str) -> Result<Option<T>, Invalid> {
    let read = |text: &str| text.parse::<T>().map_err(|wrong| Invalid::new(field, wrong.problem));
    given(text).map(read).transpose()
}

/// The form that a request sent; a handler takes it as an argument.
impl FromRequest for Fields {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        Form::<Vec<(String, String)>>::from_request(request, payload)
            .map_ok(|form| Self::form(form.into_inner()))
            .map_err(|why| bad_form(&why))
            .boxed_local()
    }
}

/// What is wrong with one field of a form, to be said beside it.
#[derive(Clone, Debug)]
pub(super) struct Wrong {
    pub(super) field: String,
    pub(super) problem: String,
}

impl Wrong {
    /// What the engine says of a form, beside `field` where it names none; none where it is not the form's fault.
    pub(super) fn of(why: &EngineError, field: &str) -> Option<Self> {
        match why {
            EngineError::Invalid(wrong) => Some(Self::from(wrong)),
            EngineError::Conflict(_) => Some(Self {
                field: field.to_owned(),
                problem: why.to_string(),
            }),
            EngineError::UnknownOp { .. }
            | EngineError::UnknownHost(_)
            | EngineError::UnknownCommand(_)
            | EngineError::UnknownPipelineName { .. }
            | EngineError::UnknownPipeline(_)
            | EngineError::Unknown(_)
            | EngineError::Forbidden(_)
            | EngineError::StepUp
            | EngineError::TooMany { .. }
            | EngineError::Unavailable(_)
            | EngineError::Internal(_) => None,
        }
    }
}

/// What is wrong with a field, where it cannot be said beside it: the field as its label calls it.
pub(super) fn sentence(wrong: &Invalid) -> String {
    format!("{}: {}.", label(&wrong.field), wrong.problem.trim_end_matches('.'))
}

/// A field's label on the pages; a name that no form has stays as it was typed.
fn label(field: &str) -> &str {
    const LABELS: [(&str, &str); 28] = [
        ("q", "Words"),
        ("actor", "Who"),
        ("op", "Op"),
        ("host", "Host"),
        ("hosts", "Hosts"),
        ("tag", "Tag"),
        ("tags", "Tags"),
        ("name", "Name"),
        ("address", "Address"),
        ("run_as", "Run as"),
        ("role", "May"),
        ("status", "Status"),
        ("since", "Since"),
        ("until", "Until"),
        ("from", "From"),
        ("mode", "What runs now"),
        ("reason", "Reason"),
        ("note", "Note"),
        ("span", "By how long"),
        ("again", "Once more"),
        ("new_password", "New password"),
        ("count", "Number of hosts"),
        ("batches", "Batches"),
        ("max_parallel", "Hosts at once"),
        ("stop_when", "Stop when so many failed"),
        ("if_busy", "Busy hosts"),
        ("busy_wait", "Waited for at most"),
        ("count_unreachable", "Hosts that are not reached"),
    ];
    let found = LABELS.iter().find(|(name, _)| *name == field);
    found.map_or(field, |(_, label)| label)
}

impl From<&Invalid> for Wrong {
    fn from(wrong: &Invalid) -> Self {
        Self {
            field: wrong.field.clone(),
            problem: wrong.problem.clone(),
        }
    }
}

/// A query string of those pairs that have a value, with its `?`; empty where none has.
pub(super) fn to_query<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut query = String::new();
    for (key, value) in pairs {
        if value.is_empty() {
            continue;
        }
        query.push(if query.is_empty() { '?' } else { '&' });
        query.push_str(key);
        query.push('=');
        escape(value, &mut query);
    }
    query
}

/// A form's body of all of those pairs.
pub(super) fn to_query_with_empty<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut body = String::new();
    for (key, value) in pairs {
        if !body.is_empty() {
            body.push('&');
        }
        escape(key, &mut body);
        body.push('=');
        escape(value, &mut body);
    }
    body
}

fn escape(value: &str, into: &mut String) {
    use std::fmt::Write as _;
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            into.push(char::from(byte));
        } else {
            let _ = write!(into, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    #[test]
    fn empty_is_missing_and_repeats_are_kept() {
        let fields = Fields::query("op=+&host=a&host=b&host=").expect("query");
        assert_eq!(fields.text("op"), None);
        assert_eq!(fields.many("host").collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn a_bad_date_names_its_field() {
        let fields = Fields::query("since=yesterday&from=-1").expect("query");
        assert_eq!(fields.parse::<Timestamp>("since").expect_err("no date").field, "since");
        assert_eq!(fields.number("from").expect_err("negative").field, "from");
    }

    #[test]
    fn a_mistake_names_the_label_not_the_field() {
        for (field, said) in [
            ("q", "Words: is wrong."),
            ("max_parallel", "Hosts at once: is wrong."),
            ("bogus", "bogus: is wrong."),
        ] {
            assert_eq!(sentence(&Invalid::new(field, "is wrong")), said);
        }
    }

    #[test]
    fn queries_are_escaped() {
        assert_eq!(
            to_query([("a", "x&y=ü "), ("b", ""), ("c", "1")]),
            "?a=x%26y%3D%C3%BC%20&c=1"
        );
        assert_eq!(to_query([("b", "")]), "");
    }
}
