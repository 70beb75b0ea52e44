//! The layering rule of `src/lib.rs`, enforced: a module imports only what the map's arrows allow.

use std::fs;
use std::path::{Path, PathBuf};

/// Each module and what it may import from this crate.
const MAY: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("store", &["domain"]),
    ("executor", &["domain"]),
    ("engine", &["store", "executor", "domain"]),
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
    for (module, may) in MAY {
        for file in files_of(module) {
            let text = fs::read_to_string(&file).expect("source");
            for (number, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap_or_default();
                for (other, _) in MAY.iter().filter(|(other, _)| other != module && !may.contains(other)) {
                    if code.contains(&format!("crate::{other}::")) || code.contains(&format!("crate::{{{other}")) {
                        wrong.push(format!("{}:{}: {module} imports {other}", file.display(), number + 1));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn web_never_holds_the_writer() {
    for file in files_of("web") {
        let text = fs::read_to_string(&file).expect("source");
        assert!(
            !text.contains("store::Store"),
            "{} names the writable store",
            file.display()
        );
    }
}
