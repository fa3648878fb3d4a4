//! Objects on disk: one redb file in a directory of its own.
//!
//! Every commit is in the file before [`Store::commit`] returns. The file holds the objects' JSON by
//! kind, namespace and name, and the revision of the last commit, all written together: after a
//! crash there is all of a commit or nothing of it, and no revision comes twice. Whoever has the
//! directory open holds a lock on it, which ends with the process.
//!
//! After an error of the disk, redb refuses everything until the file is opened anew. So that a disk
//! that was full for a while does not end the server, the next commit does that.

mod error;
#[cfg(test)]
mod tests;

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use redb::backends::FileBackend;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

pub(crate) use self::error::StoreError;

/// The objects' JSON by [`Row::key`].
const OBJECTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("objects");
/// Numbers by name: [`FORMAT`] and [`REVISION`].
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");
/// Name of the number that says how to read the file.
const FORMAT: &str = "format";
/// Name of the number of the last commit.
const REVISION: &str = "revision";
/// How this version writes.
const FORMAT_VERSION: u64 = 1;

/// Name of the file in the directory.
const FILE: &str = "objects.redb";
/// What a new file is called until it is complete.
const NEW_FILE: &str = "objects.redb.new";

/// redb may keep this much of the file in memory; all objects are there already.
const CACHE_BYTES: usize = 4 << 20;

/// An open directory.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    /// None after a failure.
    database: Mutex<Option<Database>>,
    /// Locked: the directory is ours.
    _directory: File,
}

/// One object to be written or, without JSON, deleted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    /// `<group>/<plural>/<namespace>/<name>`.
    pub(crate) key: &'a str,
    /// The object.
    pub(crate) json: Option<&'a [u8]>,
}

impl Store {
    /// Opens a directory, and makes it when it is not there: nobody else may look into it, as nobody
    /// else may read the file.
    pub(crate) fn open(directory: &Path) -> Result<Self, StoreError> {
        let cannot_use = |cause| StoreError::Directory { path: directory.to_owned(), cause };
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(cannot_use)?;
        let lock = File::open(directory).map_err(cannot_use)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => StoreError::InUse { path: directory.to_owned() },
            TryLockError::Error(cause) => cannot_use(cause),
        })?;
        let path = directory.join(FILE);
        if !path.try_exists().map_err(cannot_use)? {
            make(directory, &path)?;
            lock.sync_all().map_err(cannot_use)?;
        }
        let database = open(&path)?;
        check_format(&path, &database)?;
        Ok(Self { path, database: Mutex::new(Some(database)), _directory: lock })
    }

    /// Shows every object, in no useful order, and returns the revision of the last commit.
    pub(crate) fn load(
        &self,
        mut each: impl FnMut(&str, &[u8]) -> Result<(), String>,
    ) -> Result<u64, StoreError> {
        let damaged = |cause: String| StoreError::damaged(&self.path, cause);
        let kept = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let database =
            kept.as_ref().ok_or_else(|| damaged("an earlier write failed".to_owned()))?;
        let reading = database.begin_read().map_err(|error| damaged(error.to_string()))?;
        let objects = reading.open_table(OBJECTS).map_err(|error| damaged(error.to_string()))?;
        for entry in objects.iter().map_err(|error| damaged(error.to_string()))? {
            let (key, json) = entry.map_err(|error| damaged(error.to_string()))?;
            each(key.value(), json.value())
                .map_err(|cause| damaged(format!("{}: {cause}", key.value())))?;
        }
        number(&self.path, database, REVISION)
    }

    /// Writes rows and their revision; they are durable when it returns. After a failure the file
    /// holds either all or nothing of it.
    pub(crate) fn commit<'a>(
        &self,
        revision: u64,
        rows: impl Iterator<Item = Row<'a>>,
    ) -> Result<(), StoreError> {
        let mut kept = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let database = match kept.take() {
            Some(database) => database,
            None => open(&self.path)?,
        };
        write(&database, revision, rows)
            .map_err(|cause| StoreError::Write { path: self.path.clone(), cause })?;
        *kept = Some(database);
        Ok(())
    }
}

fn write<'a>(
    database: &Database,
    revision: u64,
    rows: impl Iterator<Item = Row<'a>>,
) -> Result<(), redb::Error> {
    let writing = database.begin_write()?;
    {
        let mut objects = writing.open_table(OBJECTS)?;
        for row in rows {
            match row.json {
                Some(json) => drop(objects.insert(row.key, json)?),
                None => drop(objects.remove(row.key)?),
            }
        }
        writing.open_table(NUMBERS)?.insert(REVISION, revision)?;
    }
    writing.commit()?;
    Ok(())
}

fn check_format(path: &Path, database: &Database) -> Result<(), StoreError> {
    match number(path, database, FORMAT)? {
        FORMAT_VERSION => Ok(()),
        found => Err(StoreError::Format { path: path.to_owned(), found }),
    }
}

fn number(path: &Path, database: &Database, name: &str) -> Result<u64, StoreError> {
    let read = || -> Result<Option<u64>, redb::Error> {
        let numbers = database.begin_read()?.open_table(NUMBERS)?;
        Ok(numbers.get(name)?.map(|number| number.value()))
    };
    match read() {
        Ok(Some(number)) => Ok(number),
        Ok(None) => Err(StoreError::damaged(path, format!("it has no {name}"))),
        Err(redb::Error::TableDoesNotExist(_)) => Err(StoreError::foreign(path)),
        Err(error) => Err(StoreError::damaged(path, error.to_string())),
    }
}

/// Makes the file under another name first, so that one of the right name is always complete: an
/// empty one is damage, never a fresh start.
fn make(directory: &Path, path: &Path) -> Result<(), StoreError> {
    let new = directory.join(NEW_FILE);
    let write = || -> Result<(), redb::Error> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        let writing = Database::builder().create_with_backend(FileBackend::new(file)?)?;
        let transaction = writing.begin_write()?;
        transaction.open_table(OBJECTS)?;
        {
            let mut numbers = transaction.open_table(NUMBERS)?;
            numbers.insert(FORMAT, FORMAT_VERSION)?;
            numbers.insert(REVISION, 1)?;
        }
        transaction.commit()?;
        drop(writing);
        Ok(fs::rename(&new, path)?)
    };
    write().map_err(|cause| StoreError::Write { path: path.to_owned(), cause })
}

fn open(path: &Path) -> Result<Database, StoreError> {
    use redb::{DatabaseError, StorageError};

    Database::builder()
        .set_cache_size(CACHE_BYTES)
        // Reads every page and its checksum: what was altered is reported here, not met later.
        .set_check_integrity_on_open(true)
        .open(path)
        .map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => StoreError::InUse { path: path.to_owned() },
            DatabaseError::Storage(StorageError::Io(cause))
                if cause.kind() != io::ErrorKind::InvalidData
                    && cause.kind() != io::ErrorKind::UnexpectedEof =>
            {
                StoreError::Directory { path: path.to_owned(), cause }
            }
            error => StoreError::damaged(path, error.to_string()),
        })
}
