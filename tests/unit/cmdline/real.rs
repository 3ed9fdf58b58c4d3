//! The reader of command lines against the real nvcc: the plan that nvcc prints for a command line
//! must be the plan that it prints for our reading of it.

use super::samples::{Plan, Sample, dryrun, dryrun_of, read_args, read_in, words};
use pcache_nvcc::cmdline::{CommandLine, Job};
use pcache_nvcc::outcome::{Bypass, BypassReason};
use std::ffi::{OsStr, OsString};
use std::fs;
use tempfile::TempDir;

/// A directory with a source, for nvcc to plan in.
fn directory() -> TempDir {
    let directory = TempDir::new().expect("a temporary directory");
    fs::create_dir(directory.path().join("work")).expect("a directory");
    for name in ["a.cu", "b.cu", "b c.cu"] {
        fs::write(directory.path().join(name), "int main() {}\n").expect("a source");
    }
    directory
}

/// Texts that are hard to cut, valid and invalid ones.
const TEXTS: &[&str] = &[
    "",
    "   ",
    "-DA",
    " -DA\t -DB ",
    "-DA=\"x y\"",
    "-DA='x y'",
    "-DA='x'",
    "-DA=x\\ y",
    "\"-DA=x y\"",
    "\"-DA\" \"-DB\"",
    "\"-DA\"\"-DB\"",
    "-D\"A=x y\" -DB",
    "-D \"A B\"",
    "-DA=\\\"x\\\"",
    "-DA=\"x\\\"y\"",
    "-DA=\"x",
    "-DA=x\"y z\"w",
    "-DA=\\\\",
    "-DA=\\\\x",
    "-DA=x\\",
    "-DA=\\n",
    "-DA=\"\\\\\"",
    "-DA=\"\\\\\" -DB=\"",
    "-DA=\" \\\" \" -DB",
    "-DA=\\\\\\\"x",
    "-DA=\\\\\"x\"",
    "-DA,B",
    "-DA\\,B",
    "-DA=\"x,y\"",
    "-DA=\\\"x,y\\\"",
    "-DA=[x,y]",
    "-DA=\"\" -DB",
    "-D \"\" -DB",
    "\"\" -DB",
    "# -DA",
    "-DA -D",
    "-D -DA -DB",
    "-I\"/a b\"",
    "-I \"/a b\" -I/c\\ d",
    "-Xcompiler \"-DA -p\"",
    "-Xcompiler \"-DA,-p\"",
    "-Xcompiler -DA\\\\,-b",
    "-Xcompiler ,\"-g\"",
    "-std=\"c++17\"",
    "-std=c++17 -O3 -arch=sm_80",
    "-MD -MF \"x y\"",
    "-MD -MF x\\\"y",
    "-optf more.rsp",
    "-optf=\"more.rsp\" -DZ",
    "--options-file more.rsp,more.rsp",
    "\"b c.cu\"",
    "b\\ c.cu",
    "@more.rsp",
    "-I/d\\ -DA",
    "-I/d\\,/e -include=a\\,b",
    "-I=\"/a,b\" -Xcudafe=\"--diag_suppress=1\"",
    "\\ -DA b.cu\\ ",
    "-optf \"more.rsp, more.rsp\"",
    "-gencode arch=compute_80,code=[sm_80,compute_80]",
    "-gencode arch=compute_80,code=\"sm_80,compute_80\"",
    "-frandom-seed=\"a b\"",
    "-DA\r\n-DB",
    "-DA\n-DB\n",
    "-DA\u{b}-DB",
];

/// Reasons for which a valid command line may be refused here: its meaning is not certain.
fn is_caution(bypass: &Bypass) -> bool {
    matches!(bypass.reason, BypassReason::ShellExpansion)
        || bypass
            .detail
            .ends_with("doubled backslashes before a quote")
}

