//! `pcache` as people and scripts run it: the real program in directories of its own.

use crate::home::Home;
use pcache_nvcc::config::SETTINGS;
use pcache_nvcc::outcome::{BypassReason, FallbackReason, NvrtcReason};
use pcache_nvcc::stats::{Counter, StageKind, Stats};
use serde_json::Value;
use std::fs;
use std::process::Stdio;

#[test]
fn statistics_of_no_cache_are_zeros_and_make_nothing() {
    let home = Home::new();
    let report = home.json(&["stats", "--json"]);
    for total in [
        "direct_hits",
        "preprocessed_hits",
        "misses",
        "coalesced",
        "errors",
        "semantic_hits",
    ] {
        assert_eq!(report[total], 0, "{total}");
    }
    assert_eq!(report["store"]["max_bytes"], 10u64 << 30);
    home.text(&["stats"]);
    home.text(&["stats", "--zero"]);
    assert!(!home.cache().exists());
}

#[test]
fn json_has_every_reason_and_stage_under_its_name() {
    let home = Home::new();
    let store = home.store();
    let stats = store.stats();
    stats.add(Counter::DirectHit, 1);
    stats.add(Counter::PreprocessedHit, 2);
    stats.add(Counter::Miss, 3);
    stats.add(Counter::Coalesced, 4);
    stats.add(Counter::Error, 5);
    stats.add(Counter::Uncacheable, 6);
    stats.add(Counter::SemanticHit, 7);
    for (n, &reason) in BypassReason::ALL.iter().enumerate() {
        stats.add(Counter::Bypassed(reason), n as u64 + 10);
    }
    for (n, &reason) in FallbackReason::ALL.iter().enumerate() {
        stats.add(Counter::Fallback(reason), n as u64 + 20);
    }
    for (n, &kind) in StageKind::ALL.iter().enumerate() {
        stats.add(Counter::StageHit(kind), n as u64 + 30);
        stats.add(Counter::StageMiss(kind), n as u64 + 40);
    }
    stats.add(Counter::NvrtcHit, 50);
    stats.add(Counter::NvrtcCoalesced, 51);
    stats.add(Counter::NvrtcMiss, 52);
    stats.add(Counter::NvrtcUncacheable, 53);
    for (n, &reason) in NvrtcReason::ALL.iter().enumerate() {
        stats.add(Counter::NvrtcBypassed(reason), n as u64 + 60);
    }
    store.put(b"key", b"value").unwrap();
    store.put_record(b"key", b"").unwrap();
    let report = home.json(&["stats", "--json"]);
    let totals = [
        "direct_hits",
        "preprocessed_hits",
        "misses",
        "coalesced",
        "errors",
        "uncacheable",
        "semantic_hits",
    ];
    for (n, total) in totals.into_iter().enumerate() {
        assert_eq!(report[total], n + 1, "{total}");
    }
    for (n, reason) in BypassReason::ALL.iter().enumerate() {
        assert_eq!(report["bypassed"][reason.code()], n + 10);
    }
    for (n, reason) in FallbackReason::ALL.iter().enumerate() {
        assert_eq!(report["fallbacks"][reason.code()], n + 20);
    }
    for (n, kind) in StageKind::ALL.iter().enumerate() {
        assert_eq!(report["stages"][kind.code()]["hits"], n + 30);
        assert_eq!(report["stages"][kind.code()]["misses"], n + 40);
    }
    let nvrtc = &report["nvrtc"];
    for (n, name) in ["hits", "coalesced", "misses", "uncacheable"]
        .iter()
        .enumerate()
    {
        assert_eq!(nvrtc[name], n + 50, "{name}");
    }
    for (n, reason) in NvrtcReason::ALL.iter().enumerate() {
        assert_eq!(nvrtc["bypassed"][reason.code()], n + 60);
    }
    let expected = serde_json::json!(
        {"entries": 1, "records": 1, "bytes": 92, "max_bytes": 10u64 << 30, "evicted": 0, "compressed": {"from": 0, "to": 0}});
    assert_eq!(report["store"], expected);
}

