//! The journal beside the counters and the log: the same compiles, with what a trace needs, whatever
//! becomes of the processes that write it.

use std::fs::{self, File};
use std::process::{Child, Stdio};

use rustix::fs::{FlockOperation, flock};
use serde_json::Value;

use crate::support::workspace::{Workspace, program};

const ARGS: &[&str] = &["-c", "unit.cu", "-o", "unit.o", "-arch=sm_80"];
const UNIT: &str = "#include \"value.h\"\n#ifndef __CUDA_ARCH__\nint host() { return 1; }\n#endif\n\
    __global__ void external(int *p) { *p = VALUE; }\n";

fn unit() -> Workspace {
    let ws = Workspace::with("unit.cu", UNIT);
    ws.write("value.h", "#define VALUE 1\n");
    ws
}

/// What a request to `pcache` prints as JSON.
fn asked(ws: &Workspace, args: &[&str]) -> Value {
    let output = ws.command(program("pcache")).args(args).output();
    let output = output.expect("pcache runs");
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The records of the last `n` compiles.
fn records(ws: &Workspace, n: usize) -> Vec<Value> {
    let told = asked(ws, &["explain", "--json", "--last", &n.to_string()]);
    let told = told.as_array().expect("a list").clone();
    told.into_iter()
        .map(|told| told["compile"].clone())
        .collect()
}

#[test]
fn the_journal_counts_what_the_counters_count() {
    let ws = unit();
    ws.write("other.cu", "__global__ void other() {}\n");
    ws.build(ARGS).misses(1);
    ws.build(ARGS).hits_directly(1);
    ws.build(&[ARGS, &["-MD"]].concat()).hits(1);
    ws.edit("unit.cu", "return 1", "return 2");
    ws.build(ARGS).misses(1);
    ws.build(&["-c", "unit.cu", "other.cu"]).misses(2);
    ws.build(&["-c", "unit.cu", "other.cu"]).hits_directly(2);
    ws.build(&["-E", "unit.cu"]).succeeds();
    ws.edit("value.h", "VALUE 1", "VALUE one");
    ws.build(ARGS);
    let counted = asked(&ws, &["stats", "--json"]);
    let summed = asked(&ws, &["stats", "--json", "--since", "1d"]);
    assert_eq!(counted["misses"], 4, "{counted}");
    assert_eq!(counted["fallbacks"]["stage_failed"], 1, "{counted}");
    for (name, number) in counted.as_object().expect("an object") {
        // Of these the journal does not tell.
        if name != "errors" && name != "distrusted" {
            assert_eq!(&summed[name], number, "{name}");
        }
    }
    assert_eq!([&counted["errors"], &counted["distrusted"]], [0, 0]);
}

#[test]
fn records_hold_what_a_trace_needs() {
    let mut ws = unit();
    let log = ws.root().join("log");
    ws.set_env("PCACHE_LOG", &log);
    let archs = [
        "-gencode=arch=compute_80,code=sm_80",
        "-gencode=arch=compute_90,code=sm_90",
    ];
    let args = [&ARGS[..4], &archs].concat();
    ws.build(&args).misses(1);
    ws.edit("unit.cu", "return 1", "return 2");
    ws.build(&args).misses(1);
    let [first, second] = &records(&ws, 2)[..] else {
        panic!("two compiles");
    };
    let number = |of: &Value, name: &str| {
        of[name]
            .as_u64()
            .unwrap_or_else(|| panic!("{name} in {of}"))
    };
    for compile in [first, second] {
        assert_eq!(compile["directory"], ws.work().to_str().expect("UTF-8"));
        assert_eq!(
            (&compile["output"], &compile["sources"][0]),
            (&"unit.o".into(), &"unit.cu".into())
        );
        assert!(number(compile, "pid") > 0 && number(compile, "start") > 1_700_000_000_000_000);
        for stage in compile["stages"].as_array().expect("stages") {
            let end = number(stage, "begin") + number(stage, "wait") + number(stage, "run");
            assert!(end <= number(compile, "wall"), "{stage}");
            assert_eq!(stage["unit"], 0);
        }
    }
    assert!(number(first, "start") + number(first, "wall") <= number(second, "start"));
    let stage = |compile: &Value, name: &str, arch: &str| {
        let stages = compile["stages"].as_array().expect("stages");
        let mut stages = stages.iter().filter(|stage| stage["name"] == name);
        let found = stages.find(|stage| stage["arch"] == arch || arch.is_empty());
        found
            .unwrap_or_else(|| panic!("{name} {arch} in {compile}"))
            .clone()
    };
    for (real, virtual_arch) in [("sm_80", "compute_80"), ("sm_90", "compute_90")] {
        let (cicc, ptxas) = (
            stage(first, "cicc", virtual_arch),
            stage(first, "ptxas", real),
        );
        let end = number(&cicc, "begin") + number(&cicc, "wait") + number(&cicc, "run");
        assert!(
            number(&ptxas, "begin") >= end && number(&ptxas, "run") > 0,
            "{cicc} {ptxas}"
        );
        assert_eq!(cicc["hit"], false);
        assert_eq!(stage(first, "preprocess", virtual_arch)["hit"], false);
        // The host's code alone has changed.
        assert_eq!(stage(second, "ptxas", real)["hit"], true);
    }
    assert_eq!(stage(second, "cudafe", "")["hit"], false);
    // The log says the same, stage by stage.
    let text = fs::read_to_string(&log).expect("the log");
    let stages = [first, second].map(|compile| compile["stages"].as_array().expect("stages").len());
    assert_eq!(
        text.matches("\n    stage: ").count(),
        stages.iter().sum::<usize>(),
        "{text}"
    );
    assert!(
        text.contains("    stage: ptxas sm_90: from the cache, "),
        "{text}"
    );
    assert!(
        text.contains("    direct: path set 1 of 1: no result of these contents\n"),
        "{text}"
    );
}

/// Hits by 64 processes at once; every eighth is killed, wherever it is.
#[test]
fn sixty_four_hits_and_kills_leave_a_whole_journal() {
    const PROCESSES: u64 = 64;
    let ws = unit();
    ws.build(ARGS).misses(1);
    let before = ws.counters();
    let start = |n: u64| -> Child {
        // The name of the file counts, not where it goes.
        let output = format!("{n}/unit.o");
        fs::create_dir(ws.path(n.to_string())).expect("a folder");
        let mut command = ws.ours(&["-c", "unit.cu", "-o", &output, "-arch=sm_80"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("a compile")
    };
    let mut children: Vec<_> = (0..PROCESSES).map(start).collect();
    for child in children.iter_mut().step_by(8) {
        child.kill().expect("killed");
    }
    let mut lost = 0;
    for child in &mut children {
        lost += u64::from(!child.wait().expect("its end").success());
    }
    assert!(lost <= PROCESSES / 8, "{lost}");
    let counted = ws.counters().since(&before);
    let told = records(&ws, 1000);
    let told = told.iter().filter(|told| told["level"] != "miss").count() as u64;
    let ended = counted.direct_hits;
    assert!(
        (PROCESSES - lost..=PROCESSES).contains(&told),
        "{told} of {counted:?}, {lost} lost"
    );
    assert!(
        (told..=told + lost).contains(&ended),
        "{told} of {counted:?}, {lost} lost"
    );
}

#[test]
fn nothing_that_is_done_to_the_journal_holds_up_or_fails_a_compile() {
    let ws = unit();
    let first = ws.build(ARGS);
    first.misses(1);
    let path = ws.root().join("cache/journal/0");
    let whole = fs::read(&path).expect("the journal");
    {
        let held = File::options()
            .read(true)
            .write(true)
            .open(&path)
            .expect("the journal");
        flock(&held, FlockOperation::LockExclusive).expect("a lock");
        ws.build(ARGS).hits_directly(1).same_as(&first);
    }
    assert!(fs::metadata(&path).expect("the journal").len() > whole.len() as u64);
    // Cut in the middle of a record, as a full disk would.
    fs::write(&path, &whole[..whole.len() - 20]).expect("cut");
    ws.build(ARGS).hits_directly(1).same_as(&first);
    assert_eq!(records(&ws, 9).len(), 1);
    for obstacle in ["journal/0", "journal"] {
        fs::remove_dir_all(ws.root().join("cache/journal")).expect("removed");
        let place = ws.root().join("cache").join(obstacle);
        fs::create_dir_all(place.parent().expect("a folder")).expect("a folder");
        if obstacle == "journal" {
            fs::write(&place, "").expect("a file");
        } else {
            fs::create_dir(&place).expect("a folder");
        }
        ws.build(ARGS).hits_directly(1).same_as(&first);
        if obstacle == "journal" {
            fs::remove_file(&place).expect("removed");
        }
    }
    ws.build(ARGS).hits_directly(1).same_as(&first);
    assert_eq!(records(&ws, 9).len(), 1);
}
