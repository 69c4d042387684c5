//! Desks as they are now: who waits there, and what their agents do.

use super::words::Words;
use crate::admin::{CallRow, SessionRow};
use crate::capacity::{CONSOLE_AGENTS, CONSOLE_PAGE_ROWS};
use crate::clock::UnixMs;
use crate::records::RecordState;
use askama::Template;
use kakehashi_wire::terminal::PresenceState;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// The part of the page.
#[derive(Template)]
#[template(path = "now_desks.html")]
pub(super) struct DesksPart {
    words: &'static Words,
    rows: Vec<DeskView>,
    of_platform: bool,
}

/// A desk at which a call waits, or an agent of which is signed in.
#[derive(Debug, Default)]
struct DeskView {
    tenant: String,
    desk: String,
    waiting: usize,
    /// Since when the first of them does.
    since: Option<UnixMs>,
    /// Signed in; the available ones first.
    agents: Vec<AgentView>,
    /// Agents that are not listed.
    more: usize,
    /// Agents that are available.
    free: usize,
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Clone, Debug)]
struct AgentView {
    is_busy: bool,
    login: String,
    state: &'static str,
    kind: &'static str,
}

impl DesksPart {
    /// Of `calls`, in order of their beginning, and `sessions`.
    pub(super) fn of(
        (calls, sessions): (&[&CallRow], &[SessionRow]),
        words: &'static Words,
        of_platform: bool,
    ) -> Self {
        Self { words, rows: desks(calls, sessions, words), of_platform }
    }
}

/// Those where calls wait first, the one with the longest wait before the others.
fn desks(calls: &[&CallRow], sessions: &[SessionRow], words: &'static Words) -> Vec<DeskView> {
    let mut desks: BTreeMap<(&str, &str), DeskView> = BTreeMap::new();
    for call in calls.iter().filter(|call| call.record.state == RecordState::Queued) {
        let Some(desk) = &call.record.desk else { continue };
        let view = desks.entry((&call.tenant_name, &desk.last)).or_default();
        view.waiting += 1;
        view.since.get_or_insert(call.record.started);
    }
    let mut agents: BTreeMap<(&str, &str), BTreeSet<AgentView>> = BTreeMap::new();
    for session in sessions {
        let (state, kind) = words.doing(session.state);
        let is_busy = session.state != PresenceState::Waiting;
        let agent = AgentView { is_busy, login: session.login.clone(), state, kind };
        for desk in &session.desks {
            // One with two devices is one agent.
            agents.entry((&session.tenant_name, desk)).or_default().insert(agent.clone());
        }
    }
    for (key, agents) in agents {
        let view = desks.entry(key).or_default();
        view.free = agents.iter().filter(|agent| !agent.is_busy).count();
        view.more = agents.len().saturating_sub(CONSOLE_AGENTS);
        view.agents = agents.into_iter().take(CONSOLE_AGENTS).collect();
    }
    let named = desks.into_iter().map(|((tenant, desk), view)| DeskView {
        tenant: tenant.to_owned(),
        desk: desk.to_owned(),
        ..view
    });
    let mut rows: Vec<_> = named.collect();
    rows.sort_by_key(|row| (Reverse(row.waiting > 0), row.since));
    rows.truncate(CONSOLE_PAGE_ROWS);
    rows
}

#[cfg(test)]
mod tests {
    use super::super::words::EN;
    use super::*;
    use crate::calls::Protected;
    use crate::records::{CallRecord, DeskPart};
    use kakehashi_wire::id::{DeviceId, SessionId, TenantId};

    fn session(login: &str, device: u64, state: PresenceState, desks: &[&str]) -> SessionRow {
        SessionRow {
            session: SessionId(device),
            tenant: TenantId(1),
            tenant_name: "ginza".into(),
            login: login.into(),
            device: DeviceId(device),
            since: UnixMs(1),
            state,
            desks: desks.iter().map(|&desk| desk.to_owned()).collect(),
        }
    }

    fn queued(desk: &str, started: u64) -> CallRow {
        let record = CallRecord {
            desk: Some(DeskPart { called: desk.into(), last: desk.into(), waited_ms: 0 }),
            state: RecordState::Queued,
            started: UnixMs(started),
            answered: None,
            ..CallRecord::sample("store-1", "")
        };
        let row = CallRow::live(record, Vec::new(), Protected::None);
        CallRow { tenant_name: "ginza".into(), ..row }
    }

    #[test]
    fn a_desk_shows_who_waits_and_what_its_agents_do() {
        let calls = [queued("repairs", 20), queued("sales", 30), queued("repairs", 40)];
        let calls: Vec<_> = calls.iter().collect();
        let sessions = [
            session("ben", 1, PresenceState::InCall, &["sales", "night"]),
            session("anna", 2, PresenceState::Waiting, &["sales"]),
            session("anna", 3, PresenceState::Waiting, &["sales"]),
            session("carl", 4, PresenceState::WrapUp, &["sales"]),
            session("store-1", 5, PresenceState::Ringing, &[]),
        ];
        let desks = desks(&calls, &sessions, &EN);
        let told: Vec<_> = desks
            .iter()
            .map(|desk| {
                let agents: Vec<_> =
                    desk.agents.iter().map(|it| (it.login.as_str(), it.kind)).collect();
                (desk.desk.as_str(), desk.waiting, desk.since, desk.free, agents)
            })
            .collect();
        let sales = vec![("anna", "good"), ("ben", "active"), ("carl", "queued")];
        assert_eq!(
            told,
            [
                ("repairs", 2, Some(UnixMs(20)), 0, vec![]),
                ("sales", 1, Some(UnixMs(30)), 1, sales),
                ("night", 0, None, 0, vec![("ben", "active")]),
            ]
        );
    }

    #[test]
    fn more_agents_than_are_listed_are_counted() {
        let name = |nth: usize| format!("agent-{nth:03}");
        let sessions: Vec<_> = (0..CONSOLE_AGENTS + 3)
            .map(|nth| session(&name(nth), nth as u64, PresenceState::Waiting, &["sales"]))
            .collect();
        let desks = desks(&[], &sessions, &EN);
        let [desk] = &desks[..] else { panic!("{desks:?}") };
        assert_eq!((desk.agents.len(), desk.more), (CONSOLE_AGENTS, 3));
        assert_eq!(desk.free, CONSOLE_AGENTS + 3);
    }
}
