//! Names that tell the modules of a link apart: whatever nvcc's objects link, ours do too, though they
//! come from a cache. Two contents of one path, one source for two outputs, and what must not get
//! another name all the same.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crate::modes::sources;
use crate::support::judge::ids_in;
use crate::support::stages::staged;
use crate::support::workspace::Workspace;

/// Sources that define nothing for others but the function `NAME`.
const KINDS: [(&str, &str); 5] = [
    (
        "statics",
        "static __device__ int mine = VALUE;
        static __global__ void local(int *p) { *p = mine++; }
        void NAME(int *p) { local<<<1, 1>>>(p); }\n",
    ),
    (
        "unnamed",
        "namespace { __global__ void k(int *p) { *p = VALUE; } }
        void NAME(int *p) { k<<<1, 1>>>(p); }\n",
    ),
    (
        "templates",
        "namespace { struct S { int a; };
        template <class T> __global__ void t(T *p) { static __device__ int z; *(int *)p = VALUE + z++; } }
        void NAME(int *p) { t<<<1, 1>>>(p); t<<<1, 1>>>((S *)p); }\n",
    ),
    (
        "variables",
        "namespace { __constant__ int c = VALUE; __managed__ int m = VALUE; __device__ int d[VALUE]; }
        __device__ static int twice(int x) { return 2 * x + c + m + d[0]; }
        static __global__ void k(int *p) { *p = twice(*p); }
        void NAME(int *p) { k<<<1, 1>>>(p); cudaMemcpyToSymbol(c, p, 4); }\n",
    ),
    (
        "lambdas",
        "template <class F> static __global__ void run(F f, int *p) { *p = f(VALUE); }
        namespace { __device__ int deep(int x) { return x + VALUE; } }
        void NAME(int *p) { run<<<1, 1>>>([=] __device__ (int x) { return deep(x); }, p); }\n",
    ),
];

const MODES: [&[&str]; 3] = [
    &["-c"],
    &["-rdc=true", "-c"],
    &["-dc", "-dlto", "-arch=sm_90"],
];

/// Those whose names reach a link in this mode; of nvcc's own objects one is enough, to see that it
/// links them.
fn kinds(mode: &[&str], whose: Whose) -> Vec<(&'static str, &'static str)> {
    let mut kinds = KINDS.to_vec();
    match mode {
        ["-c"] => drop(kinds.remove(0)),
        ["-dc", ..] => kinds.truncate(1),
        _ => kinds.truncate(2),
    }
    if whose == Whose::Theirs {
        kinds.truncate(1);
    }
    kinds
}

/// A text of `kind` whose one name for others is `name`.
fn named(kind: &str, name: &str, value: u32) -> String {
    kind.replace("NAME", name)
        .replace("VALUE", &value.to_string())
}

/// The same with no name for others at all.
fn nameless(kind: &str) -> String {
    let text = named(kind, "use", 3).replace("void use", "static void use");
    format!("{text}static void (*keep)(int *) __attribute__((used)) = use;\n")
}

/// Whose compiler.
#[derive(Clone, Copy, PartialEq)]
enum Whose {
    Ours,
    Theirs,
}

fn compile(ws: &Workspace, whose: Whose, mode: &[&str], source: &str, object: &str) {
    let args = [mode, &["--extended-lambda", source, "-o", object]].concat();
    let command = match whose {
        Whose::Ours => ws.ours(&args),
        Whose::Theirs => ws.theirs(&args),
    };
    ws.run(command).succeeds();
}

/// Links the objects with a program that runs. What nvcc says where it refuses.
fn link(ws: &Workspace, mode: &[&str], objects: &[String]) -> Result<(), String> {
    let objects: Vec<_> = objects.iter().map(String::as_str).collect();
    let flags: &[&str] = match mode {
        ["-c"] => &[],
        ["-rdc=true", ..] | ["-dc"] => &["-rdc=true"],
        _ => &["-rdc=true", "-dlto", "-arch=sm_90"],
    };
    let args = [&["main.cu", "-o", "program"], flags, &objects].concat();
    let linked = ws.run(ws.theirs(&args));
    if linked.status != 0 {
        return Err(linked.err());
    }
    let ran = ws.run(ws.command(ws.path("program")));
    assert_eq!(ran.succeeds().out(), "linked and run\n");
    Ok(())
}

