//! Whatever is done to any record is found, and at the record it was done to.

use super::super::entry::Actor;
use super::*;
use crate::store::Revision;
use proptest::prelude::*;
use proptest::sample::Index;

/// A chain of one record for each login, as it is kept.
fn chain(logins: &[String]) -> Vec<store::Entry> {
    let mut head = Head::START;
    let write = |(at, login): (usize, &String)| {
        let actor = match at % 2 {
            0 => Actor::Operator { address: ([127, 0, 0, 1], 5).into() },
            _ => Actor::Terminal { address: ([192, 0, 2, 1], 4433).into() },
        };
        let mut entry = Entry::new(actor, "sign_in");
        entry.tenant = Plain::of("shop");
        entry.target = Plain::of(login);
        entry.outcome = [Outcome::Begun, Outcome::Done, Outcome::Refused][at % 3];
        entry.detail = Plain::of("bad_credentials");
        entry.begun = (at % 4 == 0).then_some(at as u64);
        let record = head.append(&entry, UnixMs(1_000 + at as u64));
        head = record.head();
        kept(record.seq, encode(&record))
    };
    logins.iter().enumerate().map(write).collect()
}

fn kept(seq: u64, value: Vec<u8>) -> store::Entry {
    store::Entry { key: record_key(seq), value, revision: Revision(seq) }
}

fn record(entry: &store::Entry) -> AuditRecord {
    decode(entry).unwrap()
}

fn verify(entries: &[store::Entry], marks: &[Head]) -> Result<Head, Break> {
    let mut walk = Walk::new(Head::START, marks.iter().copied());
    for entry in entries {
        walk.step(entry)?;
    }
    walk.finish()
}

/// The same record with one field changed: for every field, and with the hash made right again.
fn tampered(good: &AuditRecord, other: u64) -> Vec<AuditRecord> {
    let mut all = Vec::new();
    let mut with = |change: &dyn Fn(&mut AuditRecord)| {
        let mut changed = good.clone();
        change(&mut changed);
        let mut again = changed.clone();
        again.hash = again.digest();
        all.extend([changed, again].into_iter().filter(|it| it != good));
    };
    let text = Plain::of(&other.to_string());
    with(&|it| it.seq ^= other | 1);
    with(&|it| it.at.0 ^= other | 1);
    with(&|it| it.actor = text.clone());
    with(&|it| it.from = text.clone());
    with(&|it| it.act = text.clone());
    with(&|it| it.tenant = text.clone());
    with(&|it| it.target = text.clone());
    with(&|it| {
        it.outcome = if it.outcome == Outcome::Done { Outcome::Refused } else { Outcome::Done };
    });
    with(&|it| it.detail = text.clone());
    with(&|it| it.times ^= other | 1);
    with(&|it| it.begun = it.begun.map_or(Some(other), |_| None));
    with(&|it| it.previous.0[(other % 32) as usize] ^= 1);
    with(&|it| it.hash.0[(other % 32) as usize] ^= 1);
    all
}

fn logins() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(any::<String>(), 2..12)
}

