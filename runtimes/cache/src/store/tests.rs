use super::*;
use crate::lock::Turn;
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
};

/// A cache in a directory that goes away.
pub(crate) struct Scratch {
    pub(crate) cache: Cache,
    pub(crate) temp: tempfile::TempDir,
}

pub(crate) fn cache(max_bytes: u64) -> Scratch {
    let temp = tempfile::tempdir().unwrap();
    let cache = Cache::open(&temp.path().join("lib/pinnace"), &temp.path().join("run"), max_bytes).unwrap();
    Scratch { cache, temp }
}

pub(crate) fn key(byte: u8) -> Key {
    Key::new(Digest([byte; 32]), "0123456789abcdef")
}

impl Scratch {
    pub(crate) fn put(&self, key: &Key, bytes: &[u8]) -> Artifact {
        let Turn::Ours(lock) = Lock::acquire(self.cache.place(), key).unwrap() else { panic!("free") };
        let output = self.cache.blank().unwrap();
        File::from(output.try_clone().unwrap()).write_all(bytes).unwrap();
        self.cache.insert(key, &lock, &output, Kind::Component).unwrap()
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.cache.path.join(key.to_string())
    }

    fn record_path(&self, key: &Key) -> PathBuf {
        self.cache.path.join(format!("{key}{RECORD}"))
    }

    fn used(&self, key: &Key, seconds_ago: u64) {
        let time = SystemTime::now() - std::time::Duration::from_secs(seconds_ago);
        File::options().write(true).open(self.record_path(key)).unwrap().set_modified(time).unwrap();
    }

    /// The same disk after a boot.
    fn rebooted(&mut self) {
        let state = self.temp.path().join(format!("run-{}", self.state_count()));
        self.cache = Cache::open(self.temp.path().join("lib/pinnace").as_path(), &state, u64::MAX).unwrap();
    }

    fn state_count(&self) -> usize {
        fs::read_dir(self.temp.path()).unwrap().count()
    }
}

