//! `pcache stats` from the journal, and for Prometheus.

use crate::home::Home;
use pcache_nvcc::journal::{Compile, CompileOutcome, StageRun, UnitOutcome};
use pcache_nvcc::outcome::{BypassReason, FallbackReason};
use pcache_nvcc::stats::{Counter, StageKind};
use std::collections::BTreeMap;

/// A record that says as little as one can.
fn compile(start: &str, level: CompileOutcome) -> Compile {
    let text = format!(
        r#"{{"v":1,"start":{start},"wall":2000000,"pid":7,"directory":"/src","sources":["a.cu"],"level":"miss"}}"#
    );
    Compile {
        level,
        ..Compile::from_text(&text).unwrap()
    }
}

fn unit(level: CompileOutcome) -> UnitOutcome {
    UnitOutcome {
        source: "a.cu".to_owned(),
        level,
        semantic: level == CompileOutcome::PreprocessedHit,
        remote: level == CompileOutcome::PreprocessedHit,
        unstored: None,
        key: String::new(),
    }
}

fn stage(name: &str, hit: bool) -> StageRun {
    StageRun {
        unit: Some(0),
        name: name.to_owned(),
        arch: None,
        begin: 0,
        wait: 0,
        run: 1,
        hit,
        remote: false,
        done: true,
    }
}

/// Ten o'clock and eleven o'clock of 2026-11-22, in microseconds.
const TEN: &str = "1795341600000000";
const ELEVEN: &str = "1795345200000000";

#[test]
fn counts_since_a_time_are_those_of_the_journal() {
    let home = Home::new();
    let store = home.store();
    let note = |compile: &Compile| store.note(&compile.to_text()).unwrap();
    note(&compile(TEN, CompileOutcome::DirectHit));
    note(&Compile {
        stored: 5000,
        semantic: true,
        ..compile(ELEVEN, CompileOutcome::DirectHit)
    });
    note(&Compile {
        units: vec![
            unit(CompileOutcome::PreprocessedHit),
            unit(CompileOutcome::Miss),
            unit(CompileOutcome::Coalesced),
        ],
        stages: vec![
            stage("preprocess", false),
            stage("extra_pass", false),
            stage("cicc", true),
            stage("stub_compile", false),
        ],
        ..compile(ELEVEN, CompileOutcome::Miss)
    });
    // A hit's preprocessing could not have been in the cache.
    note(&Compile {
        units: vec![unit(CompileOutcome::PreprocessedHit)],
        stages: vec![stage("preprocess", false)],
        ..compile(ELEVEN, CompileOutcome::PreprocessedHit)
    });
    for (level, reason) in [
        (CompileOutcome::Bypass, BypassReason::Verbose.code()),
        (CompileOutcome::Fallback, FallbackReason::Stage.code()),
    ] {
        note(&Compile {
            reason: Some(reason.to_owned()),
            ..compile(ELEVEN, level)
        });
    }
    note(&compile(ELEVEN, CompileOutcome::Interrupted));
    let report = home.json(&["stats", "--json", "--since", "2026-11-22T11:00"]);
    let numbers = [
        ("direct_hits", 1),
        ("preprocessed_hits", 2),
        ("semantic_hits", 3),
        ("misses", 1),
        ("coalesced", 1),
        ("saved_milliseconds", 3000),
        ("spent_milliseconds", 2000),
    ];
    for (name, n) in numbers {
        assert_eq!(report[name], n, "{name}");
    }
    assert_eq!(report["remote"]["served"], 2);
    assert_eq!(report["errors"], serde_json::Value::Null);
    assert_eq!(report["bypassed"]["verbose"], 1);
    assert_eq!(report["fallbacks"]["stage_failed"], 1);
    let stage = |name: &str| {
        let found = &report["stages"][name];
        (found["hits"].as_u64(), found["misses"].as_u64())
    };
    assert_eq!(stage("preprocess"), (Some(0), Some(1)));
    assert_eq!(stage("cicc"), (Some(1), Some(0)));
    assert_eq!(stage("host_compile"), (Some(0), Some(1)));
    assert_eq!(
        report["since"]["journal_begins"],
        "2026-11-22T10:00:00.000Z"
    );
    let all = home.json(&["stats", "--json", "--since", "2026-11-22"]);
    assert_eq!(all["direct_hits"], 2);
    let table = home.text(&["stats", "--since", "2026-11-22"]);
    assert!(
        table.contains("the journal begins 2026-11-22T10:00:00.000Z"),
        "{table}"
    );
    assert_eq!(
        home.json(&["stats", "--json"])["direct_hits"],
        0,
        "the counters are others"
    );
}

