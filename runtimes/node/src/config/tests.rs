use super::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("/etc/pinnace/config.toml"))
}

fn refusal(text: &str) -> String {
    parse(text).expect_err("refused").to_string()
}

#[test]
fn every_default_passes_the_strict_reader() {
    let text = Config::default().to_toml();
    let read = parse(&text).expect("defaults are right");
    assert_eq!(read, Config { file: DEFAULT_PATH.into(), ..Config::default() });
    assert_eq!(read.compile.memory_bytes.get(), 2 << 30);
}

#[test]
fn keys_that_are_not_named_keep_their_defaults() {
    let config = parse("[compile]\ntimeout_seconds = 5\n").unwrap();
    assert_eq!(config.compile.timeout_seconds.get(), 5);
    assert_eq!(config.compile.cpus, Config::default().compile.cpus);
    assert_eq!(parse("").unwrap().engine.default.as_str(), "wasmtime");
}

#[test]
fn unknown_keys_are_named_with_the_known_ones() {
    let message = refusal("[engine]\ndefualt = \"wasmtime\"\n");
    assert_eq!(
        message,
        "/etc/pinnace/config.toml: unknown key `engine.defualt`; known in [engine]: default, allowed"
    );
    let message = refusal("[engines]\n");
    assert!(message.contains("unknown key `engines`; known tables: engine, cache"), "{message}");
    let message = refusal("engine = \"wasmtime\"\n");
    assert!(message.contains("write `[engine]`"), "{message}");
}

#[test]
fn wrong_values_are_named_with_what_is_expected() {
    for (text, key) in [
        ("[compile]\nmemory_bytes = \"2G\"", "compile.memory_bytes"),
        ("[compile]\nmemory_bytes = -1", "compile.memory_bytes"),
        ("[compile]\nconcurrent = 0", "compile.concurrent"),
        ("[cache]\ndir = \"var\"", "cache.dir"),
        ("[cache]\ndir = \"/var/../etc\"", "cache.dir"),
        ("[engine]\ndefault = \"../sh\"", "engine.default"),
        ("[engine]\nallowed = \"wasmtime\"", "engine.allowed"),
        ("[log]\nlevel = \"loud\"", "log.level"),
        ("[native]\nenabled = \"no\"", "native.enabled"),
        ("[native]\nruntime = \"\"", "native.runtime"),
        ("[native]\nruntime = \"bin/runc\"", "native.runtime"),
        ("[native]\nargs = \"--debug\"", "native.args"),
    ] {
        let message = refusal(text);
        assert!(message.starts_with("/etc/pinnace/config.toml: wrong value of"), "{message}");
        assert!(message.contains(key) && !message.contains('\n'), "{message}");
    }
    assert!(refusal("[log]\nlevel = \"loud\"").contains("`debug`"));
}

#[test]
fn text_that_is_not_toml_is_named_with_its_line() {
    let message = refusal("[cache]\n\ndir = /var\n");
    assert!(message.starts_with("/etc/pinnace/config.toml, line 3: "), "{message}");
    assert!(!message.contains('\n'), "{message}");
    assert!(refusal("[cache]\nmax_bytes = 1\nmax_bytes = 2\n").contains("line 3"));
}

#[test]
fn a_default_engine_must_be_allowed() {
    let message = refusal("[engine]\ndefault = \"wasmedge\"\n");
    assert!(message.contains("`wasmedge` is not allowed") && message.contains("[\"wasmtime\"]"), "{message}");
    let both = "[engine]\ndefault = \"wasmedge\"\nallowed = [\"wasmtime\", \"wasmedge\"]\n";
    let config = parse(both).unwrap();
    assert_eq!(config.engine(None).unwrap().as_str(), "wasmedge");
    assert_eq!(config.engine(Some("wasmtime")).unwrap().as_str(), "wasmtime");
    assert!(config.engine(Some("../../bin/sh")).is_err());
}

