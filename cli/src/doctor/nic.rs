//! The NIC as the kernel drives it, and what it can do past the kernel.

use super::item::Seen;
use super::machine::{Machine, Read, Unread, expand};
use super::scene::Scene;
use super::wanted;
use kakehashi_relay::config::IoChoice;
use kakehashi_relay::host::{Judgement, NIC_ITEMS};

/// The value of `name` in what `ethtool` says, a line each.
fn feature<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let value = text.lines().filter_map(|line| line.trim().split_once(':'));
    value.filter(|(known, _)| *known == name).map(|(_, value)| value.trim()).next()
}

/// What the NIC takes off the processor.
pub(super) fn offloads(scene: &Scene<'_>) -> Seen {
    let wished: Vec<_> = wanted::settings()
        .filter_map(|(name, value)| Some((name.strip_prefix("feature ")?.to_owned(), value)))
        .collect();
    let names: Vec<_> = wished.iter().map(|(name, value)| format!("{name} {value}")).collect();
    let should = names.join(", ");
    let asked = || {
        let nic = scene.nic()?;
        let text = scene.machine.said(&format!("ethtool -k {nic}"))?;
        Ok((nic, text))
    };
    Seen::of(asked(), &should, |(nic, text)| {
        let (mut other, mut fixed, mut silent) = (Vec::new(), Vec::new(), Vec::new());
        for (name, value) in &wished {
            match feature(&text, name) {
                Some(found) if found == *value => {}
                Some(found) if found.contains("fixed") => fixed.push(format!("{name}: {found}")),
                Some(_) => other.push(format!("{name} {value}")),
                None => silent.push(name.clone()),
            }
        }
        if !silent.is_empty() {
            return Seen::unknown(format!("{nic} does not say: {}", silent.join(", ")), &should);
        }
        if !other.is_empty() {
            let is = format!("{nic} lacks {}", other.join(", "));
            return Seen::ok(is, &should).advice(format!("ethtool -K {nic} {}", other.join(" ")));
        }
        match fixed.is_empty() {
            true => Seen::ok(format!("{nic}: all"), &should),
            // Nothing that is typed changes it.
            false => Seen::ok(format!("{nic}: {}, by its driver", fixed.join(", ")), &should),
        }
    })
}

/// Its receive queues.
pub(super) fn queues(scene: &Scene<'_>) -> Seen {
    let shards = scene.relay.shards;
    let should = format!("{shards} or more, one for each shard");
    let count = || -> Read<(String, usize)> {
        let nic = scene.nic()?;
        let path = format!("/sys/class/net/{nic}/queues");
        let queues = scene.machine.names(&path);
        let count = queues.iter().filter(|name| name.starts_with("rx-")).count();
        if count == 0 { Err(Unread(format!("{path} shows none"))) } else { Ok((nic, count)) }
    };
    Seen::of(count(), &should, |(nic, count)| {
        let seen = Seen::ok(format!("{nic}: {count}"), &should);
        match count >= usize::from(shards) {
            true => seen,
            false => seen.advice(format!("ethtool -L {nic} combined {shards}")),
        }
    })
}

/// The entries of a ring, by the word for it: the most, and now.
fn ring(text: &str, which: &str) -> (Option<u64>, Option<u64>) {
    let mut found = text.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case(which).then(|| value.trim().parse::<u64>().ok())
    });
    (found.next().flatten(), found.next().flatten())
}

/// How much it holds until it is asked.
pub(super) fn rings(scene: &Scene<'_>) -> Seen {
    let sides = ["rx", "tx"].map(|side| (side, wanted::number(&format!("ring {side}"))));
    let should = format!("{} to receive and {} to send, or its most", sides[0].1, sides[1].1);
    let asked = || -> Read<(String, String)> {
        let nic = scene.nic()?;
        let text = scene.machine.said(&format!("ethtool -g {nic}"))?;
        Ok((nic, text))
    };
    Seen::of(asked(), &should, |(nic, text)| {
        let (mut is, mut more) = (Vec::new(), Vec::new());
        for (side, wished) in sides {
            let (Some(most), Some(now)) = ring(&text, side) else {
                return Seen::unknown(format!("{nic} does not say its {side} ring"), &should);
            };
            is.push(format!("{side} {now} of {most}"));
            let wished = wished.min(most);
            if now < wished {
                more.push(format!("{side} {wished}"));
            }
        }
        let seen = Seen::ok(format!("{nic}: {}", is.join(", ")), &should);
        match more.is_empty() {
            true => seen,
            false => seen.advice(format!("ethtool -G {nic} {}", more.join(" "))),
        }
    })
}

