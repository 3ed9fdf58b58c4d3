//! Change one thing in the sources or in what they read, build again, compare with nvcc.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use crate::support::poll;
use crate::support::trap::rebuild_and_compare;
use crate::support::workspace::Workspace;

const ARGS: &[&str] = &["-c", "unit.cu", "-o", "unit.o"];
const EXTERNAL: &str = "#include \"value.h\"\n__global__ void external(int *p) { *p = VALUE; }\n\
    int host_value() { return VALUE; }\n";

/// A unit and the header that it includes from its own folder.
fn unit() -> Workspace {
    let ws = Workspace::with("unit.cu", EXTERNAL);
    ws.write("value.h", "#define VALUE 1\n");
    ws
}

#[test]
fn host_only_edit_is_a_miss() {
    let text = "#ifndef __CUDA_ARCH__\nint host() { return 1; }\n#endif\n__global__ void k() {}\n";
    let mut ws = Workspace::with("unit.cu", text);
    let rebuilt = rebuild_and_compare(&mut ws, ARGS, |ws| {
        ws.edit("unit.cu", "return 1", "return 2")
    });
    rebuilt.changed.misses(1);
}

#[test]
fn device_only_edit_is_a_miss() {
    let text = "__global__ void k(int *p) {\n#ifdef __CUDA_ARCH__\n  *p = 1;\n#endif\n}\n";
    let mut ws = Workspace::with("unit.cu", text);
    let rebuilt = rebuild_and_compare(&mut ws, ARGS, |ws| ws.edit("unit.cu", "*p = 1", "*p = 2"));
    rebuilt.changed.misses(1);
}

#[test]
fn an_edit_for_the_second_arch_alone_is_a_miss() {
    let text = "__global__ void k(int *p) {\n#if __CUDA_ARCH__ == 800\n  *p = 1;\n#endif\n}\n";
    let mut ws = Workspace::with("unit.cu", text);
    let archs = [
        "-gencode=arch=compute_75,code=sm_75",
        "-gencode=arch=compute_80,code=sm_80",
    ];
    let args = [ARGS, &archs].concat();
    rebuild_and_compare(&mut ws, &args, |ws| ws.edit("unit.cu", "*p = 1", "*p = 2"));
}

#[test]
fn header_edit_is_a_miss() {
    let mut ws = unit();
    let rebuilt = rebuild_and_compare(&mut ws, ARGS, |ws| ws.edit("value.h", "1", "2"));
    rebuilt.changed.misses(1);
}

#[test]
fn header_edit_that_keeps_size_and_time_is_a_miss() {
    let mut ws = unit();
    // Old, as in a checkout: nothing about it is too young to be trusted.
    let old = SystemTime::now() - Duration::from_secs(86_400);
    let set = |ws: &Workspace| {
        let file = File::options()
            .write(true)
            .open(ws.path("value.h"))
            .expect("the header");
        file.set_modified(old).expect("set its time");
    };
    set(&ws);
    rebuild_and_compare(&mut ws, ARGS, |ws| {
        ws.edit("value.h", "1", "2");
        set(ws);
    });
}

#[test]
fn header_replaced_by_rename_is_a_miss() {
    let mut ws = unit();
    rebuild_and_compare(&mut ws, ARGS, |ws| {
        ws.write("value.new", "#define VALUE 2\n");
        fs::rename(ws.path("value.new"), ws.path("value.h")).expect("rename");
    });
}

#[test]
fn an_edit_and_its_undoing_end_in_a_hit() {
    let mut ws = unit();
    let rebuilt = rebuild_and_compare(&mut ws, ARGS, |ws| ws.edit("value.h", "1", "2"));
    ws.edit("value.h", "2", "1");
    ws.build(ARGS).hits(1).same_as(&rebuilt.first);
    ws.edit("value.h", "1", "2");
    ws.build(ARGS).hits(1).same_as(&rebuilt.changed);
}

#[test]
fn editing_one_source_leaves_the_other_cached() {
    let ws = unit();
    ws.write("other.cu", "__global__ void other(int *p) { *p = 1; }\n");
    let args = ["-c", "unit.cu", "other.cu"];
    ws.build(&args).misses(2);
    ws.edit("other.cu", "= 1", "= 2");
    let changed = ws.build(&args);
    changed.succeeds().same_as(&ws.kept(&args));
    assert_eq!(
        (changed.counted.hits, changed.counted.misses),
        (1, 1),
        "{:?}",
        changed.counted
    );
}

#[test]
fn forced_include_edit_is_a_miss() {
    let mut ws = Workspace::with("unit.cu", "__global__ void k(int *p) { *p = VALUE; }\n");
    ws.write("forced.h", "#define VALUE 1\n");
    let args = [ARGS, &["-include", "forced.h"]].concat();
    rebuild_and_compare(&mut ws, &args, |ws| ws.edit("forced.h", "1", "2"));
}

