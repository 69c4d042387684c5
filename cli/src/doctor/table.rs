//! All that is looked at, in the order it is told in. Names stay: programs read them.

use super::item::{Item, Part};
use super::nic::PAST_KERNEL;
use super::{certificates, clocks, cpu, kernel, network, nic, store};
use kakehashi_relay::host::NIC_ITEMS;

const EACH: &[Part] = &[Part::Host, Part::Relay, Part::Control];
const MEDIA: &[Part] = &[Part::Host, Part::Relay];
const RELAY: &[Part] = &[Part::Relay];
const CONTROL: &[Part] = &[Part::Control];
const BOTH: &[Part] = &[Part::Relay, Part::Control];

/// What the NIC can do past the kernel is told last of a relay.
pub(super) const ITEMS: [Item; 29] = [
    Item {
        name: "kernel",
        of: EACH,
        declared: &[],
        why: "older ones lack what the relay's packet I/O is made of",
        look: kernel::version,
    },
    Item {
        name: "io-uring-switch",
        of: MEDIA,
        declared: &["kernel.io_uring_disabled"],
        why: "packets come and go over io_uring, which some distributions switch off",
        look: kernel::io_uring_switch,
    },
    Item {
        name: "io-uring",
        of: MEDIA,
        declared: &[],
        why: "a container's seccomp profile, or a limit, may forbid it all the same",
        look: kernel::io_uring,
    },
    Item {
        name: "locked-memory",
        of: MEDIA,
        declared: &["file limits.d/60-kakehashi.conf"],
        why: "rings, and the frames of a NIC's queues, count as locked memory",
        look: kernel::locked_memory,
    },
    Item {
        name: "open-files",
        of: EACH,
        declared: &["file limits.d/60-kakehashi.conf"],
        why: "each ring, socket and connection is an open file",
        look: kernel::open_files,
    },
    Item {
        name: "huge-pages",
        of: MEDIA,
        declared: &["sys /sys/kernel/mm/transparent_hugepage/enabled"],
        why: "the tables of legs are too large for what a core remembers of small pages",
        look: kernel::huge_pages,
    },
    Item {
        name: "receive-queue",
        of: EACH,
        declared: &["net.core.rmem_max", "file sysctl.d/60-kakehashi.conf"],
        why: "what arrives while a shard's core is elsewhere is lost beyond it",
        look: network::receive_queue,
    },
    Item {
        name: "send-queue",
        of: EACH,
        declared: &["net.core.wmem_max"],
        why: "what a shard sends at once is refused beyond it",
        look: network::send_queue,
    },
    Item {
        name: "backlog",
        of: MEDIA,
        declared: &["net.core.netdev_max_backlog"],
        why: "packets between two cores are lost beyond it",
        look: network::backlog,
    },
    Item {
        name: "reserved-ports",
        of: MEDIA,
        declared: &["net.ipv4.ip_local_reserved_ports"],
        why: "any program's outgoing connection may take a media port otherwise",
        look: network::reserved_ports,
    },
    Item {
        name: "neighbours",
        of: MEDIA,
        declared: &["net.ipv4.neigh.default.gc_thresh3"],
        why: "the machine forgets terminals of its own networks beyond it",
        look: network::neighbours,
    },
    Item {
        name: "nic-offloads",
        of: MEDIA,
        declared: &[
            "feature rx-checksumming",
            "feature tx-checksumming",
            "feature generic-receive-offload",
            "feature generic-segmentation-offload",
        ],
        why: "a train of packets costs as much as one packet if it is not taken apart",
        look: nic::offloads,
    },
    Item {
        name: "nic-queues",
        of: MEDIA,
        declared: &[],
        why: "each queue is served by one core at a time",
        look: nic::queues,
    },
    Item {
        name: "nic-rings",
        of: MEDIA,
        declared: &["ring rx", "ring tx"],
        why: "what arrives before a core comes to it is lost beyond it",
        look: nic::rings,
    },
    Item {
        name: "nic-interrupts",
        of: MEDIA,
        declared: &["irqs"],
        why: "an interrupt stops the shard on its core",
        look: nic::irqs,
    },
    Item {
        name: "irqbalance",
        of: MEDIA,
        declared: &["service irqbalance"],
        why: "it moves interrupts back to the cores of shards",
        look: nic::irqbalance,
    },
    Item {
        name: "cpu-governor",
        of: MEDIA,
        declared: &["cpu cpufreq/scaling_governor"],
        why: "a core that has slowed down is late with the first packets of a burst",
        look: cpu::governor,
    },
    Item {
        name: "shard-cores",
        of: RELAY,
        declared: &[],
        why: "a shard that shares its core waits for the other",
        look: cpu::shards,
    },
    Item {
        name: "smt",
        of: RELAY,
        declared: &[],
        why: "two threads of a core have half of its caches and units each",
        look: cpu::siblings,
    },
    Item {
        name: "isolated-cores",
        of: RELAY,
        declared: &[],
        why: "cores that are kept apart serve nobody unless they are named",
        look: cpu::isolated,
    },
    Item {
        name: "time-sync",
        of: EACH,
        declared: &[],
        why: "certificates and tokens have times, and records of several nodes are read together",
        look: clocks::kept,
    },
    Item {
        name: "clock-skew",
        of: BOTH,
        declared: &[],
        why: "what one machine has just signed is not good yet at another that is behind",
        look: clocks::skew,
    },
    Item {
        name: "disk-space",
        of: EACH,
        declared: &[],
        why: "a full disk refuses new calls and loses the log",
        look: store::room,
    },
    Item {
        name: "relay-certificate",
        of: RELAY,
        declared: &[],
        why: "control lets nobody else give orders, and no relay in without it",
        look: certificates::relay,
    },
    Item {
        name: "relay-ports",
        of: RELAY,
        declared: &[],
        why: "each shard has a UDP port to itself",
        look: network::relay_ports,
    },
    Item {
        name: "firewall-sets",
        of: RELAY,
        declared: &[],
        why: "with `firewall.table` the relay says who may reach the media ports",
        look: network::firewall,
    },
    Item {
        name: "control-certificates",
        of: CONTROL,
        declared: &[],
        why: "terminals and relays connect to nobody else",
        look: certificates::control,
    },
    Item {
        name: "control-ports",
        of: CONTROL,
        declared: &[],
        why: "terminals, relays, operators and other nodes connect there",
        look: network::control_ports,
    },
    Item {
        name: "store",
        of: CONTROL,
        declared: &[],
        why: "accounts, policy and live calls are in it",
        look: store::health,
    },
];

/// Why the NIC can be of use by itself.
const WHY_PAST: &str = "only for `io = \"xdp\"`: media past the kernel, over the NIC's own queues";

/// All items.
pub(super) fn all() -> impl Iterator<Item = Item> {
    let past = NIC_ITEMS.into_iter().zip(PAST_KERNEL);
    let past =
        past.map(|(name, look)| Item { name, of: RELAY, declared: &[], why: WHY_PAST, look });
    ITEMS.into_iter().chain(past)
}
