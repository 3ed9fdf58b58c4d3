//! Random sources that take lines in every way, and random blank and comment lines: where the digests of all
//! preprocessed passes stay equal, the object that the real nvcc writes must be the same.
//!
//! `PCACHE_TEST_OBJECTS` sets how many objects nvcc makes, `PCACHE_TEST_SEED` where the random numbers begin.

use pcache_nvcc::includes::moved::{Keeps, marker_free};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Declarations that come first in every source; each takes its caller's line where it is called.
const TAKERS: &str = "
#define HD __host__ __device__
struct where
{
  static HD constexpr unsigned current(unsigned line = __builtin_LINE()) { return line; }
};
HD inline unsigned named(unsigned more,
                         unsigned line = where::current()) { return line + more; }
template <class T> HD unsigned named_template(T, unsigned line = named(1))
{
  return line;
}
";

/// How many of the pieces let calls without a name take lines.
const UNNAMED: usize = 20;

/// Declarations that take lines, or do not, with `@` for a number of their own.
const PIECES: [&str; 33] = [
    "HD inline unsigned direct@() {\n  return\n    __builtin_LINE();\n}\nHD inline unsigned use@() { return direct@(); }",
    "HD inline unsigned use@()\n{\n  return named(\n    2\n  );\n}",
    "template <class T>\nHD unsigned deep@(T t) {\n\n  return named_template(t) +\n    named_template<long>(t);\n}\nHD inline unsigned use@() { return deep@(3) + deep@(4u); }",
    "struct Taker@ { unsigned v;\n HD Taker@(unsigned line = __builtin_LINE()) : v(line) {} };\nHD inline unsigned use@()\n{\n Taker@ t;\n return t.v; }",
    "struct Implicit@ { unsigned v;\n HD Implicit@(int, unsigned line = where::current()) : v(line) {} };\nHD inline unsigned take@(Implicit@ i) { return i.v; }\nHD inline unsigned use@()\n{\n return take@(\n  1); }",
    "struct Base@ { unsigned v;\n HD Base@(int = 0, unsigned line = named(1)) : v(line) {} };\nusing Alias@ = Base@;\ntemplate <class T> HD unsigned make@() {\n return T().v; }\nHD inline unsigned use@() {\n return make@<Alias@>(); }",
    "struct Member@ { int a;\n unsigned v = __builtin_LINE(); };\nHD inline unsigned use@() {\n Member@ m{1};\n return m.v; }",
    "HD inline unsigned use@() {\n auto f = [](unsigned line = where::current()) { return line; };\n return f(\n ); }",
    "template <class F> HD unsigned call@(F f) {\n return f(); }\nHD inline unsigned use@() {\n return call@([](unsigned line = __builtin_LINE()) { return line; }); }",
    "struct Range@ { int a[2];\n HD const int* begin(unsigned line = named(0)) const { return a + line % 2; }\n HD const int* end() const { return a + 2; } };\nHD inline unsigned use@() {\n Range@ r{{1, 2}}; unsigned s = 0;\n for (int i : r)\n  s += i;\n return s; }",
    "struct Call@ {\n HD unsigned operator()(int i, unsigned line = __builtin_LINE()) const { return line + i; } };\nHD inline unsigned use@() {\n return Call@()(\n 3); }",
    "template <unsigned N = __builtin_LINE()>\nstruct Sized@ { static constexpr unsigned v = N; };\nHD inline unsigned use@() {\n return Sized@<>::v; }",
    "struct Paren@ {\n unsigned (v){where::current()};\n unsigned w; };\nHD inline unsigned use@() {\n Paren@ p{};\n return p.v; }",
    "HD inline unsigned use@() {\n auto f = []<class T> requires requires(T t) { t + 1; } (T t, unsigned line = where::current()) { return line + t; };\n return f(\n  1u); }",
    "struct From@ { unsigned v;\n HD From@(int, unsigned line = where::current()) : v(line) {} };\nstruct To@ : From@ {\n using From@::From@; };\nHD inline unsigned use@() {\n return To@(\n  1).v; }",
    "template <class T> struct Guess@ { unsigned v;\n HD Guess@(T, unsigned line = where::current()) : v(line) {} };\nHD inline unsigned use@() {\n Guess@ g(\n  2);\n return g.v; }",
    "struct Made@ { int v;\n static void* operator new(decltype(sizeof 0) size, unsigned line = where::current()) {\n  return reinterpret_cast<void*>(size + line); } };\ninline void* make@() {\n return new\n  Made@; }\nvoid* (*kept@)() = make@;\nHD inline unsigned use@() { return 8; }",
    "struct Bound@ { template <int> HD unsigned get(unsigned line = where::current()) const { return line; } };\ntemplate <> struct std::tuple_size<Bound@> { static constexpr int value = 1; };\ntemplate <> struct std::tuple_element<0, Bound@> { using type = unsigned; };\nHD inline unsigned use@() {\n auto [x] =\n  Bound@();\n return x; }",
    "template <unsigned N> struct Count@ { static constexpr unsigned v = N; };\ntemplate <class T> requires requires(T t) { t + 1; } using Given@ = Count@<where::current()>;\nHD inline unsigned use@() {\n return Given@<\n  int>::v; }",
    "#include <coroutine>\nstruct Task@ { struct promise_type {\n  unsigned v;\n  promise_type(unsigned line = where::current()) : v(line) {}\n  Task@ get_return_object() { return {v}; }\n  std::suspend_never initial_suspend() { return {}; }\n  std::suspend_never final_suspend() noexcept { return {}; }\n  void return_void() {}\n  void unhandled_exception() {} };\n unsigned v; };\ninline Task@ task@() {\n co_return; }\nunsigned run@() { return task@().v; }\nHD inline unsigned use@() { return 2; }",
    "namespace inner@ {\n namespace {\n  HD inline unsigned method() { return 7; }\n }\n}\nHD inline unsigned use@() {\n return inner@::method(); }",
    "struct Plain@ {\n  int x = 3;\n\n  HD int go() const {\n    auto l = [this](int y) {\n      return x + y; };\n    return l(2);\n  }\n};\nHD inline unsigned use@() {\n\n return Plain@().go(); }",
    "template <class T>\nHD unsigned count@(T t)\n{\n  struct Local { T v; HD unsigned twice() { return unsigned(v) * 2; } };\n\n  Local l{t};\n  return l.twice();\n}\nHD inline unsigned use@() { return count@(2) + count@(2.f); }",
    "HD inline unsigned use@() {\n  const char* s = R\"x(\n# 12 \"no.h\"\n\n   \"{(\n)x\";\n  return s[1];\n}",
    "static unsigned host@() {\n  static unsigned calls = 0;\n\n  return ++calls;\n}\nunsigned (*pointer@)() = host@;\nHD inline unsigned use@() { return 9; }",
    "enum class Kind@ : unsigned {\n  a = where::current(),\n  b };\nHD inline unsigned use@() {\n return unsigned(Kind@::b); }",
    "struct Static@ {\n  static constexpr unsigned v = where::current();\n};\nHD inline unsigned use@() {\n return Static@::v; }",
    "struct Loud@ { HD static unsigned say(const char*,\n  unsigned line = named(5)) { return line; } };\nHD inline unsigned use@() {\n return Loud@::say(\"a\"); }",
    "struct Thrown@ { unsigned v;\n Thrown@(int, unsigned line = where::current()) : v(line) {} };\ninline void fail@(bool b) {\n if (b)\n  throw Thrown@(1); }\nvoid (*keep@)(bool) = fail@;\nHD inline unsigned use@() { return 4; }",
    "__global__ void launched@(unsigned* p, unsigned line = where::current()) { *p = line; }\nvoid launch@(unsigned* p) {\n launched@<<<1, 1>>>(p);\n}\nHD inline unsigned use@() { return 6; }",
    "HD inline unsigned use@() {\n int current = 3;\n current += 2;\n return current; }",
    "HD inline unsigned any@(auto more, unsigned line = where::current()) { return line + more; }\nHD inline unsigned use@() {\n return any@<int>(\n  3); }",
    "inline void clean@(int* p, unsigned line = where::current()) { *p = line; }\ninline int cleaned@() {\n int x\n  __attribute__((cleanup(clean@))) = 3;\n return x; }\nint (*kept@)() = cleaned@;\nHD inline unsigned use@() { return 5; }",
];

