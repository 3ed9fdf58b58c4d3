//! Random walks through options and variables that most keys leave out. pcache-nvcc and the host compiler are real; in
//! place of CUDA's own tools are scripts that write a sum of what they read into their outputs. So a result shows every
//! byte that reached a stage, and a hit must equal what nvcc gives with the same scripts.

use std::collections::HashMap;
use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::random::Random;
use crate::support::workspace::{Workspace, make_executable};
use crate::traps_environment::toolkit_of_links;

/// Each writes the sum of its inputs. As with the real tools, the text of cudafe++ includes that of cicc, which includes
/// a header of the toolkit and fatbinary's file.
const STUB: &str = r#"#!/bin/sh
tool=${0##*/} sum=
for word; do
  file=${word##*file=}
  case $file in
    *.ii | *.ptx | *.cubin) [ ! -f "$file" ] || sum="$sum $(cksum <"$file")" ;;
  esac
done
text="/* $tool $sum */"
while [ $# -gt 0 ]; do
  case $1 in
    --gen_c_file_name) code=$2 ;;
    --stub_file_name) stub=$2 ;;
    --include_file_name) fatbinary=$2 ;;
    --module_id_file_name | --gen_device_file_name | -o | --create) echo "$text" >"$2" ;;
    --embedded-fatbin=*) embedded=${1#*=} ;;
    --create=*) echo "$text" >"${1#*=}" ;;
  esac
  shift
done
case $tool in
  cudafe++)
    printf 'static int unused() { return 1; }\n#include "%s"\nextern const char s[] = "%s";\n' "$stub" "$sum" >"$code"
    printf 'int seen = SEEN;\n' >>"$code" ;;
  cicc)
    [ -z "$code" ] || echo "$text" >"$code"
    [ -z "$stub" ] || printf '#define SEEN 0\n#include "crt/host_runtime.h"\n#include "%s"\n' "$fatbinary" >"$stub" ;;
  fatbinary) [ -z "$embedded" ] || cat >"$embedded" <<END
asm(
".section .nv_fatbin, \"a\"\n"
".align 8\n"
"fatbinData:\n"
".quad 0x1\n"
".ascii \"$sum\"\n"
".text\n"
);
extern "C" {
extern const unsigned long long fatbinData[1];
}
END
  ;;
esac
"#;

const UNIT: &str = "#include <value.h>\n#ifdef X\nint x = X;\n#endif\n#ifndef Y\n#warning no Y\n#endif\n\
    int host() { return VALUE; }\n__global__ void k(int *p) { *p = VALUE; }\n";

/// Command lines of one walk. Few, so that most compiles are hits.
const POOL: usize = 24;

/// What one compile gave.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Given {
    status: Option<i32>,
    messages: String,
    output: Option<Vec<u8>>,
}

/// What a compile is asked for: words in front of the source, and variables.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Question {
    words: Vec<&'static str>,
    variables: Vec<(&'static str, &'static str)>,
    source: &'static str,
    /// The contents of the headers.
    state: [usize; 4],
}

/// Headers that come and go, and their contents in turn; empty for none.
const HEADERS: [(&str, [&str; 3]); 4] = [
    ("a/value.h", ["#define VALUE 1\n", "#define VALUE 2\n", ""]),
    (
        "b/value.h",
        [
            "#define VALUE 1\n",
            "#define VALUE 3\n",
            "#define VALUE (1)\n",
        ],
    ),
    (
        "a/crt/host_runtime.h",
        [
            "",
            "#undef SEEN\n#define SEEN 1\n",
            "#undef SEEN\n#define SEEN 2\n",
        ],
    ),
    (
        "a/pre.h",
        ["#define X 5\n", "#define UNUSED\n", "#define Y\n"],
    ),
];

struct Walk {
    ws: Workspace,
    random: Random,
    state: [usize; 4],
    known: HashMap<Question, Given>,
    failures: Vec<String>,
}

impl Walk {
    fn new(seed: u64) -> Self {
        let mut ws = Workspace::new();
        let toolkit = stub_toolkit(&ws);
        ws.use_nvcc(toolkit.join("bin/nvcc"));
        // The sums show lines, which tokens do not.
        ws.set_env("PCACHE_SEMANTIC", "0");
        fs::create_dir(ws.path(".git")).expect("a checkout");
        for name in ["unit.cu", "host.cpp"] {
            ws.write(
                name,
                UNIT.replace(
                    "__global__",
                    if name == "unit.cu" { "__global__" } else { "" },
                ),
            );
        }
        let walk = Self {
            ws,
            random: Random(seed),
            state: [0; 4],
            known: HashMap::new(),
            failures: Vec::new(),
        };
        (0..HEADERS.len()).for_each(|number| walk.put(number));
        walk
    }

    /// Writes a header as the state says.
    fn put(&self, number: usize) {
        let (name, texts) = HEADERS[number];
        match texts[self.state[number]] {
            "" => drop(fs::remove_file(self.ws.path(name))),
            text => drop(self.ws.write(name, text)),
        }
    }

