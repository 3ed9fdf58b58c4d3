//! `moved FILE…`: what the marker-free digest says of preprocessed texts, and how long it takes.

use pcache_nvcc::includes::line_insensitive::line_insensitive_digest;
use std::time::Instant;

#[allow(clippy::print_stdout)] // a program for people
fn main() -> std::io::Result<()> {
    for path in std::env::args().skip(1) {
        let text = std::fs::read(&path)?;
        let start = Instant::now();
        let moved = line_insensitive_digest(&text);
        let time = start.elapsed();
        match moved {
            Ok(moved) => println!(
                "{path} {} {time:.1?} {}",
                hex::encode(&moved.digest[..8]),
                moved.keeps
            ),
            Err(doubt) => println!("{path} none {time:.1?} {doubt:?}"),
        }
    }
    Ok(())
}
