//! A client of GNU make's jobserver: a pipe, with or without a name, that holds a byte (a token) for every job
//! that may run besides those that run already.
//!
//! Specified in <https://www.gnu.org/software/make/manual/html_node/POSIX-Jobserver.html>.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, lstat, open, stat};
use rustix::io::{Errno, read, write};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Options of MAKEFLAGS that name a jobserver. The second one is that of GNU make before 4.2.
const OPTIONS: [&[u8]; 2] = [b"--jobserver-auth=", b"--jobserver-fds="];

/// A jobserver that the environment names.
#[derive(Debug)]
pub(super) struct Jobserver {
    /// `None` if this process cannot use the jobserver.
    channel: Option<OwnedFd>,
}

impl Jobserver {
    /// The jobserver that `makeflags` name, if any.
    pub(super) fn find(makeflags: &OsStr) -> Option<Self> {
        let address = address(makeflags)?;
        let channel = address.and_then(|address| match address {
            JobserverAddress::Fifo(path) => fifo(&path).ok(),
            JobserverAddress::Pipe(ends) => pipe(ends).ok(),
        });
        Some(Self { channel })
    }

    /// Takes a token, if there is one.
    pub(super) fn take(&self) -> Option<u8> {
        let mut token = [0];
        loop {
            match read(self.channel.as_ref()?, &mut token) {
                Ok(1) => return Some(token[0]),
                Err(Errno::INTR) => {}
                _ => return None,
            }
        }
    }

    /// Returns a token that [`Jobserver::take`] gave. It must be the same byte, since make may use different ones.
    pub(super) fn give_back(&self, token: u8) {
        while let Some(channel) = &self.channel {
            match write(channel, &[token]) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    let mut writable = [PollFd::new(channel, PollFlags::OUT)];
                    let _ = poll(&mut writable, None);
                }
                // Nothing can be done about a broken pipe: the build is over.
                _ => return,
            }
        }
    }

    /// A descriptor that is readable while there are tokens.
    pub(super) fn wake(&self) -> Option<BorrowedFd<'_>> {
        self.channel.as_ref().map(AsFd::as_fd)
    }
}

#[derive(Debug, PartialEq, Eq)]
enum JobserverAddress {
    Fifo(PathBuf),
    /// The descriptors to read and to write.
    Pipe([u32; 2]),
}

/// The address of the jobserver, if one is named; `Some(None)` if it is disabled, or named in a way that
/// this program does not know. The last of several options applies; after `--` come variables.
fn address(makeflags: &OsStr) -> Option<Option<JobserverAddress>> {
    let words = makeflags.as_bytes().split(|byte| *byte == b' ');
    let flags = words.take_while(|word| *word != b"--");
    let values = flags.filter_map(|word| OPTIONS.iter().find_map(|name| word.strip_prefix(*name)));
    let value = values.last()?;
    if let Some(path) = value.strip_prefix(b"fifo:") {
        let path = OsString::from_vec(path.to_vec());
        return Some(Some(JobserverAddress::Fifo(path.into())));
    }
    let numbers = std::str::from_utf8(value).ok().and_then(|text| {
        let (read, write) = text.split_once(',')?;
        // With negative numbers make says that it has closed the descriptors. They do not parse as this type.
        Some([read.parse().ok()?, write.parse().ok()?])
    });
    Some(numbers.map(JobserverAddress::Pipe))
}

/// Opens for both directions, so that reading never reaches an end of file; and non-blocking, which is a
/// property of this open file description only.
const FLAGS: OFlags = OFlags::RDWR.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

fn fifo(path: &Path) -> io::Result<OwnedFd> {
    let channel = open(path, FLAGS, Mode::empty())?;
    if is_pipe(&fstat(&channel)?) {
        Ok(channel)
    } else {
        Err(io::Error::other("not a pipe"))
    }
}