#[test]
fn table_gives_a_sentence_for_each_reason_that_was_counted() {
    let home = Home::new();
    let store = home.store();
    store.put(b"key", &[0; 3000]).unwrap();
    let stats = store.stats();
    stats.add(Counter::DirectHit, 40);
    stats.add(Counter::Miss, 2);
    stats.add(Counter::Bypassed(BypassReason::Verbose), 3);
    stats.add(Counter::Bypassed(BypassReason::LinkOnly), 1);
    stats.add(Counter::Fallback(FallbackReason::Stage), 1);
    stats.add(Counter::StageHit(StageKind::Ptxas), 7);
    stats.add(Counter::SavedMilliseconds, 75_000);
    stats.add(Counter::SpentMilliseconds, 1_260);
    insta::assert_snapshot!(home.text(&["stats"]), @"
    hit rate 95.2 % (40 of 42), 75.0 s saved, 2.9 KiB of 10.0 GiB used
    cache               ~/.cache/pcache-nvcc

    translation units           42
    hits                        40   95.2 %
      direct                    40   95.2 %
    misses                       2    4.8 %
    time compiling           1.3 s

    passed to nvcc               4
               3  verbose: prints messages among nvcc's commands (-v), or nvcc's state
               1  link_only: only links or archives; nothing is compiled
    fell back to nvcc            1
               1  stage_failed: a stage failed; nvcc repeats the compile and reports the error

    stages of misses    from cache        run
      ptxas                      7          0

    stored artefacts             1
    ");
}

#[test]
fn zero_resets_counts_and_keeps_the_store() {
    let home = Home::new();
    let store = home.store();
    store.put(b"key", b"value").unwrap();
    store.stats().add(Counter::Miss, 2);
    let report = home.json(&["stats", "--json", "--zero"]);
    assert_eq!(report["misses"], 2, "what was counted is shown once more");
    let report = home.json(&["stats", "--json"]);
    assert_eq!(report["misses"], 0);
    assert_eq!(report["store"]["bytes"], 5);
    assert!(
        home.text(&["stats", "--zero"])
            .ends_with("the counters are now zero\n")
    );
}

#[test]
fn statistics_count_the_store_again_when_the_page_is_lost() {
    let home = Home::new();
    home.store().put(b"key", b"value").unwrap();
    fs::remove_file(home.cache().join("counters")).unwrap();
    assert_eq!(home.json(&["stats", "--json"])["store"]["bytes"], 5);
    assert_eq!(
        Stats::open_existing(&home.cache())
            .store_size()
            .unwrap()
            .entries,
        1
    );
}

#[test]
fn counters_that_cannot_be_used_are_mentioned_and_not_reset() {
    let home = Home::new();
    fs::create_dir_all(home.cache().join("counters")).unwrap();
    let output = home.run(&["stats", "--json"]);
    assert!(output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("pcache: the counters in "), "{said}");
    assert!(serde_json::from_slice::<Value>(&output.stdout).is_ok());
    assert_eq!(home.run(&["stats", "--zero"]).status.code(), Some(1));
}

#[test]
fn clear_says_what_it_removed() {
    let home = Home::new();
    assert_eq!(
        home.text(&["clear"]),
        "there is no cache at \"~/.cache/pcache-nvcc\"\n"
    );
    let store = home.store();
    store.put(b"key", &[0; 2048]).unwrap();
    store.put_record(b"key", b"").unwrap();
    let said = home.text(&["clear"]);
    assert_eq!(
        said,
        "removed 2 files (2.1 KiB) from \"~/.cache/pcache-nvcc\"\n"
    );
    assert_eq!(store.get(b"key").unwrap(), None);
    assert_eq!(home.json(&["stats", "--json"])["store"]["bytes"], 0);
}

#[test]
fn clear_of_a_read_only_cache_is_refused() {
    let home = Home::new();
    home.store().put(b"key", b"value").unwrap();
    let output = home
        .command(&["clear"])
        .env("PCACHE_READONLY", "1")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with("pcache: cannot clear ") && said.contains("environment"),
        "{said}"
    );
    assert!(home.store().get(b"key").unwrap().is_some());
}

