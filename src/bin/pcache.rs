//! `pcache`: the program for people.

use anstream::{AutoStream, ColorChoice};
use pcache_nvcc::cli::{Colours, Env};
use std::ffi::OsString;
use std::io::{BufWriter, IsTerminal, stderr, stdout};
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    // By NO_COLOR, CLICOLOR, CLICOLOR_FORCE and TERM, and by where the stream leads.
    let out_colours = match AutoStream::choice(&stdout()) {
        ColorChoice::Never => Colours::None,
        _ => Colours::Shown,
    };
    let env = Env {
        var: &|name| std::env::var_os(name),
        variables: std::env::vars_os().map(|(name, _)| name).collect(),
        program: std::env::current_exe().ok(),
        out_colours,
        out_is_terminal: stdout().is_terminal(),
        err_is_terminal: stderr().is_terminal(),
    };
    let mut out = BufWriter::new(stdout().lock());
    ExitCode::from(pcache_nvcc::cli::run(
        &arguments,
        &env,
        &mut out,
        &mut stderr().lock(),
    ))
}
