//! Properties of the reader of command lines that need no nvcc.

use super::samples::{Sample, read_args, words};
use pcache_nvcc::cmdline::{CommandLine, Job, OPTIONS, read};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// Bytes of which nvcc's rules for cutting text take notice, and any others.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let notable = prop_oneof![
        Just(b'"'),
        Just(b'\\'),
        Just(b','),
        Just(b' '),
        Just(b'\n'),
        Just(b'-'),
        Just(b'='),
        Just(b'\''),
        Just(b'['),
        Just(b']'),
        Just(b'D'),
        Just(b'$'),
        any::<u8>(),
    ];
    vec(notable, 0..24)
}

/// Arguments that are often options of nvcc, in one of their forms, and often are not.
fn argument() -> impl Strategy<Value = OsString> {
    let option = (0..OPTIONS.len(), 0..4usize, bytes()).prop_map(|(at, form, value)| {
        let row = &OPTIONS[at];
        let mut text = match form {
            0 | 1 => format!("--{}", row.long).into_bytes(),
            _ => format!("-{}", row.short).into_bytes(),
        };
        if form % 2 == 1 {
            text.push(b'=');
            text.extend(value);
        }
        text
    });
    let input = Just(b"a.cu".to_vec());
    prop_oneof![4 => option, 2 => input, 2 => bytes()].prop_map(OsString::from_vec)
}

/// Arguments of compiles, which are mostly accepted.
fn compile() -> impl Strategy<Value = Vec<OsString>> {
    let words = prop_oneof![
        Just("-c"),
        Just("-ptx"),
        Just("-O3"),
        Just("-DA=\"x,y\",B"),
        Just("-Xcompiler=-fPIC,'-g'"),
        Just("-std=c++17"),
        Just("-std=c++14"),
        Just("-t0"),
        Just("--keep"),
        Just("--keep-dir=k"),
        Just("-o=x"),
        Just("-o=y"),
        Just("-odir=d"),
        Just("-MD"),
        Just("-MF=f"),
        Just("-I/a,/b"),
        Just("-forward-unknown-to-host-compiler"),
        Just("-fopenmp"),
        Just("-lfoo"),
        Just("-dlink"),
        Just("-gencode=arch=compute_80,code=[sm_80,compute_80]"),
        Just("-objtemp"),
        Just("b.o"),
        Just("-optf=x.rsp"),
        Just("-rdc=true"),
        Just("-x=cu"),
        Just("-cubin"),
        Just("-UB"),
    ];
    vec(words.prop_map(OsString::from), 0..12).prop_map(|mut args| {
        args.push("a.cu".into());
        args
    })
}

fn read_with(args: &[OsString], file: &[u8]) -> Option<Job> {
    let line = CommandLine {
        args,
        ..CommandLine::default()
    };
    read(&line, &mut |_: &Path| Ok(file.to_vec())).ok()
}

/// A job's plan arguments, without the four that ask for the plan, mean the same job.
#[track_caller]
fn is_stable(job: &Job) {
    let printed = job.dryrun_args(Path::new("k"));
    assert_eq!(
        printed[..4],
        words(&["--dryrun", "--keep", "--keep-dir", "k"])
    );
    let again = read_args(&printed[4..]).expect("what was read once is read again");
    let own = |job: &Job| {
        job.canonical()
            .into_iter()
            .filter(|(name, _)| *name != "compiler-bindir")
            .collect::<Vec<_>>()
    };
    assert_eq!(own(&again), own(job));
    assert_eq!(again.mode, job.mode);
    assert_eq!(again.inputs, job.inputs);
    assert_eq!(again.output, job.output);
    assert_eq!(again.output_directory, job.output_directory);
    assert_eq!(again.dependencies, job.dependencies);
    assert_eq!((&again.keep, &again.threads), (&None, &None));
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(
        args in vec(argument(), 0..8),
        before in bytes(),
        after in bytes(),
        file in bytes(),
    ) {
        let line = CommandLine {
            args: &args,
            prepend_flags: Some(OsStr::from_bytes(&before)),
            append_flags: Some(OsStr::from_bytes(&after)),
            ccbin: Some(OsStr::from_bytes(&file)),
        };
        if let Ok(job) = read(&line, &mut |_: &Path| Ok(file.clone())) {
            is_stable(&job);
        }
    }

    #[test]
    fn what_is_printed_is_read_as_the_same_job(args in compile(), file in bytes()) {
        if let Some(job) = read_with(&args, &file) {
            is_stable(&job);
        }
    }

    #[test]
    fn neither_order_of_groups_nor_spelling_changes_the_canonical_job(seed in 1..u64::MAX) {
        let (first, second) = Sample(seed).pair();
        let one = read_args(&first).expect("a job");
        let other = read_args(&second).expect("a job");
        assert_eq!(one.canonical(), other.canonical(), "{first:?}\n{second:?}");
    }

    #[test]
    fn canonical_fields_are_sorted_and_unique(args in compile()) {
        if let Some(job) = read_with(&args, b"-DF") {
            let fields = job.canonical();
            assert!(fields.windows(2).all(|pair| pair[0].0 < pair[1].0));
        }
    }
}

#[test]
fn option_files_that_name_themselves_end_in_a_bypass() {
    assert!(read_with(&words(&["-c", "a.cu", "-optf", "x"]), b"-optf x -DA").is_none());
    assert!(read_with(&words(&["-c", "a.cu", "-optf", "x"]), b"-optf x,x,x,x -DA").is_none());
}
