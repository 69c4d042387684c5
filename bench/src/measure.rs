//! Alternating rounds, medians, and the search for the highest rate.

use crate::cpu::CpuTime;
use crate::subject::{Kind, Starter, Subject};
use crate::traffic::Outcome;
use anyhow::{Result, bail};
use core::time::Duration;

/// The most that may be lost in a run that counts: above it a subject is not coping, and its cost
/// is that of dropping.
pub const LOSS_MAX: f64 = 0.001;

/// Share of the wanted rate that the generator must reach, or the run says nothing of the subject.
const GENERATOR_SHARE_MIN: f64 = 0.97;

/// What a rate that was too high is multiplied by, and how often.
const LOWERED: f64 = 0.75;
const LOWERINGS: usize = 6;

/// Step of the search while all goes well, and halvings of the last step after that.
const SEARCH_STEP: f64 = 1.5;
const SEARCH_HALVINGS: usize = 3;
/// Packets a second at the sinks that a search begins with.
const SEARCH_BEGIN: f64 = 30_000.0;

/// How long the core is watched while nothing is sent.
const BACKGROUND: Duration = Duration::from_millis(500);

/// How much is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Effort {
    /// Rounds of a comparison.
    pub rounds: usize,
    /// Length of a subject's turn in a round.
    pub turn: Duration,
    /// Length of one trial of a search.
    pub trial: Duration,
}

/// One turn of one subject.
#[derive(Clone, PartialEq, Debug)]
pub struct Turn {
    /// What became of its packets.
    pub outcome: Outcome,
    /// Packets that should have arrived.
    pub expected: u64,
    /// What it cost.
    pub cpu: CpuTime,
}

impl Turn {
    /// Nanoseconds of the process for each delivered packet.
    pub fn nanos_per_packet(&self) -> f64 {
        self.cpu.process.as_secs_f64() * 1e9 / as_f64(self.outcome.delivered.max(1))
    }

    fn reached(&self, rate: f64) -> bool {
        let sent = as_f64(self.outcome.sent) / self.outcome.sending.as_secs_f64();
        sent >= rate * GENERATOR_SHARE_MIN
    }

    fn is_good(&self, rate: f64) -> bool {
        self.reached(rate) && loss(self.outcome.delivered, self.expected) <= LOSS_MAX
    }
}

/// All turns of one subject in a comparison.
#[derive(Clone, PartialEq, Debug)]
pub struct Measured {
    /// What was measured.
    pub kind: Kind,
    /// Packets offered a second, at the senders.
    pub rate: f64,
    /// One for each round.
    pub turns: Vec<Turn>,
}

impl Measured {
    /// Sum of a count over the rounds.
    pub fn sum(&self, count: impl Fn(&Turn) -> u64) -> u64 {
        self.turns.iter().map(count).sum()
    }

    /// Sum of a time over the rounds, in seconds.
    pub fn seconds(&self, time: impl Fn(&Turn) -> Duration) -> f64 {
        self.turns.iter().map(time).sum::<Duration>().as_secs_f64()
    }

    /// Share of the packets that did not arrive.
    pub fn loss(&self) -> f64 {
        loss(self.sum(|turn| turn.outcome.delivered), self.sum(|turn| turn.expected))
    }

    /// Whether rate and losses were good in all and in most turns: a single pause of the machine
    /// must not decide.
    fn copes(&self, rate: f64) -> bool {
        let good = self.turns.iter().filter(|turn| turn.is_good(rate)).count();
        self.loss() <= LOSS_MAX && good * 2 > self.turns.len()
    }

    /// The median cost of a delivered packet.
    pub fn nanos_per_packet(&self) -> f64 {
        median(self.turns.iter().map(Turn::nanos_per_packet))
    }

    /// The median over the rounds of a quantile of the delay, in microseconds.
    pub fn delay_micros(&self, quantile: f64) -> f64 {
        let nanos = |turn: &Turn| as_f64(turn.outcome.delay.value_at_quantile(quantile));
        median(self.turns.iter().map(nanos)) / 1e3
    }
}

/// The highest rate that a subject takes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Highest {
    /// What was measured.
    pub kind: Kind,
    /// Packets a second, at the senders, with no more than [`LOSS_MAX`] lost.
    pub rate: f64,
    /// Whether generator and sink gave out first; the subject may take more.
    pub is_generators: bool,
}

/// Lets subjects take turns, each at its own rate, in packets a second at the senders. If one of
/// them does not cope, all do it again at lower rates.
///
/// # Errors
/// If a subject ends, or counts do not add up.
pub fn compare(
    sides: &mut [(&mut Subject, f64)],
    effort: Effort,
    with: Starter<'_>,
) -> Result<Vec<Measured>> {
    let background = background(sides, with)?;
    let mut lowerings = 0;
    loop {
        let all = rounds(sides, effort, background)?;
        let coping: Vec<_> = all.iter().map(|it| it.copes(it.rate)).collect();
        if coping.iter().all(|copes| *copes) || lowerings == LOWERINGS {
            return Ok(all);
        }
        for ((subject, rate), copes) in sides.iter_mut().zip(coping) {
            if !copes {
                subject.restart(with)?;
            }
            *rate *= LOWERED;
        }
        lowerings += 1;
    }
}

