//! Whose orders count: of the nodes that have a link to this relay, the one of the newest term.
//!
//! Pure. A node that was stopped for a minute and goes on knows of no successor; what it then says
//! is refused by its term alone, whatever its orders and however late they come. Nothing but a new
//! life of this process forgets a term.

use kakehashi_wire::id::Term;
use kakehashi_wire::relay::Outdated;

/// A link of this relay, over all its connections: its place in the list of nodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LinkNumber(pub usize);

/// What becomes of what a node says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is carried out.
    Obey,
    /// It is carried out, and the node orders from now on.
    TakeOver,
    /// It changes nothing.
    Refuse(Outdated),
}

/// Who orders.
pub struct Terms {
    newest: Term,
    /// Where the wanted legs were last stated from.
    lead: Option<LinkNumber>,
}

impl Default for Terms {
    fn default() -> Self {
        Self::new()
    }
}

impl Terms {
    /// Nobody has ordered anything yet.
    pub const fn new() -> Self {
        Self { newest: Term::NONE, lead: None }
    }

    /// The newest term heard.
    pub const fn newest(&self) -> Term {
        self.newest
    }

    /// A node orders in `term`.
    pub fn hear(&mut self, term: Term) -> Verdict {
        if term < self.newest {
            return Verdict::Refuse(Outdated { refused: term, newest: self.newest });
        }
        let takes_over = term > self.newest;
        if takes_over {
            (self.newest, self.lead) = (term, None);
        }
        if takes_over { Verdict::TakeOver } else { Verdict::Obey }
    }

    /// A node whose term counts states over `link` which legs are wanted.
    pub fn stated_over(&mut self, link: LinkNumber) {
        self.lead = Some(link);
    }

    /// Whether `link` is where the wanted legs were last stated from: who is there knows them.
    pub fn is_lead(&self, link: LinkNumber) -> bool {
        self.lead == Some(link)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{Obey, Refuse, TakeOver};
    use proptest::prelude::*;

    fn refuse(refused: u64, newest: u64) -> Verdict {
        Refuse(Outdated { refused: Term(refused), newest: Term(newest) })
    }

    fn verdicts(terms: &mut Terms, said: &[u64]) -> Vec<Verdict> {
        said.iter().map(|term| terms.hear(Term(*term))).collect()
    }

    #[test]
    fn leads_that_overlap_and_one_that_comes_back() {
        let mut terms = Terms::new();
        // One orders, the next claims while the first still speaks, the first goes on unaware.
        let said = verdicts(&mut terms, &[5, 5, 9, 5, 9, 5]);
        assert_eq!(said, [TakeOver, Obey, TakeOver, refuse(5, 9), Obey, refuse(5, 9)]);
        assert_eq!(terms.newest(), Term(9));
    }

    #[test]
    fn leads_that_alternate_count_by_their_claim_and_not_by_who_they_are() {
        let mut terms = Terms::new();
        let said = verdicts(&mut terms, &[1, 2, 3, 2, 1, 4, 3]);
        let wanted =
            [TakeOver, TakeOver, TakeOver, refuse(2, 3), refuse(1, 3), TakeOver, refuse(3, 4)];
        assert_eq!(said, wanted);
    }

    #[test]
    fn the_lead_is_who_stated_last_and_nobody_after_a_newer_term() {
        let (a, b) = (LinkNumber(0), LinkNumber(1));
        let mut terms = Terms::new();
        assert!(!terms.is_lead(a), "nobody has said anything");
        terms.hear(Term(1));
        terms.stated_over(a);
        assert!(terms.is_lead(a) && !terms.is_lead(b));
        terms.hear(Term(1));
        assert!(terms.is_lead(a), "its orders change nothing");
        terms.hear(Term(2));
        assert!(!terms.is_lead(a), "it does not order any more");
        terms.stated_over(b);
        terms.hear(Term(1));
        assert!(terms.is_lead(b) && !terms.is_lead(a));
    }

    proptest! {
        #[test]
        fn no_order_counts_after_one_of_a_newer_term(
            said in prop::collection::vec(0_u64..20, 0..60),
        ) {
            let (mut terms, mut highest) = (Terms::new(), 0);
            for term in said {
                let refused = matches!(terms.hear(Term(term)), Refuse(_));
                prop_assert_eq!(refused, term < highest);
                highest = highest.max(term);
                prop_assert_eq!(terms.newest(), Term(highest));
            }
        }
    }
}
