//! Whether compiles can store results in the cache, as far as a look shows that changes nothing. A compile that cannot
//! store goes on in silence, so commands that show its outcome say so.

use crate::config::Config;
use crate::store::Tree;
use rustix::fs::{Access, StatVfs, access, statvfs};
use std::io::Error;
use std::path::Path;

/// With fewer free bytes than this, hardly a result can be stored.
const NO_ROOM: u64 = 64 * 1024;

/// Why compiles can store nothing in the cache, with a way out; `None` if they can, or are not to.
pub(super) fn storing_obstacle(config: &Config) -> Option<String> {
    let root = &config.dir.value;
    if config.readonly.value || !root.is_absolute() {
        return None;
    }
    let mut existing = root.ancestors();
    let existing = existing.find(|place| place.symlink_metadata().is_ok())?;
    let why = refusal(root, existing)?;
    Some(format!(
        "nothing can be stored in the cache: {why}; pcache doctor says what to do"
    ))
}

/// What is wrong with the cache in `root`, or with `existing`, in which it would be made.
fn refusal(root: &Path, existing: &Path) -> Option<String> {
    if !existing.is_dir() {
        return Some(format!("{existing:?} is not a directory"));
    }
    let mut places = vec![existing.to_owned()];
    if existing == root {
        let trees = Tree::ALL.iter().map(|tree| root.join(tree.path()));
        places.extend(trees.filter(|tree| tree.exists()));
    }
    let refused = places.iter().find_map(|place| {
        let error = access(place, Access::WRITE_OK | Access::EXEC_OK).err()?;
        Some(format!("cannot write in {place:?}: {}", Error::from(error)))
    });
    let is_full = |found: StatVfs| found.f_bavail.saturating_mul(found.f_frsize) < NO_ROOM;
    refused.or_else(|| {
        let is_full = statvfs(existing).is_ok_and(is_full);
        is_full.then(|| format!("the disk of {existing:?} is full"))
    })
}
