//! What stands at a node, read when somebody asks.

use super::Metrics;
use crate::accounts::Accounts;
use crate::audit::Audit;
use crate::coordinator::{RelayTally, Tally};
use crate::pki::Ends;
use kakehashi_metrics::{ALONE, Figures, Page, Shown};
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// The parts of a node that stand for something.
pub(crate) struct State {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) audit: Arc<Audit>,
    /// Whose certificates the node shows, and when they end.
    pub(crate) certificates: Vec<Ends>,
    /// The node's name.
    pub(crate) node: String,
    pub(crate) began: SystemTime,
}

impl fmt::Debug for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("State").field("node", &self.node).finish_non_exhaustive()
    }
}

impl Figures for State {
    fn write(&self, page: &mut Page<'_>) -> fmt::Result {
        self.write_process(page)?;
        self.write_core(page)?;
        self.write_hashing(page)?;
        self.write_audit(page)
    }
}

impl State {
    /// All that the node shows.
    pub(crate) fn shown(self) -> Shown {
        let mut registry = Registry::default();
        self.metrics.register(&mut registry);
        Shown::with(registry, self)
    }

    fn write_process(&self, page: &mut Page<'_>) -> fmt::Result {
        let labels = [("version", env!("CARGO_PKG_VERSION")), ("node", &*self.node)];
        page.info(("kakehashi_control_build", "What runs here."), &labels)?;
        let began = self.began.duration_since(UNIX_EPOCH).unwrap_or_default();
        page.gauges(
            ("kakehashi_control_start_time_seconds", "When the node began, as a Unix time."),
            [(ALONE, began.as_secs_f64())],
        )?;
        page.gauges(
            (
                "kakehashi_control_certificate_end_timestamp_seconds",
                "When a certificate of this node ends, as a Unix time, by who is shown it.",
            ),
            self.certificates.iter().map(|ends| ([("to", ends.to)], (ends.until.0 / 1_000) as f64)),
        )
    }

    fn write_core(&self, page: &mut Page<'_>) -> fmt::Result {
        let tally = self.metrics.tally();
        page.gauges(
            (
                "kakehashi_control_leads",
                "Whether this node decides about calls: of the nodes over one store, one does.",
            ),
            [(ALONE, truth(tally.is_some()))],
        )?;
        let Some(tally) = &*tally else { return Ok(()) };
        page.gauges(
            ("kakehashi_control_term", "The term in which this node decides."),
            [(ALONE, tally.term.0 as f64)],
        )?;
        page.gauges(
            (
                "kakehashi_control_store_hangs",
                "Whether the store does not answer: calls go on, and no new one begins.",
            ),
            [(ALONE, truth(tally.store_hangs))],
        )?;
        write_sessions(tally, page)?;
        page.gauges(
            ("kakehashi_control_calls", "Calls, by how far they have come."),
            tally.calls.iter().map(|(state, calls)| ([("state", *state)], *calls as f64)),
        )?;
        write_relays(tally, page)
    }

    fn write_hashing(&self, page: &mut Page<'_>) -> fmt::Result {
        let hashing = self.accounts.hashing();
        let lane = |lane| [("lane", lane)];
        page.gauges(
            (
                "kakehashi_control_hash_queue_length",
                "Password hashes that wait for a thread, by who asked: a device that its account \
                 knows, or anybody.",
            ),
            hashing.lanes.iter().map(|it| (lane(it.name), it.waiting as f64)),
        )?;
        page.gauges(
            ("kakehashi_control_hash_queue_length_max", "Password hashes that may wait."),
            hashing.lanes.iter().map(|it| (lane(it.name), hashing.depth as f64)),
        )?;
        page.counters(
            ("kakehashi_control_hashes", "Password hashes that were taken up."),
            hashing.lanes.iter().map(|it| (lane(it.name), it.begun)),
        )?;
        page.counters(
            (
                "kakehashi_control_hashes_refused",
                "Password hashes that were refused, since the queue was full.",
            ),
            hashing.lanes.iter().map(|it| (lane(it.name), it.refused)),
        )
    }

    fn write_audit(&self, page: &mut Page<'_>) -> fmt::Result {
        let lag = self.audit.lag();
        page.gauges(
            ("kakehashi_control_audit_queue_length", "Acts that wait for their audit record."),
            [(ALONE, lag.waiting as f64)],
        )?;
        page.counters(
            ("kakehashi_control_audit_records", "Records of the audit log, of all times."),
            [(ALONE, lag.written)],
        )?;
        page.gauges(
            (
                "kakehashi_control_audit_unarchived",
                "Records of the audit log that the archive does not have yet; none without one.",
            ),
            lag.unarchived.map(|records| (ALONE, records as f64)),
        )
    }
}

fn write_sessions(tally: &Tally, page: &mut Page<'_>) -> fmt::Result {
    let (all, away) = (tally.sessions, tally.detached);
    page.gauges(
        ("kakehashi_control_sessions", "Sessions, by whether their terminal is connected."),
        [
            ([("state", "connected")], all.saturating_sub(away) as f64),
            ([("state", "reconnecting")], away as f64),
        ],
    )
}

fn write_relays(tally: &Tally, page: &mut Page<'_>) -> fmt::Result {
    let numbers: Vec<_> = tally.relays.iter().map(|it| it.relay.0.to_string()).collect();
    type Read = fn(&RelayTally) -> f64;
    let families: [(&str, &str, Read); 4] = [
        ("relay_up", "Whether there is a link to the relay.", |it| truth(it.is_connected)),
        ("relay_drained", "Whether the relay is taken out of use.", |it| truth(it.is_drained)),
        ("relay_legs", "Legs that the relay holds.", |it| it.legs as f64),
        ("relay_legs_max", "Legs that the relay may hold.", |it| it.legs_max as f64),
    ];
    for (name, says, read) in families {
        let values = tally.relays.iter().zip(&numbers).map(|(relay, number)| {
            ([("relay", number.as_str()), ("site", relay.site.as_str())], read(relay))
        });
        page.gauges((&format!("kakehashi_control_{name}"), says), values)?;
    }
    Ok(())
}

fn truth(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}
