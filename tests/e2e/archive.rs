//! A cache that goes from one machine to another in a file, and one that is trimmed to what a job has used.

use crate::support::workspace::Workspace;
use serde_json::Value;

const SOURCE: &str = "__global__ void kernel(int *p) { int unused; p[0] = 1; }\n";
const ARGS: [&str; 2] = ["-c", "kernel.cu"];

#[track_caller]
fn pcache(ws: &Workspace, arguments: &[&str]) -> Value {
    let (status, report) = ws.pcache(arguments);
    assert_eq!(status, 0, "{report}");
    report
}

#[test]
fn exported_results_are_hits_in_the_cache_that_imports_them() {
    let ws = Workspace::with("kernel.cu", SOURCE);
    let made = ws.build(&ARGS);
    made.misses(1);
    let archive = ws.root().join("cache.tar.zst");
    let archive = archive.to_str().expect("a path of text");
    let steers = |one: &&Value| one["class"] == "plan" || one["class"] == "search-order";
    let steering = |listed: &Value| {
        let entries = listed["entries"].as_array().expect("a list");
        entries.iter().filter(steers).count()
    };
    let steering_before = steering(&pcache(&ws, &["list"]));
    assert!(steering_before > 1);
    let exported = pcache(&ws, &["export", archive]);
    assert_eq!(exported["left_out"], steering_before, "and no more");

    ws.new_cache();
    let imported = pcache(&ws, &["import", archive]);
    for count in ["entries", "records"] {
        assert_eq!(imported[count], exported[count], "{imported}");
    }
    assert_eq!(steering(&pcache(&ws, &["list"])), 0);
    let again = ws.build(&ARGS);
    again.hits_directly(1).same_as(&made);
    assert_eq!(pcache(&ws, &["verify"])["damaged"], Value::Array(vec![]));
}

#[test]
fn trim_to_the_last_build_keeps_its_hits() {
    let ws = Workspace::with("kernel.cu", SOURCE);
    ws.write("other.cu", SOURCE.replace("kernel", "other"));
    ws.build(&["-c", "other.cu"]).misses(1);
    let made = ws.build(&ARGS);
    made.misses(1);
    // What was restored before a job is older than its first compile.
    ws.build(&ARGS).hits(1);
    let trimmed = pcache(&ws, &["trim", "--keep-used-since", "last-build"]);
    assert!(trimmed["unused"]["files"].as_u64() > Some(0), "{trimmed}");
    ws.build(&ARGS).hits(1).same_as(&made);
    ws.build(&["-c", "other.cu"]).misses(1);
}
