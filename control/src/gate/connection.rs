//! One terminal's connection, from handshake to farewell.

use super::CloseCode;
use super::one_time::{change, until_changed};
use super::outbox::{Said, Waiting};
use super::pace::Pace;
use super::sign_in::{Begun, Caller, NoSession, SignedIn, request_of, sign_in};
use super::tokens::Tokens;
use crate::accounts::{Account, Accounts};
use crate::audit::Audit;
use crate::capacity::{
    FAREWELL_TIMEOUT, LOGIN_TIMEOUT, PASSWORD_CHANGE_TIMEOUT, STRANGERS_LOG_EVERY,
};
use crate::clock::Clock;
use crate::coordinator::{Called, KnownAccount, Request};
use crate::entropy::Entropy;
use crate::framing::{self, ReadFailure, WriteFailure};
use crate::metrics::Metrics;
use crate::nodes::Helm;
use crate::policy::{Act, Rank};
use crate::seldom::Seldom;
use crate::sessions::{AccountKey, TokenClaims};
use kakehashi_wire::id::RequestId;
use kakehashi_wire::media::Host;
use kakehashi_wire::terminal::{
    FromTerminal, Refusal, SessionEnd, SessionEnded, ToTerminal, TokenRenewed,
};
use quinn::{Connection, RecvStream, SendStream};
use std::fmt::Display;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use tokio::time::{Instant, sleep_until, timeout};

/// What connections need of the node.
pub(crate) struct Gate {
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) helm: Helm,
    pub(crate) audit: Arc<Audit>,
    pub(crate) entropy: Entropy,
    pub(crate) clock: Clock,
    pub(crate) tokens: Tokens,
    pub(crate) metrics: Arc<Metrics>,
    strangers: Seldom,
}

impl Gate {
    pub(crate) fn new(
        accounts: Arc<Accounts>,
        helm: Helm,
        audit: Arc<Audit>,
        (entropy, clock): (Entropy, Clock),
        tokens: Tokens,
        metrics: Arc<Metrics>,
    ) -> Self {
        let strangers = Seldom::new(STRANGERS_LOG_EVERY);
        Self { accounts, helm, audit, entropy, clock, tokens, metrics, strangers }
    }

    /// A connection came to nothing. Anybody can cause that, so the log gets a count.
    pub(super) fn no_session(&self, address: SocketAddr, why: &dyn Display) {
        tracing::debug!(event = "sign_in_failed", %address, %why, "a connection did not sign in");
        if let Some(count) = self.strangers.note(Instant::now()) {
            tracing::info!(event = "sign_ins_failed", count, last = %address, %why,
                "connections did not sign in");
        }
    }
}

/// How a conversation came to its end.
enum Ended {
    /// The core has nothing more to say.
    ByCore,
    /// The terminal is too far behind.
    TooSlow,
    /// The terminal said what it should not, or is gone.
    Reading(ReadFailure),
    /// The terminal cannot be told anything.
    Writing(WriteFailure),
}

/// Serves one connection.
pub(super) async fn converse(connection: Connection, gate: Arc<Gate>) {
    let address = connection.remote_address();
    let begun = timeout(LOGIN_TIMEOUT, async {
        let (mut send, mut recv) = connection.accept_bi().await.map_err(|_| ReadFailure::Gone)?;
        let caller = Caller::of(&connection).ok_or(ReadFailure::Gone)?;
        let begun = sign_in(&mut send, &mut recv, &gate, &caller).await;
        Ok::<_, ReadFailure>((send, recv, begun))
    });
    let (mut send, mut recv, begun) = match begun.await {
        Ok(Ok(begun)) => begun,
        Ok(Err(gone)) => return gate.no_session(address, &gone),
        Err(_elapsed) => {
            gate.no_session(address, &"nobody signed in in time");
            let reason = format!("sign in within {} s", LOGIN_TIMEOUT.as_secs());
            return CloseCode::NoSignIn.close(&connection, &reason);
        }
    };
    match begun {
        Ok(Begun::Session(signed_in)) => {
            let session = signed_in.seat.session();
            let AccountKey { tenant, account } = signed_in.claims.account;
            let first = signed_in.claims.session;
            tracing::info!(event = "session_began", %address, %session, %first, %tenant, %account,
                "session began");
            talk(&connection, (&mut send, &mut recv), signed_in, &gate).await;
        }
        Ok(Begun::OneTime(one_time)) => {
            let session = one_time.session;
            tracing::info!(event = "one_time_password_used",
                %address, %session, tenant = %one_time.account.tenant,
                account = %one_time.account.account, "a one-time password was used");
            let changed = until_changed(&mut send, &mut recv, one_time, &gate);
            match timeout(PASSWORD_CHANGE_TIMEOUT, changed).await {
                Ok(Ok(end)) => {
                    tracing::info!(event = "session_ended", %session, ?end, "session ended");
                    farewell(&mut send, end).await;
                    CloseCode::from(end).close(&connection, "");
                }
                Ok(Err(failure)) => turn_away(&connection, &mut send, &failure).await,
                Err(_elapsed) => {
                    CloseCode::NoSignIn.close(&connection, "the password was not changed in time");
                }
            }
        }
        Err(failure) => {
            gate.no_session(address, &failure);
            turn_away(&connection, &mut send, &failure).await;
        }
    }
}

