//! Many calls through control, set up one after the other as terminals would: sign-ins are dear on
//! purpose, and a crowd of them would measure the password hash.

use crate::accounts::Roster;
use crate::member::Member;
use crate::signed_in::{self, LiveCall};
use anyhow::{Context, Result};
use core::time::Duration;
use kakehashi_terminal::{Event, Events, Terminal};
use kakehashi_wire::id::CallId;
use kakehashi_wire::media::{Codec, StreamKind, StreamOffer};
use kakehashi_wire::terminal::CallEnd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long the end of a session may take.
const FAREWELL: Duration = Duration::from_secs(20);

/// Calls that go on.
pub struct RealCalls {
    roster: Roster,
    live: Vec<Held>,
    broken: Arc<AtomicU64>,
}

struct Held {
    call: CallId,
    caller: Terminal,
    callee: Terminal,
    watchers: [JoinHandle<()>; 2],
}

impl RealCalls {
    /// None yet.
    pub fn new(roster: Roster) -> Self {
        Self { roster, live: Vec::new(), broken: Arc::new(AtomicU64::new(0)) }
    }

    /// How many calls the accounts suffice for at most.
    pub fn calls_max(&self) -> usize {
        self.roster.accounts_max() / 2
    }

    /// Calls that ended although nobody hung up.
    pub fn broken(&self) -> u64 {
        self.broken.load(Ordering::Relaxed)
    }

    /// Sets calls up until there are `calls`; gives the members of the new ones.
    ///
    /// # Errors
    /// If an account cannot be made or signed in, or a call cannot be set up.
    pub async fn grow(&mut self, calls: usize) -> Result<Vec<Member>> {
        let mut members = Vec::new();
        while self.live.len() < calls {
            let number = self.live.len();
            let caller = self.roster.settings(2 * number).await?;
            let callee = self.roster.settings(2 * number + 1).await?;
            let call = signed_in::call_with(caller, callee, offers());
            let call = call.await.with_context(|| format!("call {} fails", number + 1))?;
            members.push(Member::of_call(number, &call.caller.ready)?);
            members.push(Member::of_call(number, &call.callee.ready)?);
            self.live.push(self.hold(call));
            if (number + 1).is_multiple_of(10) || number + 1 == calls {
                eprintln!("{} of {calls} calls set up", number + 1);
            }
        }
        Ok(members)
    }

    /// Hangs all calls up and signs everyone out.
    pub async fn end(self) {
        for held in self.live {
            // A call that has ended already needs no end.
            let _ = held.caller.hang_up(held.call).await;
            for terminal in [held.caller, held.callee] {
                let _ = terminal.sign_out().await;
            }
            for watcher in held.watchers {
                let _ = timeout(FAREWELL, watcher).await;
            }
        }
    }

    fn hold(&self, call: LiveCall) -> Held {
        let (caller, callee) = (call.caller, call.callee);
        let watch = |events| tokio::spawn(watch(events, Arc::clone(&self.broken)));
        Held {
            call: caller.ready.call,
            caller: caller.terminal,
            callee: callee.terminal,
            watchers: [watch(caller.events), watch(callee.events)],
        }
    }
}

/// What every leg of the load may send.
fn offers() -> Vec<StreamOffer> {
    vec![
        StreamOffer { kind: StreamKind::Audio, codec: Codec::Opus },
        StreamOffer { kind: StreamKind::Camera, codec: Codec::Vp8 },
        StreamOffer { kind: StreamKind::Screen, codec: Codec::Vp8 },
    ]
}

/// Takes a side's events, so that its session goes on, and notices a call that breaks.
async fn watch(mut events: Events, broken: Arc<AtomicU64>) {
    while let Some(event) = events.next().await {
        if matches!(event, Event::Ended { reason, .. } if reason != CallEnd::HungUp) {
            broken.fetch_add(1, Ordering::Relaxed);
        }
    }
}
