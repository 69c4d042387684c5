//! The wide-area network between the places: a TUN device in each, and this process between them.
//!
//! Delay, loss and cuts are made here and not by the kernel's `netem`, which not every kernel has,
//! and which cannot cut one way of a link and leave the other.

mod underway;
mod weather;

pub(crate) use weather::{Place, Way, Weather};

use crate::clock::now;
use crate::network::{GATEWAY_HOST, Network};
use anyhow::{Context, Result};
use core::time::Duration;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tun_rs::{DeviceBuilder, SyncDevice};
use underway::UnderWay;

/// The device's name in every place.
const DEVICE: &str = "wan0";

/// Largest packet: what most lines carry.
const MTU: u16 = 1_500;

/// A running wide-area network. Its threads end with the process.
#[derive(Clone)]
pub(crate) struct Wan(Arc<Shared>);

struct Shared {
    begun: Instant,
    state: Mutex<State>,
    more: Condvar,
    devices: Vec<SyncDevice>,
}

struct State {
    weather: Weather,
    under_way: UnderWay,
}

impl Wan {
    /// Joins `networks`; the first is place 0, and so on.
    ///
    /// # Errors
    /// If a device cannot be made: that takes root, or a user namespace with one's own networks.
    pub(crate) fn between(networks: &[Network], weather: Weather) -> Result<Self> {
        let devices = networks.iter().map(device).collect::<Result<Vec<_>>>()?;
        let state = State { weather, under_way: UnderWay::default() };
        let wan = Self(Arc::new(Shared {
            begun: now(),
            state: Mutex::new(state),
            more: Condvar::new(),
            devices,
        }));
        for place in 0..networks.len() {
            let shared = Arc::clone(&wan.0);
            let from = Place(u8::try_from(place).context("there are few places")?);
            std::thread::spawn(move || shared.take_in(from));
        }
        let shared = Arc::clone(&wan.0);
        std::thread::spawn(move || shared.carry());
        Ok(wan)
    }

    /// Changes the weather; packets that are under way arrive as they would have.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Weather)) {
        change(&mut self.0.lock().weather);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Takes in what one place sends.
    fn take_in(&self, from: Place) {
        let Some(device) = self.devices.get(usize::from(from.0)) else { return };
        let mut packet = vec![0; usize::from(MTU)];
        // An error means that the device is gone, and its place with it.
        while let Ok(length) = device.recv(&mut packet) {
            let bytes = packet.get(..length).unwrap_or_default();
            let Some(to) = destination(bytes) else { continue };
            let now = self.now();
            let mut state = self.lock();
            let set_out = match state.weather.passes(from, to) {
                Some(delay) => state.under_way.set_out(to, now + delay, bytes.to_vec()),
                None => false,
            };
            drop(state);
            if set_out {
                self.more.notify_one();
            }
        }
    }

    /// Hands out what has arrived.
    fn carry(&self) {
        let mut state = self.lock();
        loop {
            if let Some((to, bytes)) = state.under_way.arrived(self.now()) {
                drop(state);
                // A place with a full queue loses it, as a real line does.
                let _lost = self.devices.get(usize::from(to.0)).map(|device| device.send(&bytes));
                state = self.lock();
                continue;
            }
            let wait = state.under_way.next_due().map(|due| due.saturating_sub(self.now()));
            state = match wait {
                Some(wait) => {
                    let waited = self.more.wait_timeout(state, wait);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.more.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

/// The place an IPv4 packet is for: networks have the number of their place, plus one, as the third
/// byte of their addresses.
fn destination(packet: &[u8]) -> Option<Place> {
    let version = packet.first()? >> 4;
    let network = *packet.get(18)?;
    (version == 4).then(|| network.checked_sub(1).map(Place))?
}

fn device(network: &Network) -> Result<SyncDevice> {
    let made = network.inside(|| {
        DeviceBuilder::new().name(DEVICE).mtu(MTU).layer(tun_rs::Layer::L3).build_sync()
    })?;
    let device = made.with_context(|| format!("no TUN device in {}", network.name()))?;
    network.ip(&["link", "set", DEVICE, "up"])?;
    let source = network.add_address(GATEWAY_HOST)?.to_string();
    network.ip(&["route", "add", "10.77.0.0/16", "dev", DEVICE, "src", &source])?;
    Ok(device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_byte_of_the_address_names_the_place() {
        let mut packet = [0; 20];
        packet[0] = 0x45;
        packet[16..].copy_from_slice(&[10, 77, 3, 20]);
        assert_eq!(destination(&packet), Some(Place(2)));
        packet[18] = 0;
        assert_eq!(destination(&packet), None);
        packet[0] = 0x60;
        assert_eq!(destination(&packet), None);
        assert_eq!(destination(&packet[..18]), None);
    }
}
