//! What one round of a call needs to carry media: keys, sources, legs, passwords. Drawn when the
//! call is taken, and anew for each change of who takes part. Its relays may change meanwhile.

mod places;

use crate::entropy::Entropy;
use crate::fleet::WantedLeg;
use crate::placement::{Placement, Seat};
use crate::policy::MediaTerms;
use kakehashi_wire::id::{CallId, Epoch, LegId, MemberId, RelayId, TraceId};
use kakehashi_wire::media::{
    Address, Host, RelayPath, RelayRole, SealedDownlink, Sender, StreamKind, StreamOffer,
    StreamPlan,
};
use kakehashi_wire::relay::{LegLane, LegStream, SealLane};
use kakehashi_wire::rtp::Ssrc;
use kakehashi_wire::secret::{DownlinkSecret, IcePassword, MasterKey, Suite};
use kakehashi_wire::terminal::CallReady;
use places::Tenure;
pub use places::{InUse, Joining, Protected};
use rkyv::with::{AsVec, Skip};
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;
use zeroize::Zeroize;

/// The SSRCs of all live calls. One is used once at a time on the whole node, which makes it
/// unique on every shard.
#[derive(Debug, Default)]
pub struct Ssrcs(HashMap<Ssrc, CallId>);

impl Ssrcs {
    fn draw(&mut self, call: CallId, entropy: &Entropy) -> Ssrc {
        loop {
            let ssrc = Ssrc(u32::from_le_bytes(entropy.bytes()));
            if ssrc.0 == 0 {
                continue;
            }
            if let Entry::Vacant(free) = self.0.entry(ssrc) {
                free.insert(call);
                return ssrc;
            }
        }
    }

    fn free(&mut self, ssrc: Ssrc) {
        self.0.remove(&ssrc);
    }

    /// A stream of a call that was taken up has it.
    fn claim(&mut self, ssrc: Ssrc, call: CallId) {
        self.0.insert(ssrc, call);
    }

    /// The call a stream belongs to.
    pub fn call_of(&self, ssrc: Ssrc) -> Option<CallId> {
        self.0.get(&ssrc).copied()
    }

    /// How many are in use.
    pub fn in_use(&self) -> usize {
        self.0.len()
    }
}

/// A member's presence at one relay.
#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct MemberLeg {
    leg: LegId,
    relay_password: IcePassword,
    terminal_password: IcePassword,
    /// In the seal lane: what the downlink's keys are made of.
    secret: Option<DownlinkSecret>,
    /// The life its member was last told of.
    told: Epoch,
}

impl MemberLeg {
    /// What its relay is told.
    fn lane(&self, suite: Suite) -> LegLane {
        self.secret
            .clone()
            .map_or(LegLane::Pass, |secret| LegLane::Seal(SealLane { suite, secret }))
    }

    /// What its member is told.
    fn downlink(&self, suite: Suite) -> Option<SealedDownlink> {
        self.secret.clone().map(|secret| SealedDownlink { suite, secret, epoch: self.told })
    }
}

/// A life of a sealed leg that its member has not been told of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NewLife {
    /// Which member's leg it is.
    pub member: usize,
    /// The leg.
    pub leg: LegId,
    /// Its life.
    pub epoch: Epoch,
}

/// What one member sends, and its legs in the order of the seats.
#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct MemberMedia {
    key: MasterKey,
    streams: Vec<StreamPlan>,
    legs: Vec<MemberLeg>,
}

/// A relay of the call, and where its shard listens.
#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, Clone, Copy)]
struct Place {
    seat: Seat,
    address: Address,
    tenure: Tenure,
}

/// Which call it is, for whom, and of the call which round.
#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Round {
    /// The call.
    pub call: CallId,
    /// What the relays know it by. They forward between all legs of a number, so each round has its
    /// own: what one round sends never comes to another's legs.
    pub at_relays: CallId,
    /// Counted from 0.
    pub number: u32,
}

/// The media of one round of a call.
#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct CallMedia {
    round: Round,
    terms: MediaTerms,
    /// Primary first.
    places: Vec<Place>,
    /// By their place in the call; none for those who do not take part.
    members: Vec<Option<MemberMedia>>,
    #[rkyv(with = AsVec)]
    drawn: BTreeSet<usize>,
    /// Since when its relays are others than the members were told of.
    #[rkyv(with = Skip)]
    untold: Option<Duration>,
}

