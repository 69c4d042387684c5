//! Verifies what an archive has of the logs of all nodes, whether these still exist or not.

use super::chain::{Break, Head, How};
use super::digest::PublicKey;
use super::segment::{Checked, Span, all, check};
use crate::archive::{Archive, ArchiveError, Name};
use crate::capacity::{AUDIT_FOUND_MAX, AUDIT_NAMES_AT_ONCE};
use crate::clock::UnixMs;
use crate::nodes::NodeName;
use serde::Serialize;

/// What a verification of an archive found.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Kept {
    /// The runs of records that are as they were written, by node and in order.
    pub runs: Vec<Run>,
    /// What is not.
    pub faults: Vec<Fault>,
    /// There is more of both than was looked for.
    pub is_cut: bool,
}

/// Records of one log that follow one another without a gap.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Run {
    /// Whose log.
    pub node: NodeName,
    /// The first record. If it is not 1, it follows one of another run, or a fault says why not.
    pub first: u64,
    /// When that was written.
    pub since: UnixMs,
    /// The last one.
    pub head: Head,
    /// When that was written.
    pub until: UnixMs,
    /// Whose seal all of them have: `audit.pub` of that node.
    pub key: PublicKey,
    /// In how many objects they are.
    pub objects: u64,
}

/// Something that is not as it was written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Fault {
    /// Where.
    pub object: String,
    /// What is wrong; none if the object can be none of a log.
    pub broken: Option<Break>,
}

impl Kept {
    /// Whether there is something, and nothing is wrong with it.
    pub fn is_intact(&self) -> bool {
        self.faults.is_empty() && !self.is_cut && !self.runs.is_empty()
    }
}

/// Verifies all that `archive` has. Each of `marks` must be met in it: what checkpoints say that
/// were kept elsewhere.
///
/// # Errors
/// [`ArchiveError`] if it cannot be read.
pub(super) async fn verify(archive: &dyn Archive, marks: Vec<Head>) -> Result<Kept, ArchiveError> {
    let mut search = Search { marks, ..Search::default() };
    let mut after = None;
    loop {
        let names = archive.list(&all(), after.as_ref(), AUDIT_NAMES_AT_ONCE).await?;
        for name in &names {
            search.look(archive, name).await?;
            if search.kept.runs.len() + search.kept.faults.len() >= AUDIT_FOUND_MAX {
                return Ok(Kept { is_cut: true, ..search.kept });
            }
        }
        if names.len() < AUDIT_NAMES_AT_ONCE {
            return Ok(search.end());
        }
        after = names.into_iter().next_back();
    }
}

/// A record that the next object may follow.
struct Open {
    end: Head,
    /// The run that it is of; none if its own object is damaged.
    run: Option<usize>,
}

/// What is known on the way through all objects in order of their names: by node, and then by
/// their first record.
#[derive(Default)]
struct Search {
    kept: Kept,
    node: Option<NodeName>,
    open: Vec<Open>,
    marks: Vec<Head>,
}

impl Search {
    async fn look(&mut self, archive: &dyn Archive, name: &Name) -> Result<(), ArchiveError> {
        let Some((node, span)) = Span::parse(name) else {
            self.fault(name.as_str(), None);
            return Ok(());
        };
        let bytes = match archive.get(name).await {
            // As much as an object of ours never has.
            Err(ArchiveError::Corrupt { .. }) => Some(Vec::new()),
            read => read?,
        };
        if self.node.as_ref() != Some(&node) {
            self.open.clear();
            self.node = Some(node);
        }
        self.open.retain(|open| open.end.seq >= span.first - 1);
        let marks = &mut self.marks;
        let see = |head: Head| marks.retain(|mark| *mark != head);
        let missing = Break { seq: span.first, how: How::Missing };
        let checked = bytes.ok_or(missing).and_then(|bytes| check(&span, &bytes, see));
        let linked = checked.and_then(|checked| self.link(name, &span, &checked));
        let run = linked.map_err(|broken| self.fault(name.as_str(), Some(broken))).ok();
        self.open.push(Open { end: span.end, run });
        Ok(())
    }

    /// Finds what a right object follows, and says of which run it is.
    fn link(&mut self, name: &Name, span: &Span, checked: &Checked) -> Result<usize, Break> {
        let before = self.open.iter().find(|open| open.end == checked.before);
        let before = before.map(|open| open.run);
        if before.is_none() && checked.before != Head::START {
            let (seq, how) = match checked.before.seq {
                0 => (1, How::Unlinked),
                seq => (seq, How::Missing),
            };
            self.fault(name.as_str(), Some(Break { seq, how }));
        }
        if let Some(at) = before.flatten() {
            let run = &mut self.kept.runs[at];
            if run.key != checked.key {
                return Err(Break { seq: span.end.seq, how: How::Forged });
            }
            if run.head == checked.before {
                (run.head, run.until, run.objects) = (span.end, checked.until, run.objects + 1);
                return Ok(at);
            }
            // Another one goes on from the same record.
        }
        let node = self.node.clone().expect("invariant: it was set with the name");
        let (first, since, head, until) = (span.first, checked.since, span.end, checked.until);
        self.kept.runs.push(Run { node, first, since, head, until, key: checked.key, objects: 1 });
        Ok(self.kept.runs.len() - 1)
    }

    fn fault(&mut self, object: &str, broken: Option<Break>) {
        self.kept.faults.push(Fault { object: object.to_owned(), broken });
    }

    /// All was looked at.
    fn end(mut self) -> Kept {
        for mark in std::mem::take(&mut self.marks) {
            let is_beyond = self.kept.runs.iter().all(|run| run.head.seq < mark.seq);
            let how = if is_beyond { How::CutOff } else { How::Contradicted };
            self.fault(all().as_str(), Some(Break { seq: mark.seq, how }));
        }
        self.kept
    }
}
