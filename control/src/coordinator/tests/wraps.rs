//! Streams that wrap, and relays that say so or lie about it.

use super::*;
use kakehashi_wire::relay::{LegStream, Rollovers};
use kakehashi_wire::rtp::Ssrc;

/// A call of session 1 on relays 1 and 2, under way for an hour, and its caller's SSRC.
fn call() -> (World, CallId, Ssrc) {
    let mut world = World::new(3);
    world.sign_in(1, 1, 1, 11);
    world.sign_in(2, 1, 2, 12);
    world.told.clear();
    let call = world.invite(1, 2).unwrap();
    world.accept(2, call);
    let ready = world.ready(1).unwrap();
    assert_eq!(ready.paths.iter().map(|path| path.relay.0).collect::<Vec<_>>(), [1, 2]);
    world.wait(Duration::from_secs(3_600));
    (world, call, ready.streams[0].ssrc)
}

fn say(world: &mut World, relay: u32, ssrc: Ssrc, rollover: u32) {
    let streams = vec![LegStream { ssrc, rollover }];
    world.input(Input::LinkSaid(LinkId(relay.into()), Rollovers { streams }.into()));
}

/// With which counter a relay that starts again gets the stream.
fn installed(world: &mut World, relay: u32, ssrc: Ssrc) -> u32 {
    world.restart(relay);
    let legs = world.relay(relay).held.values();
    let mut streams = legs.flat_map(|leg| &leg.streams);
    streams.find(|stream| stream.ssrc == ssrc).unwrap().rollover
}

#[test]
fn a_relay_that_starts_again_is_told_what_either_relay_counted() {
    let (mut world, _, ssrc) = call();
    assert_eq!(installed(&mut world, 2, ssrc), 0);
    say(&mut world, 1, ssrc, 55);
    say(&mut world, 2, ssrc, 54);
    assert_eq!(installed(&mut world, 2, ssrc), 55);
    say(&mut world, 2, ssrc, 56);
    assert_eq!(installed(&mut world, 1, ssrc), 56);
}

#[test]
fn a_relay_is_believed_of_its_own_calls_and_of_what_can_be() {
    let (mut world, call, ssrc) = call();
    say(&mut world, 3, ssrc, 1);
    say(&mut world, 9, ssrc, 1);
    assert_eq!(installed(&mut world, 1, ssrc), 0, "it does not carry the call");
    let most = 3_600_000 / 6_500 + 1;
    for rollover in [most + 1, u32::MAX] {
        say(&mut world, 1, ssrc, rollover);
        assert_eq!(installed(&mut world, 2, ssrc), 0, "no stream is that fast");
    }
    say(&mut world, 1, ssrc, most);
    say(&mut world, 1, ssrc, 3);
    assert_eq!(installed(&mut world, 2, ssrc), most);
    world.hang_up(1, call);
    say(&mut world, 1, ssrc, most + 1);
    world.assert_clean();
}
