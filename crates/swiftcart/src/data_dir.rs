//! The data directory and the lock that gives it to one process. Leaves what lies in it to others.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// The file of the embedded database.
const DATABASE: &str = "swiftcart.db";

/// A data directory that this process holds until the value is dropped.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
}

impl DataDir {
    /// Takes `path`, made for its owner alone if it is not there: the database holds secrets.
    pub(crate) fn take(path: &Path) -> anyhow::Result<Self> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path).with_context(|| format!("the data directory {} cannot be made", path.display()))?;
        let lock_path = path.join("swiftcart.lock");
        let mut lock = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&lock_path);
        let lock = lock.as_mut().map_err(|error| anyhow::anyhow!("{}: {error}", lock_path.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("the data directory {} is in use by {}", path.display(), holder(lock)),
            Err(TryLockError::Error(error)) => bail!("the data directory {} cannot be locked: {error}", path.display()),
        }
        lock.set_len(0)?;
        lock.rewind()?;
        write!(lock, "{}", std::process::id())?;
        Ok(Self { path: path.to_owned(), _lock: lock.try_clone()? })
    }

    /// The embedded database.
    pub(crate) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    /// Whether there is an embedded database in `path`.
    pub(crate) fn has_database(path: &Path) -> bool {
        path.join(DATABASE).exists()
    }
}

/// The process that holds the lock, with its name where the system tells it.
fn holder(lock: &mut File) -> String {
    let mut pid = String::new();
    if lock.read_to_string(&mut pid).is_err() || pid.trim().is_empty() {
        return "another process".to_owned();
    }
    let pid = pid.trim();
    match std::fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => format!("process {pid} ({})", name.trim()),
        Err(_) => format!("process {pid}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_in_use_is_refused_with_the_name_of_its_process() {
        let directory = tempfile::tempdir().unwrap();
        let held = DataDir::take(directory.path()).unwrap();
        let refused = DataDir::take(directory.path()).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        drop(held);
        DataDir::take(directory.path()).unwrap();
    }

    #[test]
    fn a_directory_that_is_made_is_for_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("data");
        let _held = DataDir::take(&path).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o700);
    }
}