/// Links ours as theirs. Toolkits without nvlink's own library refuse what is optimised at link time,
/// of whatever objects.
#[track_caller]
fn links_as_theirs(ws: &Workspace, mode: &[&str], make: impl Fn(Whose, &str) -> Vec<String>) {
    let theirs = link(ws, mode, &make(Whose::Theirs, "theirs"));
    let ours = link(ws, mode, &make(Whose::Ours, "ours"));
    let lto = mode.contains(&"-dlto");
    assert!(theirs.is_ok() || lto, "{mode:?}: {theirs:?}");
    let says = |text: &str| {
        let ours = ours.as_ref().err();
        ours.is_some_and(|ours| ours.contains(text))
    };
    assert_eq!(ours.is_ok(), theirs.is_ok(), "{mode:?}: {ours:?}");
    assert!(!says("ultiple definition") && !says("redefin"), "{ours:?}");
}

fn folders(ws: &Workspace, parent: &str, children: &[&str]) {
    for child in children {
        ws.write(&format!("{parent}/{child}/.keep"), "");
    }
}

/// A generated file that is overwritten.
#[test]
#[ignore = "long: scripts/test-long"]
fn two_contents_of_one_path_link_together() {
    for mode in MODES {
        let ws = sources();
        links_as_theirs(&ws, mode, |whose, parent| {
            folders(&ws, parent, &["one", "other"]);
            let mut objects = Vec::new();
            for (kind, text) in kinds(mode, whose) {
                for (value, name) in [(3, "one"), (4, "other")] {
                    let source = format!("{kind}.cu");
                    ws.write(&source, named(text, &format!("{kind}_{name}"), value));
                    let object = format!("{parent}/{name}/{kind}.o");
                    compile(&ws, whose, mode, &source, &object);
                    objects.push(object);
                }
            }
            objects
        });
    }
}

/// As in containers that all mount their project at `/src`.
#[test]
fn two_projects_at_one_path_link_together() {
    for mode in &MODES[..2] {
        let ws = sources();
        links_as_theirs(&ws, mode, |whose, parent| {
            let mut objects = Vec::new();
            for (value, name) in [(3, "one"), (4, "other")] {
                for (kind, text) in &KINDS[1..2] {
                    let folder = format!("{parent}-src");
                    let text = named(text, &format!("{kind}_{name}"), value);
                    ws.write(&format!("{folder}/{kind}.cu"), &text);
                    let (source, object) =
                        (format!("{folder}/{kind}.cu"), format!("{folder}/{kind}.o"));
                    compile(&ws, whose, mode, &source, &object);
                    objects.push(format!("{parent}-{name}/{kind}.o"));
                }
                let (from, to) = (format!("{parent}-src"), format!("{parent}-{name}"));
                fs::rename(ws.path(from), ws.path(to)).expect("the project is moved away");
            }
            objects
        });
    }
}

/// Two targets of one build that share a source.
#[test]
#[ignore = "long: scripts/test-long"]
fn one_source_for_two_outputs_links_with_itself_where_nvccs_does() {
    for mode in MODES {
        let ws = sources();
        links_as_theirs(&ws, mode, |whose, parent| {
            folders(&ws, parent, &["one", "other"]);
            let mut objects = Vec::new();
            for (kind, text) in kinds(mode, whose) {
                let source = format!("{kind}.cu");
                ws.write(&source, nameless(text));
                for target in ["one", "other"] {
                    // A target's object is called like the other's.
                    let object = format!("{parent}/{target}/{kind}.o");
                    compile(&ws, whose, mode, &source, &object);
                    objects.push(object);
                }
            }
            objects
        });
    }
}

