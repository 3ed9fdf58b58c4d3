//! The files of settings: which of them counts, and what a checkout's may say.

use super::{CHECKOUT_FILE, Config, ConfigProblem, SETTINGS, SettingSource, SettingsPlaces};
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A machine with a home directory, and a checkout in a folder of which a compile runs.
struct Machine {
    root: tempfile::TempDir,
    variables: HashMap<&'static str, OsString>,
}

impl Machine {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("src/lib/gpu")).unwrap();
        let variables = HashMap::from([("HOME", root.path().join("home").into_os_string())]);
        Self { root, variables }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn set(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.variables.insert(name, value.into());
        self
    }

    fn write(self, name: &str, text: &str) -> Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn users(self, text: &str) -> Self {
        self.write("home/.config/pcache/config.toml", text)
    }

    fn systems(self, text: &str) -> Self {
        self.write("etc/config.toml", text)
    }

    fn with_base(self, name: &str) -> Self {
        let base = self.path(name);
        self.set("PCACHE_BASE_DIR", base)
    }

    fn load(&self) -> (Config, Vec<ConfigProblem>) {
        let places = SettingsPlaces {
            system: &self.path("etc/config.toml"),
            directory: &self.path("src/lib/gpu"),
        };
        Config::load_at(&places, &|name| self.variables.get(name).cloned())
    }

    #[track_caller]
    fn load_well(&self) -> Config {
        let (config, problems) = self.load();
        assert_eq!(problems, []);
        config
    }

    /// The problems as users see them, with the machine's root as `~~`.
    fn problems(&self) -> Vec<String> {
        let root = self.root.path().to_str().unwrap();
        let (_, problems) = self.load();
        let texts = problems.iter().map(ConfigProblem::to_string);
        texts.map(|text| text.replace(root, "~~")).collect()
    }

    #[track_caller]
    fn problem(&self) -> String {
        let mut problems = self.problems();
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems.remove(0)
    }
}

/// The file of the checkout in this directory.
fn checkout(directory: &str) -> String {
    format!("{directory}/{CHECKOUT_FILE}")
}

#[test]
fn nearer_source_overrides_farther_one() {
    let machine = Machine::new().systems("direct = false\njobs = 3\nsemantic = false\n");
    let config = machine.load_well();
    assert_eq!((config.direct.value, config.semantic.value), (false, false));
    let source = SettingSource::File(machine.path("etc/config.toml"));
    assert_eq!(config.jobs.source, source);

    let machine = machine.users("jobs = 4\ndirect = true\n");
    let config = machine.load_well();
    assert_eq!(config.jobs.value.to_string(), "4");
    assert_eq!((config.direct.value, config.semantic.value), (true, false));

    let machine = machine.write(
        &checkout("src/lib/gpu"),
        "direct = false\nsemantic = true\n",
    );
    let config = machine.load_well();
    assert_eq!((config.direct.value, config.semantic.value), (false, true));
    let file = machine.path(&checkout("src/lib/gpu"));
    assert_eq!(config.direct.source, SettingSource::File(file));

    let config = machine.set("PCACHE_DIRECT", "1").load_well();
    assert!(config.direct.value);
    assert_eq!(config.direct.source, SettingSource::Environment);
}

#[test]
fn bad_value_leaves_the_next_source_in_force() {
    let machine = Machine::new()
        .systems("jobs = 3\n")
        .users("jobs = 'many'\n");
    let (config, problems) = machine.load();
    assert_eq!(problems.len(), 1);
    assert_eq!(config.jobs.value.to_string(), "3");
}

#[test]
fn checkouts_above_count_up_to_the_base_and_nearer_ones_win() {
    let machine = Machine::new()
        .write(&checkout("src/lib"), "direct = false\nsemantic = false\n")
        .write(&checkout("src"), "direct = true\nnvrtc = false\n")
        .write(&checkout("."), "stages = false\n");
    let config = machine.load_well();
    assert!(config.direct.value, "without a base, none above is read");

    let machine = machine.with_base("src");
    let config = machine.load_well();
    assert_eq!((config.direct.value, config.semantic.value), (false, false));
    assert!(!config.nvrtc.value);
    assert!(config.stages.value, "one above the base is not read");
}

#[test]
fn base_may_be_in_a_trusted_file_or_lie_behind_a_link_and_may_lie_elsewhere() {
    let machine = Machine::new().write(&checkout("src"), "direct = false\n");
    symlink(machine.path("src"), machine.path("link")).unwrap();
    let base = machine.path("link");
    let machine = machine.users(&format!("base_dir = {base:?}\n"));
    assert!(!machine.load_well().direct.value);
    let machine = machine.with_base("home");
    assert!(machine.load_well().direct.value);
}

