//! Whether a watch told everything: what it told is compared with what the store holds.
//!
//! Between two checks, every key that was put has a revision in the store that the watch must have
//! told, and the number of keys has changed by what the watch told of new and removed ones. So a
//! check needs the keys that changed, and the count of all; what was lost and then overwritten by
//! something that was told is not missed.

use std::collections::HashMap;

/// What one event did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Did {
    /// A key that was not there.
    Create,
    /// A key that was there.
    Change,
    /// A key is no longer there.
    Remove,
}

/// What the store held at one revision.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// Which.
    pub(super) revision: u64,
    /// How many keys there were.
    pub(super) count: u64,
    /// Those that were put after the last check, with the revision that last put them.
    pub(super) changed: Vec<(String, u64)>,
}

/// What a watch has told since the last check.
pub(super) struct Gaps {
    checked: u64,
    count: u64,
    told: Vec<(u64, String, Did)>,
}

impl Gaps {
    /// Begins at `revision`, at which there were `count` keys.
    pub(super) fn new(revision: u64, count: u64) -> Self {
        Self { checked: revision, count, told: Vec::new() }
    }

    /// The revision of the last check.
    pub(super) fn checked(&self) -> u64 {
        self.checked
    }

    /// How many events were told since.
    pub(super) fn unchecked(&self) -> usize {
        self.told.len()
    }

    /// The watch has told of `key`, in order of revisions.
    pub(super) fn tell(&mut self, revision: u64, key: String, did: Did) {
        self.told.push((revision, key, did));
    }

    /// Whether nothing up to `seen` is missing; then the next check begins there.
    pub(super) fn check(&mut self, seen: &Seen) -> bool {
        let mut latest = HashMap::new();
        let (mut created, mut removed) = (0_u64, 0_u64);
        for (revision, key, did) in &self.told {
            latest.insert(key.as_str(), *revision);
            if *revision <= seen.revision {
                match did {
                    Did::Create => created += 1,
                    Did::Remove => removed += 1,
                    Did::Change => {}
                }
            }
        }
        let told = |(key, revision): &(String, u64)| {
            latest.get(key.as_str()).is_some_and(|latest| latest >= revision)
        };
        if self.count + created != seen.count + removed || !seen.changed.iter().all(told) {
            return false;
        }
        self.told.retain(|(revision, ..)| *revision > seen.revision);
        (self.checked, self.count) = (seen.revision, seen.count);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// A store of eight keys, the events of it, and what it held at its last revision.
    struct World {
        keys: BTreeMap<u8, u64>,
        revision: u64,
    }

    impl World {
        fn change(&mut self, key: u8, is_put: bool) -> Option<(u64, String, Did)> {
            self.revision += 1;
            let before =
                if is_put { self.keys.insert(key, self.revision) } else { self.keys.remove(&key) };
            let did = match (is_put, before) {
                (true, None) => Did::Create,
                (true, Some(_)) => Did::Change,
                (false, Some(_)) => Did::Remove,
                (false, None) => return None,
            };
            Some((self.revision, key.to_string(), did))
        }

        fn seen(&self, after: u64) -> Seen {
            let changed = self.keys.iter().filter(|(_, at)| **at > after);
            Seen {
                revision: self.revision,
                count: self.keys.len() as u64,
                changed: changed.map(|(key, at)| (key.to_string(), *at)).collect(),
            }
        }
    }

    proptest! {
        #[test]
        fn a_watch_that_told_everything_passes(
            changes in prop::collection::vec((0_u8..8, any::<bool>(), any::<bool>()), 0..200),
        ) {
            let mut world = World { keys: BTreeMap::new(), revision: 0 };
            let mut gaps = Gaps::new(0, 0);
            for (key, is_put, is_checked) in changes {
                if let Some((revision, key, did)) = world.change(key, is_put) {
                    gaps.tell(revision, key, did);
                }
                if is_checked {
                    prop_assert!(gaps.check(&world.seen(gaps.checked())));
                    prop_assert!(gaps.told.is_empty());
                }
            }
        }

        #[test]
        fn one_lost_event_is_found_unless_its_key_was_told_of_again(
            changes in prop::collection::vec((0_u8..8, any::<bool>()), 1..60),
            lost in any::<prop::sample::Index>(),
        ) {
            let mut world = World { keys: BTreeMap::new(), revision: 0 };
            let mut gaps = Gaps::new(0, 0);
            let events: Vec<_> =
                changes.into_iter().filter_map(|(key, is_put)| world.change(key, is_put)).collect();
            prop_assume!(!events.is_empty());
            let lost = lost.index(events.len());
            for (at, (revision, key, did)) in events.iter().enumerate() {
                if at != lost {
                    gaps.tell(*revision, key.clone(), *did);
                }
            }
            let (_, key, did) = &events[lost];
            let again = events[lost + 1..].iter().any(|(_, other, _)| other == key);
            let passes = gaps.check(&world.seen(0));
            prop_assert_eq!(passes, again && *did == Did::Change);
        }
    }

    #[test]
    fn what_was_told_after_the_check_does_not_count_for_it() {
        let mut gaps = Gaps::new(4, 1);
        gaps.tell(5, "a".into(), Did::Create);
        gaps.tell(9, "b".into(), Did::Create);
        assert!(gaps.check(&Seen { revision: 7, count: 2, changed: vec![("a".into(), 5)] }));
        assert!(gaps.check(&Seen { revision: 9, count: 3, changed: vec![("b".into(), 9)] }));
        assert!(!gaps.check(&Seen { revision: 11, count: 3, changed: vec![("a".into(), 10)] }));
    }
}
