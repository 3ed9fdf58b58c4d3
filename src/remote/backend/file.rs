//! A directory that machines mount, such as a share by NFS or SMB. A value `main/ac/…` is the file of that path.
//!
//! The directory itself must exist: if the share is not mounted, nothing is written to the disk below. Where the mount
//! point exists without the share, the URL must name a directory inside the share. Reads and writes of a share whose
//! server is silent block in the kernel, and no timeout of this program ends them; mount it with `soft` or `timeo`.
//!
//! A writer that is killed leaves a file `.tmp-…` beside the values. No reader takes it for a value.

use super::contract::check_name;
use super::url::ServerUrl;
use super::{BackendError, BadUrl, RemoteBackend, ServerFault};
use crate::files::{Directory, RightsKind, is_missing, now};
use rustix::fs::{FileType, fstat};
use rustix::io::Errno;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// Memory that is reserved at once for a value.
const RESERVED: u64 = 64 * 1024 * 1024;

/// A directory of values.
pub(super) struct FileBackend {
    root: PathBuf,
    server: String,
}

impl FileBackend {
    pub(super) fn new(url: &ServerUrl) -> Result<Self, BadUrl> {
        url.check_parameters(&[])?;
        let root = url.local_path()?;
        Ok(Self {
            server: root.clone(),
            root: root.into(),
        })
    }

    fn root(&self) -> Result<Directory, BackendError> {
        Directory::root(&self.root).map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied => self.name(&error),
            _ => BackendError::Unreachable(self.fault(error.to_string())),
        })
    }

    /// Opens the file of a value without following a link. `None` = missing.
    fn open(&self, name: &str) -> Result<Option<(File, u64)>, BackendError> {
        check_name(&self.server, name)?;
        let opened = self.root()?.open(name).and_then(|file| {
            let Some(file) = file else { return Ok(None) };
            let stat = fstat(&file)?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                return Err(ErrorKind::InvalidData.into());
            }
            Ok(Some((file, u64::try_from(stat.st_size).unwrap_or(0))))
        });
        match opened {
            Err(error) if is_missing(&error) => Ok(None),
            opened => opened.map_err(|error| self.name(&error)),
        }
    }

    fn fault(&self, why: impl Into<String>) -> ServerFault {
        ServerFault {
            server: self.server.clone(),
            why: why.into(),
        }
    }

    fn name(&self, error: &io::Error) -> BackendError {
        let fault = self.fault(error.to_string());
        match Errno::from_io_error(error) {
            Some(Errno::ACCESS | Errno::PERM | Errno::ROFS) => BackendError::Denied(fault),
            Some(Errno::NOSPC | Errno::DQUOT) => BackendError::Full(fault),
            Some(Errno::FBIG) => BackendError::TooLarge(fault),
            Some(
                Errno::NODEV
                | Errno::NOTCONN
                | Errno::HOSTDOWN
                | Errno::HOSTUNREACH
                | Errno::NETUNREACH
                | Errno::CONNREFUSED
                | Errno::TIMEDOUT,
            ) => BackendError::Unreachable(fault),
            Some(Errno::LOOP | Errno::NOTDIR | Errno::ISDIR | Errno::NXIO) => {
                BackendError::Garbled(self.fault("a value is not a regular file"))
            }
            None if error.kind() == ErrorKind::InvalidData => {
                BackendError::Garbled(self.fault("a value is not a regular file"))
            }
            _ => BackendError::Server(fault),
        }
    }

    fn too_large(&self, size: u64) -> BackendError {
        BackendError::TooLarge(self.fault(format!("the value has {size} bytes or more")))
    }
}

impl RemoteBackend for FileBackend {
    fn get(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>, BackendError> {
        let Some((file, size)) = self.open(name)? else {
            return Ok(None);
        };
        if size > most {
            return Err(self.too_large(size));
        }
        let mut value = Vec::with_capacity(size.min(RESERVED) as usize);
        // A writer that is not this program may let the file grow meanwhile.
        let limit = most.saturating_add(1);
        let read = file.take(limit).read_to_end(&mut value);
        read.map_err(|error| self.name(&error))?;
        let read = value.len() as u64;
        if read > most {
            return Err(self.too_large(read));
        }
        Ok(Some(value))
    }

    fn put(&self, name: &str, value: &[u8]) -> Result<(), BackendError> {
        check_name(&self.server, name)?;
        let root = self.root()?;
        write(&root, name, value).map_err(|error| self.name(&error))
    }

    fn has(&self, name: &str) -> Result<bool, BackendError> {
        Ok(self.open(name)?.is_some())
    }

    fn probe(&self) -> Result<(), BackendError> {
        let root = self.root()?;
        // Asks the file system itself, as a descriptor may outlive the share.
        let rights = root.rights().map(drop);
        rights.map_err(|error| self.name(&error))
    }
}

/// Writes a value under a temporary name and renames it.
fn write(root: &Directory, name: &str, value: &[u8]) -> io::Result<()> {
    /// Part of the name, which must differ between the threads of a process.
    static TURN: AtomicU64 = AtomicU64::new(0);
    let made;
    let (directory, name) = match name.rsplit_once('/') {
        Some((parents, name)) => {
            made = root.make(parents)?;
            (&made, name)
        }
        None => (root, name),
    };
    let turn = TURN.fetch_add(1, Ordering::Relaxed);
    let temporary = format!(".tmp-{}-{turn}-{:x}", std::process::id(), now());
    let mut file = directory.create(&temporary, root.rights()?, RightsKind::Owned)?;
    // Some file systems report a full disk only when the data is flushed.
    let placed = file
        .write_all(value)
        .and_then(|()| file.sync_data())
        .and_then(|()| directory.rename(&temporary, directory, name).map(drop));
    if placed.is_err() {
        let _ = directory.remove(&CString::new(temporary)?);
    }
    placed
}
