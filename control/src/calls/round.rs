//! The rounds of a call: the one in force, the one its relays are being told of, and those that are
//! over but whose legs stay for a moment, so that nothing under way is lost.

use super::CallMedia;
use crate::capacity::ROUND_KEPT;
use kakehashi_wire::id::RelayId;
use kakehashi_wire::relay::LegStream;
use rkyv::with::Skip;
use std::collections::BTreeSet;
use std::time::Duration;

#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Coming {
    media: CallMedia,
    #[rkyv(with = Skip)]
    since: Duration,
    #[rkyv(with = Skip)]
    attend: Duration,
}

#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Retired {
    media: CallMedia,
    #[rkyv(with = Skip)]
    until: Duration,
}

/// The media of a call, round by round.
#[derive(Default, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Rounds {
    current: Option<CallMedia>,
    coming: Option<Coming>,
    retired: Vec<Retired>,
    begun: u32,
}

impl Rounds {
    /// What the members have keys and paths of.
    pub fn current(&self) -> Option<&CallMedia> {
        self.current.as_ref()
    }

    /// The same, to change it.
    pub fn current_mut(&mut self) -> Option<&mut CallMedia> {
        self.current.as_mut()
    }

    /// What the relays are being told of.
    pub fn coming(&self) -> Option<&CallMedia> {
        self.coming.as_ref().map(|coming| &coming.media)
    }

    /// The same, to change it.
    pub fn coming_mut(&mut self) -> Option<&mut CallMedia> {
        self.coming.as_mut().map(|coming| &mut coming.media)
    }

    /// Since when the relays are being told.
    pub fn since(&self) -> Option<Duration> {
        self.coming.as_ref().map(|coming| coming.since)
    }

    /// Whose rounds they are: of the coming one, else of the one in force.
    pub fn drawn(&self) -> Option<&BTreeSet<usize>> {
        self.coming().or_else(|| self.current()).map(CallMedia::drawn)
    }

    /// The number of a round that was never in force.
    pub fn next_number(&self) -> u32 {
        self.begun
    }

    /// The relays are being told of this round since `now`, and it wants attention at `attend`.
    pub fn begin(&mut self, media: CallMedia, now: Duration, attend: Duration) {
        self.coming = Some(Coming { media, since: now, attend });
    }

    /// When the coming round wants attention the next time.
    pub fn attend_at(&mut self, at: Duration) {
        if let Some(coming) = &mut self.coming {
            coming.attend = at;
        }
    }

    /// The coming round will not be.
    pub fn withdraw(&mut self) -> Option<CallMedia> {
        self.coming.take().map(|coming| coming.media)
    }

    /// The coming round is in force; the one before goes on for a moment.
    pub fn enter(&mut self, now: Duration) {
        let Some(coming) = self.coming.take() else { return };
        self.begun = self.begun.saturating_add(1);
        if let Some(media) = self.current.replace(coming.media) {
            self.retire(media, now);
        }
    }

    /// Keeps media that was in force for a moment.
    pub fn retire(&mut self, media: CallMedia, now: Duration) {
        self.retired.push(Retired { media, until: now + ROUND_KEPT });
    }

    /// The rounds whose moment is over at `now`.
    pub fn spent(&mut self, now: Duration) -> Vec<CallMedia> {
        let spent = self.retired.extract_if(.., |retired| retired.until <= now);
        spent.map(|retired| retired.media).collect()
    }

    /// All there are: the call is over.
    pub fn take_all(&mut self) -> Vec<CallMedia> {
        let retired = self.retired.drain(..).map(|retired| retired.media);
        self.current
            .take()
            .into_iter()
            .chain(self.coming.take().map(|it| it.media))
            .chain(retired)
            .collect()
    }

    /// All there are.
    pub fn all(&self) -> impl Iterator<Item = &CallMedia> {
        let retired = self.retired.iter().map(|retired| &retired.media);
        let coming = self.coming.as_ref().map(|coming| &coming.media);
        self.current.iter().chain(coming).chain(retired)
    }

    /// Another core has taken the call up at `now`: what was under way begins anew and is looked at
    /// at `attend`, and what is over stays until everybody may be back.
    pub fn restart(&mut self, now: Duration, attend: Duration, until: Duration) {
        self.all_mut().for_each(|media| media.restart(now, until));
        if let Some(coming) = &mut self.coming {
            (coming.since, coming.attend) = (now, attend);
        }
        for retired in &mut self.retired {
            retired.until = until;
        }
    }

    /// All there are.
    pub fn all_mut(&mut self) -> impl Iterator<Item = &mut CallMedia> {
        let retired = self.retired.iter_mut().map(|retired| &mut retired.media);
        let coming = self.coming.as_mut().map(|coming| &mut coming.media);
        self.current.iter_mut().chain(coming).chain(retired)
    }

    /// A relay says how often a stream has wrapped. Returns the legs to be installed with that from
    /// now on.
    pub fn raise_rollover(
        &mut self,
        relay: RelayId,
        said: LegStream,
    ) -> Vec<(RelayId, kakehashi_wire::id::LegId)> {
        self.all_mut().flat_map(|media| media.raise_rollover(relay, said)).collect()
    }

    /// When the coming round or one that is over wants attention.
    pub fn next_deadline(&self) -> Option<Duration> {
        let retired = self.retired.iter().map(|retired| retired.until);
        retired.chain(self.coming.as_ref().map(|coming| coming.attend)).min()
    }
}
