//! Secrets that a person types, or a file holds. Never an argument: those can be read by everybody on the machine.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::Path;

use super::failure::Failure;

/// A password: from the terminal, unseen and twice where it is `new`, or the next line of stdin.
pub(super) fn password(prompt: &str, new: bool) -> Result<String, Failure> {
    if !std::io::stdin().is_terminal() {
        return line();
    }
    let typed = rpassword::prompt_password(format!("{prompt}: "))?;
    if new && rpassword::prompt_password("once more: ")? != typed {
        return Err(Failure::Usage(
            "the two are not the same; nothing was changed".to_owned(),
        ));
    }
    Ok(typed)
}

/// What need not be hidden: from the terminal, or the next line of stdin; empty where there is none.
pub(super) fn plain(prompt: &str) -> Result<String, Failure> {
    if std::io::stdin().is_terminal() {
        eprint!("{prompt}: ");
    }
    line()
}

fn line() -> Result<String, Failure> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

/// A secret in a file of one line.
pub(super) fn in_file(path: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|why| Failure::Usage(format!("--token-file: {}: {why}", path.display())))?;
    let text = text.trim();
    if text.is_empty() || !text.chars().all(|sign| sign.is_ascii_graphic()) {
        return Err(Failure::Usage(format!(
            "--token-file: {} must hold one line with the token and nothing else",
            path.display()
        )));
    }
    Ok(text.to_owned())
}
