//! The ladder of danger: what is dangerous on several hosts wants their number, typed at a terminal or given.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use super::failure::Failure;

/// How it is given where nobody sits at a terminal.
#[derive(Debug, clap::Args)]
pub(super) struct Confirm {
    /// The number of hosts that you mean; what is dangerous asks for it
    #[arg(long, value_name = "N")]
    confirm: Option<u64>,
}

/// True where somebody is there to be asked.
pub(super) fn at_terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks at the terminal, and gives what was typed.
pub(super) fn ask(question: &str) -> Result<String, Failure> {
    let mut stderr = std::io::stderr();
    write!(stderr, "{question} ")?;
    stderr.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim().to_owned())
}

impl Confirm {
    pub(super) const fn is_given(&self) -> bool {
        self.confirm.is_some()
    }

    /// Refuses what is dangerous without the number of its hosts, and a number that is another one.
    pub(super) fn check(&self, what: &str, hosts: usize, dangerous: bool) -> Result<(), Failure> {
        let expected = hosts as u64;
        let named = if hosts == 1 {
            "1 host".to_owned()
        } else {
            format!("{hosts} hosts")
        };
        match self.confirm {
            Some(number) if number == expected => Ok(()),
            Some(number) => Err(Failure::Refused(format!(
                "--confirm says {number}, but “{what}” would run on {named}; nothing was started"
            ))),
            None if !dangerous || hosts == 0 => Ok(()),
            None if at_terminal() => {
                let question =
                    format!("“{what}” is dangerous and would run on {named}. Type the number of hosts to go on:");
                if ask(&question)?.parse() == Ok(expected) {
                    Ok(())
                } else {
                    Err(Failure::Refused(
                        "that is another number; nothing was started".to_owned(),
                    ))
                }
            }
            None => Err(Failure::Refused(format!(
                "“{what}” is dangerous and would run on {named}: give --confirm {hosts}; nothing was started"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_another_one_is_refused() {
        let given = |confirm| Confirm { confirm };
        for (confirm, hosts, dangerous, fine) in [
            (None, 9, false, true),
            (Some(1), 1, true, true),
            (Some(2), 1, true, false),
            (Some(9), 9, true, true),
            (Some(8), 9, true, false),
            (Some(8), 9, false, false),
        ] {
            let found = given(confirm).check("reboot", hosts, dangerous);
            assert_eq!(found.is_ok(), fine, "{confirm:?} {hosts} {dangerous}");
            assert!(found.is_ok() || found.is_err_and(|why| why.code() == 4));
        }
    }
}
