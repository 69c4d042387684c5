//! Media that goes on beside a test, in pieces each of which is counted.

use kakehashi_loadgen::leg::LegClient;
use kakehashi_loadgen::signed_in::LiveCall;
use kakehashi_loadgen::steady::{self, Rate, Report};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Two hundred packets of voice a second.
const VOICE: Rate = Rate { burst: 1, interval: Duration::from_millis(5), payload_bytes: 160 };

/// How long a piece lasts.
const PIECE: Duration = Duration::from_millis(200);

/// Voice from one leg to another until it is told to end.
pub struct Talk {
    pieces: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Report>>,
}

impl Talk {
    /// A bare socket on each of the call's legs, bound at the primary relay: first the caller's.
    pub fn legs(call: &LiveCall) -> (LegClient, LegClient) {
        let bound = |ready| {
            let mut leg = LegClient::new(ready).expect("a leg has a relay and a stream");
            leg.bind().expect("the relay answers");
            leg
        };
        (bound(&call.caller.ready), bound(&call.callee.ready))
    }

    /// Begins to send from `from` to `to`.
    pub fn start(mut from: LegClient, mut to: LegClient) -> Self {
        let (pieces, is_over) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (counted, end) = (Arc::clone(&pieces), Arc::clone(&is_over));
        let thread = std::thread::spawn(move || {
            let mut reports = Vec::new();
            while !end.load(Ordering::SeqCst) {
                let piece = steady::run(&mut from, &mut to, VOICE, PIECE);
                reports.push(piece.expect("a loopback socket works"));
                counted.store(reports.len(), Ordering::SeqCst);
            }
            reports
        });
        Self { pieces, is_over, thread }
    }

    /// Waits until a piece has been sent and counted that began after this was called.
    pub async fn goes_on(&self) {
        let before = self.pieces.load(Ordering::SeqCst);
        while self.pieces.load(Ordering::SeqCst) < before + 2 && !self.thread.is_finished() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends it; gives what became of each piece, in order.
    pub fn end(self) -> Vec<Report> {
        self.is_over.store(true, Ordering::SeqCst);
        self.thread.join().expect("the sender works until it is told to end")
    }
}
