//! How fast texts are read as tokens and digested: `tokens FILE…`

#![allow(clippy::print_stdout, reason = "a program for people")]

use pcache_nvcc::includes::lexer::tokens::Tokens;
use pcache_nvcc::includes::tokens;
use std::collections::BTreeMap;
use std::time::Instant;

fn main() {
    let read = |name| std::fs::read(name).expect("a file");
    let texts: Vec<_> = std::env::args_os().skip(1).map(read).collect();
    let bytes: usize = texts.iter().map(Vec::len).sum();
    let report = |what: &str, began: Instant, extra: String| {
        let seconds = began.elapsed().as_secs_f64();
        let speed = bytes as f64 / seconds / 1e6;
        println!(
            "{what}: {bytes} bytes in {:.1} ms, {speed:.0} MB/s, {extra}",
            seconds * 1e3
        );
    };
    for _ in 0..3 {
        let began = Instant::now();
        let count: usize = texts.iter().map(|text| Tokens::new(text).count()).sum();
        report("tokens", began, format!("{count} tokens and newlines"));
        let began = Instant::now();
        let some = texts.iter().filter_map(|text| tokens::digest(text)).count();
        report("digests", began, format!("{some} of {} texts", texts.len()));
    }
    let mut reasons = BTreeMap::new();
    for why in texts
        .iter()
        .filter_map(|text| tokens::normal_forms(text).err())
    {
        *reasons.entry(why).or_insert(0) += 1;
    }
    println!("without digests: {reasons:#?}");
}
