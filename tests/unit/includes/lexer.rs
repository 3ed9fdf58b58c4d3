//! Random mutations of nasty texts through what the fuzz target `fuzz/fuzz_targets/lexer.rs` checks,
//! for those who have no fuzzer. `PCACHE_TEST_EDITS` sets their number.

mod check;

use crate::random::Random;

const PARTS: [&[u8]; 40] = [
    b"/*",
    b"*/",
    b"//",
    b"\\\n",
    b"\\ \n",
    b"\n",
    b"\n",
    b" ",
    b"\t",
    b"\"",
    b"'",
    b"R\"(",
    b")\"",
    b"R\"x(",
    b")x\"",
    b"u8",
    b"L",
    b"#",
    b"%:",
    b"include",
    b"include ",
    b"define ",
    b"pragma ",
    b"if ",
    b"<",
    b">",
    b"(",
    b")",
    b"__has_include",
    b"1'0",
    b"1e+",
    b"\xc3\xa9",
    b"\0",
    b"\x0c",
    b"a",
    b"b ",
    b"/",
    b"*",
    b"??",
    b"\xef\xbb\xbf",
];

#[test]
fn any_bytes_keep_the_promises_of_lexer_and_digests() {
    let rounds = std::env::var("PCACHE_TEST_EDITS").map_or(20_000, |value| value.parse().unwrap());
    let mut random = Random(1);
    let mut digests = 0;
    for _ in 0..rounds {
        let mut text = Vec::new();
        for _ in 0..random.below(24) {
            if random.chance(4) {
                text.push(u8::try_from(random.below(256)).unwrap());
            } else {
                text.extend_from_slice(random.pick::<&[u8]>(&PARTS));
            }
        }
        digests += usize::from(check::check(&text));
    }
    assert!(
        digests * 10 > rounds,
        "only {digests} of {rounds} have digests"
    );
}
