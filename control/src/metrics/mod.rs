//! What a node counts for whoever watches it, and how it is shown.
//!
//! **Counted where it is known, read when somebody asks.** The core is pure and counts nothing: its
//! driver looks at what goes in and what comes out (`calls`), and once a second at how much there
//! is ([`Tally`]). The store is timed from outside (`timed`), sign-ins are counted at the gate. No
//! label names a tenant, an account or a call: labels are names of ours, relays and sites.

mod calls;
mod names;
mod state;
mod timed;

pub(crate) use state::State;
pub(crate) use timed::Timed;

use crate::coordinator::Tally;
use calls::SetUps;
use kakehashi_wire::terminal::{CallEnd, Refusal};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One label, with its name.
type Label = [(&'static str, &'static str); 1];

/// Two of them.
type Labels = [(&'static str, &'static str); 2];

/// Durations in seconds, by labels.
type TimesOf<L> = Family<L, Histogram, fn() -> Histogram>;

/// Durations in seconds, by one label.
type Times = TimesOf<Label>;

/// Upper bounds of what a call waits for, in seconds; 0.15 is what one site promises.
const SET_UP_S: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Upper bounds of what the store takes, in seconds.
const STORE_S: [f64; 12] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];

/// Upper bounds of what of media is lost.
const LOSS: [f64; 8] = [0.0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2];

/// Upper bounds of jitter, in seconds.
const JITTER_S: [f64; 8] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2];

/// Upper bounds of round trips, in seconds.
const ROUND_TRIP_S: [f64; 10] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0];

/// What a node counts.
pub(crate) struct Metrics {
    sign_ins: Family<Labels, Counter>,
    requests: Family<Label, Counter>,
    refused: Family<Label, Counter>,
    ended: Family<Label, Counter>,
    set_up: Times,
    moved: Counter,
    unprotected: Counter,
    too_slow: Family<Label, Counter>,
    loss: Histogram,
    jitter: Histogram,
    round_trip: Histogram,
    ways: TimesOf<[(&'static str, String); 1]>,
    store: Times,
    store_failed: Family<Labels, Counter>,
    set_ups: Mutex<SetUps>,
    tally: Mutex<Option<Tally>>,
}

impl Metrics {
    /// Nothing counted yet. What can be named is there from the beginning, at zero.
    pub(crate) fn new() -> Self {
        let metrics = Self {
            sign_ins: Family::default(),
            requests: Family::default(),
            refused: Family::default(),
            ended: Family::default(),
            set_up: Family::new_with_constructor(|| Histogram::new(SET_UP_S)),
            moved: Counter::default(),
            unprotected: Counter::default(),
            too_slow: Family::default(),
            loss: Histogram::new(LOSS),
            jitter: Histogram::new(JITTER_S),
            round_trip: Histogram::new(ROUND_TRIP_S),
            ways: Family::new_with_constructor(|| Histogram::new(ROUND_TRIP_S)),
            store: Family::new_with_constructor(|| Histogram::new(STORE_S)),
            store_failed: Family::default(),
            set_ups: Mutex::default(),
            tally: Mutex::new(None),
        };
        metrics.name_all();
        metrics
    }

    fn name_all(&self) {
        for kind in names::SIGN_INS {
            for outcome in names::SIGNED_IN {
                drop(self.sign_ins.get_or_create(&[("kind", kind), ("outcome", outcome)]));
            }
        }
        for refusal in names::REFUSALS {
            drop(self.refused.get_or_create(&[("reason", names::refusal(refusal))]));
        }
        for end in CallEnd::ALL {
            drop(self.ended.get_or_create(&[("reason", end.name())]));
        }
        for to in names::CALLED {
            drop(self.requests.get_or_create(&[("to", to)]));
        }
        for phase in names::PHASES {
            drop(self.set_up.get_or_create(&[("phase", phase)]));
        }
        for who in names::SLOW {
            drop(self.too_slow.get_or_create(&[("who", who)]));
        }
        for operation in names::OPERATIONS {
            drop(self.store.get_or_create(&[("operation", operation)]));
            for reason in names::STORE_FAILURES {
                let labels = [("operation", operation), ("reason", reason)];
                drop(self.store_failed.get_or_create(&labels));
            }
        }
    }

    /// All that is counted here, for a listener to show.
    pub(crate) fn register(&self, to: &mut Registry) {
        to.register(
            "kakehashi_control_sign_ins",
            "Sign-ins at this node, by kind and by what became of them",
            self.sign_ins.clone(),
        );
        to.register(
            "kakehashi_control_refusals",
            "Requests of terminals that were refused, by reason",
            self.refused.clone(),
        );
        to.register(
            "kakehashi_control_call_requests",
            "Calls that were asked for, by whom they were to",
            self.requests.clone(),
        );
        to.register(
            "kakehashi_control_calls_ended",
            "Calls that are over, by reason",
            self.ended.clone(),
        );
        to.register(
            "kakehashi_control_call_setup_seconds",
            "How long callers wait until the other side rings, and both after an answer until they \
             can send",
            self.set_up.clone(),
        );
        to.register(
            "kakehashi_control_calls_moved",
            "Times a call was given other relays, for one that was lost or drained",
            self.moved.clone(),
        );
        to.register(
            "kakehashi_control_calls_unprotected",
            "Times a call could not be protected as its tenant is to be, for want of a relay",
            self.unprotected.clone(),
        );
        to.register(
            "kakehashi_control_closed_slow",
            "Terminals and relays whose connection was closed since they read too slowly",
            self.too_slow.clone(),
        );
        self.register_quality(to);
        to.register(
            "kakehashi_control_store_seconds",
            "How long the store takes, by operation",
            self.store.clone(),
        );
        to.register(
            "kakehashi_control_store_failures",
            "What the store did not do, by operation and reason",
            self.store_failed.clone(),
        );
    }

    fn register_quality(&self, to: &mut Registry) {
        to.register(
            "kakehashi_control_media_loss_ratio",
            "Share of packets that never arrived at a member of a call, as it said last",
            self.loss.clone(),
        );
        to.register(
            "kakehashi_control_media_jitter_seconds",
            "Interarrival jitter at a member of a call, as it said last",
            self.jitter.clone(),
        );
        to.register(
            "kakehashi_control_media_round_trip_seconds",
            "Round trip between members of a call, as they said last",
            self.round_trip.clone(),
        );
        to.register(
            "kakehashi_control_site_round_trip_seconds",
            "Round trips that terminals in calls measure to the relays of a site",
            self.ways.clone(),
        );
    }

    /// A terminal signed in, or was not let in.
    pub(crate) fn signed_in(&self, kind: &'static str, outcome: Result<&'static str, Refusal>) {
        let outcome = outcome.unwrap_or_else(names::refusal);
        self.sign_ins.get_or_create(&[("kind", kind), ("outcome", outcome)]).inc();
    }

    /// Somebody's connection was closed, since they read too slowly.
    pub(crate) fn closed_slow(&self, who: &'static str) {
        self.too_slow.get_or_create(&[("who", who)]).inc();
    }

    /// How much there is by now; none if no core decides here.
    pub(crate) fn set_tally(&self, tally: Option<Tally>) {
        for relay in tally.iter().flat_map(|tally| &tally.relays) {
            drop(self.ways.get_or_create(&[("site", relay.site.clone())]));
        }
        *lock(&self.tally) = tally;
    }

    /// How much there was, when a core last said so.
    pub(crate) fn tally(&self) -> MutexGuard<'_, Option<Tally>> {
        lock(&self.tally)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
