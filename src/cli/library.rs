//! The library that `pcache run` brings into programs: beside pcache, in `../lib`, or inside pcache itself, as after
//! `cargo install`, which installs programs alone. From there it is written out, since ld.so loads files only.

use super::context::Context;
use super::screen::complain;
use crate::files::make_private;
use crate::store::FileStore;
use anyhow::{Context as _, Error, bail};
use sha2::{Digest, Sha256};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Its file.
const NAME: &str = "libpcache_nvcc.so";

/// The directory of written libraries below that of a user's own files, which no other user can change.
const DIRECTORY: &str = "library";

/// A path of the library that ld.so can load. `None`, with a word about it, if pcache carries the library and cannot write
/// it: a cache trouble keeps no program from running.
pub(super) fn find(context: &mut Context<'_>) -> Result<Option<PathBuf>, Error> {
    let installed = installed(context.env.program.as_deref()).and_then(loadable);
    let (Err(_), Some(bytes)) = (&installed, context.env.library) else {
        return installed.map(Some);
    };
    let store = FileStore::from_config(context.config).map_err(Error::from);
    match store
        .and_then(|store| written(&store, bytes))
        .and_then(loadable)
    {
        Ok(path) => Ok(Some(path)),
        Err(error) => {
            let why = format_args!("kernels are compiled without the cache: {error:#}");
            complain(&mut context.err, why)?;
            Ok(None)
        }
    }
}

/// Fails if ld.so cannot be told of `path`.
fn loadable(path: PathBuf) -> Result<PathBuf, Error> {
    // Both end a name in LD_PRELOAD.
    if path
        .as_os_str()
        .as_bytes()
        .iter()
        .any(|byte| b": ".contains(byte))
    {
        bail!(
            "the dynamic linker cannot load {path:?}: install it at a path without colons and spaces"
        )
    }
    Ok(path)
}

/// The library that was installed with the program `own`.
fn installed(own: Option<&Path>) -> Result<PathBuf, Error> {
    let own = own.context(
        "cannot find the library beside this program: the program's own path is unknown",
    )?;
    // `current_exe` has followed all links.
    let folder = own.parent().unwrap_or(Path::new("/"));
    let beside = folder.parent().unwrap_or(folder).join("lib");
    let places = [folder.join(NAME), beside.join(NAME)];
    let found = places.iter().find(|place| place.is_file());
    let found = found.with_context(|| {
        let [beside, lib] = &places;
        format!(
            "cannot find {NAME}: looked for {} and {}; install it beside pcache or in ../lib",
            beside.display(),
            lib.display()
        )
    })?;
    Ok(found.clone())
}

/// The file of the library `bytes` below the user's own files, which is written unless it is there.
fn written(store: &FileStore, bytes: &[u8]) -> Result<PathBuf, Error> {
    let own = store.own_dir().with_context(|| {
        format!("this user has no directory to write {NAME} to; pcache doctor says why")
    })?;
    let digest = hex::encode(&Sha256::digest(bytes)[..8]);
    let directory = own.join(DIRECTORY).join(digest);
    let path = directory.join(NAME);
    if fs::read(&path).is_ok_and(|there| there == bytes) {
        return Ok(path);
    }
    let place = || -> io::Result<()> {
        make_private(&directory)?;
        // Others may load it at this moment, so it is complete before it has its name.
        let file = NamedTempFile::new_in(&directory)?;
        fs::write(file.path(), bytes)?;
        file.persist(&path)?;
        Ok(())
    };
    place().with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::written;
    use crate::store::FileStore;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    #[test]
    fn library_is_written_once_and_mended_where_it_was_changed() {
        let dir = tempfile::tempdir().unwrap();
        let store = FileStore::open(dir.path(), 1 << 30).unwrap();
        let path = written(&store, b"library").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"library");
        let directory = path.parent().unwrap();
        let mode = fs::metadata(directory).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);

        let inode = || fs::metadata(&path).unwrap().ino();
        let first = inode();
        assert_eq!(written(&store, b"library").unwrap(), path);
        assert_eq!(inode(), first, "it is written again");

        fs::write(&path, b"liberty").unwrap();
        assert_eq!(written(&store, b"library").unwrap(), path);
        assert_eq!(fs::read(&path).unwrap(), b"library");
        assert_eq!(fs::read_dir(directory).unwrap().count(), 1);
        assert_ne!(written(&store, b"another").unwrap(), path);
    }

    #[test]
    fn library_that_cannot_be_written_is_said_with_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let store = FileStore::open(dir.path(), 1 << 30).unwrap();
        fs::write(dir.path().join("library"), "in the way").unwrap();
        let said = format!("{:#}", written(&store, b"library").unwrap_err());
        assert!(
            said.contains("cannot write") && said.contains("libpcache_nvcc.so"),
            "{said}"
        );
    }
}
