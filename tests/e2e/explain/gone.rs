//! Results that are not in the cache any more: why is told.

use std::fs;

use insta::assert_snapshot;

use super::{ARGS, change, explained, unit};
use crate::support::workspace::{Workspace, program};

/// Runs `pcache` to a good end.
fn pcache(ws: &Workspace, args: &[&str]) {
    let output = ws.command(program("pcache")).args(args).output();
    let output = output.expect("pcache runs");
    assert!(output.status.success(), "{output:?}");
}

/// What is told, without times.
fn without_times(told: &str) -> String {
    let lines = told.lines().map(|line| match line.rsplit_once(" at 20") {
        Some((said, _)) => said,
        None => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_result_that_was_removed_by_hand_is_told() {
    let remove = |ws: &mut Workspace| {
        fs::remove_dir_all(ws.root().join("cache/entries")).expect("removed");
    };
    assert_snapshot!(change(&mut unit(), ARGS, remove), @"
    miss: unit.cu → unit.o
      nothing differs: the former result was removed by hand
    ");
}

#[test]
#[ignore = "long: scripts/test-long"]
fn a_cleared_result_is_told() {
    let clear = |ws: &mut Workspace| pcache(ws, &["clear"]);
    assert_snapshot!(without_times(&change(&mut unit(), ARGS, clear)), @"
    miss: unit.cu → unit.o
      cleared: the former result was removed by `pcache clear`
    ");
    for glob in ["unit.cu", "unit.o", "*/work/*.o"] {
        let clear = |ws: &mut Workspace| pcache(ws, &["clear", "--matching", glob]);
        let told = without_times(&change(&mut unit(), ARGS, clear));
        let said = format!("`pcache clear --matching {glob}`");
        assert_eq!(
            told,
            format!("miss: unit.cu → unit.o\n  cleared: the former result was removed by {said}")
        );
    }
    // What it took is not known: anything else can have been the reason, too.
    let clear = |ws: &mut Workspace| pcache(ws, &["clear", "--matching", "object"]);
    assert_snapshot!(without_times(&change(&mut unit(), ARGS, clear)), @"
    miss: unit.cu → unit.o
      cleared or evicted: since the former compile there was `pcache clear --matching object`
    ");
}

#[test]
fn a_change_is_told_and_not_a_clearing_that_took_other_things() {
    let change_both = |ws: &mut Workspace| {
        pcache(ws, &["clear", "--matching", "other.cu"]);
        ws.edit("value.h", "1", "2");
    };
    assert_snapshot!(change(&mut unit(), ARGS, change_both), @"
    miss: unit.cu → unit.o
        header value.h: ac32a92f4af3 → 69973c572daa (included by unit.cu)
    ");
    let clear_nothing = |ws: &mut Workspace| {
        pcache(ws, &["clear", "--matching", "other.cu"]);
        fs::remove_dir_all(ws.root().join("cache/entries")).expect("removed");
    };
    let told = change(&mut unit(), ARGS, clear_nothing);
    assert!(told.ends_with("removed by hand"), "{told}");
}

#[test]
fn an_evicted_result_is_told() {
    let mut ws = unit();
    ws.build(ARGS).misses(1);
    ws.set_env("PCACHE_MAX_SIZE", "1");
    pcache(&ws, &["gc"]);
    ws.unset_env("PCACHE_MAX_SIZE");
    ws.build(ARGS).misses(1);
    assert_snapshot!(explained(&ws), @"
    miss: unit.cu → unit.o
      evicted: the former result is not in the cache any more
    ");
}
