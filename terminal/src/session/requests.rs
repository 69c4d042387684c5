//! Pairs answers with the requests they belong to, each with a deadline. Pure.

use crate::capacity::PENDING_REQUESTS_MAX;
use crate::clock::Moment;
use kakehashi_wire::id::RequestId;

/// Requests that wait for an answer; `T` is whoever waits.
pub struct Requests<T> {
    next: u32,
    pending: Vec<Pending<T>>,
}

struct Pending<T> {
    request: RequestId,
    deadline: Moment,
    waiter: T,
}

impl<T> Requests<T> {
    /// No requests yet.
    pub fn new() -> Self {
        Self { next: 1, pending: Vec::new() }
    }

    /// A number for a request nobody waits for.
    pub fn number(&mut self) -> RequestId {
        let request = RequestId(self.next);
        self.next = self.next.wrapping_add(1);
        request
    }

    /// Numbers a request; its answer is due by `deadline`.
    ///
    /// # Errors
    /// `waiter` comes back if too many requests wait already.
    pub fn open(&mut self, waiter: T, deadline: Moment) -> Result<RequestId, T> {
        if self.pending.len() >= PENDING_REQUESTS_MAX {
            return Err(waiter);
        }
        let request = self.number();
        self.pending.push(Pending { request, deadline, waiter });
        Ok(request)
    }

    /// Who waits for the answer to `request`; each answer is given once.
    pub fn take(&mut self, request: RequestId) -> Option<T> {
        let at = self.pending.iter().position(|pending| pending.request == request)?;
        Some(self.pending.swap_remove(at).waiter)
    }

    /// When the next request runs out of time.
    pub fn next_deadline(&self) -> Option<Moment> {
        self.pending.iter().map(|pending| pending.deadline).min()
    }

    /// Those whose answer did not come by `now`.
    pub fn expire(&mut self, now: Moment) -> Vec<T> {
        let late = self.pending.extract_if(.., |pending| pending.deadline <= now);
        late.map(|pending| pending.waiter).collect()
    }

    /// All who wait: the session they asked in is gone.
    pub fn abandon(&mut self) -> Vec<T> {
        self.pending.drain(..).map(|pending| pending.waiter).collect()
    }
}

impl<T> Default for Requests<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn the_limit_gives_the_waiter_back() {
        let mut requests = Requests::new();
        for waiter in 0..PENDING_REQUESTS_MAX {
            assert!(requests.open(waiter, Moment::ZERO).is_ok());
        }
        assert_eq!(requests.open(99, Moment::ZERO), Err(99));
        assert_eq!(requests.abandon().len(), PENDING_REQUESTS_MAX);
        assert!(requests.open(99, Moment::ZERO).is_ok());
    }

    proptest! {
        #[test]
        fn every_waiter_is_told_exactly_once(
            steps in prop::collection::vec(
                (0_u8..3, any::<prop::sample::Index>(), 1_u64..50), 1..200,
            ),
        ) {
            let mut requests = Requests::new();
            let (mut now, mut opened, mut told) = (Moment::ZERO, Vec::new(), HashSet::new());
            for (kind, index, span) in steps {
                now = now.plus(Duration::from_micros(span));
                match kind {
                    0 => {
                        let deadline = now.plus(Duration::from_micros(60));
                        if let Ok(request) = requests.open(opened.len(), deadline) {
                            opened.push(request);
                        }
                    }
                    1 if !opened.is_empty() => {
                        if let Some(waiter) = requests.take(*index.get(&opened)) {
                            prop_assert!(told.insert(waiter));
                        }
                    }
                    _ => for waiter in requests.expire(now) {
                        prop_assert!(told.insert(waiter));
                    },
                }
                prop_assert!(requests.next_deadline().is_none_or(|due| due > now) || kind != 2);
            }
            for waiter in requests.abandon() {
                prop_assert!(told.insert(waiter));
            }
            prop_assert_eq!(told.len(), opened.len());
        }
    }
}
