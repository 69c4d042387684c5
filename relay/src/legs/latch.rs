//! Where a leg is: which address may send for it and receives for it.
//!
//! **Every event here has been authenticated before it is told.** A leg without an address takes
//! the first one that proves itself. From then on it only moves when the new address has answered
//! a challenge, since whoever can copy a fresh packet on its way can also send it from elsewhere
//! (RFC 9000 9.3 knows the same attack). Until then the old address stays in force.
//!
//! | state | media | binding, same address | binding, other address | proof |
//! |---|---|---|---|---|
//! | nowhere | at | at, answer | at, answer | - |
//! | at | - | answer | moving, challenge | - |
//! | moving | - | answer | challenge again if it is the candidate | at the candidate |

use crate::capacity::{CHALLENGE_MS, MOVE_PAUSE_MS};
use crate::tick::Tick;
use core::net::SocketAddr;
use kakehashi_wire::stun::TransactionId;

/// A leg's address and its change.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Latch {
    /// In force. First, since every packet looks at it.
    address: Option<SocketAddr>,
    moving: Option<Move>,
    /// The leg may not move before.
    settled: Tick,
}

/// An address that has been challenged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Move {
    to: SocketAddr,
    challenge: TransactionId,
    until: Tick,
}

/// What an authentic binding request is to be met with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Binding {
    /// A success response: this is the leg's address.
    Answer,
    /// A path challenge with this transaction.
    Challenge(TransactionId),
    /// Silence: the leg moved less than [`MOVE_PAUSE_MS`] ago.
    TooSoon,
    /// Silence: another address is being challenged.
    Pending,
}

impl Latch {
    /// The address that sends and receives for the leg.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Whether media from `source` may be looked at.
    pub fn accepts(&self, source: SocketAddr) -> bool {
        self.address().is_none_or(|address| address == source)
    }

    /// An authentic media packet came from `source`; `true` if it gave the leg its address.
    pub fn on_media(&mut self, source: SocketAddr) -> bool {
        let first = self.address.is_none();
        if first {
            self.address = Some(source);
        }
        first
    }

    /// An authentic binding request came from `source`; `draw` makes a random transaction.
    pub fn on_binding(
        &mut self,
        source: SocketAddr,
        now: Tick,
        draw: impl FnOnce() -> TransactionId,
    ) -> Binding {
        if *self.address.get_or_insert(source) == source {
            return Binding::Answer;
        }
        if let Some(Move { to, challenge, until }) = self.moving
            && now < until
        {
            return if to == source { Binding::Challenge(challenge) } else { Binding::Pending };
        }
        if now < self.settled {
            return Binding::TooSoon;
        }
        let challenge = draw();
        let until = now.after_ms(CHALLENGE_MS);
        self.moving = Some(Move { to: source, challenge, until });
        Binding::Challenge(challenge)
    }

    /// Whether a response from `source` with this transaction would be the proof awaited.
    pub fn awaits(&self, source: SocketAddr, transaction: TransactionId, now: Tick) -> bool {
        self.moving.is_some_and(|Move { to, challenge, until }| {
            to == source && challenge == transaction && now < until
        })
    }

    /// An authentic response came from `source`; `true` if it moved the leg there.
    pub fn on_proof(&mut self, source: SocketAddr, transaction: TransactionId, now: Tick) -> bool {
        let proven = self.awaits(source, transaction, now);
        if proven {
            let settled = now.after_ms(MOVE_PAUSE_MS);
            *self = Self { address: Some(source), moving: None, settled };
        }
        proven
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    const CHALLENGE: TransactionId = TransactionId([1; 12]);
    const OTHER: TransactionId = TransactionId([2; 12]);
    const NOW: Tick = Tick(10_000);

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    fn name(latch: &Latch) -> String {
        match (latch.address, latch.moving) {
            (None, _) => "nowhere".into(),
            (Some(at), None) => format!("at {}", at.port()),
            (Some(from), Some(Move { to, .. })) => format!("{}->{}", from.port(), to.port()),
        }
    }

    fn states() -> [Latch; 4] {
        let there = Latch { address: Some(address(1)), ..Latch::default() };
        let moving = Move { to: address(2), challenge: CHALLENGE, until: NOW.after_ms(1) };
        [
            Latch::default(),
            there.clone(),
            Latch { moving: Some(moving), ..there.clone() },
            Latch { settled: NOW.after_ms(1), ..there },
        ]
    }

    #[test]
    fn the_transition_table() {
        let mut table = String::new();
        for state in states() {
            let recent = if state.settled > NOW { " (moved)" } else { "" };
            for port in 1..=3 {
                let mut latch = state.clone();
                let accepts = latch.accepts(address(port));
                latch.on_media(address(port));
                writeln!(
                    table,
                    "{}{recent} media {port}: {accepts}, {}",
                    name(&state),
                    name(&latch)
                )
                .unwrap();
            }
            for port in 1..=3 {
                let mut latch = state.clone();
                let met = match latch.on_binding(address(port), NOW, || CHALLENGE) {
                    Binding::Challenge(_) => "Challenge".into(),
                    other => format!("{other:?}"),
                };
                writeln!(table, "{}{recent} binding {port}: {met}, {}", name(&state), name(&latch))
                    .unwrap();
            }
            for (port, transaction) in [(2, CHALLENGE), (2, OTHER), (3, CHALLENGE)] {
                let mut latch = state.clone();
                let moved = latch.on_proof(address(port), transaction, NOW);
                let right = if transaction == CHALLENGE { "right" } else { "wrong" };
                writeln!(
                    table,
                    "{}{recent} proof {port} {right}: {moved}, {}",
                    name(&state),
                    name(&latch)
                )
                .unwrap();
            }
        }
        assert_eq!(table, include_str!("latch_table.txt"), "\n{table}");
    }

    #[test]
    fn a_late_proof_counts_for_nothing_and_another_address_may_then_try() {
        let mut latch = Latch::default();
        latch.on_media(address(1));
        latch.on_binding(address(2), NOW, || CHALLENGE);
        let late = NOW.after_ms(CHALLENGE_MS);
        assert!(!latch.on_proof(address(2), CHALLENGE, late));
        assert_eq!(latch.on_binding(address(3), late, || OTHER), Binding::Challenge(OTHER));
        assert!(latch.on_proof(address(3), OTHER, late));
        assert_eq!(latch.address(), Some(address(3)));
    }

    #[test]
    fn a_leg_moves_at_most_once_a_second() {
        let mut latch = Latch::default();
        latch.on_media(address(1));
        let mut moves = 0;
        for ms in 0..10_000_u64 {
            let (now, to) = (Tick(ms), address(1 + (ms % 7) as u16));
            if let Binding::Challenge(challenge) = latch.on_binding(to, now, || CHALLENGE) {
                moves += u32::from(latch.on_proof(to, challenge, now));
            }
        }
        assert_eq!(moves, 10);
    }
}
