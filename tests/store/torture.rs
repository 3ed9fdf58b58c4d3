//! Writers, readers and evictors are killed at random moments, a few rounds. `scripts/store-torture`
//! runs a thousand.

mod kills;

use crate::again::name_of;
use std::env;
use std::process::Command;

#[test]
fn killed_processes_leave_nothing_torn_locked_or_miscounted() {
    kills::work_if_asked();
    let dir = tempfile::tempdir().unwrap();
    let name = name_of(killed_processes_leave_nothing_torn_locked_or_miscounted);
    let worker = || {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args([name, "--exact"]);
        command
    };
    let seed = kills::any_seed();
    let report = kills::run(dir.path(), 20, seed, worker);
    assert!(report.whole > 0, "seed {seed}: {report:?}");
}
