//! Writers, readers and evictors are killed at random moments, a few rounds. `scripts/store-torture`
//! runs a thousand.

#[path = "support/torture.rs"]
mod torture;

use std::env;
use std::process::Command;

#[test]
fn killed_processes_leave_nothing_torn_locked_or_miscounted() {
    torture::work_if_asked();
    let dir = tempfile::tempdir().unwrap();
    let worker = || {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args([
            "killed_processes_leave_nothing_torn_locked_or_miscounted",
            "--exact",
        ]);
        command
    };
    let seed = torture::any_seed();
    let report = torture::run(dir.path(), 20, seed, worker);
    assert!(report.whole > 0, "seed {seed}: {report:?}");
}
