//! Times and questions whose words no source holds: macros make them of pieces. Build, change the time
//! or what the question is about, build again.

use std::fs::File;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use crate::support::outcome::Outcome;
use crate::support::workspace::Workspace;

/// Something to compile: what sets it apart, its source, and the options.
type Member = (&'static str, &'static str, &'static [&'static str]);

const PASTING: &str = "#define PASTE_(a, b) a##b\n#define PASTE(a, b) PASTE_(a, b)\n\
    #define PASTE3(a, b, c) a##b##c\n#define TEXT_(x) #x\n#define TEXT(x) TEXT_(x)\n";

/// Each tells the time of day.
const TIMES: &[Member] = &[
    (
        "between underscores",
        "#define D(x) __##x##__\n__device__ const char when[] = D(TIME);\n",
        &[],
    ),
    (
        "the last underscores",
        "__device__ const char when[] = PASTE(__TIME, __);\n",
        &[],
    ),
    (
        "the first underscore",
        "__device__ const char when[] = PASTE(_, _TIME__);\n",
        &[],
    ),
    (
        "three pieces",
        "__device__ const char when[] = PASTE3(__, TIM, E__);\n",
        &[],
    ),
    (
        "pieces in options",
        "__device__ const char when[] = PASTE(A, B);\n",
        &["-DA=__TIM", "-DB=E__"],
    ),
    (
        "an option pastes",
        "__device__ const char when[] = D(TIME);\n",
        &["-DD(x)=__##x##__"],
    ),
    (
        "an included header pastes",
        "__device__ const char when[] = D(TIME);\n",
        &["-include", "paste.h"],
    ),
    (
        "within a text",
        "__device__ const char when[] = TEXT(at PASTE(__TIME, __) today);\n",
        &[],
    ),
    (
        "with a prefix",
        "__device__ const wchar_t when[] = PASTE(L, PASTE(__TIME, __));\n",
        &[],
    ),
    (
        "with digraphs",
        "#define D(x) __%:%:x%:%:__\n__device__ const char when[] = D(TIME);\n",
        &[],
    ),
    (
        "in the name of the file",
        "#line 1 PASTE(__TIME, __)\n__device__ const char when[] = __FILE__;\n",
        &[],
    ),
];

/// The options of a member: its name is a number.
fn args<'a>(source: &'a str, output: &'a str, member: &Member) -> Vec<&'a str> {
    let mut args = vec!["-ptx", source, "-o", output];
    args.extend(member.2);
    args
}

/// Builds every member, then `change`s something, and builds again. Returns those that are as they were.
fn unmoved(ws: &Workspace, members: &[Member], change: impl FnOnce()) -> Vec<&'static str> {
    let build = |number: usize| -> Outcome {
        let (source, output) = (format!("unit{number}.cu"), format!("unit{number}.ptx"));
        let built = ws.build(&args(&source, &output, &members[number]));
        built.succeeds();
        built
    };
    for (number, (_, text, _)) in members.iter().enumerate() {
        ws.write(&format!("unit{number}.cu"), [PASTING, text].concat());
    }
    let first: Vec<_> = (0..members.len()).map(build).collect();
    change();
    let same = (0..members.len()).filter(|&number| build(number).outputs == first[number].outputs);
    same.map(|number| members[number].0).collect()
}

#[test]
fn a_time_whose_name_macros_make_is_not_cached() {
    let ws = Workspace::new();
    ws.write("paste.h", "#define D(x) __##x##__\n");
    let same = unmoved(&ws, TIMES, || sleep(Duration::from_millis(1100)));
    assert!(same.is_empty(), "frozen: {same:#?}");
}

/// Sets the time of a file.
fn stamp(ws: &Workspace, rel: &str, days: u64) {
    let file = File::options().write(true).open(ws.path(rel));
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(days * 86_400);
    file.and_then(|file| file.set_modified(time))
        .unwrap_or_else(|error| panic!("stamping {rel}: {error}"));
}

#[test]
fn a_time_stamp_whose_name_macros_make_is_watched() {
    let members: &[Member] = &[
        (
            "of the source",
            "#define D(x) __##x##__\n__device__ const char when[] = D(TIMESTAMP);\n",
            &[],
        ),
        (
            "of a header",
            "#include \"stamped.h\"\n__device__ const char when[] = STAMP;\nSTAMPED\n",
            &[],
        ),
    ];
    let ws = Workspace::new();
    ws.write(
        "stamped.h",
        "#define STAMP \"\"\n#define D(x) __##x##__\n__device__ const char stamp[] = D(TIMESTAMP);\n#define STAMPED\n",
    );
    let same = unmoved(&ws, members, || {
        stamp(&ws, "unit0.cu", 10_000);
        stamp(&ws, "stamped.h", 10_000);
    });
    assert!(same.is_empty(), "frozen: {same:#?}");
}