    fn edit(&mut self) {
        let number = self.random.below(HEADERS.len());
        self.state[number] = self.random.below(3);
        self.put(number);
    }

    fn ask(&self, mut command: Command, question: &Question) -> Given {
        let output = self.ws.path("out.o");
        let _ = fs::remove_file(&output);
        command.args(&question.words);
        command.args(["-c", question.source, "-o", "out.o"]);
        command.envs(question.variables.iter().copied());
        let done = command.output().expect("a compile");
        Given {
            status: done.status.code(),
            messages: masked(&[done.stdout, done.stderr].concat()),
            output: fs::read(output).ok(),
        }
    }

    /// Compiles, and compares with nvcc, which is asked each question once.
    fn judge(&mut self, question: Question) {
        let ours = self.ask(self.ws.ours(&[]), &question);
        if !self.known.contains_key(&question) {
            let command = if question.words.iter().any(|word| word.starts_with("-g")) {
                // nvcc's debug information names a folder of its own each time.
                let mut fresh = self.ws.ours(&[]);
                fresh.env("PCACHE_DIR", self.ws.fresh("fresh"));
                fresh
            } else {
                let mut nvcc = self.ws.theirs(&["--keep", "--keep-dir"]);
                nvcc.arg(self.ws.fresh("kept"));
                nvcc
            };
            let theirs = self.ask(command, &question);
            self.known.insert(question.clone(), theirs);
        }
        let theirs = &self.known[&question];
        if ours != *theirs {
            let messages = [&ours.messages, &theirs.messages];
            let same = ours.output == theirs.output;
            let failure =
                format!("{question:?}\n  output is the same: {same}, messages {messages:#?}");
            eprintln!("{failure}");
            self.failures.push(failure);
        }
    }

    fn end(self, steps: u64) {
        let counted = self.ws.counters();
        eprintln!(
            "{steps} compiles, {} questions: {counted:?}",
            self.known.len()
        );
        assert!(
            self.failures.is_empty(),
            "{} are wrong",
            self.failures.len()
        );
        assert!(counted.hits > steps / 8, "hardly any hits");
        assert!(counted.bypassed.is_empty(), "not cached");
    }
}

/// Messages with one name for the folders of intermediate files.
fn masked(messages: &[u8]) -> String {
    let text = String::from_utf8_lossy(messages);
    let words = text.split_inclusive(|letter: char| letter.is_whitespace() || letter == '\x1b');
    let masked = words.map(|word| match word.find("unit.cudafe1") {
        Some(end) => format!("W/{}", &word[end..]),
        None => word.to_owned(),
    });
    masked.collect()
}

/// Puts a folder in the place of a link to one.
fn own_folder(folder: &Path, has_links: bool) {
    let Ok(target) = fs::read_link(folder) else {
        return;
    };
    fs::remove_file(folder).expect("a link");
    fs::create_dir(folder).expect("a folder");
    for entry in fs::read_dir(target).expect("a folder") {
        let entry = entry.expect("an entry");
        let link = folder.join(entry.file_name());
        if has_links {
            symlink(entry.path(), link).expect("a link");
        }
    }
}

/// A toolkit with scripts and with headers that cost nothing.
pub(crate) fn stub_toolkit(ws: &Workspace) -> PathBuf {
    let toolkit = toolkit_of_links(ws);
    own_folder(&toolkit.join("nvvm"), true);
    own_folder(&toolkit.join("nvvm/bin"), true);
    for tool in [
        "bin/cudafe++",
        "bin/ptxas",
        "bin/fatbinary",
        "nvvm/bin/cicc",
    ] {
        let path = toolkit.join(tool);
        fs::remove_file(&path).expect("a link");
        fs::write(&path, STUB).expect("a script");
        make_executable(&path);
    }
    let include = toolkit.join("include");
    own_folder(&include, false);
    fs::create_dir(include.join("crt")).expect("a folder");
    for (name, text) in [
        (
            "cuda_runtime.h",
            "#define __global__ __attribute__((unused))\n",
        ),
        ("crt/host_runtime.h", "#include \"inner.h\"\n"),
        ("crt/inner.h", "static int inner;\n"),
        ("fatbinary_section.h", ""),
    ] {
        fs::write(include.join(name), text).expect("a header");
    }
    toolkit
}

/// Words that the preprocessor consumes, and some like them that it does not.
const WORDS: [&[&str]; 18] = [
    &["-DX=1"],
    &["-DX=2"],
    &["-DY"],
    &["-DUNUSED"],
    &["-DVALUE=9"],
    &["-UX"],
    &["-UUNUSED"],
    &["-DSEEN=4"],
    &["-Ia"],
    &["-Ib"],
    &["-Inowhere"],
    &["-isystem", "a"],
    &["-isystem", "b"],
    &["-include", "a/pre.h"],
    &["-include", "pre.h"],
    &["-Xcompiler", "-DSEEN=3"],
    &["-Xcompiler", "-Ia"],
    &["-Xcompiler", "-g3,-fdebug-prefix-map=/=X"],
];

