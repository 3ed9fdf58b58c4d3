//! `pcache` tidying caches that real compiles have filled: what was made of one source goes, samples
//! are compiled again, and nobody who compiles waits for any of it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::process::{Child, Command, Stdio};

use pcache_nvcc::store::{Artefact, FileStore};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::poll;
use crate::support::tree::Tree;
use crate::support::workspace::{Workspace, program};

const ONE: &[&str] = &["-c", "one.cu", "-o", "one.o"];
const TWO: &[&str] = &["-c", "two.cu", "-o", "sub.o"];

/// Two units that share a header, both compiled.
fn two_units() -> Workspace {
    let ws = Workspace::new();
    ws.write("value.h", "#define VALUE 1\n");
    for name in ["one", "two"] {
        let text =
            format!("#include \"value.h\"\n__global__ void {name}(int *p) {{ *p = VALUE; }}\n");
        ws.write(&format!("{name}.cu"), text);
    }
    ws.build(ONE).misses(1);
    ws.build(TWO).misses(1);
    ws
}

fn classes(listed: &Value) -> BTreeSet<&str> {
    let entries = listed["entries"].as_array().expect("entries").iter();
    let classes = entries.map(|one| one["class"].as_str().expect("a class"));
    classes.collect()
}

#[test]
#[ignore = "long: scripts/test-long"]
fn everything_that_was_made_of_a_source_is_cleared_and_nothing_else() {
    for glob in ["one.cu", "one.o", "*/work/one.*"] {
        let ws = two_units();
        let (_, before) = ws.pcache(&["list"]);
        let (_, meant) = ws.pcache(&["list", "--matching", glob]);
        let (status, cleared) = ws.pcache(&["clear", "--matching", glob]);
        assert_eq!(status, 0);
        let taken = [&meant["files"], &meant["bytes"]];
        assert_eq!([&cleared["files"], &cleared["bytes"]], taken, "{glob}");
        for class in ["object", "packed", "result", "direct-result", "stage"] {
            assert!(classes(&meant).contains(class), "{glob} {class}");
        }
        let (_, after) = ws.pcache(&["list"]);
        let left = before["files"].as_u64().expect("a number")
            - meant["files"].as_u64().expect("a number");
        assert_eq!(after["files"], left);
        // Nothing is left without use, and nothing lacks what it needs.
        let (status, verified) = ws.pcache(&["verify"]);
        let amiss = [&verified["unproven"], &verified["missing"]];
        assert_eq!((status, amiss), (0, [&json!(0), &json!(0)]), "{glob}");
        ws.build(TWO).hits_directly(1);
        // Not even with lines moved, which has a key of its own.
        ws.edit("one.cu", "#include", "\n#include");
        let again = ws.build(ONE);
        again.misses(1).same_as(&ws.kept(ONE));
        let (_, explained) = ws.pcache(&["explain"]);
        let stages = explained[0]["compile"]["stages"].as_array();
        let stages = stages.expect("its stages");
        assert!(
            stages.iter().all(|stage| stage["hit"] == false),
            "{stages:?}"
        );
    }
}

#[test]
fn a_cache_of_one_source_is_empty_without_it() {
    let ws = Workspace::with(
        "one.cu",
        "__global__ void one(int *p) { int unused; *p = 1; }\n",
    );
    ws.build(ONE).misses(1);
    ws.pcache(&["clear", "--matching", "one.cu"]);
    let (_, left) = ws.pcache(&["list"]);
    // What is known of the tools is not made of the source, nor are the facts of system headers; token sets name a
    // result that is gone.
    let tools = BTreeSet::from(["facts", "plan", "search-order", "token-sets"]);
    assert_eq!(classes(&left), tools);
    let entries = left["entries"].as_array().expect("entries");
    assert!(entries.iter().all(|one| one["kind"] == "record"));
    let text = left.to_string();
    assert!(!text.contains("one.cu"), "{text}");
}