#[test]
#[ignore = "long: scripts/test-long"]
fn one_source_for_two_outputs_is_a_hit_for_each() {
    for mode in &MODES[..2] {
        let mut ws = sources();
        folders(&ws, "out", &["one", "other"]);
        ws.write("unnamed.cu", nameless(KINDS[1].1));
        let args = |object| [mode, &["unnamed.cu", "-o", object][..]].concat();
        let first = ws.build(&args("out/one/a.o"));
        let other = ws.build(&args("out/other/a.o"));
        first.misses(1);
        other.misses(1);
        assert_ne!(
            first.outputs.bytes("out/one/a.o"),
            other.outputs.bytes("out/other/a.o")
        );
        for direct in ["1", "0"] {
            ws.set_env("PCACHE_DIRECT", direct);
            for _ in 0..2 {
                ws.build(&args("out/one/a.o")).hits(1).same_as(&first);
                ws.build(&args("out/other/a.o")).hits(1).same_as(&other);
            }
        }
        ws.unset_env("PCACHE_DIRECT");
        ws.build(&args("out/one/a.o")).hits_directly(1);
        ws.build(&args("out/other/a.o")).hits_directly(1);
        // Of what has changed in a comment, too.
        ws.edit("unnamed.cu", "namespace {", "namespace { /* more */");
        for _ in 0..2 {
            ws.build(&args("out/other/a.o"))
                .hits_directly(1)
                .same_as(&other);
            ws.build(&args("out/one/a.o"))
                .hits_directly(1)
                .same_as(&first);
        }
        ws.edit("unnamed.cu", "namespace {", "// more\nnamespace {");
        ws.build(&args("out/other/a.o")).hits(1).same_as(&other);
        ws.build(&args("out/one/a.o")).hits(1).same_as(&first);
        // A clean build gives what the cache has kept.
        ws.set_env("PCACHE_DIR", ws.fresh("another cache"));
        ws.build(&args("out/other/a.o")).misses(1).same_as(&other);
        ws.build(&args("out/one/a.o")).misses(1).same_as(&first);
    }
}

/// Where nvcc's own objects cannot be linked with themselves, an output may have any name.
#[test]
#[ignore = "long: scripts/test-long"]
fn another_output_of_a_source_with_names_for_others_is_a_hit() {
    for mode in &MODES[..2] {
        let ws = sources();
        folders(&ws, "out", &["one", "other"]);
        let text =
            KINDS.map(|(kind, text)| format!("namespace {kind} {{ {} }}\n", named(text, kind, 3)));
        ws.write("all.cu", text.concat());
        let args = |object| [*mode, &["--extended-lambda", "all.cu", "-o", object]].concat();
        let first = ws.build(&args("out/one/a.o"));
        first.misses(1);
        for object in ["out/other/a.o", "out/one/b.o"] {
            let other = ws.build(&args(object));
            other.hits(1);
            assert_eq!(
                other.outputs.bytes(object),
                first.outputs.bytes("out/one/a.o")
            );
        }
    }
    // Nor does it matter where the object holds no id.
    let ws = Workspace::with(
        "plain.cu",
        "static int one = 1; int *use() { return &one; }\n",
    );
    ws.build(&["-c", "plain.cu", "-o", "a.o"]).misses(1);
    ws.build(&["-c", "plain.cu", "-o", "b.o"]).hits(1);
    ws.write("lone.cu", "static __global__ void k(int *p) { *p = 1; }\n");
    ws.build(&["-ptx", "lone.cu", "-o", "a.ptx"]).misses(1);
    ws.build(&["-ptx", "lone.cu", "-o", "b.ptx"]).hits(1);
}

