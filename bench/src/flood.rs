//! Garbage for the subject's media port, from addresses where nobody has a leg.

use crate::frame::header;
use crate::frames::{BATCH, FrameWay, open_on, send_frames};
use crate::workload::Workload;
use anyhow::Result;
use core::net::{Ipv4Addr, SocketAddrV4};
use core::time::Duration;
use nix::sys::socket::MultiHeaders;
use rand::RngExt;
use std::os::fd::OwnedFd;

/// Different frames, each from an address of its own.
const FRAMES: usize = 1_024;

/// Calls that one [`Flood::send`] makes at most, so that what is beside it is sent in time.
const CALLS_MAX: usize = 4;

/// A generator of garbage.
pub struct Flood {
    socket: OwnedFd,
    headers: MultiHeaders<()>,
    frames: Vec<Vec<u8>>,
    next: usize,
    /// Packets a second.
    rate: f64,
    started: Option<Duration>,
    /// Packets sent.
    pub sent: u64,
}

impl Flood {
    /// A flood of `rate` packets a second, as long as those of `workload` and like RTP at first
    /// sight, for the port that `ends` send to.
    ///
    /// # Errors
    /// If there is no right to send frames.
    pub fn new(way: FrameWay, workload: &Workload, to: SocketAddrV4, rate: f64) -> Result<Self> {
        let mut random = rand::rng();
        let frame = |_| {
            let [a, b, c, d] = way.ip.octets();
            // The ends' own address and those of the two sides are none of them.
            let host = random.random_range(d + 1..255);
            let from = SocketAddrV4::new(
                Ipv4Addr::new(a, b, c, host),
                random.random_range(1_024..=u16::MAX),
            );
            let mut frame =
                header((way.mac, way.subject), (from, to), workload.packet_bytes)?.to_vec();
            let start = frame.len();
            frame.resize(start + workload.packet_bytes, 0);
            random.fill(&mut frame[start..]);
            // Version 2, no padding, no extension, no sources; a payload type of audio.
            frame[start..start + 2].copy_from_slice(&[0x80, 0x08]);
            Ok(frame)
        };
        let frames = (0..FRAMES).map(frame).collect::<Result<_>>()?;
        let (socket, headers) =
            (open_on(way.device, None)?, MultiHeaders::preallocate(BATCH, None));
        Ok(Self { socket, headers, frames, next: 0, rate, started: None, sent: 0 })
    }

    /// Sends what is due.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn send(&mut self, now: Duration) -> Result<()> {
        let started = *self.started.get_or_insert(now);
        for _ in 0..CALLS_MAX {
            let due = (now - started).as_secs_f64() * self.rate;
            if crate::measure::as_f64(self.sent) >= due {
                break;
            }
            let batch = self.frames[self.next..self.next + BATCH].iter().map(Vec::as_slice);
            send_frames(&self.socket, &mut self.headers, batch)?;
            self.next = (self.next + BATCH) % FRAMES;
            self.sent += BATCH as u64;
        }
        Ok(())
    }
}

const _: () = assert!(FRAMES.is_multiple_of(BATCH));
