//! What watchers are told.

use super::*;

fn watch(world: &mut World, session: u64) {
    let request = world.request();
    world.ask(session, Request::Watch(request, Vec::new()));
    world.take(session);
}

fn set_away(world: &mut World, session: u64, away: bool) {
    let request = world.request();
    world.ask(session, Request::Away(SetAway { request, away }));
}

#[test]
fn away_is_of_the_account_and_lasts_until_its_last_session_ends() {
    let mut world = World::new(1);
    world.sign_in(1, 1, 1, 11);
    world.sign_in(2, 1, 2, 12);
    world.sign_in(3, 1, 2, 13);
    world.sign_in(4, 2, 1, 14);
    watch(&mut world, 1);
    watch(&mut world, 4);
    world.told.clear();
    set_away(&mut world, 2, true);
    assert_eq!(world.heard(2), ["Done"]);
    assert_eq!(world.heard(1), ["Presence login-2=Away"]);
    // Said twice it is no news; another device speaks for the account as well.
    set_away(&mut world, 3, true);
    assert_eq!((world.heard(3), world.heard(1)), (vec!["Done".into()], Vec::new()));
    set_away(&mut world, 3, false);
    assert_eq!(world.heard(1), ["Presence login-2=Waiting"]);
    set_away(&mut world, 2, true);
    world.input(Input::Gone(SessionId(2)));
    world.take(1);
    world.sign_in(5, 1, 2, 12);
    assert!(world.heard(1).is_empty(), "one session was there all the time");
    for session in [3, 5] {
        world.input(Input::Gone(SessionId(session)));
    }
    assert_eq!(world.heard(1), ["Presence login-2=Offline"]);
    world.sign_in(6, 1, 2, 12);
    assert_eq!(world.heard(1), ["Presence login-2=Waiting"]);
    assert!(world.heard(4).is_empty(), "another tenant hears nothing");
    world.assert_clean();
}

#[test]
fn who_is_away_rings_all_the_same_and_is_away_again_after_the_call() {
    let mut world = World::new(1);
    world.sign_in(1, 1, 1, 11);
    world.sign_in(2, 1, 2, 12);
    watch(&mut world, 1);
    world.told.clear();
    set_away(&mut world, 2, true);
    world.take(1);
    let call = world.invite(1, 2).unwrap();
    world.accept(2, call);
    world.hang_up(2, call);
    let states: Vec<_> = world.heard(1).into_iter().filter(|it| it.contains("login-2")).collect();
    let said = ["Presence login-2=InCall", "Presence login-2=Away"];
    assert_eq!(states, said);
    world.assert_clean();
}

/// So many stores that watch, and as many that do not, of one tenant.
fn many(watchers: u64) -> World {
    let mut world = World::new(1);
    for account in 1..=watchers {
        world.sign_in(account, 1, account, account);
        watch(&mut world, account);
    }
    world.wait(Duration::from_secs(1));
    world.told.clear();
    world.noted.pushed = 0;
    world
}

/// Everybody's picture after all it was told, from the picture that everybody waits.
fn pictures(world: &mut World, watchers: u64) -> Vec<BTreeMap<String, PresenceState>> {
    let mut pictures = Vec::new();
    for session in 1..=watchers {
        let mut picture = BTreeMap::new();
        for message in world.take(session) {
            let ToTerminal::Presence(presence) = message else { continue };
            picture.extend(presence.entries.into_iter().map(|entry| (entry.login, entry.state)));
        }
        picture.retain(|_, state| *state != PresenceState::Waiting);
        pictures.push(picture);
    }
    pictures
}

#[test]
fn up_to_so_many_watchers_hear_each_change_at_once() {
    let most = crate::capacity::PRESENCE_AT_ONCE_MAX as u64;
    let mut world = many(most);
    for away in [true, false, true] {
        set_away(&mut world, 1, away);
    }
    assert_eq!(world.noted.pushed, 3 * most as usize);
}

#[test]
fn a_thousand_watchers_cost_four_messages_a_second_each_and_end_up_right() {
    const WATCHERS: u64 = 1_100;
    let mut world = many(WATCHERS);
    // A hundred calls a second for five seconds, and ten that go on.
    for round in 0..50_u64 {
        for nth in 0..10_u64 {
            let (store, concierge) = (1 + (round * 10 + nth) % 1_000, 1_001 + nth);
            let call = world.invite(store, concierge).unwrap();
            world.accept(concierge, call);
            world.hang_up(store, call);
            if round == 49 {
                let call = world.invite(store, concierge).unwrap();
                world.accept(concierge, call);
            }
        }
        world.wait(Duration::from_millis(100));
    }
    world.wait(Duration::from_secs(1));
    let messages = world.noted.pushed as u64 / WATCHERS;
    println!("{messages} messages a watcher");
    assert!((15..=4 * 7).contains(&messages), "{messages} messages a watcher");
    let pictures = pictures(&mut world, WATCHERS);
    assert_eq!(pictures[0].len(), 20, "ten calls go on");
    assert!(pictures.iter().all(|picture| *picture == pictures[0]));
    assert!(pictures[0].values().all(|state| *state == PresenceState::InCall));
}
