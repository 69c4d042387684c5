//! A call as another core takes it up: what it is, and what it needs of the core around it, in
//! bytes. Pure.
//!
//! ```text
//! | ages, 3 x u64 ms | length, u32 | archive of `Call` | archive of `Around` |
//! ```
//!
//! The archives are those of the types that the core works with, so nothing of a call can be
//! forgotten. Whatever changes their bytes raises [`LIVE_VERSION`], and a test knows them. Times of
//! the node's clock mean nothing to another node and are not kept: what runs out runs anew.
//! How long something has lasted is kept, as it was when anything else last changed.

use super::{Call, CallMedia};
use crate::desks::Place;
use crate::sessions::Session;
use aws_lc_rs::digest::{SHA256, digest};
use kakehashi_wire::id::{CallId, Epoch, LegId, RelayId, TenantId};
use rkyv::rancor::Failure;
use std::time::Duration;
use zeroize::{Zeroize, Zeroizing};

/// The archive of a value, in bytes that are wiped.
macro_rules! archive {
    ($value:expr) => {{
        let mut archived = rkyv::to_bytes::<Failure>($value)
            .expect("invariant: what is written to memory can be written");
        let bytes = Zeroizing::new(archived.to_vec());
        archived.as_mut_slice().zeroize();
        bytes
    }};
}

/// The version of what [`Kept`] says.
pub const LIVE_VERSION: u8 = 3;

/// Bytes of the ages and of the length.
const AGES: usize = 3 * size_of::<u64>();
const LENGTH: usize = size_of::<u32>();

/// The life of a leg at its relay.
#[derive(Clone, Copy, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct LegLife {
    /// The relay.
    pub relay: RelayId,
    /// The leg.
    pub leg: LegId,
    /// Its life.
    pub epoch: Epoch,
}

/// What a call needs of the core around it.
#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Around {
    /// The sessions of its members, and of the agents it rings at.
    pub sessions: Vec<Session>,
    /// Where it stands at a desk.
    pub place: Option<Place>,
    /// The legs that relays are known to hold.
    pub lives: Vec<LegLife>,
}

/// For how long something has lasted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ages {
    /// The call's state.
    pub state: Duration,
    /// Its wait at all desks.
    pub wait: Duration,
    /// Its wait at the desk where it stands.
    pub at_desk: Duration,
}

/// A call that another core takes up.
pub struct Live {
    /// The call.
    pub call: Call,
    /// What it needs.
    pub around: Around,
    /// How old that is.
    pub ages: Ages,
}

/// A live call in bytes: keys and passwords in the clear, so they are wiped, and sealed before they
/// are written anywhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Kept {
    /// The call's tenant.
    pub tenant: TenantId,
    /// The call.
    pub call: CallId,
    /// Which change of its relays its members are told of once this is written: since when they
    /// are to be.
    pub tells: Option<Duration>,
    bytes: Zeroizing<Vec<u8>>,
}

/// Bytes that say no call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no live call of version {LIVE_VERSION}")]
pub struct NoLive;

impl Kept {
    /// What is to be kept of `call`.
    pub fn of(call: &Call, around: &Around, ages: Ages) -> Self {
        let (call_bytes, around) = (archive!(call), archive!(around));
        let mut bytes = Vec::with_capacity(AGES + LENGTH + call_bytes.len() + around.len());
        for age in [ages.state, ages.wait, ages.at_desk] {
            let ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
            bytes.extend_from_slice(&ms.to_le_bytes());
        }
        let length = u32::try_from(call_bytes.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&call_bytes);
        bytes.extend_from_slice(&around);
        let tells = call.rounds().current().and_then(CallMedia::untold);
        Self { tenant: call.tenant(), call: call.id(), tells, bytes: Zeroizing::new(bytes) }
    }

    /// What was kept under this name.
    pub fn from_bytes(tenant: TenantId, call: CallId, bytes: Zeroizing<Vec<u8>>) -> Self {
        Self { tenant, call, tells: None, bytes }
    }

    /// The bytes to seal.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Differs when anything but an age does.
    pub fn print(&self) -> [u8; 32] {
        let mut print = [0; 32];
        let lasting = self.bytes.get(AGES..).unwrap_or_default();
        print.copy_from_slice(digest(&SHA256, lasting).as_ref());
        print
    }

    /// The call.
    ///
    /// # Errors
    /// [`NoLive`] if these bytes are no call, or one of another name.
    pub fn live(&self) -> Result<Live, NoLive> {
        let (ages, rest) = self.bytes.split_at_checked(AGES).ok_or(NoLive)?;
        let (length, rest) = rest.split_first_chunk().ok_or(NoLive)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| NoLive)?;
        let (call, around) = rest.split_at_checked(length).ok_or(NoLive)?;
        let call = rkyv::from_bytes::<Call, Failure>(call).map_err(|_| NoLive)?;
        let around = rkyv::from_bytes::<Around, Failure>(around).map_err(|_| NoLive)?;
        if call.members().is_empty() || (call.tenant(), call.id()) != (self.tenant, self.call) {
            return Err(NoLive);
        }
        let mut ages = ages.as_chunks().0.iter().map(|ms| u64::from_le_bytes(*ms));
        let mut age = || Duration::from_millis(ages.next().unwrap_or_default());
        let ages = Ages { state: age(), wait: age(), at_desk: age() };
        Ok(Live { call, around, ages })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::{Event, Member, Round, Ssrcs};
    use crate::clock::{Now, UnixMs};
    use crate::entropy::Entropy;
    use crate::placement::{Placement, Seat};
    use crate::policy::MediaTerms;
    use crate::sessions::{AccountKey, Epochs};
    use kakehashi_wire::id::{
        AccountId, DeviceId, Generation, Incarnation, RequestId, SessionId, ShardIndex,
    };
    use kakehashi_wire::media::{Codec, StreamKind, StreamOffer};
    use kakehashi_wire::secret::Suite;
    use kakehashi_wire::terminal::Role;
    use std::sync::atomic::{AtomicU8, Ordering};

