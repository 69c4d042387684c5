//! A relay of our own for one measurement: settings and orders in a temporary folder, a process
//! that ends with this value.

use crate::orders::Direct;
use anyhow::{Context, Result, bail, ensure};
use core::time::Duration;
use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

/// How long a relay may take to carry its orders out; a legs table of 100,000 takes a second.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// What a relay logs when it has carried its orders out.
const READY: &str = "orders carried out";

/// Below the range from which the kernel gives ports to others.
const PORTS: core::ops::Range<u16> = 20_000..32_000;
const PORT_TRIES: usize = 200;

/// Lines of its log that an error shows.
const LOG_LINES_SHOWN: usize = 5;

/// A running relay.
pub struct LocalRelay {
    process: Child,
    address: SocketAddr,
    log: Log,
    _folder: tempfile::TempDir,
}

impl LocalRelay {
    /// Starts `program` with the orders of `direct`, its shards on `cores` if any are given, and
    /// waits until it has carried them out.
    ///
    /// # Errors
    /// If it does not start, with the end of its log.
    pub fn start(program: &Path, direct: &Direct, cores: &[usize]) -> Result<Self> {
        let folder = tempfile::tempdir().context("no temporary folder to be had")?;
        let (orders, settings) = (folder.path().join("orders"), folder.path().join("relay.toml"));
        write_private(&orders, &direct.file()?)?;
        let first_port = free_ports(direct.shards)?;
        let legs_max = direct.legs.max(1);
        let text = format!(
            "listen_ip = \"127.0.0.1\"\nfirst_port = {first_port}\nshards = {}\n\
             cores = {cores:?}\nlegs_per_shard_max = {legs_max}\n",
            direct.shards
        );
        write_private(&settings, text.as_bytes())?;
        let mut process = Command::new(program)
            .arg("--config")
            .arg(&settings)
            .arg("--orders")
            .arg(&orders)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}: build it, or name it", program.display()))?;
        let stderr = process.stderr.take().context("its log is piped")?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, first_port));
        let log = Log::default();
        let told = log.follow(stderr);
        let relay = Self { process, address, log, _folder: folder };
        let why = match told.recv_timeout(READY_WITHIN) {
            Ok(()) => return Ok(relay),
            Err(mpsc::RecvTimeoutError::Timeout) => "is not ready after 60 s",
            Err(mpsc::RecvTimeoutError::Disconnected) => "ended",
        };
        bail!("{} {why}: {}", program.display(), relay.log.end())
    }

    /// Refuses a relay that has ended: what is lost then is no question of load.
    ///
    /// # Errors
    /// With the end of its log.
    pub fn check(&mut self) -> Result<()> {
        let ended = self.process.try_wait().context("cannot ask after the relay")?;
        ensure!(ended.is_none(), "the relay ended while it was driven: {}", self.log.end());
        Ok(())
    }

    /// Where its shard 0 listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for LocalRelay {
    fn drop(&mut self) {
        // It holds nothing that would be lost.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The program `name` beside this one.
///
/// # Errors
/// If there is none.
pub fn program_beside(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("this program does not know its own file")?;
    let path = own.with_file_name(name);
    ensure!(
        path.exists(),
        "there is no {name} beside {}: build it, or give its path",
        own.display()
    );
    Ok(path)
}

/// The last lines a relay has logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<VecDeque<String>>>);

impl Log {
    /// Reads on from now until the log ends; tells when the relay is ready.
    fn follow(&self, log: impl std::io::Read + Send + 'static) -> mpsc::Receiver<()> {
        let (tell, told) = mpsc::channel();
        let kept = self.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                if line.contains(READY) {
                    // Nobody listens for a second time.
                    let _ = tell.send(());
                }
                let mut kept = kept.0.lock().unwrap_or_else(PoisonError::into_inner);
                kept.push_back(line);
                if kept.len() > LOG_LINES_SHOWN {
                    kept.pop_front();
                }
            }
        });
        told
    }

    fn end(&self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

/// Writes a file that holds keys.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let written = options.open(path).and_then(|mut file| file.write_all(bytes));
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// The first of `count` UDP ports in a row that are free now; drawn, so that two programs that look
/// at the same time hardly find the same.
fn free_ports(count: u16) -> Result<u16> {
    let free = |port: u16| UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    for _ in 0..PORT_TRIES {
        let first = rand::random_range(PORTS.start..PORTS.end - count);
        if (first..first + count).all(free) {
            return Ok(first);
        }
    }
    bail!("no {count} free UDP ports in a row between {} and {}", PORTS.start, PORTS.end)
}
