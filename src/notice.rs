//! What a compile tells its user once, and not again in the same build. A build has no name, so one ends when nothing had
//! to be told for a while.

use crate::files::make_private;
use crate::visible;
use rustix::process::geteuid;
use sha2::{Digest, Sha256};
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// After so long without the same trouble, it is told again.
const PAUSE: Duration = Duration::from_secs(600);

/// Below the user's runtime directory, or that for caches.
const DIRECTORY: &str = "pcache-nvcc-said";

/// Prints a line on stderr, unless a compile of this user has done so shortly before. If that cannot be known, it prints
/// it.
pub fn say_once(text: &str) {
    let line = visible::line(text);
    if !was_said(&line).unwrap_or(false) {
        eprintln!("pcache-nvcc: {line}");
    }
}

/// Whether the line was said within [`PAUSE`]. From now on it was.
fn was_said(line: &str) -> io::Result<bool> {
    let mark = directory()?.join(hex::encode(&Sha256::digest(line)[..16]));
    let said = fs::metadata(&mark).and_then(|metadata| metadata.modified());
    let age = said.map(|said| SystemTime::now().duration_since(said));
    let was_said = age.is_ok_and(|age| age.is_ok_and(|age| age < PAUSE));
    let mark = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .custom_flags(libc::O_NOFOLLOW)
        .open(mark)?;
    mark.set_modified(SystemTime::now())?;
    Ok(was_said)
}

/// A directory of this user alone for the marks: not in the cache, which may be what the trouble is about.
fn directory() -> io::Result<PathBuf> {
    let user = geteuid().as_raw();
    let parent = dirs::runtime_dir().or_else(dirs::cache_dir);
    let parent = parent.ok_or(ErrorKind::NotFound)?;
    let directory = parent.join(DIRECTORY);
    make_private(&directory)?;
    let is_ours = |metadata: Metadata| metadata.is_dir() && metadata.uid() == user;
    // The parent is another user's with some ways to become root.
    let is_ours = is_ours(fs::metadata(&parent)?)
        && fs::symlink_metadata(&directory)
            .is_ok_and(|metadata| metadata.mode() & 0o077 == 0 && is_ours(metadata));
    is_ours
        .then_some(directory)
        .ok_or_else(|| ErrorKind::PermissionDenied.into())
}