/// What a request prints where `TZ` is this.
#[track_caller]
fn text_in(home: &Home, zone: &str, arguments: &[&str]) -> String {
    let mut command = home.command(arguments);
    let output = command.env("TZ", zone).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Zones by their rules, which need no data of the machine's; when the first compile began there, and between the two.
const ZONES: [(&str, &str, &str); 3] = [
    ("UTC0", "2026-11-22T10:00:00.000Z", "2026-11-22 10:30"),
    (
        "IST-5:30",
        "2026-11-22T15:30:00.000+05:30",
        "2026-11-22 16:00",
    ),
    (
        "EST5EDT,M3.2.0,M11.1.0",
        "2026-11-22T05:00:00.000-05:00",
        "2026-11-22T05:30",
    ),
];

#[test]
fn times_are_local_for_people_and_utc_for_programs() {
    let home = Home::new();
    let store = home.store();
    for start in [TEN, ELEVEN] {
        let hit = compile(start, CompileOutcome::DirectHit);
        store.note(&hit.to_text()).unwrap();
    }
    for (zone, began, between) in ZONES {
        let explained = text_in(&home, zone, &["explain", "--last", "2"]);
        assert!(
            explained.contains(&format!("  at {began} in /src")),
            "{explained}"
        );
        let table = text_in(&home, zone, &["stats", "--since", between]);
        assert!(
            table.contains(&format!("the journal begins {began}\n")),
            "{table}"
        );
        let page = text_in(&home, zone, &["report"]);
        assert!(page.contains(&format!(", {began}\">")), "{zone}");
        for (since, hits) in [(between, 1), (began, 2)] {
            let json = text_in(&home, zone, &["stats", "--json", "--since", since]);
            let json: serde_json::Value = serde_json::from_str(&json).unwrap();
            assert_eq!(json["direct_hits"], hits, "{zone} {since}");
            assert_eq!(json["since"]["journal_begins"], "2026-11-22T10:00:00.000Z");
        }
        let trace = text_in(&home, zone, &["trace"]);
        assert!(trace.contains("2026-11-22T10:00:00.000Z"), "{trace}");
    }
    // A zone of which no machine has data.
    let explained = text_in(&home, "Nowhere/Atlantis", &["explain"]);
    assert!(
        explained.contains("  at 2026-11-22T11:00:00.000Z in"),
        "{explained}"
    );
}

#[test]
fn what_is_no_time_is_refused() {
    let home = Home::new();
    for arguments in [
        &["stats", "--since", "yesterday"][..],
        &["stats", "--since", "1h", "--zero"],
        &["stats", "--since", "1h", "--prometheus"],
        &["stats", "--json", "--prometheus"],
    ] {
        assert_eq!(home.run(arguments).status.code(), Some(2), "{arguments:?}");
    }
    assert_eq!(
        home.json(&["stats", "--json", "--since", "1h"])["misses"],
        0
    );
}

/// The samples of an exposition, each of which must follow the head of its metric.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let mut found = BTreeMap::new();
    let (mut helped, mut typed) = (String::new(), String::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(!help.is_empty());
            helped = name.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(name, helped);
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
            assert!(["counter", "gauge"].contains(&kind), "{kind}");
            typed = name.to_owned();
        } else {
            let (sample, value) = line.split_once(' ').unwrap();
            let name = sample.split('{').next().unwrap();
            assert_eq!(name, typed);
            assert!(
                name.bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
            );
            let labels = sample.strip_prefix(name).unwrap();
            assert!(
                labels.is_empty() || (labels.ends_with("\"}") && labels.matches('"').count() == 2)
            );
            assert!(
                found
                    .insert(sample.to_owned(), value.parse().unwrap())
                    .is_none()
            );
        }
    }
    found
}

#[test]
fn prometheus_gets_every_count() {
    let home = Home::new();
    let store = home.store();
    let stats = store.stats();
    stats.add(Counter::DirectHit, 40);
    stats.add(Counter::Miss, 2);
    stats.add(Counter::NvrtcHit, 3);
    stats.add(Counter::RemoteServed, 4);
    stats.add(Counter::SavedMilliseconds, 1500);
    for (n, &reason) in BypassReason::ALL.iter().enumerate() {
        stats.add(Counter::Bypassed(reason), n as u64 + 1);
    }
    for (n, &reason) in FallbackReason::ALL.iter().enumerate() {
        stats.add(Counter::Fallback(reason), n as u64 + 1);
    }
    for (n, &kind) in StageKind::ALL.iter().enumerate() {
        stats.add(Counter::StageHit(kind), n as u64 + 1);
        stats.add(Counter::StageMiss(kind), n as u64 + 2);
    }
    store.put(b"key", b"value").unwrap();
    let found = samples(&home.text(&["stats", "--prometheus"]));
    assert_eq!(found["pcache_units_total{level=\"direct_hit\"}"], 40.0);
    assert_eq!(found["pcache_units_total{level=\"miss\"}"], 2.0);
    assert_eq!(found["pcache_hits_total{origin=\"here\"}"], 39.0);
    assert_eq!(found["pcache_hits_total{origin=\"server\"}"], 4.0);
    assert_eq!(found["pcache_saved_seconds_total"], 1.5);
    assert_eq!(found["pcache_store_bytes"], 5.0);
    assert_eq!(found["pcache_store_max_bytes"], (10u64 << 30) as f64);
    for (n, reason) in BypassReason::ALL.iter().enumerate() {
        let sample = format!("pcache_bypassed_total{{reason=\"{}\"}}", reason.code());
        assert_eq!(found[&sample], n as f64 + 1.0);
    }
    for (n, reason) in FallbackReason::ALL.iter().enumerate() {
        let sample = format!("pcache_fallbacks_total{{reason=\"{}\"}}", reason.code());
        assert_eq!(found[&sample], n as f64 + 1.0);
    }
    for (n, kind) in StageKind::ALL.iter().enumerate() {
        let sample = |what: &str| format!("pcache_stage_{what}_total{{stage=\"{}\"}}", kind.code());
        assert_eq!(found[&sample("hits")], n as f64 + 1.0);
        assert_eq!(found[&sample("misses")], n as f64 + 2.0);
    }
    let page = include_str!("../../docs/statistics.md");
    for sample in found.keys() {
        let name = sample.split('{').next().unwrap();
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
    // Asked again, nothing has grown by the asking.
    assert_eq!(samples(&home.text(&["stats", "--prometheus"])), found);
}