/// What each member offers to send; none if it does not take part.
pub type Offers<'a> = [Option<&'a [StreamOffer]>];

/// Who a member is to the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Known<'a> {
    /// Its login ID.
    pub login: &'a str,
    /// It only listens: nobody receives anything of it.
    pub listens: bool,
}

impl CallMedia {
    /// Draws everything. `None` if the address of the primary's shard is not known.
    pub fn draw(
        (round, now): (Round, Duration),
        placement: Placement,
        address: impl Fn(Seat) -> Option<Address>,
        offers: &Offers<'_>,
        terms: MediaTerms,
        (entropy, ssrcs): (&Entropy, &mut Ssrcs),
    ) -> Option<Self> {
        let tenure = Tenure::InUse { since: now };
        let place = |seat| Some(Place { seat, address: address(seat)?, tenure });
        let mut places = vec![place(placement.primary)?];
        places.extend(placement.standby.and_then(place));
        let mut draw = |offers: &[StreamOffer]| MemberMedia {
            key: master_key(terms.suite, entropy),
            streams: offers
                .iter()
                .map(|offer| stream(*offer, ssrcs.draw(round.call, entropy), entropy))
                .collect(),
            legs: places.iter().map(|_| member_leg(terms.seal, entropy)).collect(),
        };
        let members: Vec<_> = offers.iter().map(|offers| offers.map(&mut draw)).collect();
        let takes_part = members.iter().enumerate().filter(|(_, member)| member.is_some());
        let drawn = takes_part.map(|(nth, _)| nth).collect();
        Some(Self { round, terms, places, members, drawn, untold: None })
    }

    /// Which round it is.
    pub fn round(&self) -> Round {
        self.round
    }

    /// Whose keys and legs were drawn, whether they are still there or not.
    pub fn drawn(&self) -> &BTreeSet<usize> {
        &self.drawn
    }

    fn member(&self, nth: usize) -> Option<&MemberMedia> {
        self.members.get(nth)?.as_ref()
    }

