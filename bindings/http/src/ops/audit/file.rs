//! The file of an audit log: opened once, continued after a restart, followed through rotation.

use super::chain::{self, Chain, Flaw, Link};
use blake3::Hash;
use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Why an audit log cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file cannot be read or written.
    #[error("cannot open the audit log `{path}`: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// Another process writes it.
    #[error("the audit log `{0}` is in use by another process: a chain has one writer")]
    InUse(PathBuf),
    /// Its last line is not one that can be continued.
    #[error(
        "the last line of the audit log `{path}` does not verify: {flaw}; move the file away to begin a new chain"
    )]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong with the line.
        flaw: Flaw,
    },
}

/// What a process that was killed while writing left behind its last whole line.
#[derive(Debug)]
pub(super) struct Torn {
    /// How many bytes.
    pub bytes: u64,
    /// Their hash.
    pub hash: Hash,
    /// Where they are kept.
    pub kept: PathBuf,
}

/// The file that is written now.
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    /// A pipe is written as well; it has nothing to force to the disk.
    regular: bool,
}

impl LogFile {
    /// Opens or creates the file, locks it, and finds where its chain stands. A torn last line is moved to a file beside it.
    pub(super) fn open(path: &Path) -> Result<(Self, Chain, Option<Torn>), OpenError> {
        let fail = |error| OpenError::File { path: path.to_path_buf(), error };
        let mut file = File::options().read(true).append(true).create(true).open(path).map_err(fail)?;
        lock(&file).map_err(|error| match error {
            TryLockError::WouldBlock => OpenError::InUse(path.to_path_buf()),
            TryLockError::Error(error) => fail(error),
        })?;
        let end = last_line_end(&mut file).map_err(fail)?;
        let data = file.metadata().map_err(fail)?;
        let (len, regular) = (data.len(), data.is_file());
        let torn = (end < len).then(|| set_aside(path, &mut file, end)).transpose().map_err(fail)?;
        let chain = match last_line(&mut file, end).map_err(fail)? {
            None => Chain::default(),
            Some(line) => {
                let broken = |flaw| OpenError::Broken { path: path.to_path_buf(), flaw };
                let Link { seq, hash, .. } = chain::link(&line).map_err(broken)?;
                Chain { next: Some(seq.saturating_add(1)), head: hash }
            }
        };
        Ok((Self { path: path.to_path_buf(), file, regular }, chain, torn))
    }

    /// Appends whole lines, or nothing: what a failed attempt wrote is taken back.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let start = self.file.metadata()?.len();
        self.file.write_all(lines).inspect_err(|_| {
            // Where this fails as well, the torn line is found when the file is opened next.
            let _ = self.file.set_len(start);
        })
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        if self.regular { self.file.sync_data() } else { Ok(()) }
    }

    /// Goes over to a new file where the old one was renamed or removed; says whether it did.
    ///
    /// The chain goes on there. A new file that already holds lines belongs to something else and is an error: the old one
    /// is written on, under whatever name it has now.
    pub(super) fn follow_rotation(&mut self) -> io::Result<bool> {
        let current = match std::fs::metadata(&self.path) {
            Ok(there) => is_same(&self.file.metadata()?, &there),
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        if current {
            return Ok(false);
        }
        let file = File::options().read(true).append(true).create(true).open(&self.path)?;
        lock(&file).map_err(io::Error::from)?;
        if file.metadata()?.len() > 0 {
            let message = format!("`{}` was replaced by a file that is not empty", self.path.display());
            return Err(io::Error::other(message));
        }
        self.sync()?;
        self.file = file;
        Ok(true)
    }
}

/// Keeps other processes from writing. Some file systems have no locks; there it is up to the operator.
fn lock(file: &File) -> Result<(), TryLockError> {
    match file.try_lock() {
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        locked => locked,
    }
}

#[cfg(unix)]
fn is_same(one: &std::fs::Metadata, other: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Open files cannot be renamed there.
#[cfg(not(unix))]
fn is_same(_: &std::fs::Metadata, _: &std::fs::Metadata) -> bool {
    true
}

const STEP: u64 = 64 << 10;

/// The offset behind the last line break; 0 where there is none.
fn last_line_end(file: &mut File) -> io::Result<u64> {
    break_before(file, file.metadata()?.len())
}

/// The offset behind the last line break before `end`.
fn break_before(file: &mut File, end: u64) -> io::Result<u64> {
    let mut end = end;
    let mut block = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(STEP);
        block.clear();
        file.seek(SeekFrom::Start(start))?;
        file.take(end - start).read_to_end(&mut block)?;
        if let Some(at) = block.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// The line that ends at `end`, without its line break.
fn last_line(file: &mut File, end: u64) -> io::Result<Option<Vec<u8>>> {
    let Some(end) = end.checked_sub(1) else { return Ok(None) };
    let start = break_before(file, end)?;
    let mut line = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    file.take(end - start).read_to_end(&mut line)?;
    Ok(Some(line))
}

/// Moves everything from `end` on to a file beside the log.
fn set_aside(path: &Path, file: &mut File, end: u64) -> io::Result<Torn> {
    let mut torn = Vec::new();
    file.seek(SeekFrom::Start(end))?;
    file.read_to_end(&mut torn)?;
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut kept = path.as_os_str().to_owned();
    kept.push(format!(".torn-{seconds}-{end}"));
    let kept = PathBuf::from(kept);
    let mut aside = File::create_new(&kept)?;
    aside.write_all(&torn)?;
    aside.sync_all()?;
    file.set_len(end)?;
    Ok(Torn { bytes: torn.len() as u64, hash: blake3::hash(&torn), kept })
}
