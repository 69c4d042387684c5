//! Calls that go on when their node starts again, over real QUIC and a real store.

use super::common::relay::Relay;
use super::common::terminal::Terminal;
use super::common::{Platform, device_of, settings};
use kakehashi_control::accounts::{Accounts, AccountsConfig, Subject};
use kakehashi_control::clock::UnixMs;
use kakehashi_control::entropy::Entropy;
use kakehashi_control::store::{Embedded, Prefix, Store, list};
use kakehashi_wire::id::CallId;
use kakehashi_wire::secret::ResumeToken;
use kakehashi_wire::terminal::{CallEnd, CallReady, HangUp, MemberPhase};
use std::sync::Arc;
use tempfile::TempDir;

/// A node with a call between a and b, and what they resume with.
struct Calling {
    platform: Platform,
    relay: Relay,
    tokens: [ResumeToken; 2],
    call: CallId,
    ready: Option<CallReady>,
    /// Connected until the node ends.
    terminals: Vec<Terminal>,
}

impl Calling {
    async fn start(answered: bool) -> Self {
        let platform = Platform::start().await;
        let relay = Relay::start(&platform, 1).await;
        let (mut a, of_a) = platform.terminal_with_token("shop", "a").await;
        let (mut b, of_b) = platform.terminal_with_token("shop", "b").await;
        let call = a.invite("b").await.unwrap();
        b.incoming().await;
        let ready = if answered {
            b.accept(call).await;
            b.ready().await;
            Some(a.ready().await)
        } else {
            None
        };
        Self { platform, relay, tokens: [of_a, of_b], call, ready, terminals: vec![a, b] }
    }

    /// The node ends; `meanwhile` happens to its folder.
    async fn restart(self, meanwhile: impl AsyncFnOnce(&TempDir)) -> Self {
        let Self { platform: Platform { node, folder }, relay, tokens, call, ready, terminals } =
            self;
        node.stop().await;
        drop(terminals);
        meanwhile(&folder).await;
        let platform = Platform::start_in(folder).await;
        let relay = relay.reconnect(&platform, 1).await;
        Self { platform, relay, tokens, call, ready, terminals: Vec::new() }
    }

    async fn back(&self, nth: usize) -> (Terminal, Vec<CallId>, Vec<CallId>) {
        let mut terminal = Terminal::open(self.platform.connect().await).await;
        let device = device_of(["a", "b"][nth]);
        let resumed = terminal.resume(&self.tokens[nth], device).await.unwrap();
        (terminal, resumed.calls, resumed.rings)
    }
}

async fn hang_up(terminal: &mut Terminal, call: CallId) {
    let request = terminal.request();
    terminal.say(HangUp { request, call }).await;
    terminal.done(request).await;
    assert_eq!(terminal.call_ended().await, CallEnd::HungUp);
}

#[tokio::test]
async fn a_call_goes_on_over_the_same_legs_and_ends_when_somebody_hangs_up() {
    use MemberPhase::{In, Reconnecting};
    let calling = Calling::start(true).await;
    let installed = |relay: &Relay| {
        let mut legs: Vec<_> = relay.held().iter().map(|leg| (leg.leg, leg.generation)).collect();
        legs.sort();
        legs
    };
    let before = installed(&calling.relay);
    let calling = calling.restart(async |_folder| {}).await;
    let (mut a, calls, _) = calling.back(0).await;
    assert_eq!(calls, [calling.call]);
    assert_eq!(a.members().await, [In, Reconnecting]);
    let again = a.ready().await;
    assert!(Some(again) == calling.ready, "the same keys, sources and paths");
    let (mut b, ..) = calling.back(1).await;
    assert_eq!(b.members().await, [In, In]);
    b.ready().await;
    assert_eq!(a.members().await, [In, In]);
    assert_eq!(installed(&calling.relay), before, "no leg began another life");
    hang_up(&mut a, calling.call).await;
    assert_eq!(b.call_ended().await, CallEnd::HungUp);
    calling.relay.until_it_holds(0).await;
    let tenant = calling.platform.node.accounts.find_tenant("shop").await.unwrap().unwrap();
    let ended = calling.platform.node.records.ended(tenant.id, 10).await.unwrap();
    assert_eq!(ended.iter().map(|it| it.reason).collect::<Vec<_>>(), [Some(CallEnd::HungUp)]);
    calling.platform.node.stop().await;
}

#[tokio::test]
async fn a_call_that_rings_rings_on_and_can_be_answered() {
    let calling = Calling::start(false).await.restart(async |_folder| {}).await;
    let (mut a, calls, _) = calling.back(0).await;
    let (mut b, _, rings) = calling.back(1).await;
    assert_eq!((calls, rings), (vec![calling.call], vec![calling.call]));
    a.members().await;
    assert_eq!(b.incoming().await, calling.call);
    b.accept(calling.call).await;
    a.ready().await;
    b.ready().await;
    hang_up(&mut b, calling.call).await;
    calling.platform.node.stop().await;
}

#[tokio::test]
async fn whoever_was_suspended_meanwhile_has_no_leg_and_no_key_is_in_the_store_in_the_clear() {
    let calling = Calling::start(true).await;
    let ready = calling.ready.clone().unwrap();
    let suspend = async |folder: &TempDir| {
        let store: Arc<dyn Store> =
            Arc::new(Embedded::open(&settings(folder).store_file()).unwrap());
        let kept = list(&*store, Prefix::of_index("live")).await.unwrap().entries;
        assert_eq!(kept.len(), 1);
        let shows = |secret: &[u8]| kept[0].value.windows(secret.len()).any(|it| it == secret);
        assert!(!shows(ready.key.key()) && !shows(ready.paths[0].relay_password.as_bytes()));
        assert!(!shows(ready.senders[0].key.as_ref().unwrap().key()) && !shows(b"Display a"));
        let accounts = Accounts::new(store, AccountsConfig::for_cores(1, Entropy::system()));
        let who = Subject::Account { tenant: "shop".into(), login: "a".into() };
        accounts.unwrap().suspend(&who, None, UnixMs::now()).await.unwrap();
    };
    let calling = calling.restart(suspend).await;
    calling.relay.until_it_holds(0).await;
    let (_b, calls, _) = calling.back(1).await;
    assert_eq!(calls, []);
    let tenant = calling.platform.node.accounts.find_tenant("shop").await.unwrap().unwrap();
    let ended = calling.platform.node.records.ended(tenant.id, 10).await.unwrap();
    assert_eq!(ended[0].reason, Some(CallEnd::Suspended));
    calling.platform.node.stop().await;
}