async fn turn_away(connection: &Connection, send: &mut SendStream, failure: &NoSession) {
    let (end, code) = match failure {
        NoSession::Read(ReadFailure::Gone) | NoSession::Write(_) => return,
        NoSession::Read(_) => (SessionEnd::Protocol, CloseCode::Protocol),
        NoSession::TooManyAttempts => (SessionEnd::Protocol, CloseCode::NoSignIn),
        NoSession::NodeStopping => (SessionEnd::NodeStopping, CloseCode::NodeStopping),
    };
    farewell(send, end).await;
    code.close(connection, &failure.to_string());
}

async fn talk(
    connection: &Connection,
    (send, recv): (&mut SendStream, &mut RecvStream),
    SignedIn { seat, claims, role, seen_at, mut waiting }: SignedIn,
    gate: &Gate,
) {
    let session = seat.session();
    let overflow = waiting.overflow();
    let ended = {
        let mut writing = pin!(write_all(send, &mut waiting, (claims, gate)));
        let reading = read_all((connection, seen_at), recv, |heard, moved| async move {
            let (message, over_limit) = heard;
            if let Some(seen_at) = moved {
                gate.helm.asked(session, Request::Moved(seen_at)).await;
            }
            if let FromTerminal::Ping(_) = message {
                // The transport has acknowledged it already.
                return;
            }
            let request = if over_limit.is_some() {
                Request::Refuse(request_of(&message), Refusal::BadRequest)
            } else if Rank::Account(role).may(Act::from(&message)) {
                with_facts(message, &claims, gate).await
            } else {
                Request::Refuse(request_of(&message), Refusal::NotAllowed)
            };
            gate.helm.asked(session, request).await;
        });
        let ended = tokio::select! {
            written = &mut writing => written.map_or_else(Ended::Writing, |()| Ended::ByCore),
            failure = reading => Ended::Reading(failure),
            () = overflow => Ended::TooSlow,
        };
        if let Ended::Reading(failure) = &ended {
            // The core closes the outbox; whatever it still holds is said before the farewell.
            // A terminal that is gone may come back, one that breaks the protocol not.
            gate.helm.left(session, matches!(failure, ReadFailure::Gone)).await;
            let _said = timeout(FAREWELL_TIMEOUT, writing).await;
        }
        ended
    };
    if let Ended::Writing(_) = ended {
        gate.helm.left(session, true).await;
    }
    seat.settled();
    let (end, reason) = last_word(&ended, waiting.reason());
    tracing::info!(event = "session_ended", %session, reason, "session ended");
    let Some(end) = end else { return };
    if end != SessionEnd::TooSlow {
        farewell(send, end).await;
    }
    CloseCode::from(end).close(connection, &reason);
}

/// What the terminal is told, if it can be, and what the log says.
fn last_word(ended: &Ended, by_core: Option<SessionEnd>) -> (Option<SessionEnd>, String) {
    match ended {
        Ended::ByCore => match by_core {
            Some(end) => (Some(end), format!("the session ended: {end:?}")),
            None => (Some(SessionEnd::NodeStopping), "the node is shutting down".into()),
        },
        Ended::TooSlow => {
            let reason = "the terminal reads too slowly: connect again";
            (Some(SessionEnd::TooSlow), reason.into())
        }
        Ended::Reading(ReadFailure::Gone) => (None, ReadFailure::Gone.to_string()),
        Ended::Reading(failure) => (Some(SessionEnd::Protocol), failure.to_string()),
        Ended::Writing(failure) => (None, failure.to_string()),
    }
}

/// Says everything that waits until nothing follows, and gives the session new tokens meanwhile.
async fn write_all(
    send: &mut SendStream,
    waiting: &mut Waiting,
    (claims, gate): (TokenClaims, &Gate),
) -> Result<(), WriteFailure> {
    let mut renew_at = Instant::now() + gate.tokens.renew_after();
    loop {
        let message = tokio::select! {
            message = waiting.next() => message,
            () = sleep_until(renew_at) => {
                renew_at = Instant::now() + gate.tokens.renew_after();
                let token = gate.tokens.token(gate.tokens.from(claims, gate.clock.now().wall));
                Some(Said::Message(TokenRenewed { token }.into()))
            }
        };
        match message {
            Some(Said::Message(message)) => framing::write(send, message.encode()).await?,
            Some(Said::Encoded(bytes)) => framing::write_shared(send, &bytes).await?,
            Some(Said::PassedOn(said)) => framing::write_shared(send, said.as_bytes()).await?,
            None => return Ok(()),
        }
    }
}

