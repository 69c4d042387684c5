//! Records of calls as the first version wrote them: a caller, a callee, and nothing of when each
//! came and went. They are read as what they would be now.

use super::{CallRecord, DeskPart, Party, PartyRole, Quality, RecordState, end, hex_id};
use crate::clock::UnixMs;
use kakehashi_wire::id::{AccountId, CallId, TenantId};
use kakehashi_wire::terminal::CallEnd;
use serde::Deserialize;

/// A record of either version.
#[derive(Deserialize)]
pub(super) struct Stored {
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

impl TryFrom<Stored> for CallRecord {
    type Error = &'static str;

    fn try_from(stored: Stored) -> Result<Self, Self::Error> {
        let party = |first: FirstParty, role| Party {
            account: first.account,
            login: first.login,
            role,
            device: None,
            // Media began a moment after the call was taken; the moment was not kept.
            joined: stored.answered,
            left: stored.ended,
            quality: first.quality,
        };
        let members = match (stored.members, stored.caller, stored.callee) {
            (Some(members), None, None) => members,
            (None, Some(caller), Some(callee)) => {
                vec![party(caller, PartyRole::Caller), party(callee, PartyRole::Callee)]
            }
            _ => return Err("a call record without its members"),
        };
        Ok(Self {
            call: stored.call,
            tenant: stored.tenant,
            members,
            desk: stored.desk,
            state: stored.state,
            started: stored.started,
            answered: stored.answered,
            ended: stored.ended,
            reason: stored.reason,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Entry, Key, Revision, decode, encode};

    const FIRST: &str = r#"{"v":1,"call":"1112","tenant":"2","caller":{"account":"3","login":"a",
        "quality":{"packets_sent":10,"packets_received":9,"packets_lost":1,"jitter_us":3,
        "round_trip_us":7}},"callee":{"account":"4","login":"b","quality":null},"state":"ended",
        "started":1000,"answered":1500,"ended":9000,"reason":"hung_up"}"#;

    fn read(value: &[u8]) -> Result<CallRecord, crate::store::StoreError> {
        let key = Key::parse("t/2/call/1".into()).unwrap();
        decode(&Entry { key, value: value.to_vec(), revision: Revision(1) })
    }

    #[test]
    fn a_record_of_the_first_version_is_read_and_written_as_the_latest() {
        let record = read(FIRST.as_bytes()).unwrap();
        assert_eq!(record.login(PartyRole::Caller), "a");
        assert_eq!(record.login(PartyRole::Callee), "b");
        let [caller, callee] = &record.members[..] else { panic!("two members") };
        assert_eq!(caller.quality.unwrap().packets_received, 9);
        assert_eq!((callee.account, callee.quality), (AccountId(4), None));
        assert_eq!((callee.joined, callee.left), (Some(UnixMs(1500)), Some(UnixMs(9000))));
        let again = encode(&record);
        let text = String::from_utf8(again.clone()).unwrap();
        assert!(text.starts_with(r#"{"v":3,"#) && !text.contains(r#""caller":{"#), "{text}");
        assert_eq!(read(&again).unwrap(), record);
    }

    #[test]
    fn a_record_without_members_is_damage() {
        let lost = FIRST.replace("callee", "other");
        assert!(read(lost.as_bytes()).unwrap_err().to_string().contains("members"));
    }
}
