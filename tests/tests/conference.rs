//! Conference, transfer and listening in between real terminals over real relays: who hears whom,
//! counted at the receivers, in both lanes.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_terminal::media::MediaInput;
use kakehashi_tests::party::{Party, speech};
use kakehashi_tests::platform::{Platform, TENANT};
use kakehashi_wire::terminal::{CallEnd, MemberPhase};

/// A platform whose tenant's calls are of this lane, and `count` terminals signed in to it.
async fn parties(lane: &str, count: usize) -> (Platform, Vec<Party>) {
    let platform = Platform::start(1);
    platform.add_tenant(TENANT);
    let setting = format!("limits.lane={lane}");
    platform.run_well(&["tenant", "policy", TENANT, "--set", &setting]);
    let mut parties = Vec::new();
    for nth in 1..=count {
        let account = platform.add_account(TENANT, &format!("person-{nth}"));
        parties.push(Party::start(&platform, &account).await);
    }
    (platform, parties)
}

/// All hear all others.
async fn all_hear(call: kakehashi_wire::id::CallId, parties: &[&Party]) {
    for (nth, to) in parties.iter().enumerate() {
        for (other, from) in parties.iter().enumerate() {
            if nth != other {
                to.hears(call, from).await;
            }
        }
    }
}

async fn three_confer(lane: &str) {
    let (_platform, parties) = parties(lane, 3).await;
    let [a, b, c] = &parties[..] else { panic!("three") };
    let call = a.call(b).await;
    a.terminal.add_member(call, "person-3", false).await.unwrap();
    all_hear(call, &[a, b, c]).await;
    b.sees(call, &[MemberPhase::In; 3]).await;
    // Who leaves hears nothing more, and the others hear each other.
    a.terminal.hang_up(call).await.unwrap();
    assert_eq!(a.ends(call).await, CallEnd::HungUp);
    all_hear(call, &[b, c]).await;
    b.stops_hearing(call, a).await;
    assert!(!a.is_in(call));
    c.terminal.hang_up(call).await.unwrap();
    assert_eq!(b.ends(call).await, CallEnd::HungUp);
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hear_each_other_and_two_go_on() {
    three_confer("pass").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hear_each_other_and_two_go_on_when_relays_seal() {
    three_confer("seal").await;
}

async fn transfers(lane: &str) {
    let (_platform, parties) = parties(lane, 4).await;
    let [a, b, c, d] = &parties[..] else { panic!("four") };
    // Without asking.
    let call = a.call(b).await;
    a.terminal.add_member(call, "person-3", true).await.unwrap();
    assert_eq!(a.ends(call).await, CallEnd::Transferred);
    all_hear(call, &[b, c]).await;
    b.stops_hearing(call, a).await;
    // And after asking: the first call waits meanwhile.
    b.terminal.hold(call, true).await.unwrap();
    let second = b.call(d).await;
    b.terminal.merge(call, second, true).await.unwrap();
    assert_eq!(b.ends(call).await, CallEnd::Transferred);
    all_hear(call, &[c, d]).await;
    c.stops_hearing(call, b).await;
    // A transfer to somebody who is in another call changes nothing.
    let third = a.call(b).await;
    assert!(a.terminal.add_member(third, "person-4", true).await.is_err());
    all_hear(third, &[a, b]).await;
    all_hear(call, &[c, d]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_handed_on_with_and_without_asking() {
    transfers("pass").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_handed_on_with_and_without_asking_when_relays_seal() {
    transfers("seal").await;
}

async fn listens(lane: &str) {
    let (platform, parties) = parties(lane, 2).await;
    let [a, b] = &parties[..] else { panic!("two") };
    let account = platform.add_account(TENANT, "supervisor-1");
    platform.run_well(&["account", "role", TENANT, "supervisor-1", "supervisor"]);
    let c = Party::start(&platform, &account).await;
    let call = a.call(b).await;
    let offers = || speech().iter().map(MediaInput::offer).collect();
    assert!(c.terminal.listen(call, offers()).await.is_err(), "the tenant does not allow it");
    platform.run_well(&["tenant", "policy", TENANT, "--set", "rules.listening=true"]);
    assert!(a.terminal.listen(call, offers()).await.is_err(), "no supervisor");
    c.terminal.listen(call, offers()).await.unwrap();
    for speaker in [a, b] {
        c.hears(call, speaker).await;
        speaker.sees(call, &[MemberPhase::In, MemberPhase::In, MemberPhase::Listening]).await;
    }
    all_hear(call, &[a, b]).await;
    assert_eq!((a.received(call, &c), b.received(call, &c)), (0, 0));
    c.terminal.hang_up(call).await.unwrap();
    b.sees(call, &[MemberPhase::In; 2]).await;
    all_hear(call, &[a, b]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_listens_hears_all_and_is_seen_by_all_and_heard_by_none() {
    listens("pass").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_listens_hears_all_and_is_seen_by_all_and_heard_by_none_when_relays_seal() {
    listens("seal").await;
}
