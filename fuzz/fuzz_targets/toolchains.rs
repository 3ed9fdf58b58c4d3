//! Any bytes in the place of this format: `cargo +nightly fuzz run toolchains`. What is checked is in `tests/unit/formats/check.rs`.

#![no_main]

#[path = "../../tests/unit/formats/check.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    check::toolchains(bytes);
});
