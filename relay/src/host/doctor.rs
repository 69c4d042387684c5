//! What this machine can do for a relay, item by item: what is, whether that will do, and what to
//! type if it will not. It only reads: nothing is put on a NIC, which some drivers reset for it.

use super::{check, check_rights, find, forwards};
use crate::config::Config;
use crate::io::frame_bytes_for;
use std::fs;
use xdp::nic::{NetdevCapabilities, NicIndex};

/// Where the kernel says how many neighbours it remembers.
const NEIGHBOURS_MAX: &str = "/proc/sys/net/ipv4/neigh/default/gc_thresh3";

/// Neighbours that do for a relay in its terminals' own network; behind routers two do.
const NEIGHBOURS_WANTED: u32 = 8_192;

/// Whether an item will do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Judgement {
    /// As it should be.
    Good,
    /// It works, but not as well as it could.
    Lesser,
    /// What it is needed for does not work.
    Missing,
}

impl Judgement {
    /// A word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Lesser => "lesser",
            Self::Missing => "missing",
        }
    }
}

/// An item that was looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// What.
    pub item: &'static str,
    /// What it is for.
    pub needed_for: &'static str,
    /// Whether it will do.
    pub judgement: Judgement,
    /// What is.
    pub is: String,
    /// What to do about it; empty if nothing is to be done.
    pub advice: String,
}

const ALWAYS: &str = "any relay";
const XDP: &str = "io = \"xdp\"";

impl Finding {
    fn good(item: &'static str, needed_for: &'static str, is: impl Into<String>) -> Self {
        Self { item, needed_for, judgement: Judgement::Good, is: is.into(), advice: String::new() }
    }

    /// Whether no relay runs without it.
    #[must_use]
    pub fn is_for_all(&self) -> bool {
        self.needed_for == ALWAYS
    }

    fn otherwise(self, judgement: Judgement, advice: impl Into<String>) -> Self {
        Self { judgement, advice: advice.into(), ..self }
    }
}

/// Looks at everything a relay with these settings could use.
#[must_use]
pub fn examine(config: &Config) -> Vec<Finding> {
    let mut found = vec![of_result("io_uring", ALWAYS, check(), "allowed")];
    found.push(of_result("rights", XDP, check_rights(), "all that are needed"));
    found.extend(nic(config));
    found.push(neighbours());
    let forwarding = Finding::good("forwarding", XDP, "off: unknown UDP is dropped in the driver");
    found.push(match forwards() {
        false => forwarding,
        true => Finding { is: "on".to_owned(), ..forwarding }.otherwise(
            Judgement::Lesser,
            "UDP that nobody listens to goes to the kernel, since this machine forwards for \
             others; if it need not: `sysctl -w net.ipv4.ip_forward=0 \
             net.ipv6.conf.all.forwarding=0`",
        ),
    });
    found
}

fn of_result(
    item: &'static str,
    needed_for: &'static str,
    result: Result<(), impl ToString>,
    good: &str,
) -> Finding {
    match result {
        Ok(()) => Finding::good(item, needed_for, good),
        Err(error) => Finding::good(item, needed_for, "not allowed")
            .otherwise(Judgement::Missing, error.to_string()),
    }
}

fn nic(config: &Config) -> Vec<Finding> {
    let nic = match find(&config.xdp.interface, config.listen_ip) {
        Ok(nic) => nic,
        Err(error) => {
            let none = Finding::good("NIC", XDP, "not known");
            return vec![none.otherwise(Judgement::Missing, error.to_string())];
        }
    };
    let mut found = vec![Finding::good("NIC", XDP, nic.name.clone())];
    let queues = Finding::good("receive queues", XDP, nic.queues.to_string());
    found.push(match nic.queues >= u32::from(config.shards) {
        true => queues,
        false => queues.otherwise(
            Judgement::Missing,
            format!("one for each shard: `ethtool -L {} combined {}`", nic.name, config.shards),
        ),
    });
    let mtu = Finding::good("MTU", XDP, nic.mtu.to_string());
    found.push(match frame_bytes_for(&nic) {
        Ok(_) => mtu,
        Err(error) => mtu.otherwise(Judgement::Missing, error.to_string()),
    });
    match NicIndex::new(nic.index).query_capabilities() {
        Ok(can) => found.extend(driver(&can)),
        Err(error) => found.push(Finding::good("driver", XDP, "not known").otherwise(
            Judgement::Lesser,
            format!(
                "it does not say what it can ({error}): Linux before 6.3; `io = \"auto\"` tries"
            ),
        )),
    }
    found
}

