//! What a drill must show: a measure, and the most it may be.

use super::report::DrillReport;

/// Something that is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Measure {
    /// The longest silence of half of the runs, in ms.
    GapP50,
    /// The longest silence of 99 % of the runs, in ms.
    GapP99,
    /// Packets that never came.
    PacketsLost,
    /// The most that one stream lost in one run.
    PacketsOfAStream,
    /// Calls that ended, or in which somebody was heard no more.
    CallsLost,
    /// From the fault until 99 % of the sessions that were away were back, in ms.
    SignallingP99,
    /// Acknowledged changes that are not so any more.
    WritesLost,
    /// Requests that should have been done, or refused with a reason and a time, and were not.
    Unclear,
    /// From the return of the store until a call came about, in ms.
    NormalAgain,
    /// From an acknowledged suspension to the last packet, of 99 % of the runs, in ms.
    StopP99,
    /// The same, of all runs.
    StopMax,
}

/// The most that a measure may be.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Promise {
    /// What.
    pub(crate) measure: Measure,
    /// How much.
    pub(crate) most: f64,
}

/// How a measure compares with its promise.
pub(crate) struct Verdict {
    /// What was promised.
    pub(crate) promise: Promise,
    /// What was measured.
    pub(crate) measured: f64,
}

impl Measure {
    /// At most so much of it.
    pub(crate) const fn most(self, most: f64) -> Promise {
        Promise { measure: self, most }
    }

    /// Its name for people, and whether it is a time.
    const fn titled(self) -> (&'static str, bool) {
        match self {
            Self::GapP50 => ("gap p50", true),
            Self::GapP99 => ("gap p99", true),
            Self::PacketsLost => ("packets lost", false),
            Self::PacketsOfAStream => ("packets lost of a stream", false),
            Self::CallsLost => ("calls lost", false),
            Self::SignallingP99 => ("signalling back p99", true),
            Self::WritesLost => ("acknowledged writes lost", false),
            Self::Unclear => ("not done, nor refused clearly", false),
            Self::NormalAgain => ("normal again", true),
            Self::StopP99 => ("last packet p99", true),
            Self::StopMax => ("last packet of all", true),
        }
    }

    /// Its name for people.
    pub(crate) const fn title(self) -> &'static str {
        self.titled().0
    }

    /// A value of it for people.
    pub(crate) fn shown(self, value: f64) -> String {
        let unit = if self.titled().1 { " ms" } else { "" };
        format!("{value:.0}{unit}")
    }

    fn of(self, report: &DrillReport) -> f64 {
        match self {
            Self::GapP50 => report.gap_p50_ms,
            Self::GapP99 => report.gap_p99_ms,
            Self::PacketsLost => report.packets_lost as f64,
            Self::PacketsOfAStream => report.packets_lost_of_a_stream as f64,
            Self::CallsLost => report.calls_lost as f64,
            Self::SignallingP99 => report.signalling_p99_ms,
            Self::WritesLost => report.writes_lost as f64,
            Self::Unclear => report.unclear as f64,
            Self::NormalAgain => report.normal_again_max_ms,
            Self::StopP99 => report.stop_p99_ms,
            Self::StopMax => report.stop_max_ms,
        }
    }
}

impl Promise {
    /// Holds it against what was measured.
    pub(crate) fn against(self, report: &DrillReport) -> Verdict {
        Verdict { promise: self, measured: self.measure.of(report) }
    }
}

impl Verdict {
    /// Whether the promise was kept.
    pub(crate) fn is_met(&self) -> bool {
        self.measured <= self.promise.most
    }
}
