//! The machine's own packet filter as a door: the relay keeps two sets of a table of nftables, the
//! addresses at which terminals with a leg here are seen, and the operator's rules let only those
//! reach the media ports (`tuning/nftables`).
//!
//! Elements have a time-out and are put in again before it ends: a relay that is no more leaves
//! nothing open for long. Rules that are loaded anew have their addresses back within a moment. A
//! thread of its own speaks to the kernel; shards only leave word.

mod message;
#[cfg(test)]
mod tests;

use super::admission::Door;
use crate::capacity::{
    FIREWALL_ELEMENTS_PER_CHANGE, FIREWALL_LOOK, FIREWALL_LOOKS_PER_REFRESH, FIREWALL_PATIENCE,
    FIREWALL_TIMEOUT,
};
use core::time::Duration;
use kakehashi_wire::media::Host;
use message::{ALIGNMENT, Family, ask_for_element, ask_for_set, change};
use netlink_packet_core::NetlinkBuffer;
use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr};
use socket2::SockRef;
use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use thiserror::Error;

/// Why the packet filter cannot be a door.
#[derive(Debug, Error)]
pub enum FirewallError {
    /// The table, or one of its sets, is not there.
    #[error(
        "nftables has no set `{set}` in table `inet {table}`: load the rules first, as \
         `tuning/nftables/kakehashi.nft` has them, or change `firewall.table`"
    )]
    NoSet {
        /// The table that was named.
        table: String,
        /// The set that is missing.
        set: &'static str,
    },
    /// The process has no right to it.
    #[error(
        "this process may not change nftables: it lacks CAP_NET_ADMIN (systemd: \
         `AmbientCapabilities=CAP_NET_ADMIN`)"
    )]
    Rights,
    /// The kernel failed otherwise.
    #[error("nftables does not answer: {0}")]
    System(#[from] io::Error),
}

/// What shards have left word of.
#[derive(Default)]
struct Word {
    /// Who is to be let in.
    open_to: BTreeSet<Host>,
    /// Of whom that changed since the thread looked.
    changed: BTreeSet<Host>,
    is_over: bool,
}

#[derive(Default)]
struct Shared {
    word: Mutex<Word>,
    left: Condvar,
}

impl Shared {
    fn word(&self) -> MutexGuard<'_, Word> {
        // Sets are changed by single calls: whoever panicked left none half done.
        self.word.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leave(&self, what: impl FnOnce(&mut Word)) {
        what(&mut self.word());
        self.left.notify_one();
    }

    /// Waits for word, but no longer than `pause`.
    fn next(&self, pause: Duration) -> Next {
        let is_idle = |word: &mut Word| word.changed.is_empty() && !word.is_over;
        let waited = self.left.wait_timeout_while(self.word(), pause, is_idle);
        let (mut word, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        let (changed, is_over) = (core::mem::take(&mut word.changed), word.is_over);
        if is_over {
            let delete = word.open_to.union(&changed).copied().collect();
            return Next { add: Vec::new(), delete, is_idle: false, is_over };
        }
        let (add, delete) = changed.into_iter().partition(|host| word.open_to.contains(host));
        Next { add, delete, is_idle: waited.timed_out(), is_over }
    }
}

/// What the thread is to do next.
struct Next {
    /// Who is to be let in.
    add: Vec<Host>,
    /// Who no more; everybody at the end.
    delete: Vec<Host>,
    /// There was no word.
    is_idle: bool,
    is_over: bool,
}

/// The packet filter's sets, kept as long as this lives; emptied then.
pub(crate) struct Firewall {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// A way to leave word.
struct Doorbell(Arc<Shared>);

impl Door for Doorbell {
    fn let_in(&self, host: Host) {
        self.0.leave(|word| {
            word.open_to.insert(host);
            word.changed.insert(host);
        });
    }

    fn shut_out(&self, host: Host) {
        self.0.leave(|word| {
            word.open_to.remove(&host);
            word.changed.insert(host);
        });
    }
}

impl Firewall {
    /// Keeps the sets of `table` from now on.
    ///
    /// # Errors
    /// They are not there, or this process may not change them.
    pub(crate) fn start(table: &str) -> Result<Self, FirewallError> {
        let mut sets = Sets::open(table)?;
        sets.check()?;
        let shared = Arc::new(Shared::default());
        let left = Arc::clone(&shared);
        let thread =
            Builder::new().name("firewall".into()).spawn(move || keep(&mut sets, &left))?;
        tracing::info!(
            event = "firewall_used",
            table,
            "media is let in by nftables from where terminals are seen"
        );
        Ok(Self { shared, thread: Some(thread) })
    }

