//! What nvcc and its stages print, and how it is printed: whole, whatever the streams are. Does not know what
//! it says.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::stdio::{stderr, stdout};
use std::io;
use std::os::fd::BorrowedFd;

/// What nvcc and its stages print.
#[derive(Default)]
pub(crate) struct Printed {
    /// On standard output.
    pub stdout: Vec<u8>,
    /// On standard error.
    pub stderr: Vec<u8>,
}

impl Printed {
    pub(crate) fn show(&self) {
        // A reader that went away is not the compile's failure.
        let _ = write_patiently(stdout(), &self.stdout);
        let _ = write_patiently(stderr(), &self.stderr);
    }
}

/// Writes all of `bytes`, also to a pipe that a build tool has made non-blocking.
fn write_patiently(stream: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(stream, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let mut room = [PollFd::from_borrowed_fd(stream, PollFlags::OUT)];
                match poll(&mut room, None) {
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
