//! The cores: how fast they run, and who else has them.

use super::item::Seen;
use super::machine::{Read, Unread, expand};
use super::scene::Scene;
use super::wanted;
use std::collections::BTreeSet;

const CORES: &str = "/sys/devices/system/cpu";

/// How their clock is chosen.
pub(super) fn governor(scene: &Scene<'_>) -> Seen {
    let name = "cpufreq/scaling_governor";
    let wished = wanted::value(&format!("cpu {name}"));
    Seen::of(scene.cores(), wished, |cores| {
        let paths = cores.iter().map(|core| format!("{CORES}/cpu{core}/{name}"));
        let paths: Vec<_> = paths.filter(|path| scene.machine.has(path)).collect();
        if paths.is_empty() {
            return Seen::ok("none here: the machine itself, or its host, decides", wished);
        }
        let mut found = BTreeSet::new();
        for path in &paths {
            match scene.machine.text(path) {
                Ok(governor) => drop(found.insert(governor)),
                Err(why) => return Seen::unknown(why.0, wished),
            }
        }
        let is_well = found.iter().all(|governor| governor == wished);
        let seen = Seen::ok(found.into_iter().collect::<Vec<_>>().join(", "), wished);
        let fix = format!("for c in {CORES}/cpu[0-9]*; do echo {wished} > $c/{name}; done");
        if is_well { seen } else { seen.advice(fix) }
    })
}

/// Whether there is a core for each shard.
pub(super) fn shards(scene: &Scene<'_>) -> Seen {
    let shards = usize::from(scene.relay.shards);
    let should = format!("a core for each of {shards} shards");
    Seen::of(scene.cores(), &should, |online| match scene.shard_cores() {
        Err(Unread(why)) => {
            let fix = format!("cores = [...] in relay.toml: some of {online:?}");
            Seen::ok(why, &should).wrong(fix)
        }
        Ok(cores) => {
            let distinct: BTreeSet<_> = cores.iter().collect();
            let is = format!("cores {cores:?} of {}", online.len());
            match distinct.len() == shards {
                true => Seen::ok(is, &should),
                false => Seen::ok(is, &should)
                    .advice(format!("shards = {} in relay.toml", distinct.len())),
            }
        }
    })
}

/// Whether two shards share what is one core in truth.
pub(super) fn siblings(scene: &Scene<'_>) -> Seen {
    let should = "no two shards on threads of one core";
    if scene.machine.text(&format!("{CORES}/smt/active")).is_ok_and(|active| active == "0") {
        return Seen::ok("each core has one thread", should);
    }
    let read = || -> Read<Vec<(usize, BTreeSet<usize>)>> {
        let cores: BTreeSet<_> = scene.shard_cores()?.into_iter().collect();
        let of = |core: usize| {
            let path = format!("{CORES}/cpu{core}/topology/thread_siblings_list");
            Ok((core, expand(&scene.machine.text(&path)?).into_iter().collect()))
        };
        cores.into_iter().map(of).collect()
    };
    Seen::of(read(), should, |cores| {
        let mut taken = BTreeSet::new();
        let shared: Vec<_> =
            cores.iter().filter(|(_, threads)| !taken.insert(threads)).map(|it| it.0).collect();
        match shared.is_empty() {
            true => Seen::ok("none do", should),
            false => {
                let own = cores.iter().map(|it| it.0).filter(|it| !shared.contains(it));
                let own: Vec<_> = own.collect();
                let is = format!("shards on cores {shared:?} share with another");
                Seen::ok(is, should).advice(format!("shards = {} and cores = {own:?}", own.len()))
            }
        }
    })
}

/// Whether cores that are kept from everybody else are the shards'.
pub(super) fn isolated(scene: &Scene<'_>) -> Seen {
    let should = "those that are kept apart (isolcpus=) have the shards, if there are any";
    Seen::of(scene.machine.text(&format!("{CORES}/isolated")), should, |list| {
        let apart = expand(&list);
        if apart.is_empty() {
            return Seen::ok("none is: of use only beside other programs", should);
        }
        Seen::of(scene.shard_cores(), should, |cores| {
            let is_well = cores.iter().all(|core| apart.contains(core));
            let seen = Seen::ok(format!("{list} apart, shards on {cores:?}"), should);
            match is_well {
                true => seen,
                false => seen.advice(format!("cores = {apart:?} in relay.toml")),
            }
        })
    })
}