/// On 12.4 and later a stub is a name for all libraries of a process: the first one's is taken.
#[test]
fn shared_libraries_of_one_path_have_kernels_of_their_own() {
    let ws = Workspace::new();
    for (value, name) in [(3, "one"), (4, "other")] {
        let text = "namespace { __global__ void k(int *p) { *p = VALUE; } }
            extern \"C\" const void *NAME() { return (const void *)k; }\n";
        ws.write("lib.cu", named(text, name, value));
        let library = format!("lib{name}.so");
        let args = ["-shared", "-Xcompiler", "-fPIC", "lib.cu", "-o", &library];
        ws.run(ws.ours(&args)).misses(1);
    }
    ws.write(
        "main.cpp",
        "extern \"C\" const void *one(), *other();\nint main() { return one() == other(); }\n",
    );
    let mut gcc = ws.command("g++");
    gcc.args([
        "main.cpp",
        "-o",
        "program",
        "-L.",
        "-lone",
        "-lother",
        "-Wl,-rpath,$ORIGIN",
    ]);
    ws.run(gcc).succeeds();
    let ran = ws.run(ws.command(ws.path("program")));
    assert_eq!(ran.status, 0, "both launch the kernel of one");
}

/// The names that the objects define for others, which two objects of one link must not share.
fn exported(ws: &Workspace, object: &str) -> BTreeSet<String> {
    let nm = Command::new("nm")
        .args(["--defined-only", "-g"])
        .arg(ws.path(object))
        .output();
    let text = String::from_utf8(nm.expect("nm runs").stdout).expect("names");
    let strong = text.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (kind, name) = (words.nth(1)?, words.next()?);
        "TDBR".contains(kind).then(|| name.to_owned())
    });
    strong.collect()
}

#[test]
#[ignore = "long: scripts/test-long"]
fn nvccs_own_ids_in_one_step_link_as_nvccs() {
    let mut ws = sources();
    ws.set_env("PCACHE_STAGES", "0");
    for mode in &MODES[..2] {
        links_as_theirs(&ws, mode, |whose, parent| {
            folders(&ws, parent, &["one", "other", "twice"]);
            let mut objects = Vec::new();
            for (kind, text) in &KINDS[1..2] {
                let source = format!("{kind}.cu");
                for (value, name) in [(3, "one"), (4, "other")] {
                    ws.write(&source, named(text, &format!("{kind}_{name}"), value));
                    objects.push(format!("{parent}/{name}/{kind}.o"));
                    compile(&ws, whose, mode, &source, &objects[objects.len() - 1]);
                }
                ws.write(&source, nameless(text));
                for target in ["one", "twice"] {
                    objects.push(format!("{parent}/{target}/lone_{kind}.o"));
                    compile(&ws, whose, mode, &source, &objects[objects.len() - 1]);
                }
            }
            objects
        });
        let args = |object| [mode, &["unnamed.cu", "-o", object][..]].concat();
        ws.write("unnamed.cu", nameless(KINDS[1].1));
        let first = ws.build(&args("first.o"));
        first.misses(1);
        ws.build(&args("second.o")).misses(1);
        ws.build(&args("first.o")).hits_directly(1).same_as(&first);
    }
}

#[test]
fn edits_that_no_compiler_sees_rename_nothing() {
    for flags in [
        &["-c"][..],
        &["-rdc=true", "-c"],
        &["-c", "-g"],
        &["-dc", "-dlto", "-arch=sm_90"],
    ] {
        let mut ws = sources();
        ws.write("statics.cu", named(KINDS[0].1, "use", 3));
        let args = [flags, &["statics.cu", "-o", "a.o"]].concat();
        let ids = |ws: &Workspace| {
            let dir = ws.fresh("ids");
            let mut command = ws.ours(&args);
            command.arg("--keep").arg("--keep-dir").arg(&dir);
            ws.try_run(command).succeeds();
            ids_in(&dir)
        };
        let first = ids(&ws);
        assert_eq!(first.len(), 1);
        ws.edit("statics.cu", "mine++;", "mine++; /* one more */");
        assert_eq!(ids(&ws), first);
        ws.edit(
            "statics.cu",
            "static __global__",
            "// moved\n\n        static __global__",
        );
        assert_eq!(ids(&ws), first);
        ws.set_env("PCACHE_SEMANTIC", "0");
        assert_eq!(ids(&ws), first);
        ws.edit("statics.cu", "mine = 3", "mine = 4");
        assert_ne!(ids(&ws), first);
    }
}

