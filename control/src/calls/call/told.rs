//! What members of a call are told of its media.

use super::Call;
use crate::calls::{Known, Protected};
use crate::sessions::Session;
use kakehashi_wire::id::{Epoch, LegId, RelayId, SessionId};
use kakehashi_wire::terminal::{CallReady, PathRenewed, PathsChanged};

impl Call {
    /// What each member is told of the round in force; `epoch` is the life of a leg at a relay.
    pub fn ready(
        &mut self,
        epoch: impl Fn(RelayId, LegId) -> Option<Epoch>,
    ) -> Vec<(SessionId, CallReady)> {
        let known = self
            .members
            .iter()
            .map(|member| Known { login: &member.login, listens: member.listens() });
        let known: Vec<_> = known.collect();
        let Some(media) = self.rounds.current_mut() else { return Vec::new() };
        media.note_lives(epoch);
        let members = self.members.iter().enumerate();
        members
            .filter_map(|(nth, member)| Some((member.session()?, media.ready(nth, &known)?)))
            .collect()
    }

    /// What each member is told when the relays of the round in force have changed; `epoch` is the
    /// life of a leg at a relay.
    pub fn paths_changed(
        &mut self,
        epoch: impl Fn(RelayId, LegId) -> Option<Epoch>,
    ) -> Vec<(SessionId, PathsChanged)> {
        let Some(media) = self.rounds.current_mut() else { return Vec::new() };
        media.note_lives(epoch);
        let round = media.round();
        let hitless = media.protection() == Protected::Hitless;
        let told = self.members.iter().enumerate().filter_map(|(nth, member)| {
            let paths = media.paths_of(nth)?;
            let changed = PathsChanged { call: round.call, round: round.number, paths, hitless };
            Some((member.session()?, changed))
        });
        told.collect()
    }

    /// What `session` is told of the round in force, with the lives of legs told last.
    pub fn ready_for(&self, session: &Session) -> Option<CallReady> {
        let nth = self.place_of(session.account)?;
        let known = self
            .members
            .iter()
            .map(|member| Known { login: &member.login, listens: member.listens() });
        self.rounds.current()?.ready(nth, &known.collect::<Vec<_>>())
    }

    /// What members are told whose sealed legs have another life than they were told of last.
    pub fn renewed(
        &mut self,
        epoch: impl Fn(RelayId, LegId) -> Option<Epoch>,
    ) -> Vec<(SessionId, PathRenewed)> {
        let Some(media) = self.rounds.current_mut() else { return Vec::new() };
        let lives = media.note_lives(epoch).into_iter();
        let told = lives.filter_map(|life| {
            let (leg, epoch) = (life.leg, life.epoch);
            let session = self.members.get(life.member)?.session()?;
            Some((session, PathRenewed { call: self.id, leg, epoch }))
        });
        told.collect()
    }
}
