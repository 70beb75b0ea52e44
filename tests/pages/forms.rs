//! What comes back from a form: as it was filled in, with what is wrong beside its field; and a test's ticks.

use crate::support::Dashboard;
use crate::support::page::Browser;
use crate::{OPS, between};

#[tokio::test]
async fn a_form_comes_back_as_it_was_filled_in() {
    let dashboard = Dashboard::start(OPS).await;
    let browser = Browser::signed_in(&dashboard).await;
    let (status, page) = browser
        .send("/hosts", "address=root@web-03&name=-bad&tags=web+prod")
        .await;
    assert_eq!(status, 400);
    assert!(
        page.contains("value=\"root@web-03\"")
            && page.contains("value=\"web prod\"")
            && page.contains("value=\"-bad\""),
        "{page}"
    );
    let beside = between(&page, "value=\"-bad\"", "</label>");
    assert!(beside.contains("role=\"alert\""), "{page}");
    let (status, page) = browser.send("/hosts", "address=x@127.0.0.1:1&name=localhost").await;
    assert_eq!(status, 409);
    assert!(page.contains("value=\"x@127.0.0.1:1\""), "{page}");

    let place = browser.press("/run", "op=sleeps&host=localhost").await;
    let id = place.rsplit('/').next().expect("id").to_owned();
    dashboard.until_output(&id, "begun").await;
    let (status, page) = browser.send(&format!("{place}/extend"), "span=soonish").await;
    assert_eq!(status, 400);
    assert!(
        page.contains("value=\"soonish\"") && page.contains("id=\"extend-it\" open"),
        "{page}"
    );
    browser.press(&format!("{place}/stop"), "").await;
    dashboard.until_status(&id, "CANCELLED").await;
}

#[tokio::test]
async fn people_and_programs_are_typed_once() {
    let dashboard = Dashboard::start(OPS).await;
    let browser = Browser::signed_in(&dashboard).await;
    for (path, form, status, kept, beside) in [
        (
            "/users",
            "name=anna&new_password=long+enough+here&role=operatr",
            400,
            "value=\"anna\"",
            "value=\"operatr\"",
        ),
        (
            "/users",
            "name=anna&new_password=short&role=operator",
            400,
            "value=\"operator\"",
            "name=\"new_password\" type=\"password\" required minlength=\"10\"",
        ),
        (
            "/users",
            "name=&new_password=long+enough+here&role=operator",
            400,
            "value=\"operator\"",
            "name=\"name\" value=\"\"",
        ),
        (
            "/tokens",
            "name=ci&role=viewer&lasts=soon",
            400,
            "value=\"ci\"",
            "value=\"soon\"",
        ),
    ] {
        let (answered, page) = browser.send(path, form).await;
        assert_eq!(answered, status, "{path} {form}: {page}");
        let new = between(&page, "<details class=\"panel\" open", "</details>");
        assert!(new.contains(kept), "{path} {form}: {new}");
        let field = between(new, beside, "</label>");
        assert!(field.contains("role=\"alert\""), "{path} {form}: {new}");
        assert!(
            !page.contains("long enough here"),
            "a password does not come back: {page}"
        );
    }
    let place = browser
        .press("/users", "name=anna&new_password=long+enough+here&role=viewer")
        .await;
    assert_eq!(place, "/users");
    let (answered, page) = browser
        .send("/users", "name=anna&new_password=long+enough+here&role=operator")
        .await;
    assert_eq!(answered, 409, "{page}");
    assert!(page.contains("value=\"operator\""), "{page}");
}

#[tokio::test]
async fn a_test_of_a_host_shows_what_works_as_ticks() {
    let dashboard = Dashboard::start(OPS).await;
    let browser = Browser::signed_in(&dashboard).await;
    let place = browser.press("/hosts/localhost/test", "").await;
    let (_, page) = browser.get(&place).await;
    let ticks = between(&page, "id=\"ticks\"", "</section>");
    assert!(
        ticks.contains("its clock agrees") && !ticks.contains("status bad"),
        "{ticks}"
    );
    let place = browser.press("/hosts", "address=nobody@127.0.0.1:1&name=far").await;
    let (_, page) = browser.get(&place).await;
    let ticks = between(&page, "id=\"ticks\"", "</section>");
    assert!(
        ticks.contains("status bad") && ticks.contains("ssh -p 1 nobody@127.0.0.1 true") && ticks.contains("not tried"),
        "{ticks}"
    );
    let (_, asks) = browser.send("/run", "op=hurts&host=localhost").await;
    assert!(asks.contains("dashboard&#39;s own machine"), "{asks}");
}
