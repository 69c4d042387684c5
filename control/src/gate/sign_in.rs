//! Signing in: nothing else is listened to before.

use super::audited::attempt;
use super::connection::Gate;
use super::one_time::OneTime;
use super::outbox::{Outbox, Waiting};
use super::resume;
use crate::accounts::{Claim, ProvenDevice, SignInRefusal, Verified};
use crate::capacity::LOGIN_ATTEMPTS_MAX;
use crate::coordinator::{Arrival, Rejection, rejected};
use crate::driver::Seat;
use crate::framing::{self, ReadFailure, WriteFailure};
use crate::sessions::TokenClaims;
use kakehashi_wire::device::{EXPORT_LABEL, EXPORTED_BYTES};
use kakehashi_wire::id::{RequestId, SessionId};
use kakehashi_wire::media::Host;
use kakehashi_wire::terminal::{FromTerminal, Refusal, Refused, Role, SignIn, ToTerminal};
use quinn::{Connection, RecvStream, SendStream};
use std::net::SocketAddr;

/// Who is at the other end of a connection.
pub(super) struct Caller {
    pub(super) address: SocketAddr,
    /// What its device proves itself over.
    pub(super) exported: [u8; EXPORTED_BYTES],
}

impl Caller {
    /// `None` if the connection is gone.
    pub(super) fn of(connection: &Connection) -> Option<Self> {
        let mut exported = [0; EXPORTED_BYTES];
        connection.export_keying_material(&mut exported, EXPORT_LABEL, b"").ok()?;
        Some(Self { address: connection.remote_address(), exported })
    }
}

/// A session that the core let in.
pub(super) struct SignedIn {
    pub(super) seat: Seat,
    pub(super) role: Role,
    /// What its resume tokens say.
    pub(super) claims: TokenClaims,
    /// Where its terminal is seen.
    pub(super) seen_at: Host,
    pub(super) waiting: Waiting,
}

/// What a good sign-in begins.
pub(super) enum Begun {
    /// A session.
    Session(SignedIn),
    /// The change of a one-time password.
    OneTime(OneTime),
}

