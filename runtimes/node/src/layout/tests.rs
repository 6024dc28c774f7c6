use super::*;
use crate::Installation;

struct Place {
    temp: tempfile::TempDir,
    layout: Layout,
}

fn place() -> Place {
    let temp = tempfile::tempdir().unwrap();
    let layout = Layout::new(&temp.path().join("opt"), &temp.path().join("bin"));
    Place { temp, layout }
}

impl Place {
    /// Programs, each with `mark` in it.
    fn programs(&self, mark: &str) -> PathBuf {
        let from = self.temp.path().join(mark);
        fs::create_dir_all(&from).unwrap();
        for program in PROGRAMS {
            fs::write(from.join(program), mark).unwrap();
        }
        from
    }

    fn versions(&self) -> Vec<String> {
        let directories = self.layout.directories();
        directories.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
    }

    fn reads(&self) -> String {
        fs::read_to_string(self.temp.path().join("bin/pinnace")).unwrap()
    }
}

#[test]
fn versions_stand_side_by_side_behind_one_link() {
    let place = place();
    place.layout.install("0.1.0", &place.programs("one")).unwrap();
    assert_eq!(place.reads(), "one");
    let done = place.layout.install("0.2.0", &place.programs("two")).unwrap();
    assert_eq!((place.reads().as_str(), done.links.len()), ("two", 4));
    assert_eq!(place.versions(), ["0.1.0", "0.2.0"]);
    assert_eq!(place.layout.current().unwrap(), "0.2.0");
    let names =
        SHIM_NAMES.iter().map(|name| place.temp.path().join("bin").join(name).canonicalize().unwrap());
    assert!(names.into_iter().all(|path| path.ends_with("versions/0.2.0/containerd-shim-wasm-v1")));
    assert_eq!(place.layout.prune().unwrap(), [place.layout.root().join("versions/0.1.0")]);
}

#[test]
fn the_same_version_is_replaced_as_a_whole() {
    let place = place();
    place.layout.install("0.1.0", &place.programs("one")).unwrap();
    place.layout.install("0.1.0", &place.programs("again")).unwrap();
    assert_eq!(place.reads(), "again");
    assert_eq!(place.versions(), ["0.1.0"]);
}

#[test]
fn a_failed_installation_leaves_the_old_one_in_force() {
    let place = place();
    place.layout.install("0.1.0", &place.programs("one")).unwrap();
    let half = place.programs("half");
    fs::remove_file(half.join("pinnace-wasmtime")).unwrap();
    let message = place.layout.install("0.2.0", &half).expect_err("missing").to_string();
    assert!(message.contains("half/pinnace-wasmtime is not there"), "{message}");
    assert_eq!(place.reads(), "one");
    assert_eq!(place.versions(), ["0.1.0"]);
}

#[test]
fn a_file_of_somebody_else_is_never_replaced_or_removed() {
    let place = place();
    let other = place.temp.path().join("bin/containerd-shim-wasmtime-v1");
    fs::create_dir_all(other.parent().unwrap()).unwrap();
    fs::write(&other, "runwasi").unwrap();
    let error = place.layout.install("0.1.0", &place.programs("one")).expect_err("in the way");
    assert!(matches!(error, LayoutError::InTheWay { .. }), "{error}");
    assert!(place.versions().is_empty());
    place.layout.uninstall().unwrap();
    assert_eq!(fs::read_to_string(&other).unwrap(), "runwasi");
}

#[test]
fn what_a_server_runs_from_stays_until_it_ends() {
    let place = place();
    place.layout.install("0.1.0", &place.programs("one")).unwrap();
    let server = Installation::open(&place.layout.root().join("current")).unwrap();
    place.layout.install("0.2.0", &place.programs("two")).unwrap();
    assert!(place.layout.prune().unwrap().is_empty());
    let again = Installation::open(&place.layout.root().join("current")).unwrap();
    place.layout.install("0.2.0", &place.programs("anew")).unwrap();
    for (server, mark) in [(&server, "one"), (&again, "two")] {
        let mut engine = fs::File::from(server.engine_program("wasmtime").unwrap());
        assert_eq!(io::read_to_string(&mut engine).unwrap(), mark);
    }
    let stayed = place.layout.uninstall().unwrap();
    assert!(stayed.len() == 2 && stayed.iter().any(|path| path.ends_with("0.1.0")), "{stayed:?}");
    drop((server, again));
    assert!(place.layout.uninstall().unwrap().is_empty());
    let shim = place.temp.path().join("bin/containerd-shim-wasm-v1");
    assert!(!place.layout.root().exists() && shim.symlink_metadata().is_err());
}

#[test]
fn what_a_killed_installation_left_is_no_obstacle() {
    let place = place();
    let half = place.layout.root().join(format!("versions/.new-{}", std::process::id()));
    fs::create_dir_all(&half).unwrap();
    fs::write(half.join("pinnace"), "half").unwrap();
    place.layout.install("0.1.0", &place.programs("one")).unwrap();
    assert_eq!(place.reads(), "one");
}

#[test]
fn a_version_cannot_leave_its_directory() {
    let place = place();
    for version in ["", "..", "../x", "a/b", ".new-1"] {
        let error = place.layout.install(version, place.temp.path()).expect_err("refused");
        assert!(matches!(error, LayoutError::Version { .. }), "{error}");
    }
}