    /// The door to it.
    pub(crate) fn door(&self) -> Arc<dyn Door> {
        Arc::new(Doorbell(Arc::clone(&self.shared)))
    }
}

impl Drop for Firewall {
    fn drop(&mut self) {
        self.shared.leave(|word| word.is_over = true);
        // It ends by itself; how it broke off before, the log says.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Carries out what word was left of. Puts everything in anew before its time is over, and when
/// somebody has loaded the rules anew.
fn keep(sets: &mut Sets, shared: &Shared) {
    let (mut has_failed, mut looks, mut owed) = (false, 0, BTreeSet::new());
    loop {
        let Next { mut add, mut delete, is_idle, is_over } = shared.next(FIREWALL_LOOK);
        if is_idle {
            looks += 1;
            let first = shared.word().open_to.first().copied();
            let is_kept = first.is_none_or(|first| matches!(sets.has(first), Ok(true)));
            if is_kept && !has_failed && looks < FIREWALL_LOOKS_PER_REFRESH {
                continue;
            }
            let word = shared.word();
            delete.extend(owed.difference(&word.open_to));
            owed.clear();
            (looks, add) = (0, word.open_to.iter().copied().collect());
        }
        let done = sets.change(&add, &delete);
        if is_over {
            return;
        }
        match &done {
            Ok(()) if has_failed && is_idle => {
                tracing::info!(event = "firewall_regained", "nftables lets in whom it should again")
            }
            Err(error) if !has_failed => {
                tracing::error!(event = "firewall_differs", %error,
                    "nftables lets in others than it should: are the rules \
                    still loaded? It is tried again");
            }
            Ok(()) | Err(_) => {}
        }
        if done.is_err() {
            owed.extend(delete);
        }
        // Only then was everything put in that should be.
        has_failed = done.is_err() || has_failed && !is_idle;
    }
}

/// The two sets, as the kernel is spoken to about them.
struct Sets {
    table: String,
    socket: Socket,
    sequence: u32,
}

impl Sets {
    fn open(table: &str) -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_NETFILTER)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        SockRef::from(&socket).set_read_timeout(Some(FIREWALL_PATIENCE))?;
        Ok(Self { table: table.to_owned(), socket, sequence: 0 })
    }

    /// Whether both are there, and may be changed.
    fn check(&mut self) -> Result<(), FirewallError> {
        for family in Family::BOTH {
            let sequence = self.next();
            let request = ask_for_set(&self.table, family, sequence);
            match self.exchange(&request, 1) {
                Ok(()) => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {
                    return Err(FirewallError::NoSet {
                        table: self.table.clone(),
                        set: family.set(),
                    });
                }
                Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
                    return Err(FirewallError::Rights);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Whether an address is let in.
    fn has(&mut self, host: Host) -> io::Result<bool> {
        let sequence = self.next();
        match self.exchange(&ask_for_element(&self.table, host, sequence), 1) {
            Ok(()) => Ok(true),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Lets some in and others no more. The first error is returned when everything was tried.
    fn change(&mut self, add: &[Host], delete: &[Host]) -> io::Result<()> {
        let mut done = Ok(());
        for family in Family::BOTH {
            let of = |hosts: &[Host]| -> Vec<Host> {
                hosts.iter().copied().filter(|host| Family::of(*host) == family).collect()
            };
            let (add, delete) = (of(add), of(delete));
            let adds = add.chunks(FIREWALL_ELEMENTS_PER_CHANGE).map(|add| (add, &[][..]));
            let deletes = delete.chunks(FIREWALL_ELEMENTS_PER_CHANGE).map(|it| (&[][..], it));
            // Whoever is to be kept out first.
            for hosts in deletes.chain(adds) {
                let times = (FIREWALL_TIMEOUT, self.next());
                let (request, answers) = change(&self.table, family, hosts, times);
                let exchanged = self.exchange(&request, answers);
                done = done.and(exchanged);
            }
        }
        done
    }

    fn next(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    /// Sends a request and waits for its acknowledgements.
    fn exchange(&self, request: &[u8], mut answers: usize) -> io::Result<()> {
        self.socket.send(request, 0)?;
        while answers > 0 {
            let (datagram, _) = self.socket.recv_from_full()?;
            let mut rest = datagram.as_slice();
            while let Ok(message) = NetlinkBuffer::new_checked(rest) {
                // What answers an earlier request came too late.
                let is_ours = message.sequence_number() == self.sequence;
                if is_ours && i32::from(message.message_type()) == libc::NLMSG_ERROR {
                    match message.payload().first_chunk().copied().map(i32::from_ne_bytes) {
                        Some(0) => answers = answers.saturating_sub(1),
                        Some(code) => return Err(io::Error::from_raw_os_error(-code)),
                        None => return Err(io::ErrorKind::InvalidData.into()),
                    }
                }
                let length = usize::try_from(message.length()).unwrap_or(rest.len());
                rest = rest.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
            }
        }
        Ok(())
    }
}
