//! What somebody proved is void once the account was changed, however long they waited for the answer.

use super::*;
use crate::domain::{Factor, Grants, Timestamp};

fn hash(of: &str) -> String {
    format!("$argon2id${of}")
}

fn session(of: &str, user: Proved) -> NewSession {
    NewSession {
        hash: of.to_owned(),
        user: Some(user),
        agent: None,
        factor: Some(Factor::Password),
        expires_at: Timestamp::now().plus(Span::from_secs(600)),
        unused_since: Timestamp::now().minus(Span::from_secs(600)),
    }
}

async fn bob(store: &Store) -> UserRow {
    let new = NewUser {
        name: "bob".to_owned(),
        password: hash("old"),
        grants: Grants::default(),
        first: false,
    };
    store.add_user(new, alice()).await.expect("made")
}

async fn now(store: &Store) -> UserRow {
    let user = store.reader().read(|journal| journal.user("bob")).await;
    user.expect("read").expect("bob")
}

#[tokio::test]
async fn what_was_proved_before_a_change_opens_nothing() {
    let dir = tempfile::tempdir().expect("folder");
    let store = store_in(&dir);
    let mut before = bob(&store).await.proved();
    store
        .session_open(session("first", before), alice())
        .await
        .expect("open");
    let name = || "bob".to_owned();
    for round in 0..3 {
        match round {
            0 => {
                let set = store.set_password(name(), hash("new"), None, None, alice()).await;
                set.expect("set");
            }
            1 => {
                store.set_disabled(name(), true, alice()).await.expect("disabled");
                store.set_disabled(name(), false, alice()).await.expect("enabled");
            }
            _ => {
                let secret = Some(("SECRET".to_owned(), 1));
                store
                    .set_totp(name(), secret, Vec::new(), None, None, alice())
                    .await
                    .expect("set");
            }
        }
        let late = store.session_open(session("late", before), alice()).await;
        assert!(matches!(late, Err(WriteError::Conflict(_))), "{round}: {late:?}");
        let own = store.set_password(name(), hash("theirs"), None, Some(before), alice());
        let own = own.await.expect_err("void");
        assert!(matches!(own, WriteError::Conflict(_)), "{round}: {own}");
        let secret = Some(("THEIRS".to_owned(), 1));
        let factor = store.set_totp(name(), secret, Vec::new(), None, Some(before), alice());
        let factor = factor.await.expect_err("void");
        assert!(matches!(factor, WriteError::Conflict(_)), "{round}: {factor}");
        let removed = store
            .set_totp(name(), None, Vec::new(), None, Some(before), alice())
            .await;
        assert!(removed.is_err(), "{round}: nor is one taken away");
        before = now(&store).await.proved();
        let opened = store.session_open(session(&format!("s{round}"), before), alice()).await;
        opened.expect("who proves it now comes in");
    }
    store.set_disabled(name(), true, alice()).await.expect("disabled");
    let shut_out = now(&store).await.proved();
    let late = store.session_open(session("late", shut_out), alice()).await;
    assert!(matches!(late, Err(WriteError::Conflict(_))), "disabled: {late:?}");
    store.close();
}

#[tokio::test]
async fn a_session_that_has_ended_proves_nothing_more() {
    let dir = tempfile::tempdir().expect("folder");
    let store = store_in(&dir);
    let user = bob(&store).await.proved();
    store.session_open(session("one", user), alice()).await.expect("open");
    let found = store.reader().read(|journal| journal.session("one")).await;
    let id = found.expect("read").expect("open").0.id;
    let prove = async |user| store.session_proved(id, user, Factor::Password, alice()).await;
    prove(user).await.expect("proved");
    let other = Proved {
        era: user.era + 1,
        ..user
    };
    assert!(prove(other).await.is_err(), "another era");
    store.session_close("one".to_owned(), alice()).await.expect("closed");
    assert!(prove(user).await.is_err(), "the session has ended");
    let own = store.set_password("bob".to_owned(), hash("new"), Some(id), Some(user), alice());
    assert!(own.await.is_err(), "nor sets it a password");
    store.close();
}
