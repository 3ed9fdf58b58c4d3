//! `pcache`: the program for people.

use anstream::{AutoStream, ColorChoice};
use pcache_nvcc::cli::{Colours, Env};
use std::ffi::OsString;
use std::io::{BufWriter, IsTerminal, stderr, stdout};
use std::process::ExitCode;

// The package's library, which cargo has linked before it compiles this program (build.rs says where and when). Not by
// `include_bytes!`, which would need the file for `cargo check` too.
#[cfg(library_inside)]
std::arch::global_asm!(
    ".pushsection .rodata.pcache_library, \"a\"",
    ".global pcache_library_begin",
    ".hidden pcache_library_begin",
    "pcache_library_begin:",
    concat!(".incbin \"", env!("PCACHE_LIBRARY"), "\""),
    ".global pcache_library_end",
    ".hidden pcache_library_end",
    "pcache_library_end:",
    ".popsection",
);

/// The library that `pcache run` brings into programs.
#[cfg(library_inside)]
fn library() -> Option<&'static [u8]> {
    unsafe extern "C" {
        static pcache_library_begin: u8;
        static pcache_library_end: u8;
    }
    let (begin, end) = (
        &raw const pcache_library_begin,
        &raw const pcache_library_end,
    );
    // SAFETY: the assembly above puts both around bytes of one read-only section, which nothing changes.
    Some(unsafe { std::slice::from_raw_parts(begin, end.offset_from_unsigned(begin)) })
}

#[cfg(not(library_inside))]
fn library() -> Option<&'static [u8]> {
    None
}

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
        library: library(),
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