/// A small generator of random numbers (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % limit as u64).unwrap()
    }
}

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

/// Adds lines that say nothing, and takes away as many blank ones below if it can.
fn edit(random: &mut Random, text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    let mut in_raw = false;
    let free: Vec<bool> = lines
        .iter()
        .map(|line| {
            let was = in_raw;
            in_raw = (in_raw || line.contains("R\"x(")) && !line.contains(")x\"");
            !was
        })
        .collect();
    let mut at = random.below(lines.len());
    while !free[at] {
        at = random.below(lines.len());
    }
    if random.below(3) > 0 {
        let blank = (at..lines.len()).find(|&line| free[line] && lines[line].is_empty());
        blank.map(|line| lines.remove(line));
    }
    lines.insert(at, ["", "  ", "// said", "/* said */"][random.below(4)]);
    lines.join("\n") + "\n"
}

/// What nvcc makes of `text`, always under the same names: the object, and what the digests of its
/// passes are.
fn build(directory: &Path, text: &str) -> (Vec<u8>, Vec<([u8; 32], Keeps)>) {
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
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let passes = ["unit.cpp1.ii", "unit.cpp4.ii"].map(|name| {
        let text = fs::read(directory.join("kept").join(name)).unwrap();
        let moved = marker_free(&text).unwrap();
        (moved.digest, moved.keeps)
    });
    (fs::read(directory.join("unit.o")).unwrap(), passes.into())
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
    let (mut objects, mut same, mut said_yes, mut unlike) = (0, 0, 0, 0);
    while objects < wanted {
        let text = source(&mut random);
        let (object, passes) = build(&directory, &text);
        objects += 1;
        for _ in 0..3 {
            let edited = edit(&mut random, &text);
            let (other, other_passes) = build(&directory, &edited);
            objects += 1;
            let digests =
                |passes: &[([u8; 32], Keeps)]| passes.iter().map(|pass| pass.0).collect::<Vec<_>>();
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
        "{objects} objects: {unlike} unlike, {same} alike, of which the rule knew {said_yes}"
    );
    assert!(said_yes * 5 >= same && unlike > 0, "{figures}");
    eprintln!("{figures}");
}
