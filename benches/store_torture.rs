//! Kills processes that work on one store, for as many rounds as asked. Started by
//! `scripts/store-torture`.

#[path = "../tests/store/torture/kills.rs"]
mod torture;

use std::env;
use std::io::{self, Write};
use std::process::Command;

fn main() -> io::Result<()> {
    torture::work_if_asked();
    let mut arguments = env::args().skip(1);
    let mut number = |or| {
        arguments
            .next()
            .map_or(or, |text| text.parse().expect("a number"))
    };
    let (rounds, seed) = (number(1000), number(torture::any_seed()));
    let mut out = io::stdout();
    writeln!(out, "{rounds} rounds from seed {seed}")?;
    let dir = tempfile::tempdir()?;
    let program = env::current_exe()?;
    let report = torture::run(dir.path(), rounds, seed, || Command::new(&program));
    writeln!(out, "{report:#?}")
}
