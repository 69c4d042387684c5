//! The members of the cluster: which is asked, and which next if it does not answer.
//!
//! Each has a client of its own, so that a member that stalls is noticed by who asked it, and never
//! chosen by chance. A read is asked of one after another, each a little after the one before,
//! until one answers: of a member that was cut off no answer comes. A write goes on only while no
//! member can have taken it: otherwise its asker is told that this is not known.
//!
//! Whoever answered last is asked first. A read now and then tries the first of the settings again.

use super::fault::Failure;
use crate::capacity::{
    STORE_ANSWER_BYTES_MAX, STORE_ANSWER_TIMEOUT, STORE_CONNECT_TIMEOUT, STORE_HOME_AGAIN,
    STORE_REPEAT_AFTER, STORE_REQUEST_TIMEOUT, STORE_RETRY,
};
use crate::store::StoreError;
use crate::store::settings::EtcdSettings;
use core::pin::Pin;
use core::time::Duration;
use etcd_client::{
    Certificate, Client, ConnectOptions, Error, Identity, KvClient, TlsOptions, WatchOptions,
    WatchStream,
};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use zeroize::Zeroizing;

/// A request that is under way to one member.
pub(super) type Asked<T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;

/// Whether it does harm to ask twice.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// No.
    Read,
    /// Yes.
    Write,
}

/// All members.
pub(super) struct Members {
    members: Vec<Member>,
    options: ConnectOptions,
    /// Which of them answered last.
    first: AtomicUsize,
    began: Instant,
    /// When the first of the settings is tried again, in milliseconds since then.
    home_again_ms: AtomicU64,
}

struct Member {
    endpoint: String,
    client: OnceCell<Client>,
}

impl Members {
    /// The members that `settings` name. None is connected to yet.
    pub(super) fn new(settings: &EtcdSettings) -> Result<Self, StoreError> {
        let member =
            |endpoint: &String| Member { endpoint: endpoint.clone(), client: OnceCell::new() };
        Ok(Self {
            members: settings.endpoints.iter().map(member).collect(),
            options: options(settings)?,
            first: AtomicUsize::new(0),
            began: Instant::now(),
            home_again_ms: AtomicU64::new(0),
        })
    }

    /// Asks until a member answers or [`STORE_REQUEST_TIMEOUT`] is over.
    pub(super) async fn ask<T>(
        &self,
        kind: Kind,
        question: impl Fn(KvClient) -> Asked<T> + Sync,
    ) -> Result<T, Failure> {
        let until = Instant::now() + STORE_REQUEST_TIMEOUT;
        match kind {
            Kind::Read => self.read(until, &question).await,
            Kind::Write => self.write(until, &question).await,
        }
    }

    /// Who is asked first: once in [`STORE_HOME_AGAIN`] the first of the settings.
    fn first_for_read(&self) -> usize {
        let first = self.first.load(Ordering::Relaxed);
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (now, due) = (ms(self.began.elapsed()), self.home_again_ms.load(Ordering::Relaxed));
        if first == 0 || now < due {
            return first;
        }
        let next = now + ms(STORE_HOME_AGAIN);
        let (order, home_again) = (Ordering::Relaxed, &self.home_again_ms);
        // Only one read may have to wait for it.
        if home_again.compare_exchange(due, next, order, order).is_ok() { 0 } else { first }
    }

    /// Asks the next member as soon as one fails, or has not answered for a while.
    async fn read<T>(
        &self,
        until: Instant,
        question: &(impl Fn(KvClient) -> Asked<T> + Sync),
    ) -> Result<T, Failure> {
        let (count, first) = (self.members.len(), self.first_for_read());
        let mut last = "no member is named".to_owned();
        let mut under_way = FuturesUnordered::new();
        let (mut n, mut next_at) = (0, Instant::now());
        loop {
            tokio::select! {
                () = sleep_until(until) => {
                    return Err(Failure::Final(StoreError::Unavailable { what: last }));
                }
                Some((at, answer)) = under_way.next() => match answer {
                    Err(Failure::NotDone(what) | Failure::Unknown(what)) => {
                        last = self.said(at, &what);
                        // All have been asked: they get time to find a leader.
                        let pause = if n % count == 0 { STORE_RETRY } else { Duration::ZERO };
                        next_at = next_at.min(Instant::now() + pause);
                    }
                    answer => {
                        self.first.store(at, Ordering::Relaxed);
                        return answer;
                    }
                },
                () = sleep_until(next_at), if under_way.len() < 2 * count => {
                    let at = (first + n) % count;
                    under_way.push(async move { (at, self.ask_one(at, question).await) });
                    (n, next_at) = (n + 1, Instant::now() + STORE_REPEAT_AFTER);
                }
            }
        }
    }

