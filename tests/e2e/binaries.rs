//! Files that the assembler includes by `.incbin`: their contents are part of what a result depends on, and nothing
//! else that the assembler may read is taken for one of them.

use std::fs;

use crate::support::workspace::Workspace;

const ARGS: &[&str] = &["-c", "unit.cu", "-I.", "-o", "unit.o"];

/// A unit whose object holds the file called `name`.
fn unit(name: &str) -> String {
    format!(
        "asm(\".section .rodata\\nblob: .incbin \\\"{name}\\\"\\n.text\\n\");\n\
         __global__ void k(int *p) {{ *p = 1; }}\nint host() {{ return 1; }}\n"
    )
}

fn with_blob(name: &str) -> Workspace {
    let ws = Workspace::with("unit.cu", &unit(name));
    ws.write(name, "first blob");
    ws
}

#[test]
fn a_unit_with_a_binary_is_a_direct_hit_until_the_binary_changes() {
    for name in ["blob.bin", "./assets/blob.bin"] {
        let ws = with_blob(name);
        let first = ws.build(ARGS);
        first.misses(1).same_as(&ws.kept(ARGS));
        ws.build(ARGS).hits_directly(1).same_as(&first);

        ws.write(name, "other blob");
        let changed = ws.build(ARGS);
        let theirs = ws.kept(ARGS);
        changed.misses(1).same_as(&theirs).differs_from(&first);
        ws.build(ARGS).hits_directly(1).same_as(&theirs);

        ws.write(name, "first blob");
        ws.build(ARGS).hits_directly(1).same_as(&first);

        ws.remove(name);
        let (gone, theirs) = (ws.build(ARGS), ws.plain(ARGS));
        assert_ne!(theirs.status, 0, "{name}");
        assert_eq!(gone.status, theirs.status, "{name}");
        assert!(gone.err().contains(name), "{name}: {}", gone.err());
    }
}

#[test]
fn a_unit_with_a_binary_is_found_by_its_key() {
    for args in [ARGS, &[ARGS, &["--keep"]].concat()] {
        let mut ws = with_blob("blob.bin");
        ws.set_env("PCACHE_DIRECT", "0");
        let first = ws.build(args);
        first.misses(1);
        ws.build(args).hits(1).same_as(&first);
        ws.write("blob.bin", "other blob");
        let changed = ws.build(args);
        changed.misses(1).differs_from(&first);
        ws.build(args).hits(1).same_as(&changed);
        ws.write("blob.bin", "first blob");
        ws.build(args).hits(1).same_as(&first);
        // A hit leaves what direct mode needs, the binary included.
        ws.unset_env("PCACHE_DIRECT");
        ws.build(args).hits(1).same_as(&first);
        ws.build(args).hits_directly(1).same_as(&first);
        ws.write("blob.bin", "third blob");
        let third = ws.build(args);
        third.misses(1).differs_from(&first).differs_from(&changed);
    }
}

#[test]
fn a_linked_unit_with_a_binary_is_remembered() {
    let args = ["-shared", "unit.cu", "-Xcompiler", "-fPIC", "-o", "unit.so"];
    let ws = with_blob("blob.bin");
    for (blob, is_new) in [
        ("first blob", true),
        ("first blob", false),
        ("other blob", true),
        ("first blob", false),
        ("other blob", false),
    ] {
        ws.write("blob.bin", blob);
        let built = ws.build(&args);
        if is_new {
            built.misses(1);
        } else {
            built.hits_directly(1);
        }
        let library = built.outputs.bytes("unit.so");
        let mut texts = library.windows(blob.len());
        assert!(texts.any(|bytes| bytes == blob.as_bytes()), "{blob}");
    }
}

#[test]
fn checkouts_have_their_own_binaries() {
    let mut ws = Workspace::new();
    for (place, blob) in [("one", "first blob"), ("other/checkout", "other blob")] {
        fs::create_dir_all(ws.path(place).join(".git")).expect("a checkout");
        ws.write(&format!("{place}/unit.cu"), unit("blob.bin"));
        ws.write(&format!("{place}/blob.bin"), blob);
    }
    for _ in 0..2 {
        for place in ["one", "other/checkout"] {
            ws.cd(place);
            ws.build(ARGS).succeeds().same_as(&ws.kept(ARGS));
            ws.build(ARGS).hits_directly(1).same_as(&ws.kept(ARGS));
        }
    }
    ws.write("blob.bin", "first blob");
    ws.build(ARGS).hits_directly(1).same_as(&ws.kept(ARGS));
}

#[test]
fn an_edit_of_a_comment_in_an_included_source_counts() {
    let ws = Workspace::with("unit.cu", &format!("// before\n{}", unit("unit.cu")));
    let first = ws.build(ARGS);
    first.misses(1).same_as(&ws.kept(ARGS));
    ws.build(ARGS).hits_directly(1);
    ws.edit("unit.cu", "before", "after!");
    let changed = ws.build(ARGS);
    changed.same_as(&ws.kept(ARGS)).differs_from(&first);
}

#[test]
fn what_the_assembler_may_find_elsewhere_is_not_stored() {
    // A file in the working directory would be taken instead of the one along -I.
    let ws = Workspace::with("unit.cu", &unit("blob.bin"));
    ws.write("assets/blob.bin", "first blob");
    let args = [ARGS, &["-Iassets"]].concat();
    let first = ws.build(&args);
    first.succeeds().same_as(&ws.kept(&args));
    ws.write("blob.bin", "other blob");
    let changed = ws.build(&args);
    changed.same_as(&ws.kept(&args)).differs_from(&first);

    // `.include` looks for an absolute path below the working directory first.
    let ws = Workspace::new();
    let path = ws.write("code.s", ".section .rodata\n.ascii \"first blob\"\n.text\n");
    let path = path.to_str().expect("UTF-8");
    ws.write("unit.cu", unit(path).replace(".incbin", ".include"));
    let first = ws.build(ARGS);
    first.succeeds();
    ws.write(
        &format!("./{path}"),
        ".section .rodata\n.ascii \"other blob\"\n.text\n",
    );
    let changed = ws.build(ARGS);
    changed.succeeds().differs_from(&first);
}

#[test]
fn a_binary_with_an_odd_name_counts_too() {
    for name in ["a b", "a$b", "a#b", "a\\\\#b"] {
        let ws = Workspace::with("unit.cu", &unit(&name.replace('\\', "\\\\")));
        let name = name.replace("\\\\", "\\");
        ws.write(&name, "first blob");
        ws.write("a#b", "first blob");
        let first = ws.build(ARGS);
        first.succeeds();
        ws.write(&name, "other blob");
        ws.build(ARGS).succeeds().differs_from(&first);
    }
}
