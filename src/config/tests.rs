//! The table, the order of the sources, and the problems that are reported for values that cannot be used.

use super::{
    BadDriverVersion, BadJobs, BadLifetime, BadPolicy, BadSize, ByteSize, Config, ConfigProblem,
    DriverVersion, EvictionPolicy, Jobs, Lifetime, SETTINGS, SettingSource, SettingsPlaces,
};
use proptest::prelude::{Just, Strategy, any, prop_assert_eq, prop_oneof, proptest};
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// A home directory with a configuration file, and an environment.
struct Home {
    dir: tempfile::TempDir,
    variables: HashMap<String, OsString>,
}

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().as_os_str().to_owned();
        let variables = HashMap::from([("HOME".to_owned(), home)]);
        Self { dir, variables }
    }

    fn set(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join(".config/pcache/config.toml")
    }

    fn write(self, text: &str) -> Self {
        fs::create_dir_all(self.file().parent().unwrap()).unwrap();
        fs::write(self.file(), text).unwrap();
        self
    }

    fn load(&self) -> (Config, Vec<ConfigProblem>) {
        let places = SettingsPlaces {
            system: &self.dir.path().join("etc/config.toml"),
            directory: self.dir.path(),
        };
        Config::load_at(&places, &|name| self.variables.get(name).cloned())
    }

    #[track_caller]
    fn load_well(&self) -> Config {
        let (config, problems) = self.load();
        assert_eq!(problems, []);
        config
    }

    /// The only problem, as it is shown to users, with the home directory as `~`.
    #[track_caller]
    fn problem(&self) -> String {
        let (_, problems) = self.load();
        assert_eq!(problems.len(), 1, "{problems:?}");
        let home = self.dir.path().to_str().unwrap();
        problems[0].to_string().replace(home, "~")
    }
}

#[test]
fn table_names_each_setting_once_and_alike() {
    let keys: HashSet<_> = SETTINGS.iter().map(|s| s.key).collect();
    assert_eq!(keys.len(), SETTINGS.len());
    for setting in SETTINGS {
        let variable = format!("PCACHE_{}", setting.key.to_uppercase());
        assert_eq!(setting.variable, variable);
        assert!(!setting.help.ends_with('.') && !setting.default.is_empty());
    }
}

#[test]
fn defaults_are_those_of_the_table() {
    let home = Home::new();
    let config = home.load_well();
    assert_eq!(config.dir.value, home.dir.path().join(".cache/pcache-nvcc"));
    for listed in config.list() {
        assert_eq!(*listed.source, SettingSource::Default);
        let documented = listed.setting.default.trim_matches('`');
        match listed.setting.key {
            "dir" => assert_eq!(documented, "$XDG_CACHE_HOME/pcache-nvcc"),
            "private_dir" => {
                let expected = home.dir.path().join(".cache/pcache-nvcc-private");
                assert_eq!(config.private_dir.value, expected);
                assert_eq!(documented, "$XDG_CACHE_HOME/pcache-nvcc-private");
            }
            "nvcc" | "log" | "key" | "namespace" | "extra_files" | "remote" | "sign_key"
            | "trusted_keys" => {
                assert_eq!(listed.value, None)
            }
            _ => assert_eq!(listed.value.as_deref(), Some(documented)),
        }
    }
}

#[test]
fn xdg_directories_count_when_they_are_absolute() {
    let config = Home::new().set("XDG_CACHE_HOME", "/xdg").load_well();
    assert_eq!(config.dir.value, Path::new("/xdg/pcache-nvcc"));
    let home = Home::new().set("XDG_CACHE_HOME", "relative");
    let default = home.dir.path().join(".cache/pcache-nvcc");
    assert_eq!(home.load_well().dir.value, default);
}

#[test]
fn file_sets_and_environment_overrides() {
    let text = "dir = '/f'\nmax_size = '3M'\nnvcc = '/f/nvcc'\nreadonly = true\nlog = '/f/log'\n";
    let home = Home::new()
        .write(text)
        .set("PCACHE_DIR", "/e")
        .set("PCACHE_LOG", "")
        .set("PCACHE_READONLY", "no");
    let config = home.load_well();
    let file = SettingSource::File(home.file());
    assert_eq!(config.dir.value, Path::new("/e"));
    assert_eq!(config.dir.source, SettingSource::Environment);
    assert_eq!(config.max_size.value.bytes(), 3 << 20);
    assert_eq!(config.max_size.source, file);
    assert_eq!(config.nvcc.value.as_deref(), Some(Path::new("/f/nvcc")));
    assert_eq!(config.log.value.as_deref(), Some(Path::new("/f/log")));
    assert_eq!(config.log.source, file, "an empty variable is an unset one");
    assert!(!config.readonly.value);
    assert_eq!(config.recache.source, SettingSource::Default);
}