proptest! {
    #[test]
    fn a_chain_that_nobody_touched_is_whole(logins in logins()) {
        let entries = chain(&logins);
        let end = record(entries.last().unwrap()).head();
        prop_assert_eq!(verify(&entries, &[end]), Ok(end));
        for (at, entry) in entries.iter().enumerate() {
            prop_assert_eq!(record(entry).target, Plain::of(&logins[at]));
        }
    }

    #[test]
    fn a_change_of_any_field_of_any_record_is_found(
        logins in logins(), at: Index, other in 1_u64..,
    ) {
        let good = chain(&logins);
        let at = at.index(good.len());
        let end = record(good.last().unwrap()).head();
        for changed in tampered(&record(&good[at]), other) {
            let mut entries = good.clone();
            entries[at].value = encode(&changed);
            let found = verify(&entries, &[end]).unwrap_err();
            // With its hash made right, the record itself is sound and the next does not follow.
            prop_assert!(found.seq == at as u64 + 1 || found.seq == at as u64 + 2, "{:?}", found);
        }
    }

    #[test]
    fn a_change_of_any_byte_is_found_at_its_record(
        logins in logins(), at: Index, byte: Index, bit in 0..8_u8,
    ) {
        let mut entries = chain(&logins);
        let at = at.index(entries.len());
        let byte = byte.index(entries[at].value.len());
        entries[at].value[byte] ^= 1_u8 << bit;
        let found = verify(&entries, &[]).unwrap_err();
        prop_assert_eq!(found.seq, at as u64 + 1);
    }

    #[test]
    fn a_record_that_is_taken_out_is_found(logins in logins(), at: Index) {
        let mut entries = chain(&logins);
        let end = record(entries.last().unwrap()).head();
        let at = at.index(entries.len());
        let last = at + 1 == entries.len();
        entries.remove(at);
        let how = if last { How::CutOff } else { How::Missing };
        prop_assert_eq!(verify(&entries, &[end]), Err(Break { seq: at as u64 + 1, how }));
    }

    #[test]
    fn records_in_another_order_are_found(logins in logins(), one: Index, two: Index) {
        let mut entries = chain(&logins);
        let (one, two) = (one.index(entries.len()), two.index(entries.len()));
        prop_assume!(one != two);
        let (first, second) = (entries[one].value.clone(), entries[two].value.clone());
        (entries[one].value, entries[two].value) = (second, first);
        let found = verify(&entries, &[]).unwrap_err();
        prop_assert_eq!(found, Break { seq: one.min(two) as u64 + 1, how: How::Renumbered });
    }

    #[test]
    fn a_cut_tail_is_found_by_any_mark_beyond_it(logins in logins(), cut: Index, mark: Index) {
        let mut entries = chain(&logins);
        let cut = cut.index(entries.len());
        let mark = record(&entries[cut + mark.index(entries.len() - cut)]).head();
        entries.truncate(cut);
        let how = How::CutOff;
        prop_assert_eq!(verify(&entries, &[mark]), Err(Break { seq: cut as u64 + 1, how }));
    }

    #[test]
    fn a_tail_written_anew_is_found_by_a_mark(logins in logins(), from: Index) {
        let entries = chain(&logins);
        let from = from.index(entries.len());
        let mut forged = logins.clone();
        forged[from].push('x');
        prop_assume!(Plain::of(&forged[from]) != Plain::of(&logins[from]));
        let end = record(entries.last().unwrap()).head();
        let forged = chain(&forged);
        prop_assert!(verify(&forged, &[]).is_ok(), "the chain alone cannot tell");
        let seq = entries.len() as u64;
        let how = How::Contradicted;
        prop_assert_eq!(verify(&forged, &[end]), Err(Break { seq, how }));
    }

    #[test]
    fn a_walk_in_parts_ends_where_a_whole_one_does(logins in logins(), pause: Index) {
        let entries = chain(&logins);
        let end = record(entries.last().unwrap()).head();
        let (first, rest) = entries.split_at(pause.index(entries.len()));
        let mut walk = Walk::new(Head::START, [end]);
        for entry in first {
            walk.step(entry).unwrap();
        }
        let mut walk = Walk::new(walk.head(), [end]);
        for entry in rest {
            walk.step(entry).unwrap();
        }
        prop_assert_eq!(walk.finish(), Ok(end));
    }
}

#[test]
fn a_record_that_was_put_in_is_found() {
    let mut entries = chain(&["a".into(), "b".into(), "c".into()]);
    let extra =
        store::Entry { key: Key::of_index(format_args!("audit/0")).unwrap(), ..entries[0].clone() };
    entries.insert(0, extra);
    assert_eq!(verify(&entries, &[]), Err(Break { seq: 1, how: How::Misplaced }));
    let mut entries = chain(&["a".into(), "b".into()]);
    entries.push(kept(3, entries[1].value.clone()));
    assert_eq!(verify(&entries, &[]), Err(Break { seq: 3, how: How::Renumbered }));
}

#[test]
fn the_layout_of_a_record_is_what_it_was() {
    let entries = chain(&["a".into()]);
    let text = String::from_utf8(entries[0].value.clone()).unwrap();
    assert!(text.len() < 400, "LIMITS.md says how large records are");
    let (before, _hash) = text.split_once(r#","hash":"#).unwrap();
    let zeros = "0".repeat(64);
    let layout =
        r#"{"v":1,"seq":1,"at":1000,"actor":"operator","from":"127.0.0.1:5","act":"sign_in","#
            .to_owned()
            + r#""tenant":"shop","target":"a","outcome":"begun","detail":"bad_credentials","#
            + r#""times":1,"begun":0,"previous":""#
            + &zeros
            + "\"";
    assert_eq!(before, layout);
}
