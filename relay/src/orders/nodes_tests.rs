//! A relay between several nodes that the test plays, over real QUIC: who orders, and who no
//! longer.

use super::*;
use kakehashi_wire::relay::{OrderResult, Outdated, RelayHeartbeat};

/// What a node is answered.
#[derive(PartialEq, Eq, Debug)]
enum Answer {
    Done(Vec<(Outcome, u64)>),
    Refused { newest: u64 },
}

impl Peer {
    /// What becomes of orders of a term: each one's outcome and the life its leg has.
    async fn order(&mut self, term: u64, orders: Vec<Order>) -> Answer {
        self.say(Orders { term: Term(term), orders }).await;
        self.answer(term).await
    }

    async fn answer(&mut self, term: u64) -> Answer {
        self.await_message(|message| match message {
            FromRelay::OrdersDone(done) => {
                let told = |it: &OrderResult| (it.outcome, it.life.0);
                Some(Answer::Done(done.results.iter().map(told).collect()))
            }
            FromRelay::Outdated(Outdated { refused, newest }) => {
                assert_eq!(refused, Term(term));
                Some(Answer::Refused { newest: newest.0 })
            }
            _ => None,
        })
        .await
    }

    /// Awaits a heartbeat that names this newest term.
    async fn until_newest_is(&mut self, term: u64) {
        let named = |beat: &RelayHeartbeat| beat.term == Term(term);
        let pick = |message| match message {
            FromRelay::RelayHeartbeat(beat) => Some(beat).filter(named),
            _ => None,
        };
        self.await_message(pick).await;
    }
}

/// Two nodes of one authority, and what certifies both.
fn two_nodes() -> (Authority, [Endpoint; 2]) {
    let authority = Authority::new();
    let nodes = [(); 2].map(|()| control(&authority, ALPN_RELAY));
    (authority, nodes)
}

const APPLIED: Outcome = Outcome::Applied;

#[tokio::test]
async fn a_newer_term_takes_over_and_an_old_lead_that_comes_back_changes_nothing() {
    let (authority, [a, b]) = two_nodes();
    let relay = Relay::start_with(&authority, &authority, &[&a, &b], 42);
    let (mut old, mut new) = tokio::join!(Peer::welcomed(&a), Peer::welcomed(&b));
    old.say(resync(Term(5), &[])).await;
    let orders = vec![install(1, 0, 1), install(2, 1, 2), install(3, 1, 3)];
    let done = Answer::Done(vec![(APPLIED, 1), (APPLIED, 2), (APPLIED, 3)]);
    assert_eq!(old.order(5, orders).await, done);
    new.until_newest_is(5).await;

    // The old lead stands still; the new one states what is wanted: two of the legs, and one more.
    new.say(resync(Term(9), &[1, 2, 4])).await;
    let orders = vec![install(1, 0, 101), install(2, 1, 102), install(4, 0, 103)];
    let done = Answer::Done(vec![(APPLIED, 1), (APPLIED, 2), (APPLIED, 103)]);
    assert_eq!(new.order(9, orders).await, done, "legs that are equal keep their lives");
    assert_eq!(
        new.order(9, vec![renew(3, 104)]).await,
        Answer::Done(vec![(Outcome::NoSuchLeg, 0)])
    );

    // It wakes, and says what it had in mind, whatever the generations.
    old.until_newest_is(9).await;
    let refused = Answer::Refused { newest: 9 };
    for orders in [vec![remove(1, 900)], vec![install(5, 0, 901)], vec![renew(2, 902)]] {
        assert_eq!(old.order(5, orders).await, refused);
    }
    old.say(resync(Term(5), &[])).await;
    assert_eq!(old.answer(5).await, refused);

    let all = vec![renew(1, 105), renew(2, 106), renew(4, 107), renew(5, 108)];
    let held = vec![(APPLIED, 1), (APPLIED, 2), (APPLIED, 103), (Outcome::NoSuchLeg, 0)];
    assert_eq!(new.order(9, all).await, Answer::Done(held));
    assert_eq!(relay.stop(), [2, 1]);
}

