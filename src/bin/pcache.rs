//! `pcache`: the program for people.

use std::ffi::OsString;
use std::io::{BufWriter, stderr, stdout};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let env = |name: &str| std::env::var_os(name);
    let mut out = BufWriter::new(stdout().lock());
    ExitCode::from(pcache_nvcc::cli::run(
        &arguments,
        &env,
        &mut out,
        &mut stderr().lock(),
    ))
}
