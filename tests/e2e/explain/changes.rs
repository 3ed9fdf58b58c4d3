//! Single changes of sources, headers, flags, variables and tools.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use insta::assert_snapshot;

use super::{
    ARGS, TWO, UNIT, change, change_to, explained, two_folders, unit, without_digests,
    without_former,
};
use crate::support::toolkit::Toolkit;
use crate::support::workspace::{Workspace, make_executable};
use crate::traps_environment::{driver, toolkit_of_links};

#[test]
fn an_edit_of_the_source_is_named() {
    let edit = |ws: &mut Workspace| ws.edit("unit.cu", "return 1", "return 2");
    assert_snapshot!(change(&mut unit(), ARGS, edit), @"
    miss: unit.cu → unit.o
        source unit.cu: 76e80c0f987b → 687c65398a84
    ");
}

#[test]
fn an_edited_header_is_named_with_the_way_to_it() {
    let mut ws = unit();
    ws.write("value.h", "#include \"deep.h\"\n");
    ws.write("deep.h", "#define VALUE 1\n");
    assert_snapshot!(change(&mut ws, ARGS, |ws| ws.edit("deep.h", "1", "2")), @"
    miss: unit.cu → unit.o
        header deep.h: ac32a92f4af3 → 69973c572daa (included by value.h, by unit.cu)
    ");
}

#[test]
fn a_header_that_keeps_size_and_time_is_named() {
    let mut ws = unit();
    let old = SystemTime::now() - Duration::from_secs(86_400);
    let set = |ws: &Workspace| {
        let file = File::options().write(true).open(ws.path("value.h"));
        file.expect("the header")
            .set_modified(old)
            .expect("set its time");
    };
    set(&ws);
    let edit = |ws: &mut Workspace| {
        ws.edit("value.h", "1", "2");
        set(ws);
    };
    assert_snapshot!(change(&mut ws, ARGS, edit), @"
    miss: unit.cu → unit.o
        header value.h: ac32a92f4af3 → 69973c572daa (included by unit.cu)
    ");
}

#[test]
fn two_changes_are_both_named() {
    let mut ws = unit();
    let after = [ARGS, &["-DX=1"]].concat();
    let edit = |ws: &mut Workspace| {
        ws.edit("value.h", "1", "2");
        ws.set_env("CPLUS_INCLUDE_PATH", "nowhere");
    };
    assert_snapshot!(change_to(&mut ws, ARGS, &after, edit), @"
    miss: unit.cu → unit.o
        flag --define-macro: none → -DX=1
        environment variable CPLUS_INCLUDE_PATH: none → nowhere
        header value.h: ac32a92f4af3 → 69973c572daa (included by unit.cu)
    ");
}

#[test]
#[ignore = "long: scripts/test-long"]
fn flags_are_named_with_their_values() {
    let with = |flags: &[&'static str]| [ARGS, flags].concat();
    let told = |before: &[&'static str], after: &[&'static str]| {
        change_to(&mut unit(), &with(before), &with(after), |_| {})
    };
    assert_snapshot!(told(&["-DX=1"], &["-DX=2"]), @"
    miss: unit.cu → unit.o
        flag --define-macro: -DX=1 → -DX=2
    ");
    assert_snapshot!(told(&[], &["-O1"]), @"
    miss: unit.cu → unit.o
        flag --optimize: none → 1
    ");
    assert_snapshot!(told(&["-Xcompiler", "-fPIC"], &[]), @"
    miss: unit.cu → unit.o
        flag --compiler-options: -fPIC → none
    ");
    // The preprocessor consumes these, and its text is equal.
    let swapped = told(&["-Ia", "-Ib"], &["-Ib", "-Ia"]);
    assert_snapshot!(swapped.split("of 2").next().unwrap_or_default(), @"
    preprocessed hit: unit.cu → unit.o
        flag --include-path: a b → b a (in another order)
      the result is that of the compile
    ");
    assert_snapshot!(told(&[], &["-lineinfo"]), @"
    miss: unit.cu → unit.o
        flag --generate-line-info: none → set
    ");
    assert_snapshot!(
        told(
            &["-gencode=arch=compute_80,code=compute_80"],
            &["-gencode=arch=compute_90,code=compute_90"],
        ),
        @"
        miss: unit.cu → unit.o
            flag --generate-code: arch=compute_80,code=[compute_80] → arch=compute_90,code=[compute_90]
        "
    );
}

#[test]
fn the_same_flags_in_other_words_differ_in_nothing() {
    let mut ws = unit();
    ws.build(&[ARGS, &["-D", "X=1", "-arch", "sm_80"]].concat())
        .misses(1);
    ws.build(&[ARGS, &["--gpu-architecture=sm_80", "-DX=1"]].concat())
        .hits(1);
    assert_snapshot!(explained(&ws).split("of 2").next().unwrap_or_default(), @"
    direct hit: unit.cu → unit.o
      the result is that of the compile
    ");
    ws.set_env("PCACHE_RECACHE", "1");
    ws.build(&[ARGS, &["-DX=1", "-arch=sm_80"]].concat())
        .misses(1);
    assert_snapshot!(explained(&ws), @"
    miss: unit.cu → unit.o
      PCACHE_RECACHE was set, so that nothing was looked up
    ");
}

#[test]
fn flags_of_the_environment_are_named_with_their_variable() {
    let set =
        |name: &'static str, value: &'static str| move |ws: &mut Workspace| ws.set_env(name, value);
    assert_snapshot!(change(&mut unit(), ARGS, set("NVCC_PREPEND_FLAGS", "-DX=2")), @"
    miss: unit.cu → unit.o
        flag --define-macro: none → -DX=2 (from NVCC_PREPEND_FLAGS)
    ");
    let mut ws = unit();
    ws.set_env("NVCC_APPEND_FLAGS", "-arch=sm_80");
    let args = ["-ptx", "unit.cu", "-o", "unit.ptx"];
    assert_snapshot!(change(&mut ws, &args, set("NVCC_APPEND_FLAGS", "-arch=sm_90")), @"
    miss: unit.cu → unit.ptx
        flag --gpu-architecture: sm_80 → sm_90 (from NVCC_APPEND_FLAGS)
    ");
}

#[test]
fn an_edited_option_file_is_named_by_its_flags() {
    let mut ws = unit();
    ws.write("flags.rsp", "-DX=1\n");
    let args = [ARGS, &["-optf=flags.rsp"]].concat();
    assert_snapshot!(change(&mut ws, &args, |ws| ws.edit("flags.rsp", "=1", "=2")), @"
    miss: unit.cu → unit.o
        flag --define-macro: -DX=1 → -DX=2
    ");
}

#[test]
fn variables_that_tools_read_are_named() {
    // What a silent compile gives does not depend on the language.
    let mut ws = unit();
    ws.edit("unit.cu", "__global__", "#warning told\n__global__");
    let set = |ws: &mut Workspace| ws.set_env("LC_ALL", "C.UTF-8");
    assert_snapshot!(change(&mut ws, ARGS, set), @"
    miss: unit.cu → unit.o
        environment variable LC_ALL: C → C.UTF-8
    ");
    let mut ws = unit();
    let set = |ws: &mut Workspace| ws.set_env("PTXAS_FLAGS", "-O1");
    assert_snapshot!(change(&mut ws, ARGS, set), @"
    miss: unit.cu → unit.o
        environment variable PTXAS_FLAGS: none → -O1
    ");
}

#[test]
#[ignore = "long: scripts/test-long"]
fn a_header_that_appears_earlier_is_named() {
    let put = |ws: &mut Workspace| drop(ws.write("first/value.h", "#define VALUE 2\n"));
    assert_snapshot!(change(&mut two_folders(), TWO, put), @"
    miss: unit.cu → unit.o
        appeared: first/value.h (in the place of second/value.h; included by unit.cu)
    ");
    let mut ws = two_folders();
    fs::remove_dir_all(ws.path("first")).expect("removed");
    assert_snapshot!(change(&mut ws, TWO, put), @"
    miss: unit.cu → unit.o
        appeared: first/value.h (in the place of second/value.h; included by unit.cu)
    ");
    let mut ws = two_folders();
    ws.edit("unit.cu", "<value.h>", "\"value.h\"");
    let beside = |ws: &mut Workspace| drop(ws.write("value.h", "#define VALUE 2\n"));
    assert_snapshot!(change(&mut ws, TWO, beside), @"
    miss: unit.cu → unit.o
        appeared: value.h (in the place of second/value.h; included by unit.cu)
    ");
    let mut ws = two_folders();
    ws.set_env("CPATH", "first:second");
    assert_snapshot!(change(&mut ws, ARGS, put), @"
    miss: unit.cu → unit.o
        appeared: first/value.h (in the place of second/value.h; included by unit.cu)
    ");
}

#[test]
fn a_header_that_goes_is_named() {
    let mut ws = two_folders();
    ws.write("first/value.h", "#define VALUE 2\n");
    assert_snapshot!(change(&mut ws, TWO, |ws| ws.remove("first/value.h")), @"
    miss: unit.cu → unit.o
        gone: first/value.h
    ");
}

#[test]
fn another_answer_of_has_include_is_named() {
    let asks = "#if __has_include(<extra.h>)\n#define VALUE 2\n#else\n#define VALUE 1\n#endif\n";
    let mut ws = two_folders();
    ws.write("second/value.h", asks);
    let put = |ws: &mut Workspace| drop(ws.write("first/extra.h", ""));
    assert_snapshot!(change(&mut ws, TWO, put), @"
    miss: unit.cu → unit.o
        appeared: first/extra.h (a question whether it is there (__has_include))
    ");
    ws.remove("first/extra.h");
    ws.edit("unit.cu", "return 1", "return 7");
    put(&mut ws);
    assert_snapshot!(change(&mut ws, TWO, |ws| ws.remove("first/extra.h")), @"
    miss: unit.cu → unit.o
        gone: first/extra.h
    ");
}

#[test]
fn links_that_lead_elsewhere_are_named() {
    let mut ws = unit();
    ws.write("v1/real.cu", UNIT);
    ws.write("v2/real.cu", UNIT.replace("return 1", "return 2"));
    let lead = |ws: &mut Workspace, to: &str, name: &str| {
        let _ = fs::remove_file(ws.path(name));
        symlink(to, ws.path(name)).expect("a link");
    };
    lead(&mut ws, "v1/real.cu", "unit.cu");
    assert_snapshot!(change(&mut ws, ARGS, |ws| lead(ws, "v2/real.cu", "unit.cu")), @"
    miss: unit.cu → unit.o
        leads elsewhere: unit.cu: $ROOT/work/v1/real.cu → $ROOT/work/v2/real.cu
    ");
    let mut ws = two_folders();
    ws.write("third/value.h", "#define VALUE 3\n");
    lead(&mut ws, "second", "current");
    let args = [ARGS, &["-Icurrent"]].concat();
    assert_snapshot!(change(&mut ws, &args, |ws| lead(ws, "third", "current")), @"
    miss: unit.cu → unit.o
        leads elsewhere: current: $ROOT/work/second → $ROOT/work/third
    ");
}

#[test]
fn another_working_directory_is_named() {
    let mut ws = Workspace::new();
    let source = ws.write("unit.cu", UNIT);
    for (dir, value) in [("one", 1), ("two", 2)] {
        ws.write(
            &format!("{dir}/inc/value.h"),
            format!("#define VALUE {value}\n"),
        );
    }
    ws.cd("one");
    let args = [
        "-c",
        source.to_str().expect("UTF-8"),
        "-Iinc",
        "-o",
        "unit.o",
    ];
    assert_snapshot!(change(&mut ws, &args, |ws| ws.cd("two")), @"
    miss: $ROOT/work/unit.cu → unit.o
        directory: $ROOT/work/one → $ROOT/work/two
    ");
}

#[test]
fn another_output_is_named_where_it_counts() {
    let after = ["-c", "unit.cu", "-o", "other.o"];
    assert_snapshot!(without_former(&change_to(&mut unit(), ARGS, &after, |_| {})), @"
    preprocessed hit: unit.cu → other.o
        output: --output-file: unit.o → other.o
    ");
    let after = [ARGS, &["-MD"]].concat();
    assert_snapshot!(without_former(&change_to(&mut unit(), ARGS, &after, |_| {})), @"
    preprocessed hit: unit.cu → unit.o
        output: --generate-dependencies-with-compile: none → set
    ");
}

#[test]
fn tools_are_named() {
    let mut ws = unit();
    let script = ws.script("my-g++", "#!/bin/sh\nexec g++ -DX=1 \"$@\"\n");
    let ccbin = format!("-ccbin={}", script.display());
    let args = [ARGS, &[&ccbin]].concat();
    assert_snapshot!(change(&mut ws, &args, |ws| ws.edit("my-g++", "X=1", "X=2")), @"
    miss: unit.cu → unit.o
        tool host: $ROOT/work/my-g++ (d6fabd38e502) → $ROOT/work/my-g++ (960378fe2f91)
    ");

    let mut ws = unit();
    let bin = toolkit_of_links(&ws).join("bin");
    ws.use_nvcc(bin.join("nvcc"));
    let replace = |_: &mut Workspace| {
        let real = Toolkit::get().bin().join("ptxas");
        fs::remove_file(bin.join("ptxas")).expect("removed");
        let script = format!("#!/bin/sh\nexec {} -O0 \"$@\"\n", real.display());
        fs::write(bin.join("ptxas"), script).expect("a script");
        make_executable(&bin.join("ptxas"));
    };
    assert_snapshot!(without_digests(&change(&mut ws, ARGS, replace)), @"
    miss: unit.cu → unit.o
        tool ptxas
    ");

    let mut ws = unit();
    let profile = toolkit_of_links(&ws).join("bin/nvcc.profile");
    ws.use_nvcc(profile.with_file_name("nvcc"));
    let edit = |_: &mut Workspace| {
        let text = fs::read_to_string(&profile).expect("the profile");
        fs::write(&profile, text + "\nINCLUDES += -DX=2 $(_SPACE_)\n").expect("edited");
    };
    assert_snapshot!(without_digests(&change(&mut ws, ARGS, edit)), @"
    miss: unit.cu → unit.o
        tool nvcc.profile
    ");
}

#[test]
fn another_host_compiler_first_in_path_is_named() {
    let mut ws = unit();
    let bin = ws.side("bin");
    let put = |ws: &mut Workspace| {
        for name in ["g++", "gcc"] {
            let text = format!("#!/bin/sh\nexec /usr/bin/{name} -DX=7 \"$@\"\n");
            fs::write(bin.join(name), text).expect("a script");
            make_executable(&bin.join(name));
        }
        ws.set_path(&[&bin, &Toolkit::get().bin()]);
    };
    assert_snapshot!(without_digests(&change(&mut ws, ARGS, put)), @"
    miss: unit.cu → unit.o
        tool host
    ");
}

#[test]
fn the_driver_is_named() {
    let mut ws = unit();
    let (old, new) = (driver(&ws, "999.1"), driver(&ws, "999.2"));
    ws.set_env("LD_LIBRARY_PATH", old);
    assert_snapshot!(change(&mut ws, ARGS, |ws| ws.set_env("LD_LIBRARY_PATH", &new)), @"
    miss: unit.cu → unit.o
        driver: 999.1 → 999.2
    ");
}
