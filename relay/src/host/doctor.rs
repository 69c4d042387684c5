//! What the NIC can do for a relay with `io = "xdp"`, item by item: what is, what should be, and
//! what to type. It only reads: nothing is put on a NIC, which some drivers reset for it.

use super::{Nic, check_rights, find, forwards};
use crate::config::Config;
use crate::io::frame_bytes_for;
use xdp::nic::{NetdevCapabilities, NicIndex};

/// Whether an item will do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Judgement {
    /// As it should be.
    Good,
    /// It works, but not as well as it could.
    Lesser,
    /// `io = "xdp"` does not work.
    Missing,
    /// It cannot be read; the finding says why.
    Unknown,
}

/// An item that was looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// What: one of [`NIC_ITEMS`].
    pub item: &'static str,
    /// Whether it will do.
    pub judgement: Judgement,
    /// What is; why it is not known if it is not.
    pub is: String,
    /// What should be.
    pub should: &'static str,
    /// What to type, or to do; empty if nothing is to be done.
    pub fix: String,
}

/// All items, in the order of [`examine`].
pub const NIC_ITEMS: [&str; 8] = [
    "xdp-rights",
    "xdp-nic",
    "xdp-queues",
    "xdp-mtu",
    "xdp-program",
    "xdp-copies",
    "xdp-checksums",
    "xdp-forwarding",
];

/// What should be, in the order of [`NIC_ITEMS`].
const SHOULD: [&str; 8] = [
    "CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF",
    "an Ethernet device that terminals are reached through",
    "a receive queue for each shard",
    "packets that fit into a page",
    "runs in the driver",
    "none",
    "added up on the way",
    "off: unknown UDP is dropped in the driver",
];

/// What a judgement says beside itself: what is, and what to type.
type Said = (Judgement, String, String);

fn good(is: impl Into<String>) -> Said {
    (Judgement::Good, is.into(), String::new())
}

fn of_error(judgement: Judgement, error: &impl ToString) -> Said {
    (judgement, "not so".to_owned(), error.to_string())
}

/// Looks at everything a relay with these settings could use of a NIC.
#[must_use]
pub fn examine(config: &Config) -> Vec<Finding> {
    let rights = check_rights();
    let rights = rights.map_or_else(|lacks| of_error(Judgement::Missing, &lacks), |()| good("all"));
    let [nic, queues, mtu, program, copies, checksums] = nic(config);
    let said = [rights, nic, queues, mtu, program, copies, checksums, forwarding()];
    let items = NIC_ITEMS.into_iter().zip(SHOULD).zip(said);
    items
        .map(|((item, should), (judgement, is, fix))| Finding { item, judgement, is, should, fix })
        .collect()
}

fn forwarding() -> Said {
    match forwards() {
        false => good("off"),
        // A machine may have to: it is then as it should be, and costs more.
        true => (
            Judgement::Lesser,
            "on".to_owned(),
            "sysctl -w net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0".to_owned(),
        ),
    }
}

fn nic(config: &Config) -> [Said; 6] {
    let unknown = |why: &str| (Judgement::Unknown, why.to_owned(), String::new());
    let nic = match find(&config.xdp.interface, config.listen_ip) {
        Ok(nic) => nic,
        Err(error) => {
            let none = of_error(Judgement::Missing, &error);
            let rest = || unknown("it is not known which NIC is meant");
            return [none, rest(), rest(), rest(), rest(), rest()];
        }
    };
    let [program, copies, checksums] = match NicIndex::new(nic.index).query_capabilities() {
        Ok(can) => driver(&can),
        Err(error) => {
            let why = format!("the driver does not say ({error}): Linux before 6.3");
            [unknown(&why), unknown(&why), unknown(&why)]
        }
    };
    let mtu = match frame_bytes_for(&nic) {
        Ok(_) => good(nic.mtu.to_string()),
        Err(error) => (Judgement::Missing, nic.mtu.to_string(), error.to_string()),
    };
    [good(nic.name.clone()), queues(&nic, config.shards), mtu, program, copies, checksums]
}

fn queues(nic: &Nic, shards: u16) -> Said {
    let is = format!("{} for {shards} shards", nic.queues);
    match nic.queues >= u32::from(shards) {
        true => good(is),
        false => (Judgement::Missing, is, format!("ethtool -L {} combined {shards}", nic.name)),
    }
}

/// What the NIC's driver says it can.
fn driver(can: &NetdevCapabilities) -> [Said; 3] {
    let dear = "it costs more; an upgrade of kernel or driver, or another NIC, is the only remedy";
    let rate = |is_able: bool, able: &str, unable: &str| match is_able {
        true => good(able),
        false => (Judgement::Lesser, unable.to_owned(), dear.to_owned()),
    };
    let runs_it = can.xdp_features.basic() && can.xdp_features.redirect();
    let is_copied = !can.zero_copy.is_available();
    let sums = is_copied || can.tx_metadata.checksum();
    [
        rate(runs_it, "runs in the driver", "runs behind the driver"),
        rate(!is_copied, "none", "the kernel copies each packet"),
        rate(sums, "added up on the way", "added up by the relay"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::namespaces::{DEVICE, in_pair};

    fn of(found: &[Finding], item: &str) -> (Judgement, String) {
        let finding = found.iter().find(|finding| finding.item == item).unwrap();
        (finding.judgement, format!("{}; {}", finding.is, finding.fix))
    }

    #[test]
    fn a_pair_of_virtual_devices_is_described() {
        in_pair(|_| {
            let mut config = Config { shards: 2, ..Config::default() };
            config.xdp.interface = DEVICE.to_owned();
            let found = examine(&config);
            assert_eq!(found.iter().map(|it| it.item).collect::<Vec<_>>(), NIC_ITEMS);
            assert_eq!(of(&found, "xdp-nic"), (Judgement::Good, format!("{DEVICE}; ")));
            let (judgement, text) = of(&found, "xdp-queues");
            assert_eq!(judgement, Judgement::Missing);
            assert!(text.contains("; ethtool -L kk0 combined 2"), "{text}");
            assert_eq!(of(&found, "xdp-program").0, Judgement::Good);
            assert_eq!(of(&found, "xdp-copies").0, Judgement::Lesser);
            assert_eq!(of(&found, "xdp-checksums").0, Judgement::Good);
            for finding in &found {
                let is_well = finding.judgement == Judgement::Good;
                assert_eq!(is_well, finding.fix.is_empty(), "{finding:?}");
            }
        });
    }

    #[test]
    fn without_a_nic_it_says_what_to_set_and_claims_nothing() {
        in_pair(|_| {
            let mut config = Config::default();
            config.xdp.interface = "nowhere".to_owned();
            let found = examine(&config);
            let (judgement, text) = of(&found, "xdp-nic");
            assert_eq!(judgement, Judgement::Missing);
            assert!(text.contains("xdp.interface"), "{text}");
            for item in ["xdp-queues", "xdp-mtu", "xdp-program", "xdp-copies", "xdp-checksums"] {
                assert_eq!(of(&found, item).0, Judgement::Unknown, "{item}");
            }
        });
    }
}