#[test]
fn the_called_name_sets_the_default_and_options_come_before_it() {
    let both = "[engine]\nallowed = [\"wasmtime\", \"wasmedge\"]\n";
    let called = |name: &str| parse(both).unwrap().called_as(OsStr::new(name));
    let default = |config: Config| config.engine(None).unwrap().as_str().to_owned();
    assert_eq!(default(called("/usr/bin/containerd-shim-wasmedge-v1")), "wasmedge");
    assert_eq!(default(called("containerd-shim-wasm-v1")), "wasmtime");
    assert_eq!(default(called("pinnace")), "wasmtime");
    let narrowed = called("containerd-shim-wasmedge-v1").narrow("engine.default = \"wasmtime\"", "options");
    assert_eq!(default(narrowed.unwrap()), "wasmtime");
    let not_allowed = parse("").unwrap().called_as(OsStr::new("containerd-shim-wasmedge-v1"));
    assert!(not_allowed.engine(None).is_err());
}

#[test]
fn options_take_away_and_never_add() {
    let node = parse("[engine]\nallowed = [\"wasmtime\", \"wasmedge\"]\n").unwrap();
    let text = "[engine]\nallowed = [\"wasmtime\"]\n[module]\nmax_bytes = 1024\n[log]\nlevel = \"trace\"\n\
                [cache]\ndir = \"/var/lib/pinnace\"\n";
    let narrowed = node.narrow(text, "options of the handler").unwrap();
    assert_eq!(narrowed.module.max_bytes.get(), 1024);
    assert!(narrowed.engine(Some("wasmedge")).is_err());
    for (text, part) in [
        ("module.max_bytes = 999999999999", "here it may be made smaller"),
        ("engine.allowed = [\"wasmtime\", \"other\"]", "here it may leave some out"),
        ("cache.dir = \"/tmp\"", "only the node's own file sets it"),
        ("compile.cgroup = \"/\"", "`compile.cgroup = \"/pinnace-compile\"`"),
        ("compile.concurrent = 1", "only the node's own file sets it"),
        ("native.runtime = \"crun\"", "only the node's own file sets it"),
        ("native.args = [\"--debug\"]", "only the node's own file sets it"),
    ] {
        let message = node.narrow(text, "options of the handler").expect_err("refused").to_string();
        assert!(message.starts_with("options of the handler: ") && message.contains(part), "{message}");
    }
}

#[test]
fn native_containers_are_switched_off_by_options_and_never_on() {
    let (allowing, wasm_only) = (parse("").unwrap(), parse("native.enabled = false").unwrap());
    let enabled = |node: &Config, text| node.narrow(text, "options").map(|config| config.native.enabled);
    assert!(enabled(&allowing, "").unwrap());
    assert!(!enabled(&allowing, "native.enabled = false").unwrap());
    assert!(!enabled(&wasm_only, "native.enabled = false").unwrap());
    let message = enabled(&wasm_only, "native.enabled = true").expect_err("refused").to_string();
    assert!(message.contains("here it may be switched off"), "{message}");
    for runtime in ["runc", "crun-1.2", "/opt/bin/youki"] {
        let config = parse(&format!("native.runtime = \"{runtime}\"")).unwrap();
        assert_eq!(config.native.runtime.as_str(), runtime);
    }
}

#[test]
fn the_cgroup_driver_is_a_key_of_options_only() {
    let node = parse("").unwrap();
    let driver = |text| node.narrow(text, "options").unwrap().systemd_cgroup;
    assert_eq!(driver("SystemdCgroup = true\nlog.level = \"debug\""), Some(true));
    assert_eq!(driver("SystemdCgroup = false"), Some(false));
    assert_eq!(driver("log.level = \"debug\""), None);
    let message = node.narrow("SystemdCgroup = \"yes\"", "options").expect_err("refused").to_string();
    assert!(message.contains("`SystemdCgroup` (`true` or `false`)"), "{message}");
    let message = parse("SystemdCgroup = true").expect_err("refused").to_string();
    assert!(message.contains("unknown key `SystemdCgroup`"), "{message}");
}

#[test]
fn a_named_file_must_exist_and_be_small() {
    let error = Config::load(Some(OsStr::new("/nonexistent/pinnace.toml"))).expect_err("refused");
    assert!(error.to_string().contains("/nonexistent/pinnace.toml"), "{error}");
    let error = Config::load(Some(OsStr::new("/dev/zero"))).expect_err("refused");
    assert!(error.to_string().contains("64 KiB"), "{error}");
    assert!(Config::load(Some(OsStr::new("/"))).is_err());
}
