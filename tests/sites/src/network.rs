//! Network namespaces: one for each site, one for each place where terminals are.

use anyhow::{Context, Result, anyhow, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use tokio::runtime::{Builder, Runtime};

/// Last byte of the address that a network has where others reach it.
pub(crate) const GATEWAY_HOST: u8 = 1;

/// Work for the thread inside a network.
type Job = Box<dyn FnOnce() + Send>;

/// A network namespace of its own, removed with the last holder.
#[derive(Clone)]
pub(crate) struct Network(Arc<Inner>);

struct Inner {
    name: String,
    number: u8,
    /// Taken by one thread that lives as long as the network: a process is told that its parent is
    /// gone when the thread that started it is.
    jobs: Sender<Job>,
}

impl Network {
    /// Makes the namespace `name`, number `number` of the test bed; one that an earlier run has
    /// left behind is removed first. It has no address yet.
    ///
    /// # Errors
    /// Without root's rights, or without `ip`.
    pub(crate) fn make(name: String, number: u8) -> Result<Self> {
        // There is usually none.
        let _absent = ip(&["netns", "delete", &name]);
        ip(&["netns", "add", &name])
            .context("network namespaces take root's rights: run this with sudo")?;
        let (jobs, queue) = channel();
        let network = Self(Arc::new(Inner { name, number, jobs }));
        let file = File::open(format!("/run/netns/{}", network.name()))
            .with_context(|| format!("cannot open the namespace {}", network.name()))?;
        std::thread::spawn(move || serve(&file, &queue));
        network.ip(&["link", "set", "lo", "up"])?;
        Ok(network)
    }

    /// The namespace's name, as `ip netns` shows it.
    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    /// The third byte of its addresses.
    pub(crate) fn number(&self) -> u8 {
        self.0.number
    }

    /// An address of this network.
    pub(crate) fn address(&self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.0.number, host)
    }

    /// Gives the network one more address and says which.
    ///
    /// # Errors
    /// If `ip` fails.
    pub(crate) fn add_address(&self, host: u8) -> Result<Ipv4Addr> {
        let address = self.address(host);
        self.ip(&["address", "add", &format!("{address}/32"), "dev", "lo"])?;
        Ok(address)
    }

    /// Runs `work` on the thread inside the network: sockets it opens and processes and threads it
    /// starts are there too.
    ///
    /// # Errors
    /// If the thread could not get there, or `work` panicked.
    pub(crate) fn inside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = channel();
        let job = Box::new(move || {
            // Whoever asked waits for it.
            let _waits = answer.send(work());
        });
        let gone = || anyhow!("nothing runs in the namespace {} any more", self.name());
        self.0.jobs.send(job).map_err(|_| gone())?;
        answered.recv().map_err(|_| gone())
    }

    /// A runtime whose threads, and so the sockets they open, are inside. What is only blocked on
    /// there is not: spawn it.
    ///
    /// # Errors
    /// If no thread can be had.
    pub(crate) fn runtime(&self) -> Result<Runtime> {
        let build = || Builder::new_multi_thread().worker_threads(1).enable_all().build();
        self.inside(build)?.with_context(|| format!("nothing can run in {}", self.name()))
    }

    /// Runs `ip` inside.
    ///
    /// # Errors
    /// If it says no.
    pub(crate) fn ip(&self, arguments: &[&str]) -> Result<()> {
        ip(&[&["-n", self.name()], arguments].concat())
    }
}

fn serve(namespace: &File, queue: &Receiver<Job>) {
    // Without it the queue closes, and whoever asks is told.
    if move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).is_ok() {
        queue.iter().for_each(|job| job());
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Whoever cannot remove it finds it at the next start.
        let _left = ip(&["netns", "delete", &self.name]);
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output();
    let output = output.context("cannot run `ip`: install Debian's iproute2")?;
    let why = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`ip {}` says: {}", arguments.join(" "), why.trim());
    Ok(())
}