#[test]
fn header_named_by_a_macro_is_watched() {
    let mut ws = Workspace::with("unit.cu", &EXTERNAL.replace("\"value.h\"", "HEADER"));
    ws.write("value.h", "#define VALUE 1\n");
    let args = [ARGS, &["-DHEADER=\"value.h\""]].concat();
    rebuild_and_compare(&mut ws, &args, |ws| ws.edit("value.h", "1", "2"));
}

#[test]
fn binary_included_by_the_assembler_is_watched() {
    let text = "asm(\".section .rodata\\n.incbin \\\"blob.bin\\\"\\n.text\\n\");\n\
        __global__ void k(int *p) { *p = 1; }\n";
    let ws = Workspace::with("unit.cu", text);
    ws.write("blob.bin", "first blob");
    let first = ws.build(ARGS);
    first.succeeds().same_as(&ws.kept(ARGS));
    ws.write("blob.bin", "other blob");
    ws.build(ARGS)
        .succeeds()
        .same_as(&ws.kept(ARGS))
        .differs_from(&first);
}

#[test]
fn binary_included_by_a_header_is_watched() {
    let ws = unit();
    let header = "#define VALUE 1\n#define BLOB \".incbin\"\n\
        asm(\".section .rodata\\n\" BLOB \" \\\"blob.bin\\\"\\n.text\\n\");\n";
    ws.write("value.h", header);
    ws.write("blob.bin", "first blob");
    let first = ws.build(ARGS);
    first.succeeds().same_as(&ws.kept(ARGS));
    ws.write("blob.bin", "other blob");
    ws.build(ARGS)
        .succeeds()
        .same_as(&ws.kept(ARGS))
        .differs_from(&first);
}

#[test]
fn the_time_of_day_is_not_cached() {
    for name in ["__TIME__", "__DATE__ \" \" __TIME__"] {
        let ws = Workspace::with(
            "unit.cu",
            &format!("const char *when() {{ return {name}; }}\n"),
        );
        let first = ws.build(ARGS);
        first.succeeds();
        poll::until("another __TIME__ in the object", || {
            (ws.build(ARGS).succeeds().outputs != first.outputs).then_some(())
        });
    }
}

#[test]
fn the_time_of_day_under_a_pasted_name_is_not_cached() {
    let text = "#define PASTE(a, b) a##b\nconst char *when() { return PASTE(__TI, ME__); }\n";
    let ws = Workspace::with("unit.cu", text);
    let first = ws.build(ARGS);
    first.succeeds();
    poll::until("another __TIME__ in the object", || {
        (ws.build(ARGS).succeeds().outputs != first.outputs).then_some(())
    });
}

#[test]
fn the_time_of_day_in_device_code_is_not_cached() {
    let text = "__device__ const char when[] = __TIME__;\n";
    let ws = Workspace::with("unit.cu", text);
    let args = ["-ptx", "unit.cu"];
    let first = ws.build(&args);
    first.succeeds();
    poll::until("another __TIME__ in the PTX", || {
        (ws.build(&args).succeeds().outputs != first.outputs).then_some(())
    });
}

#[test]
fn the_source_date_epoch_is_respected() {
    let text = "const char *when() { return __DATE__ __TIME__; }\n";
    let mut ws = Workspace::with("unit.cu", text);
    ws.set_env("SOURCE_DATE_EPOCH", "100000000");
    let first = ws.build(ARGS);
    first.succeeds().same_as(&ws.kept(ARGS));
    ws.set_env("SOURCE_DATE_EPOCH", "200000000");
    ws.build(ARGS)
        .succeeds()
        .same_as(&ws.kept(ARGS))
        .differs_from(&first);
}

#[test]
fn the_time_stamp_of_the_source_is_watched() {
    let ws = Workspace::with("unit.cu", "const char *when() { return __TIMESTAMP__; }\n");
    let touch = |days: u64| {
        let file = File::options()
            .write(true)
            .open(ws.path("unit.cu"))
            .expect("the source");
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(days * 86_400);
        file.set_modified(time).expect("set its time");
    };
    touch(10_000);
    let first = ws.build(ARGS);
    first.succeeds().same_as(&ws.kept(ARGS));
    touch(11_000);
    ws.build(ARGS)
        .succeeds()
        .same_as(&ws.kept(ARGS))
        .differs_from(&first);
}

#[test]
#[ignore = "long: scripts/test-long"]
fn file_name_of_another_source_with_the_same_text_is_its_own() {
    let text = "const char *name() { return __FILE__; }\n__global__ void k() {}\n";
    let mut ws = Workspace::new();
    for path in ["one/unit.cu", "two/unit.cu", "one/other.cu"] {
        ws.write(path, text);
        let args = ["-c", path, "-o", "unit.o"];
        ws.build(&args).misses(1).same_as(&ws.kept(&args));
        ws.build(&args).hits(1).same_as(&ws.kept(&args));
    }
    // From inside the folders the name is the same, and so is the object.
    for dir in ["one", "two"] {
        ws.cd(dir);
        ws.build(ARGS).succeeds().same_as(&ws.kept(ARGS));
    }
}

