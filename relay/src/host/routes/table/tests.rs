//! The table against small cases, and against a world whose ways are worked out afresh.

use super::super::links::{Link, Tag};
use super::super::{Mac, NextHop, VlanId};
use super::*;
use crate::capacity::NEIGHBOUR_ASK_MS;
use proptest::prelude::*;
use std::collections::BTreeMap;

const INTERFACE: LinkId = LinkId(2);
const VLAN: LinkId = LinkId(3);
const OTHER: LinkId = LinkId(4);
const SHARDS: usize = 2;
const NOW: Tick = Tick(0);

fn ip(last: u8) -> IpAddr {
    [192, 0, 2, last].into()
}

fn mac(last: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, last])
}

fn hop(link: LinkId, last: u8) -> Hop {
    Hop { link, ip: ip(last) }
}

fn link(last: u8, tag: Option<Tag>) -> Link {
    Link { mac: Some(mac(last)), mtu: 1_500, is_up: true, tag }
}

fn route(hop: Hop) -> Route {
    Route { hop, source: ip(1), mtu: None }
}

fn want(shard: usize, last: u8) -> Want {
    Want { shard, destination: ip(last) }
}

fn direct(to: u8) -> Way {
    let hop = NextHop { to: mac(to), from: mac(100), vlan: None, mtu: 1_500 };
    Way::Direct { hop, source: ip(1) }
}

fn told(table: &mut Table, shard: usize) -> Vec<(IpAddr, Way)> {
    let told = std::iter::from_fn(|| table.next_told(shard));
    told.map(|told| (told.destination, told.way)).collect()
}

/// The interface is up and neighbour 9 is known there; two destinations are behind it.
fn table() -> Table {
    let mut table = Table::new(INTERFACE, SHARDS, 4);
    table.apply(Event::Link(INTERFACE, Some(link(100, None))), NOW);
    table.apply(Event::Neighbour(hop(INTERFACE, 9), Seen::At(mac(9))), NOW);
    for last in [20, 21] {
        table.ask(want(0, last));
        assert_eq!(table.next_lookup(Cause::Asked), Some(want(0, last)));
        table.routed(want(0, last), Some(route(hop(INTERFACE, 9))), NOW);
    }
    assert_eq!(told(&mut table, 0), [(ip(20), direct(9)), (ip(21), direct(9))]);
    table
}

#[test]
fn a_neighbour_that_moves_is_told_without_a_lookup() {
    let mut table = table();
    let elsewhere = Event::Neighbour(hop(INTERFACE, 9), Seen::At(mac(8)));
    assert_eq!(table.apply(elsewhere, NOW), Touched::Nothing);
    let mut heard = told(&mut table, 0);
    heard.sort_by_key(|(destination, _)| *destination);
    assert_eq!(heard, [(ip(20), direct(8)), (ip(21), direct(8))]);
    assert_eq!((table.lookups(Cause::Asked), table.lookups(Cause::Stirred)), (0, 0));
    table.apply(elsewhere, NOW);
    assert_eq!(told(&mut table, 0), [], "nothing new");
}

#[test]
fn what_is_told_late_is_the_newest_and_told_once() {
    let mut table = table();
    for seen in [Seen::Gone, Seen::At(mac(7)), Seen::Unresolved, Seen::At(mac(6))] {
        table.apply(Event::Neighbour(hop(INTERFACE, 9), seen), NOW);
    }
    table.forget(want(0, 21));
    assert_eq!(told(&mut table, 0), [(ip(20), direct(6))]);
    table.ask(want(0, 20));
    table.ask(want(0, 20));
    assert_eq!(told(&mut table, 0), [(ip(20), direct(6))], "asked again, told again");
}

#[test]
fn a_shard_that_follows_too_many_is_sent_through_the_kernel() {
    let mut table = table();
    for last in [22, 23] {
        table.ask(want(0, last));
    }
    table.ask(want(0, 24));
    table.ask(want(1, 24));
    assert_eq!(told(&mut table, 0), [(ip(24), Way::Kernel)]);
    table.forget(want(0, 22));
    table.ask(want(0, 24));
    let asked: Vec<_> = std::iter::from_fn(|| table.next_lookup(Cause::Asked)).collect();
    assert_eq!(asked, [want(0, 23), want(1, 24), want(0, 24)]);
    for _ in 0..4 {
        assert!(table.may_ask(0));
        table.ask(want(0, 25));
    }
    assert!(!table.may_ask(0) && table.may_ask(1));
}

#[test]
fn addresses_of_one_link_only_are_not_followed() {
    let mut table = table();
    for destination in ["fe80::1", "::ffff:192.0.2.9"] {
        let destination = destination.parse().unwrap();
        table.ask(Want { shard: 1, destination });
        assert_eq!(table.next_told(1), Some(Told { destination, way: Way::Kernel }));
    }
    assert_eq!(table.next_lookup(Cause::Asked), None);
}