#[test]
fn config_shows_values_and_where_they_come_from() {
    let home = Home::new();
    let file = home.path().join(".config/pcache/config.toml");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "max_size = '2G'\nspeed = 'high'\n").unwrap();
    insta::assert_snapshot!(home.text(&["config"]), @r#"
    dir          ~/.cache/pcache-nvcc  (default)
    max_size     2G  (~/.config/pcache/config.toml)
    max_files    none  (default)
    policy       lru  (default)
    compress     internal  (default)
    nvcc         (none)  (default)
    driver       auto  (default)
    disable      false  (default)
    readonly     false  (default)
    trust        mine  (default)
    key          (none)  (default)
    private_dir  ~/.cache/pcache-nvcc-private  (default)
    direct       true  (default)
    stages       true  (default)
    semantic     true  (default)
    nvrtc        true  (default)
    base_dir     auto  (default)
    namespace    (none)  (default)
    extra_files  (none)  (default)
    recache      false  (default)
    recheck      0%  (default)
    wait         300  (default)
    remote       (none)  (default)
    remote_wait  1000  (default)
    sign_key     (none)  (default)
    trusted_keys (none)  (default)
    jobs         cores  (default)
    log          (none)  (default)

    configuration file: ~/.config/pcache/config.toml
    problem: speed = "high" in "~/.config/pcache/config.toml": no such setting; there are dir, max_size, max_files, policy, compress, nvcc, driver, disable, readonly, trust, key, private_dir, direct, stages, semantic, nvrtc, base_dir, namespace, extra_files, recache, recheck, wait, remote, remote_wait, sign_key, trusted_keys, jobs, log
    "#);
    let report = home.json(&["config", "--json"]);
    assert_eq!(report["file"], "~/.config/pcache/config.toml");
    let rows = report["settings"].as_array().unwrap();
    assert_eq!(rows.len(), SETTINGS.len());
    assert_eq!(rows[1]["name"], "max_size");
    assert_eq!(rows[1]["value"], "2G");
    assert_eq!(rows[1]["source"], "file");
    assert_eq!(report["problems"][0]["setting"], "speed");
}

#[test]
fn bad_setting_is_reported_and_does_not_stop_a_request() {
    let home = Home::new();
    let output = home
        .command(&["stats"])
        .env("PCACHE_MAX_SIZE", "big")
        .output()
        .unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with("pcache: PCACHE_MAX_SIZE=big: not a size"),
        "{said}"
    );
}

#[test]
fn mistakes_are_told_in_one_voice() {
    let home = Home::new();
    for arguments in [
        &["frobnicate"][..],
        &["stats", "--yaml"],
        &["clear", "now"],
        &[],
    ] {
        let output = home.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.starts_with("pcache: "), "{said}");
    }
    assert!(home.text(&["--version"]).starts_with("pcache "));
    assert!(home.text(&["--help"]).contains("stats"));
}

#[test]
fn reader_that_leaves_early_causes_no_complaint() {
    let home = Home::new();
    for arguments in [
        &["stats"][..],
        &["stats", "--json"],
        &["config"],
        &["--help"],
    ] {
        let mut command = home.command(arguments);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}");
        assert!(output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn habits_of_ccaches_users_are_understood() {
    let home = Home::new();
    drop(home.store());
    for (habit, request) in [
        (["-s", "--show-stats"], &["stats"][..]),
        (["-p", "--show-config"], &["config"]),
    ] {
        for option in habit {
            assert_eq!(home.text(&[option]), home.text(request), "{option}");
        }
    }
    for option in ["-z", "--zero-stats", "-c", "--cleanup", "-C", "--clear"] {
        let done = home.run(&[option]);
        assert!(
            done.status.success() && done.stderr.is_empty(),
            "{option}: {done:?}"
        );
    }
    assert_eq!(home.run(&["-M", "10G"]).status.code(), Some(2));
}
