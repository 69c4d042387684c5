//! A platform on one side of a pair of virtual Ethernet devices, with terminals on the other: so
//! that the same can be tried with packets through the kernel, and past it.

use crate::children::{Lines, Program, pause};
use crate::platform::{Account, Platform};
use kakehashi_bench::medium::{Link, Medium, Pair, Side, may_make_namespaces};
use serde_json::Value;
use std::io::Write;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Longer than anything takes here.
const SOON: Duration = Duration::from_secs(30);

/// How long a call of [`call`] lasts.
pub const CALL_SECONDS: u64 = 6;

/// The devices that join both sides.
pub const PAIR: Pair = Pair::First;

/// Their name on either.
pub const NIC: &str = PAIR.device();

/// What a relay must have received before its share says anything.
const PACKETS_LEAST: u64 = 100;

/// Percent that must come past the kernel, and leave so: the first packet to each destination is
/// sent through it, since the relay must ask for the way.
const PAST_LEAST: u64 = 95;

/// Runs `test` with a platform of so many relays on the subject's side; the first moves packets as
/// `io` says, and the others through the kernel. Without root, what goes through the kernel has the
/// loopback device for both sides.
///
/// # Panics
/// If the sides cannot be made, or `test` panics.
pub fn with_platform(io: &str, relays: u16, test: impl FnOnce(&Platform, &Link) + Send) {
    with_options(io, &[], relays, test);
}

/// The same with further options of `kakehashi up`.
///
/// # Panics
/// As [`with_platform`].
pub fn with_options(
    io: &str,
    options: &[&str],
    relays: u16,
    test: impl FnOnce(&Platform, &Link) + Send,
) {
    let needs_no_root = io == "uring" && !may_make_namespaces();
    let medium = if needs_no_root { Medium::Loopback } else { Medium::Veth };
    let link = Link::new(medium, 0, 1).expect("two sides: as root, with iproute2");
    let tested = link.subject.run(|| {
        let options = [&["--io", io, "--interface", NIC], options].concat();
        test(&Platform::start_at(near(&link), relays, &options), &link);
        Ok(())
    });
    tested.expect("the test does not fail");
}

/// The address of the platform's side.
pub fn near(link: &Link) -> Ipv4Addr {
    link.addresses(PAIR).1
}

/// The address of the terminals' side.
pub fn far(link: &Link) -> Ipv4Addr {
    link.addresses(PAIR).0
}

/// Starts a program on one side.
///
/// # Panics
/// If it cannot be started.
pub fn start_on(side: &Side, command: &mut Command) -> (Program, Lines) {
    let started = side.run(|| {
        let mut program = Program::start(command.stdout(Stdio::piped()));
        let lines = Lines::of(program.stdout.take().expect("its output is piped"));
        Ok((program, lines))
    });
    started.expect("the side is there")
}

/// Runs `work` with all it starts, tasks and programs, on one side.
///
/// # Panics
/// If `work` does.
pub fn run_on<T: Send>(side: &Side, work: impl AsyncFnOnce() -> T + Send) -> T {
    let done = side.run(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        Ok(runtime.block_on(work()))
    });
    done.expect("what runs there does not fail")
}

/// Runs `test` with a platform whose media all moves as `io` says, `uring` or `xdp`, and sees to it
/// that it did.
///
/// # Panics
/// As [`with_platform`], and if packets went the other way.
pub fn with_media(io: &str, test: impl FnOnce(&Platform, &Link) + Send) {
    // A NIC is one relay's.
    let relays = if io == "xdp" { 1 } else { 2 };
    with_platform(io, relays, |platform, link| {
        test(platform, link);
        let counters = platform.counters();
        let count = |name| counters.get(name).copied().unwrap_or(0);
        let (all, past) = (count("packets_received"), count("packets_received_nic"));
        let (sent, sent_past) = (count("packets_sent"), count("packets_sent_nic"));
        println!("{io}: {past} of {all} received and {sent_past} of {sent} sent past the kernel");
        assert!(all > PACKETS_LEAST && sent > PACKETS_LEAST, "{counters:?}");
        if io == "xdp" {
            assert!(
                past * 100 >= all * PAST_LEAST && sent_past * 100 >= sent * PAST_LEAST,
                "{counters:?}"
            );
        } else {
            assert_eq!((past, sent_past), (0, 0));
        }
    });
}

/// The program of a terminal that speaks, and prints what happens line by line.
pub fn terminal(platform: &Platform, account: &Account) -> Command {
    let mut command = platform.terminal(account);
    command.args(["--json", "--loop", "--audio", "sample:speech"]);
    command
}

/// Two terminals on the far side that are in a call, the caller first.
pub struct Talking([(Program, Lines); 2]);

impl Talking {
    /// Has them call each other.
    ///
    /// # Panics
    /// If no media flows before long.
    pub fn start(platform: &Platform, far: &Side, seconds: u64) -> Self {
        let (store, concierge) = platform.add_pair();
        let mut waiting = terminal(platform, &concierge);
        waiting.args(["wait", "--calls", "1"]);
        let callee = start_on(far, &mut waiting);
        callee.1.until("\"signed_in\"", SOON);
        let mut calling = terminal(platform, &store);
        calling.args(["call", "concierge-1", "--seconds", &seconds.to_string()]);
        let caller = start_on(far, &mut calling);
        caller.1.until("\"flowing\"", SOON);
        Self([caller, callee])
    }

    /// What each of them received, when the call is over.
    ///
    /// # Panics
    /// If either did not end well.
    pub fn received(self) -> [Value; 2] {
        self.0.map(|(mut program, lines)| {
            let summary = lines.until("\"summary\"", SOON);
            let summary: Value = serde_json::from_str(&summary).expect("a line is JSON");
            assert!(program.wait().expect("it is our child").success(), "{summary}");
            summary["media"]["received"][0].clone()
        })
    }
}

/// Lets two terminals on the far side call each other while `meanwhile` happens; gives what each of
/// them received.
///
/// # Panics
/// As [`Talking`].
pub fn call(platform: &Platform, far: &Side, meanwhile: impl FnOnce()) -> [Value; 2] {
    let talking = Talking::start(platform, far, CALL_SECONDS);
    meanwhile();
    talking.received()
}

/// Sends so many datagrams from the far side to the first relay's media port.
///
/// # Panics
/// If they cannot be sent.
pub fn knock(link: &Link, platform: &Platform, datagrams: u64) {
    let at = (near(link), platform.media_port());
    let sent = link.load.run(|| {
        let socket = UdpSocket::bind((far(link), 0))?;
        for _ in 0..datagrams {
            socket.send_to(b"is anybody there?", at)?;
        }
        Ok(())
    });
    sent.expect("datagrams can be sent");
}

/// Waits a while until a counter of the relays stands at this, or above; gives where it stands.
pub fn counted(platform: &Platform, name: &str, least: u64) -> u64 {
    let value = || platform.counters().get(name).copied().unwrap_or(0);
    for _ in 0..100 {
        if value() >= least {
            break;
        }
        pause(Duration::from_millis(100));
    }
    value()
}

/// Runs `nft` with that input on the calling thread's side; returns what it printed.
///
/// # Panics
/// If it says no: without root's rights, or without Debian's nftables.
pub fn nft(arguments: &[&str], input: &str) -> String {
    let mut command = Command::new("nft");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("this needs `nft` (nftables)");
    let mut stdin = child.stdin.take().expect("its input is piped");
    stdin.write_all(input.as_bytes()).expect("it reads its input");
    drop(stdin);
    let output = child.wait_with_output().expect("it is our child");
    assert!(output.status.success(), "nft {arguments:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
