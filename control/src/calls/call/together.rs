//! Who takes part in a call that goes on: who comes, who goes, and two calls that become one.

use super::{Answers, Call, CallMedia, Member, MemberEvent, State};
use crate::calls::Brought;
use crate::capacity::{ABSORBED_KEPT_MAX, CALL_MEMBERS_MAX, CALL_PARTIES_MAX};
use crate::clock::{Now, UnixMs};
use crate::sessions::AccountKey;
use kakehashi_wire::id::{CallId, LegId, RelayId, SessionId};
use rkyv::rancor::Source;
use std::collections::BTreeSet;
use std::time::Duration;

/// A call that becomes part of another when the other's next round begins, and goes on as it was if
/// that never happens.
#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
#[rkyv(serialize_bounds(__S: rkyv::ser::Writer + rkyv::ser::Allocator, __S::Error: Source))]
#[rkyv(deserialize_bounds(__D::Error: Source))]
#[rkyv(bytecheck(bounds(__C: rkyv::validation::ArchiveContext, __C::Error: Source)))]
pub struct Merging {
    #[rkyv(omit_bounds)]
    with: Call,
    /// The places of its members in the other call.
    guests: Vec<usize>,
    /// Who asked for it: its place in the other call, and whether it held that.
    by: usize,
    was_held: bool,
}

/// A call that did not become part of another.
pub struct Apart {
    /// The call.
    pub with: Call,
    /// Its members that were to come and have not left meanwhile: account and login ID.
    pub back: Vec<(AccountKey, String)>,
    /// Who asked for it, and whether it held the call that goes on.
    pub by: usize,
    /// See there.
    pub was_held: bool,
}

/// What a new round has changed.
pub struct Entered {
    /// Members that handed the call on.
    pub leavers: Vec<usize>,
    /// The call that is part of this one now.
    pub merged: Option<Call>,
}

impl Merging {
    /// The call that becomes part of another.
    pub(super) fn with(&self) -> &Call {
        &self.with
    }

    /// The same, to change it.
    pub(super) fn with_mut(&mut self) -> &mut Call {
        &mut self.with
    }
}

impl Call {
    /// By which number the account at `nth` knows the call: those of a call that is to become part
    /// of it have not heard of it yet.
    pub fn known_to(&self, nth: usize) -> CallId {
        let merging = self.merging.as_ref().filter(|merging| merging.guests.contains(&nth));
        merging.map_or(self.id, |merging| merging.with.id)
    }

    /// The calls that became part of it, the latest last, as far as they are remembered.
    pub fn absorbed(&self) -> &[CallId] {
        &self.absorbed
    }

    /// Whether so many more accounts may be members, beside one that a desk was asked for.
    pub fn has_room_for(&self, more: usize) -> bool {
        let there = self.members.iter().filter(|member| !member.has_left()).count();
        let more = more + usize::from(self.asks.is_some());
        there + more <= CALL_MEMBERS_MAX && self.members.len() + more <= CALL_PARTIES_MAX
    }

    /// Another member. Returns its place.
    pub fn add(&mut self, member: Member) -> usize {
        self.members.push(member);
        self.members.len() - 1
    }

    /// The places of those who are to be in the next round.
    pub fn wanted_members(&self) -> BTreeSet<usize> {
        self.staying(None)
    }

    /// Whether two speak with each other when the member at `nth` is gone.
    pub fn goes_on_without(&self, nth: usize) -> bool {
        self.state == State::Connected && self.speakers(Some(nth)) >= 2
    }

    /// Whether two speak with each other in it.
    pub fn is_alive(&self) -> bool {
        self.speakers(None) >= 2
    }

    fn speakers(&self, gone: Option<usize>) -> usize {
        self.staying(gone).into_iter().filter(|nth| !self.members[*nth].listens()).count()
    }

    /// Those who have taken the call and do not leave with the next round, when `gone` is gone.
    fn staying(&self, gone: Option<usize>) -> BTreeSet<usize> {
        let takes_part = |nth: &usize| Some(*nth) != gone && self.members[*nth].takes_part();
        let there = (0..self.members.len()).filter(takes_part);
        there.filter(|nth| !self.leaves_next(*nth, gone)).collect()
    }

    /// Whether the member at `nth` leaves when one that joins is there.
    fn leaves_next(&self, nth: usize, gone: Option<usize>) -> bool {
        let members = self.members.iter().enumerate().filter(|(other, _)| Some(*other) != gone);
        let mut joining = members.filter(|(_, member)| member.joins());
        joining.any(|(_, member)| {
            member.brought().is_some_and(|brought| brought.by == nth && brought.then_leaves)
        })
    }

    /// The coming round is in force: who joined is in, and who handed the call on is to leave.
    pub fn enter_round(&mut self, now: Now) -> Entered {
        let leavers = (0..self.members.len())
            .filter(|nth| self.members[*nth].takes_part() && self.leaves_next(*nth, None));
        let leavers: Vec<_> = leavers.collect();
        self.rounds.enter(now.since_start);
        let merging = self.merging.take();
        self.apply_to(|_| true, MemberEvent::Ready, now.wall);
        let merged = merging.map(|merging| {
            let mut with = merging.with;
            // Whoever joined the two may have answered for a desk in the other.
            let by = &mut self.members[merging.by];
            let place = with.place_of(by.account);
            by.answer_for(place.and_then(|nth| with.answers(nth)).cloned());
            self.absorbed.append(&mut with.absorbed.clone());
            self.absorbed.push(with.id);
            let many = self.absorbed.len().saturating_sub(ABSORBED_KEPT_MAX);
            self.absorbed.drain(..many);
            for media in with.rounds.take_all() {
                self.rounds.retire(media, now.since_start);
            }
            with
        });
        Entered { leavers, merged }
    }

