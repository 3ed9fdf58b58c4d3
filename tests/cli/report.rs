//! `pcache report` and `pcache trace` from journals that say whatever a journal can say.

use crate::home::Home;
use crate::{page, trace};
use pcache_nvcc::journal::{Compile, CompileOutcome, FlightSpan, StageRun, UnitOutcome};
use pcache_nvcc::outcome::{BypassReason, FallbackReason, RemoteFailure};
use pcache_nvcc::stats::Counter;
use serde_json::{Value, json};
use std::fs;

/// Ten o'clock of 2026-11-22, in microseconds.
const TEN: u64 = 1_795_341_600_000_000;
const SECOND: u64 = 1_000_000;

/// A compile that begins so many seconds after ten o'clock and takes two.
fn compile(output: &str, after: u64, level: CompileOutcome) -> Compile {
    let compile = json!({
        "v": 1, "start": TEN + after * SECOND, "wall": 2 * SECOND, "pid": 100 + after, "directory": "/src",
        "output": output, "sources": [format!("{output}.cu")], "level": level,
    });
    Compile::from_text(&compile.to_string()).unwrap()
}

fn unit(level: CompileOutcome) -> UnitOutcome {
    UnitOutcome {
        source: "a.cu".to_owned(),
        level,
        semantic: level == CompileOutcome::PreprocessedHit,
        remote: level == CompileOutcome::PreprocessedHit,
        unstored: (level == CompileOutcome::Miss).then(|| "why".to_owned()),
        key: String::new(),
    }
}

fn stage(name: &str, times: [u64; 3], hit: bool) -> StageRun {
    let [begin, wait, run] = times;
    StageRun {
        unit: Some(0),
        name: name.to_owned(),
        arch: (name == "cicc").then(|| "compute_80".to_owned()),
        begin,
        wait,
        run,
        hit,
        remote: false,
        done: true,
    }
}

fn miss(output: &str, after: u64) -> Compile {
    Compile {
        units: vec![unit(CompileOutcome::Miss)],
        stages: vec![
            stage("preprocess", [1_000, 10_000, 400_000], false),
            stage("extra_pass", [1_000, 0, 300_000], false),
            stage("cudafe", [420_000, 0, 200_000], false),
            stage("cicc", [420_000, 100_000, 900_000], false),
            stage("ptxas", [1_430_000, 0, 20], true),
            stage("stub_compile", [1_440_000, 0, 500_000], false),
        ],
        ..compile(output, after, CompileOutcome::Miss)
    }
}

/// Two builds, the second with everything that a journal knows, a minute later.
fn journal() -> Vec<Compile> {
    let coalesced = Compile {
        units: vec![unit(CompileOutcome::Coalesced)],
        flights: vec![FlightSpan {
            unit: Some(0),
            begin: 500_000,
            wait: 1_000_000,
        }],
        stages: vec![stage("preprocess", [1_000, 0, 400_000], false)],
        stored: 9_000,
        ..compile("c", 61, CompileOutcome::Coalesced)
    };
    // A stage that was never told to have ended, in a process whose number comes back.
    let interrupted = Compile {
        stages: vec![StageRun {
            done: false,
            ..stage("cicc", [100, 5, u64::MAX], false)
        }],
        detail: Some("signal 2".to_owned()),
        pid: 100,
        ..compile("d", 62, CompileOutcome::Interrupted)
    };
    let mut all = vec![
        miss("a", 0),
        miss("b", 1),
        coalesced,
        interrupted,
        Compile {
            semantic: true,
            stored: 5_000,
            ..compile("b", 63, CompileOutcome::DirectHit)
        },
        Compile {
            units: vec![unit(CompileOutcome::PreprocessedHit)],
            remote: true,
            remote_wait: 3_400,
            ..compile("e", 63, CompileOutcome::PreprocessedHit)
        },
        miss("f", 64),
    ];
    let bypassed = BypassReason::ALL
        .iter()
        .map(|reason| (CompileOutcome::Bypass, reason.code()));
    let fallbacks = FallbackReason::ALL
        .iter()
        .map(|reason| (CompileOutcome::Fallback, reason.code()));
    for (at, (level, reason)) in bypassed.chain(fallbacks).enumerate() {
        all.push(Compile {
            reason: Some(reason.to_owned()),
            detail: Some(format!("detail {at}")),
            ..compile(&format!("left{at}"), 65, level)
        });
    }
    all
}

fn home_with(journal: &[Compile]) -> Home {
    let home = Home::new();
    let store = home.store();
    for compile in journal {
        store.note(&compile.to_text()).unwrap();
    }
    store.put(b"key", b"value").unwrap();
    home
}

