//! The command line of the helper programs. Compiles start them when they need them; people use `pcache remote`.

use super::serve::{keygen, serve, start, test};
use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// Does what the process's arguments ask for. `program` is its name.
pub fn main(program: &str) -> ExitCode {
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
        _ => Err(io::Error::other(
            "it is started by pcache-nvcc; see pcache remote --help",
        )),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{program}: {error}");
            ExitCode::FAILURE
        }
    }
}
