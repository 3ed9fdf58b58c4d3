//! Several names of one file, and one name of several files: NVRTC skips what it has read under another name, takes
//! headers for those that were passed in memory, and compares directories. Each test walks through states of the disk.

use super::bench::{Bench, Case, Ended, settle};
use super::{PLAIN, alone, expect};
use std::fs;
use std::os::unix::fs::symlink;

/// The value tells whether the second header was read, and which it was.
const GUARDED: &str = "#ifndef V\n#define V\n#ifdef VALUE\n#undef VALUE\n#define VALUE 9\n#else\n#define VALUE @\n#endif\n#endif\n";
const ONCE: &str =
    "#pragma once\n#ifdef VALUE\n#undef VALUE\n#define VALUE 9@\n#else\n#define VALUE @\n#endif\n";

/// What `b/v.h` is to `a/v.h`.
#[derive(Clone, Copy, Debug)]
enum Second {
    Link,
    Hard,
    Directory,
    Copy,
    Other,
    OtherLink,
}

/// Every one comes after several others.
const WALK: [Second; 10] = {
    use Second::{Copy, Directory, Hard, Link, Other, OtherLink};
    [
        Link, Copy, Hard, Other, Directory, Copy, Link, OtherLink, Hard, Copy,
    ]
};

/// Makes a file, or what stands in its place, anew.
fn put(bench: &Bench, text: &str, second: Second) {
    let (a, b) = (bench.path("a/v.h"), bench.path("b/v.h"));
    let b_directory = bench.path("b");
    match fs::symlink_metadata(&b_directory) {
        Ok(found) if found.is_symlink() => fs::remove_file(&b_directory).unwrap(),
        Ok(_) => fs::remove_dir_all(&b_directory).unwrap(),
        Err(_) => {}
    }
    if let Second::Directory = second {
        symlink("a", &b_directory).unwrap();
    } else {
        fs::create_dir(&b_directory).unwrap();
    }
    match second {
        Second::Link => symlink("../a/v.h", &b).unwrap(),
        Second::Hard => fs::hard_link(&a, &b).unwrap(),
        Second::Directory => {}
        Second::Copy => drop(fs::copy(&a, &b).unwrap()),
        Second::Other => fs::write(&b, text.replace('@', "2")).unwrap(),
        Second::OtherLink => {
            fs::write(bench.path("c.h"), text.replace('@', "3")).unwrap();
            symlink("../c.h", &b).unwrap();
        }
    }
    settle();
}

/// In each state, what is served is what NVRTC gives, and the second compile is a hit.
#[track_caller]
fn walk(bench: &Bench, case: &Case, states: &[&dyn Fn()]) {
    for (number, state) in states.iter().enumerate() {
        state();
        assert_ne!(bench.run(case), Ended::Bypass, "state {number}");
        assert_eq!(
            bench.run(case),
            Ended::Hit,
            "state {number}\n{}",
            bench.log()
        );
    }
}

#[track_caller]
fn walk_seconds(bench: &Bench, case: &Case, text: &str) {
    bench.write("a/v.h", &text.replace('@', "1"));
    for second in WALK {
        put(bench, text, second);
        assert_ne!(bench.run(case), Ended::Bypass, "{second:?}");
        assert_eq!(bench.run(case), Ended::Hit, "{second:?}\n{}", bench.log());
    }
}

#[test]
fn two_names_of_one_guarded_file_become_two_files_and_one_again() {
    let _alone = alone();
    let bench = Bench::new();
    let source = format!("#include \"a/v.h\"\n#include \"b/v.h\"\n{PLAIN}");
    walk_seconds(&bench, &Case::new(&source, &[]), GUARDED);
}

#[test]
fn two_names_of_one_file_that_is_read_once_become_two_files_and_one_again() {
    let _alone = alone();
    let bench = Bench::new();
    let include = format!("-I{}", bench.work().display());
    let source = format!("#include <a/v.h>\n#include <b/v.h>\n{PLAIN}");
    // From everywhere: the directory of the program is another one.
    let case = Case::new(&source, &[&include]).named("/tmp/random/kernel.cu");
    walk_seconds(&bench, &case, ONCE);
}

#[test]
fn next_headers_depend_on_which_directories_and_files_are_the_same() {
    let _alone = alone();
    let bench = Bench::new();
    bench.write("d/v.h", "#ifndef VALUE\n#define VALUE 7\n#endif\n");
    let options: Vec<_> = ["a", "b", "d"]
        .map(|name| format!("-I{}", bench.path(name).display()))
        .into();
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    let case = Case::new(&format!("#include <v.h>\n{PLAIN}"), &options);
    let text = "#ifndef DEPTH\n#define DEPTH\n#include_next <v.h>\n#else\n#ifndef VALUE\n#define VALUE @\n#endif\n\
                #include_next <v.h>\n#endif\n";
    walk_seconds(&bench, &case, text);
}

