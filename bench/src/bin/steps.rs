//! Takes packets through the relay's path for `bench/instructions`, which counts instructions: a
//! measure that no load of the machine changes.

use anyhow::{Context, Result, bail};
use kakehashi_bench::table::{Datagram, TRAIN, Table};
use kakehashi_relay::path::verdict::Verdict;
use kakehashi_srtp::Provider;
use std::env;

/// Turns, and packets of each.
const TURNS: usize = 16;
const TURN: usize = 64;

/// A step: its name, receivers, lane, length of a packet, packets of a train.
const STEPS: [(&str, u32, bool, usize, usize); 4] = [
    ("pass-160", 1, false, 160, 1),
    ("pass-train", 1, false, 1_200, TRAIN),
    ("seal-train", 1, true, 1_200, TRAIN),
    ("pass-to-20", 20, false, 1_200, TRAIN),
];

fn main() -> Result<()> {
    let name = env::args().nth(1).context("name a step")?;
    let Some((_, receivers, is_sealed, bytes, train)) =
        STEPS.into_iter().find(|step| step.0 == name)
    else {
        bail!("there is no step `{name}`: {}", STEPS.map(|step| step.0).join(", "));
    };
    let (call_legs, calls) = (receivers + 1, u32::try_from(TURN / train)?);
    let mut table = Table::new(calls * call_legs, call_legs, is_sealed, Provider::AwsLcRs);
    let mut phones: Vec<_> = (0..calls).map(|call| table.phone(call * call_legs)).collect();
    let mut turn = || phones.iter_mut().flat_map(|it| it.packets(train, bytes)).collect::<Vec<_>>();
    let turns: Vec<_> = (0..TURNS).map(|_| turn()).collect();
    let hops = measured(&mut table, &turns);
    let packets = table.counted(Verdict::Forwarded);
    if packets != u64::try_from(TURNS * TURN)? {
        bail!("{packets} packets were forwarded of {}", TURNS * TURN);
    }
    println!("{packets} packets, {hops} sends");
    Ok(())
}

/// The only part that is counted: valgrind finds it by its name.
#[inline(never)]
fn measured(table: &mut Table, turns: &[Vec<Datagram>]) -> usize {
    turns.iter().map(|turn| table.turn(turn)).sum()
}