/// A message, and the name of a field that is over its limit.
type Heard = (FromTerminal, Option<&'static str>);

/// Hands every message to `take` until none can be read, and with it where the terminal is now if
/// it speaks from another address (RFC 9000, 9). It was `seen_at` that one when it was let in. In a
/// call it says something several times a second.
async fn read_all<T: Future<Output = ()>>(
    (connection, mut seen_at): (&Connection, Host),
    recv: &mut RecvStream,
    take: impl Fn(Heard, Option<Host>) -> T,
) -> ReadFailure {
    let mut pace = Pace::new();
    loop {
        pace.wait().await;
        let heard = match framing::read(recv, FromTerminal::decode_any).await {
            Ok(heard) => heard,
            Err(failure) => return failure,
        };
        let now_at = Host::from(connection.remote_address().ip());
        let before = core::mem::replace(&mut seen_at, now_at);
        take(heard, (now_at != before).then_some(now_at)).await;
    }
}

/// The request with what the store knows about it. The tenant is the session's.
async fn with_facts(message: FromTerminal, claims: &TokenClaims, gate: &Gate) -> Request {
    let (account, accounts) = (claims.account, &gate.accounts);
    let tenant = account.tenant;
    let unavailable = |request, error: &dyn Display| {
        tracing::error!(event = "request_failed", %error, "a request could not be served");
        Request::Refuse(request, Refusal::StoreUnavailable)
    };
    match message {
        FromTerminal::SignIn(ask) => Request::Refuse(ask.request, Refusal::BadRequest),
        FromTerminal::Resume(ask) => Request::Refuse(ask.request, Refusal::BadRequest),
        FromTerminal::SignOut(_) => {
            if let Err(error) = accounts.sign_out(account, claims.device).await {
                tracing::error!(event = "token_not_revoked", %error,
                    "a token counts on after a sign-out");
            }
            Request::SignOut
        }
        FromTerminal::WatchPresence(ask) if gate.helm.lists_accounts() => {
            Request::Watch(ask.request, Vec::new())
        }
        FromTerminal::WatchPresence(ask) => match accounts.list(tenant).await {
            Ok(list) => {
                let list = list.into_iter().map(KnownAccount::from).collect();
                Request::Watch(ask.request, list)
            }
            Err(error) => unavailable(ask.request, &error),
        },
        FromTerminal::Invite(ask) => match accounts.find_login(tenant, &ask.login).await {
            Ok(callee) => Request::Invite(ask.request, callee.map(called), ask.streams),
            Err(error) => unavailable(ask.request, &error),
        },
        FromTerminal::InviteDesk(ask) => Request::InviteDesk(ask),
        FromTerminal::Accept(ask) => Request::Accept(ask),
        FromTerminal::Reject(ask) => Request::Reject(ask),
        FromTerminal::Cancel(ask) => Request::Cancel(ask),
        FromTerminal::HangUp(ask) => Request::HangUp(ask),
        FromTerminal::ChangePassword(ask) => {
            let request = ask.request;
            match change(ask, account, gate).await {
                Ok(revocation) => Request::PasswordChanged(request, revocation),
                Err(rejection) => Request::Refuse(request, rejection.reason),
            }
        }
        FromTerminal::ReportQuality(report) => Request::Report(report),
        // Not handed on, see `talk`.
        FromTerminal::Ping(_) => Request::Refuse(RequestId(0), Refusal::BadRequest),
        FromTerminal::Hold(ask) => Request::Hold(ask),
        FromTerminal::Mute(ask) => Request::Mute(ask),
        FromTerminal::Share(ask) => Request::Share(ask),
        FromTerminal::ChooseLayer(ask) => Request::ChooseLayer(ask),
        FromTerminal::AddMember(ask) => match accounts.find_login(tenant, &ask.login).await {
            Ok(callee) => Request::AddMember(ask, callee.map(called)),
            Err(error) => unavailable(ask.request, &error),
        },
        FromTerminal::AddDesk(ask) => Request::AddDesk(ask),
        FromTerminal::Merge(ask) => Request::Merge(ask),
        FromTerminal::Listen(ask) => Request::Listen(ask),
        FromTerminal::EndWrapUp(ask) => Request::EndWrapUp(ask),
        FromTerminal::SetAway(ask) => Request::Away(ask),
        FromTerminal::Missed(ask) => Request::Missed(ask),
    }
}

fn called(Account { id, role, .. }: Account) -> Called {
    Called { account: id, role }
}

impl From<Account> for KnownAccount {
    fn from(Account { id, login, display, .. }: Account) -> Self {
        Self { account: id, login, display }
    }
}

/// The last message, and time for it to arrive.
async fn farewell(send: &mut SendStream, reason: SessionEnd) {
    let said = async {
        framing::write(send, ToTerminal::from(SessionEnded { reason }).encode()).await.ok()?;
        send.finish().ok()?;
        send.stopped().await.ok()
    };
    let _heard = timeout(FAREWELL_TIMEOUT, said).await;
}
