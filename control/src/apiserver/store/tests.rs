//! What is written is there again, and what is not ours or not whole is reported and left alone.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::panic::catch_unwind;

use super::*;

/// A path as [`Row::key`], and its object.
type Objects = BTreeMap<String, Vec<u8>>;

fn load(store: &Store) -> (u64, Objects) {
    let mut objects = Objects::new();
    let revision = store
        .load(|key, json| {
            objects.insert(key.to_owned(), json.to_vec());
            Ok(())
        })
        .unwrap();
    (revision, objects)
}

fn fill(store: &Store, count: u64) {
    for revision in 2..2 + count {
        let key = format!("/configmaps/default/{revision}");
        let json = format!("{{{:?}:{:?}}}", "data", "x".repeat(500));
        let row = Row { key: &key, json: Some(json.as_bytes()) };
        store.commit(revision, [row].into_iter()).unwrap();
    }
}

#[test]
fn what_was_committed_is_there_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("new/data");
    let store = Store::open(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(path.join(FILE)).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(load(&store), (1, Objects::new()));
    let row = |key, json| Row { key, json };
    store.commit(2, [row("a", Some(&b"1"[..])), row("b", Some(b"2"))].into_iter()).unwrap();
    store.commit(7, [row("a", None), row("c", Some(b"3"))].into_iter()).unwrap();
    drop(store);
    let there = [("b".to_owned(), b"2".to_vec()), ("c".to_owned(), b"3".to_vec())];
    assert_eq!(load(&Store::open(&path).unwrap()), (7, there.into()));
}

#[test]
fn a_directory_is_open_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let message = Store::open(directory.path()).unwrap_err().to_string();
    assert!(message.contains("is in use by another process"), "{message}");
    assert!(message.starts_with(&directory.path().display().to_string()), "{message}");
    drop(store);
    Store::open(directory.path()).unwrap();
}

#[test]
fn a_file_that_was_not_finished_is_begun_again() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(NEW_FILE), "half").unwrap();
    assert_eq!(load(&Store::open(directory.path()).unwrap()).0, 1);
}

#[test]
fn what_is_not_ours_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    for bytes in [&b""[..], b"x", b"SQLite format 3\0", &[0; 100_000], &[0xff; 5000]] {
        fs::write(&path, bytes).unwrap();
        let error = Store::open(directory.path()).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        assert!(error.to_string().starts_with(&path.display().to_string()), "{error}");
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
    fs::remove_file(&path).unwrap();
    drop(Database::create(&path).unwrap());
    let error = Store::open(directory.path()).unwrap_err().to_string();
    assert!(error.contains("it holds something else"), "{error}");
}

#[test]
fn another_format_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let database = store.database.into_inner().unwrap().unwrap();
    let writing = database.begin_write().unwrap();
    writing.open_table(NUMBERS).unwrap().insert(FORMAT, 2).unwrap();
    writing.commit().unwrap();
    drop((database, store._directory));
    let error = Store::open(directory.path()).unwrap_err().to_string();
    assert!(error.contains("has format 2, and this version reads format 1"), "{error}");
}

/// Opens a file with these bytes: it must either be reported, and then not be shorter than before,
/// or show what was written.
fn check_altered(bytes: &[u8], written: &(u64, Objects), what: &str) -> bool {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE);
    fs::write(&path, bytes).unwrap();
    let opened = catch_unwind(|| Store::open(directory.path())).expect(what);
    match opened {
        Ok(store) => {
            assert_eq!(&load(&store), written, "{what}");
            false
        }
        Err(StoreError::Damaged { path: named, .. }) => {
            assert_eq!(named, path, "{what}");
            assert!(fs::metadata(&path).unwrap().len() >= bytes.len() as u64, "{what}");
            true
        }
        Err(error) => panic!("{what}: {error}"),
    }
}

#[test]
fn a_damaged_file_is_reported_and_not_emptied() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    fill(&store, 200);
    let written = load(&store);
    drop(store);
    let bytes = fs::read(directory.path().join(FILE)).unwrap();
    let mut reported = 0;
    for part in 0..16 {
        let length = bytes.len() * part / 16;
        reported +=
            usize::from(check_altered(&bytes[..length], &written, &format!("cut {length}")));
    }
    assert!(reported >= 8, "{reported} of 16 shortened files were reported");
    let mut reported = 0;
    let pages = bytes.len() / 4096;
    for page in 0..pages.min(64) {
        let mut altered = bytes.clone();
        altered[page * 4096..][..4096].fill(0xa5);
        reported += usize::from(check_altered(&altered, &written, &format!("page {page}")));
    }
    assert!(reported >= 8, "{reported} of {} overwritten pages were reported", pages.min(64));
}