/// The id of a whole program is one for all architectures, forms with host code, and output names.
#[test]
fn whole_programs_share_their_id() {
    let ws = sources();
    ws.write("statics.cu", named(KINDS[0].1, "use", 3));
    let object = |flags: &[&str], name: &str| {
        let args = [&["-c", "statics.cu", "-o", name], flags].concat();
        ws.run(ws.ours(&args)).succeeds();
        exported(&ws, name)
    };
    ws.write("statics.cu", named(KINDS[1].1, "use", 3));
    let one = object(&["-arch=sm_80"], "a.o");
    assert!(
        one.iter().any(|name| name.contains("_GLOBAL__N_")),
        "{one:?}"
    );
    assert_eq!(object(&["-arch=sm_90"], "a.o"), one);
    assert_eq!(
        object(
            &[
                "-gencode=arch=compute_80,code=sm_80",
                "-gencode=arch=compute_90,code=sm_90"
            ],
            "b.o"
        ),
        one
    );
}

/// Many internal names, and functions that call one another.
fn crowd(value: u32) -> String {
    let mut text =
        String::from("namespace { struct S { int a; }; template <class T> struct W { T t; }; }\n");
    let mut launches = String::new();
    for number in 0..20 {
        let before = match number {
            0 => "x".to_owned(),
            _ => format!("f{}(x)", (number * 7) % number),
        };
        text += &format!(
            "static __device__ int v{number}[{}] = {{ {number} }};
            namespace {{ __constant__ int c{number} = {number};
            __device__ __noinline__ int f{number}(int x) {{ return {before} * {number} + v{number}[0]++ + c{number}; }}
            template <class T> __global__ void t{number}(T *p) {{ static __device__ int z; *(int *)p = z++ + f{number}(sizeof(T)); }} }}
            static __global__ void k{number}(int *p) {{ *p = f{number}(*p); }}\n",
            number % 5 + 1,
        );
        launches += &format!(
            "k{number}<<<1, 1>>>(p); t{number}<<<1, 1>>>(p); t{number}<<<1, 1>>>((W<S> *)p);\n"
        );
    }
    text + &format!(
        "#ifndef __CUDA_ARCH__\nint host() {{ return {value}; }}\n#endif\nvoid use(int *p) {{ {launches} }}\n"
    )
}

/// After a host-only edit the ids are others, and what the device compilers wrote is what they would
/// write now: all internal names, in their order, in texts and cubins and in what was printed.
#[test]
#[ignore = "long: scripts/test-long"]
fn device_stages_from_the_store_are_what_the_tools_write_for_another_id() {
    let all = ["cicc", "ptxas"];
    for (flags, ran) in [
        (&["-c", "-Xptxas", "-v"][..], &[][..]),
        (&["-c", "-rdc=true"], &[]),
        (
            &[
                "-c",
                "-gencode=arch=compute_80,code=sm_80",
                "-gencode=arch=compute_90,code=[sm_90,compute_90]",
            ],
            &[],
        ),
        // These hold sums over the names, or spell them otherwise.
        (&["-c", "-lineinfo", "-rdc=true"], &all[1..]),
        (&["-c", "-G"], &all),
        (&["-dc", "-dlto", "-arch=sm_90"], &all[..1]),
    ] {
        let mut ws = Workspace::with("crowd.cu", &crowd(3));
        let args = [flags, &["crowd.cu", "-o", "a.o"]].concat();
        let keep = [&args[..], &["--keep"]].concat();
        ws.build(&keep).misses(1);
        ws.edit("crowd.cu", "return 3;", "return 4;");
        let edited = staged(&ws, || ws.build(&keep));
        edited.outcome.misses(1);
        let mut device = edited.ran();
        device.retain(|stage| all.contains(stage));
        device.sort();
        assert_eq!(device, ran, "{flags:?}");
        ws.set_env("PCACHE_DIR", ws.fresh("another cache"));
        ws.build(&keep).misses(1).same_as(&edited.outcome);
    }
}