/// What the store says is the result of the last compile: its key and its record.
fn last_result(ws: &Workspace, store: &FileStore) -> (Vec<u8>, Value) {
    let (_, explained) = ws.pcache(&["explain"]);
    let key = explained[0]["compile"]["units"][0]["key"].as_str();
    let key = hex::decode(key.expect("a key")).expect("digits");
    let record = store.get_record(&key).expect("readable").expect("a record");
    (key, serde_json::from_slice(&record).expect("JSON"))
}

#[test]
#[ignore = "long: scripts/test-long"]
fn a_sample_is_compiled_again_and_compared() {
    let mut ws = two_units();
    // With what else can count: flags of the environment, a depfile, a link.
    ws.set_env("NVCC_APPEND_FLAGS", "-DX=1 -lineinfo");
    let args = ["-c", "one.cu", "-MD", "-o", "three.o"];
    ws.build(&args).misses(1);
    ws.unset_env("NVCC_APPEND_FLAGS");
    ws.write("main.cu", "int main() { return 0; }\n");
    ws.build(&["main.cu", "-o", "main"]).misses(1);
    let files = Tree::read(&ws.work());
    let (_, before) = ws.pcache(&["list"]);
    let (status, verified) = ws.pcache(&["verify", "--recompile", "9"]);
    let expected = json!({ "same": 4, "differ": [], "passed": 0 });
    assert_eq!((status, &verified["recompiled"]), (0, &expected));
    let (_, verified) = ws.pcache(&["verify", "--recompile", "1"]);
    assert_eq!(verified["recompiled"]["same"], 1);
    assert_eq!(
        Tree::read(&ws.work()),
        files,
        "nothing is put where the compiles put it"
    );
    let (_, after) = ws.pcache(&["list"]);
    assert_eq!(
        (&after["files"], &after["bytes"]),
        (&before["files"], &before["bytes"])
    );

    // What has changed since cannot be compared.
    ws.edit("two.cu", "VALUE", "VALUE + 1");
    let (status, verified) = ws.pcache(&["verify", "--recompile", "9"]);
    let expected = json!({ "same": 3, "differ": [], "passed": 1 });
    assert_eq!((status, &verified["recompiled"]), (0, &expected));
}

#[test]
#[ignore = "long: scripts/test-long"]
fn a_result_that_the_tools_do_not_give_is_found() {
    let ws = two_units();
    let store = FileStore::open(&ws.root().join("cache"), 1 << 30).expect("a store");
    let (key, mut record) = last_result(&ws, &store);
    let other: Artefact = store
        .put_artefact(b"\x7fELF of another compile")
        .expect("stored");
    record["outputs"][0]["artefact"] = serde_json::to_value(other).expect("JSON");
    let record = record.to_string();
    store.put_record(&key, record.as_bytes()).expect("stored");
    // Every checksum is right.
    assert_eq!(ws.pcache(&["verify"]).0, 0);
    let (status, verified) = ws.pcache(&["verify", "--recompile", "9"]);
    let found = &verified["recompiled"];
    assert_eq!(
        (status, &found["same"], &found["passed"]),
        (4, &json!(1), &json!(0))
    );
    let differ = found["differ"].as_array().expect("a list");
    assert_eq!((differ.len(), &differ[0]["source"]), (1, &json!("two.cu")));
    assert_eq!(differ[0]["parts"], json!(["outputs"]));
    // And what to do about it.
    ws.pcache(&["clear", "--matching", "two.cu"]);
    ws.build(TWO).misses(1).same_as(&ws.kept(TWO));
    assert_eq!(ws.pcache(&["verify", "--recompile", "9"]).0, 0);
}

