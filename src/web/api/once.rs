//! `Idempotency-Key`: what a program asks for under one key is started once, however often it asks, over restarts too.

use actix_web::HttpRequest;
use actix_web::web::Bytes;

use crate::engine::{By, hash_of};
use crate::store::{OnceKey, OnceRow};

use super::Api;
use super::problem::Problem;

const HEADER: &str = "idempotency-key";

/// The key of a request, with what is asked for under it.
pub(super) fn key_of(request: &HttpRequest, body: &Bytes) -> Result<Option<OnceKey>, Problem> {
    let Some(value) = request.headers().get(HEADER) else {
        return Ok(None);
    };
    let key = value.to_str().unwrap_or_default().trim();
    if !(1..=200).contains(&key.len()) || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        let problem = "must be 1 to 200 visible ASCII characters, for example a UUID";
        return Err(Problem::invalid("Idempotency-Key", problem));
    }
    let mut asked = format!("{} {}\n", request.method(), request.path()).into_bytes();
    asked.extend_from_slice(body);
    Ok(Some(OnceKey {
        key: hash_of(key),
        request: crate::domain::Digest::of(&asked).to_string(),
    }))
}

/// Does what is asked for, or gives what was made the first time.
pub(super) async fn once<T>(
    api: &Api,
    mut by: By,
    key: Option<OnceKey>,
    replay: impl AsyncFn(OnceRow) -> Result<T, Problem>,
    act: impl AsyncFnOnce(By) -> Result<T, Problem>,
) -> Result<T, Problem> {
    let Some(key) = key else {
        return act(by).await;
    };
    if let Some(row) = made(api, &by, &key).await? {
        return replay(row).await;
    }
    by.once = Some(key.clone());
    match act(by.clone()).await {
        // Somebody was quicker with the same key: theirs counts.
        Err(problem) if problem.is_conflict() => match made(api, &by, &key).await? {
            Some(row) => replay(row).await,
            None => Err(problem),
        },
        answer => answer,
    }
}

async fn made(api: &Api, by: &By, key: &OnceKey) -> Result<Option<OnceRow>, Problem> {
    let (actor, wanted) = (by.actor.clone(), key.key.clone());
    let found = api
        .engine
        .reader()
        .read(move |journal| journal.once(&actor, &wanted))
        .await?;
    match found {
        Some(row) if row.request != key.request => Err(Problem::invalid(
            "Idempotency-Key",
            "was used for another request; take a new one for each thing that is asked for",
        )),
        found => Ok(found),
    }
}

/// What was made under a key is past its retention.
pub(super) fn gone() -> Problem {
    Problem::not_found("what was started under this Idempotency-Key is past its retention")
}
