//! Choosing the provider of AES-GCM: by name from a configuration, or by a short measurement.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use kakehashi_wire::rtp::Ssrc;
use kakehashi_wire::secret::{MasterKey, Suite};

use crate::aead::Provider;
#[cfg(target_arch = "x86_64")]
use crate::aead::wide::WideKey;
use crate::auth::{AuthKeys, Authenticator};
use crate::index::PacketIndex;
use crate::keys::{Scratch, SessionKeys};

/// Rounds of a measurement. The best round counts, so that interruptions do not.
const ROUNDS: usize = 16;

/// Packets of each size in a round: a round takes some 10 µs, a measurement about a millisecond.
const PACKETS: u32 = 32;

/// Payload sizes measured: an audio packet and a video packet.
const PAYLOADS: [usize; 2] = [160, 1_200];

/// A name that is no provider's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnknownProvider;

impl fmt::Display for UnknownProvider {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("unknown provider; write \"vaes\", \"aes-gcm\" or \"aws-lc-rs\"")
    }
}

impl core::error::Error for UnknownProvider {}

impl FromStr for Provider {
    type Err = UnknownProvider;

    fn from_str(name: &str) -> Result<Self, UnknownProvider> {
        Self::ALL.into_iter().find(|provider| provider.name() == name).ok_or(UnknownProvider)
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}

/// What one provider took for the same work: audio and video packets in equal numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timing {
    /// Checking one packet's tag with the authenticator beside the provider, on average in the best
    /// round.
    pub authenticate: Duration,
    /// Sealing one packet, on average in the best round.
    pub seal: Duration,
}

/// What a start-up measurement found: a timing for each of [`Provider::ALL`] that this machine can
/// use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Measurement([Option<Timing>; Provider::ALL.len()]);

impl Measurement {
    /// The provider that takes less for one packet checked and one sealed; of equals the last,
    /// which is linked for TLS anyway. Where the processor has wide instructions, all check with
    /// the same authenticator and sealing decides.
    pub fn fastest(&self) -> Provider {
        let total = |timing: Timing| timing.authenticate.saturating_add(timing.seal);
        let last_first = self.timings().rev();
        last_first
            .min_by_key(|(_, timing)| total(*timing))
            .map_or(Provider::AwsLcRs, |(provider, _)| provider)
    }

    fn timings(&self) -> impl DoubleEndedIterator<Item = (Provider, Timing)> {
        Provider::ALL.into_iter().zip(self.0).filter_map(|(one, timing)| Some((one, timing?)))
    }
}

impl fmt::Display for Measurement {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (provider, timing)) in self.timings().enumerate() {
            let (authenticate, seal) = (timing.authenticate.as_nanos(), timing.seal.as_nanos());
            let and = if at == 0 { "" } else { "; " };
            write!(out, "{and}{provider} {authenticate} ns to authenticate, {seal} ns to seal")?;
        }
        Ok(())
    }
}

impl Provider {
    /// Every provider that may be chosen.
    pub const ALL: [Self; 3] = [Self::Vaes, Self::AesGcm, Self::AwsLcRs];

    /// Name in configurations and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vaes => "vaes",
            Self::AesGcm => "aes-gcm",
            Self::AwsLcRs => "aws-lc-rs",
            #[cfg(feature = "danger-null")]
            Self::Null => "null",
        }
    }

    /// Whether this machine can use it.
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Vaes => WideKey::is_available(),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Vaes => false,
            Self::AesGcm | Self::AwsLcRs => true,
            #[cfg(feature = "danger-null")]
            Self::Null => true,
        }
    }

    /// Measures all providers on this machine for about a millisecond and gives the fastest.
    /// `now` is a clock that never goes back.
    pub fn fastest(mut now: impl FnMut() -> Duration) -> (Self, Measurement) {
        let mut workload = Workload::new();
        let master = MasterKey::new(Suite::AeadAes128Gcm, &[7; 32], &[9; 12]);
        let keys = Self::ALL.map(|provider| {
            provider.is_available().then(|| {
                let authenticator = Authenticator::beside(provider);
                (SessionKeys::derive(provider, &master), AuthKeys::derive(authenticator, &master))
            })
        });
        let mut best = [None; Self::ALL.len()];
        // Round by round in turn, so that a change of the processor's clock meets all.
        for _ in 0..ROUNDS {
            for (keys, best) in keys.iter().zip(&mut best) {
                let Some(keys) = keys else { continue };
                let timing = workload.round(keys, &mut now);
                let so_far: Timing = best.unwrap_or(timing);
                *best = Some(Timing {
                    authenticate: so_far.authenticate.min(timing.authenticate),
                    seal: so_far.seal.min(timing.seal),
                });
            }
        }
        let measurement = Measurement(best);
        (measurement.fastest(), measurement)
    }
}