fn rounds(
    sides: &mut [(&mut Subject, f64)],
    effort: Effort,
    background: f64,
) -> Result<Vec<Measured>> {
    let measured = |(subject, rate): &(&mut Subject, f64)| Measured {
        kind: subject.kind,
        rate: *rate,
        turns: vec![],
    };
    let mut all: Vec<_> = sides.iter().map(measured).collect();
    for round in 0..effort.rounds {
        let mut order: Vec<_> = sides.iter_mut().zip(&mut all).collect();
        // Whatever drifts during a round meets each of them first and last.
        if round % 2 == 1 {
            order.reverse();
        }
        for ((subject, rate), measured) in order {
            measured.turns.push(turn(subject, *rate, effort.turn, background)?);
        }
    }
    Ok(all)
}

/// Finds the highest rate of a subject with few trials.
///
/// # Errors
/// If the subject ends, or counts do not add up.
pub fn highest(subject: &mut Subject, effort: Effort) -> Result<Highest> {
    let begin = SEARCH_BEGIN / f64::from(subject.traffic.workload().receivers);
    let mut is_generators = false;
    let mut trial = |rate: f64| -> Result<bool> {
        // Twice, since a pause of the machine looks like a limit of the subject.
        for _ in 0..2 {
            let turn = turn(subject, rate, effort.trial, 0.0)?;
            if turn.is_good(rate) {
                return Ok(true);
            }
            is_generators = !turn.reached(rate);
        }
        Ok(false)
    };
    let rate = search(begin, &mut trial)?;
    Ok(Highest { kind: subject.kind, rate, is_generators })
}

/// The highest rate found that `is_good`, going up from `begin` and then halving the last step.
fn search(begin: f64, mut is_good: impl FnMut(f64) -> Result<bool>) -> Result<f64> {
    let mut good = begin;
    // Down first, if even the beginning is too much.
    while !is_good(good)? {
        good /= SEARCH_STEP * SEARCH_STEP;
        if good < 1.0 {
            return Ok(good);
        }
    }
    let mut bad = good * SEARCH_STEP;
    while is_good(bad)? {
        good = bad;
        bad *= SEARCH_STEP;
    }
    for _ in 0..SEARCH_HALVINGS {
        let middle = f64::midpoint(good, bad);
        if is_good(middle)? {
            good = middle;
        } else {
            bad = middle;
        }
    }
    Ok(good)
}

fn turn(subject: &mut Subject, rate: f64, length: Duration, background: f64) -> Result<Turn> {
    let before = subject.cpu.read()?;
    let outcome = subject.traffic.run(rate, length)?;
    let after = subject.cpu.read()?;
    let idle = outcome.sending.mul_f64(background);
    let cpu = CpuTime {
        process: after.process.saturating_sub(before.process),
        receiving: after.receiving.saturating_sub(before.receiving),
        core: after.core.saturating_sub(before.core).saturating_sub(idle),
    };
    // Work that escaped to the load's core would make a subject look cheaper than it is.
    if subject.cpu.knows_receiving() && outcome.delivered > 0 && cpu.receiving.is_zero() {
        bail!("the device of {} is not served on its core", subject.kind.name());
    }
    let expected = subject.traffic.workload().expected(outcome.sent);
    Ok(Turn { outcome, expected, cpu })
}

/// Share of the core that is busy while nothing is sent.
fn background(sides: &[(&mut Subject, f64)], with: Starter<'_>) -> Result<f64> {
    let clock = with.clock;
    let Some((subject, _)) = sides.first() else { return Ok(0.0) };
    let (before, started) = (subject.cpu.read()?, clock.now());
    clock.wait_until(started + BACKGROUND);
    let busy = subject.cpu.read()?.core.saturating_sub(before.core);
    Ok(busy.as_secs_f64() / (clock.now() - started).as_secs_f64())
}

pub(crate) fn loss(delivered: u64, expected: u64) -> f64 {
    1.0 - as_f64(delivered) / as_f64(expected.max(1))
}

/// The median of the rounds' ratios: what changes between rounds meets both sides of one.
pub fn ratio(of: &Measured, to: &Measured, value: impl Fn(&Turn) -> f64) -> f64 {
    median(of.turns.iter().zip(&to.turns).map(|(of, to)| value(of) / value(to)))
}

/// The middle value; the mean of the middle two of an even number; 0 of none.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    match (values.len() / 2, values.len() % 2) {
        (0, 0) => 0.0,
        (middle, 1) => values[middle],
        (middle, _) => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^52")]
pub(crate) fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
        assert_eq!(median(core::iter::empty()), 0.0);
    }

    #[test]
    fn loss_is_a_share_of_what_was_expected() {
        assert_eq!(loss(75, 100), 0.25);
        assert_eq!(loss(0, 0), 1.0);
    }

    #[test]
    fn the_search_comes_close_from_either_side() {
        for limit in [100.0, 29_000.0, 123_456.0, 2_000_000.0] {
            let found = search(SEARCH_BEGIN, |rate| Ok(rate <= limit)).unwrap();
            assert!(found <= limit && found > limit * 0.9, "{found} of {limit}");
        }
        assert!(search(10.0, |_| Ok(false)).unwrap() < 1.0);
    }
}