    /// All relays that hold legs of it or are told to: those in use first, of them the primary.
    pub fn seats(&self) -> impl Iterator<Item = Seat> + '_ {
        self.places.iter().map(|place| place.seat)
    }

    /// All members' legs at the `nth` relay.
    pub fn legs_at(&self, nth: usize) -> impl Iterator<Item = LegId> + '_ {
        let legs = self.members.iter().flatten().filter_map(move |member| member.legs.get(nth));
        legs.map(|leg| leg.leg)
    }

    /// All members' legs at the `nth` relay, as it should hold them, and whose they are.
    pub fn wanted_at(&self, nth: usize) -> Vec<(usize, WantedLeg)> {
        let Some(place) = self.places.get(nth) else { return Vec::new() };
        let wanted = |(at, member): (usize, &Option<MemberMedia>)| {
            let member = member.as_ref()?;
            let leg = member.legs.get(nth)?;
            let wanted = WantedLeg {
                leg: leg.leg,
                call: self.round.at_relays,
                trace: TraceId(self.round.call.0),
                shard: place.seat.shard,
                key: member.key.clone(),
                relay_password: leg.relay_password.clone(),
                terminal_password: leg.terminal_password.clone(),
                streams: member.streams.iter().map(leg_stream).collect(),
                lane: leg.lane(self.terms.suite),
                rate_kbps: self.terms.rate_kbps,
                subscriptions: None,
                seen_at: Host::UNKNOWN,
            };
            Some((at, wanted))
        };
        self.members.iter().enumerate().filter_map(wanted).collect()
    }

    /// What the `nth` member sends.
    pub fn streams(&self, nth: usize) -> &[StreamPlan] {
        self.member(nth).map_or(&[], |member| &member.streams)
    }

    /// How many cameras the `nth` member sends.
    pub fn cameras(&self, nth: usize) -> usize {
        self.streams(nth).iter().filter(|stream| stream.kind == StreamKind::Camera).count()
    }

    /// The `nth` member's leg at each relay.
    pub fn legs_of(&self, nth: usize) -> Vec<(RelayId, LegId)> {
        let legs = self.member(nth).into_iter().flat_map(|member| &member.legs);
        self.seats().map(|seat| seat.relay).zip(legs.map(|leg| leg.leg)).collect()
    }

    /// Goes on without the `nth` relay; the next one moves up.
    pub fn drop_place(&mut self, nth: usize) {
        if nth < self.places.len() {
            self.places.remove(nth);
            for member in self.members.iter_mut().flatten() {
                member.legs.remove(nth);
            }
        }
    }

    /// The `nth` member takes part no longer. Returns its leg at each relay.
    pub fn part(&mut self, nth: usize, ssrcs: &mut Ssrcs) -> Vec<(RelayId, LegId)> {
        let legs = self.legs_of(nth);
        let gone = self.members.get_mut(nth).and_then(Option::take);
        gone.iter().flat_map(|member| &member.streams).for_each(|stream| ssrcs.free(stream.ssrc));
        legs
    }

    /// Notes the lives that sealed legs have now at relays that members know. Returns those that
    /// are news.
    pub fn note_lives(&mut self, epoch: impl Fn(RelayId, LegId) -> Option<Epoch>) -> Vec<NewLife> {
        let relays: Vec<_> = self.seats().map(|seat| seat.relay).collect();
        let mut news = Vec::new();
        let known: Vec<_> = self.places.iter().map(|it| it.tenure.is_known()).collect();
        let members = self.members.iter_mut().enumerate();
        for (nth, member) in members.filter_map(|(nth, it)| Some((nth, it.as_mut()?))) {
            let legs = member.legs.iter_mut().zip(&relays).zip(&known);
            let sealed = legs
                .filter_map(|(leg, known)| known.then_some(leg))
                .filter(|(leg, _)| leg.secret.is_some());
            for (leg, relay) in sealed {
                let Some(epoch) = epoch(*relay, leg.leg).filter(|epoch| *epoch != leg.told) else {
                    continue;
                };
                leg.told = epoch;
                news.push(NewLife { member: nth, leg: leg.leg, epoch });
            }
        }
        news
    }

    /// What the `nth` member is told, with the lives noted last; `known` are all members, in order.
    pub fn ready(&self, nth: usize, known: &[Known<'_>]) -> Option<CallReady> {
        let own = self.member(nth)?;
        let members = (0..=u8::MAX).map(MemberId).zip(&self.members).zip(known).enumerate();
        let senders = members.filter_map(|(i, ((number, member), known))| {
            let member = member.as_ref().filter(|_| i != nth && !known.listens)?;
            Some(Sender {
                member: number,
                login: known.login.to_owned(),
                key: (!self.terms.seal).then(|| member.key.clone()),
                streams: member.streams.clone(),
            })
        });
        Some(CallReady {
            call: self.round.call,
            round: self.round.number,
            key: own.key.clone(),
            streams: own.streams.clone(),
            senders: senders.collect(),
            paths: self.paths(own),
            hitless: self.protection() == Protected::Hitless,
        })
    }

    fn paths(&self, own: &MemberMedia) -> Vec<RelayPath> {
        let roles = [RelayRole::Primary, RelayRole::Standby];
        let legs = self.places.iter().zip(&own.legs);
        let in_use = legs.filter(|(place, _)| place.tenure.is_in_use());
        let path = |((place, leg), role): ((&Place, &MemberLeg), RelayRole)| RelayPath {
            relay: place.seat.relay,
            role,
            address: place.address,
            leg: leg.leg,
            relay_password: leg.relay_password.clone(),
            terminal_password: leg.terminal_password.clone(),
            downlink: leg.downlink(self.terms.suite),
        };
        in_use.zip(roles).map(path).collect()
    }

    /// A relay says how often a stream has wrapped. Returns the stream's leg at each relay, to be
    /// installed with that from now on; none if the relay does not carry the call or says nothing
    /// new.
    pub fn raise_rollover(&mut self, relay: RelayId, said: LegStream) -> Vec<(RelayId, LegId)> {
        if self.seats().all(|seat| seat.relay != relay) {
            return Vec::new();
        }
        let relays: Vec<_> = self.seats().map(|seat| seat.relay).collect();
        for member in self.members.iter_mut().flatten() {
            let stream = member.streams.iter_mut().find(|stream| stream.ssrc == said.ssrc);
            let Some(stream) = stream.filter(|it| it.rollover < said.rollover) else { continue };
            stream.rollover = said.rollover;
            return relays.into_iter().zip(member.legs.iter().map(|leg| leg.leg)).collect();
        }
        Vec::new()
    }

    /// The SSRCs are in use, as of a call that was taken up.
    pub fn claim(&self, ssrcs: &mut Ssrcs) {
        for stream in self.members.iter().flatten().flat_map(|member| &member.streams) {
            ssrcs.claim(stream.ssrc, self.round.call);
        }
    }

    /// Gives the SSRCs back.
    pub fn free(&self, ssrcs: &mut Ssrcs) {
        for stream in self.members.iter().flatten().flat_map(|member| &member.streams) {
            ssrcs.free(stream.ssrc);
        }
    }
}