#[test]
fn a_hit_that_is_checked_is_compared_with_a_new_compile() {
    let mut ws = two_units();
    let store = FileStore::open(&ws.root().join("cache"), 1 << 30).expect("a store");
    let (key, mut record) = last_result(&ws, &store);
    ws.set_env("PCACHE_RECHECK", "100%");
    ws.build(TWO).hits_directly(1).same_as(&ws.kept(TWO));
    let (_, stats) = ws.pcache(&["stats"]);
    let counts = [&stats["rechecked"], &stats["recheck_differed"]];
    assert_eq!(counts, [&json!(1), &json!(0)]);
    // Another object stands where the result of this one should, and every checksum is right.
    let other = store.put_artefact(b"\x7fELF of another compile");
    record["outputs"][0]["artefact"] = json!(other.expect("stored"));
    let record = record.to_string();
    store.put_record(&key, record.as_bytes()).expect("stored");
    ws.set_env("PCACHE_DIRECT", "0");
    let outcome = ws.build(TWO);
    let said = outcome.err();
    assert!(said.contains("gave other bytes for"), "{said}");
    let right = ws.kept(TWO);
    assert_eq!(outcome.outputs.differences(&right.outputs), "");
    let (_, stats) = ws.pcache(&["stats"]);
    let counts = [&stats["rechecked"], &stats["recheck_differed"]];
    assert_eq!(counts, [&json!(2), &json!(1)]);
}

/// A request that was stopped in the middle of the cache, whatever it holds there.
fn stopped(ws: &Workspace, arguments: &[&str]) -> Child {
    let mut command = ws.command(program("pcache"));
    let child = command.args(arguments).stdout(Stdio::null()).spawn();
    let child = child.expect("pcache runs");
    let cache = ws.root().join("cache");
    let files = format!("/proc/{}/fd", child.id());
    let trees = ["entries", "manifests/results", "intermediates"];
    let shards = trees.map(|tree| cache.join(tree));
    poll::until("pcache reads the cache", || {
        let open = fs::read_dir(&files).ok()?.filter_map(Result::ok);
        let mut open = open.filter_map(|one| fs::read_link(one.path()).ok());
        let is_there = open.any(|file| shards.iter().any(|shard| file.starts_with(shard)));
        is_there.then(|| signal(&child, Signal::STOP))
    });
    child
}

fn signal(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    kill_process(pid.expect("its number"), signal).expect("sent");
}

/// A compile ends well, whoever holds what.
fn compiles(mut command: Command, beside: &str) {
    let mut child = command.stderr(Stdio::null()).spawn().expect("it starts");
    let ended = poll::until(&format!("a compile beside {beside}"), || {
        child.try_wait().expect("a child")
    });
    assert!(ended.success(), "{beside}: {ended}");
}

#[test]
#[ignore = "long: scripts/test-long"]
fn no_compile_waits_for_what_looks_after_the_cache() {
    let mut ws = Workspace::with("k.cu", "__global__ void k(int *p) { *p = N; }\n");
    let args = |n: usize| {
        vec![
            "-c".to_owned(),
            "k.cu".into(),
            format!("-DN={n}"),
            "-o".into(),
            "k.o".into(),
        ]
    };
    let ours = |ws: &Workspace, n: usize| {
        let args = args(n);
        ws.ours(&args.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let store = FileStore::open(&ws.root().join("cache"), 1 << 30).expect("a store");
    for n in 0..6_000u32 {
        store
            .put(&n.to_le_bytes(), &n.to_le_bytes())
            .expect("stored");
    }
    let requests: [&[&str]; 5] = [
        &["verify"],
        &["list"],
        &["list", "--matching", "*.cu"],
        &["clear", "--older-than", "9d"],
        &["gc"],
    ];
    for (n, request) in requests.iter().enumerate() {
        let mut child = stopped(&ws, request);
        let missed = ws.counters().misses;
        compiles(ours(&ws, n), &request.join(" "));
        compiles(ours(&ws, n), &request.join(" "));
        assert_eq!(ws.counters().misses, missed + 1, "{request:?}");
        assert!(child.try_wait().expect("a child").is_none(), "{request:?}");
        signal(&child, Signal::CONT);
        assert!(child.wait().expect("a child").success(), "{request:?}");
    }
    // Not for the lock of who evicts, either, when there is too much.
    ws.set_env("PCACHE_MAX_SIZE", "10K");
    let lock = File::create(ws.root().join("cache/locks/evict")).expect("the lock");
    lock.lock().expect("nobody holds it");
    compiles(ours(&ws, 99), "an eviction");
}