/// Compares our reading of `text` with nvcc's own; whether there were two plans to compare.
#[track_caller]
fn agree(directory: &TempDir, text: &str, real: &Plan, ours: Result<Job, Bypass>) -> bool {
    match ours {
        Ok(job) => {
            let ours = dryrun_of(directory.path(), &job);
            assert_eq!(ours.accepted, real.accepted, "{text:?}\n{job:?}\n{real:?}");
            if real.accepted {
                assert_eq!(ours.lines, real.lines, "{text:?}\n{job:?}");
            }
            real.accepted
        }
        Err(bypass) => {
            let explained = !real.accepted || is_caution(&bypass);
            assert!(explained, "{text:?}: {bypass:?}\n{real:?}");
            false
        }
    }
}

fn with_variable(name: &str) {
    let directory = directory();
    fs::write(directory.path().join("more.rsp"), "-DX=\"a b\" -DY").expect("an option file");
    let args = words(&["-DM", "-c", "a.cu"]);
    let mut compared = 0;
    for text in TEXTS {
        let value = OsStr::new(text);
        let real = dryrun(directory.path(), &args, Some((name, value)));
        let before = name == "NVCC_PREPEND_FLAGS";
        let line = CommandLine {
            args: &args,
            prepend_flags: before.then_some(value),
            append_flags: (!before).then_some(value),
            ccbin: None,
        };
        let ours = read_in(directory.path(), &line);
        compared += usize::from(agree(&directory, text, &real, ours));
    }
    assert!(compared > 25, "only {compared} plans were compared");
}

#[test]
fn prepended_flags_are_cut_as_nvcc_cuts_them() {
    with_variable("NVCC_PREPEND_FLAGS");
}

#[test]
fn appended_flags_are_cut_as_nvcc_cuts_them() {
    with_variable("NVCC_APPEND_FLAGS");
}

#[test]
fn option_files_are_cut_as_nvcc_cuts_them() {
    let directory = directory();
    fs::write(directory.path().join("more.rsp"), "-DX=\"a b\" -DY").expect("an option file");
    let args = words(&["-DM", "-optf", "options.rsp", "-c", "a.cu"]);
    let mut compared = 0;
    for text in TEXTS {
        fs::write(directory.path().join("options.rsp"), text).expect("an option file");
        let real = dryrun(directory.path(), &args, None);
        let line = CommandLine {
            args: &args,
            ..CommandLine::default()
        };
        let ours = read_in(directory.path(), &line);
        compared += usize::from(agree(&directory, text, &real, ours));
    }
    assert!(compared > 25, "only {compared} plans were compared");
}

/// Arguments in every form; nvcc accepts some and refuses others, and so must we.
const FORMS: &[&[&str]] = &[
    &["-std", "c++17"],
    &["--std=c++17"],
    &["-stdc++17"],
    &["--D", "X"],
    &["--DX"],
    &["-D=X"],
    &["-D=", "X"],
    &["-define-macro=X"],
    &["--define", "X"],
    &["-xcu"],
    &["-x=cu"],
    &["-ftz"],
    &["-ftz=true"],
    &["-ftz=zz"],
    &["-c=true"],
    &["--verbose=true"],
    &["-lto_mode"],
    &["-lto"],
    &["-l"],
    &["-lfoo,bar"],
    &["-m32"],
    &["-ofoo"],
    &["-isystem/x"],
    &["-Ofast"],
    &["-Wall"],
    &["-forward-unknown-to-host-compiler", "-Wall"],
    &["-Wall", "-forward-unknown-opts"],
    &["-forward-unknown-to-host-compiler", "-pipe", "bar"],
    &["-forward-unknown-opts", "--sysroot=a,b"],
    &["-forward-unknown-to-host-compiler", "-isystem/x"],
    &["-DA=\"x"],
    &["-DA=x\\"],
    &[""],
    &["-D", ""],
    &["-Xcompiler", "'-fPIC'"],
    &["-Xcompiler", ",\"-g\""],
    &["-no-align-double"],
    &["--no-align-double"],
    &["-export-dir=x"],
    &["-gencode", "arch=compute_80,code=[sm_80]"],
    &["x.CU"],
    &["x.so.1"],
    &["-std=c++14", "-std=c++17"],
    &["-MF", "x"],
    &["-MP"],
    &["-o"],
    &["-O2", "-O3"],
    &["-e=x,y"],
    &["-Xptxas", "\"-v\""],
    &["--relaxed-constexpr"],
    &["-odir", "x y"],
    &["-keep-dir", "x"],
    &["-objtemp"],
    &["-jobserver", "-jobserver"],
];

