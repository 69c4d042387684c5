//! The store fails; calls do not.

use super::*;

fn two() -> World {
    let mut world = World::new(1);
    world.sign_in(1, 1, 1, 11);
    world.sign_in(2, 1, 2, 12);
    world.told.clear();
    world
}

#[test]
fn a_new_call_is_refused_and_leaves_nothing() {
    let mut world = two();
    world.disk_full = true;
    assert_eq!(world.invite(1, 2), Err(Refusal::StoreUnavailable));
    assert!(world.heard(2).is_empty(), "the other side never rang");
    world.disk_full = false;
    world.wait(Duration::from_secs(5));
    assert!(world.disk.is_empty());
    assert!(world.invite(1, 2).is_ok(), "both are free again");
}

#[test]
fn an_ongoing_call_ends_in_good_order_and_its_record_follows() {
    let mut world = two();
    let call = world.invite(1, 2).unwrap();
    world.disk_full = true;
    world.accept(2, call);
    assert!(world.ready(1).is_some(), "a call that rang is connected");
    world.hang_up(1, call);
    assert_eq!(world.heard(1), ["Done", "CallEnded HungUp"]);
    assert_eq!(world.disk[&call].state, RecordState::Ringing);
    world.wait(Duration::from_secs(60));
    world.disk_full = false;
    world.wait(Duration::from_secs(1));
    assert_eq!(world.disk[&call].state, RecordState::Ended);
    world.assert_clean();
    assert_eq!(world.core.next_deadline(), None, "nothing is offered again");
}

#[test]
fn a_late_record_never_brings_a_call_back_to_life() {
    let mut world = two();
    let call = world.invite(1, 2).unwrap();
    world.disk_full = true;
    world.accept(2, call);
    world.disk_full = false;
    world.hang_up(1, call);
    world.wait(Duration::from_secs(10));
    assert_eq!(world.disk[&call].state, RecordState::Ended);
}

#[test]
fn a_caller_who_leaves_before_it_rings_leaves_no_record() {
    let mut world = two();
    let request = world.request();
    let invite = Request::Invite(request, Some(called(2)), vec![AUDIO]);
    let outputs = world.core.handle(Input::Asked(SessionId(1), invite), world.now);
    let writes: Vec<_> = outputs
        .into_iter()
        .filter_map(|output| match output {
            Output::Write(write) => Some(write),
            _ => None,
        })
        .collect();
    let [Write::Put(record)] = &writes[..] else { panic!("one record") };
    let call = record.call;
    world.disk.insert(call, record.clone());
    world.input(Input::Gone(SessionId(1)));
    world.input(Input::Written(call));
    assert!(world.disk.is_empty());
    assert!(world.heard(2).is_empty());
    world.assert_clean();
}
