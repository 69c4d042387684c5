//! Calls move on: the one path from an invitation to media.

use super::{Coordinator, Output};
use crate::calls::{Call, Event, Rounds, State, Step};
use crate::capacity::{LEGS_TIMEOUT, STANDBY_TIMEOUT};
use crate::clock::Now;
use crate::fleet::{LegNews, Together};
use kakehashi_wire::id::{CallId, SessionId};
use kakehashi_wire::terminal::ToTerminal;

/// What to do with a call whose legs are being installed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Legs {
    Wait,
    Ready,
    ReadyWithoutStandby,
    MoveToStandby,
    Refused,
}

impl Coordinator {
    /// Lets `event` happen to a call and does what follows from the new state.
    pub(super) fn happen(&mut self, id: CallId, event: Event, now: Now) -> Option<Step> {
        let call = self.calls.get_mut(id)?;
        let step = call.apply(event, now);
        match (step, event) {
            (Step::To(State::Ringing), Event::Stored) => {
                self.ring(id, now);
                self.meet_crossing(id, now);
            }
            (Step::To(State::Queued), Event::Queue) => self.begin_to_wait(id, now),
            (Step::To(State::Queued), _) => self.wait_again(id, now),
            (Step::To(State::Connected), _) => self.enter_round(id, now),
            (Step::End(reason), _) => self.end_call(id, reason, now),
            (Step::Withdraw(reason), _) => self.withdraw_call(id, reason, now),
            (Step::To(_) | Step::Refuse(_) | Step::Stay, _) => {}
        }
        Some(step)
    }

    /// Puts the answer to a request behind the first write since output `at`.
    pub(super) fn answer_at(
        &mut self,
        at: usize,
        session: SessionId,
        answer: impl Into<ToTerminal>,
    ) {
        let written = self.out[at..].iter().position(|out| matches!(out, Output::Write(_)));
        let at = written.map_or(at, |nth| at + nth + 1);
        self.out.insert(at, Output::Say(session, answer.into()));
    }

    /// Places a call that was taken, draws its keys, and wants its legs at the relays.
    pub(super) fn prepare(&mut self, id: CallId, now: Now) {
        if !self.begin_round(id, now) && !self.placing.wait(id, now) {
            self.happen(id, Event::LegsRefused, now);
        }
    }

    pub(super) fn look_at_legs(&mut self, rounds: LegNews, now: Now) {
        for at_relays in rounds {
            let Some(call) = self.calls.of_round(at_relays) else { continue };
            // A leg may have another life.
            self.calls.touch(call);
            self.look_at_legs_of(call, now);
            self.renew_paths(call);
            self.look_at_joining(call, now);
        }
    }

    pub(super) fn look_at_legs_of(&mut self, id: CallId, now: Now) {
        // At most once for each relay of the call.
        while let Some(legs) = self.legs_of(id, now) {
            match legs {
                Legs::Wait => return,
                Legs::Ready => {
                    if self.happen(id, Event::LegsReady, now) == Some(Step::Stay) {
                        self.enter_round(id, now);
                    }
                    return;
                }
                Legs::Refused => {
                    if self.happen(id, Event::LegsRefused, now) == Some(Step::Stay) {
                        self.withdraw_round(id, now);
                    }
                    return;
                }
                Legs::ReadyWithoutStandby => self.drop_place(id, 1),
                Legs::MoveToStandby => self.drop_place(id, 0),
            }
        }
    }

    /// How far the legs of a call's coming round are; `None` if there is none.
    fn legs_of(&self, id: CallId, now: Now) -> Option<Legs> {
        let rounds = self.calls.get(id)?.rounds();
        let media = rounds.coming()?;
        let waited = now.since_start.saturating_sub(rounds.since()?);
        let standings: Vec<_> = media
            .seats()
            .enumerate()
            .map(|(nth, seat)| self.fleet.standing(seat.relay, media.legs_at(nth)))
            .collect();
        Some(decide(&standings, waited))
    }

    fn drop_place(&mut self, id: CallId, nth: usize) {
        let rounds = self.calls.get_mut(id).map(Call::rounds_mut);
        let Some(media) = rounds.and_then(Rounds::coming_mut) else { return };
        if let Some(seat) = media.seats().nth(nth) {
            for leg in media.legs_at(nth) {
                self.fleet.release(seat.relay, leg);
            }
        }
        media.drop_place(nth);
    }

    pub(super) fn look_at_timers(&mut self, now: Now) {
        while let Some(id) = self.calls.due(now.since_start) {
            let Some(call) = self.calls.get(id) else { continue };
            match call.state() {
                State::Queued => self.waited(id, now),
                State::Ringing if call.desk().is_some() => self.unanswered(id, now),
                State::Ringing => {
                    self.happen(id, Event::NoAnswer, now);
                }
                State::Preparing | State::Connected => self.attend(id, now),
                State::Inviting | State::Ended => {}
            }
        }
    }

    pub(super) fn announce_members(&mut self, id: CallId) {
        let Some(call) = self.calls.get(id) else { return };
        let accounts: Vec<_> = call.members().iter().map(|member| member.account).collect();
        for account in accounts {
            self.announce_account(account);
        }
    }
}

/// What follows from how the legs stand at the primary and, if there is one, the standby.
fn decide(standings: &[Together], waited: std::time::Duration) -> Legs {
    let standby = standings.get(1).copied();
    let primary = standings.first().copied().unwrap_or(Together::Refused);
    match (primary, standby) {
        (Together::InForce, None | Some(Together::InForce)) => Legs::Ready,
        (Together::InForce, Some(Together::Waiting)) if waited < STANDBY_TIMEOUT => Legs::Wait,
        // The orders stand, and terminals go on binding until the standby knows them: a slow
        // answer now must not leave the call without one for as long as it lasts.
        (Together::InForce, Some(Together::Waiting)) => Legs::Ready,
        (Together::InForce, Some(Together::Refused)) => Legs::ReadyWithoutStandby,
        (Together::Waiting, _) if waited < LEGS_TIMEOUT => Legs::Wait,
        (_, Some(Together::InForce | Together::Waiting)) if waited < LEGS_TIMEOUT => {
            Legs::MoveToStandby
        }
        (_, Some(Together::InForce)) => Legs::MoveToStandby,
        _ => Legs::Refused,
    }
}
