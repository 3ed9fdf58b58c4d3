//! Writers, readers and evictors are killed at random moments: a few rounds, and a thousand, or as many as
//! `PCACHE_TEST_ROUNDS` says. `PCACHE_TEST_SEED` sets what happens in them.

mod kills;

use crate::again::name_of;
use std::env;
use std::process::Command;

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}

/// Lets the test `name` of this program work in other processes, which are killed.
fn torture(name: &str, rounds: u64) {
    kills::work_if_asked();
    let dir = tempfile::tempdir().unwrap();
    let worker = || {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args([name, "--exact", "--include-ignored"]);
        command
    };
    let seed = number("PCACHE_TEST_SEED").unwrap_or_else(kills::any_seed);
    eprintln!("{rounds} rounds from seed {seed}");
    let report = kills::run(dir.path(), rounds, seed, worker);
    eprintln!("{report:#?}");
    assert!(report.whole > 0, "seed {seed}: {report:?}");
}

#[test]
fn killed_processes_leave_nothing_torn_locked_or_miscounted() {
    let name = name_of(killed_processes_leave_nothing_torn_locked_or_miscounted);
    torture(name, 20);
}

#[test]
#[ignore = "long: scripts/test-long"]
fn killed_processes_leave_nothing_torn_locked_or_miscounted_in_many_rounds() {
    let name = name_of(killed_processes_leave_nothing_torn_locked_or_miscounted_in_many_rounds);
    torture(name, number("PCACHE_TEST_ROUNDS").unwrap_or(1000));
}