/// The numbers of the page, and those of `pcache stats`, for the same range.
fn both(home: &Home, range: &[&str], same: &[&str]) -> (Value, Value) {
    let page = home.text(&[&["report"], range].concat());
    let stats = home.json(&[&["stats", "--json"], same].concat());
    (page::check(&page), stats)
}

#[test]
fn numbers_of_the_page_are_those_of_stats() {
    let home = home_with(&journal());
    for (range, misses) in [
        (&["--last-build"][..], 1),
        (&["--since", "2026-11-22T10:00:01"], 2),
        (&["--since", "2026-11-22"], 3),
    ] {
        let (page, stats) = both(&home, range, range);
        assert_eq!(page, stats, "{range:?}");
        assert_eq!(page["misses"], misses, "{range:?}");
    }
    let (mut page, mut stats) = both(&home, &[], &["--since", "1970-01-01"]);
    for numbers in [&mut page, &mut stats] {
        numbers["since"]["asked"].take();
    }
    assert_eq!(page, stats);
    assert_eq!(page["stages"]["cicc"], json!({ "hits": 0, "misses": 4 }));
    assert_eq!(page["stages"]["ptxas"], json!({ "hits": 3, "misses": 0 }));
}

#[test]
fn page_tells_of_all_that_was_compiled() {
    let home = home_with(&journal());
    let text = home.text(&["report"]);
    for said in [
        "<b>2026-11-22 10:01:01Z</b>",
        "signal 2",
        "served from a server, asked for 3.4 ms",
        "from servers",
        "what it depended on was not remembered",
        "detail 0",
        "waiting for another process",
        "title=\"a.cu&#10;miss, 2.00 s",
        "a stage failed; nvcc repeats the compile",
    ] {
        assert!(text.contains(said), "{said}");
    }
    assert_eq!(text.matches("<div class=\"row\">").count(), journal().len());
    let last = home.text(&["report", "--last-build"]);
    assert_eq!(
        last.matches("<div class=\"row\">").count(),
        journal().len() - 2
    );
}

#[test]
fn bars_of_misses_lead_to_what_explains_them() {
    let home = home_with(&journal());
    let text = home.text(&["report"]);
    page::check(&text);
    // The first compile of the journal, by its time and process, and a compile that was left to nvcc.
    let anchor = format!("why-{TEN}-100");
    assert!(text.contains(&format!("<a href=\"#{anchor}\" class=\"track\"")));
    assert!(text.contains("<a href=\"#detours\" class=\"track\""));
    let (_, row) = text
        .split_once(&format!("<tr id=\"{anchor}\">"))
        .expect("its row");
    let (row, _) = row.split_once("</tr>").expect("its end");
    for said in ["a.cu", "2.00 s", "what it depended on was not remembered"] {
        assert!(row.contains(said), "{said}: {row}");
    }
    let misses = journal()
        .iter()
        .filter(|compile| compile.level == CompileOutcome::Miss)
        .count();
    assert_eq!(text.matches("<tr id=\"why-").count(), misses);
}

#[test]
fn slowest_build_is_first_and_builds_have_their_numbers() {
    let long = Compile {
        wall: 9 * SECOND,
        ..miss("a", 0)
    };
    let home = home_with(&[long, miss("a", 60), miss("b", 120)]);
    let text = home.text(&["report"]);
    page::check(&text);
    let first = format!("build-{TEN}");
    let charts: Vec<_> = text.split("<details id=\"").skip(1).collect();
    assert_eq!(charts.len(), 3);
    assert!(charts[0].starts_with(&first), "{}", charts[0]);
    let (_, builds) = text.split_once("<section id=\"builds\">").unwrap();
    let (builds, _) = builds.split_once("</section>").unwrap();
    let rows: Vec<_> = builds.split("<tr>").skip(2).collect();
    assert_eq!(rows.len(), 3);
    assert!(
        rows[0].contains(&format!("href=\"#{first}\"")),
        "{}",
        rows[0]
    );
    // The stages run for 2.3 s in 9 s; preprocess and cicc wait for 0.11 s.
    for said in [">9.00 s<", ">0.3 ×<", ">8.89 s<", ">a.cu<"] {
        assert!(rows[0].contains(said), "{said}: {}", rows[0]);
    }
}