#[test]
fn a_neighbour_somebody_else_sees_to_is_left_alone() {
    let mut table = table();
    assert_eq!(table.next_use(NOW), Some(hop(INTERFACE, 9)));
    assert_eq!(table.next_use(NOW), None);
    table.apply(Event::Neighbour(hop(INTERFACE, 9), Seen::Fixed(mac(9))), NOW);
    assert_eq!(table.next_use(Tick(NEIGHBOUR_ASK_MS)), None);
    table.apply(Event::Neighbour(hop(INTERFACE, 9), Seen::Gone), Tick(NEIGHBOUR_ASK_MS + 1));
    assert_eq!(table.next_use(Tick(2 * NEIGHBOUR_ASK_MS)), Some(hop(INTERFACE, 9)));
}

#[test]
fn a_smaller_route_and_a_larger_link_keep_within_the_field() {
    let mut table = table();
    let jumbo = Link { mtu: 100_000, ..link(100, None) };
    table.apply(Event::Link(INTERFACE, Some(jumbo)), NOW);
    let small = Route { mtu: Some(1_280), ..route(hop(INTERFACE, 9)) };
    table.routed(want(0, 20), Some(small), NOW);
    let mtus = told(&mut table, 0).into_iter().map(|(destination, way)| match way {
        Way::Direct { hop, .. } => (destination, hop.mtu),
        Way::Kernel => panic!("{destination} has a way"),
    });
    assert_eq!(mtus.collect::<BTreeMap<_, _>>(), [(ip(20), 1_280), (ip(21), 65_535)].into());
}

/// How things are, to be compared with what the table made of the news of it.
#[derive(Default)]
struct World {
    links: BTreeMap<LinkId, Link>,
    neighbours: BTreeMap<Hop, Mac>,
    routes: BTreeMap<IpAddr, Route>,
}

impl World {
    fn way(&self, destination: IpAddr) -> Way {
        let Some(route) = self.routes.get(&destination) else { return Way::Kernel };
        let is_up = |id: LinkId| self.links.get(&id).is_some_and(|link| link.is_up);
        let vlan = match route.hop.link {
            INTERFACE => None,
            VLAN => Some(VlanId(7)),
            _ => return Way::Kernel,
        };
        let (Some(link), Some(to)) =
            (self.links.get(&route.hop.link), self.neighbours.get(&route.hop))
        else {
            return Way::Kernel;
        };
        if !is_up(INTERFACE) || !is_up(route.hop.link) {
            return Way::Kernel;
        }
        let mtu = link.mtu.min(self.links[&INTERFACE].mtu).min(route.mtu.unwrap_or(u32::MAX));
        let hop = NextHop { to: *to, from: link.mac.unwrap(), vlan, mtu: mtu as u16 };
        Way::Direct { hop, source: route.source }
    }