/// Why a connection got no session.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoSession {
    #[error(transparent)]
    Read(#[from] ReadFailure),
    #[error(transparent)]
    Write(#[from] WriteFailure),
    #[error("no good sign-in within {LOGIN_ATTEMPTS_MAX} attempts")]
    TooManyAttempts,
    #[error("the node is shutting down")]
    NodeStopping,
}

/// Reads sign-ins until one is good. The caller limits the time.
pub(super) async fn sign_in(
    send: &mut SendStream,
    recv: &mut RecvStream,
    gate: &Gate,
    caller: &Caller,
) -> Result<Begun, NoSession> {
    for _ in 0..LOGIN_ATTEMPTS_MAX {
        let message = framing::read(recv, FromTerminal::decode).await?;
        let (request, decided) = match message {
            FromTerminal::SignIn(ask) => {
                (ask.request, counted("password", gate, attempt(ask, gate, caller).await?))
            }
            FromTerminal::Resume(ask) => {
                (ask.request, counted("resume", gate, resume::attempt(ask, gate, caller).await?))
            }
            other => (request_of(&other), Err(rejected(Refusal::NotSignedIn))),
        };
        let Rejection { reason, retry_after_ms } = match decided {
            Ok(begun) => return Ok(begun),
            Err(rejection) => rejection,
        };
        let refused = ToTerminal::from(Refused { request, reason, retry_after_ms });
        framing::write(send, refused.encode()).await?;
    }
    Err(NoSession::TooManyAttempts)
}

/// What was decided, once it is counted.
fn counted(
    kind: &'static str,
    gate: &Gate,
    decided: Result<Begun, Rejection>,
) -> Result<Begun, Rejection> {
    let outcome = match &decided {
        Ok(Begun::Session(_)) => Ok("session"),
        Ok(Begun::OneTime(_)) => Ok("one_time_password"),
        Err(rejection) => Err(rejection.reason),
    };
    gate.metrics.signed_in(kind, outcome);
    decided
}

/// Decides on one sign-in. Nobody may be told before the audit log knows.
pub(super) async fn decide(
    ask: SignIn,
    gate: &Gate,
    caller: &Caller,
) -> Result<Result<Begun, Rejection>, NoSession> {
    let SignIn { tenant, login, password, device, device_key, device_proof, .. } = &ask;
    let proven = ProvenDevice::check(*device, *device_key, device_proof, &caller.exported);
    let Some(proven) = proven else {
        return Ok(Err(rejected(Refusal::BadRequest)));
    };
    let from = caller.address.ip();
    let claim = Claim { tenant, login, password, from, device: Some(proven) };
    let verified = gate.accounts.verify(claim, || gate.clock.now()).await;
    let verified = match verified {
        Ok(verified) if verified.may_use(ask.device) => verified,
        Ok(_) => return Ok(Err(rejection(SignInRefusal::BadCredentials))),
        Err(refusal) => return Ok(Err(rejection(refusal))),
    };
    let session = SessionId(gate.entropy.nonzero());
    let known_as = (*device, *device_key);
    let claims = gate.tokens.claims(&verified, known_as, session, gate.clock.now().wall);
    let Verified { login, display, role, must_change, epochs, .. } = verified;
    let (request, account) = (ask.request, claims.account);
    if must_change {
        return Ok(Ok(Begun::OneTime(OneTime { request, session, account, display, role })));
    }
    let arrival = Arrival {
        session,
        request,
        account,
        login,
        display,
        role,
        device: ask.device,
        software: ask.software,
        epochs,
        token: gate.tokens.token(claims),
        resumes: None,
        is_handed_over: false,
        is_away: false,
        seen_at: from.into(),
        agent: None,
    };
    arrive(arrival, claims, gate).await
}

/// Asks the core to let a session in whose terminal has proved to be let in.
pub(super) async fn arrive(
    arrival: Arrival,
    claims: TokenClaims,
    gate: &Gate,
) -> Result<Result<Begun, Rejection>, NoSession> {
    let (role, seen_at) = (arrival.role, arrival.seen_at);
    let (outbox, waiting) = Outbox::new();
    let verdict = gate.helm.arrive(arrival, outbox).await.ok_or(NoSession::NodeStopping)?;
    Ok(verdict.map(|seat| Begun::Session(SignedIn { seat, role, claims, seen_at, waiting })))
}

fn rejection(refusal: SignInRefusal) -> Rejection {
    match refusal {
        SignInRefusal::BadCredentials => rejected(Refusal::BadCredentials),
        SignInRefusal::Busy { retry_after_ms } => {
            Rejection { reason: Refusal::Busy, retry_after_ms }
        }
        SignInRefusal::StoreUnavailable => rejected(Refusal::StoreUnavailable),
    }
}

pub(super) fn request_of(message: &FromTerminal) -> RequestId {
    match message {
        FromTerminal::SignIn(ask) => ask.request,
        FromTerminal::Resume(ask) => ask.request,
        FromTerminal::SignOut(ask) => ask.request,
        FromTerminal::WatchPresence(ask) => ask.request,
        FromTerminal::Invite(ask) => ask.request,
        FromTerminal::InviteDesk(ask) => ask.request,
        FromTerminal::Accept(ask) => ask.request,
        FromTerminal::Reject(ask) => ask.request,
        FromTerminal::Cancel(ask) => ask.request,
        FromTerminal::HangUp(ask) => ask.request,
        FromTerminal::ChangePassword(ask) => ask.request,
        FromTerminal::Hold(ask) => ask.request,
        FromTerminal::Mute(ask) => ask.request,
        FromTerminal::Share(ask) => ask.request,
        FromTerminal::ChooseLayer(ask) => ask.request,
        FromTerminal::AddMember(ask) => ask.request,
        FromTerminal::AddDesk(ask) => ask.request,
        FromTerminal::Merge(ask) => ask.request,
        FromTerminal::Listen(ask) => ask.request,
        FromTerminal::SetAway(ask) => ask.request,
        FromTerminal::Missed(ask) => ask.request,
        FromTerminal::EndWrapUp(ask) => ask.request,
        FromTerminal::ReportQuality(_) | FromTerminal::Ping(_) => RequestId(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::Live;
    use crate::clock::Clock;
    use crate::config::Config;
    use crate::coordinator::Coordinator;
    use crate::driver::{self, Core};
    use crate::entropy::Entropy;
    use crate::fleet::{Fleet, Generations};
    use crate::lives::{Lives, Sealer};
    use crate::metrics::Metrics;
    use crate::pki::CellSecret;
    use crate::records::Records;
    use crate::sessions::{AccountKey, Epochs};
    use crate::store::{Embedded, SharedStore};
    use core::future::poll_fn;
    use core::task::Poll;
    use kakehashi_wire::id::Term;
    use kakehashi_wire::id::{AccountId, DeviceId, TenantId};
    use kakehashi_wire::secret::ResumeToken;
    use std::pin::{Pin, pin};
    use std::sync::Arc;
    use std::time::Duration;

    fn core(folder: &tempfile::TempDir) -> Core {
        let store = Embedded::open(&folder.path().join("store")).unwrap();
        let store: SharedStore = Arc::new(store);
        let records = Arc::new(Records::new(Arc::clone(&store)));
        let settings = Config::default().core();
        let fleet = Fleet::new(Term::ALONE, Generations::new(1..2), Duration::from_secs(1));
        let core = Coordinator::new(settings, Entropy::system(), fleet);
        let sealer = Sealer::new(&CellSecret::new([7; 32]), Entropy::system());
        let lives = Arc::new(Lives::new(Arc::clone(&store), sealer));
        let metrics = Arc::new(Metrics::new());
        driver::start(core, Clock::start(), (records, lives), store, Vec::new(), metrics).0
    }

    fn arrival(session: u64, device: u64) -> Arrival {
        Arrival {
            session: SessionId(session),
            request: RequestId(1),
            account: AccountKey { tenant: TenantId(1), account: AccountId(1) },
            login: "a".into(),
            display: String::new(),
            role: Role::Store,
            device: DeviceId(device),
            software: String::new(),
            epochs: Epochs { tenant: 1, account: 1, devices: 0 },
            token: ResumeToken::none(),
            resumes: None,
            is_handed_over: false,
            is_away: false,
            seen_at: Host::UNKNOWN,
            agent: None,
        }
    }

    /// Whether no session is left before long.
    async fn ends(core: &Core) -> bool {
        for _ in 0..1000 {
            if core.sessions().await.unwrap().is_empty() {
                return true;
            }
            tokio::task::yield_now().await;
        }
        false
    }

    /// Lets an arrival reach the core, and nothing else run.
    async fn hand_over(mut arriving: Pin<&mut impl Future>) {
        poll_fn(|context| {
            assert!(arriving.as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
    }

    #[tokio::test]
    async fn a_session_whose_connection_gave_up_before_the_verdict_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let core = core(&folder);
        {
            let mut arriving = pin!(core.arrive(arrival(1, 1), Outbox::new().0));
            hand_over(arriving.as_mut()).await;
        }
        assert!(ends(&core).await);
    }

    #[tokio::test]
    async fn a_session_whose_connection_gave_up_beside_the_verdict_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let core = core(&folder);
        {
            let mut arriving = pin!(core.arrive(arrival(1, 1), Outbox::new().0));
            hand_over(arriving.as_mut()).await;
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            assert_eq!(core.sessions().await.unwrap().len(), 1, "the verdict waits to be read");
        }
        assert!(ends(&core).await);
    }

    #[tokio::test]
    async fn a_session_whose_connection_took_the_verdict_lasts() {
        let folder = tempfile::tempdir().unwrap();
        let core = core(&folder);
        let seat = core.arrive(arrival(1, 1), Outbox::new().0).await.unwrap().ok().unwrap();
        assert_eq!(seat.session(), SessionId(1));
        assert!(!ends(&core).await);
    }
}