fn master_key(suite: Suite, entropy: &Entropy) -> MasterKey {
    let mut key = entropy.bytes();
    let made = MasterKey::new(suite, &key, &entropy.bytes());
    key.zeroize();
    made
}

fn stream(offer: StreamOffer, ssrc: Ssrc, entropy: &Entropy) -> StreamPlan {
    StreamPlan {
        kind: offer.kind,
        codec: offer.codec,
        ssrc,
        // RFC 3711 3.3.1: below 2^15, so that nobody guesses a wrong rollover counter.
        first_sequence: u16::from_le_bytes(entropy.bytes()) & 0x7fff,
        rollover: 0,
    }
}

fn leg_stream(plan: &StreamPlan) -> LegStream {
    LegStream { ssrc: plan.ssrc, rollover: plan.rollover }
}

fn downlink_secret(entropy: &Entropy) -> DownlinkSecret {
    let mut random = entropy.bytes();
    let secret = DownlinkSecret::from_random(random);
    random.zeroize();
    secret
}

fn member_leg(seal: bool, entropy: &Entropy) -> MemberLeg {
    MemberLeg {
        leg: LegId(entropy.nonzero()),
        relay_password: IcePassword::from_random(entropy.bytes()),
        terminal_password: IcePassword::from_random(entropy.bytes()),
        secret: seal.then(|| downlink_secret(entropy)),
        told: Epoch::NONE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kakehashi_wire::id::{Generation, Incarnation, RelayId, ShardIndex};
    use kakehashi_wire::media::{Codec, StreamKind};
    use kakehashi_wire::terminal::ToTerminal;

    const fn known(login: &str) -> Known<'_> {
        Known { login, listens: false }
    }

    const KNOWN: [Known<'_>; 2] = [known("a"), known("b")];

    fn media_with(seal: bool, ssrcs: &mut Ssrcs, relays: u32) -> CallMedia {
        let seat = |relay| Seat { relay: RelayId(relay), shard: ShardIndex(3) };
        let placement = Placement { primary: seat(1), standby: (relays > 1).then(|| seat(2)) };
        let audio = [StreamOffer { kind: StreamKind::Audio, codec: Codec::Opus }];
        let both = [audio[0], StreamOffer { kind: StreamKind::Camera, codec: Codec::Vp8 }];
        let address = |seat: Seat| {
            let port = u16::try_from(5000 + seat.relay.0).unwrap();
            Some(std::net::SocketAddr::from(([127, 0, 0, 1], port)).into())
        };
        let entropy = Entropy::system();
        let suite = Suite::AeadAes128Gcm;
        let terms = MediaTerms { suite, seal, rate_kbps: 900, hitless: true };
        let offers: &Offers<'_> = &[Some(&audio), Some(&both)];
        let round = Round { call: CallId(9), at_relays: CallId(70), number: 0 };
        let at = (round, Duration::ZERO);
        CallMedia::draw(at, placement, address, offers, terms, (&entropy, ssrcs)).unwrap()
    }

    fn media(ssrcs: &mut Ssrcs, relays: u32) -> CallMedia {
        media_with(false, ssrcs, relays)
    }

    #[test]
    fn each_side_gets_its_own_key_and_the_others() {
        let media = media(&mut Ssrcs::default(), 2);
        let a = media.ready(0, &KNOWN).unwrap();
        let b = media.ready(1, &KNOWN).unwrap();
        assert!(
            b.senders[0].key.as_ref() == Some(&a.key) && a.senders[0].key.as_ref() == Some(&b.key)
        );
        assert!(a.key != b.key);
        assert_eq!((a.senders.len(), a.senders[0].login.as_str()), (1, "b"));
        assert_eq!((a.streams.len(), b.streams.len()), (1, 2));
        assert!(a.streams == b.senders[0].streams && b.streams == a.senders[0].streams);
        let roles: Vec<_> = a.paths.iter().map(|path| path.role).collect();
        assert_eq!(roles, [RelayRole::Primary, RelayRole::Standby]);
        for stream in a.streams.iter().chain(&b.streams) {
            assert!(stream.first_sequence < 1 << 15);
        }
        let mut legs: Vec<_> = a.paths.iter().chain(&b.paths).map(|path| path.leg).collect();
        legs.sort();
        legs.dedup();
        assert_eq!(legs.len(), 4, "each relay knows each member by another leg");
        for ready in [a, b] {
            ToTerminal::from(ready).encode().unwrap();
        }
    }

    #[test]
    fn relays_are_told_what_terminals_are() {
        let mut media = media(&mut Ssrcs::default(), 2);
        let wanted = media.wanted_at(1);
        let ready = media.ready(1, &KNOWN).unwrap();
        let (leg, path) = (&wanted[1].1, &ready.paths[1]);
        assert!(leg.leg == path.leg && leg.key == ready.key);
        assert!(leg.relay_password == path.relay_password);
        assert!(leg.terminal_password == path.terminal_password);
        assert_eq!(leg.streams, ready.streams.iter().map(leg_stream).collect::<Vec<_>>());
        media.drop_place(0);
        let moved = media.ready(1, &KNOWN).unwrap();
        assert_eq!(moved.paths.len(), 1);
        assert_eq!((moved.paths[0].leg, moved.paths[0].role), (path.leg, RelayRole::Primary));
    }

    #[test]
    fn wraps_are_believed_of_relays_that_carry_the_call_and_never_taken_back() {
        let mut ssrcs = Ssrcs::default();
        let mut media = media(&mut ssrcs, 2);
        let before = media.ready(0, &KNOWN).unwrap();
        let ssrc = before.streams[0].ssrc;
        assert_eq!(ssrcs.call_of(ssrc), Some(CallId(9)));
        let said = |rollover| LegStream { ssrc, rollover };
        assert_eq!(media.raise_rollover(RelayId(3), said(9)), []);
        let legs: Vec<_> = before.paths.iter().map(|path| (path.relay, path.leg)).collect();
        assert_eq!(media.raise_rollover(RelayId(2), said(4)), legs);
        assert_eq!(media.raise_rollover(RelayId(1), said(4)), []);
        assert_eq!(media.raise_rollover(RelayId(1), said(3)), []);
        let unknown = LegStream { ssrc: Ssrc(ssrc.0 ^ 1), rollover: 1 };
        assert_eq!(media.raise_rollover(RelayId(1), unknown), []);
        let late = media.ready(1, &KNOWN).unwrap();
        assert_eq!(late.senders[0].streams[0].rollover, 4);
        assert!(late.streams.iter().all(|stream| stream.rollover == 0));
        assert_eq!(media.wanted_at(0)[0].1.streams, [said(4)]);
    }

    #[test]
    fn each_leg_is_sealed_with_a_secret_of_its_own() {
        let mut media = media_with(true, &mut Ssrcs::default(), 2);
        let secrets: Vec<_> = (0..2)
            .flat_map(|nth| media.wanted_at(nth))
            .map(|(_, leg)| match leg.lane {
                LegLane::Seal(lane) => *lane.secret.as_bytes(),
                LegLane::Pass => panic!("a leg in the pass lane"),
            })
            .collect();
        assert_eq!(secrets.iter().collect::<std::collections::HashSet<_>>().len(), 4);
        let path = |media: &CallMedia| media.ready(0, &KNOWN).unwrap().paths.remove(1);
        let leg = path(&media).leg;
        assert_eq!(path(&media).downlink.unwrap().epoch, Epoch::NONE);
        let epoch = Epoch { incarnation: Incarnation(3), generation: Generation(5) };
        let known = |relay, asked| (relay == RelayId(2) && asked == leg).then_some(epoch);
        assert_eq!(media.note_lives(known), [NewLife { member: 0, leg, epoch }]);
        assert_eq!(media.note_lives(known), []);
        assert_eq!(media.note_lives(|_, _| None), [], "a life that ended is no news");
        assert_eq!(path(&media).downlink.unwrap().epoch, epoch);
    }

    #[test]
    fn ssrcs_differ_while_in_use_and_come_back() {
        let mut ssrcs = Ssrcs::default();
        let calls: Vec<_> = (0..200).map(|_| media(&mut ssrcs, 1)).collect();
        assert_eq!(ssrcs.in_use(), 600);
        for call in calls {
            call.free(&mut ssrcs);
        }
        assert_eq!(ssrcs.in_use(), 0);
    }
}
