//! Parameters of a URL, strictly: a filter that is misspelt must not quietly show everything.

use std::str::FromStr;

use actix_web::HttpRequest;
use actix_web::web::Query;

use crate::domain::Invalid;

use super::body::unknown;
use super::problem::Problem;

/// The parameters that were given, each at most once.
#[derive(Debug)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(super) fn of(request: &HttpRequest, known: &[&str]) -> Result<Self, Problem> {
        Self::read(request.query_string(), known)
    }

    fn read(text: &str, known: &[&str]) -> Result<Self, Problem> {
        let pairs = Query::<Vec<(String, String)>>::from_query(text)
            .map_err(|why| Problem::malformed(format!("the parameters cannot be read: {why}")))?
            .into_inner();
        for (at, (name, _)) in pairs.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                return Err(Problem::invalid(name.clone(), unknown(name, known)));
            }
            if pairs[..at].iter().any(|(before, _)| before == name) {
                return Err(Problem::invalid(name.clone(), "is given twice"));
            }
        }
        Ok(Self(pairs))
    }

    /// An empty one counts as not given: that is what an empty field of a form sends.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let value = self
            .0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.trim());
        value.filter(|value| !value.is_empty())
    }

    /// A value that has its own way of being read; the message names the parameter.
    pub(super) fn parsed<T: FromStr<Err = Invalid>>(&self, name: &str) -> Result<Option<T>, Problem> {
        let parsed = self.text(name).map(str::parse).transpose();
        parsed.map_err(|wrong: Invalid| Problem::invalid(name, wrong.problem))
    }

    /// Several of them, separated by commas.
    pub(super) fn listed<T: FromStr<Err = Invalid>>(&self, name: &str) -> Result<Vec<T>, Problem> {
        let texts = self.text(name).into_iter().flat_map(|text| text.split(','));
        let parsed: Result<Vec<T>, Invalid> = texts.map(|text| text.trim().parse()).collect();
        parsed.map_err(|wrong| Problem::invalid(name, wrong.problem))
    }

    pub(super) fn number(&self, name: &str, least: i64, most: i64) -> Result<Option<i64>, Problem> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        match text.parse::<i64>() {
            Ok(number) if (least..=most).contains(&number) => Ok(Some(number)),
            Ok(_) | Err(_) => Err(Problem::invalid(
                name,
                format!("must be a whole number from {least} to {most}"),
            )),
        }
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.text(name) {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(_) => Err(Problem::invalid(name, "must be true or false")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{CommandStatus, Timestamp};

    const KNOWN: &[&str] = &["host", "status", "since", "limit", "open"];

    #[test]
    fn parameters_are_read_strictly() {
        let given = Parameters::read(
            "host=web-03&status=error,TIMEOUT&since=2026-11-23&limit=5&open=true",
            KNOWN,
        );
        let given = given.expect("good");
        assert_eq!(given.text("host"), Some("web-03"));
        let status: Vec<CommandStatus> = given.listed("status").expect("status");
        assert_eq!(status, [CommandStatus::Error, CommandStatus::Timeout]);
        assert!(given.parsed::<Timestamp>("since").expect("since").is_some());
        assert_eq!(given.number("limit", 1, 1000).expect("limit"), Some(5));
        assert!(given.flag("open").expect("open"));
        assert!(Parameters::read("host=", KNOWN).expect("empty").text("host").is_none());
        for text in ["hots=a", "host=a&host=b"] {
            assert!(Parameters::read(text, KNOWN).is_err(), "{text}");
        }
        let bad = Parameters::read("status=BROKEN&since=yesterday&limit=0&open=perhaps", KNOWN).expect("shape");
        assert!(bad.listed::<CommandStatus>("status").is_err());
        assert!(bad.parsed::<Timestamp>("since").is_err());
        assert!(bad.number("limit", 1, 1000).is_err());
        assert!(bad.flag("open").is_err());
    }
}
