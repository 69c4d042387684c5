//! A whole node whose disk is full: what goes on, goes on; what cannot be kept is refused.

use super::common::relay::Relay;
use super::common::terminal::Terminal;
use super::common::{PASSWORD, Platform, device_of, within};
use super::namespace::{SmallDisk, is_where_it_may_mount};
use kakehashi_control::clock::UnixMs;
use kakehashi_control::records::{CallRecord, Party, PartyRole, RecordState};
use kakehashi_control::store::StoreError;
use kakehashi_wire::id::{AccountId, CallId, TenantId};
use kakehashi_wire::terminal::{CallEnd, Cancel, HangUp, Refusal};
use std::time::Duration;

/// Keeps records of a tenant that nobody is of until the store takes no more.
async fn fill(platform: &Platform) -> StoreError {
    let party = Party {
        account: AccountId(1),
        login: "x".repeat(4000),
        role: PartyRole::Caller,
        device: None,
        joined: None,
        left: None,
        quality: None,
    };
    for call in 0..10_000 {
        if let Err(full) = platform.node.records.put(&record(call, &party)).await {
            return full;
        }
    }
    panic!("the disk never was full")
}

/// Calls until there is no room even for a small record; says how that was refused.
async fn call_until_refused(caller: &mut Terminal, callee: &mut Terminal, login: &str) -> Refusal {
    for _ in 0..1000 {
        let call = match caller.invite(login).await {
            Ok(call) => call,
            Err(refusal) => return refusal,
        };
        callee.incoming().await;
        let request = caller.request();
        caller.say(Cancel { request, call }).await;
        caller.done(request).await;
        let (_, _) = (caller.call_ended().await, callee.call_ended().await);
    }
    panic!("no call was refused")
}

/// Signs in as c of the shop until there is no room even for a record of that.
async fn sign_in_until_refused(platform: &Platform) -> (Terminal, Refusal) {
    for _ in 0..1000 {
        let mut terminal = Terminal::open(platform.connect().await).await;
        let signed_in = terminal.sign_in("shop", "c", PASSWORD, device_of("c")).await;
        if let Err(refused) = signed_in {
            return (terminal, refused.reason);
        }
    }
    panic!("no sign-in was refused")
}

fn record(call: u64, party: &Party) -> CallRecord {
    CallRecord {
        call: CallId(call),
        tenant: TenantId(77),
        members: vec![party.clone(), party.clone()],
        desk: None,
        state: RecordState::Active,
        started: UnixMs(call),
        answered: None,
        ended: None,
        reason: None,
    }
}

#[tokio::test]
async fn sessions_and_calls_outlive_a_full_disk_and_new_calls_are_refused() {
    let name = "full::sessions_and_calls_outlive_a_full_disk_and_new_calls_are_refused";
    if !is_where_it_may_mount(name) {
        return;
    }
    let disk = SmallDisk::mount("8m");
    let ballast = disk.path("ballast");
    std::fs::write(&ballast, vec![1; 3 << 20]).unwrap();
    let platform = Platform::start_in(tempfile::tempdir_in(disk.root()).unwrap()).await;
    let _relay = Relay::start(&platform, 1).await;
    let mut a = platform.terminal("shop", "a").await;
    let mut b = platform.terminal("shop", "b").await;
    let mut c = platform.terminal("bank", "a").await;
    let mut z = platform.terminal("bank", "z").await;
    let call = a.invite("b").await.unwrap();
    b.incoming().await;
    b.accept(call).await;
    let (_, _) = (a.ready().await, b.ready().await);

    let full = fill(&platform).await;
    assert!(matches!(full, StoreError::Full { .. }), "{full}");
    assert!(full.to_string().contains("free space; nothing was lost"), "{full}");
    assert_eq!(call_until_refused(&mut c, &mut z, "z").await, Refusal::StoreUnavailable);
    // Nobody signs in without a record of it, and a call ends although its record has to wait.
    let (mut late, refusal) = sign_in_until_refused(&platform).await;
    assert_eq!(refusal, Refusal::StoreUnavailable);
    assert_eq!(platform.node.live().sessions().await.unwrap().len(), 4);
    let request = b.request();
    b.say(HangUp { request, call }).await;
    b.done(request).await;
    assert_eq!((a.call_ended().await, b.call_ended().await), (CallEnd::HungUp, CallEnd::HungUp));

    std::fs::remove_file(&ballast).unwrap();
    late.sign_in("shop", "c", PASSWORD, device_of("c")).await.unwrap();
    let call = c.invite("z").await.unwrap();
    assert_eq!(z.incoming().await, call);
    let tenant = platform.node.accounts.find_tenant("shop").await.unwrap().unwrap();
    let kept = async {
        loop {
            let ended = platform.node.records.ended(tenant.id, 10).await.unwrap();
            if let [record] = &ended[..] {
                assert_eq!(record.reason, Some(CallEnd::HungUp));
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    within(kept).await;
    platform.node.stop().await;
}
