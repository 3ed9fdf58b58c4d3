//! `pcache report` and `pcache trace` of real compiles.

use crate::support::page;
use crate::support::trace;
use crate::support::workspace::{Workspace, program};
use serde_json::Value;
use std::fs;
use std::process::{Child, Stdio};

const UNITS: [&str; 2] = ["one.cu", "two.cu"];
const UNIT: &str = "#include \"shared/value.h\"\n__global__ void kernel(int *p) { *p = VALUE; }\n";

fn project() -> Workspace {
    let ws = Workspace::with("shared/value.h", "#define VALUE 1\n");
    for name in UNITS {
        ws.write(name, UNIT);
    }
    ws
}

fn build(ws: &Workspace) {
    for name in UNITS {
        let output = name.replace(".cu", ".o");
        ws.build(&["-c", name, "-o", &output, "-arch=sm_80"])
            .succeeds();
    }
}

/// What a request to `pcache` prints.
fn asked(ws: &Workspace, args: &[&str]) -> String {
    let output = ws.command(program("pcache")).args(args).output();
    let output = output.expect("pcache runs");
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    String::from_utf8(output.stdout).expect("text")
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// The row of a table of the page in which `text` stands.
#[track_caller]
fn row<'a>(page: &'a str, section: &str, text: &str) -> &'a str {
    let (_, rest) = page
        .split_once(&format!("<section id=\"{section}\">"))
        .expect("a section");
    let (section, _) = rest.split_once("</section>").expect("its end");
    let mut rows = section.split("<tr>").skip(1);
    rows.find(|row| row.contains(text))
        .unwrap_or_else(|| panic!("{text} in {section}"))
}

#[test]
fn report_of_real_compiles_agrees_with_stats_and_explain() {
    let ws = project();
    build(&ws);
    build(&ws);
    ws.edit("shared/value.h", "VALUE 1", "VALUE 2");
    build(&ws);
    ws.build(&["-c", "one.cu", "-o", "one.o", "-arch=sm_80", "-lineinfo"])
        .misses(1);
    ws.build(&["-E", "one.cu"]).succeeds();
    for range in [&["--since", "1970-01-01"][..], &["--last-build"]] {
        let numbers = page::check(&asked(&ws, &[&["report"], range].concat()));
        let stats = asked(&ws, &[&["stats", "--json"], range].concat());
        assert_eq!(numbers, json(&stats), "{range:?}");
    }
    let page = asked(&ws, &["report", "--since", "1970-01-01"]);
    let numbers = page::check(&page);
    assert_eq!(
        (&numbers["misses"], &numbers["direct_hits"]),
        (&5.into(), &2.into())
    );
    let reason = row(&page, "misses", "header changed");
    assert!(
        reason.contains(">2</td>") && reason.contains("<code>shared/value.h</code> ×2"),
        "{reason}"
    );
    let reason = row(&page, "misses", "other flags");
    assert!(
        reason.contains("<code>--generate-line-info</code>"),
        "{reason}"
    );
    row(&page, "misses", "first compile of this source");
    let header = row(&page, "headers", "value.h");
    assert!(
        header.contains(">2</td>") && header.contains(">100.0 %</td>"),
        "{header}"
    );
    let headers = page
        .split("<section id=\"headers\">")
        .nth(1)
        .expect("headers");
    let headers = headers.split("</section>").next().expect("their end");
    assert_eq!(
        headers.matches("<tr><td>").count(),
        1,
        "nothing but the project's own: {headers}"
    );
    let (_, head) = page.split_once("<header>").expect("a head");
    assert!(head.contains("with CUDA 1"), "{head}");
    let missed = row(&page, "misses", "<b>other flags</b>");
    assert!(
        missed.contains("flag --generate-line-info: none → set"),
        "{missed}"
    );
    let slowest = row(&page, "units", "one.cu");
    let stages = [
        "preprocess",
        "cudafe",
        "cicc",
        "ptxas",
        "stub_compile",
        "host_compile",
    ];
    assert!(
        stages.iter().any(|stage| slowest.contains(stage)),
        "{slowest}"
    );
    row(&page, "detours", "<code>preprocess</code>");
}

#[test]
fn trace_of_real_compiles_nests_and_names_waits_for_others() {
    const PROCESSES: u64 = 4;
    let ws = project();
    ws.write(
        "slow.cu",
        "#include <regex>\n__global__ void k(int *p) { *p = 1; }\n",
    );
    let start = |n: u64| -> Child {
        let output = format!("{n}.o");
        let mut command = ws.ours(&["-c", "slow.cu", "-o", &output, "-arch=sm_80"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("a compile")
    };
    let children: Vec<_> = (0..PROCESSES).map(start).collect();
    for mut child in children {
        assert!(child.wait().expect("its end").success());
    }
    let counted = ws.counters();
    assert_eq!(
        (
            counted.misses,
            counted.misses + counted.coalesced + counted.hits
        ),
        (1, PROCESSES)
    );
    let path = ws.root().join("trace.json");
    let args = ["trace", "--last-build", "-o", path.to_str().expect("UTF-8")];
    assert_eq!(asked(&ws, &args), "");
    let names = trace::check(&json(&fs::read_to_string(&path).expect("the trace")));
    let count = |name: &str| names.iter().filter(|known| *known == name).count() as u64;
    for stage in [
        "preprocess",
        "cudafe",
        "cicc compute_80",
        "ptxas sm_80",
        "host_compile",
        "assemble",
    ] {
        assert!(count(stage) > 0, "{stage} in {names:?}");
    }
    assert_eq!(count("slow.cu (miss)"), 1);
    assert!(
        count("waiting for another process") >= counted.coalesced,
        "{names:?}"
    );
}
