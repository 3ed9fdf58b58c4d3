//! Assembler directives that read files, in every spelling, where the assembler tells nothing of it.

use crate::support::outcome::Outcome;
use crate::support::workspace::Workspace;

/// Directives that put `blob` into the object.
const MEMBERS: &[(&str, &str)] = &[
    ("plain", r#"asm(S "\n.incbin \"blob\"\n" T);"#),
    (
        "hexadecimal escape",
        r#"asm(S "\n.inc\x62in \"blob\"\n" T);"#,
    ),
    ("octal escape", r#"asm(S "\n.inc\142in \"blob\"\n" T);"#),
    ("raw string", "asm(S R\"(\n.incbin \"blob\"\n)\" T);"),
    ("upper case", r#"asm(S "\n.INCBIN \"blob\"\n" T);"#),
    ("pieces", r#"asm(S "\n.inc" "bin \"bl" "ob\"\n" T);"#),
    (
        "stringification",
        "#define STR(x) #x\n#define CAT(a, b) STR(.a##b)\nasm(S \"\\n\" CAT(inc, bin) \" \\\"blob\\\"\\n\" T);",
    ),
    (
        "assembler macro",
        r#"asm(".macro m a b\n.\\a\\b \"blob\"\n.endm\n" S "\nm inc bin\n" T);"#,
    ),
    (
        "assembler loop",
        r#"asm(S "\n.irp w, bin\n.inc\\w \"blob\"\n.endr\n" T);"#,
    ),
    ("other file", r#"asm(S "\n.include \"more.s\"\n" T);"#),
    (
        "operand",
        r#"extern "C" void bin(); void g() { asm(S "\n.inc%P0 \"blob\"\n" T : : "i"(bin)); }"#,
    ),
    (
        "operands alone",
        r#"extern "C" void inc() asm(".inc"); extern "C" void bin(); void g() { asm(S "\n%P0%P1 \"blob\"\n" T : : "i"(inc), "i"(bin)); }"#,
    ),
    (
        "operand behind a label",
        r#"extern "C" void inc() asm(".incbin"); void g() { asm(S "\nl: %P0 \"blob\"\n" T : : "i"(inc)); }"#,
    ),
    (
        "section's name",
        r#"__attribute__((section(".rodata\n.incbin \"blob\"\n#"))) int z = 1;"#,
    ),
    (
        "symbol's name",
        r#"int y asm("y\n.incbin \"blob\"\n#") = 1;"#,
    ),
    (
        "words of messages",
        r##"asm("# a macro\n" S "\n.irp w, bin\n.inc\\w \"blob\"\n.endr\n" T);"##,
    ),
    (
        "assembler loop by its other name",
        r#"asm(S "\n.irep w, bin\n.inc\\w \"blob\"\n.endr\n" T);"#,
    ),
    (
        "quoted name in pieces",
        r#"asm("\".mac\" \"ro\" m a\n.inc\\a \"blob\"\n.endm\n" S "\nm bin\n" T);"#,
    ),
    (
        "#ident",
        r##"
#ident "x\"\n.section .rodata\n.incbin \"blob\"\n.text\n.ident \"y"
"##,
    ),
    (
        "alternatives",
        r#"void g() { asm(S "\n.in{cbin|valid} \"blob\"\n" T : : ); }"#,
    ),
];

fn source(member: &str) -> String {
    format!(
        "#define S \".section .rodata,\\\"a\\\"\"\n#define T \".text\\n\"\n{member}\nint f() {{ return 1; }}\n"
    )
}

/// Builds each member in two states of the blob. Where a compiler cannot compile it, nvcc says so.
/// `untried` are the members that the compiler refuses, or whose text it hands to no assembler.
fn blobs_count(prepare: impl Fn(&mut Workspace), flags: &[&str], name: &str, untried: &[&str]) {
    let mut passed_over = Vec::new();
    // cudafe++ writes strings anew, whatever they were; each takes it a second.
    let step = if name.ends_with(".cu") { 5 } else { 1 };
    for (what, member) in MEMBERS.iter().step_by(step) {
        let mut ws = Workspace::with(name, &source(member));
        prepare(&mut ws);
        ws.write("more.s", ".incbin \"blob\"\n");
        let holds = |built: &Outcome, blob: &[u8]| {
            let object = built.outputs.bytes("a.o");
            object.windows(blob.len()).any(|bytes| bytes == blob)
        };
        ws.write("blob", "the first one");
        // Addresses of functions are constants then.
        let fixed = ["-Xcompiler", "-fno-pie"];
        let args = [&["-c", name, "-o", "a.o"], &fixed[..], flags].concat();
        let first = ws.build(&args);
        // Not every compiler hands every text to an assembler.
        if first.status != 0 || !holds(&first, b"the first one") {
            passed_over.push(*what);
            continue;
        }
        ws.write("blob", "another one");
        let changed = ws.build(&args);
        changed.succeeds();
        assert!(
            holds(&changed, b"another one"),
            "{what} of {name} with {flags:?} is stale"
        );
    }
    assert_eq!(passed_over, untried, "{name} with {flags:?}");
}

#[test]
#[ignore = "long: scripts/test-long"]
fn clang_reads_no_file_unnoticed() {
    const OF_GNU_AS: [&str; 5] = [
        "section's name",
        "symbol's name",
        "assembler loop by its other name",
        "quoted name in pieces",
        "#ident",
    ];
    blobs_count(|_| (), &["-ccbin", "clang++"], "a.cu", &[]);
    blobs_count(|_| (), &["-ccbin", "clang++"], "a.cpp", &OF_GNU_AS);
}

#[test]
#[ignore = "long: scripts/test-long"]
fn one_step_reads_no_file_unnoticed() {
    let one_step = |ws: &mut Workspace| ws.set_env("PCACHE_STAGES", "0");
    blobs_count(one_step, &[], "a.cu", &[]);
    blobs_count(one_step, &[], "a.cpp", &["symbol's name"]);
}

#[test]
fn gcc_tells_what_its_assembler_reads() {
    blobs_count(|_| (), &[], "a.cu", &[]);
    blobs_count(|_| (), &[], "a.cpp", &["symbol's name"]);
}

/// GNU as tells names, and its own source is one of them.
#[test]
fn files_called_like_the_assemblers_source_count() {
    for (name, directory, flags) in [
        ("a.cudafe1.cpp", "", &[][..]),
        ("a.cudafe1.stub.c", "", &[]),
        ("a.fatbin.c", "", &[]),
        ("a.cudafe1.cpp", "sub/", &["-Isub"]),
        ("a.cudafe1.cpp", "sub/", &["-I", "sub"]),
        ("a.cudafe1.cpp", "", &["-rdc=true"]),
    ] {
        let text = format!(
            "asm(\".section .rodata\\n.inc\\x62in \\\"{name}\\\"\\n.text\\n\");\nint f() {{ return 1; }}\n"
        );
        let ws = Workspace::with("a.cu", &text);
        let blob = format!("{directory}{name}");
        ws.write(&blob, "one");
        let args = [&["-c", "a.cu", "-o", "a.o"], flags].concat();
        ws.build(&args).succeeds();
        ws.write(&blob, "other");
        let changed = ws.build(&args);
        let object = changed.succeeds().outputs.bytes("a.o");
        let holds = object.windows(5).any(|bytes| bytes == b"other");
        assert!(holds, "{blob} with {flags:?} is stale");
    }
}

/// What reads nothing is stored, though headers are full of assembly.
#[test]
fn ordinary_assembly_is_stored() {
    let text = "#include <cstdio>\n#include <vector>\n#include <string>\n#include <atomic>\n\
        __device__ int g(int a) { int r; asm(\"{ .reg .pred p; mov.b32 %0, %1; }\" : \"=r\"(r) : \"r\"(a)); return r; }\n\
        __global__ void k(int *p) { *p = g(*p); }\n\
        int host(int x) { asm volatile(\"addl $1, %0\\n\\tnop\" : \"+r\"(x)); puts(\"#include <x>\"); return x; }\n";
    for (clang, one_step) in [(true, false), (false, true)] {
        let mut ws = Workspace::with("a.cu", text);
        let mut args = vec!["-c", "a.cu", "-o", "a.o"];
        if clang {
            args.extend(["-ccbin", "clang++"]);
        }
        if one_step {
            ws.set_env("PCACHE_STAGES", "0");
        }
        ws.build(&args).misses(1);
        ws.build(&args).hits(1);
    }
}