#[test]
fn a_time_that_only_a_message_tells_is_not_cached() {
    let text = "#define D(x) __##x##__\n_Pragma(TEXT(GCC warning D(TIME)))\n__device__ int x;\n";
    let ws = Workspace::with("unit.cu", &[PASTING, text].concat());
    let build = || ws.build(&["-ptx", "unit.cu", "-o", "unit.ptx"]);
    let first = build();
    first.succeeds();
    assert!(first.err().contains("warning"), "{}", first.err());
    sleep(Duration::from_millis(1100));
    let second = build();
    assert_ne!(first.err(), second.err());
}

/// Each asks whether there is `flag.h`.
const QUESTIONS: &[Member] = &[
    (
        "two arguments",
        "#if PASTE(__has_, include)(<flag.h>)\n__device__ int answer;\n#endif\n",
        &[],
    ),
    (
        "an underscore in front",
        "#define ASK(x) __##x\n#if ASK(has_include)(<flag.h>)\n__device__ int answer;\n#endif\n",
        &[],
    ),
    (
        "three pieces",
        "#if PASTE3(__, has_inc, lude)(<flag.h>)\n__device__ int answer;\n#endif\n",
        &[],
    ),
    (
        "two macros",
        "#define A __has\n#define B _include\n#if 0\n#elif PASTE(A, B)(<flag.h>)\n__device__ int answer;\n#endif\n",
        &[],
    ),
    (
        "options",
        "#if PASTE(A, B)(<flag.h>)\n__device__ int answer;\n#endif\n",
        &["-DA=__has", "-DB=_include"],
    ),
    (
        "a macro that asks",
        "#define ASK(x) __has_include(x)\n#if PASTE(A, SK)(<flag.h>)\n__device__ int answer;\n#endif\n",
        &[],
    ),
    (
        "the next one",
        "#if PASTE(__has_include_, next)(<flag.h>)\n__device__ int answer;\n#endif\n",
        &[],
    ),
    (
        "the number of a line",
        "#line PASTE(__has_, include)(<flag.h>)\n__device__ int answer = __LINE__;\n",
        &[],
    ),
    (
        "with digraphs",
        "%:define ASK(x) __%:%:x\n%:if ASK(has_include)(<flag.h>)\n__device__ int answer;\n%:endif\n",
        &[],
    ),
    (
        "an argument that is pasted to nothing",
        "#define ifdef(x, e) x##e\n#if ifdef(__has_include, )(<flag.h>)\n__device__ int answer;\n#endif\n",
        &[],
    ),
    (
        "behind defined",
        "#define ASK_defined(x, ...) x##__VA_ARGS__(<flag.h>)\n#define ASK(x) ASK_##x\n\
         #if ASK(defined(__has_include))\n__device__ int answer;\n#endif\n",
        &[],
    ),
];

#[test]
fn a_question_whose_name_macros_make_is_watched() {
    let ws = Workspace::new();
    ws.write("flags/.keep", "");
    let members: Vec<Member> = QUESTIONS
        .iter()
        .map(|&(name, text, more)| {
            let more = more.iter().copied().chain(["-Iflags"]).collect::<Vec<_>>();
            (name, text, &*more.leak())
        })
        .collect();
    let same = unmoved(&ws, &members, || {
        ws.write("flags/flag.h", "");
    });
    assert!(same.is_empty(), "stale: {same:#?}");
}

/// Compiled twice, the second time with a direct hit.
const HARMLESS: &[Member] = &[
    (
        "a mention of the time that no pass uses",
        "// __TIME__\n#define WHEN __DATE__ __TIME__\n__device__ int x;\n",
        &[],
    ),
    (
        "a date of its own",
        "__device__ const char when[] = \"Jan  1 2001\";\n",
        &[],
    ),
    (
        "a date that an option holds",
        "__device__ const char when[] = TEXT(DAY);\n",
        &["-DDAY=Jan 1 2001"],
    ),
    (
        "pieces that are no question's",
        "#define A __has_\n#define B feature\n#if defined(__has_include) && PASTE(1, 2)\n\
         __device__ int x;\n#endif\n// include\n",
        &[],
    ),
];

#[test]
fn what_only_looks_like_a_time_or_a_question_is_a_direct_hit() {
    let ws = Workspace::new();
    for (number, member) in HARMLESS.iter().enumerate() {
        let (source, output) = (format!("unit{number}.cu"), format!("unit{number}.ptx"));
        ws.write(&source, [PASTING, member.1].concat());
        let first = ws.build(&args(&source, &output, member));
        first.misses(1);
        let again = ws.build(&args(&source, &output, member));
        eprintln!("{}", member.0);
        again.hits_directly(1).same_as(&first);
    }
}

#[test]
fn a_time_that_the_environment_gives_is_a_direct_hit() {
    let text = "#define D(x) __##x##__\n__device__ const char when[] = D(TIME) __DATE__;\n";
    let mut ws = Workspace::with("unit.cu", text);
    let args = ["-ptx", "unit.cu", "-o", "unit.ptx"];
    let mut build = |seconds: &str| {
        ws.set_env("SOURCE_DATE_EPOCH", seconds);
        let first = ws.build(&args);
        first.misses(1).same_as(&ws.kept(&args));
        ws.build(&args).hits_directly(1).same_as(&first);
        first
    };
    let early = build("100000000");
    build("200000000").differs_from(&early);
}