#[test]
fn last_build_is_compared_with_the_one_before_it_or_the_named_one() {
    let slow = Compile {
        wall: 5 * SECOND,
        ..miss("a", 0)
    };
    let home = home_with(&[
        slow,
        miss("a", 60),
        compile("other", 120, CompileOutcome::Miss),
        compile("a", 180, CompileOutcome::DirectHit),
    ]);
    let compared = |args: &[&str]| {
        let text = home.text(&[&["report"], args].concat());
        page::check(&text);
        let (_, rest) = text.split_once("<section id=\"compared\">")?;
        Some(rest.split_once("</section>").unwrap().0.to_owned())
    };
    let last = compared(&[]).unwrap();
    assert!(last.contains("the one of 2026-11-22 10:01:00Z"), "{last}");
    assert!(last.contains("miss, 2.00 s") && last.contains("direct hit, 2.00 s"));
    let named = compared(&["--compare", "2026-11-22T10:00:01Z"]).unwrap();
    assert!(
        named.contains("miss, 5.00 s") && named.contains(">−3.00 s<"),
        "{named}"
    );
    assert_eq!(compared(&["--last-build"]), None);
    let late = home.run(&["report", "--compare", "2026-11-22T10:02:30Z"]);
    assert_eq!(late.status.code(), Some(1), "{late:?}");
    let said = String::from_utf8_lossy(&late.stderr).into_owned();
    assert!(said.contains("no build before the last ran at"), "{said}");
}

