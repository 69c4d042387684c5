//! Strangers who sign in without end, with what anybody can have: no right password.
//!
//! They come from many loopback addresses, keep so many connections open as they may and try on
//! each as often as control lets them. Accounts that exist and that do not, in tenants that exist
//! and that do not, each with a device key that proves itself: nothing is refused for its form.

use crate::accounts::Control;
use crate::bare::{Device, Doors, Line, Names, PATIENCE, TRIES, local};
use anyhow::{Result, anyhow};
use kakehashi_wire::secret::Password;
use kakehashi_wire::terminal::{Refusal, ToTerminal};
use quinn::Connection;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Whom they pretend to be, and from where.
#[derive(Clone)]
pub struct Strangers {
    /// Where control is.
    pub control: Control,
    /// A tenant that exists.
    pub tenant: String,
    /// Accounts of it that exist.
    pub logins: Vec<String>,
    /// From so many addresses of 127.1.0.0/16.
    pub addresses: u16,
    /// So many connections at the same time.
    pub connections: usize,
}

/// What became of them.
#[derive(Default)]
pub struct Counts {
    /// Sign-ins answered with wrong credentials.
    pub wrong: AtomicU64,
    /// Sign-ins answered with busy.
    pub busy: AtomicU64,
    /// Sign-ins answered otherwise.
    pub other: AtomicU64,
    /// Connections that were made.
    pub connected: AtomicU64,
    /// Connections that were refused, given up, or ended before an answer.
    pub turned_away: AtomicU64,
}

impl Counts {
    /// Sign-ins that were answered.
    pub fn answered(&self) -> u64 {
        [&self.wrong, &self.busy, &self.other].map(read).iter().sum()
    }
}

/// A count as it stands.
pub fn read(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

/// A storm that goes on, on a thread of its own.
pub struct Storm {
    over: Arc<AtomicBool>,
    counts: Arc<Counts>,
    thread: JoinHandle<Result<()>>,
}

impl Storm {
    /// Begins it.
    ///
    /// # Errors
    /// If control is not on this machine, or there are no sockets or thread.
    pub fn start(strangers: Strangers) -> Result<Self> {
        local(&strangers.control)?;
        let (over, counts) = (Arc::new(AtomicBool::new(false)), Arc::new(Counts::default()));
        let (ends, counted) = (Arc::clone(&over), Arc::clone(&counts));
        let thread = std::thread::Builder::new().name("storm".into()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(rage(strangers, &ends, counted))
        })?;
        Ok(Self { over, counts, thread })
    }

    /// Ends it.
    ///
    /// # Errors
    /// If it could not be made.
    pub fn stop(self) -> Result<Arc<Counts>> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the storm's thread panicked"))??;
        Ok(self.counts)
    }
}

/// As many connections as there may be at the same time, the next as soon as one is over.
async fn rage(strangers: Strangers, over: &AtomicBool, counts: Arc<Counts>) -> Result<()> {
    let doors = Doors::open(&strangers.control, strangers.addresses, None)?;
    let slots = Arc::new(Semaphore::new(strangers.connections));
    let strangers = Arc::new(strangers);
    for nth in 0.. {
        let slot = Arc::clone(&slots).acquire_owned().await?;
        if over.load(Ordering::Relaxed) {
            break;
        }
        let connecting = doors.begin(nth)?;
        let (strangers, counts) = (Arc::clone(&strangers), Arc::clone(&counts));
        tokio::spawn(async move {
            let _slot = slot;
            let tried = async {
                let connection = connecting.await?;
                add(&counts.connected);
                try_as_often_as_may_be(connection, &strangers, &counts).await
            };
            if !matches!(timeout(PATIENCE * TRIES, tried).await, Ok(Ok(()))) {
                add(&counts.turned_away);
            }
        });
    }
    doors.close();
    Ok(())
}

async fn try_as_often_as_may_be(
    connection: Connection,
    strangers: &Strangers,
    counts: &Counts,
) -> Result<()> {
    let mut line = Line::open(connection).await?;
    for nth in 0..TRIES {
        let sign_in = Device::new()?.sign_in(&line, pretend(strangers), nth)?;
        line.say(sign_in).await?;
        let count = match line.hear().await? {
            ToTerminal::Refused(no) if no.reason == Refusal::BadCredentials => &counts.wrong,
            ToTerminal::Refused(no) if no.reason == Refusal::Busy => &counts.busy,
            _ => &counts.other,
        };
        add(count);
    }
    Ok(())
}

/// Half of them name a tenant that is not, a quarter an account that is not.
fn pretend(strangers: &Strangers) -> Names {
    let nobody = || format!("nobody-{:08x}", rand::random::<u32>());
    let which = usize::from(rand::random::<u8>());
    let login = strangers.logins.get(which % strangers.logins.len().max(1));
    let (tenant, login) = match which % 4 {
        0 | 1 => (nobody(), nobody()),
        2 => (strangers.tenant.clone(), nobody()),
        _ => (strangers.tenant.clone(), login.cloned().unwrap_or_else(nobody)),
    };
    let password = Password::new("the wrong password of a stranger".to_owned());
    Names { tenant, login, password }
}
