//! What the links to control count, for whoever watches. The links write, a scrape reads.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use kakehashi_metrics::{ALONE, Page};
use kakehashi_wire::id::Term;
use kakehashi_wire::relay::{OrderResult, Outcome};
use std::fmt;
use tokio::time::Instant;

/// What can become of an order, by the name that dashboards use, in the order of the wire.
const OUTCOMES: [&str; 8] = [
    "applied",
    "unchanged",
    "stale",
    "no_room",
    "ssrc_taken",
    "no_such_shard",
    "no_such_leg",
    "bad_order",
];

const _: () = assert!(Outcome::BadOrder as usize == OUTCOMES.len());

/// What the link to one node counts.
#[derive(Debug)]
struct OfNode {
    name: String,
    is_up: AtomicBool,
    established: AtomicU64,
    lost: AtomicU64,
    beats_sent: AtomicU64,
    beats_heard: AtomicU64,
    /// When the node was last heard, in milliseconds since `began`.
    heard_ms: AtomicU64,
}

/// What the links count.
#[derive(Debug)]
pub struct LinkFigures {
    began: Instant,
    nodes: Vec<OfNode>,
    orders: [AtomicU64; OUTCOMES.len()],
    outdated: AtomicU64,
    term: AtomicU64,
    /// The place of the node that leads, from 1; 0 while none has ordered.
    lead: AtomicU64,
}