#[test]
fn summary_in_markdown_has_what_a_job_needs() {
    let evil = Compile {
        sources: vec!["<img>`x|y.cu".to_owned()],
        wall: 3 * SECOND,
        ..miss("evil", 62)
    };
    let bypass = Compile {
        reason: Some("link_only".to_owned()),
        ..compile("app", 66, CompileOutcome::Bypass)
    };
    let home = home_with(&[&journal()[..7], &[evil, bypass]].concat());
    home.store()
        .stats()
        .add(Counter::RemoteFailed(RemoteFailure::Timeout), 3);
    let text = home.text(&["report", "--format", "markdown", "--last-build"]);
    insta::assert_snapshot!(text, @r"
    ### pcache: 60.0 % hits

    | | |
    |---|---|
    | units | 3 hits, 2 misses |
    | from servers | 1 |
    | time saved | 10.0 s |
    | time compiling | 5.00 s |
    | left to nvcc | 1 |
    | cache | 5 B of 10.0 GiB |
    | build took | 7.00 s |
    | speed-up | 3.5 × |
    | critical path | 2.89 s, `<img>'x\|y.cu` |

    #### Slowest misses

    | source | took | why |
    | --- | --- | --- |
    | `src/<img>'x\|y.cu` | 3.00 s | what it depended on was not remembered |
    | `src/f.cu` | 2.00 s | what it depended on was not remembered |

    #### Left to nvcc

    | what | times |
    | --- | --- |
    | only links or archives; nothing is compiled | 1 |

    #### Failures of servers, since the counters were zero

    | what | times |
    | --- | --- |
    | the server did not answer in time | 3 |
    ");
    let path = home.path().join("summary.md");
    let path = path.to_str().unwrap();
    let printed = home.text(&["report", "--format", "markdown", "--last-build", "-o", path]);
    assert_eq!(printed, "");
    assert_eq!(format!("{}\n", fs::read_to_string(path).unwrap()), text);
    let both = home.run(&["report", "--format", "markdown", "--compare", "1h"]);
    assert_eq!(both.status.code(), Some(1), "{both:?}");
}

#[test]
fn head_names_the_machine() {
    let home = home_with(&journal());
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let head = format!("on <code>{}</code>", host.trim());
    assert!(home.text(&["report"]).contains(&head), "{head}");
}

#[test]
fn nothing_from_outside_is_markup() {
    let evil = "<img src=x onerror=\"alert('x')\">&</script><script>alert(1)</script>\u{1b}]0;\n";
    let text = || Some(evil.to_owned());
    let plain = miss("a", 0);
    let compiles = [
        Compile {
            directory: format!("/{evil}"),
            output: text(),
            sources: vec![
                evil.to_owned(),
                "<img src=x onerror=alert(1)>.cu".to_owned(),
            ],
            stages: vec![StageRun {
                name: evil.to_owned(),
                arch: text(),
                ..plain.stages[0].clone()
            }],
            units: vec![UnitOutcome {
                source: evil.to_owned(),
                unstored: text(),
                key: evil.to_owned(),
                level: CompileOutcome::Miss,
                semantic: false,
                remote: false,
            }],
            facts: text(),
            forgotten: text(),
            ..plain.clone()
        },
        Compile {
            reason: Some("verbose".to_owned()),
            detail: text(),
            sources: Vec::new(),
            output: text(),
            ..compile("b", 1, CompileOutcome::Bypass)
        },
        Compile {
            reason: text(),
            detail: text(),
            ..compile("c", 2, CompileOutcome::Fallback)
        },
    ];
    let home = home_with(&compiles);
    let (page, stats) = both(&home, &["--last-build"], &["--last-build"]);
    assert_eq!(page, stats);
    let text = home.text(&["report"]);
    assert!(text.contains("&lt;img src=x onerror=&quot;alert(&#39;x&#39;)&quot;&gt;"));
    assert!(!text.contains("<img") && text.matches("<script").count() == 2);
    let trace = home.json(&["trace"]);
    trace::check(&trace);
    assert_eq!(
        trace["traceEvents"][1]["args"]["name"]
            .as_str()
            .map(|name| name.contains("<img")),
        Some(true)
    );
}

#[test]
fn stages_lie_within_their_compiles_and_side_by_side_on_tracks_of_their_own() {
    let home = home_with(&journal());
    let all = home.json(&["trace"]);
    let names = trace::check(&all);
    let events = all["traceEvents"].as_array().unwrap().iter();
    let served: Vec<_> = events
        .filter(|event| event["args"]["from"] == "a server")
        .map(|event| &event["args"]["milliseconds for servers"])
        .collect();
    assert_eq!(served, [3.4]);
    let compiles = names.iter().filter(|name| name.ends_with(')')).count();
    assert_eq!(compiles, journal().len());
    let stages = [
        "preprocess",
        "extra_pass",
        "cudafe",
        "slot for cicc compute_80",
        "cicc compute_80",
        "ptxas",
        "stub_compile",
    ];
    for stage in stages {
        assert!(
            names.iter().filter(|name| *name == stage).count() >= 3,
            "{stage}"
        );
    }
    assert!(
        names
            .iter()
            .any(|name| name == "waiting for another process")
    );
    assert_eq!(all["otherData"]["begins"], "2026-11-22T10:00:00.000Z");
    // At 0.5 s the second compile had not begun, and cicc waited until 0.52 s.
    let at = |micros: u64| {
        let counters = all["traceEvents"].as_array().unwrap().iter();
        let mut counters =
            counters.filter(|event| event["ph"] == "C" && event["ts"].as_u64() <= Some(micros));
        counters.next_back().unwrap()["args"].clone()
    };
    assert_eq!(at(500_000), json!({ "in use": 1, "waited for": 1 }));
    assert_eq!(at(550_000), json!({ "in use": 2, "waited for": 0 }));
    let last = home.json(&["trace", "--last-build"]);
    let compiles = trace::check(&last)
        .iter()
        .filter(|name| name.ends_with(')'))
        .count();
    assert_eq!(compiles, journal().len() - 2);
}

#[test]
fn last_build_of_stats_is_that_of_its_compiles() {
    let home = home_with(&[
        miss("a", 0),
        miss("b", 3),
        compile("a", 8, CompileOutcome::DirectHit),
    ]);
    let last = home.json(&["stats", "--json", "--last-build"]);
    assert_eq!(
        (&last["direct_hits"], &last["misses"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(
        last["since"]["asked"],
        "the last build, which began 2026-11-22T10:00:08.000Z"
    );
    let both = home.run(&["stats", "--last-build", "--since", "1h"]);
    assert_eq!(both.status.code(), Some(2));
}

#[test]
fn an_empty_journal_is_shown_and_no_cache_is_an_error() {
    let home = Home::new();
    for command in ["report", "trace"] {
        let output = home.run(&[command]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(!home.cache().exists());
    }
    home.store();
    let (page, stats) = both(&home, &["--last-build"], &["--last-build"]);
    assert_eq!(page, stats);
    assert!(trace::check(&home.json(&["trace", "--last-build"])).is_empty());
}

#[test]
fn what_is_asked_for_goes_to_the_file_that_is_named() {
    let home = home_with(&journal());
    for command in ["report", "trace"] {
        let path = home.path().join(command);
        assert_eq!(home.text(&[command, "-o", path.to_str().unwrap()]), "");
        let written = fs::read_to_string(&path).unwrap();
        match command {
            "report" => drop(page::check(&written)),
            _ => drop(trace::check(&serde_json::from_str(&written).unwrap())),
        }
        let nowhere = home.path().join("missing/file");
        let failed = home.run(&[command, "-o", nowhere.to_str().unwrap()]);
        assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    }
}
