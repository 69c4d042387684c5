//! What the driver of a core sees of calls: what goes in, and what comes out.

use super::Metrics;
use super::names;
use crate::capacity::SET_UPS_TIMED_MAX;
use crate::coordinator::{Input, Output, Request, Write};
use crate::records::{CallRecord, Quality};
use kakehashi_wire::id::{CallId, RequestId, SessionId};
use kakehashi_wire::terminal::{ReportQuality, ToTerminal};
use std::collections::{BTreeSet, HashMap};
use tokio::time::Instant;

/// Calls that are being set up, as far as they are timed.
#[derive(Default)]
pub(super) struct SetUps {
    /// Asked for, and neither refused yet nor ringing.
    asked: HashMap<(SessionId, RequestId), Instant>,
    /// Taken, and not ready yet.
    taken: HashMap<CallId, (SessionId, RequestId, Instant)>,
    /// Over, and not known to be written yet: their record may come again.
    ended: BTreeSet<CallId>,
}

impl SetUps {
    fn has_room(&self) -> bool {
        self.asked.len() + self.taken.len() < SET_UPS_TIMED_MAX
    }

    /// A request was refused: nobody waits for it any more.
    fn refused(&mut self, session: SessionId, request: RequestId) {
        self.asked.remove(&(session, request));
        self.taken.retain(|_, (by, asked, _)| (*by, *asked) != (session, request));
    }

    fn gone(&mut self, session: SessionId) {
        self.asked.retain(|(by, _), _| *by != session);
    }
}

impl Metrics {
    /// The core is about to hear this.
    pub(crate) fn hears(&self, input: &Input) {
        match input {
            Input::Asked(session, request) => self.asked(*session, request),
            Input::Gone(session) | Input::Lost(session) => self.set_ups().gone(*session),
            Input::Written(call) => drop(self.set_ups().ended.remove(call)),
            _ => {}
        }
    }

    fn asked(&self, session: SessionId, request: &Request) {
        let (to, number) = match request {
            Request::Invite(number, ..) => ("account", *number),
            Request::InviteDesk(ask) => ("desk", ask.request),
            Request::Accept(ask) => {
                let mut set_ups = self.set_ups();
                if set_ups.has_room() {
                    let taken = (session, ask.request, Instant::now());
                    set_ups.taken.entry(ask.call).or_insert(taken);
                }
                return;
            }
            Request::Report(report) => return self.ways(report),
            _ => return,
        };
        self.requests.get_or_create(&[("to", to)]).inc();
        let mut set_ups = self.set_ups();
        if set_ups.has_room() {
            set_ups.asked.insert((session, number), Instant::now());
        }
    }

    /// This is about to be carried out.
    pub(crate) fn carries(&self, output: &Output) {
        match output {
            Output::Say(session, said) => self.says(*session, said),
            Output::Write(Write::Put(record)) if record.ended.is_some() => self.is_over(record),
            Output::Unprotected(..) => drop(self.unprotected.inc()),
            _ => {}
        }
    }

    fn says(&self, session: SessionId, said: &ToTerminal) {
        let (phase, since) = match said {
            ToTerminal::Ringing(it) => {
                ("ringing", self.set_ups().asked.remove(&(session, it.request)))
            }
            // It waits for somebody, and not for us.
            ToTerminal::Queued(it) => {
                self.set_ups().asked.remove(&(session, it.request));
                return;
            }
            // The first member to be told stands for all: they are told in one turn.
            ToTerminal::CallReady(it) => {
                ("ready", self.set_ups().taken.remove(&it.call).map(|(.., since)| since))
            }
            ToTerminal::Refused(it) => {
                self.refused.get_or_create(&[("reason", names::refusal(it.reason))]).inc();
                return self.set_ups().refused(session, it.request);
            }
            _ => return,
        };
        if let Some(since) = since {
            let took = since.elapsed().as_secs_f64();
            self.set_up.get_or_create(&[("phase", phase)]).observe(took);
        }
    }

    /// What a turn decided.
    pub(crate) fn decided(&self, outputs: &[Output]) {
        let moved = outputs.iter().filter_map(|output| match output {
            Output::Say(_, ToTerminal::PathsChanged(it)) => Some(it.call),
            _ => None,
        });
        // Each member is told, and each call counts once.
        let moved: BTreeSet<_> = moved.collect();
        self.moved.inc_by(moved.len() as u64);
    }

    fn is_over(&self, record: &CallRecord) {
        let mut set_ups = self.set_ups();
        set_ups.taken.remove(&record.call);
        if set_ups.ended.len() >= SET_UPS_TIMED_MAX || !set_ups.ended.insert(record.call) {
            return;
        }
        drop(set_ups);
        if let Some(reason) = record.reason {
            self.ended.get_or_create(&[("reason", reason.name())]).inc();
        }
        let said = record.members.iter().filter_map(|member| member.quality.as_ref());
        said.for_each(|quality| self.heard(quality));
    }

    fn heard(&self, quality: &Quality) {
        let expected = quality.packets_received.saturating_add(quality.packets_lost);
        if expected == 0 {
            return;
        }
        self.loss.observe(quality.packets_lost as f64 / expected as f64);
        self.jitter.observe(seconds(quality.jitter_us));
        if quality.round_trip_us > 0 {
            self.round_trip.observe(seconds(quality.round_trip_us));
        }
    }

