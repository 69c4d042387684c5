//! What a tenant's policy allows, and that changes of it count at once.

use super::*;
use crate::policy::{Hours, Lane, Span};
use kakehashi_wire::relay::LegLane;

const SHOP: TenantId = TenantId(1);
const BANK: TenantId = TenantId(2);

/// Lets the core know a change of the usual policy.
fn know(world: &mut World, tenant: TenantId, at: u64, change: impl Fn(&mut TenantPolicy)) {
    let mut policy = TenantPolicy::default();
    change(&mut policy);
    world.input(Input::Tenant(tenant, Box::new(policy), Revision(at)));
}

fn four() -> World {
    let mut world = World::new(2);
    for account in 1..=4 {
        world.sign_in(account, SHOP.0, account, account);
    }
    world.told.clear();
    world
}

#[test]
fn calls_begin_within_hours_and_go_on_after_them() {
    let mut world = four();
    // 1970-01-05 was a Monday.
    let monday = 4 * 24 * 3_600_000_u64;
    let clock = |hour: u64| crate::clock::UnixMs(monday + hour * 3_600_000);
    let zone = |name| crate::clock::Zone::named(name).unwrap();
    let open = |name: &'static str| {
        move |policy: &mut TenantPolicy| {
            let monday = vec![Span::try_from("09:00-18:00".to_owned()).unwrap()];
            let hours: Hours = serde_json::from_value(serde_json::json!({"zone": name})).unwrap();
            policy.rules.hours = Some(Hours { monday, zone: zone(name), ..hours });
        }
    };
    know(&mut world, SHOP, 1, open("UTC"));
    world.now.wall = clock(8);
    assert_eq!(world.invite(1, 2), Err(Refusal::OutsideHours));
    assert_eq!(world.reasons, [(Act::Invite, Reason::Hours)]);
    know(&mut world, SHOP, 2, open("Asia/Tokyo"));
    let call = world.invite(1, 2).unwrap();
    world.now.wall = clock(17);
    assert_eq!(world.invite(3, 4), Err(Refusal::OutsideHours), "it is Tuesday in Tokyo");
    world.accept(2, call);
    assert!(world.ready(1).is_some(), "a call that rings may be taken");
    know(&mut world, SHOP, 3, |_usual| {});
    assert!(world.invite(3, 4).is_ok());
}

#[test]
fn roles_call_whom_the_tenant_says() {
    let mut world = World::new(2);
    world.sign_in(1, SHOP.0, 1, 1);
    world.role = Role::Concierge;
    world.sign_in(2, SHOP.0, 2, 2);
    know(&mut world, SHOP, 1, |policy| {
        policy.rules.may_call.store = [Role::Concierge][..].into();
        policy.rules.may_call.concierge = [][..].into();
    });
    world.told.clear();
    let mut invite = |from: u64, to: Option<Called>| {
        let request = world.request();
        world.ask(from, Request::Invite(request, to, vec![AUDIO]));
        world.heard(from).into_iter().find(|said| !said.starts_with("Presence")).unwrap()
    };
    let of = |account, role| Some(Called { account: AccountId(account), role });
    let nobody = invite(1, None);
    assert!(nobody.contains("NoSuchLogin"), "{nobody}");
    assert!(invite(1, of(9, Role::Store)).contains("NotAllowed"));
    assert!(invite(2, of(1, Role::Store)).contains("NotAllowed"));
    assert!(invite(1, of(2, Role::Concierge)).contains("Ringing"));
    assert_eq!(world.reasons, [(Act::Invite, Reason::Callee); 2]);
}

#[test]
fn a_tenant_has_as_many_calls_as_it_may_have_and_others_have_theirs() {
    let mut world = four();
    world.sign_in(11, BANK.0, 11, 11);
    world.sign_in(12, BANK.0, 12, 12);
    know(&mut world, SHOP, 1, |policy| policy.limits.calls = 1);
    let call = world.invite(1, 2).unwrap();
    assert_eq!(world.invite(3, 4), Err(Refusal::TenantFull));
    assert!(world.invite(11, 12).is_ok());
    assert!(world.invite(2, 1).is_ok(), "whoever calls back has the call that there is");
    world.hang_up(1, call);
    assert!(world.invite(3, 4).is_ok());
}

#[test]
fn a_tenant_has_as_many_terminals_as_it_may_have() {
    let mut world = four();
    know(&mut world, SHOP, 1, |policy| policy.limits.terminals = 4);
    world.sign_in(5, SHOP.0, 5, 5);
    let verdict = |world: &World, session| world.verdicts[&SessionId(session)];
    let Rejection { reason, retry_after_ms } = verdict(&world, 5).unwrap_err();
    assert_eq!(reason, Refusal::TenantFull);
    assert!(retry_after_ms > 0, "one may leave");
    world.sign_in(6, BANK.0, 6, 6);
    assert_eq!(verdict(&world, 6), Ok(()));
    world.sign_in(7, SHOP.0, 4, 4);
    assert_eq!(verdict(&world, 7), Ok(()), "in place of its own older session");
    world.input(Input::Gone(SessionId(1)));
    world.sign_in(8, SHOP.0, 5, 5);
    assert_eq!(verdict(&world, 8), Ok(()));
    assert_eq!(world.reasons, [(Act::SignIn, Reason::Terminals)]);
}

#[test]
fn software_that_is_too_old_is_not_let_in_and_what_is_there_goes_on() {
    let mut world = four();
    know(&mut world, SHOP, 1, |policy| {
        let least = "1.1.0".to_owned().try_into().unwrap();
        policy.rules.software = [("ours".to_owned(), least)].into();
    });
    world.sign_in(5, SHOP.0, 5, 5);
    let outdated = Rejection { reason: Refusal::Outdated, retry_after_ms: 0 };
    assert_eq!(world.verdicts[&SessionId(5)], Err(outdated));
    assert_eq!(world.reasons, [(Act::SignIn, Reason::Software)]);
    assert!(world.invite(1, 2).is_ok());
    world.software = "ours 1.1.0";
    world.sign_in(6, SHOP.0, 5, 5);
    assert_eq!(world.verdicts[&SessionId(6)], Ok(()));
}

#[test]
fn media_is_sealed_and_held_to_the_tenants_rate() {
    let mut world = four();
    know(&mut world, SHOP, 1, |policy| {
        (policy.limits.lane, policy.limits.leg_rate_max_kbps) = (Lane::Seal, 500);
    });
    let call = world.invite(1, 2).unwrap();
    world.accept(2, call);
    know(&mut world, SHOP, 2, |_usual| {});
    let other = world.invite(3, 4).unwrap();
    world.accept(4, other);
    let terms = |world: &World, ready: &CallReady| {
        let path = &ready.paths[0];
        let install = &world.relay(path.relay.0).held[&path.leg.0];
        (matches!(install.lane, LegLane::Seal(_)), install.rate_kbps)
    };
    let (first, second) = (world.ready(1).unwrap(), world.ready(3).unwrap());
    assert_eq!(terms(&world, &first), (true, 500));
    assert_eq!(terms(&world, &second), (false, 8_000));
}

#[test]
fn the_later_policy_counts_in_whatever_order_they_come() {
    let mut world = four();
    know(&mut world, SHOP, 7, |policy| policy.limits.calls = 0);
    know(&mut world, SHOP, 6, |policy| policy.limits.calls = 9);
    assert_eq!(world.invite(1, 2), Err(Refusal::TenantFull));
}
