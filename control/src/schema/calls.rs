//! To layout 2: records of calls are all of one form.
//!
//! The first version wrote a caller and a callee, and nothing of when each came and went; the
//! second did not know desks. They are written as what they would be now.

use crate::clock::UnixMs;
use crate::records::{CallRecord, DeskPart, Party, PartyRole, Quality, RecordState, end};
use crate::store::{Entry, StoreError, damaged, encode, hex_id};
use kakehashi_wire::id::{AccountId, CallId, TenantId};
use kakehashi_wire::terminal::CallEnd;
use serde::Deserialize;

/// The version of records from which on they are as they should be.
const GOOD: u32 = 3;

#[derive(Deserialize)]
struct VersionOnly {
    v: u32,
}

/// A record of any of these versions.
#[derive(Deserialize)]
struct Stored {
    #[serde(with = "hex_id")]
    call: CallId,
    #[serde(with = "hex_id")]
    tenant: TenantId,
    members: Option<Vec<Party>>,
    caller: Option<FirstParty>,
    callee: Option<FirstParty>,
    #[serde(default)]
    desk: Option<DeskPart>,
    state: RecordState,
    started: UnixMs,
    answered: Option<UnixMs>,
    ended: Option<UnixMs>,
    #[serde(with = "end")]
    reason: Option<CallEnd>,
}

/// A member as the first version wrote it.
#[derive(Deserialize)]
struct FirstParty {
    #[serde(with = "hex_id")]
    account: AccountId,
    login: String,
    quality: Option<Quality>,
}

/// What `entry` says from layout 2 on, if it is the record of a call that says it otherwise.
pub(super) fn of_one_form(entry: &Entry) -> Result<Option<Vec<u8>>, StoreError> {
    let mut parts = entry.key.as_str().split('/');
    let is_call = parts.next() == Some("t") && matches!(parts.nth(1), Some("call" | "live"));
    if !is_call {
        return Ok(None);
    }
    let bad = |error: &dyn core::fmt::Display| damaged(&entry.key, &error.to_string());
    let VersionOnly { v } = serde_json::from_slice(&entry.value).map_err(|error| bad(&error))?;
    if v >= GOOD {
        return Ok(None);
    }
    let stored: Stored = serde_json::from_slice(&entry.value).map_err(|error| bad(&error))?;
    let record = stored.now().ok_or_else(|| bad(&"a call record without its members"))?;
    Ok(Some(encode(&record)))
}

impl Stored {
    fn now(self) -> Option<CallRecord> {
        let party = |first: FirstParty, role| Party {
            account: first.account,
            login: first.login,
            role,
            device: None,
            // Media began a moment after the call was taken; the moment was not kept.
            joined: self.answered,
            left: self.ended,
            quality: first.quality,
        };
        let members = match (self.members, self.caller, self.callee) {
            (Some(members), None, None) => members,
            (None, Some(caller), Some(callee)) => {
                vec![party(caller, PartyRole::Caller), party(callee, PartyRole::Callee)]
            }
            _ => return None,
        };
        Some(CallRecord {
            call: self.call,
            tenant: self.tenant,
            members,
            desk: self.desk,
            state: self.state,
            started: self.started,
            answered: self.answered,
            ended: self.ended,
            reason: self.reason,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Key, Revision, decode};

    const FIRST: &str = r#"{"v":1,"call":"1112","tenant":"2","caller":{"account":"3","login":"a",
        "quality":{"packets_sent":10,"packets_received":9,"packets_lost":1,"jitter_us":3,
        "round_trip_us":7}},"callee":{"account":"4","login":"b","quality":null},"state":"ended",
        "started":1000,"answered":1500,"ended":9000,"reason":"hung_up"}"#;

    fn entry(key: &str, value: &[u8]) -> Entry {
        let key = Key::parse(key.into()).unwrap();
        Entry { key, value: value.to_vec(), revision: Revision(1) }
    }

    #[test]
    fn a_record_of_the_first_version_is_written_as_the_latest_once() {
        let value = of_one_form(&entry("t/2/call/1", FIRST.as_bytes())).unwrap().unwrap();
        let again = entry("t/2/call/1", &value);
        let record: CallRecord = decode(&again).unwrap();
        assert_eq!(record.login(PartyRole::Caller), "a");
        assert_eq!(record.login(PartyRole::Callee), "b");
        let [caller, callee] = &record.members[..] else { panic!("two members") };
        assert_eq!(caller.quality.unwrap().packets_received, 9);
        assert_eq!((callee.account, callee.quality), (AccountId(4), None));
        assert_eq!((callee.joined, callee.left), (Some(UnixMs(1500)), Some(UnixMs(9000))));
        assert!(of_one_form(&again).unwrap().is_none());
        assert!(of_one_form(&entry("x/call/1", FIRST.as_bytes())).unwrap().is_none());
    }

    #[test]
    fn a_record_without_members_is_damage() {
        let lost = FIRST.replace("callee", "other");
        let refused = of_one_form(&entry("t/2/live/1", lost.as_bytes())).unwrap_err();
        assert!(refused.to_string().contains("members"));
    }
}
