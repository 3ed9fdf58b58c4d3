//! What the calling process does to a compile without a word in the request: how its thread computes, and what
//! earlier compiles have left behind.

use super::bench::{Bench, Case, Ended};
use super::{ONCE, alone, expect};
use pcache_nvcc::outcome::NvrtcReason;
use pcache_nvcc::stats::Counter;

/// The mode in which programs start: everything masked, to the nearest.
const USUAL: (u32, u16) = (0x1f80, 0x37f);

const CONSTANTS: &str = "extern \"C\" __global__ void k(float *p, double *d) {\n\
    d[0] = sin(0.5); d[1] = exp(1.5); d[2] = pow(1.1, 2.3); d[3] = atan2(1.0, 3.0); d[4] = 0.1 + 0.2;\n\
    p[0] = expf(1.25f); p[1] = 1e-38f * 0.1f; p[2] = (float)0.1; p[3] = 0.1f * 0.3f; p[4] = (float)16777217;\n}\n";

#[test]
#[cfg(target_arch = "x86_64")]
fn constants_are_folded_in_the_mode_of_the_process() {
    let _alone = alone();
    let bench = Bench::new();
    let case = Case::new(CONSTANTS, &[]);
    expect(&bench, &case, ONCE);
    let (mxcsr, x87) = USUAL;
    let mut differing = 0;
    let usual = bench.compile(&case).unwrap().0;
    for mode in [
        (mxcsr | 0x8000, x87),
        (mxcsr | 0x0040, x87),
        (mxcsr | 0x8040, x87),
        (mxcsr | 0x2000, x87),
        (mxcsr | 0x4000, x87),
        (mxcsr | 0x6000, x87),
        (mxcsr, x87 | 0x400),
        (mxcsr, x87 | 0x800),
        (mxcsr, x87 | 0xc00),
        (mxcsr, x87 - 0x300),
        (mxcsr, x87 - 0x100),
    ] {
        let case = case.clone().computing(mode.0, mode.1);
        let first = bench.run(&case);
        assert_ne!(first, Ended::Hit, "{mode:x?}");
        // 12.0 and 12.4 refuse programs when denormals are zero.
        if first == Ended::Miss {
            assert_eq!(bench.run(&case), Ended::Hit, "{mode:x?}");
            differing += usize::from(bench.compile(&case).unwrap().0 != usual);
        }
    }
    assert!(differing >= 3, "{differing} modes that give other results");
    expect(&bench, &case, &[Ended::Hit]);
}

#[test]
#[cfg(target_arch = "x86_64")]
fn flags_that_operations_leave_are_no_mode() {
    let _alone = alone();
    let bench = Bench::new();
    let case = Case::new(CONSTANTS, &[]);
    expect(&bench, &case, ONCE);
    for flags in [0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x3f] {
        let case = case.clone().computing(USUAL.0 | flags, USUAL.1);
        expect(&bench, &case, &[Ended::Hit]);
    }
}

/// With a blank before their values, NVRTC refuses these options, or the values.
#[test]
fn options_that_take_their_value_behind_an_equals_sign_alone_are_left_to_nvrtc_without_it() {
    let _alone = alone();
    let bench = Bench::new();
    let source = "extern \"C\" __global__ void k(int *p) { *p = __cplusplus / 100; }\n";
    let mut compared = 0;
    for (option, value) in [
        ("-std", "c++17"),
        ("--std", "c++17"),
        ("-std", "c++14"),
        ("--std", "c++20"),
        ("-frandom-seed", "5"),
        ("--frandom-seed", "5"),
    ] {
        let joined = Case::new(source, &[&format!("{option}={value}")]);
        let apart = Case::new(source, &[option, value]);
        if bench.run(&joined) != Ended::Refused {
            expect(&bench, &joined, &[Ended::Hit]);
            assert!(bench.compile(&apart).is_none(), "{option} {value}");
            compared += 1;
        }
        assert_eq!(bench.run(&apart), Ended::Bypass, "{option} {value}");
    }
    assert!(compared >= 3);
    // The others mean the same with either.
    for (option, value) in [
        ("-arch", "compute_90"),
        ("-rdc", "true"),
        ("-ftz", "true"),
        ("-prec-div", "false"),
        ("-fmad", "false"),
        ("-maxrregcount", "32"),
        ("-diag-suppress", "177"),
    ] {
        let joined = Case::new(source, &[&format!("{option}={value}")]);
        expect(&bench, &joined, ONCE);
        expect(&bench, &Case::new(source, &[option, value]), &[Ended::Hit]);
    }
}

#[test]
fn directives_in_the_value_of_a_macro_are_left_to_nvrtc() {
    let _alone = alone();
    let bench = Bench::new();
    let source = "extern \"C\" __global__ void k(int *p) { *p = VALUE; }\n";
    for value in ["VALUE=1\n#define OTHER", "VALUE=__LINE__\n#line 7 \"k.cu\""] {
        let joined = Case::new(source, &[&format!("-D{value}")]);
        expect(&bench, &joined, &[Ended::Bypass]);
        expect(&bench, &Case::new(source, &["-D", value]), &[Ended::Bypass]);
    }
}

#[test]
fn a_process_that_has_asked_for_remarks_is_left_to_nvrtc() {
    let _alone = alone();
    let bench = Bench::new();
    let plain = Case::new(CONSTANTS, &[]);
    expect(&bench, &plain, ONCE);
    for option in ["-opt-info=inline", "--optimization-info=inline"] {
        let process = bench.cache();
        assert_eq!(bench.run_in(&process, &plain), Ended::Hit);
        let asking = plain.clone().option(option);
        assert_eq!(bench.run_in(&process, &asking), Ended::Bypass);
        assert_eq!(bench.run_in(&process, &plain), Ended::Bypass);
        assert_eq!(
            bench.run_in(&process, &plain.clone().option("-DX")),
            Ended::Bypass
        );
    }
    expect(&bench, &plain, &[Ended::Hit]);
}

#[test]
fn namespaces_and_extra_files_are_part_of_the_key() {
    let _alone = alone();
    let bench = Bench::new();
    bench.write("version", "1");
    let path = bench.path("version").display().to_string();
    let case = Case::new(CONSTANTS, &[]);
    let run = |settings: &[(&str, &str)]| bench.run_in(&bench.cache_with(settings), &case);
    let (namespace, extra) = (("PCACHE_NAMESPACE", "a"), ("PCACHE_EXTRA_FILES", &*path));
    for settings in [&[][..], &[namespace], &[extra], &[namespace, extra]] {
        assert_eq!(run(settings), Ended::Miss, "{settings:?}");
        assert_eq!(run(settings), Ended::Hit, "{settings:?}");
    }
    bench.write("version", "2");
    assert_eq!(run(&[namespace]), Ended::Hit);
    assert_eq!(run(&[extra]), Ended::Miss);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(run(&[extra]), Ended::Bypass);
    let bypassed = bench.count(Counter::NvrtcBypassed(NvrtcReason::ExtraFile));
    assert_eq!(bypassed, 1);
}
