//! Tools run while a distant server answers, and end as soon as its answer makes them unnecessary.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::farm::Farm;
use crate::support::fault_proxy::{Fault, FaultProxy};
use crate::support::outcome::Outcome;
use crate::support::servers::Server;
use crate::support::workspace::Workspace;

/// Longer than a compile waits for a near server.
const DISTANCE: Fault = Fault::Delay(Duration::from_millis(30));

/// More compiles without a list of path sets than it takes until the next ones go on without theirs.
const UNKNOWN: std::ops::Range<usize> = 100..106;

/// Machines whose server is behind a proxy, and whose tool at this place in the toolkit runs for ever while the file that
/// is returned exists.
fn held(server: &Server, tool: &str) -> (Farm, FaultProxy, PathBuf) {
    let proxy = FaultProxy::start(server.port(), Fault::None);
    let farm = Farm::with_stubs(&format!("redis://127.0.0.1:{}", proxy.port()));
    let hold = farm.ws.root().join("hold");
    let toolkit = farm.ws.real_nvcc().parent().and_then(|bin| bin.parent());
    let tool = toolkit.expect("a toolkit").join(tool);
    let script = fs::read_to_string(&tool).expect("a script");
    let (first, rest) = script.split_once('\n').expect("lines");
    let wait = format!("[ ! -e {} ] || exec sleep 6000", hold.display());
    fs::write(&tool, format!("{first}\n{wait}\n{rest}")).expect("written");
    (farm, proxy, hold)
}

/// What a compile comes to whose tool never ends.
fn compile_held(farm: &mut Farm, hold: &PathBuf, number: usize) -> Outcome {
    fs::write(hold, "").expect("a file");
    let outcome = farm.compile(number);
    fs::remove_file(hold).expect("a file");
    outcome
}

#[test]
fn a_miss_does_not_wait_for_a_server_that_has_no_results() {
    let server = Server::redis(&[]);
    let proxy = FaultProxy::start(server.port(), Fault::None);
    let mut farm = Farm::with_stubs(&format!("redis://127.0.0.1:{} read-only", proxy.port()));
    for number in UNKNOWN {
        farm.compile(number).misses(1);
    }
    let before = farm.counted();
    assert!(
        before.misses > 0 && before.failures.is_empty(),
        "{before:?}"
    );
    // From now on no request is answered.
    proxy.set(Fault::Silent);
    farm.compile(1).misses(1);
    assert_eq!(farm.counted(), before);
}

#[test]
fn a_list_that_comes_late_still_makes_the_tools_unnecessary() {
    let server = Server::redis(&[]);
    let (mut farm, proxy, hold) = held(&server, "nvvm/bin/cicc");
    farm.compile(1).misses(1);
    farm.flush();
    farm.on("b").start_helper();
    for number in UNKNOWN {
        farm.compile(number).misses(1);
    }
    proxy.set(DISTANCE);
    compile_held(&mut farm, &hold, 1).hits(1);
    assert_eq!(farm.ws.pcache(&["stats"]).1["remote"]["served"], 1);
}

/// This machine knows which files the unit reads, and another one has compiled their present contents.
#[test]
fn a_direct_result_that_comes_late_makes_the_tools_unnecessary() {
    let server = Server::redis(&[]);
    let (mut farm, proxy, hold) = held(&server, "nvvm/bin/cicc");
    farm.ws.write("value.h", "#define VALUE 2\n");
    farm.compile(1).misses(1);
    farm.flush();
    farm.on("b").start_helper();
    farm.ws.write("value.h", "#define VALUE 3\n");
    for number in UNKNOWN.chain([1]) {
        farm.compile(number).misses(1);
    }
    farm.ws.write("value.h", "#define VALUE 2\n");
    proxy.set(DISTANCE);
    compile_held(&mut farm, &hold, 1).hits(1);
    assert_eq!(farm.ws.pcache(&["stats"]).1["remote"]["served"], 1);
    let (_, explained) = farm.ws.pcache(&["explain"]);
    assert_eq!(explained[0]["compile"]["remote"], true, "{explained}");
}

