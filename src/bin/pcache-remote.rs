//! `pcache-remote`: talks to the servers of the shared level. Compiles start it when they need it; people use `pcache
//! remote`.

use pcache_nvcc::remote::helper::{keygen, serve, start, test};
use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "pcache-remote is started by pcache-nvcc; see pcache remote --help";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let words: Vec<&OsStr> = arguments.iter().map(AsRef::as_ref).collect();
    let done = match words.as_slice() {
        [mode, directory] if *mode == "start" => start(Path::new(directory)),
        [mode, directory] if *mode == "serve" => serve(Path::new(directory)),
        [mode, directory] if *mode == "test" => test(Path::new(directory)),
        [mode, name, file] if *mode == "keygen" => {
            let made = keygen(&name.to_string_lossy(), Path::new(file));
            made.and_then(|public| writeln!(io::stdout(), "{public}"))
        }
        _ => Err(io::Error::other(USAGE)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "pcache-remote: {error}");
            ExitCode::FAILURE
        }
    }
}
