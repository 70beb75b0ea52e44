//! Parameters of a URL, strictly: a filter that is misspelt must not quietly show everything.

use std::str::FromStr;

use actix_web::HttpRequest;
use actix_web::web::Query;
use utoipa::IntoParams;

use crate::domain::Invalid;

use super::body::unknown;
use super::problem::Problem;

/// The parameters that were given, each at most once.
#[derive(Debug)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Takes what `T` has fields for.
    pub(super) fn of<T: IntoParams>(request: &HttpRequest) -> Result<Self, Problem> {
        let known = T::into_params(|| None);
        let known: Vec<&str> = known.iter().map(|known| known.name.as_str()).collect();
        Self::read(request.query_string(), &known)
    }

    fn read(text: &str, known: &[&str]) -> Result<Self, Problem> {
        let pairs = Query::<Vec<(String, String)>>::from_query(text)
            .map_err(|why| Problem::malformed(format!("the parameters cannot be read: {why}")))?
            .into_inner();
        for (at, (name, value)) in pairs.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                return Err(Problem::invalid(name.clone(), unknown(name, known)));
            }
            if pairs[..at].iter().any(|(before, _)| before == name) {
                return Err(Problem::invalid(name.clone(), "is given twice"));
            }
            // A script's empty variable must not quietly show everything.
            if value.trim().is_empty() {
                return Err(Problem::invalid(
                    name.clone(),
                    "is empty; leave it away where nothing is meant",
                ));
            }
        }
        Ok(Self(pairs))
    }

    /// Refuses what `T` has no field for, beside these names.
    pub(super) fn only<T: IntoParams>(&self, beside: &[&str], what: &str) -> Result<(), Problem> {
        let known = T::into_params(|| None);
        let strange =
            |name: &&String| !beside.contains(&name.as_str()) && known.iter().all(|known| known.name != **name);
        match self.0.iter().map(|(name, _)| name).find(strange) {
            Some(name) => Err(Problem::invalid(name.clone(), format!("does not go with {what}"))),
            None => Ok(()),
        }
    }

    /// All of them, as they came: for the journal.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let value = self.0.iter().find(|(known, _)| known == name);
        value.map(|(_, value)| value.trim())
    }

    /// A value that has its own way of being read; the message names the parameter.
    pub(super) fn parsed<T: FromStr<Err = Invalid>>(&self, name: &str) -> Result<Option<T>, Problem> {
        let parsed = self.text(name).map(str::parse).transpose();
        parsed.map_err(|wrong: Invalid| Problem::invalid(name, wrong.problem))
    }

    /// Where the page before ended.
    pub(super) fn cursor<T: FromStr>(&self) -> Result<Option<T>, Problem> {
        let cursor = self.text("cursor").map(str::parse).transpose();
        cursor.map_err(|_| Problem::bad_cursor())
    }

    /// The same where it is a number.
    pub(super) fn number_cursor(&self) -> Result<Option<i64>, Problem> {
        let cursor = self.number("cursor", 0, i64::MAX);
        cursor.map_err(|_| Problem::bad_cursor())
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
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
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
        for text in ["hots=a", "host=a&host=b", "host=", "host=%20"] {
            assert!(Parameters::read(text, KNOWN).is_err(), "{text}");
        }
        let bad = Parameters::read("status=BROKEN&since=yesterday&limit=0&open=perhaps", KNOWN).expect("shape");
        assert!(bad.listed::<CommandStatus>("status").is_err());
        assert!(bad.parsed::<Timestamp>("since").is_err());
        assert!(bad.number("limit", 1, 1000).is_err());
        assert!(bad.flag("open").is_err());
    }
}