#[test]
fn the_result_of_a_unit_that_comes_late_makes_its_stages_unnecessary() {
    let server = Server::redis(&[]);
    let (mut farm, proxy, hold) = held(&server, "nvvm/bin/cicc");
    farm.ws.set_env("PCACHE_DIRECT", "0");
    farm.compile(1).misses(1);
    farm.flush();
    farm.on("b").start_helper();
    proxy.set(DISTANCE);
    compile_held(&mut farm, &hold, 1).hits(1);
    let counted = farm.ws.pcache(&["stats"]).1;
    assert_eq!(counted["preprocessed_hits"], 1, "{counted}");
    assert_eq!(counted["remote"]["served"], 1, "{counted}");
}

#[test]
fn the_result_of_a_stage_that_comes_late_ends_the_stage() {
    let server = Server::redis(&[]);
    let (mut farm, proxy, hold) = held(&server, "bin/ptxas");
    farm.compile(1).misses(1);
    farm.flush();
    farm.on("b").start_helper();
    proxy.set(DISTANCE);
    // The host compile is another one.
    let args = ["-c", "unit1.cu", "-o", "unit.o", "-Xcompiler", "-O1"];
    let expected = farm.ws.kept(&args);
    fs::write(&hold, "").expect("a file");
    farm.ws.build(&args).misses(1).same_as(&expected);
    let (_, explained) = farm.ws.pcache(&["explain"]);
    let stages = explained[0]["compile"]["stages"].as_array();
    let mut stages = stages.expect("stages").iter();
    let ptxas = stages.find(|stage| stage["name"] == "ptxas");
    assert_eq!(ptxas.expect("a stage")["remote"], true, "{ptxas:?}");
}

/// cudafe++'s text is on no server, but its host compile is.
#[test]
fn a_host_compile_whose_text_is_not_here_is_waited_for() {
    let server = Server::redis(&[]);
    let proxy = FaultProxy::start(server.port(), Fault::None);
    let functions = "#define F(n) int f##n(int x) { while (x < n) x += n; return x; }\n\
        #define F4(n) F(n##1) F(n##2) F(n##3) F(n##4)\n\
        #define F16(n) F4(n##1) F4(n##2) F4(n##3) F4(n##4)\n\
        #define F64(n) F16(n##1) F16(n##2) F16(n##3) F16(n##4)\n\
        #define F256(n) F64(n##1) F64(n##2) F64(n##3) F64(n##4)\n\
        #ifndef __CUDA_ARCH__\nF256(1) F256(2) F256(3) F256(4)\n#endif\n";
    let device =
        "__device__ int value() {\n#ifdef __CUDA_ARCH__\nreturn 1;\n#else\nreturn 0;\n#endif\n}\n";
    let text = format!("{device}__global__ void k(int *p) {{ *p = value(); }}\n{functions}");
    let ws = Workspace::with("unit.cu", &text);
    let mut farm = Farm::new(ws, &format!("redis://127.0.0.1:{}", proxy.port()));
    let args = ["-c", "unit.cu", "-o", "unit.o", "-Xcompiler", "-O2"];
    farm.ws.build(&args).misses(1);
    farm.flush();
    farm.on("b").start_helper();
    proxy.set(DISTANCE);
    // Only the device's code is another one.
    farm.ws.edit("unit.cu", "return 1;", "return 2;");
    let expected = farm.ws.kept(&args);
    farm.ws.build(&args).misses(1).same_as(&expected);
    let (_, explained) = farm.ws.pcache(&["explain"]);
    let stages = explained[0]["compile"]["stages"].as_array();
    let stages = stages.expect("stages");
    let mut compiles = stages
        .iter()
        .filter(|stage| stage["name"] == "host_compile");
    let compile = compiles.next().expect("a host compile");
    assert!(
        compile["remote"] == true && compiles.next().is_none(),
        "{stages:?}"
    );
}