fn once(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl LinkFigures {
    /// Of a link to each of these.
    pub fn new(nodes: &[String]) -> Self {
        let of_node = |name: &String| OfNode {
            name: name.clone(),
            is_up: AtomicBool::new(false),
            established: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            beats_sent: AtomicU64::new(0),
            beats_heard: AtomicU64::new(0),
            heard_ms: AtomicU64::new(0),
        };
        Self {
            began: Instant::now(),
            nodes: nodes.iter().map(of_node).collect(),
            orders: Default::default(),
            outdated: AtomicU64::new(0),
            term: AtomicU64::new(0),
            lead: AtomicU64::new(0),
        }
    }

    /// The node welcomed this relay.
    pub(super) fn linked(&self, node: usize) {
        let Some(of) = self.nodes.get(node) else { return };
        once(&of.established);
        of.is_up.store(true, Ordering::Relaxed);
        self.heard(node);
    }

    /// There is no link to the node, or no longer.
    pub(super) fn lost(&self, node: usize) {
        let Some(of) = self.nodes.get(node) else { return };
        if of.is_up.swap(false, Ordering::Relaxed) {
            once(&of.lost);
        }
    }

    /// The node said something.
    pub(super) fn heard(&self, node: usize) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        if let Some(of) = self.nodes.get(node) {
            of.heard_ms.store(now, Ordering::Relaxed);
        }
    }

    /// The node beat.
    pub(super) fn beat_heard(&self, node: usize) {
        self.nodes.get(node).map(|of| &of.beats_heard).into_iter().for_each(once);
    }

    /// This relay beat.
    pub(super) fn beat_sent(&self, node: usize) {
        self.nodes.get(node).map(|of| &of.beats_sent).into_iter().for_each(once);
    }

    /// A batch of orders was carried out.
    pub(super) fn ordered(&self, results: &[OrderResult]) {
        for result in results {
            self.orders.get(result.outcome as usize - 1).into_iter().for_each(once);
        }
    }

    /// A node ordered in an older term than the newest, and was refused.
    pub(super) fn outdated(&self) {
        once(&self.outdated);
    }

    /// The node states which legs are wanted.
    pub(super) fn led_by(&self, node: usize, term: Term) {
        self.term.store(term.0, Ordering::Relaxed);
        self.lead.store(node as u64 + 1, Ordering::Relaxed);
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// Whatever the page answers.
    pub fn write(&self, page: &mut Page<'_>) -> fmt::Result {
        self.write_state(page)?;
        self.write_counts(page)?;
        let outcomes = OUTCOMES.iter().zip(&self.orders);
        page.counters(
            ("kakehashi_relay_orders", "Orders of control, by what became of them."),
            outcomes.map(|(name, count)| ([("outcome", *name)], load(count))),
        )?;
        page.counters(
            (
                "kakehashi_relay_orders_outdated",
                "Batches of orders refused, since a newer term has been heard.",
            ),
            [(ALONE, load(&self.outdated))],
        )?;
        page.gauges(
            ("kakehashi_relay_term", "The term of the node whose orders count."),
            [(ALONE, load(&self.term) as f64)],
        )
    }

    fn write_state(&self, page: &mut Page<'_>) -> fmt::Result {
        let (now, lead) = (self.began.elapsed(), load(&self.lead));
        let nodes = || self.nodes.iter().zip(1_u64..);
        page.gauges(
            ("kakehashi_relay_link_up", "Whether there is a link to the node of control."),
            nodes().map(|(of, _)| (of.label(), truth(of.is_up()))),
        )?;
        page.gauges(
            ("kakehashi_relay_link_leads", "Whether the node is the one whose orders count."),
            nodes().map(|(of, nth)| (of.label(), truth(nth == lead))),
        )?;
        page.gauges(
            (
                "kakehashi_relay_link_silence_seconds",
                "How long nothing has been heard of the node, while it is linked.",
            ),
            nodes().filter(|(of, _)| of.is_up()).map(|(of, _)| {
                let heard = Duration::from_millis(load(&of.heard_ms));
                (of.label(), now.saturating_sub(heard).as_secs_f64())
            }),
        )
    }

    fn write_counts(&self, page: &mut Page<'_>) -> fmt::Result {
        type Read = fn(&OfNode) -> &AtomicU64;
        let families: [(&str, &str, Read); 4] = [
            ("links_established", "Times the node welcomed this relay.", |of| &of.established),
            ("links_lost", "Times a link to the node was lost.", |of| &of.lost),
            ("heartbeats_sent", "Heartbeats sent to the node.", |of| &of.beats_sent),
            ("heartbeats_received", "Heartbeats heard of the node.", |of| &of.beats_heard),
        ];
        for (name, says, read) in families {
            let values = self.nodes.iter().map(|of| (of.label(), load(read(of))));
            page.counters((&format!("kakehashi_relay_{name}"), says), values)?;
        }
        Ok(())
    }
}

impl OfNode {
    fn label(&self) -> [(&str, &str); 1] {
        [("node", &self.name)]
    }

    fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Relaxed)
    }
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn truth(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kakehashi_wire::id::{Generation, LegId};

    #[test]
    fn every_outcome_has_its_own_counter() {
        let all = [
            Outcome::Applied,
            Outcome::Unchanged,
            Outcome::Stale,
            Outcome::NoRoom,
            Outcome::SsrcTaken,
            Outcome::NoSuchShard,
            Outcome::NoSuchLeg,
            Outcome::BadOrder,
        ];
        let figures = LinkFigures::new(&[]);
        for (at, outcome) in all.into_iter().enumerate() {
            let (leg, generation, life) = (LegId(1), Generation(1), Generation(0));
            figures.ordered(&[OrderResult { leg, generation, outcome, life, silent_ms: None }]);
            assert_eq!(load(&figures.orders[at]), 1, "{outcome:?}");
            let name = format!("{outcome:?}").to_lowercase();
            assert_eq!(OUTCOMES[at].replace('_', ""), name);
        }
    }

    #[test]
    fn a_link_that_never_stood_is_not_lost() {
        let figures = LinkFigures::new(&["a:1".into()]);
        figures.lost(0);
        figures.linked(0);
        figures.lost(0);
        figures.lost(0);
        let of = &figures.nodes[0];
        assert_eq!((load(&of.established), load(&of.lost), of.is_up()), (1, 1, false));
    }
}
