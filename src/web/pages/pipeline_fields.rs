//! The fields of the form that starts a pipeline: kept as they were typed, and read into strict types.

use crate::domain::{IfBusy, Invalid, LimitsGiven, Selection, Share, bounded};
use crate::engine::StartPipeline;

use super::super::fields::Fields;

/// What the form holds, as it was typed: it is shown again when something of it cannot be taken.
#[derive(Default)]
pub(super) struct Wish {
    pub(super) name: String,
    pub(super) hosts: String,
    pub(super) tags: Vec<String>,
    pub(super) all: bool,
    pub(super) max_parallel: String,
    pub(super) batches: String,
    pub(super) stop_when: String,
    pub(super) if_busy: String,
    pub(super) busy_wait: String,
    pub(super) count_unreachable: String,
    pub(super) reason: String,
}

impl Wish {
    pub(super) fn read(fields: &Fields) -> Self {
        let text = |name: &str| fields.owned(name).unwrap_or_default();
        // Ticked hosts go by name: the fleet page lists those in trouble first, and these are no canaries.
        let mut named: Vec<&str> = fields.many("host").collect();
        named.sort_unstable();
        named.extend(fields.text("hosts"));
        Self {
            name: text("name"),
            hosts: named.join(" "),
            tags: fields.many("tag").flat_map(words).map(str::to_owned).collect(),
            all: fields.text("all").is_some(),
            max_parallel: text("max_parallel"),
            batches: text("batches"),
            stop_when: text("stop_when"),
            if_busy: text("if_busy"),
            busy_wait: text("busy_wait"),
            count_unreachable: text("count_unreachable"),
            reason: text("reason"),
        }
    }

    /// In strict types; what cannot be read names its field.
    pub(super) fn start(&self) -> Result<StartPipeline, Invalid> {
        if self.name.is_empty() {
            return Err(Invalid::new("name", "choose what to run"));
        }
        let batches: Vec<Share> = self
            .batches
            .split(',')
            .map(str::trim)
            .filter(|share| !share.is_empty())
            .map(|share| {
                share
                    .parse()
                    .map_err(|wrong: Invalid| Invalid::new("batches", wrong.problem))
            })
            .collect::<Result<_, _>>()?;
        let max_parallel = match self.max_parallel.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|_| {
                let shown = bounded(text, 40);
                Invalid::new("max_parallel", format!("“{shown}” is no number of hosts"))
            })?),
        };
        let stop_when = match self.stop_when.as_str() {
            "" => None,
            text => Some(
                text.parse()
                    .map_err(|wrong: Invalid| Invalid::new("stop_when", wrong.problem))?,
            ),
        };
        let if_busy = match self.if_busy.as_str() {
            "" => None,
            "wait" => {
                let span = if self.busy_wait.is_empty() {
                    "5m"
                } else {
                    &self.busy_wait
                };
                let span = span
                    .parse()
                    .map_err(|wrong: Invalid| Invalid::new("busy_wait", wrong.problem))?;
                Some(IfBusy::Wait(span))
            }
            how => Some(how.parse()?),
        };
        let count_unreachable = match self.count_unreachable.as_str() {
            "" => None,
            "yes" => Some(true),
            "no" => Some(false),
            _ => return Err(Invalid::new("count_unreachable", "must be yes or no")),
        };
        Ok(StartPipeline {
            name: self.name.clone(),
            selection: Selection {
                names: words(&self.hosts).map(str::to_owned).collect(),
                tags: self.tags.clone(),
                all: self.all,
            },
            limits: LimitsGiven {
                max_parallel,
                batches: (!batches.is_empty()).then_some(batches),
                stop_when,
                if_busy,
                count_unreachable,
            },
            reason: (!self.reason.is_empty()).then(|| self.reason.clone()),
        })
    }
}

/// Names and tags may stand behind each other in one field.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || c == ',')
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(text: &str) -> Wish {
        Wish::read(&Fields::query(text).expect("query"))
    }

    #[test]
    fn the_form_is_read_into_strict_types() {
        let start = wish(
            "name=update&host=a&host=b&hosts=c,+d%0Ae&tag=web&batches=1,+25%25,+100+%25&stop_when=10%25&if_busy=wait\
             &busy_wait=2m&max_parallel=6&count_unreachable=yes&reason=weekly",
        )
        .start()
        .expect("good");
        assert_eq!(start.selection.names, ["a", "b", "c", "d", "e"]);
        assert_eq!(start.selection.tags, ["web"]);
        assert!(!start.selection.all, "all is a word that somebody ticked");
        assert_eq!(
            start.limits.batches,
            Some(vec![Share::Count(1), Share::Percent(25), Share::Percent(100)])
        );
        assert_eq!(start.limits.stop_when, Some(Share::Percent(10)));
        assert_eq!(
            start.limits.if_busy,
            Some(IfBusy::Wait(crate::domain::Span::from_secs(120)))
        );
        assert_eq!(
            (start.limits.max_parallel, start.limits.count_unreachable),
            (Some(6), Some(true))
        );
        let plain = wish("name=update&all=yes").start().expect("good");
        assert_eq!(plain.limits, LimitsGiven::default());
        assert!(plain.selection.all);
    }

    #[test]
    fn nonsense_names_its_field() {
        for (query, field) in [
            ("all=yes", "name"),
            ("name=x&batches=1,many", "batches"),
            ("name=x&stop_when=0", "stop_when"),
            ("name=x&max_parallel=few", "max_parallel"),
            ("name=x&if_busy=perhaps", "if_busy"),
            ("name=x&if_busy=wait&busy_wait=soon", "busy_wait"),
            ("name=x&count_unreachable=perhaps", "count_unreachable"),
        ] {
            assert_eq!(wish(query).start().expect_err(query).field, field);
        }
    }
}
