//! What accounts miss: noted when a call comes to nothing, forgotten when the two have talked.

use super::{Coordinator, Output};
use crate::calls::{CALLEE, Call};
use crate::clock::{Now, UnixMs};
use crate::missed::{Asker, Change, Deed, News};
use crate::sessions::{AccountKey, Session};
use kakehashi_wire::id::{AccountId, CallId, SessionId};
use kakehashi_wire::terminal::{CallEnd, Missed, Refusal};

impl Coordinator {
    /// A call is over: whoever was called and has not answered has missed it, unless it was
    /// declined. Nobody in particular has missed a call to a desk.
    pub(super) fn note_missed(&mut self, call: &Call, reason: CallEnd, now: Now) {
        for nth in CALLEE..call.members().len() {
            self.note_unanswered(call.missed_by(nth), reason, now);
        }
    }

    /// An account has missed a call of somebody's, if there was one, unless that ended so that
    /// there is nothing to call back for.
    pub(super) fn note_unanswered(
        &mut self,
        missed: Option<(AccountKey, String)>,
        reason: CallEnd,
        now: Now,
    ) {
        let is_missed = !matches!(reason, CallEnd::Rejected | CallEnd::Suspended);
        if let Some((account, by)) = missed.filter(|_| is_missed) {
            self.change_missed(account, Change::Missed(by, now.wall));
        }
    }

    /// Somebody could not be brought into a call for what the account is doing: it has missed one.
    pub(super) fn note_add_in_vain(
        &mut self,
        session: &Session,
        (call, callee): (CallId, Option<AccountId>),
        reason: Refusal,
        now: Now,
    ) {
        let Some(account) = callee else { return };
        let callee = AccountKey { tenant: session.account.tenant, account };
        let is_there = self.sessions.is_there(callee);
        let is_member = self.calls.get(call).and_then(|call| call.place_of(callee)).is_some();
        let in_vain = match reason {
            Refusal::NotAvailable => !is_there,
            Refusal::InAnotherCall => !is_member,
            _ => false,
        };
        if in_vain {
            self.change_missed(callee, Change::Missed(session.login.clone(), now.wall));
        }
    }

    /// An invitation was refused; if that is for what the called account is doing, it has missed a
    /// call.
    pub(super) fn note_in_vain(
        &mut self,
        session: &Session,
        callee: Option<AccountId>,
        reason: Refusal,
        now: Now,
    ) {
        let Some(account) = callee else { return };
        let callee = AccountKey { tenant: session.account.tenant, account };
        let is_there = self.sessions.is_there(callee);
        let in_vain = match reason {
            Refusal::NotAvailable => !is_there,
            // Whoever calls may be in a call itself: that is nothing to call back for.
            Refusal::InAnotherCall => self.calls.active_of(session.account).is_none(),
            _ => false,
        };
        if in_vain {
            self.change_missed(callee, Change::Missed(session.login.clone(), now.wall));
        }
    }

    /// The account has taken the call: neither it nor who rang there needs to call the other back.
    pub(super) fn note_talked(&mut self, id: CallId, account: AccountKey) {
        let Some(call) = self.calls.get(id) else { return };
        let Some(nth) = call.place_of(account) else { return };
        let (by, callee) = (call.rung_by(account).0, &call.members()[nth]);
        let talked = [(by.account, callee.login.clone()), (callee.account, by.login.clone())];
        for (account, login) in talked {
            self.change_missed(account, Change::Talked(login));
        }
    }

    fn change_missed(&mut self, account: AccountKey, change: Change) {
        let deed = Deed { account, change: Some(change), asker: Asker::Nobody };
        self.out.push(Output::Missed(deed));
    }

    /// A session has begun: it hears what was missed, if anything.
    pub(super) fn tell_missed(&mut self, session: &Session) {
        let asker = Asker::Begun(session.id);
        self.out.push(Output::Missed(Deed { account: session.account, change: None, asker }));
    }

    pub(super) fn missed(&mut self, session: &Session, ask: Missed) {
        let asker = Asker::Request(session.id, ask.request);
        let change = Some(Change::Seen(UnixMs(ask.seen_until_ms)));
        self.out.push(Output::Missed(Deed { account: session.account, change, asker }));
    }

    pub(super) fn missed_news(&mut self, news: News) {
        let News { deed: Deed { account, asker, .. }, missed, is_change } = news;
        let lives = |id: &SessionId| self.sessions.get(*id).is_some();
        let one = match asker {
            Asker::Nobody => None,
            Asker::Begun(id) | Asker::Request(id, _) => Some(id).filter(lives),
        };
        if let (Asker::Request(_, request), Some(id)) = (asker, one) {
            match missed {
                Some(_) => self.done(id, request),
                None => self.refuse(id, request, Refusal::StoreUnavailable),
            }
        }
        let Some(missed) = missed else { return };
        let told: Vec<_> = match is_change {
            true => self.sessions.of(account).map(|session| session.id).collect(),
            false => one.into_iter().collect(),
        };
        for session in told {
            self.say(session, missed.clone());
        }
    }
}
