//! Random programs, judged by the assembly that GCC writes.

use super::forms::{Forms, Program, program};
use super::number;
use super::random::{Random, edit};
use pcache_nvcc::includes::line_insensitive::{Keeps, line_insensitive_digest};
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::thread;

/// Lines that say nothing, of a text that has been preprocessed.
const SAID: &[&str] = &["", "  ", "# 40", "# 7 \"unit.cpp\""];

/// Of sources that keep all their lines, every so manyth is judged.
const SAMPLE: usize = 8;

/// What was found.
#[derive(Default)]
struct Figures {
    sources: usize,
    refused: usize,
    /// Pairs that the rule takes for alike, and that were judged.
    judged: usize,
    /// Edits that the rule says no to, and that were judged, too.
    asked: usize,
    /// How many of these changed nothing.
    same: usize,
    wrong: Vec<String>,
    /// Why sources keep their lines.
    kept: BTreeMap<String, usize>,
}

impl Figures {
    fn add(&mut self, other: Self) {
        self.sources += other.sources;
        self.refused += other.refused;
        self.judged += other.judged;
        self.asked += other.asked;
        self.same += other.same;
        self.wrong.extend(other.wrong);
        for (why, count) in other.kept {
            *self.kept.entry(why).or_default() += count;
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            sources,
            refused,
            judged,
            asked,
            same,
            wrong,
            kept,
        } = self;
        write!(
            f,
            "{sources} sources, {refused} more that GCC refused: of {judged} pairs that the rule takes for alike {} were not; \
             of {asked} others {same} were; {kept:?}",
            wrong.len()
        )
    }
}

/// The text of `program` as a preprocessor writes it, for the host alone.
pub fn preprocessed(program: &Program) -> String {
    let mut text = format!("# 1 \"unit.cpp\"\n{}", program.text.replace("HD ", ""));
    for (number, call) in program.device.iter().chain(&program.host).enumerate() {
        writeln!(text, "\nint called{number}() {{ return {call}; }}").unwrap();
    }
    text
}

/// What GCC makes of `text`; `None` if it refuses.
pub fn assembly(text: &str) -> Option<Vec<u8>> {
    let mut child = Command::new("g++")
        .args([
            "-S",
            "-std=c++20",
            "-w",
            "-x",
            "c++-cpp-output",
            "-",
            "-o",
            "-",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let written = text.to_owned();
    let writer = thread::spawn(move || stdin.write_all(written.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    output.status.success().then_some(output.stdout)
}

/// `text` with lines added in every place where the rule takes that for nothing.
fn stretched(random: &mut Random, text: &str, digest: [u8; 32]) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    let mut at = lines.len();
    // Not before the first one, which names the file.
    while at > 1 {
        lines.insert(at, SAID[random.below(SAID.len())]);
        let edited = lines.join("\n") + "\n";
        if line_insensitive_digest(edited.as_bytes()).is_ok_and(|moved| moved.digest == digest) {
            at -= 1;
            continue;
        }
        lines.remove(at);
        at -= 1;
    }
    lines.join("\n") + "\n"
}

/// Judges `wanted` sources with the random numbers from `seed` on.
fn judge(wanted: usize, seed: u64) -> Figures {
    let forms = Forms::new();
    let mut random = Random(seed);
    let mut found = Figures::default();
    while found.sources < wanted {
        let text = preprocessed(&program(&mut random, &forms));
        let moved = line_insensitive_digest(text.as_bytes()).unwrap();
        let keeps_all = matches!(moved.keeps, Keeps::Everything { .. });
        let sampled = random.below(SAMPLE) == 0;
        if sampled || !keeps_all {
            let Some(made) = assembly(&text) else {
                found.refused += 1;
                continue;
            };
            let edited = stretched(&mut random, &text, moved.digest);
            found.judged += 1;
            if assembly(&edited).as_ref() != Some(&made) {
                let keeps = &moved.keeps;
                let wrong = format!("{keeps}\n{text}\n---\n{edited}\n");
                found.wrong.push(wrong);
            }
            let edited = edit(&mut random, &text, SAID);
            if sampled && line_insensitive_digest(edited.as_bytes()).unwrap().digest != moved.digest
            {
                found.asked += 1;
                found.same += usize::from(assembly(&edited).as_ref() == Some(&made));
            }
        }
        let why = match moved.keeps {
            Keeps::Everything { why, .. } => format!("{why:?}"),
            Keeps::Chunks { .. } => "Chunks".to_owned(),
            Keeps::Nothing => "Nothing".to_owned(),
        };
        *found.kept.entry(why).or_default() += 1;
        found.sources += 1;
    }
    found
}

#[test]
fn assemblies_are_equal_where_the_digests_are() {
    let wanted = number("PCACHE_TEST_ASSEMBLIES", 300);
    let seed = number("PCACHE_TEST_SEED", 1) as u64;
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut found = Figures::default();
    thread::scope(|scope| {
        let parts = 0..threads as u64;
        let judges: Vec<_> = parts
            .map(|part| scope.spawn(move || judge(wanted.div_ceil(threads), seed * 1000 + part)))
            .collect();
        for judge in judges {
            found.add(judge.join().unwrap());
        }
    });
    eprintln!("{found}");
    assert!(found.wrong.is_empty(), "{found}\n{}", found.wrong[0]);
    // What the rule says no to although nothing changes is its price; it must not be all.
    let followed = found.kept.get("Chunks").copied().unwrap_or_default();
    assert!(followed * 8 >= found.sources, "{found}");
    assert!(found.same < found.asked, "{found}");
}
