//! Binding requests and the answers to challenges: how a leg's address is learned and kept.
//!
//! The relay is a lite agent (RFC 8445 2.5) that answers consent checks (RFC 7675) and, unlike one,
//! challenges a new address of a leg before it believes it. Whatever is not keyed by the leg's
//! password changes nothing and is met with silence: no error responses exist. Nothing that is
//! written here is longer than what it answers.

use super::batch::{Outgoing, Received};
use super::verdict::{Dropped, Verdict};
use crate::legs::latch::Binding;
use crate::legs::leg::Leg;
use crate::legs::{LegTable, Slot};
use crate::tick::Tick;
use kakehashi_wire::id::LegId;
use kakehashi_wire::stun::{StunKind, StunMessage, StunView, TransactionId};

/// Meets a well-formed binding message.
pub(super) fn meet(
    legs: &mut LegTable,
    received: &Received<'_>,
    message: &StunView<'_>,
    now: Tick,
    random: &mut impl FnMut() -> u64,
    out: &mut Outgoing,
) -> Result<Verdict, Dropped> {
    if !message.has_integrity() {
        return Err(Dropped(Verdict::StunNoIntegrity));
    }
    match message.kind() {
        StunKind::Request => on_request(legs, received, message, now, random, out),
        StunKind::Success => on_success(legs, received, message, now),
    }
}

fn on_request(
    legs: &mut LegTable,
    received: &Received<'_>,
    request: &StunView<'_>,
    now: Tick,
    random: &mut impl FnMut() -> u64,
    out: &mut Outgoing,
) -> Result<Verdict, Dropped> {
    let slot = named(request).and_then(|id| legs.find(id));
    let leg = slot.and_then(|slot| legs.leg_mut(slot));
    let (slot, leg) = slot.zip(leg).ok_or(Dropped(Verdict::StunUnknownLeg))?;
    // RFC 8489 9.1.3: the request is keyed by the password of its receiver.
    if !request.is_keyed_by(leg.passwords().relay.as_bytes()) {
        return Err(Dropped(Verdict::StunBadIntegrity));
    }
    if leg.has_ended(now) {
        return Err(Dropped(Verdict::LegEnded));
    }
    let draw = || transaction(slot, random);
    let (message, verdict) = match leg.latch_mut().on_binding(received.source, now, draw) {
        Binding::Answer => (success(leg, request, received), Verdict::Answered),
        Binding::Challenge(transaction) => (challenge(leg, transaction), Verdict::Challenged),
        Binding::TooSoon => return Err(Dropped(Verdict::MoveTooSoon)),
        Binding::Pending => return Err(Dropped(Verdict::ChallengePending)),
    };
    if message.bytes().len() > received.bytes.len() {
        return Err(Dropped(Verdict::AnswerTooLong));
    }
    if out.answer(message.bytes(), received.source) {
        Ok(verdict)
    } else {
        Err(Dropped(Verdict::NoRoom))
    }
}

/// The leg a request's username names: both fragments are the leg's.
fn named(request: &StunView<'_>) -> Option<LegId> {
    let (receiver, sender) = request.fragments()?;
    LegId::from_fragment(receiver).filter(|_| receiver == sender)
}

fn success(leg: &Leg, request: &StunView<'_>, received: &Received<'_>) -> StunMessage {
    let key = leg.passwords().relay.as_bytes();
    StunMessage::success(request.transaction(), received.source, key)
}

fn challenge(leg: &Leg, transaction: TransactionId) -> StunMessage {
    let (fragment, key) = (leg.id().fragment(), leg.passwords().terminal.as_bytes());
    StunMessage::challenge(transaction, &fragment, &fragment, key)
}

fn on_success(
    legs: &mut LegTable,
    received: &Received<'_>,
    response: &StunView<'_>,
    now: Tick,
) -> Result<Verdict, Dropped> {
    let (source, transaction) = (received.source, response.transaction());
    let leg = legs.leg_mut(challenged(transaction)).ok_or(Dropped(Verdict::StunUnknownLeg))?;
    if leg.has_ended(now) || !leg.latch().awaits(source, transaction, now) {
        return Err(Dropped(Verdict::StunUnexpected));
    }
    if !response.is_keyed_by(leg.passwords().terminal.as_bytes()) {
        return Err(Dropped(Verdict::StunBadIntegrity));
    }
    let moved = leg.latch_mut().on_proof(source, transaction, now);
    if moved { Ok(Verdict::Moved) } else { Err(Dropped(Verdict::StunUnexpected)) }
}

/// A transaction of 64 random bits and the leg's place, so that the response, which names no leg,
/// finds it. The place is only a hint: the leg there must await exactly this transaction.
fn transaction(slot: Slot, random: &mut impl FnMut() -> u64) -> TransactionId {
    let mut id = [0; 12];
    id[..4].copy_from_slice(&slot.number().to_be_bytes());
    id[4..].copy_from_slice(&random().to_be_bytes());
    TransactionId(id)
}

/// The place that [`transaction`] wrote.
fn challenged(TransactionId([a, b, c, d, ..]): TransactionId) -> Slot {
    Slot::from_number(u32::from_be_bytes([a, b, c, d]))
}