#[test]
fn bools_take_the_usual_words() {
    for (text, expected) in [
        ("", false),
        ("0", false),
        ("false", false),
        ("No", false),
        ("1", true),
        ("TRUE", true),
        ("yes", true),
    ] {
        let config = Home::new().set("PCACHE_DISABLE", text).load_well();
        assert_eq!(config.disable.value, expected, "{text:?}");
    }
}

#[test]
fn waits_are_whole_seconds() {
    let wait = |text| Home::new().set("PCACHE_WAIT", text).load();
    for (text, seconds) in [("0", 0), ("7", 7), ("4294967295", u64::from(u32::MAX))] {
        let (config, problems) = wait(text);
        assert_eq!(problems, []);
        assert_eq!(config.wait.value.as_secs(), seconds);
    }
    for bad in ["-1", "+1", "1.5", "5s", " 5", "4294967296"] {
        let (config, problems) = wait(bad);
        assert_eq!(problems.len(), 1, "{bad:?}");
        assert_eq!(config.wait.value.as_secs(), 300);
    }
    assert_eq!(
        Home::new()
            .write("wait = 12")
            .load_well()
            .wait
            .value
            .as_secs(),
        12
    );
}

#[test]
fn jobs_are_a_positive_number_or_the_cores() {
    let parse = |text: &str| text.parse::<Jobs>();
    assert_eq!(parse("cores"), Ok(Jobs::Cores));
    assert_eq!(Jobs::Cores.number(), None);
    for (text, number) in [("1", 1), ("007", 7), ("65535", 65535)] {
        let jobs = parse(text).unwrap();
        assert_eq!(jobs.number().map(usize::from), Some(number));
    }
    for bad in ["", "-1", "+1", "1.5", " 2", "Cores", "all"] {
        assert_eq!(parse(bad), Err(BadJobs::Shape), "{bad:?}");
    }
    assert_eq!(parse("0"), Err(BadJobs::Zero));
    assert_eq!(parse("65536"), Err(BadJobs::TooMany));
    let home = Home::new().write("jobs = 3");
    assert_eq!(home.load_well().jobs.value.to_string(), "3");
    let home = home.set("PCACHE_JOBS", "cores");
    assert_eq!(home.load_well().jobs.value, Jobs::Cores);
}

#[test]
fn driver_versions_are_digits_and_dots_or_words() {
    let parse = |text: &str| text.parse::<DriverVersion>();
    assert_eq!(parse("auto"), Ok(DriverVersion::Auto));
    for text in ["none", "595.71.05", "550", "12.0"] {
        assert_eq!(parse(text), Ok(DriverVersion::Fixed(text.into())));
    }
    for bad in [
        "", ".", "595.", ".5", "595..71", "+595", "595.71 ", "v595", "None", "AUTO", "５",
    ] {
        assert_eq!(parse(bad), Err(BadDriverVersion), "{bad:?}");
    }
    let home = Home::new().write("driver = '595.71.05'");
    assert_eq!(home.load_well().driver.value.to_string(), "595.71.05");
    let home = home.set("PCACHE_DRIVER", "595/71");
    assert_eq!(home.load().0.driver.value.to_string(), "595.71.05");
    let (config, _) = Home::new().set("PCACHE_DRIVER", "newest").load();
    assert_eq!(config.driver.value, DriverVersion::Auto);
}

