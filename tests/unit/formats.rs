//! Random mutations of each file and record of a cache through what the fuzz targets check (`fuzz/fuzz_targets`), for
//! those who have no fuzzer. `PCACHE_TEST_EDITS` sets how many there are of each format.

mod check;

use crate::random::Random;
use check::CHECKS;

/// What each format looks like, near enough that some mutations are read.
const SAMPLES: [(&str, &[&[u8]]); 9] = [
    (
        "path_sets",
        &[b"pcache-nvcc path sets 3\n\
            01234567890123456789012345678901\x7d\0\0\0\0\0\0\0\
            \0\x01\0\0\0\0\0\0a.h\0\0\x01\0\0\0\0\0\0b\0\0\0\0\0\0\0\
            \0\0\0\x02\0\0\0\0\0\0c\0\0d\0\0\x01\0\0\0\0\0\0e\0\0\x01\0\
            \0\0\0\0\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
            \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\x01\0\0\0\0\
            \0\0\x02\0\0\0\0\0\0\0\0f\0"],
    ),
    (
        "token_sets",
        &[b"pcache-nvcc token sets 2\n\
            01234567890123456789012345678901\0\x01\0\0\0\
            0123456789012345678901234567890101234567890123456789012345678901"],
    ),
    (
        "plan",
        &[
            b"#$ _SPACE_= \n#$ _TARGET_DIR_=\n#$ TOP=/cuda\n#$ PATH=/cuda/bin:/bin\n\
              #$ gcc -D__CUDA_ARCH__=750 -E -x c++ -D \"API_KEY=secret\" \"a.cu\" -o \"/tmp/work/a.cpp1.ii\" \n\
              #$ cicc --c++17 --orig_src_file_name \"a.cu\" \"/tmp/work/a.cpp1.ii\" -o \"/tmp/work/a.ptx\"\n\
              #$ ptxas -m64 -arch=sm_75 \"/tmp/work/a.ptx\" -o \"/tmp/work/a.cubin\" \n",
            b"[[\"/usr/include/stdc-predef.h\",null]]\n#$ _SPACE_= \n#$ TOP=/cuda\n#$ PATH=/cuda/bin:/bin\n\
              #$ gcc -D__CUDA_ARCH__=750 -E -x c++ -D \"API_KEY=<hidden:edb790b1ca9e9844>\" \"a.cu\" -o \"\0name\0/keep/a.cpp1.ii\" \n\
              #$ cicc --c++17 --orig_src_file_name \"a.cu\" \"\0name\0/keep/a.cpp1.ii\" -o \"\0name\0/keep/a.ptx\"\n\
              #$ ptxas -m64 -arch=sm_75 \"\0name\0/keep/a.ptx\" -o \"\0name\0/keep/a.cubin\" \n",
        ],
    ),
    (
        "records",
        &[
            br#"{"schema":6,"outputs":[{"command":5,"artefact":{"size":9736,"sha256":"0000000000000000000000000000000000000000000000000000000000000000"}}],"kept":[],"streams":[],"sources":{"paths":["a"],"sha256":"0"},"tied":false,"milliseconds":1,"source":"/a.cu"}"#,
            br#"{"schema":4,"needs":["messages","{base}"],"units":1,"outputs":[{"path":null,"manner":"Replace","artefact":{"size":1,"sha256":"0000000000000000000000000000000000000000000000000000000000000000"}}],"depfiles":[["a.d",{"size":1,"sha256":"0000000000000000000000000000000000000000000000000000000000000000"}]],"kept":[],"stdout":null,"stderr":null}"#,
            br#"{"schema":1,"log":{"size":1,"sha256":"0000000000000000000000000000000000000000000000000000000000000000"},"lowered":[["k<int>","_Z"]],"artefacts":[["ptx",{"size":1,"sha256":"0000000000000000000000000000000000000000000000000000000000000000"}]],"milliseconds":812}"#,
            br#"{"order":{"quote":[],"angle":["/usr/include"],"missing":[],"duplicates":[]},"real":["/usr/include"]}"#,
        ],
    ),
    (
        "facts",
        &[br#"{"schema":2,"request":[["environment",["LC_ALL=C"]],["headers",["a","b"]],["outputs",["x=y"]]],"job":[["define-macro",["DKEY=1"]],["input",["a.cu"]]],"folded":{"NVCC_APPEND_FLAGS":"-DN=1"},"command":["-c"],"tools":[{"role":"ptxas","path":"/a/bin/ptxas","sha256":"00"}],"units":[{"key":"00","fields":[["machine",["model : 1"]]]}],"exact":null,"files":[{"path":"a.cu","digest":"0"},{"path":"b.h","digest":"1","by":0}],"absent":{"":["c.h"]},"present":["d"],"links":{"e":"f"}}"#],
    ),
    (
        "journal",
        &[
            br#"{"v":1,"start":18446744073709551615,"wall":7,"pid":9,"directory":"/src","output":"a.o","sources":["a.cu"],"level":"miss","stored":18446744073709551615,"units":[{"source":"a.cu","level":"miss","key":"00"}],"flights":[{"begin":1,"wait":9}],"stages":[{"unit":0,"name":"cicc","arch":"sm_75","begin":1,"wait":2,"run":3,"hit":false}]}"#,
            b"\x1e{\"check\":\"0123456789abcdef\",\"v\":1}\n\x1e{\"v\":1,\"start\":5,\"cleared\":7}\n",
        ],
    ),
    ("pages", &[b"\x01\xff\xff\xff\xff\xff\xff\xff\xff\x01\0\0\0\0\0\0\0"]),
    ("digests", &[b"\x01\xff\xff\xff\xff\xff\xff\xff\xff\x01\0\0\0\0\0\0\0"]),
    (
        "toolchains",
        &[br#"{"schema":8,"boot":[1,2],"release":"","host":"Gnu","driver":"Own","host_place":"/usr/bin/gcc","parts":{"empty":{"absent":{"/lib":{"names":["specs"],"seen":{"stat":[1,2,3,4,5],"mount":0}}},"directories":[],"blocking":[]},"specs":{},"hides_a_part":false},"loaded":{"files":[],"empty":{"absent":{},"directories":[],"blocking":[]}},"search":"/usr/bin","names":[{"name":"gcc","place":"/usr/bin/gcc","real":"/usr/bin/gcc"}],"tools":[{"role":"nvcc","path":"/bin/sh","seen":{"stat":[1,2,3,4,5],"mount":0},"sha256":"00","script":false}],"targets":{"path":"/usr","seen":null,"names":[]},"variables":{"CICC_PATH":"/a"},"profile_variables":["CICC_PATH"]}"#],
    ),
];

/// Pieces that readers may stumble over.
const PARTS: [&[u8]; 22] = [
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\0\0\0\x80",
    b"\0",
    b"18446744073709551615",
    b"18446744073709551616",
    b"-1",
    b"1e999",
    b"null",
    b"[",
    b"{",
    b"]",
    b"}",
    b"\"",
    b"\\ud800",
    b"\x1b]0;x\x07",
    b"\xc2\x9b",
    b"\n",
    b"#$ ",
    b"KEY=",
    b"<hidden:",
    b"..",
];

fn mutated(sample: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = sample.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(12)).min(bytes.len());
        let part = match random.below(4) {
            0 => Vec::new(),
            1 => vec![u8::try_from(random.below(256)).unwrap()],
            2 => random.pick::<&[u8]>(&PARTS).to_vec(),
            _ => bytes[at..end].repeat(2),
        };
        bytes.splice(at..end, part);
    }
    bytes
}

fn rounds(name: &str) -> usize {
    let given = std::env::var("PCACHE_TEST_EDITS").ok();
    let given = given.map(|value| value.parse().unwrap());
    // Those that make a cache for each.
    let is_slow = ["records", "journal", "pages", "digests"].contains(&name);
    given.unwrap_or(if is_slow { 40 } else { 4000 })
}

#[test]
fn any_bytes_in_a_file_of_the_cache_are_read_or_refused() {
    let mut random = Random(1);
    for ((name, check), (sampled, samples)) in CHECKS.into_iter().zip(SAMPLES) {
        assert_eq!(name, sampled);
        for sample in samples {
            assert!(
                check(sample),
                "{name} refuses {:?}",
                String::from_utf8_lossy(sample)
            );
        }
        for _ in 0..rounds(name) {
            let bytes = mutated(random.pick::<&[u8]>(samples), &mut random);
            let checked = std::panic::catch_unwind(|| check(&bytes));
            assert!(
                checked.is_ok(),
                "{name}: {:?}",
                bytes.escape_ascii().to_string()
            );
        }
    }
}

#[test]
fn depth_and_counts_cost_no_more_than_the_bytes_that_claim_them() {
    let deep = b"[".repeat(200_000);
    let objects = br#"{"a":"#.repeat(100_000);
    let counts = [
        &b"pcache-nvcc path sets 3\n01234567890123456789012345678901\x04\0\0\0\0\0\0\0\xff\xff\xff\xff"[..],
        b"pcache-nvcc path sets 3\n01234567890123456789012345678901\xff\xff\xff\xff\xff\xff\xff\xff",
        b"pcache-nvcc token sets 2\n01234567890123456789012345678901\0\xff\xff\xff\xff",
    ];
    for (_, check) in CHECKS {
        for bytes in [&deep[..], &objects].into_iter().chain(counts) {
            check(bytes);
        }
    }
}