/// Packets to measure with.
struct Workload {
    header: [u8; 12],
    payload: [u8; PAYLOADS[1]],
    scratch: Scratch,
    sealed: u32,
}

impl Workload {
    fn new() -> Self {
        Self { header: [0x80; 12], payload: [0; PAYLOADS[1]], scratch: Scratch::new(), sealed: 0 }
    }

    fn round(
        &mut self,
        (session, auth): &(SessionKeys, AuthKeys),
        now: &mut impl FnMut() -> Duration,
    ) -> Timing {
        let mut timing = Timing { authenticate: Duration::ZERO, seal: Duration::ZERO };
        for bytes in PAYLOADS {
            let payload = &mut self.payload[..bytes];
            let mut last = None;
            let started = now();
            for _ in 0..PACKETS {
                self.sealed += 1;
                let place = (Ssrc(self.sealed), PacketIndex::new(0, 0));
                let nonce = session.rtp().nonce(place.0, place.1);
                last = Some((place, session.rtp().cipher().seal(nonce, &self.header, payload)));
            }
            let sealed = now();
            let (place, tag) = last.expect("invariant: a round has packets");
            for _ in 0..PACKETS {
                let verdict = auth.verify(place, &self.header, payload, tag, &mut self.scratch);
                core::hint::black_box(verdict).expect("invariant: it was sealed just before");
            }
            timing.authenticate += now().saturating_sub(sealed);
            timing.seal += sealed.saturating_sub(started);
        }
        let packets = PACKETS * 2;
        Timing { authenticate: timing.authenticate / packets, seal: timing.seal / packets }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for provider in Provider::ALL {
            assert_eq!(provider.to_string().parse(), Ok(provider));
        }
        assert_eq!("openssl".parse::<Provider>(), Err(UnknownProvider));
    }

    #[test]
    fn a_measurement_takes_the_best_round() {
        // The clock ticks 64 µs a reading: one for sealing and one for checking, per size.
        let mut ticks = 0;
        let (provider, measurement) = Provider::fastest(|| {
            ticks += 64;
            Duration::from_micros(ticks)
        });
        let timing =
            Timing { authenticate: Duration::from_micros(2), seal: Duration::from_micros(2) };
        let usable = Provider::ALL.map(|provider| provider.is_available().then_some(timing));
        assert_eq!(measurement, Measurement(usable));
        assert_eq!(provider, Provider::AwsLcRs, "equal: the one that is linked for TLS anyway");
        let text = measurement.to_string();
        assert!(text.ends_with("aws-lc-rs 2000 ns to authenticate, 2000 ns to seal"), "{text}");
    }

    #[test]
    fn the_fastest_wins_and_a_stopped_clock_does_no_harm() {
        let timing = |authenticate, seal| {
            let [authenticate, seal] = [authenticate, seal].map(Duration::from_nanos);
            Some(Timing { authenticate, seal })
        };
        let fastest = |timings| Measurement(timings).fastest();
        let other = timing(90, 90);
        assert_eq!(fastest([None, timing(80, 80), other]), Provider::AesGcm);
        assert_eq!(fastest([None, timing(89, 92), other]), Provider::AwsLcRs, "both count");
        assert_eq!(fastest([timing(70, 70), timing(80, 80), other]), Provider::Vaes);
        assert_eq!(fastest([None; 3]), Provider::AwsLcRs);
        assert_eq!(Provider::fastest(|| Duration::ZERO).0, Provider::AwsLcRs);
    }
}
