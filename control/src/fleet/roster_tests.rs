//! A fleet in its term: what it says to relays, and what it makes of one that obeys another node.

use super::*;
use kakehashi_wire::id::{Generation, Incarnation, TraceId};
use kakehashi_wire::media::Host;
use kakehashi_wire::relay::{
    LegLane, Order, OrderResult, OrdersDone, Outcome, Outdated, RelayHeartbeat, ShardOffer,
};
use kakehashi_wire::rtp::Ssrc;
use kakehashi_wire::secret::{IcePassword, MasterKey, Suite};

const OURS: Term = Term(40);
const LIFETIME: Duration = Duration::from_secs(60);

fn fleet() -> Fleet {
    Fleet::new(OURS, Generations::new(1..1_000), LIFETIME)
}

fn link_up(fleet: &mut Fleet, number: u32) -> Vec<ToRelay> {
    let address = std::net::SocketAddr::from(([192, 0, 2, 1], 40_000)).into();
    let hello = Hello {
        relay: RelayId(number),
        incarnation: Incarnation(7),
        software: "played".into(),
        site: String::new(),
        shards: vec![ShardOffer { shard: ShardIndex(0), address, legs_max: 10 }],
    };
    let mut out = Vec::new();
    fleet.link_up(LinkId(number.into()), hello, &mut out);
    said(out)
}

fn said(out: Vec<ToLink>) -> Vec<ToRelay> {
    let say = |it| match it {
        ToLink::Say(_, message) => message,
        ToLink::Close(_, reason) => panic!("closed: {reason}"),
    };
    out.into_iter().map(say).collect()
}

fn flush(fleet: &mut Fleet) -> Vec<ToRelay> {
    let mut out = Vec::new();
    fleet.flush(Duration::ZERO, &mut out);
    said(out)
}

fn want(fleet: &mut Fleet, relay: u32, leg: u64) {
    let wanted = WantedLeg {
        leg: LegId(leg),
        call: CallId(9),
        trace: TraceId(9),
        shard: ShardIndex(0),
        key: MasterKey::new(Suite::AeadAes128Gcm, &[1; 32], &[2; 12]),
        relay_password: IcePassword::from_random([3; 24]),
        terminal_password: IcePassword::from_random([4; 24]),
        streams: vec![LegStream { ssrc: Ssrc(5), rollover: 0 }],
        lane: LegLane::Pass,
        rate_kbps: 0,
        subscriptions: None,
        seen_at: Host::UNKNOWN,
    };
    fleet.want(RelayId(relay), wanted);
}

fn heartbeat(term: u64) -> FromRelay {
    RelayHeartbeat { beat: 1, term: Term(term), shards: Vec::new() }.into()
}

fn refusal(newest: u64) -> FromRelay {
    Outdated { refused: OURS, newest: Term(newest) }.into()
}

#[test]
fn everything_is_said_in_the_term_of_the_node() {
    let mut fleet = fleet();
    let first = link_up(&mut fleet, 1);
    assert!(matches!(&first[..], [ToRelay::Resync(it)] if it.term == OURS && it.keep.is_empty()));
    want(&mut fleet, 1, 2);
    let orders = flush(&mut fleet);
    assert!(
        matches!(&orders[..], [ToRelay::Orders(it)] if it.term == OURS && it.orders.len() == 1)
    );
}

#[test]
fn a_relay_that_obeys_a_newer_term_is_ordered_no_more_and_the_others_are() {
    for news in [heartbeat(41), refusal(41)] {
        let mut fleet = fleet();
        for relay in [1, 2] {
            link_up(&mut fleet, relay);
            want(&mut fleet, relay, relay.into());
        }
        assert_eq!(flush(&mut fleet).len(), 2);
        let calls = fleet.heard(LinkId(1), news, Duration::ZERO);
        assert_eq!(calls, [CallId(9)].into(), "whose legs are in other hands");
        assert_eq!((fleet.newer_term(), fleet.newer_term()), (Some(Term(41)), None), "said once");
        assert_eq!(fleet.candidates(&Standbys::default(), Duration::ZERO).len(), 1);
        assert_eq!(fleet.standing(RelayId(1), [LegId(1)].into_iter()), Together::Refused);
        want(&mut fleet, 1, 3);
        want(&mut fleet, 2, 4);
        assert_eq!(flush(&mut fleet).len(), 1, "to the other relay");
        // Whatever else it says on that link is not listened to.
        let results = vec![OrderResult {
            leg: LegId(1),
            generation: Generation(1),
            outcome: Outcome::Applied,
            life: Generation(1),
            silent_ms: None,
        }];
        assert!(fleet.heard(LinkId(1), OrdersDone { results }.into(), Duration::ZERO).is_empty());
        assert_eq!(fleet.at(LinkId(1)), None);
    }
}

#[test]
fn the_newest_of_several_terms_is_told_and_older_ones_are_not() {
    let mut fleet = fleet();
    (1..=3).for_each(|relay| drop(link_up(&mut fleet, relay)));
    for old in [heartbeat(0), heartbeat(39), heartbeat(40), refusal(40), refusal(12)] {
        fleet.heard(LinkId(1), old, Duration::ZERO);
    }
    assert_eq!(fleet.newer_term(), None);
    fleet.heard(LinkId(1), heartbeat(44), Duration::ZERO);
    fleet.heard(LinkId(2), refusal(42), Duration::ZERO);
    assert_eq!(fleet.newer_term(), Some(Term(44)));
}

#[test]
fn a_relay_that_connects_anew_is_ordered_until_it_refuses_again() {
    let mut fleet = fleet();
    link_up(&mut fleet, 1);
    want(&mut fleet, 1, 2);
    fleet.heard(LinkId(1), heartbeat(41), Duration::ZERO);
    assert!(flush(&mut fleet).is_empty());
    // It restarted, and has heard of no term yet.
    let first = link_up(&mut fleet, 1);
    assert!(matches!(&first[..], [ToRelay::Resync(it)] if it.keep == [LegId(2)]));
    let orders = flush(&mut fleet);
    let [ToRelay::Orders(batch)] = &orders[..] else { panic!("one batch") };
    assert!(matches!(batch.orders[..], [Order::Install(_)]));
}
