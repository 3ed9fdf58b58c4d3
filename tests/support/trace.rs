//! What every trace of `pcache trace` must hold to, whatever was compiled.

use serde_json::Value;
use std::collections::BTreeMap;

/// A complete event: where it is, and from when to when.
struct Span<'a> {
    name: &'a str,
    begin: u64,
    end: u64,
}

/// Checks a trace, and gives the names of its complete events in the order in which they are written.
#[track_caller]
pub fn check(trace: &Value) -> Vec<String> {
    let events = trace["traceEvents"].as_array().expect("a list of events");
    assert_eq!(trace["displayTimeUnit"], "ms");
    let mut tracks: BTreeMap<(u64, u64), Vec<Span<'_>>> = BTreeMap::new();
    let mut named = BTreeMap::new();
    let mut names = Vec::new();
    let mut counters = Vec::new();
    for event in events {
        let number = |member: &str| event[member].as_u64().unwrap_or_else(|| panic!("{event}"));
        let name = event["name"].as_str().expect("a name");
        let track = (number("pid"), number("tid"));
        match event["ph"].as_str() {
            Some("X") => {
                let (begin, length) = (number("ts"), number("dur"));
                names.push(name.to_owned());
                tracks.entry(track).or_default().push(Span {
                    name,
                    begin,
                    end: begin + length,
                });
            }
            Some("M") => {
                let former = named.insert((track, name), &event["args"]);
                assert!(former.is_none(), "{event} a second time");
            }
            Some("C") => counters.push(event),
            _ => panic!("{event}"),
        }
    }
    for (&(pid, tid), spans) in &tracks {
        assert!(named.contains_key(&((pid, 0), "process_name")), "{pid}");
        assert!(
            named.contains_key(&((pid, tid), "thread_name")),
            "{pid} {tid}"
        );
        check_track(spans);
        let [compile] = &tracks[&(pid, 1)][..] else {
            panic!("process {pid} has one compile");
        };
        for span in spans {
            let within = compile.begin <= span.begin && span.end <= compile.end;
            assert!(
                within,
                "{} of process {pid} is within its compile",
                span.name
            );
        }
    }
    check_counters(&counters);
    names
}

/// Nothing overlaps on one track.
#[track_caller]
fn check_track(spans: &[Span<'_>]) {
    let mut sorted: Vec<_> = spans.iter().collect();
    sorted.sort_by_key(|span| (span.begin, span.end));
    for pair in sorted.windows(2) {
        let (before, after) = (pair[0], pair[1]);
        assert!(
            before.end <= after.begin,
            "{} and {}",
            before.name,
            after.name
        );
    }
}

/// No slot is given back more often than it was taken, and in the end all are free.
#[track_caller]
fn check_counters(counters: &[&Value]) {
    for event in counters {
        for what in ["in use", "waited for"] {
            assert!(event["args"][what].as_u64().is_some(), "{event}");
        }
    }
    if let Some(last) = counters.last() {
        assert_eq!(last["args"]["in use"], 0);
        assert_eq!(last["args"]["waited for"], 0);
    }
    assert!(counters.is_sorted_by_key(|event| event["ts"].as_u64()));
}