/// Numbers of its interrupts.
fn interrupts(machine: &Machine, nic: &str) -> Vec<String> {
    let device = format!("/sys/class/net/{nic}/device");
    let of = |folder: String| machine.names(&folder);
    let own = of(format!("{device}/msi_irqs"));
    if own.is_empty() { of(format!("{device}/../msi_irqs")) } else { own }
}

/// The cores without a shard; all if each has one. `tuning/host/tune` sees it so, too.
fn spare_cores(scene: &Scene<'_>) -> Read<Vec<usize>> {
    let (online, taken) = (scene.cores()?, scene.shard_cores()?);
    let spare: Vec<_> = online.iter().filter(|core| !taken.contains(core)).copied().collect();
    Ok(if spare.is_empty() { online } else { spare })
}

/// Which cores it interrupts.
pub(super) fn irqs(scene: &Scene<'_>) -> Seen {
    let should = "cores without a shard, if there are any";
    let asked = || -> Read<(String, Vec<usize>, Vec<String>)> {
        let nic = scene.nic()?;
        let irqs = interrupts(scene.machine, &nic);
        let none = || Unread(format!("{nic} shows no interrupts of its own"));
        let irqs = (!irqs.is_empty()).then_some(irqs).ok_or_else(none)?;
        Ok((nic, spare_cores(scene)?, irqs))
    };
    Seen::of(asked(), should, |(nic, spare, irqs)| {
        let mut away = Vec::new();
        for (nth, irq) in irqs.iter().enumerate() {
            let path = format!("/proc/irq/{irq}/smp_affinity_list");
            match scene.machine.text(&path) {
                Err(why) => return Seen::unknown(why.0, should),
                Ok(list) if expand(&list).iter().all(|core| spare.contains(core)) => {}
                Ok(_) => away.push(format!("echo {} > {path}", spare[nth % spare.len()])),
            }
        }
        let is =
            format!("{nic}: {} of {} interrupts reach cores of shards", away.len(), irqs.len());
        let seen = Seen::ok(is, should);
        if away.is_empty() { seen } else { seen.advice(away.join("; ")) }
    })
}

/// What would move the interrupts away again.
pub(super) fn irqbalance(scene: &Scene<'_>) -> Seen {
    let should = wanted::value("service irqbalance");
    if let Err(why) = scene.machine.text("/proc/self/comm") {
        return Seen::unknown(why.0, should);
    }
    match scene.machine.processes("irqbalance").first() {
        None => Seen::ok("does not run", should),
        Some(pid) => Seen::ok(format!("runs, process {pid}"), should)
            .advice("systemctl disable --now irqbalance"),
    }
}

/// An item of what the NIC can do past the kernel, by its place among them.
fn past_kernel(scene: &Scene<'_>, place: usize) -> Seen {
    let mut relay = scene.relay.clone();
    if relay.io == IoChoice::Uring && relay.xdp.interface.is_empty() {
        // Whoever does not use it has not named it.
        relay.xdp.interface = scene.nic().unwrap_or_default();
    }
    Seen::of(scene.probes.nic(&relay), "known", |found| {
        let Some(finding) = found.get(place) else {
            return Seen::unknown("it was not looked at", "known");
        };
        debug_assert_eq!(finding.item, NIC_ITEMS[place]);
        let seen = Seen::ok(finding.is.clone(), finding.should);
        match finding.judgement {
            Judgement::Good => seen,
            Judgement::Unknown => Seen::unknown(finding.is.clone(), finding.should),
            Judgement::Missing if scene.relay.io == IoChoice::Xdp => {
                seen.wrong(finding.fix.clone())
            }
            Judgement::Missing | Judgement::Lesser => seen.advice(finding.fix.clone()),
        }
    })
}

/// The same as functions, one for each of [`NIC_ITEMS`].
pub(super) const PAST_KERNEL: [fn(&Scene<'_>) -> Seen; NIC_ITEMS.len()] = [
    |scene| past_kernel(scene, 0),
    |scene| past_kernel(scene, 1),
    |scene| past_kernel(scene, 2),
    |scene| past_kernel(scene, 3),
    |scene| past_kernel(scene, 4),
    |scene| past_kernel(scene, 5),
    |scene| past_kernel(scene, 6),
    |scene| past_kernel(scene, 7),
];
