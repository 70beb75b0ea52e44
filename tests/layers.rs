//! The layering rule of `src/lib.rs`, enforced: a module imports only what the map's arrows allow.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each module and what it may import from this crate.
const MAY: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("store", &["domain"]),
    ("executor", &["domain"]),
    ("outlet", &["domain"]),
    ("engine", &["store", "executor", "outlet", "domain"]),
    ("web", &["engine", "store", "domain", "config"]),
    ("config", &["domain"]),
    ("app", &["web", "engine", "store", "executor", "config", "domain"]),
    ("cli", &["app", "config", "store", "domain", "web", "engine"]),
];

fn files_of(module: &str) -> Vec<PathBuf> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let single = src.join(format!("{module}.rs"));
    if single.exists() {
        found.push(single);
    }
    let mut folders = vec![src.join(module)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.expect("entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "the map names a module `{module}` that is not there");
    found
}

/// Source cut into words and signs, without comments, strings and characters.
fn tokens(source: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(raw) = raw_string(rest) {
            raw
        } else if first == '"' {
            string(rest)
        } else if let Some(character) = character(rest) {
            character
        } else if first.is_alphanumeric() || first == '_' {
            let end = rest
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            tokens.push(rest[..end].to_owned());
            end
        } else {
            let sign = if rest.starts_with("::") {
                "::"
            } else {
                &rest[..first.len_utf8()]
            };
            if !first.is_whitespace() {
                tokens.push(sign.to_owned());
            }
            sign.len()
        };
        rest = &rest[length..];
    }
    tokens
}

/// The length of `"..."` at the beginning.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

/// The length of `r#"..."#` at the beginning, if there is one.
fn raw_string(text: &str) -> Option<usize> {
    let start = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = start.len() - start.trim_start_matches('#').len();
    let body = start[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let at = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(text.len() - body.len() + at)
}

/// The length of `'x'` at the beginning, if it is one and no lifetime.
fn character(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('\'')?;
    let mut characters = inner.char_indices();
    let (_, first) = characters.next()?;
    if first == '\\' {
        return inner[2..].find('\'').map(|at| at + 4);
    }
    let (at, second) = characters.next()?;
    (second == '\'').then_some(at + 2)
}

/// The modules of this crate that a source names behind `crate::`, in whatever form: a path in the middle of the code,
/// `use crate::a::X`, or a group `use crate::{a::X, b::{self, Y}, c}`.
fn imports(source: &str) -> BTreeSet<String> {
    let tokens = tokens(source);
    let mut found = BTreeSet::new();
    for (at, pair) in tokens.windows(2).enumerate() {
        // `$crate::` of a macro is this crate too; `other_crate::` is one word.
        if pair[0] != "crate" || pair[1] != "::" {
            continue;
        }
        let behind = &tokens[at + 2..];
        if behind.first().is_none_or(|token| token != "{") {
            found.extend(behind.first().cloned());
            continue;
        }
        // Of a group, the first word of each of its members.
        let mut depth = 0;
        let mut begins = true;
        for token in behind {
            match token.as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                "," => {}
                word if begins && depth == 1 => {
                    found.insert(word.to_owned());
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
            begins = token == "," || (token == "{" && depth == 1);
        }
    }
    found
}

/// Which modules a source of `module` names and may not.
fn violations(module: &str, source: &str) -> Vec<String> {
    let may = MAY
        .iter()
        .find(|(name, _)| *name == module)
        .map_or(&[] as &[&str], |(_, may)| may);
    imports(source)
        .into_iter()
        .filter(|other| other != module && MAY.iter().any(|(name, _)| name == other) && !may.contains(&other.as_str()))
        .collect()
}

#[test]
fn every_module_is_on_the_map() {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).expect("lib.rs");
    for line in lib.lines() {
        if let Some(module) = line.strip_prefix("pub mod ").and_then(|l| l.strip_suffix(';')) {
            assert!(
                MAY.iter().any(|(name, _)| *name == module),
                "`{module}` is not on the map"
            );
        }
    }
}

#[test]
fn arrows_point_one_way() {
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for (module, _) in MAY {
        for file in files_of(module) {
            let text = fs::read_to_string(&file).expect("source");
            seen.extend(imports(&text));
            let others = violations(module, &text).into_iter();
            wrong.extend(others.map(|other| format!("{}: {module} imports {other}", file.display())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        seen.contains("domain") && seen.contains("engine"),
        "the check sees imports: {seen:?}"
    );
}

#[test]
fn a_planted_violation_is_found_in_every_form() {
    for planted in [
        "use crate::web::Links;",
        "use crate::{domain::Span, web::Links};",
        "use crate::{domain::{Actor, Span}, web};",
        "use crate::{\n    domain::{Actor, Span},\n    web::{self, Links},\n};",
        "pub(crate) use crate::{web as pages};",
        "fn f() { let links = crate::web::Links::default(); }",
        "fn f(links: &crate :: web :: Links) {}",
        "let quote = '\"'; crate::web::f(); let end = '\"';",
        "let text = \"\\\\\"; crate::web::f();",
        "impl<'a> From<crate::web::Problem> for X<'a> {}",
    ] {
        assert_eq!(violations("engine", planted), ["web"], "{planted}");
    }
    let both = "use crate::{engine::{Engine, By}, domain::Id, executor::Host, web::Links};";
    assert_eq!(violations("store", both), ["engine", "executor", "web"]);
    for fine in [
        "use crate::{domain::{web::X, Span}, store::{self, engine}};",
        "// crate::web::Links\n/* use crate::web; */\nlet a = \"crate::web::Links\"; let b = r#\"crate::web \"quoted\" \"#;",
        "use other::crate_name::web; use super::web::X;",
        "use crate::engine::X;",
        "let c = '\\''; let d = 'x'; fn f<'crate_>() {}",
    ] {
        assert!(violations("engine", fine).is_empty(), "{fine}");
    }
}

#[test]
fn web_never_holds_the_writer() {
    for file in files_of("web") {
        let text = fs::read_to_string(&file).expect("source");
        let words = tokens(&text).join(" ");
        assert!(
            !words.contains("store :: Store"),
            "{} names the writable store",
            file.display()
        );
        let grouped = text.split("store::{").skip(1).filter_map(|rest| rest.split(';').next());
        for group in grouped {
            assert!(
                !tokens(group).iter().any(|word| word == "Store"),
                "{} names the writable store",
                file.display()
            );
        }
    }
}