#[test]
fn line_info_of_the_same_text_elsewhere_is_its_own() {
    let text = "__global__ void k(int *p) { *p = 1; }\n";
    let mut ws = Workspace::new();
    let args = ["-ptx", "-lineinfo", "unit.cu"];
    for dir in ["one", "two"] {
        ws.write(&format!("{dir}/unit.cu"), text);
        ws.cd(dir);
        ws.build(&args).misses(1).same_as(&ws.kept(&args));
        ws.build(&args).hits(1).same_as(&ws.kept(&args));
    }
}

#[test]
fn source_behind_a_retargeted_symlink_is_a_miss() {
    let mut ws = Workspace::with("v1/real.cu", &EXTERNAL.replace("VALUE; }", "1; }"));
    ws.write("v2/real.cu", EXTERNAL.replace("VALUE; }", "2; }"));
    ws.write("value.h", "#define VALUE 1\n");
    symlink("v1/real.cu", ws.path("unit.cu")).expect("a link");
    rebuild_and_compare(&mut ws, ARGS, |ws| {
        ws.remove("unit.cu");
        symlink("v2/real.cu", ws.path("unit.cu")).expect("a link");
    });
}

#[test]
fn source_behind_a_symlink_finds_headers_beside_the_link() {
    let mut ws = Workspace::with("real/real.cu", EXTERNAL);
    ws.write("real/value.h", "#define VALUE 3\n");
    ws.write("value.h", "#define VALUE 1\n");
    symlink("real/real.cu", ws.path("unit.cu")).expect("a link");
    rebuild_and_compare(&mut ws, ARGS, |ws| ws.edit("value.h", "1", "2"));
    let args = ["-c", "real/real.cu", "-o", "unit.o"];
    ws.build(&args).misses(1).same_as(&ws.kept(&args));
}

#[test]
fn two_symlinks_to_one_source_are_two_sources() {
    let ws = Workspace::with("real.cu", "const char *name() { return __FILE__; }\n");
    for link in ["one.cu", "two.cu"] {
        symlink("real.cu", ws.path(link)).expect("a link");
        let args = ["-c", link, "-o", "unit.o"];
        ws.build(&args).misses(1).same_as(&ws.kept(&args));
    }
}

#[test]
fn folder_behind_a_retargeted_symlink_is_a_miss() {
    let mut ws = Workspace::with("unit.cu", EXTERNAL);
    ws.write("v1/value.h", "#define VALUE 1\n");
    ws.write("v2/value.h", "#define VALUE 2\n");
    symlink("v1", ws.path("current")).expect("a link");
    let args = [ARGS, &["-Icurrent"]].concat();
    rebuild_and_compare(&mut ws, &args, |ws| {
        ws.remove("current");
        symlink("v2", ws.path("current")).expect("a link");
    });
}

#[test]
fn a_define_that_changes_is_a_miss() {
    let mut ws = Workspace::with("unit.cu", "__global__ void k(int *p) { *p = VALUE; }\n");
    for (value, repeated) in [
        ("1", "--define-macro=VALUE=1"),
        ("2", "--define-macro=VALUE=2"),
    ] {
        let define = format!("-DVALUE={value}");
        let args = [ARGS, &[&define]].concat();
        let first = ws.build(&args);
        first.misses(1).same_as(&ws.kept(&args));
        ws.build(&[ARGS, &[repeated]].concat())
            .hits(1)
            .same_as(&first);
    }
    ws.set_env("UNRELATED", "1");
    ws.build(&[ARGS, &["-D", "VALUE=1"]].concat()).hits(1);
}

#[test]
fn a_comment_copied_into_ptx_is_watched() {
    let text = "__global__ void k(int *p) {\n  *p = 1; // before\n}\n";
    let mut ws = Workspace::with("unit.cu", text);
    let args = [
        "-ptx",
        "--source-in-ptx",
        "-lineinfo",
        "unit.cu",
        "-o",
        "unit.ptx",
    ];
    rebuild_and_compare(&mut ws, &args, |ws| ws.edit("unit.cu", "before", "after"));
}

#[test]
fn a_comment_quoted_by_a_warning_is_watched() {
    let text =
        "#ifndef __CUDA_ARCH__\n#warning /* before */ look here\n#endif\n__global__ void k() {}\n";
    let mut ws = Workspace::with("unit.cu", text);
    rebuild_and_compare(&mut ws, ARGS, |ws| ws.edit("unit.cu", "before", "after"));
}

#[test]
fn a_host_source_that_embeds_itself_is_not_cached() {
    let text = "// before\nasm(\".section .rodata\\n.incbin \\\"unit.cpp\\\"\\n.text\\n\");\n\
        int host() { return 1; }\n";
    let ws = Workspace::with("unit.cpp", text);
    let args = ["-c", "unit.cpp", "-o", "unit.o"];
    let first = ws.build(&args);
    first.succeeds();
    ws.edit("unit.cpp", "before", "after!");
    let changed = ws.build(&args);
    changed.same_as(&ws.kept(&args)).differs_from(&first);
}