    /// The members that wait for a round which will not be.
    pub fn joiners(&self) -> Vec<usize> {
        (0..self.members.len()).filter(|nth| self.members[*nth].joins()).collect()
    }

    /// The member at `nth` leaves a call that goes on, and one that becomes part of it. Returns the
    /// sessions that knew of it, and by which number they did.
    pub fn part(&mut self, nth: usize, at: UnixMs) -> (Vec<SessionId>, CallId) {
        let known_as = self.known_to(nth);
        if let Some(merging) = &mut self.merging
            && let Some(place) = merging.with.place_of(self.members[nth].account)
        {
            merging.with.members[place].leave(at);
        }
        (self.members[nth].leave(at), known_as)
    }

    /// For which desk the member at `nth` answers in this call, or in one that becomes part of it.
    pub fn answers_anywhere(&self, nth: usize) -> Option<&Answers> {
        let with = self.merging.as_ref().map(|merging| &merging.with);
        let there = with.and_then(|with| with.answers(with.place_of(self.members[nth].account)?));
        self.answers(nth).or(there)
    }

    /// The sessions that take part and know of it: those of a call that is to become part of it
    /// do not yet.
    pub fn told(&self) -> Vec<SessionId> {
        let is_guest =
            |nth: &usize| self.merging.as_ref().is_some_and(|merging| merging.guests.contains(nth));
        let told = (0..self.members.len()).filter(|nth| !is_guest(nth));
        told.filter_map(|nth| self.members[nth].session()).collect()
    }

    /// Takes a leaving member's legs out of all rounds, also out of those of a call that becomes
    /// part of this one.
    pub fn take_legs(
        &mut self,
        nth: usize,
        part: &mut impl FnMut(&mut CallMedia, usize) -> Vec<(RelayId, LegId)>,
    ) -> Vec<(RelayId, LegId)> {
        let account = self.members[nth].account;
        let mut legs: Vec<_> = self.rounds.all_mut().flat_map(|media| part(media, nth)).collect();
        if let Some(merging) = &mut self.merging
            && let Some(place) = merging.with.place_of(account)
        {
            legs.extend(merging.with.rounds.all_mut().flat_map(|media| part(media, place)));
        }
        legs
    }

    /// When a member of a call that goes on has rung long enough, or a round wants attention.
    pub fn next_attention(&self) -> Option<Duration> {
        let ringing = self.members.iter().filter_map(Member::rings_until);
        let asks = self.asks.as_ref().and_then(|asks| asks.due);
        ringing.chain(self.rounds.next_deadline()).chain(asks).min()
    }

    /// Those who have rung long enough at `now`.
    pub fn rung_out(&self, now: Duration) -> Vec<usize> {
        let rung_out = |nth: &usize| self.members[*nth].rings_until().is_some_and(|at| at <= now);
        (0..self.members.len()).filter(rung_out).collect()
    }

    /// Whether it is becoming one with another.
    pub fn is_merging(&self) -> bool {
        self.merging.is_some()
    }

    /// The members of `with` that would come to this call, asked for by `account`.
    pub fn guests_of<'a>(
        &'a self,
        with: &'a Self,
        account: AccountKey,
    ) -> impl Iterator<Item = &'a Member> {
        with.members.iter().filter(move |member| {
            member.takes_part()
                && member.account != account
                && self.place_of(member.account).is_none()
        })
    }

    /// `with` becomes part of this call with its next round, as the member at `by` asked. Returns
    /// the accounts that came.
    pub fn merge(&mut self, with: Self, by: usize, then_leaves: bool) -> Vec<AccountKey> {
        let (account, was_held) = (self.members[by].account, self.members[by].holds());
        let brought = Brought { by, then_leaves };
        let guests: Vec<_> =
            self.guests_of(&with, account).filter_map(|member| member.moved(brought)).collect();
        let accounts = guests.iter().map(|guest| guest.account).collect();
        let guests = guests.into_iter().map(|guest| self.add(guest)).collect();
        self.merging = Some(Box::new(Merging { with, guests, by, was_held }));
        accounts
    }

    /// The round in which another call was to become part of this one will not be.
    pub fn unmerge(&mut self, at: UnixMs) -> Option<Apart> {
        let Merging { with, guests, by, was_held } = *self.merging.take()?;
        let mut back = Vec::new();
        for nth in guests {
            let member = &mut self.members[nth];
            if with.place_of(member.account).is_some() {
                back.push((member.account, member.login.clone()));
            }
            member.leave(at);
        }
        Some(Apart { with, back, by, was_held })
    }

    /// Whether another call was to become part of this one, and nobody is left to come.
    pub fn merges_in_vain(&self) -> bool {
        let joins = |nth: &usize| self.members[*nth].joins();
        self.merging.as_ref().is_some_and(|merging| !merging.guests.iter().any(joins))
    }
}
