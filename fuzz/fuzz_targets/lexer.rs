//! Any bytes through the lexer and the normal forms: `cargo +nightly fuzz run lexer`.

#![no_main]

#[path = "../../tests/unit/includes/lexer/check.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    check::check(text);
});