    /// Asks one member after another, while none can have done it.
    async fn write<T>(
        &self,
        until: Instant,
        question: &(impl Fn(KvClient) -> Asked<T> + Sync),
    ) -> Result<T, Failure> {
        loop {
            let mut last = "no member is named".to_owned();
            let first = self.first.load(Ordering::Relaxed);
            for n in 0..self.members.len() {
                let at = (first + n) % self.members.len();
                match self.ask_one(at, question).await {
                    Err(Failure::NotDone(what)) => last = self.said(at, &what),
                    Err(Failure::Unknown(what)) => {
                        self.pass_over(at);
                        let what = self.said(at, &what);
                        return Err(Failure::Final(StoreError::Unsure { what }));
                    }
                    answer => {
                        self.first.store(at, Ordering::Relaxed);
                        return answer;
                    }
                }
                if Instant::now() >= until {
                    break;
                }
            }
            if Instant::now() + STORE_RETRY >= until {
                return Err(Failure::Final(StoreError::Unavailable { what: last }));
            }
            sleep(STORE_RETRY).await;
        }
    }

    async fn ask_one<T>(
        &self,
        at: usize,
        question: &(impl Fn(KvClient) -> Asked<T> + Sync),
    ) -> Result<T, Failure> {
        let client = self.client(at).await.map_err(Failure::unsent)?;
        let kv = client.kv_client().max_decoding_message_size(STORE_ANSWER_BYTES_MAX);
        match timeout(STORE_ANSWER_TIMEOUT, question(kv)).await {
            Ok(answer) => answer.map_err(|error| Failure::of(&error)),
            Err(_late) => Err(Failure::silence()),
        }
    }

    /// A watch at the first member that takes it, and which that is.
    pub(super) async fn watch(
        &self,
        key: &str,
        options: &WatchOptions,
    ) -> Result<(WatchStream, usize), Failure> {
        let mut last = Failure::silence();
        let first = self.first.load(Ordering::Relaxed);
        for n in 0..self.members.len() {
            let at = (first + n) % self.members.len();
            let opened = async {
                let client = self.client(at).await?;
                let mut watching =
                    client.watch_client().max_decoding_message_size(STORE_ANSWER_BYTES_MAX);
                let opening = watching.watch(key, Some(options.clone()));
                let opened = timeout(STORE_ANSWER_TIMEOUT, opening).await;
                opened.map_err(|_late| Failure::silence())?.map_err(|error| Failure::of(&error))
            };
            match opened.await {
                Ok(stream) => return Ok((stream, at)),
                Err(failure) => last = failure,
            }
        }
        Err(last)
    }

    /// Another member than `at` is asked first from now on.
    pub(super) fn pass_over(&self, at: usize) {
        let next = (at + 1) % self.members.len();
        // Whoever is no longer first was passed over by somebody else.
        let _ = self.first.compare_exchange(at, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// What each member says of itself, in the order of the settings.
    pub(super) async fn status(
        &self,
    ) -> Vec<(String, Result<etcd_client::StatusResponse, Failure>)> {
        let mut all = Vec::with_capacity(self.members.len());
        for (at, member) in self.members.iter().enumerate() {
            let asked = async {
                let mut client = self.client(at).await?.maintenance_client();
                let answer = timeout(STORE_ANSWER_TIMEOUT, client.status()).await;
                answer.map_err(|_late| Failure::silence())?.map_err(|error| Failure::of(&error))
            };
            all.push((member.endpoint.clone(), asked.await));
        }
        all
    }

    async fn client(&self, at: usize) -> Result<&Client, Failure> {
        let member = &self.members[at];
        let connecting = member.client.get_or_try_init(|| async {
            // With a user, this is where the password is checked.
            Client::connect([&member.endpoint], Some(self.options.clone())).await
        });
        match timeout(STORE_ANSWER_TIMEOUT, connecting).await {
            Ok(client) => client.map_err(|error| Failure::of(&error)),
            Err(_late) => Err(Failure::silence()),
        }
    }

    fn said(&self, at: usize, what: &str) -> String {
        format!("{}: {what}", self.members[at].endpoint)
    }
}

fn options(settings: &EtcdSettings) -> Result<ConnectOptions, StoreError> {
    let mut options = ConnectOptions::new()
        .with_connect_timeout(STORE_CONNECT_TIMEOUT)
        .with_require_leader(true)
        .with_auto_token_refresh(true);
    if !settings.user.is_empty() {
        let password = Zeroizing::new(read(&settings.password_file)?);
        let password = String::from_utf8_lossy(&password);
        options = options.with_user(settings.user.clone(), password.trim_end());
    }
    if settings.endpoints.iter().any(|endpoint| endpoint.starts_with("https://")) {
        options = options.with_tls(tls(settings)?);
    }
    Ok(options)
}

fn tls(settings: &EtcdSettings) -> Result<TlsOptions, StoreError> {
    let mut tls = TlsOptions::new().ca_certificate(Certificate::from_pem(read(&settings.ca)?));
    if !settings.certificate.as_os_str().is_empty() {
        let key = Zeroizing::new(read(&settings.key)?);
        tls = tls.identity(Identity::from_pem(read(&settings.certificate)?, &*key));
    }
    Ok(tls)
}

fn read(path: &Path) -> Result<Vec<u8>, StoreError> {
    std::fs::read(path).map_err(|error| StoreError::Refused {
        what: format!("cannot read {}: {error}", path.display()),
    })
}
