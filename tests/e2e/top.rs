//! `pcache top` while a real compile runs.

use crate::support::poll::until;
use crate::support::workspace::{Workspace, program};
use std::process::Stdio;

/// Starts no other compile of this name: those of other tests are shown as well.
const SOURCE: &str = "shown_by_top.cu";

#[test]
fn running_compile_is_shown_with_its_tool_and_slot() {
    let ws = Workspace::with(
        SOURCE,
        "#include <regex>\n__global__ void k(int *p) { *p = 1; }\n",
    );
    let mut compile = ws.ours(&["-c", SOURCE, "-o", "a.o", "-arch=sm_80"]);
    compile.stdout(Stdio::null()).stderr(Stdio::null());
    let look = || {
        let mut command = ws.command(program("pcache"));
        let output = command.args(["top", "--once"]).output();
        let output = output.expect("pcache runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    let mut child = compile.spawn().expect("a compile");
    until("a tool of the compile is shown", || {
        let text = look();
        let line = text.lines().find(|line| line.contains(SOURCE))?;
        let is_slot_used = text.contains(" slots in use") && !text.contains(" 0 of ");
        (is_slot_used && !line.ends_with("no tool")).then_some(())
    });
    assert!(child.wait().expect("its end").success());
    let text = look();
    assert!(!text.contains(SOURCE), "{text}");
    assert!(text.contains("0 hits (0.0 %), 1 misses"), "{text}");
}