    fn ways(&self, report: &ReportQuality) {
        let tally = self.tally();
        let Some(tally) = &*tally else { return };
        for way in report.ways.iter().filter(|way| way.round_trip_us > 0) {
            let Some(relay) = tally.relays.iter().find(|it| it.relay == way.relay) else {
                continue;
            };
            let site = [("site", relay.site.clone())];
            self.ways.get_or_create(&site).observe(seconds(way.round_trip_us));
        }
    }

    fn set_ups(&self) -> std::sync::MutexGuard<'_, SetUps> {
        super::lock(&self.set_ups)
    }
}

fn seconds(us: u32) -> f64 {
    f64::from(us) / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMs;
    use crate::records::{Party, PartyRole, RecordState};
    use kakehashi_metrics::{Format, Shown};
    use kakehashi_wire::id::{AccountId, TenantId};
    use kakehashi_wire::secret::{MasterKey, Suite};
    use kakehashi_wire::terminal::{Accept, CallEnd, CallReady, Refusal, Refused, Ringing};
    use prometheus_client::registry::Registry;

    const CALL: CallId = CallId(9);
    const CALLER: SessionId = SessionId(1);
    const CALLEE: SessionId = SessionId(2);
    const LATE: SessionId = SessionId(3);
    const ASK: RequestId = RequestId(4);

    /// The lines that are not zero and no bucket.
    fn counted(metrics: &Metrics) -> Vec<String> {
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let text = Format::Prometheus.text(&Shown::from(registry)).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.contains("_bucket"));
        let is_zero = |line: &&str| line.ends_with(" 0") || line.ends_with(" 0.0");
        let lines = lines.filter(|line| !is_zero(line) && !line.contains("_sum"));
        let names = lines.filter_map(|line| line.strip_prefix("kakehashi_control_"));
        let mut names: Vec<_> = names.map(String::from).collect();
        names.sort();
        names
    }

    fn accept(by: SessionId) -> Input {
        let accept = Accept { request: ASK, call: CALL, streams: Vec::new() };
        Input::Asked(by, Request::Accept(accept))
    }

    fn ready(to: SessionId) -> Output {
        let suite = Suite::AeadAes128Gcm;
        let key = MasterKey::new(suite, &[1; 32], &[2; 12]);
        let (streams, senders, paths) = (Vec::new(), Vec::new(), Vec::new());
        let said = CallReady { call: CALL, round: 0, key, streams, senders, paths, hitless: false };
        Output::Say(to, said.into())
    }

    fn refused(session: SessionId, reason: Refusal) -> Output {
        Output::Say(session, Refused { request: ASK, reason, retry_after_ms: 0 }.into())
    }

    #[test]
    fn a_call_is_timed_once_in_each_phase_and_what_is_refused_is_not() {
        let metrics = Metrics::new();
        metrics.hears(&Input::Asked(CALLER, Request::Invite(ASK, None, Vec::new())));
        metrics.carries(&Output::Say(CALLER, Ringing { request: ASK, call: CALL }.into()));
        metrics.hears(&accept(CALLEE));
        metrics.carries(&ready(CALLER));
        metrics.carries(&ready(CALLEE));
        // Too late: the next round of the call has nothing to do with it.
        metrics.hears(&accept(LATE));
        metrics.carries(&refused(LATE, Refusal::TooLate));
        metrics.carries(&ready(CALLER));
        metrics.hears(&Input::Asked(LATE, Request::Invite(ASK, None, Vec::new())));
        metrics.carries(&refused(LATE, Refusal::NotAvailable));
        let wanted = [
            "call_requests_total{to=\"account\"} 2",
            "call_setup_seconds_count{phase=\"ready\"} 1",
            "call_setup_seconds_count{phase=\"ringing\"} 1",
            "refusals_total{reason=\"not_available\"} 1",
            "refusals_total{reason=\"too_late\"} 1",
        ];
        assert_eq!(counted(&metrics), wanted);
        let set_ups = metrics.set_ups();
        assert!(set_ups.asked.is_empty() && set_ups.taken.is_empty());
    }

    #[test]
    fn a_call_ends_once_however_often_its_record_is_written() {
        let quality = Quality {
            packets_sent: 0,
            packets_received: 99,
            packets_lost: 1,
            jitter_us: 500,
            round_trip_us: 0,
            packets_concealed: 0,
        };
        let party = |login: &str, quality| Party {
            account: AccountId(1),
            login: login.into(),
            role: PartyRole::Caller,
            device: None,
            joined: None,
            left: None,
            quality,
        };
        let record = CallRecord {
            call: CALL,
            tenant: TenantId(1),
            members: vec![party("a", Some(quality)), party("b", None)],
            desk: None,
            state: RecordState::Active,
            started: UnixMs(0),
            answered: None,
            ended: None,
            reason: None,
        };
        let metrics = Metrics::new();
        metrics.carries(&Output::Write(Write::Put(record.clone())));
        assert!(counted(&metrics).is_empty());
        let over = record.ended(UnixMs(7), CallEnd::HungUp);
        for _ in 0..3 {
            metrics.carries(&Output::Write(Write::Put(over.clone())));
        }
        let wanted = [
            "calls_ended_total{reason=\"hung_up\"} 1",
            "media_jitter_seconds_count 1",
            "media_loss_ratio_count 1",
        ];
        assert_eq!(counted(&metrics), wanted);
        metrics.hears(&Input::Written(CALL));
        assert!(metrics.set_ups().ended.is_empty());
    }
}
