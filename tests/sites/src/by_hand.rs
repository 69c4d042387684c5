//! Commands for whoever raises the test bed by hand.

use crate::bed::Bed;
use crate::wan::Place;
use anyhow::{Context, Result, bail};
use core::time::Duration;

/// What can be typed.
pub(crate) const HELP: &str = "\
  parts                      what runs, and where
  kill PART                  end it at once (kill -9)
  freeze PART, thaw PART     let it stand still, and go on
  start PART                 start what does not run
  restart PART               ask it to end, and start it again
  cut SITE                   no packet in or out
  cut FROM TO                no packet from one to the other; the way back stays
  heal                       every way is open and loses nothing
  delay MS [FROM TO]         how long packets are under way
  loss PERCENT [FROM TO]     how many get lost
  end                        take everything down
A place is the number of a site, `stores` or `concierges`.";

/// A command.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Order {
    /// Say what runs.
    Parts,
    /// Do something to a part.
    Part(Deed, String),
    /// Change ways.
    Ways(Change, Ways),
    /// Say what can be typed.
    Help,
    /// Take everything down.
    End,
}

/// What is done to a part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Deed {
    /// kill -9.
    Kill,
    /// SIGSTOP.
    Freeze,
    /// SIGCONT.
    Thaw,
    /// Start it.
    Start,
    /// End and start it.
    Restart,
}

/// What becomes of ways.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Change {
    /// Nothing passes.
    Cut,
    /// Everything passes.
    Heal,
    /// It takes so long.
    Delay(Duration),
    /// So many get lost, from 0 to 1.
    Loss(f64),
}

/// Which ways.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Ways {
    /// All.
    All,
    /// To and from a place.
    Around(String),
    /// From one place to another.
    Between(String, String),
}

impl Order {
    /// What a line says.
    ///
    /// # Errors
    /// If it says nothing that is known.
    pub(crate) fn read(line: &str) -> Result<Self> {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let part = |deed, name: &&str| Ok(Self::Part(deed, (*name).to_owned()));
        match words.as_slice() {
            ["parts"] => Ok(Self::Parts),
            ["help"] => Ok(Self::Help),
            ["end"] => Ok(Self::End),
            ["kill", name] => part(Deed::Kill, name),
            ["freeze", name] => part(Deed::Freeze, name),
            ["thaw", name] => part(Deed::Thaw, name),
            ["start", name] => part(Deed::Start, name),
            ["restart", name] => part(Deed::Restart, name),
            ["cut", where_ @ ..] if !where_.is_empty() => Self::ways(Change::Cut, where_),
            ["heal", where_ @ ..] => Self::ways(Change::Heal, where_),
            ["delay", ms, where_ @ ..] => {
                let ms = ms.parse().with_context(|| format!("`{ms}` is no number of ms"))?;
                Self::ways(Change::Delay(Duration::from_millis(ms)), where_)
            }
            ["loss", percent, where_ @ ..] => {
                let share = percent.parse::<f64>().ok().filter(|it| (0.0..=100.0).contains(it));
                let share = share.with_context(|| format!("`{percent}` is not from 0 to 100"))?;
                Self::ways(Change::Loss(share / 100.0), where_)
            }
            _ => bail!("`{line}` is not known; `help` says what is"),
        }
    }

    fn ways(change: Change, where_: &[&str]) -> Result<Self> {
        let ways = match where_ {
            [] => Ways::All,
            [place] => Ways::Around((*place).to_owned()),
            [from, to] => Ways::Between((*from).to_owned(), (*to).to_owned()),
            _ => bail!("give one place, or from where and to where"),
        };
        Ok(Self::Ways(change, ways))
    }

    /// Carries it out; gives what there is to print.
    ///
    /// # Errors
    /// If it names what is not there, or the part does not obey.
    pub(crate) fn carry_out(&self, bed: &mut Bed) -> Result<String> {
        match self {
            Self::Parts => Ok(parts(bed)),
            Self::Help => Ok(HELP.to_owned()),
            Self::End => Ok(String::new()),
            Self::Part(deed, name) => {
                let part = bed.part(name)?;
                match deed {
                    Deed::Kill => part.kill()?,
                    Deed::Freeze => part.freeze()?,
                    Deed::Thaw => part.thaw()?,
                    Deed::Start => part.start()?,
                    Deed::Restart => {
                        part.end()?;
                        part.start()?;
                    }
                }
                Ok("done".to_owned())
            }
            Self::Ways(change, ways) => {
                apply(bed, *change, ways)?;
                Ok("done".to_owned())
            }
        }
    }
}

fn parts(bed: &mut Bed) -> String {
    let row = |part: &mut crate::part::Part| {
        let runs = if part.runs() { "runs" } else { "is down" };
        format!("  {:<12} {:<8} {}", part.name(), runs, part.network().name())
    };
    bed.parts().iter_mut().map(row).collect::<Vec<_>>().join("\n")
}

/// Changes the ways of a bed.
///
/// # Errors
/// If a place is not there.
pub(crate) fn apply(bed: &Bed, change: Change, ways: &Ways) -> Result<()> {
    let set = move |way: &mut crate::wan::Way| match change {
        Change::Cut => way.cut = true,
        Change::Heal => {
            way.cut = false;
            way.loss = 0.0;
        }
        Change::Delay(delay) => way.delay = delay,
        Change::Loss(loss) => way.loss = loss,
    };
    let places: Vec<Place> = match ways {
        Ways::All => Vec::new(),
        Ways::Around(place) => vec![bed.place(place)?],
        Ways::Between(from, to) => vec![bed.place(from)?, bed.place(to)?],
    };
    bed.wan().change(|weather| match places.as_slice() {
        [from, to] => weather.change(*from, *to, set),
        [place] => weather.change_around(*place, set),
        _ => weather.change_all(set),
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let around = |place: &str| Ways::Around(place.to_owned());
        for (line, order) in [
            ("kill relay-11", Order::Part(Deed::Kill, "relay-11".to_owned())),
            ("cut 2", Order::Ways(Change::Cut, around("2"))),
            ("heal", Order::Ways(Change::Heal, Ways::All)),
            ("loss 5 stores", Order::Ways(Change::Loss(0.05), around("stores"))),
            (
                "delay 30 1 2",
                Order::Ways(
                    Change::Delay(Duration::from_millis(30)),
                    Ways::Between("1".to_owned(), "2".to_owned()),
                ),
            ),
        ] {
            assert_eq!(Order::read(line).unwrap(), order, "{line}");
        }
        for line in ["cut", "loss 101", "loss much", "delay -1", "kill", "sing"] {
            assert!(Order::read(line).is_err(), "{line}");
        }
    }
}