/// Variables of which messages depend, and of which they do not.
const VARIABLES: [(&str, &[&str]); 11] = [
    (
        "LC_ALL",
        &[
            "C", "POSIX", "C.UTF-8", "C.utf8", "latin", "wide", "no_such", "",
        ],
    ),
    ("LANG", &["C", "C.UTF-8", "latin", "wide"]),
    ("LC_MESSAGES", &["C.UTF-8", "C"]),
    ("LC_CTYPE", &["C.UTF-8", "POSIX", "latin"]),
    ("LOCPATH", &["locales", ""]),
    ("OUTPUT_CHARSET", &["ISO-8859-1"]),
    ("TERM_URLS", &["bel", "no"]),
    ("LANGUAGE", &["de:fr", ""]),
    ("GCC_COLORS", &["", "warning=01;32", "error=01;31"]),
    ("NO_COLOR", &["1"]),
    ("HOME", &["/tmp"]),
];

fn number(name: &str, default: u64) -> u64 {
    match env::var(name) {
        Ok(value) => value.parse().expect("a number"),
        Err(_) => default,
    }
}

/// Words of one command line.
fn some_words(random: &mut Random) -> Vec<&'static str> {
    let mut words = vec!["-Ib"];
    for _ in 0..random.below(4) {
        let more = *random.pick(&WORDS);
        if random.chance(50) {
            words.extend(more);
        } else {
            words.splice(0..0, more.iter().copied());
        }
    }
    words
}

fn walk_options(seed: u64, steps: u64) {
    let mut walk = Walk::new(seed);
    let lines: Vec<_> = (0..POOL).map(|_| some_words(&mut walk.random)).collect();
    for _ in 0..steps {
        if walk.random.chance(4) {
            walk.edit();
        }
        let source = if walk.random.chance(15) {
            "host.cpp"
        } else {
            "unit.cu"
        };
        let question = Question {
            words: walk.random.pick(&lines).clone(),
            variables: Vec::new(),
            source,
            state: walk.state,
        };
        walk.judge(question);
    }
    walk.end(steps);
}

/// Some variables, and words with which they matter.
fn some_variables(random: &mut Random, state: [usize; 4]) -> Question {
    let mut words = vec!["-Ib", "-Xcompiler", "-Wall"];
    for (percent, more) in [
        (50, "-fdiagnostics-color=always"),
        (30, "-fdiagnostics-urls=always"),
    ] {
        if random.chance(percent) {
            words.extend(["-Xcompiler", more]);
        }
    }
    if random.chance(30) {
        // Without it the preprocessor warns.
        words.push("-DY");
    }
    let mut variables = Vec::new();
    for (name, values) in VARIABLES {
        if random.chance(25) {
            variables.push((name, *random.pick(values)));
        }
    }
    Question {
        words,
        variables,
        source: "unit.cu",
        state,
    }
}

/// Makes locales that the system may lack. Without `localedef` their names are those of locales that are not installed.
fn make_locales(ws: &Workspace) {
    let locales = ws.path("locales");
    fs::create_dir(&locales).expect("a folder");
    for (name, characters) in [("latin", "ISO-8859-1"), ("wide", "UTF-8")] {
        let mut made = Command::new("localedef");
        made.args(["-i", "en_US", "-f", characters]);
        let _ = made.arg(locales.join(name)).output();
    }
}

fn walk_locales(seed: u64, steps: u64) {
    let mut walk = Walk::new(seed);
    walk.ws.unset_env("LC_ALL");
    make_locales(&walk.ws);
    let state = walk.state;
    let questions = 0..2 * POOL;
    let questions: Vec<_> = questions
        .map(|_| some_variables(&mut walk.random, state))
        .collect();
    for _ in 0..steps {
        let question = walk.random.pick(&questions).clone();
        walk.judge(question);
    }
    walk.end(steps);
}

#[test]
fn what_the_preprocessor_consumes_reaches_no_later_stage() {
    walk_options(number("PCACHE_TEST_SEED", 1), 60);
}

#[test]
fn messages_are_those_of_their_variables() {
    walk_locales(number("PCACHE_TEST_SEED", 1), 60);
}

/// `PCACHE_TEST_EDITS` sets the number of compiles.
#[test]
#[ignore = "long: scripts/test-long"]
fn what_the_preprocessor_consumes_reaches_no_later_stage_in_a_long_walk() {
    walk_options(
        number("PCACHE_TEST_SEED", 2),
        number("PCACHE_TEST_EDITS", 2000),
    );
}

/// Likewise.
#[test]
#[ignore = "long: scripts/test-long"]
fn messages_are_those_of_their_variables_in_a_long_walk() {
    walk_locales(
        number("PCACHE_TEST_SEED", 2),
        number("PCACHE_TEST_EDITS", 2000),
    );
}
