//! The files of settings besides the user's own: where they lie, and how one of them is read. Unaware of settings.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The name of a file of settings that a checkout brings along.
pub const CHECKOUT_FILE: &str = ".pcache.toml";

/// A checkout's file may come from anywhere, and is read by every compile.
const LARGEST_CHECKOUT_FILE: u64 = 64 * 1024;

/// Where files of settings are looked for besides the user's own. Not a setting: otherwise a variable could put
/// another file in the place of the administrator's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SettingsPlaces<'a> {
    /// The file for all users of the machine.
    pub(crate) system: &'a Path,
    /// The working directory; empty for that of this process.
    pub(crate) directory: &'a Path,
}

impl SettingsPlaces<'static> {
    /// Those of this process.
    pub(super) fn of_process() -> Self {
        Self {
            system: Path::new("/etc/pcache/config.toml"),
            directory: Path::new(""),
        }
    }
}

/// Who has written a file of settings, and so which keys it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileOrigin {
    /// The user or the administrator: every key.
    Trusted,
    /// The authors of a checkout, whom the user may not know: only keys that can do no harm.
    Checkout,
}

/// A file of settings, parsed.
pub(super) struct SettingsFile {
    pub(super) path: PathBuf,
    pub(super) origin: FileOrigin,
    pub(super) table: toml::Table,
}

impl SettingsFile {
    /// Reads the file at `path`. `None` if there is none.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(super) fn read(path: &Path, origin: FileOrigin) -> Result<Option<Self>, String> {
        let text = match read(path, origin) {
            Ok(text) => text,
            // If a parent is a file, there is no such file either.
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(format!("cannot be read ({error})")),
        };
        match text.parse() {
            Ok(table) => Ok(Some(Self {
                path: path.to_owned(),
                origin,
                table,
            })),
            Err(error) => {
                let error: toml::de::Error = error;
                let line = error.span().map_or(1, |span| line_of(&text, span.start));
                Err(format!("line {line}: {}", error.message()))
            }
        }
    }
}

fn read(path: &Path, origin: FileOrigin) -> io::Result<String> {
    if origin == FileOrigin::Trusted {
        return std::fs::read_to_string(path);
    }
    // A link could lead to a private file, whose text would then be in messages; a pipe would stop the compile.
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
        .map_err(|error| match error.raw_os_error() {
            Some(libc::ELOOP) => io::Error::other("it is a link"),
            _ => error,
        })?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if metadata.len() > LARGEST_CHECKOUT_FILE {
        return Err(io::Error::other("it is larger than 64 KiB"));
    }
    let mut text = String::new();
    file.take(LARGEST_CHECKOUT_FILE).read_to_string(&mut text)?;
    Ok(text)
}

/// Where the files of checkouts may lie for a compile in `directory`, nearest first: there, and in the directories
/// above it up to `base`, if it lies below that.
pub(super) fn checkout_files(directory: &Path, base: Option<&Path>) -> Vec<PathBuf> {
    // Without a base the current directory need not be known.
    let near = vec![directory.join(CHECKOUT_FILE)];
    let Some(base) = base else { return near };
    let Ok(directory) = std::path::absolute(directory.join(".")) else {
        return near;
    };
    let above = |base: &Path| -> Option<Vec<PathBuf>> {
        let is_below = directory.starts_with(base);
        let directories = directory
            .ancestors()
            .take_while(|ancestor| ancestor.starts_with(base));
        is_below.then(|| directories.map(|at| at.join(CHECKOUT_FILE)).collect())
    };
    above(base)
        // The system knows the working directory without links.
        .or_else(|| above(&std::fs::canonicalize(base).ok()?))
        .unwrap_or(near)
}

/// The number of the line, from 1, that contains the byte at `offset`.
fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    before.filter(|&&byte| byte == b'\n').count() + 1
}