#[test]
fn keys_that_could_do_harm_are_refused_in_a_checkout() {
    let harmless: Vec<_> = SETTINGS.iter().filter(|row| row.in_checkouts).collect();
    let names: Vec<_> = harmless.iter().map(|row| row.key).collect();
    assert_eq!(
        names,
        [
            "disable",
            "direct",
            "stages",
            "semantic",
            "nvrtc",
            "namespace",
            "extra_files"
        ]
    );
    let page = include_str!("../../docs/settings.md");
    let listed = names.iter().map(|name| format!("`{name}`"));
    let listed: Vec<_> = listed.collect();
    let (last, others) = listed.split_last().unwrap();
    let sentence = format!("{} and {last}", others.join(", "));
    let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(page.contains(&sentence), "docs/settings.md: {sentence}");

    let file = checkout("src/lib/gpu");
    for row in SETTINGS.iter().filter(|row| !row.in_checkouts) {
        let machine = Machine::new();
        let expected = machine.load_well();
        let machine = machine.write(&file, &format!("{} = '/elsewhere'\n", row.key));
        let (config, problems) = machine.load();
        assert_eq!(problems.len(), 1, "{}", row.key);
        assert_eq!(format!("{config:?}"), format!("{expected:?}"));
    }
    let machine = Machine::new().write(&file, "nvcc = '/tmp/evil'\n");
    insta::assert_snapshot!(machine.problem(), @r#"nvcc = "/tmp/evil" in "~~/src/lib/gpu/.pcache.toml": ignored, as a checkout brings this file along; write it in "~~/home/.config/pcache/config.toml" or set PCACHE_NVCC if you want it; a .pcache.toml can have disable, direct, stages, semantic, nvrtc, namespace, extra_files"#);
    let machine = Machine::new().write(&file, "semantics = true\n");
    let said = machine.problem();
    assert!(said.contains("did you mean semantic?"), "{said}");
}

#[test]
fn only_a_small_regular_file_is_read_in_a_checkout() {
    let file = checkout("src/lib/gpu");
    let secret = "token = 'hunter2'\n";
    let machine = Machine::new().write("home/secret.toml", secret);
    symlink(machine.path("home/secret.toml"), machine.path(&file)).unwrap();
    insta::assert_snapshot!(machine.problem(), @r#"settings in "~~/src/lib/gpu/.pcache.toml": cannot be read (it is a link); correct or remove the file: until then the cache is not used"#);

    let machine = Machine::new();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        machine.path(&file),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    let said = machine.problem();
    assert!(said.contains("it is not a regular file"), "{said}");

    let machine = Machine::new().write(&file, &"#".repeat(65537));
    let said = machine.problem();
    assert!(said.contains("it is larger than 64 KiB"), "{said}");
    let machine = Machine::new().write(&file, &"#".repeat(65536));
    machine.load_well();
}

#[test]
fn paths_in_files_may_begin_with_the_home_directory() {
    let machine = Machine::new()
        .users("dir = '~/cache'\nlog = '~/log'\nbase_dir = '~/src'\nnvcc = 'tools/nvcc'\n")
        .set("PCACHE_KEY", "~/key");
    let config = machine.load_well();
    assert_eq!(config.dir.value, machine.path("home/cache"));
    assert_eq!(config.log.value, Some(machine.path("home/log")));
    let base = machine.path("home/src").display().to_string();
    assert_eq!(config.base_dir.value.to_string(), base);
    assert_eq!(config.nvcc.value.as_deref(), Some(Path::new("tools/nvcc")));
    // A shell has completed what it takes for a home directory.
    assert_eq!(config.key.value.as_deref(), Some(Path::new("~/key")));
}

#[test]
fn extra_files_of_a_checkout_begin_beside_its_file() {
    let list = "extra_files = ['a', '/b', '~/c']\n";
    let machine = Machine::new()
        .write(&checkout("src"), list)
        .with_base("src");
    let files = machine.load_well().extra_files.value.0;
    let expected = [
        machine.path("src/a"),
        PathBuf::from("/b"),
        machine.path("home/c"),
    ];
    assert_eq!(files, expected);
    let machine = Machine::new().users("extra_files = 'a'\n");
    assert_eq!(
        machine.load_well().extra_files.value.0,
        [PathBuf::from("a")]
    );
    let machine = Machine::new().users("extra_files = 3\nnamespace = \"a\\nb\"\n");
    let problems = machine.problems();
    assert!(
        problems[0].contains("not UTF-8, or with a control character"),
        "{problems:?}"
    );
    assert!(problems[1].contains("not a list of paths"), "{problems:?}");
}

#[test]
fn settings_that_are_handed_over_come_from_no_file() {
    let machine = Machine::new().users("jobs = 4\n").systems("jobs = 3\n");
    let (config, problems) = Config::from_variables(&|name| machine.variables.get(name).cloned());
    assert_eq!(
        (config.jobs.value.to_string(), problems.len()),
        ("cores".to_owned(), 0)
    );
}
