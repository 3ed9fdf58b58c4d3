//! What the digest table costs a hit: time and page faults of opening it and of looking up headers
//! whose inodes lie in a row, in a process that has not touched it before.
//!
//! `cargo run --release --example digests -- [DIRECTORY [COUNT]]`; each round is a process of its own.

#![expect(
    clippy::print_stdout,
    reason = "a program of its own, whose figures go to standard output"
)]

use pcache_nvcc::includes::digests::{Aspect, DigestTable, Sighting};
use pcache_nvcc::stat::{CoarseTime, Stat};
use rustix::process::{Resource, getrlimit};
use std::env;
use std::fs::File;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

const ROUNDS: usize = 41;
const FIRST_INODE: u64 = 5_433_045;

fn seen(ino: u64) -> Sighting {
    Sighting {
        stat: Stat::from_words([2049, ino, 13_000, 1, 1_000_000_001]),
        mount: None,
    }
}

fn main() {
    let mut arguments = env::args().skip(1);
    let dir = arguments.next().map_or_else(env::temp_dir, PathBuf::from);
    let dir = dir.join("pcache-digests-bench");
    let count: u64 = arguments
        .next()
        .map_or(1400, |count| count.parse().expect("a number"));
    if arguments.next().is_some() {
        println!("{}", round(&dir, count));
        return;
    }
    let table = DigestTable::open(&dir);
    assert!(table.is_shared(), "no table in {}", dir.display());
    let file = File::open(&dir).expect("the table's directory");
    let later = CoarseTime::now().plus(Duration::from_secs(3600));
    let begin = Instant::now();
    for ino in FIRST_INODE..FIRST_INODE + count {
        table.put(&file, &seen(ino), Aspect::CONTENT, &[7; 32], later);
    }
    let put = begin.elapsed();
    println!("{count} inodes in a row; put: {put:?} in all; medians of {ROUNDS} processes:");
    let mut columns = vec![Vec::new(); 6];
    for _ in 0..ROUNDS {
        let program = env::current_exe().expect("this program");
        let output = Command::new(program)
            .arg(dir.parent().expect("a parent"))
            .args([count.to_string(), "round".to_owned()])
            .output();
        let output = output.expect("this program runs");
        let text = String::from_utf8(output.stdout).expect("numbers");
        for (column, number) in columns.iter_mut().zip(text.split_whitespace()) {
            column.push(number.parse::<u64>().expect("a number"));
        }
    }
    let names = [
        "open, ns",
        "open, faults",
        "look up all, ns",
        "look up all, faults",
        "again, ns",
        "remembered",
    ];
    for (name, mut column) in names.into_iter().zip(columns) {
        column.sort_unstable();
        println!("{name:>20}  {}", column[column.len() / 2]);
    }
    std::fs::remove_dir_all(dir).expect("the directory can be removed");
}

/// One process's figures: open, look up everything, look it up again.
fn round(dir: &std::path::Path, count: u64) -> String {
    // Faults in the reading of figures are taken before they count.
    let _ = (minor_faults(), getrlimit(Resource::Fsize));
    let look_up = |table: &DigestTable| {
        let range = FIRST_INODE..FIRST_INODE + count;
        range
            .filter(|&ino| table.get(&seen(ino), Aspect::CONTENT).is_some())
            .count()
    };
    let _ = look_up(&DigestTable::nowhere());
    let (start, faults) = (Instant::now(), minor_faults());
    let table = DigestTable::open(dir);
    let (opened, open_faults) = (start.elapsed(), minor_faults() - faults);
    let (start, faults) = (Instant::now(), minor_faults());
    let found = look_up(&table);
    let (looked, look_faults) = (start.elapsed(), minor_faults() - faults);
    let start = Instant::now();
    let again = look_up(&table);
    let warm = start.elapsed();
    assert_eq!(found, again);
    format!(
        "{} {open_faults} {} {look_faults} {} {found}",
        opened.as_nanos(),
        looked.as_nanos(),
        warm.as_nanos()
    )
}

/// Field 10 of `/proc/self/stat`.
fn minor_faults() -> u64 {
    let text = std::fs::read_to_string("/proc/self/stat").expect("a process has a stat");
    let after_name = text.rsplit(") ").next().expect("fields");
    let field = after_name.split_whitespace().nth(7).expect("ten fields");
    field.parse().expect("a number")
}
