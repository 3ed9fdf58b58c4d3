//! The least that a sound hit can do: look at every file the object was made of, and copy the object.
//! `scripts/bench` measures hits against it.
//!
//! `floor LIST OBJECT OUTPUT`: LIST names a file a line; OBJECT is read whole, written beside OUTPUT and
//! renamed to it.

use std::env;
use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let [list, object, output] = arguments.as_slice() else {
        return Err("floor LIST OBJECT OUTPUT".into());
    };
    let mut newest = 0;
    for line in fs::read(list)?.split(|byte| *byte == b'\n') {
        if !line.is_empty() {
            let found = fs::metadata(OsStr::from_bytes(line))?;
            newest = newest.max(std::os::unix::fs::MetadataExt::mtime(&found));
        }
    }
    if newest < 0 {
        return Err("every file is older than 1970".into());
    }
    let mut beside = output.clone();
    beside.push(".floor");
    fs::write(&beside, fs::read(object)?)?;
    fs::rename(PathBuf::from(beside), output)?;
    Ok(())
}