    const AUDIO: [StreamOffer; 1] = [StreamOffer { kind: StreamKind::Audio, codec: Codec::Opus }];

    fn session(number: u64) -> Session {
        Session {
            id: SessionId(number),
            first: SessionId(number),
            account: AccountKey { tenant: TenantId(1), account: AccountId(number) },
            login: format!("login-{number}"),
            display: "Display".into(),
            role: Role::Store,
            device: DeviceId(number),
            epochs: Epochs { tenant: 1, account: 2, devices: 3 },
            since: UnixMs(4),
            seen_at: kakehashi_wire::media::Host::UNKNOWN,
        }
    }

    /// A call whose relays are being told of its first round, always the same.
    fn kept(ages: Ages) -> Kept {
        kept_with(ages, None, Vec::new())
    }

    /// The same with these around it.
    fn kept_with(ages: Ages, place: Option<Place>, lives: Vec<LegLife>) -> Kept {
        let next = AtomicU8::new(0);
        let entropy = Entropy::from_fn(move |out| {
            out.iter_mut().for_each(|byte| *byte = next.fetch_add(1, Ordering::Relaxed));
        });
        let (now, sessions) = (Now::default(), [session(1), session(2)]);
        let callee = Member::called([&sessions[1]].into_iter()).unwrap();
        let caller = Member::calling(&sessions[0], AUDIO.to_vec());
        let mut call = Call::new((CallId(5), RequestId(6)), caller, callee, now);
        call.apply(Event::Stored, now);
        call.apply(Event::Accept, now);
        call.answered_by(1, SessionId(2), AUDIO.to_vec());
        let seat = |relay| Seat { relay: RelayId(relay), shard: ShardIndex(0) };
        let placement = Placement { primary: seat(1), standby: Some(seat(2)) };
        let terms =
            MediaTerms { suite: Suite::AeadAes256Gcm, seal: true, rate_kbps: 7, hitless: true };
        let round = Round { call: CallId(5), at_relays: CallId(8), number: 0 };
        let address = |_| Some(std::net::SocketAddr::from(([127, 0, 0, 1], 9)).into());
        let random = (&entropy, &mut Ssrcs::default());
        let offers = [Some(&AUDIO[..]), Some(&AUDIO[..])];
        let media =
            CallMedia::draw((round, Duration::ZERO), placement, address, &offers, terms, random)
                .unwrap();
        call.rounds_mut().begin(media, Duration::ZERO, Duration::ZERO);
        let around = Around { sessions: sessions.into(), place, lives };
        Kept::of(&call, &around, ages)
    }

    #[test]
    fn a_call_is_read_as_it_was_written_and_its_age_is_no_news() {
        let second = Duration::from_secs(1);
        let ages = Ages { state: second, wait: 2 * second, at_desk: 3 * second };
        let (young, old) = (kept(Ages::default()), kept(ages));
        assert!(young.print() == old.print() && young != old);
        let Live { call, around, ages: read } = old.live().unwrap();
        assert_eq!((read, around.sessions.len()), (ages, 2));
        assert!(Kept::of(&call, &around, ages) == old, "nothing is lost");
        let other = Kept::from_bytes(TenantId(1), CallId(9), old.bytes.clone());
        assert_eq!(other.live().err(), Some(NoLive), "another call's");
        for length in 0..old.bytes.len() {
            let cut = Zeroizing::new(old.bytes[..length].to_vec());
            assert!(Kept::from_bytes(TenantId(1), CallId(5), cut).live().is_err(), "{length}");
        }
    }

    /// `LIVE_VERSION`, and the SHA-256 of what a call, with all that can be around it, is kept as.
    const GOLDEN: &str = "src/calls/live.golden";

    #[test]
    fn another_layout_is_another_version() {
        let epoch = Epoch { incarnation: Incarnation(11), generation: Generation(12) };
        let life = LegLife { relay: RelayId(1), leg: LegId(10), epoch };
        let kept = kept_with(Ages::default(), Some(Place::sample()), vec![life]);
        let digest = crate::audit::Digest(kept.print());
        let golden = std::fs::read_to_string(GOLDEN).unwrap();
        assert_eq!(
            format!("{LIVE_VERSION} {digest}\n"),
            golden,
            "a node would take up calls that another version kept as what they are not: raise \
             LIVE_VERSION, and write the left side into {GOLDEN}"
        );
    }
}
