//! Names that would steer a terminal: whatever `pcache` prints, and whatever `pcache-nvcc` says or logs, they come out
//! escaped. What nvcc prints is nvcc's, byte for byte.

use std::fs;
use std::process::Output;

use serde_json::Value;

use crate::support::workspace::{Workspace, program};

/// Sets a terminal's title, clears it, colours (C1 has an introducer of its own), turns the direction of text, deletes.
const HOSTILE: &str = "d\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{202e}\u{2066}\u{7f}";

const SOURCE: &str =
    "#include \"value.h\"\n__global__ void external(int *p) { *p = VALUE; int unused; }\n";

fn is_hostile(c: char) -> bool {
    let turns = ('\u{202a}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c);
    turns || (c.is_control() && c != '\n')
}

#[track_caller]
fn assert_harmless(what: &str, bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
    let found: Vec<_> = text.chars().filter(|c| is_hostile(*c)).collect();
    assert!(found.is_empty(), "{what}: {found:?} in {text:?}");
}

/// What the program says, which must be harmless, and something.
#[track_caller]
fn said(ws: &Workspace, name: &str, arguments: &[&str]) -> Output {
    let mut command = ws.command(program(name));
    let output = command.args(arguments).output().expect("it runs");
    let what = format!("{name} {arguments:?}");
    assert!(
        !output.stdout.is_empty() || !output.stderr.is_empty(),
        "{what}: silent"
    );
    assert_harmless(&what, &output.stdout);
    assert_harmless(&what, &output.stderr);
    output
}

/// Sources, headers, outputs, cache and log in places with such names.
fn scene() -> Workspace {
    let mut ws = Workspace::new();
    ws.cd(HOSTILE);
    ws.write(&format!("{HOSTILE}/unit.cu"), SOURCE);
    ws.write(&format!("{HOSTILE}/{HOSTILE}/value.h"), "#define VALUE 1\n");
    let side = ws.side(HOSTILE);
    ws.set_env("PCACHE_DIR", side.join("cache"));
    ws.set_env("PCACHE_LOG", side.join("log"));
    ws
}

fn args() -> Vec<String> {
    let include = format!("-I{HOSTILE}");
    let output = format!("{HOSTILE}.o");
    ["-c", "unit.cu", &include, "-o", &output]
        .map(str::to_owned)
        .into()
}

fn build(ws: &Workspace, more: &[&str]) {
    let args = args();
    let args: Vec<_> = args
        .iter()
        .map(String::as_str)
        .chain(more.iter().copied())
        .collect();
    ws.ours(&args).output().expect("it runs");
}

#[test]
fn names_in_a_cache_steer_no_terminal() {
    let ws = scene();
    build(&ws, &[]);
    build(&ws, &[]);
    ws.write(&format!("{HOSTILE}/{HOSTILE}/value.h"), "#define VALUE 2\n");
    build(&ws, &["-DN=\u{1b}[2J"]);
    build(&ws, &["-unknown\u{1b}[2J"]);
    build(&ws, &["-arch=sm_1\u{9b}2J"]);
    let log = fs::read(ws.side(HOSTILE).join("log")).expect("a log");
    assert_harmless("log", &log);
    assert!(String::from_utf8_lossy(&log).contains("\\u{1b}[2J"));
    let explained = said(&ws, "pcache", &["explain", "--last", "9"]);
    let explained = format!("\n{}", String::from_utf8_lossy(&explained.stdout));
    assert!(
        explained.contains("d\\u{1b}]0;owned\\u{7}\\u{1b}[2J\\u{9b}31m\\u{202e}\\u{2066}\\u{7f}"),
        "{explained}"
    );
    for level in [
        "\nmiss: unit.cu",
        "\ndirect hit: unit.cu",
        "\npassed to nvcc: unit.cu",
    ] {
        assert!(explained.contains(level), "{explained}");
    }
    let json = said(&ws, "pcache", &["explain", "--json"]);
    let json: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    let directory = json[0]["compile"]["directory"].as_str().expect("text");
    assert!(
        directory.ends_with(HOSTILE),
        "a reader of JSON gets the name itself: {directory:?}"
    );
    for line in [
        "list",
        "list --json",
        "list --sort age --matching *.cu",
        "trace",
        "report",
        "stats",
        "stats --json",
        "stats --prometheus",
        "stats --since 1h",
        "doctor",
        "doctor --json",
        "config",
        "config --json",
        "config get dir",
        "verify --recompile 1",
        "verify --json",
        "gc",
        "gc --json",
        "clear --matching *.cu",
        "explain --last 9",
        "clear --json",
        "clear",
    ] {
        let arguments: Vec<_> = line.split(' ').collect();
        said(&ws, "pcache", &arguments);
    }
}

#[test]
fn damage_and_refusals_are_told_harmlessly() {
    let mut ws = scene();
    build(&ws, &[]);
    let cache = ws.side(HOSTILE).join("cache");
    said(&ws, "pcache", &["doctor", HOSTILE]);
    for arguments in [
        &["explain", HOSTILE][..],
        &["list", "--sort", HOSTILE],
        &["list", "--matching", &format!("[{HOSTILE}")],
        &["stats", "--since", HOSTILE],
        &["config", "get", HOSTILE],
        &["config", "set", "max_size", HOSTILE],
        &["config", "set", "log", HOSTILE],
        &["config", "get", "log"],
        &["trace", "-o", &format!("{HOSTILE}/no/trace")],
        &["run", "--", HOSTILE],
        &[HOSTILE],
    ] {
        said(&ws, "pcache", arguments);
    }
    fs::remove_dir_all(cache.join("entries")).expect("removed");
    fs::write(cache.join("entries"), "no directory").expect("written");
    for command in [
        "list", "verify", "gc", "clear", "doctor", "stats", "explain",
    ] {
        said(&ws, "pcache", &[command]);
    }
    ws.set_env("PCACHE_JOBS", HOSTILE);
    ws.set_env("PCACHE_MAX_SIZE", HOSTILE);
    said(&ws, "pcache", &["config"]);
    said(&ws, "pcache", &["stats"]);
    ws.set_env("PCACHE_NVCC", ws.root().join(HOSTILE).join("no-nvcc"));
    said(&ws, "pcache-nvcc", &["--version"]);
    ws.set_env("PCACHE_DIR", ws.root().join(HOSTILE).join("no-cache"));
    for command in [
        "list", "verify", "gc", "clear", "doctor", "stats", "explain", "report",
    ] {
        said(&ws, "pcache", &[command]);
    }
}