#[tokio::test]
async fn leads_may_alternate_and_overlap() {
    let (authority, [a, b]) = two_nodes();
    let relay = Relay::start_with(&authority, &authority, &[&a, &b], 42);
    let (a, b) = tokio::join!(Peer::welcomed(&a), Peer::welcomed(&b));
    let mut nodes = [a, b];
    let mut generation = 0;
    for term in 1..=6 {
        let (lead, other) = (term as usize % 2, 1 - term as usize % 2);
        nodes[lead].say(resync(Term(term), &[1])).await;
        for _ in 0..3 {
            generation += 1;
            let wanted = vec![(APPLIED, 1)];
            let order = vec![install(1, 0, generation)];
            assert_eq!(nodes[lead].order(term, order).await, Answer::Done(wanted));
            let late = nodes[other].order(term - 1, vec![remove(1, generation + 1)]).await;
            assert_eq!(late, Answer::Refused { newest: term });
        }
    }
    assert_eq!(relay.stop(), [1, 0]);
}

#[tokio::test]
async fn each_node_hears_of_every_life_of_the_relay_and_one_that_is_away_is_done_without() {
    let (authority, [a, b]) = two_nodes();
    let dead = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let dead = dead.local_addr().unwrap();
    for life in [42, 43] {
        let relay = Relay::start_with(&authority, &authority, &[&a, &b], life);
        for node in [&a, &b] {
            let (mut peer, hello) = Peer::accept(node).await;
            assert_eq!(hello.incarnation, Incarnation(life));
            peer.say(Welcome { heartbeat_ms: 20, lost_after_ms: 10_000 }).await;
            peer.until_newest_is(0).await;
            peer.until_newest_is(0).await;
        }
        relay.stop();
    }
    // A node that is away keeps nobody from the others.
    let folder = tempfile::tempdir().unwrap();
    let mut config = settings(folder.path(), &authority, &authority, &a);
    config.nodes.insert(0, dead.to_string());
    let (knock, (stop, stopped)) = (Arc::new(Notify::new()), watch::channel(false));
    let (shards, handles) = Shards::start(1, &knock);
    let link = std::thread::spawn(move || run(config, handles, knock, stopped));
    let mut peer = Peer::welcomed(&a).await;
    peer.connection.close(VarInt::from_u32(9), b"upgrade");
    peer = Peer::welcomed(&a).await;
    assert_eq!(peer.outcomes(vec![install(1, 0, 1)]).await, [APPLIED]);
    stop.send(true).unwrap();
    link.join().unwrap().unwrap();
    assert_eq!(shards.stop(), [1]);
}

#[tokio::test]
async fn what_a_stuck_old_lead_had_under_way_is_over_before_the_new_one_is_heard() {
    let (authority, [a, b]) = two_nodes();
    let relay = Relay::start_with(&authority, &authority, &[&a, &b], 42);
    let (mut old, mut new) = tokio::join!(Peer::welcomed(&a), Peer::welcomed(&b));
    // Everything at once: what counts is decided by what was said, not by who is answered first.
    for n in 1..8 {
        old.say(Orders { term: Term(1), orders: vec![install(n, n % 2, u64::from(n))] }).await;
    }
    new.say(resync(Term(2), &[])).await;
    let answers = async {
        let mut refused = 0;
        for _ in 1..8 {
            refused += usize::from(old.answer(1).await == Answer::Refused { newest: 2 });
        }
        refused
    };
    let (_refused, done) = tokio::join!(answers, new.order(2, vec![install(9, 0, 100)]));
    assert_eq!(done, Answer::Done(vec![(APPLIED, 100)]));
    assert_eq!(relay.stop(), [1, 0], "nothing of the old lead is left, however far it came");
}