#[test]
fn problems_name_setting_value_source_and_way_out() {
    let said = |variable, value| Home::new().set(variable, value).problem();
    insta::assert_snapshot!(said("PCACHE_MAX_SIZE", "10X"), @"PCACHE_MAX_SIZE=10X: not a size; write a number with K, M, G or T, such as 10G; the setting is ignored");
    insta::assert_snapshot!(said("PCACHE_MAX_SIZE", "0"), @"PCACHE_MAX_SIZE=0: a size of zero; write a number with K, M, G or T, such as 10G; the setting is ignored");
    insta::assert_snapshot!(said("PCACHE_MAX_SIZE", "99999999T"), @"PCACHE_MAX_SIZE=99999999T: too large a size; write a number with K, M, G or T, such as 10G; the setting is ignored");
    insta::assert_snapshot!(said("PCACHE_POLICY", "best"), @"PCACHE_POLICY=best: no such policy; write lru, fifo, lfu, random, ttl:7d, tlru or tlru:30d,90d; the setting is ignored");
    insta::assert_snapshot!(said("PCACHE_POLICY", "ttl"), @"PCACHE_POLICY=ttl: no lifetime; write one, such as ttl:7d; the setting is ignored");
    insta::assert_snapshot!(said("PCACHE_POLICY", "ttl:7"), @"PCACHE_POLICY=ttl:7: not a lifetime; write numbers with s, m, h or d, such as ttl:7d or tlru:30d,90d; the setting is ignored");
    insta::assert_snapshot!(said("PCACHE_COMPRESS", "some"), @"PCACHE_COMPRESS=some: not what can be compressed; write all, internal or none, or a level too, such as all:12; the setting is ignored");
    insta::assert_snapshot!(said("PCACHE_COMPRESS", "all:20"), @"PCACHE_COMPRESS=all:20: no such level; write all, internal or none, or a level too, such as all:12; the setting is ignored");
    insta::assert_snapshot!(said("PCACHE_DISABLE", "maybe"), @"PCACHE_DISABLE=maybe: neither yes nor no; set 1 or 0; the setting is ignored");
    insta::assert_snapshot!(said("PCACHE_WAIT", "-1"), @"PCACHE_WAIT=-1: not a number of seconds; write digits, such as 60; the setting is ignored");
    insta::assert_snapshot!(said("PCACHE_JOBS", "0"), @"PCACHE_JOBS=0: no jobs at all; write digits, such as 8, or cores; the setting is ignored");
    insta::assert_snapshot!(said("PCACHE_JOBS", "many"), @"PCACHE_JOBS=many: not a number of jobs; write digits, such as 8, or cores; the setting is ignored");
    insta::assert_snapshot!(said("PCACHE_DRIVER", "new"), @"PCACHE_DRIVER=new: not a driver version; write auto, none, or digits and dots, such as 595.71.05; the setting is ignored");
    insta::assert_snapshot!(said("PCACHE_DIR", "cache"), @"PCACHE_DIR=cache: not an absolute path; begin it with /; the setting is ignored");
    let said = |text| Home::new().write(text).problem();
    insta::assert_snapshot!(said("max_size = 0"), @r#"max_size = 0 in "~/.config/pcache/config.toml": a size of zero; write a number with K, M, G or T, such as 10G; the setting is ignored"#);
    insta::assert_snapshot!(said("policy = 7"), @r#"policy = 7 in "~/.config/pcache/config.toml": not a policy; write it in quotes, such as "lru"; the setting is ignored"#);
    insta::assert_snapshot!(said("max_size = 1.5"), @r#"max_size = 1.5 in "~/.config/pcache/config.toml": not a size; write a number with K, M, G or T, such as 10G; the setting is ignored"#);
    insta::assert_snapshot!(said("driver = 595.70"), @r#"driver = 595.7 in "~/.config/pcache/config.toml": not a text; write it in quotes, such as "595.71.05"; the setting is ignored"#);
    insta::assert_snapshot!(said("disable = 'yes'"), @r#"disable = "yes" in "~/.config/pcache/config.toml": neither true nor false; write one of them, without quotes; the setting is ignored"#);
    insta::assert_snapshot!(said("wait = '5s'"), @r#"wait = "5s" in "~/.config/pcache/config.toml": not a number of seconds; write digits, such as 60; the setting is ignored"#);
    insta::assert_snapshot!(said("log = 3"), @r#"log = 3 in "~/.config/pcache/config.toml": not a path; write it in quotes; the setting is ignored"#);
    insta::assert_snapshot!(said("size = '1G'"), @r#"size = "1G" in "~/.config/pcache/config.toml": no such setting; did you mean max_size? there are dir, max_size, max_files, policy, compress, nvcc, driver, disable, readonly, trust, key, private_dir, direct, stages, semantic, nvrtc, base_dir, namespace, extra_files, recache, recheck, wait, remote, remote_wait, sign_key, trusted_keys, jobs, log"#);
    // The text in between comes from the TOML parser, and is not checked.
    let broken = said("readonly = true\n\ndir = ");
    let line = "settings in \"~/.config/pcache/config.toml\": line 3: ";
    assert!(broken.starts_with(line), "{broken}");
    let way_out = "; correct or remove the file: until then the cache is not used";
    assert!(broken.ends_with(way_out), "{broken}");
}

#[test]
fn bad_variable_leaves_the_file_in_force() {
    let home = Home::new()
        .write("max_size = 4096")
        .set("PCACHE_MAX_SIZE", "much");
    let (config, problems) = home.load();
    assert_eq!(problems.len(), 1);
    assert_eq!(config.max_size.value.bytes(), 4096);
    assert_eq!(config.max_size.source, SettingSource::File(home.file()));
}

#[test]
fn unreadable_file_is_reported_and_ignored() {
    let home = Home::new().write("");
    fs::remove_file(home.file()).unwrap();
    fs::create_dir(home.file()).unwrap();
    let said = home.problem();
    assert!(
        said.contains("config.toml") && said.contains("cannot be read"),
        "{said}"
    );
}

#[test]
fn sizes_are_digits_and_a_unit() {
    let parse = |text: &str| text.parse::<ByteSize>().map(ByteSize::bytes);
    assert_eq!(parse("10G"), Ok(10 << 30));
    assert_eq!(parse("7"), Ok(7));
    assert_eq!(parse("1t"), Ok(1 << 40));
    assert_eq!(parse("1.5G"), Ok(3 << 29));
    assert_eq!(parse("20GB"), Ok(20_000_000_000));
    assert_eq!(parse("0.5kB"), Ok(500));
    for same in ["20G", "20g", "20Gi", "20GiB", "20gib", "20 GiB", "20.0G"] {
        assert_eq!(parse(same), Ok(20 << 30), "{same:?}");
    }
    for bad in [
        "",
        "G",
        "-1",
        "+1",
        "1  G",
        " 1G",
        "1.G",
        ".5G",
        "1.5.0G",
        "1Q",
        "1GG",
        "1GiBs",
        "1iB",
        "1B",
        "G1",
        "１G",
        "1.0123456789G",
        "1,5G",
    ] {
        assert_eq!(parse(bad), Err(BadSize::Shape), "{bad:?}");
    }
    assert_eq!(parse("0K"), Err(BadSize::Zero));
    assert_eq!(parse("0.4"), Err(BadSize::Zero));
    assert_eq!(parse("99999999999999999999T"), Err(BadSize::TooLarge));
    assert_eq!(parse("18446744073709551616"), Err(BadSize::TooLarge));
}

#[test]
fn lifetimes_are_digits_and_a_unit() {
    let parse = |text: &str| text.parse::<Lifetime>().map(Lifetime::seconds);
    assert_eq!(parse("45s"), Ok(45));
    assert_eq!(parse("2m"), Ok(120));
    assert_eq!(parse("3h"), Ok(10_800));
    assert_eq!(parse("7d"), Ok(604_800));
    for bad in [
        "", "d", "7", "-1d", "+1d", "1 d", "1.5d", "1D", "1w", "d1", "１d", "1dd",
    ] {
        assert_eq!(parse(bad), Err(BadLifetime::Shape), "{bad:?}");
    }
    assert_eq!(parse("0d"), Err(BadLifetime::Zero));
    assert_eq!(parse("213503982334602d"), Err(BadLifetime::TooLong));
    assert_eq!(parse("18446744073709551616s"), Err(BadLifetime::TooLong));
    assert_eq!(Lifetime::days(0).seconds(), 86_400);
}

#[test]
fn policies_are_names_and_lifetimes() {
    let parse = |text: &str| text.parse::<EvictionPolicy>();
    let shown = |text: &str| parse(text).unwrap().to_string();
    assert_eq!(parse("lru"), Ok(EvictionPolicy::Lru));
    assert_eq!(parse("fifo"), Ok(EvictionPolicy::Fifo));
    assert_eq!(parse("lfu"), Ok(EvictionPolicy::Lfu));
    assert_eq!(parse("random"), Ok(EvictionPolicy::Random));
    assert_eq!(shown("ttl:168h"), "ttl:7d");
    assert_eq!(shown("tlru"), "tlru:30d,90d");
    assert_eq!(shown("tlru:90m,2h"), "tlru:90m,2h");
    for bad in ["", "LRU", "lru:", "fifo:1d", "best", "ttl ", ":7d"] {
        assert_eq!(parse(bad), Err(BadPolicy::Name), "{bad:?}");
    }
    for bad in [
        "ttl:",
        "ttl:7",
        "tlru:",
        "tlru:7d",
        "tlru:7d,",
        "tlru:,7d",
        "tlru:7d,7d,7d",
        "tlru:7d, 7d",
    ] {
        assert_eq!(parse(bad), Err(BadLifetime::Shape.into()), "{bad:?}");
    }
    assert_eq!(parse("ttl"), Err(BadPolicy::NoLifetime));
    assert_eq!(parse("ttl:0s"), Err(BadLifetime::Zero.into()));
}

#[test]
fn policy_comes_from_file_and_environment() {
    let home = Home::new().write("policy = 'ttl:2d'");
    assert_eq!(home.load_well().policy.value.to_string(), "ttl:2d");
    let home = home.set("PCACHE_POLICY", "lfu");
    assert_eq!(home.load_well().policy.value, EvictionPolicy::Lfu);
    let home = home.set("PCACHE_POLICY", "best");
    assert_eq!(home.load().0.policy.value.to_string(), "ttl:2d");
}

#[test]
fn approximate_sizes_round_to_one_digit() {
    assert_eq!(ByteSize::approximate(1023), "1023 B");
    assert_eq!(ByteSize::approximate(1536), "1.5 KiB");
    assert_eq!(ByteSize::approximate(10 << 30), "10.0 GiB");
}

fn suffix() -> impl Strategy<Value = (&'static str, u32)> {
    prop_oneof![
        Just(("", 0)),
        Just(("K", 10)),
        Just(("m", 20)),
        Just(("G", 30)),
        Just(("t", 40)),
    ]
}

proptest! {
    #[test]
    fn size_reads_back_as_it_was_shown(bytes in 1u64..) {
        let shown = ByteSize::new(bytes).to_string();
        prop_assert_eq!(shown.parse(), Ok(ByteSize::new(bytes)));
    }

    #[test]
    fn size_is_the_number_times_its_unit(number in 1u64..1 << 23, (suffix, shift) in suffix()) {
        let parsed = format!("{number}{suffix}").parse();
        prop_assert_eq!(parsed, Ok(ByteSize::new(number << shift)));
    }

    #[test]
    fn policy_reads_back_as_it_was_shown(objects in 1u64.., device in 1u64..) {
        for text in [format!("ttl:{objects}s"), format!("tlru:{objects}s,{device}s")] {
            let policy: EvictionPolicy = text.parse().unwrap();
            prop_assert_eq!(policy.to_string().parse(), Ok(policy));
        }
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in any::<String>()) {
        let _ = text.parse::<ByteSize>();
        let _ = text.parse::<EvictionPolicy>();
        let _ = format!("ttl:{text}").parse::<EvictionPolicy>();
        let _ = format!("tlru:{text},{text}").parse::<EvictionPolicy>();
    }

    #[test]
    fn no_file_makes_loading_panic(text in "[a-z_ =\"'0-9GKM.\\n\\[\\]#]{0,60}") {
        let _ = Home::new().write(&text).load();
    }
}

#[test]
fn cache_is_not_used_while_a_setting_that_guards_results_cannot_be_read() {
    let off = |home: &Home| home.load().0.disable;
    let home = Home::new().set("PCACHE_NAMESPACE", "a\tb");
    assert!(off(&home).value && off(&home).source == SettingSource::Environment);
    assert_eq!(
        home.problem(),
        "PCACHE_NAMESPACE=a\tb: not UTF-8, or with a control character; write a plain text; the cache is not used"
    );
    for text in [
        "namespace = 5",
        "extra_files = [1]",
        "trusted_keys = 5",
        "namespace =",
    ] {
        let home = Home::new().write(text);
        assert!(off(&home).value, "{text}");
        assert!(home.problem().ends_with("the cache is not used"), "{text}");
    }
    for text in ["max_size = 'big'", "namespace = 'a'", "semantic = 5"] {
        assert!(!off(&Home::new().write(text)).value, "{text}");
    }
}