#[test]
fn arguments_are_accepted_where_nvcc_accepts_them() {
    let directory = directory();
    for form in FORMS {
        let mut args = words(form);
        args.extend(words(&["-c", "a.cu"]));
        let real = dryrun(directory.path(), &args, None);
        match read_args(&args) {
            Ok(job) => {
                let ours = dryrun_of(directory.path(), &job);
                assert_eq!(ours.accepted, real.accepted, "{form:?}\n{real:?}");
            }
            Err(bypass) if bypass.reason == BypassReason::ToolOption => {}
            Err(bypass) => assert!(!real.accepted, "{form:?}: {bypass:?}"),
        }
    }
}

#[test]
fn jobs_of_equal_canonical_form_have_equal_plans() {
    let directory = directory();
    let mut sample = Sample(0x9e37_79b9_7f4a_7c15);
    for _ in 0..50 {
        let (first, second) = sample.pair();
        let one = read_args(&first).expect("a job");
        let other = read_args(&second).expect("a job");
        assert_eq!(one.canonical(), other.canonical(), "{first:?}\n{second:?}");
        let plan = dryrun_of(directory.path(), &one);
        assert!(plan.accepted, "{first:?}\n{plan:?}");
        assert_eq!(
            plan,
            dryrun_of(directory.path(), &other),
            "{first:?}\n{second:?}"
        );
    }
}

/// What a plan leaves out must not be seen in it.
#[test]
fn a_plan_does_without_keeping_and_scheduling() {
    let directory = directory();
    let plain = words(&[
        "-c",
        "a.cu",
        "-o",
        "x.o",
        "-gencode",
        "arch=compute_80,code=sm_80",
    ]);
    let expected = dryrun(directory.path(), &plain, None);
    for extra in [
        &["-t0"][..],
        &["--threads", "4"],
        &["--keep"],
        &["--save-temps", "--keep-dir", "elsewhere"],
        &["-objtemp"],
    ] {
        let mut args: Vec<OsString> = plain.clone();
        args.extend(words(extra));
        let job = read_args(&args).expect("a job");
        assert_eq!(dryrun_of(directory.path(), &job), expected, "{extra:?}");
    }
}

/// Texts made of what the rules for cutting take notice of.
fn random_text(sample: &mut Sample) -> String {
    const PIECES: &[&str] = &[
        "-DA=", "-DB", " ", " ", "\"", "\"", "\\", ",", "x", "'", "\t", "-I/d", "=", "-O3", "[",
        "y z",
    ];
    let length = 1 + sample.below(12);
    (0..length)
        .map(|_| PIECES[sample.below(PIECES.len())])
        .collect()
}

/// Enough to meet each rule; a run of 2,500 found the last of them.
const ROUNDS: usize = 60;

#[test]
fn random_texts_are_cut_as_nvcc_cuts_them() {
    let directory = directory();
    let mut sample = Sample(0x2545_f491_4f6c_dd1d);
    let plain = words(&["-c", "a.cu"]);
    let file = words(&["-optf", "options.rsp", "-c", "a.cu"]);
    let mut compared = 0;
    for _ in 0..ROUNDS {
        let text = random_text(&mut sample);
        let variable = OsStr::new(&text);
        let line = CommandLine {
            args: &plain,
            prepend_flags: Some(variable),
            ..CommandLine::default()
        };
        let real = dryrun(
            directory.path(),
            &plain,
            Some(("NVCC_PREPEND_FLAGS", variable)),
        );
        let ours = read_in(directory.path(), &line);
        compared += usize::from(agree(&directory, &text, &real, ours));

        fs::write(directory.path().join("options.rsp"), &text).expect("an option file");
        let line = CommandLine {
            args: &file,
            ..CommandLine::default()
        };
        let real = dryrun(directory.path(), &file, None);
        let ours = read_in(directory.path(), &line);
        compared += usize::from(agree(&directory, &text, &real, ours));
    }
    assert!(
        compared > ROUNDS / 10,
        "only {compared} plans were compared"
    );
}
