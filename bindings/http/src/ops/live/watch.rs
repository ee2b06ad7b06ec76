//! Whether files have changed, and have come to rest.

use std::fs::Metadata;
use std::path::PathBuf;
use std::time::SystemTime;

/// What tells two states of a file apart without reading it.
///
/// A file that is written after it was stamped gets another time, and one that replaces it another identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
    #[cfg(unix)]
    identity: (u64, u64, i64, i64),
}

impl From<Metadata> for Stamp {
    fn from(data: Metadata) -> Self {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt;
        Self {
            length: data.len(),
            modified: data.modified().ok(),
            #[cfg(unix)]
            identity: (data.dev(), data.ino(), data.ctime(), data.ctime_nsec()),
        }
    }
}

/// The files of a policy at one moment; `None` for one that is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Snapshot(Vec<(PathBuf, Option<Stamp>)>);

impl Snapshot {
    pub(super) fn of(files: impl IntoIterator<Item = PathBuf>) -> Self {
        let stamp = |path: PathBuf| {
            let stamp = std::fs::metadata(&path).ok().map(Stamp::from);
            (path, stamp)
        };
        Self(files.into_iter().map(stamp).collect())
    }

    /// The same files, in a state that none of them is likely to be in: whatever is there counts as new.
    pub(super) fn unread(self) -> Self {
        Self(self.0.into_iter().map(|(path, _)| (path, None)).collect())
    }

    /// The same files now.
    pub(super) fn again(&self) -> Self {
        Self::of(self.0.iter().map(|(path, _)| path.clone()))
    }
}

/// Looks at files from time to time and says when to read them.
///
/// An editor writes a file in pieces or takes it away and puts another in its place. So a change counts once two looks in a
/// row see the same, and each state is tried once.
#[derive(Debug, Default)]
pub(super) struct Watch {
    tried: Snapshot,
    seen: Snapshot,
}

impl Watch {
    /// The files as they were when they were last read.
    pub(super) fn read(&mut self, state: Snapshot) {
        self.seen = state.clone();
        self.tried = state;
    }

    /// Looks; says whether there is something new that has come to rest.
    pub(super) fn look(&mut self) -> bool {
        self.see(self.tried.again())
    }

    fn see(&mut self, now: Snapshot) -> bool {
        let at_rest = now == self.seen;
        self.seen = now;
        at_rest && self.seen != self.tried
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(length: Option<u64>) -> Snapshot {
        #[cfg(unix)]
        let stamp = |length| Stamp { length, modified: None, identity: (0, 0, 0, 0) };
        #[cfg(not(unix))]
        let stamp = |length| Stamp { length, modified: None };
        Snapshot(vec![("policy.md".into(), length.map(stamp))])
    }

    #[test]
    fn a_change_counts_once_it_has_come_to_rest() {
        let mut watch = Watch::default();
        watch.read(state(Some(10)));
        assert!(!watch.see(state(Some(10))), "nothing changed");
        assert!(!watch.see(state(None)), "taken away");
        assert!(!watch.see(state(Some(3))), "half of it is back");
        assert!(!watch.see(state(Some(12))), "all of it is back");
        assert!(watch.see(state(Some(12))), "and rests");
        watch.read(state(Some(12)));
        assert!(!watch.see(state(Some(12))), "each state is read once");
        assert!(!watch.see(state(None)));
        assert!(watch.see(state(None)), "a file that stays away is a change");
    }

    #[test]
    fn a_file_that_is_put_back_as_it_was_is_no_change() {
        let mut watch = Watch::default();
        watch.read(state(Some(10)));
        assert!(!watch.see(state(Some(3))));
        assert!(!watch.see(state(Some(10))));
        assert!(!watch.see(state(Some(10))));
    }
}
