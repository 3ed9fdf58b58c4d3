//! A cache that is too small for all files between stages keeps the results, and one that was restored is as good as it
//! was.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::outcome::Outcome;
use crate::support::tree::Node;
use crate::support::workspace::Workspace;

const UNITS: usize = 6;

fn arguments(unit: usize) -> [String; 4] {
    let names = [format!("{unit}.cu"), format!("{unit}.o")];
    let [source, object] = names;
    ["-c".into(), source, "-o".into(), object]
}

fn build(ws: &Workspace, unit: usize) -> Outcome {
    let arguments = arguments(unit);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    ws.build(&arguments)
}

fn size(compiled: &Outcome) -> usize {
    let nodes = compiled.outputs.0.values();
    let sizes = nodes.map(|node| match node {
        Node::File { bytes, .. } => bytes.len(),
        _ => 0,
    });
    sizes.sum()
}

fn evicted(ws: &Workspace) -> Option<u64> {
    ws.pcache(&["stats"]).1["store"]["evicted"].as_u64()
}

#[test]
fn a_second_build_hits_if_its_objects_fit_in_a_quarter_of_the_cache() {
    let mut ws = Workspace::new();
    let mut objects = 0;
    for unit in 0..UNITS {
        // Different enough that no stage of one unit serves another.
        let body = format!("p[{unit}] += {unit}; ").repeat(50 + unit);
        let text = format!("#include <vector>\n__global__ void k{unit}(int *p) {{ {body} }}\n");
        ws.write(&format!("{unit}.cu"), text);
        let compiled = build(&ws, unit);
        compiled.misses(1);
        objects += size(&compiled);
    }
    ws.new_cache();
    ws.set_env("PCACHE_MAX_SIZE", (4 * objects).to_string());
    for unit in 0..UNITS {
        build(&ws, unit).misses(1);
    }
    assert!(evicted(&ws) > Some(0), "the cache is not full");
    for unit in 0..UNITS {
        build(&ws, unit).hits_directly(1);
    }
}

#[test]
fn a_limit_on_files_costs_stages_and_no_result() {
    let mut ws = Workspace::with("0.cu", "__global__ void k(int *p) { *p = 1; }\n");
    ws.set_env("PCACHE_MAX_FILES", "40");
    build(&ws, 0).misses(1);
    for edit in 1..6 {
        ws.edit("0.cu", &format!("= {edit};"), &format!("= {};", edit + 1));
        build(&ws, 0).misses(1);
        build(&ws, 0).hits_directly(1);
    }
}

/// What CI systems do with a folder: its files come back with other times and inodes, and without what is only known of
/// this machine's files.
#[test]
fn a_restored_cache_hits_directly() {
    let mut ws = Workspace::with("0.cu", "__global__ void k(int *p) { *p = 1; }\n");
    build(&ws, 0).misses(1);
    let cache = ws.root().join("cache");
    let saved = ws.root().join("saved.tar");
    let tar = |words: &[&str], folder: &Path| {
        let mut command = Command::new("tar");
        let status = command.args(words).arg(&saved).arg("-C").arg(folder);
        assert!(status.arg(".").status().expect("tar runs").success());
    };
    tar(&["-c", "--exclude=./digests", "-f"], &cache);
    fs::remove_dir_all(&cache).expect("removed");
    fs::create_dir(&cache).expect("made");
    tar(&["-xmf"], &cache);
    build(&ws, 0).hits_directly(1);
    ws.set_env("PCACHE_READONLY", "1");
    build(&ws, 0).hits_directly(1);
}