/// What the NIC's driver says it can.
fn driver(can: &NetdevCapabilities) -> Vec<Finding> {
    let dear = "it costs more; an upgrade of kernel or driver, or another NIC, is the only remedy";
    let rate = |item, is_able: bool, able: &str, unable: &str| match is_able {
        true => Finding::good(item, XDP, able),
        false => Finding::good(item, XDP, unable).otherwise(Judgement::Lesser, dear),
    };
    let runs_it = can.xdp_features.basic() && can.xdp_features.redirect();
    let is_copied = !can.zero_copy.is_available();
    let sums = is_copied || can.tx_metadata.checksum();
    vec![
        rate("program", runs_it, "runs in the driver", "runs behind the driver"),
        rate("copies", !is_copied, "none", "the kernel copies each packet"),
        rate("checksums", sums, "added up on the way", "added up by the relay"),
    ]
}

fn neighbours() -> Finding {
    let limit = fs::read_to_string(NEIGHBOURS_MAX).ok().and_then(|text| text.trim().parse().ok());
    let is = limit.map_or_else(|| "not known".to_owned(), |limit: u32| limit.to_string());
    let finding = Finding::good("neighbours", XDP, is);
    match limit {
        Some(limit) if limit >= NEIGHBOURS_WANTED => finding,
        None => finding.otherwise(
            Judgement::Lesser,
            "only the machine's own network namespace shows the limit: look there",
        ),
        Some(_) => finding.otherwise(
            Judgement::Lesser,
            format!(
                "more terminals in the relay's own network go through the kernel: `sysctl -w \
                 net.ipv4.neigh.default.gc_thresh3={NEIGHBOURS_WANTED}`"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::namespaces::{DEVICE, in_pair};

    fn of(found: &[Finding], item: &str) -> (Judgement, String) {
        let finding = found.iter().find(|finding| finding.item == item).unwrap();
        (finding.judgement, format!("{}; {}", finding.is, finding.advice))
    }

    #[test]
    fn a_pair_of_virtual_devices_is_described() {
        in_pair(|_| {
            let mut config = Config { shards: 2, ..Config::default() };
            config.xdp.interface = DEVICE.to_owned();
            let found = examine(&config);
            assert_eq!(of(&found, "io_uring").0, Judgement::Good);
            assert_eq!(of(&found, "NIC"), (Judgement::Good, format!("{DEVICE}; ")));
            let (judgement, text) = of(&found, "receive queues");
            assert_eq!(judgement, Judgement::Missing);
            assert!(text.contains("`ethtool -L kk0 combined 2`"), "{text}");
            assert_eq!(of(&found, "program").0, Judgement::Good);
            assert_eq!(of(&found, "copies").0, Judgement::Lesser);
            assert_eq!(of(&found, "checksums").0, Judgement::Good);
            for finding in &found {
                let is_good = finding.judgement == Judgement::Good;
                assert_eq!(is_good, finding.advice.is_empty(), "{finding:?}");
            }
        });
    }

    #[test]
    fn without_a_nic_it_says_what_to_set() {
        in_pair(|_| {
            let mut config = Config::default();
            config.xdp.interface = "nowhere".to_owned();
            let (judgement, text) = of(&examine(&config), "NIC");
            assert_eq!(judgement, Judgement::Missing);
            assert!(text.contains("xdp.interface"), "{text}");
        });
    }
}
