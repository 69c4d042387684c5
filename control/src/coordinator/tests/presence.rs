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
