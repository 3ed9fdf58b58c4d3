//! GNU make's jobserver, as compiles see it: a pipe or a fifo with a token for each job that may run.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, mkfifoat};
use rustix::io::{FdFlags, fcntl_setfd};

const TOKENS: &[u8] = b"abcd";

/// How processes reach the tokens.
#[derive(Clone, Copy, Debug)]
pub enum Style {
    /// Through open files that they are started with.
    Pipe,
    /// Through a name.
    Fifo,
}

/// A jobserver with tokens that are all different.
pub struct Jobserver {
    flags: String,
    tokens: &'static [u8],
    /// make's own way to the tokens; the one of all others must go on blocking.
    channel: File,
    _ends: Option<(OwnedFd, OwnedFd)>,
}

impl Jobserver {
    /// One with so many tokens, at most four. A fifo lies in `directory`.
    pub fn new(style: Style, tokens: usize, directory: &Path) -> Self {
        let (path, auth, ends) = match style {
            Style::Pipe => {
                let (reader, writer) = io::pipe().expect("a pipe");
                let ends = (OwnedFd::from(reader), OwnedFd::from(writer));
                for end in [&ends.0, &ends.1] {
                    fcntl_setfd(end, FdFlags::empty()).expect("children have it too");
                }
                let (reader, writer) = (ends.0.as_raw_fd(), ends.1.as_raw_fd());
                let path = format!("/proc/self/fd/{reader}").into();
                (path, format!("{reader},{writer}"), Some(ends))
            }
            Style::Fifo => {
                let path = directory.join("fifo");
                mkfifoat(CWD, &path, Mode::RWXU).expect("a fifo");
                let auth = format!("fifo:{}", path.display());
                (path, auth, None)
            }
        };
        let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
        let mut options = File::options();
        options.read(true).write(true).custom_flags(nonblocking);
        let mut channel = options.open(path).expect("the tokens");
        let tokens = &TOKENS[..tokens];
        channel.write_all(tokens).expect("tokens are given out");
        Self {
            flags: format!(" -j{} --jobserver-auth={auth}", tokens.len()),
            tokens,
            channel,
            _ends: ends,
        }
    }

    /// The value of MAKEFLAGS.
    pub fn flags(&self) -> &str {
        &self.flags
    }

    /// A token, if there is one.
    pub fn take(&mut self) -> Option<u8> {
        let mut token = [0];
        match self.channel.read(&mut token) {
            Ok(1) => Some(token[0]),
            Ok(_) => None,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(error) => panic!("taking a token: {error}"),
        }
    }

    /// Puts a token back.
    pub fn give_back(&mut self, token: u8) {
        self.channel.write_all(&[token]).expect("a token");
    }

    /// The tokens that are left, sorted, and those that there were.
    pub fn end(mut self) -> (Vec<u8>, &'static [u8]) {
        let mut left: Vec<u8> = std::iter::from_fn(|| self.take()).collect();
        left.sort_unstable();
        (left, self.tokens)
    }
}
