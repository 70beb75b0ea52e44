use proptest::prelude::*;

use super::*;

fn granted(text: &str) -> Access {
    Access::Granted(text.parse().expect(text))
}

fn host(tags: &[&str]) -> (HostName, Vec<Tag>) {
    let tags = tags.iter().map(|tag| tag.parse().expect("tag")).collect();
    ("web-03".parse().expect("name"), tags)
}

#[test]
fn each_role_may_what_it_says_and_nothing_else() {
    use Ask::*;
    let (name, tags) = host(&["lab"]);
    let on = On::Host(&name, &tags);
    for (grants, may) in [
        ("", vec![Account]),
        ("dangerous", vec![Account]),
        ("viewer", vec![Account, See]),
        ("operator", vec![Account, See, Run, Steer, Test]),
        ("operator dangerous", vec![Account, See, Run, RunDangerous, Steer, Test]),
        ("operator@lab", vec![Account, See, Run, Steer, Test]),
        (
            "operator@lab dangerous@lab",
            vec![Account, See, Run, RunDangerous, Steer, Test],
        ),
        ("operator dangerous@prod", vec![Account, See, Run, Steer, Test]),
        ("operator@prod dangerous", vec![Account, See]),
        (
            "admin",
            vec![Account, See, Run, Steer, Test, Hosts, Users, Tokens, Settings],
        ),
    ] {
        for action in Ask::ALL {
            assert_eq!(
                granted(grants).may(*action, on).is_allowed(),
                may.contains(action),
                "{grants:?} {action}"
            );
        }
    }
    for action in Ask::ALL {
        assert!(!Access::Nothing.may(*action, on).is_allowed());
        assert!(Access::Everything.may(*action, on).is_allowed());
    }
}

#[test]
fn a_denial_says_what_is_missing() {
    let (name, tags) = host(&["prod"]);
    let answer = granted("operator@lab").may(Ask::Run, On::Host(&name, &tags));
    assert_eq!(
        answer,
        Decision::Denied("that takes the role operator on web-03".to_owned())
    );
}

#[test]
fn grants_are_read_strictly() {
    for (text, shown) in [
        ("operator@lab, viewer", "viewer operator@lab"),
        ("Admin dangerous admin", "admin dangerous"),
        ("", ""),
    ] {
        assert_eq!(text.parse::<Grants>().expect(text).to_string(), shown);
    }
    for text in ["root", "viewer@lab", "admin@lab", "operator@", "operator@a b;", "@lab"] {
        assert!(text.parse::<Grants>().is_err(), "{text}");
    }
}

#[test]
fn a_tag_is_given_by_who_has_its_rights_on_all_hosts() {
    let tags: Vec<Tag> = vec!["lab".parse().expect("tag")];
    let all: Grants = "viewer operator@lab dangerous@lab dangerous@prod operator"
        .parse()
        .expect("grants");
    let through = all.through(&tags);
    assert_eq!(through.to_string(), "operator@lab dangerous@lab");
    assert!(all.through(&[]).to_string().is_empty());
    for (mine, may) in [
        ("admin dangerous", true),
        ("admin dangerous@lab", false),
        ("admin", false),
        ("operator@lab dangerous@lab", false),
    ] {
        assert_eq!(granted(mine).may_tag("olga", &through).is_allowed(), may, "{mine}");
    }
    let plain: Grants = "operator@lab".parse().expect("grants");
    assert!(granted("admin").may_tag("olga", &plain).is_allowed());
    assert!(!Access::Nothing.may_tag("olga", &Grants::default()).is_allowed());
    assert!(Access::Everything.may_tag("olga", &through).is_allowed());
}

#[test]
fn a_token_is_as_good_as_who_made_it() {
    for (maker, token, may) in [
        ("admin", "operator@lab", true),
        ("admin", "dangerous@lab", false),
        ("admin dangerous@lab", "dangerous@lab", true),
        ("operator dangerous", "operator", false),
        ("", "viewer", false),
    ] {
        let token: Grants = token.parse().expect("grants");
        assert_eq!(
            granted(maker).may_make_token(&token).is_allowed(),
            may,
            "{maker}: {token}"
        );
    }
}

fn any_grants() -> impl Strategy<Value = String> {
    let words = prop::sample::subsequence(
        vec![
            "viewer",
            "operator",
            "operator@a",
            "operator@b",
            "admin",
            "dangerous",
            "dangerous@a",
        ],
        0..=7,
    );
    words.prop_map(|words| words.join(" "))
}

proptest! {
    /// More grants never take anything away, and what is covered gives nothing more.
    #[test]
    fn grants_only_add(less in any_grants(), more in any_grants(), tagged in any::<bool>()) {
        let (name, tags) = host(if tagged { &["a"] } else { &[] });
        let both = format!("{less} {more}");
        for action in Ask::ALL {
            for on in [On::Somewhere, On::Host(&name, &tags), On::Everywhere] {
                let few = granted(&less).may(*action, on).is_allowed();
                let many = granted(&both).may(*action, on).is_allowed();
                prop_assert!(many || !few, "{} {}", less, action);
                // What may be done on a host may be done somewhere.
                let somewhere = granted(&both).may(*action, On::Somewhere).is_allowed();
                prop_assert!(somewhere || !many);
                // What may be done everywhere may be done on a host.
                let everywhere = granted(&both).may(*action, On::Everywhere).is_allowed();
                let here = granted(&both).may(*action, On::Host(&name, &tags)).is_allowed();
                prop_assert!(here || !everywhere);
            }
        }
        let (less, both): (Grants, Grants) = (less.parse().expect("less"), both.parse().expect("both"));
        prop_assert!(both.covers(&less));
        if less.covers(&both) {
            for action in Ask::ALL {
                let on = On::Host(&name, &tags);
                prop_assert!(
                    Access::Granted(less.clone()).may(*action, on).is_allowed()
                        || !Access::Granted(both.clone()).may(*action, on).is_allowed()
                );
            }
        }
        prop_assert_eq!(both.to_string().parse::<Grants>().expect("own form"), both);
    }
}
