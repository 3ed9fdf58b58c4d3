//! Random sources that take lines in every way, and random blank and comment lines: where the digests of all
//! preprocessed passes stay equal, the object that the real nvcc writes must be the same; and the
//! assembly that GCC writes, which costs a fiftieth and judges many more.
//!
//! `PCACHE_TEST_OBJECTS` sets how many objects nvcc makes, `PCACHE_TEST_ASSEMBLIES` how many pairs GCC does,
//! `PCACHE_TEST_SEED` where the random numbers begin.

mod assembly;
mod forms;
mod pieces;
mod random;

use assembly::preprocessed;
use forms::{Forms, program};
use pcache_nvcc::includes::line_insensitive::{Keeps, line_insensitive_digest};
use pieces::{PIECES, TAKERS, UNNAMED};
use random::{Random, edit};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Lines that say nothing, of a source.
const SAID: &[&str] = &["", "  ", "// said", "/* said */"];

/// A source of four pieces and a kernel that uses them.
fn source(random: &mut Random) -> String {
    let mut text = TAKERS.to_owned();
    let mut sum = String::from("0");
    for number in 0..4 {
        // Half of them from those that leave the rule something to say.
        let first = if random.below(2) == 0 { UNNAMED } else { 0 };
        let piece = PIECES[first + random.below(PIECES.len() - first)];
        let number = number.to_string();
        text += &piece.replace('@', &number);
        text += "\n\n";
        write!(sum, " + use{number}()").unwrap();
    }
    text + &format!(
        "__global__ void kernel(unsigned* out) {{\n\n  *out = {sum};\n}}\nunsigned host() {{ return {sum}; }}\nvoid start(unsigned* out) {{ kernel<<<1, 1>>>(out); }}\n"
    )
}

/// A random program whose lines the rule does not keep as a whole, and a kernel that uses it.
fn chain(random: &mut Random, forms: &Forms) -> String {
    loop {
        let program = program(random, forms);
        let moved = line_insensitive_digest(preprocessed(&program).as_bytes()).unwrap();
        if program.device.is_empty() || matches!(moved.keeps, Keeps::Everything { .. }) {
            continue;
        }
        let device = program.device.join(" + ");
        let host = program
            .host
            .iter()
            .fold(device.clone(), |sum, call| sum + " + " + call);
        return format!(
            "#define HD __host__ __device__\n{}\n__global__ void kernel(int* out) {{\n\n  *out = {device};\n}}\n\
             int host() {{ return {host}; }}\nvoid start(int* out) {{ kernel<<<1, 1>>>(out); }}\n",
            program.text
        );
    }
}

/// The digest of a pass, and why it is what it is.
type PassDigest = ([u8; 32], Keeps);

/// What nvcc makes of `text`, always under the same names: the object, and what the digests of its
/// passes are. `None` if nvcc refuses.
fn build(directory: &Path, text: &str) -> Option<(Vec<u8>, Vec<PassDigest>)> {
    let _ = fs::remove_dir_all(directory);
    fs::create_dir_all(directory.join("kept")).unwrap();
    fs::write(directory.join("unit.cu"), text).unwrap();
    let output = Command::new(nvcc())
        .args([
            "-c",
            "unit.cu",
            "-o",
            "unit.o",
            "-arch=sm_80",
            "-std=c++20",
            "--keep",
            "--keep-dir",
            "kept",
        ])
        .current_dir(directory)
        .output()
        .unwrap();
    if !output.status.success() {
        return None;
    }
    let passes = ["unit.cpp1.ii", "unit.cpp4.ii"].map(|name| {
        let text = fs::read(directory.join("kept").join(name)).unwrap();
        let moved = line_insensitive_digest(&text).unwrap();
        (moved.digest, moved.keeps)
    });
    Some((fs::read(directory.join("unit.o")).unwrap(), passes.into()))
}

fn nvcc() -> PathBuf {
    let top = env::var_os("PCACHE_TEST_CUDA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/cuda/13.2"),
        PathBuf::from,
    );
    let nvcc = top.join("bin/nvcc");
    assert!(nvcc.exists(), "no {}: see scripts/test", nvcc.display());
    nvcc
}

fn number(variable: &str, default: usize) -> usize {
    env::var(variable).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn objects_are_equal_where_the_digests_of_all_passes_are() {
    let wanted = number("PCACHE_TEST_OBJECTS", 12);
    let mut random = Random(number("PCACHE_TEST_SEED", 1) as u64);
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("unit");
    let forms = Forms::new();
    let (mut objects, mut same, mut said_yes, mut unlike, mut refused) = (0, 0, 0, 0, 0);
    while objects < wanted {
        let text = match random.below(2) {
            0 => source(&mut random),
            _ => chain(&mut random, &forms),
        };
        let Some((object, passes)) = build(&directory, &text) else {
            assert!(!text.starts_with(TAKERS), "{text}");
            refused += 1;
            continue;
        };
        objects += 1;
        for _ in 0..3 {
            let edited = edit(&mut random, &text, SAID);
            let Some((other, other_passes)) = build(&directory, &edited) else {
                // A constraint may ask for the line.
                continue;
            };
            objects += 1;
            let digests =
                |passes: &[PassDigest]| passes.iter().map(|pass| pass.0).collect::<Vec<_>>();
            let is_same = digests(&passes) == digests(&other_passes);
            assert!(
                !is_same || object == other,
                "equal digests, other objects: {}\n{text}\n---\n{edited}",
                passes[0].1
            );
            same += usize::from(object == other);
            said_yes += usize::from(is_same);
            unlike += usize::from(object != other);
        }
    }
    // What the rule says no to although nothing changed is its price; it must not be all.
    let figures = format!(
        "{objects} objects: {unlike} unlike, {same} alike, of which the rule knew {said_yes}; \
         nvcc refused {refused} sources"
    );
    assert!(said_yes * 5 >= same && unlike > 0, "{figures}");
    eprintln!("{figures}");
}