#[test]
fn headers_that_are_links_to_the_place_of_a_passed_one_are_told_from_others() {
    let _alone = alone();
    let bench = Bench::new();
    fs::create_dir(bench.path("../inc")).unwrap();
    let folder = bench.path("../inc").canonicalize().unwrap();
    let include = format!("-I{}", folder.display());
    let source = format!("#include \"p.h\"\n#include <q.h>\n{PLAIN}");
    let passed = "#pragma once\n#define VALUE 1\n";
    let case = Case::new(&source, &[&include]).with_header("p.h", passed);
    let (p, q) = (bench.path("p.h"), folder.join("q.h"));
    let fresh = |text: &str| {
        let _ = fs::remove_file(&q);
        fs::write(&q, text).unwrap();
        settle();
    };
    let link = || {
        let _ = (fs::remove_file(&q), fs::remove_file(&p));
        fs::write(&p, "#undef VALUE\n#define VALUE 2\n").unwrap();
        symlink("../work/p.h", &q).unwrap();
        settle();
    };
    let turned = || {
        let _ = (fs::remove_file(&q), fs::remove_file(&p));
        fs::write(&q, "#undef VALUE\n#define VALUE 2\n").unwrap();
        symlink("../inc/q.h", &p).unwrap();
        settle();
    };
    let apart = || {
        link();
        fresh("#undef VALUE\n#define VALUE 2\n");
    };
    let alone = || {
        let _ = fs::remove_file(&p);
        fresh("#undef VALUE\n#define VALUE 2\n");
    };
    let hard = || {
        alone();
        fs::hard_link(&q, &p).unwrap();
        settle();
    };
    walk(
        &bench,
        &case,
        &[
            &alone, &link, &apart, &turned, &alone, &hard, &apart, &alone,
        ],
    );
    // Another directory has no such file, and this one has again.
    let elsewhere = bench.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    std::env::set_current_dir(&elsewhere).unwrap();
    expect(&bench, &case, &[Ended::Hit]);
    fs::remove_dir_all(bench.store()).unwrap();
    expect(&bench, &case, super::ONCE);
    std::env::set_current_dir(bench.work()).unwrap();
    hard();
    assert_ne!(bench.run(&case), Ended::Bypass);
}

/// 12.0 looks at the disk for the program and for what was passed when it is asked whether they are there.
#[test]
fn questions_for_the_program_itself_and_for_passed_headers_are_asked_again() {
    let _alone = alone();
    let bench = Bench::new();
    fs::create_dir(bench.path("inc")).unwrap();
    let include = format!("-I{}", bench.path("inc").display());
    let questions = [
        "__has_include(\"k.cu\")",
        "__has_include(<k.cu>)",
        "__has_include(\"p.h\")",
        "__has_include(<p.h>)",
        "0\n#include \"p.h\"\n#endif\n#if __has_include(\"p.h\")",
        "ASK(\"k.cu\")",
        "D(include)(\"p.h\")",
    ];
    for question in questions {
        let source = format!(
            "#define ASK(x) __has_include(x)\n#define D(x) __has_##x\n\
             #if {question}\n#define VALUE 1\n#else\n#define VALUE 2\n#endif\n{PLAIN}"
        );
        let case = Case::new(&source, &[&include]).named("k.cu");
        let case = case.with_header("p.h", "#define P\n");
        if bench.run(&case) == Ended::Refused {
            continue; // a question that is pasted is none to some
        }
        expect(&bench, &case, &[Ended::Hit]);
        let folder = if question.contains('<') { "inc/" } else { "" };
        for name in ["k.cu", "p.h"] {
            let path = format!("{folder}{name}");
            bench.write(&path, "// there\n");
            assert_ne!(bench.run(&case), Ended::Bypass);
            let moved = case.clone().named(bench.path("k.cu").to_str().unwrap());
            assert_ne!(bench.run(&moved), Ended::Bypass);
            fs::remove_file(bench.path(&path)).unwrap();
            settle();
            expect(&bench, &case, &[Ended::Hit]);
            assert_ne!(bench.run(&moved), Ended::Bypass);
        }
    }
}

#[test]
fn a_name_that_became_another_file_during_the_compile_is_not_remembered() {
    let _alone = alone();
    let source = format!("#include \"a/v.h\"\n#include \"b/v.h\"\n{PLAIN}");
    let case = Case::new(&source, &[]);
    for (before, after) in [
        (Second::Link, Second::Copy),
        (Second::Hard, Second::Copy),
        (Second::Directory, Second::Copy),
        (Second::Link, Second::Other),
        (Second::Copy, Second::Link),
    ] {
        let bench = Bench::new();
        bench.write("a/v.h", &ONCE.replace('@', "1"));
        put(&bench, ONCE, before);
        bench.commit_after(&case, || put(&bench, ONCE, after));
        assert_ne!(bench.run(&case), Ended::Hit, "{before:?}, then {after:?}");
    }
}