fn text(artifact: Artifact) -> String {
    let mut text = String::new();
    { artifact.file }.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn what_is_put_is_found_read_only_and_private() {
    let place = cache(u64::MAX);
    assert!(place.cache.find(&key(1)).unwrap().is_none());
    assert_eq!(text(place.put(&key(1), b"native code")), "native code");
    let found = place.cache.find(&key(1)).unwrap().unwrap();
    assert_eq!((found.kind, found.length), (Kind::Component, 11));
    assert!((&found.file).write_all(b"x").is_err());
    assert_eq!(text(found), "native code");
    assert_eq!(fs::metadata(&place.cache.path).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(place.path(&key(1))).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(place.cache.find(&Key::new(Digest([1; 32]), "fedcba9876543210")).unwrap().is_none());
}

#[test]
fn a_short_a_long_and_a_foreign_entry_are_misses_and_are_replaced() {
    let place = cache(u64::MAX);
    let foreign = place.temp.path().join("foreign");
    fs::write(&foreign, "native code").unwrap();
    let spoil: [&dyn Fn(); 6] = [
        &|| fs::write(place.path(&key(1)), "native").unwrap(),
        &|| fs::write(place.path(&key(1)), "native code and more").unwrap(),
        &|| fs::write(place.record_path(&key(1)), "not a record").unwrap(),
        &|| fs::remove_file(place.path(&key(1))).unwrap(),
        &|| {
            fs::remove_file(place.path(&key(1))).unwrap();
            symlink(&foreign, place.path(&key(1))).unwrap();
        },
        &|| fs::set_permissions(place.path(&key(1)), fs::Permissions::from_mode(0o666)).unwrap(),
    ];
    for spoil in spoil {
        place.put(&key(1), b"native code");
        spoil();
        assert!(place.cache.find(&key(1)).unwrap().is_none());
        place.put(&key(1), b"native code");
        assert_eq!(text(place.cache.find(&key(1)).unwrap().unwrap()), "native code");
    }
}

#[test]
fn the_digest_is_checked_once_per_boot_and_after_every_change() {
    let mut place = cache(u64::MAX);
    place.put(&key(1), b"native code");
    let marker = format!("checked-{}", key(1));
    assert!(place.temp.path().join("run").join(&marker).is_symlink());
    // Rewritten in place with the same length: another ctime, so it is hashed again.
    fs::write(place.path(&key(1)), "NATIVE CODE").unwrap();
    assert!(place.cache.find(&key(1)).unwrap().is_none());
    fs::write(place.path(&key(1)), "native code").unwrap();
    assert!(place.cache.find(&key(1)).unwrap().is_some());
    place.rebooted();
    fs::write(place.path(&key(1)), "n@tive code").unwrap();
    assert!(place.cache.find(&key(1)).unwrap().is_none());
    fs::write(place.path(&key(1)), "native code").unwrap();
    assert!(place.cache.find(&key(1)).unwrap().is_some());
}

#[test]
fn a_record_of_another_version_is_a_miss() {
    let place = cache(u64::MAX);
    place.put(&key(1), b"native code");
    let mut bytes = fs::read(place.record_path(&key(1))).unwrap();
    bytes[0] ^= 0xff;
    fs::write(place.record_path(&key(1)), bytes).unwrap();
    assert!(place.cache.find(&key(1)).unwrap().is_none());
}

#[test]
fn the_least_recently_used_go_first_until_the_bound_holds() {
    let place = cache(400);
    for byte in 1..=3 {
        place.put(&key(byte), &[byte; 100]);
        place.used(&key(byte), 1000 - u64::from(byte));
    }
    // A use makes the oldest the youngest.
    let held = place.cache.find(&key(1)).unwrap().unwrap();
    assert_eq!(place.cache.list().unwrap().first().unwrap().key, key(2).to_string());
    place.put(&key(4), &[4; 100]);
    assert!(place.cache.evict().unwrap() >= 1);
    let left: Vec<_> = place.cache.list().unwrap().into_iter().map(|entry| entry.key).collect();
    assert!(!left.contains(&key(2).to_string()) && left.contains(&key(1).to_string()), "{left:?}");
    assert!(place.cache.list().unwrap().iter().map(|entry| entry.bytes).sum::<u64>() <= 400);
    let (count, bytes) = place.cache.clear().unwrap();
    assert!(count > 0 && bytes > 0 && place.cache.list().unwrap().is_empty());
    assert_eq!(text(held), "\u{1}".repeat(100), "an evicted artifact stays readable");
}

#[test]
fn a_use_is_noted_no_more_than_once_a_minute() {
    let place = cache(u64::MAX);
    place.put(&key(1), b"x");
    for (ago, noted) in [(30, false), (90, true)] {
        place.used(&key(1), ago);
        let before = fs::metadata(place.record_path(&key(1))).unwrap().modified().unwrap();
        place.cache.find(&key(1)).unwrap().unwrap();
        let after = fs::metadata(place.record_path(&key(1))).unwrap().modified().unwrap();
        assert_eq!(before != after, noted);
    }
}

#[test]
fn what_a_killed_server_left_half_made_goes_when_it_is_old() {
    let place = cache(u64::MAX);
    for (name, age) in [("old", 3600), ("young", 5)] {
        let file = File::create(place.cache.path.join(name)).unwrap();
        file.set_modified(SystemTime::now() - std::time::Duration::from_secs(age)).unwrap();
    }
    assert_eq!(place.cache.evict().unwrap(), 1);
    assert_eq!(place.cache.list().unwrap().first().unwrap().key, "young");
}

#[test]
fn a_directory_others_can_write_is_refused_with_the_remedy() {
    let place = cache(u64::MAX);
    let open = || Cache::open(&place.temp.path().join("lib/pinnace"), &place.temp.path().join("run"), 1);
    fs::set_permissions(&place.cache.path, fs::Permissions::from_mode(0o720)).unwrap();
    let message = open().expect_err("refused").to_string();
    assert!(message.contains("lib/pinnace/artifacts must belong to root alone: chown"), "{message}");
    fs::set_permissions(&place.cache.path, fs::Permissions::from_mode(0o700)).unwrap();
    open().expect("well again");
    let above = place.temp.path().join("lib/pinnace");
    fs::set_permissions(&above, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(open(), Err(CacheError::NotOurs { key: "cache.dir", .. })));
    fs::set_permissions(&above, fs::Permissions::from_mode(0o1777)).unwrap();
    open().expect("sticky");
    fs::remove_dir(&place.cache.path).unwrap();
    symlink("/tmp", &place.cache.path).unwrap();
    assert!(matches!(open(), Err(CacheError::Directory { key: "cache.dir", .. })));
}

#[test]
fn a_file_system_without_code_is_refused_with_the_remedy() {
    let message = can_hold_code(StatVfsMountFlags::NOEXEC, Path::new("/c")).expect_err("refused").to_string();
    assert!(message.starts_with("/c is on a file system mounted noexec"), "{message}");
    assert!(message.contains("`cache.dir`"), "{message}");
    can_hold_code(StatVfsMountFlags::NOSUID, Path::new("/c")).unwrap();
}
