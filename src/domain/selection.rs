//! Which hosts a pipeline is for, in which order, and in which batches. Decided once, when it starts.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{HostName, Share, Tag};

/// What somebody asked for: hosts by name, by tag, or all of them; joined.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// Names, in the order in which the hosts take their turns.
    #[serde(default)]
    pub names: Vec<String>,
    /// Every host that has one of these tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Every host.
    #[serde(default)]
    pub all: bool,
}

/// A host of the fleet, as far as a selection looks at it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// Its number in the journal.
    pub id: i64,
    /// Its name.
    pub name: HostName,
    /// Its tags.
    pub tags: Vec<Tag>,
    /// The `localhost` that was added by itself.
    pub automatic: bool,
}

/// What a selection came to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Selected {
    /// The hosts, in the order of their turns: as named, then by tag, then the others; `localhost` that was added by
    /// itself last.
    pub hosts: Vec<Member>,
    /// Names that no host of the fleet has.
    pub unknown: Vec<String>,
    /// Tags that no host of the fleet has (but for the `localhost` that was added by itself).
    pub empty_tags: Vec<String>,
}

impl Selection {
    /// The hosts of `fleet` (ordered by name) that are meant. The `localhost` that was added by itself is never part
    /// of "all" nor of a tag; it is there only when it is named, and goes last.
    #[must_use]
    pub fn among(&self, fleet: &[Member]) -> Selected {
        let mut selected = Selected::default();
        let mut taken = HashSet::new();
        let mut last = Vec::new();
        for name in &self.names {
            match fleet.iter().find(|member| member.name.as_str() == name) {
                Some(member) if !taken.insert(member.id) => {}
                Some(member) if member.automatic => last.push(member.clone()),
                Some(member) => selected.hosts.push(member.clone()),
                None => selected.unknown.push(name.clone()),
            }
        }
        let others = || fleet.iter().filter(|member| !member.automatic);
        for tag in &self.tags {
            let mut any = false;
            for member in others().filter(|member| member.tags.iter().any(|has| has.as_str() == tag)) {
                any = true;
                if taken.insert(member.id) {
                    selected.hosts.push(member.clone());
                }
            }
            if !any {
                selected.empty_tags.push(tag.clone());
            }
        }
        if self.all {
            let rest = others().filter(|member| taken.insert(member.id));
            selected.hosts.extend(rest.cloned());
        }
        selected.hosts.append(&mut last);
        selected
    }
}

/// Cuts hosts into batches: each share is one of all hosts, the last one repeats until none is left; no shares are
/// one batch.
#[must_use]
pub fn batches(hosts: &[i64], shares: &[Share]) -> Vec<Vec<i64>> {
    let mut made = Vec::new();
    let mut rest = hosts;
    let mut shares = shares.iter();
    let mut share = Share::Percent(100);
    while !rest.is_empty() {
        share = shares.next().copied().unwrap_or(share);
        let (batch, later) = rest.split_at(share.of(hosts.len()).min(rest.len()));
        made.push(batch.to_vec());
        rest = later;
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fleet() -> Vec<Member> {
        let member = |id, name: &str, tags: &[&str], automatic| Member {
            id,
            name: name.parse().expect("name"),
            tags: tags.iter().map(|tag| tag.parse().expect("tag")).collect(),
            automatic,
        };
        vec![
            member(1, "db", &["db"], false),
            member(2, "localhost", &["web"], true),
            member(3, "web-1", &["web"], false),
            member(4, "web-2", &["web", "canary"], false),
        ]
    }

    #[test]
    fn localhost_that_was_added_by_itself_is_only_there_when_named_and_goes_last() {
        let words = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        for (names, tags, all, expected) in [
            (&["web-2", "db"][..], &[][..], false, vec![4, 1]),
            (&["localhost", "db"], &[], false, vec![1, 2]),
            (&[], &["web"], false, vec![3, 4]),
            (&[], &[], true, vec![1, 3, 4]),
            (&["web-2"], &["web"], true, vec![4, 3, 1]),
            (&["localhost"], &[], true, vec![1, 3, 4, 2]),
            (&["db", "db"], &[], false, vec![1]),
        ] {
            let selection = Selection {
                names: words(names),
                tags: words(tags),
                all,
            };
            let ids: Vec<_> = selection.among(&fleet()).hosts.iter().map(|member| member.id).collect();
            assert_eq!(ids, expected, "{selection:?}");
        }
        let selection = Selection {
            names: words(&["nobody"]),
            tags: words(&["none", "web"]),
            all: false,
        };
        let selected = selection.among(&fleet());
        assert_eq!(
            (selected.unknown, selected.empty_tags),
            (words(&["nobody"]), words(&["none"]))
        );
    }

    #[test]
    fn batches_are_shares_of_all_hosts_and_the_last_one_repeats() {
        let hosts: Vec<i64> = (0..40).collect();
        for (shares, expected) in [
            (&[][..], vec![40]),
            (
                &[Share::Count(1), Share::Percent(25), Share::Percent(100)],
                vec![1, 10, 29],
            ),
            (&[Share::Count(15)], vec![15, 15, 10]),
            (&[Share::Count(1), Share::Percent(40)], vec![1, 16, 16, 7]),
            (&[Share::Count(500)], vec![40]),
            (&[Share::Percent(1)], vec![1; 40]),
        ] {
            let cut = batches(&hosts, shares);
            assert_eq!(cut.iter().map(Vec::len).collect::<Vec<_>>(), expected, "{shares:?}");
            assert_eq!(cut.concat(), hosts, "order and number stay");
        }
        assert!(batches(&[], &[Share::Count(1)]).is_empty());
    }
}