    fn events(&self) -> Vec<Event> {
        let links = self.links.iter().map(|(id, link)| Event::Link(*id, Some(*link)));
        let neighbours = self.neighbours.iter();
        let neighbours = neighbours.map(|(hop, mac)| Event::Neighbour(*hop, Seen::At(*mac)));
        links.chain(neighbours).collect()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Ask(Want),
    Forget(Want),
    Leave(usize),
    Route(IpAddr, Option<Route>),
    Neighbour(Hop, Seen),
    Link(LinkId, Option<Link>),
    Dump,
    LookAll,
    LookUp(Cause),
    Tell(usize),
    Settle,
}

fn any_hop() -> impl Strategy<Value = Hop> {
    (prop::sample::select(vec![INTERFACE, VLAN, OTHER]), 8..10_u8)
        .prop_map(|(link, last)| hop(link, last))
}

fn any_want() -> impl Strategy<Value = Want> {
    (0..SHARDS, 20..23_u8).prop_map(|(shard, last)| want(shard, last))
}

fn any_link() -> impl Strategy<Value = (LinkId, Option<Link>)> {
    let id = prop::sample::select(vec![INTERFACE, VLAN, OTHER]);
    (id, prop::option::weighted(0.8, (100..102_u8, any::<bool>(), 1_300..1_302_u32))).prop_map(
        |(id, shape)| {
            let tag = (id == VLAN).then_some(Tag { parent: INTERFACE, vlan: VlanId(7) });
            let link = shape.map(|(last, is_up, mtu)| Link { is_up, mtu, ..link(last, tag) });
            (id, link)
        },
    )
}

fn any_step() -> impl Strategy<Value = Step> {
    let seen = prop_oneof![
        3 => (1..3_u8).prop_map(|last| Seen::At(mac(last))),
        1 => (1..3_u8).prop_map(|last| Seen::Fixed(mac(last))),
        1 => Just(Seen::Unresolved),
        1 => Just(Seen::Gone),
    ];
    let route = (any_hop(), 1..3_u8, prop::option::of(Just(1_301)))
        .prop_map(|(hop, last, mtu)| Route { hop, source: ip(last), mtu });
    prop_oneof![
        4 => any_want().prop_map(Step::Ask),
        2 => any_want().prop_map(Step::Forget),
        1 => (0..SHARDS).prop_map(Step::Leave),
        3 => (20..23_u8, prop::option::weighted(0.9, route))
            .prop_map(|(last, route)| Step::Route(ip(last), route)),
        8 => (any_hop(), seen).prop_map(|(hop, seen)| Step::Neighbour(hop, seen)),
        1 => any_link().prop_map(|(id, link)| Step::Link(id, link)),
        1 => Just(Step::Dump),
        2 => Just(Step::LookAll),
        4 => prop::sample::select(vec![Cause::Asked, Cause::Stirred]).prop_map(Step::LookUp),
        3 => (0..SHARDS).prop_map(Step::Tell),
        4 => Just(Step::Settle),
    ]
}

/// A table, the world it hears of, and what the shards remember.
struct Play {
    table: Table,
    world: World,
    wanted: HashSet<Want>,
    known: HashMap<Want, Way>,
    is_stirred: bool,
}

impl Play {
    fn new() -> Self {
        let table = Table::new(INTERFACE, SHARDS, 2);
        let (world, wanted, known) = (World::default(), HashSet::new(), HashMap::new());
        let mut play = Self { table, world, wanted, known, is_stirred: false };
        let tag = Some(Tag { parent: INTERFACE, vlan: VlanId(7) });
        for (id, tag) in [(INTERFACE, None), (VLAN, tag), (OTHER, None)] {
            play.step(Step::Link(id, Some(link(100, tag))));
        }
        play
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Ask(want) => {
                self.wanted.insert(want);
                self.table.ask(want);
            }
            Step::Forget(want) => {
                self.wanted.remove(&want);
                self.table.forget(want);
            }
            Step::Leave(shard) => {
                self.wanted.retain(|want| want.shard != shard);
                self.table.forget_shard(shard);
            }
            Step::Route(destination, route) => {
                match route {
                    Some(route) => self.world.routes.insert(destination, route),
                    None => self.world.routes.remove(&destination),
                };
                self.hear(Event::Routes);
            }
            Step::Neighbour(hop, seen) => {
                match seen {
                    Seen::At(mac) | Seen::Fixed(mac) => self.world.neighbours.insert(hop, mac),
                    Seen::Unresolved | Seen::Gone => self.world.neighbours.remove(&hop),
                };
                self.hear(Event::Neighbour(hop, seen));
            }
            Step::Link(id, link) => {
                match link {
                    Some(link) => self.world.links.insert(id, link),
                    None => self.world.links.remove(&id),
                };
                self.hear(Event::Link(id, link));
            }
            Step::Dump => self.table.replace(self.world.events(), NOW),
            Step::LookAll => self.look_all(),
            Step::LookUp(cause) => drop(self.look_up(cause)),
            Step::Tell(shard) => drop(self.tell(shard)),
            Step::Settle => self.settle(),
        }
    }

    fn hear(&mut self, event: Event) {
        self.is_stirred |= self.table.apply(event, NOW) != Touched::Nothing;
    }

    fn look_all(&mut self) {
        if core::mem::take(&mut self.is_stirred) {
            self.table.look_all();
        }
    }

    fn look_up(&mut self, cause: Cause) -> bool {
        let Some(want) = self.table.next_lookup(cause) else { return false };
        let route = self.world.routes.get(&want.destination).copied();
        self.table.routed(want, route, NOW);
        true
    }

    fn tell(&mut self, shard: usize) -> bool {
        let Some(told) = self.table.next_told(shard) else { return false };
        self.known.insert(Want { shard, destination: told.destination }, told.way);
        true
    }

    /// Lets all that is under way arrive, and compares what shards know with how things are.
    fn settle(&mut self) {
        self.look_all();
        while self.look_up(Cause::Asked) || self.look_up(Cause::Stirred) {}
        for shard in 0..SHARDS {
            while self.tell(shard) {}
        }
        let destinations = &self.table.destinations;
        for want in &self.wanted {
            let is_followed = destinations.contains_key(want);
            let way = if is_followed { self.world.way(want.destination) } else { Way::Kernel };
            assert_eq!(self.known.get(want), Some(&way), "{want:?}");
        }
        let routes = destinations.values().filter_map(|known| known.route);
        let in_use: HashSet<_> = routes.map(|route| route.hop).collect();
        assert_eq!(self.table.behind.len(), in_use.len());
        assert_eq!(self.table.agenda.len(), in_use.len());
    }

    fn forget_all(&mut self) {
        for want in self.wanted.drain() {
            self.table.forget(want);
        }
        assert!(self.table.destinations.is_empty() && self.table.behind.is_empty());
        assert_eq!(self.table.agenda.len(), 0);
        assert!(self.table.shards.iter().all(|shard| shard.destinations == 0));
    }
}

proptest! {
    #[test]
    fn what_was_told_last_is_what_is_true(steps in prop::collection::vec(any_step(), 0..200)) {
        let mut play = Play::new();
        for step in steps {
            play.step(step);
        }
        play.settle();
        play.forget_all();
    }
}