/// Opens the pipe behind two inherited descriptors. They are make's only if they are still open, and are
/// the ends of one pipe: make closes them for recipes that it does not recognise as a make, and another program
/// may have opened other files under these numbers. The pipe is opened again, because it must stay blocking for
/// all other processes.
fn pipe(ends: [u32; 2]) -> io::Result<OwnedFd> {
    let [reading, writing] = ends.map(|number| format!("/proc/self/fd/{number}"));
    let (source, sink) = (stat(&reading)?, stat(&writing)?);
    let is_one = (source.st_dev, source.st_ino) == (sink.st_dev, sink.st_ino);
    // The modes of the links themselves show whether each is open for reading or writing.
    let may_read = lstat(&reading)?.st_mode & 0o400 != 0;
    let may_write = lstat(&writing)?.st_mode & 0o200 != 0;
    if !(is_pipe(&source) && is_one && may_read && may_write) {
        return Err(io::Error::other("not the ends of a pipe"));
    }
    Ok(open(&reading, FLAGS, Mode::empty())?)
}

fn is_pipe(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Fifo
}

#[cfg(test)]
mod tests {
    use super::{Jobserver, JobserverAddress, address};
    use std::ffi::OsStr;
    use std::io::{Read, Write, pipe};
    use std::os::fd::AsRawFd;

    #[track_caller]
    fn names(makeflags: &str, expected: Option<Option<JobserverAddress>>) {
        assert_eq!(address(OsStr::new(makeflags)), expected, "{makeflags:?}");
    }

    #[test]
    fn every_make_names_its_jobserver_in_its_own_way() {
        let fifo = |path: &str| Some(Some(JobserverAddress::Fifo(path.into())));
        let pipe = |read, write| Some(Some(JobserverAddress::Pipe([read, write])));
        names("", None);
        names("kw -j", None);
        names(" -j4 --jobserver-auth=3,4", pipe(3, 4));
        names(" -j --jobserver-fds=5,6 -O", pipe(5, 6));
        names(
            "s -j8 --jobserver-auth=fifo:/tmp/GMfifo1",
            fifo("/tmp/GMfifo1"),
        );
        names("--jobserver-auth=3,4 --jobserver-auth=fifo:a", fifo("a"));
        names(
            " -j2 --jobserver-auth=3,4 -- X=--jobserver-auth=7,8",
            pipe(3, 4),
        );
        for disabled in ["-2,-2", "3,-1", "3", "3,4,5", "sem:name", ""] {
            names(&format!("-j2 --jobserver-auth={disabled}"), Some(None));
        }
    }

    /// The jobserver by its descriptors, open in this very process.
    fn server(read: i32, write: i32) -> Jobserver {
        let flags = format!("-j3 --jobserver-auth={read},{write}");
        Jobserver::find(OsStr::new(&flags)).unwrap()
    }

    #[test]
    fn tokens_go_and_come_back_as_the_same_bytes_and_the_pipe_still_blocks() {
        let (mut reader, mut writer) = pipe().unwrap();
        writer.write_all(b"+x").unwrap();
        let server = server(reader.as_raw_fd(), writer.as_raw_fd());
        assert_eq!([server.take(), server.take()], [Some(b'+'), Some(b'x')]);
        assert_eq!(server.take(), None);
        let flags = rustix::fs::fcntl_getfl(&reader).unwrap();
        assert!(!flags.contains(rustix::fs::OFlags::NONBLOCK));
        server.give_back(b'x');
        server.give_back(b'+');
        let mut all = [0; 2];
        reader.read_exact(&mut all).unwrap();
        assert_eq!(&all, b"x+");
    }

    #[test]
    fn descriptors_that_are_not_the_ends_of_one_pipe_are_left_alone() {
        let (reader, mut writer) = pipe().unwrap();
        let (other, _other_writer) = pipe().unwrap();
        let file = tempfile::tempfile().unwrap();
        let dead = i32::MAX;
        let (r, w) = (reader.as_raw_fd(), writer.as_raw_fd());
        let bad = [
            (w, r),
            (other.as_raw_fd(), w),
            (file.as_raw_fd(), file.as_raw_fd()),
            (r, dead),
            (dead, w),
        ];
        writer.write_all(b"+").unwrap();
        for (read, write) in bad {
            let server = server(read, write);
            assert!(server.wake().is_none(), "{read},{write}");
            assert_eq!(server.take(), None);
        }
        assert_eq!(server(r, w).take(), Some(b'+'));
    }

    #[test]
    fn fifo_that_is_gone_or_no_fifo_is_no_channel() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        let find = || {
            let flags = format!("--jobserver-auth=fifo:{}", path.display());
            Jobserver::find(OsStr::new(&flags)).unwrap()
        };
        assert!(find().wake().is_none());
        std::fs::write(&path, "++").unwrap();
        assert!(find().wake().is_none());
    }
}
