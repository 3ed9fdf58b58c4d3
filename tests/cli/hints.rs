//! The headline of `pcache stats`, and its hint where something is off.

use crate::cache::{DAY, age, place};
use crate::home::Home;
use pcache_nvcc::outcome::RemoteFailure;
use pcache_nvcc::stats::Counter;

/// What is shown with these counts.
fn shown(counts: &[(Counter, u64)]) -> String {
    let home = Home::new();
    let store = home.store();
    for (counter, n) in counts {
        store.stats().add(*counter, *n);
    }
    home.text(&["stats"])
}

#[track_caller]
fn hints(counts: &[(Counter, u64)], part: &str) {
    let text = shown(counts);
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("hint: ") && last.contains(part), "{text}");
    assert_eq!(text.matches("hint: ").count(), 1, "{text}");
}

#[test]
fn headline_says_hits_time_and_size() {
    let text = shown(&[
        (Counter::DirectHit, 30),
        (Counter::Miss, 9),
        (Counter::NvrtcHit, 1),
        (Counter::SavedMilliseconds, 250_000),
    ]);
    let first = "hit rate 77.5 % (31 of 40), 4.2 min saved, 0 B of 10.0 GiB used\n";
    assert!(text.starts_with(first), "{text}");
    assert!(!text.contains("hint"), "{text}");
}

#[test]
fn what_did_not_occur_is_left_out() {
    insta::assert_snapshot!(Home::new().text(&["stats"]), @"
    nothing was looked up, 0 B of 10.0 GiB used
    cache               ~/.cache/pcache-nvcc
    ");
    insta::assert_snapshot!(shown(&[(Counter::Miss, 2)]), @"
    hit rate 0.0 % (0 of 2), 0.0 s saved, 0 B of 10.0 GiB used
    cache               ~/.cache/pcache-nvcc

    translation units            2
    hits                         0    0.0 %
    misses                       2  100.0 %
    ");
}

#[test]
fn many_compiles_without_a_hit_are_mentioned() {
    hints(&[(Counter::Miss, 21)], "no hits in 21 compiles");
    hints(&[(Counter::NvrtcMiss, 21)], "no hits in 21 compiles");
    for few in [
        &[(Counter::Miss, 20)][..],
        &[(Counter::Miss, 500), (Counter::DirectHit, 1)],
    ] {
        assert!(!shown(few).contains("hint"));
    }
}

#[test]
fn of_several_things_the_gravest_is_mentioned() {
    let errors = (Counter::Error, 3);
    hints(
        &[errors, (Counter::DirectHit, 1)],
        "cache errors were counted (3)",
    );
    hints(&[errors, (Counter::Miss, 30)], "no hits");
    let checked = [(Counter::Rechecked, 9), (Counter::RecheckDiffered, 2)];
    let all = [&checked[..], &[errors, (Counter::Miss, 30)]].concat();
    hints(
        &all,
        "2 had other bytes than a new compile: run pcache verify",
    );
    // No server is set any more.
    let failed = (Counter::RemoteFailed(RemoteFailure::Unreachable), 3);
    assert!(!shown(&[failed]).contains("hint"));
}

#[test]
fn evictions_of_what_was_used_within_a_day_are_mentioned() {
    let home = Home::new();
    let store = home.store();
    store.put(b"key", &[0; 900]).unwrap();
    let look = |size: &str| {
        let mut command = home.command(&["stats"]);
        let output = command.env("PCACHE_MAX_SIZE", size).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(!look("1K").contains("hint"), "nothing was evicted");
    store.stats().add(Counter::Evicted, 1);
    let full = look("1K");
    assert!(
        full.ends_with("used within a day: pcache config set max_size 2K\n"),
        "{full}"
    );
    assert!(!look("1M").contains("hint"), "there is room");
    age(&place(&home, "entries", b"key"), 2 * DAY);
    assert!(!look("1K").contains("hint"), "what goes is old");
}

#[test]
fn programs_get_no_hint() {
    let home = Home::new();
    home.store().stats().add(Counter::Miss, 30);
    for form in ["--json", "--prometheus"] {
        assert!(!home.text(&["stats", form]).contains("hint"), "{form}");
    }
}
