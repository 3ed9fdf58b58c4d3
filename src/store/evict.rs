//! Eviction above the limits on bytes and files: chooses which shards to list and how much to remove from each. A
//! small store is listed whole; in a large one each eviction lists the next few shards, so that no
//! single put pays for all. `docs/design/store.md#eviction` says how close that comes to listing all.

use super::StoreError;
use super::backend::Name;
use super::file::FileStore;
use super::kind::{Tree, Worth};
use super::own::Own;
use super::policy::{Candidate, Limits};
use super::scan::{MOST_LISTED, Shard};
use super::usage_log::fold;
use crate::files;
use crate::files::Directory;
use crate::stats::{Counter, SHARDS, ShardRow, StoreSize};
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use std::collections::HashSet;
use std::fs::File;
use std::io;

/// A store with at most this many files is listed whole, so that exactly the policy's victims are removed.
const SMALL: u64 = 8000;

/// The eviction of a put stops once it has removed this many files and made room for the put. Removing costs
/// far more than listing.
const MOST_REMOVED: usize = 256;

/// At most 1/2 of the listed bytes are removed at once, so that wrong totals (a flipped bit in the page)
/// do little harm before the next listing corrects them.
const MOST_SHARE: u128 = 2;

/// For a value of more than this part of the size limit, room is made before it is written. Smaller ones exceed the
/// limit until the eviction after them.
const LARGE: u64 = 20;

/// The progress of one eviction.
#[derive(Default)]
pub(super) struct EvictionWork {
    listed: u64,
    removed: usize,
    shards: usize,
    /// What is still to be sent to other machines, and stays.
    queued: HashSet<Name>,
    pub(super) trouble: Option<StoreError>,
}

/// What an eviction is to reach.
#[derive(Debug)]
struct Goal {
    limits: Limits,
    /// The size before the put that the eviction is to make up for.
    before: StoreSize,
    /// What stays.
    spared: Option<StoredName>,
    /// The worth of what may go; `None` for any.
    victims: Option<Worth>,
}

impl Goal {
    fn is_reached(&self, size: StoreSize) -> bool {
        size.bytes <= self.limits.max_bytes && size.files() <= self.limits.max_files
    }

    /// Whether the store is smaller than before the put, in all that exceeds a limit.
    fn is_made_up(&self, size: StoreSize) -> bool {
        (size.bytes < self.before.bytes || size.bytes <= self.limits.max_bytes)
            && (size.files() < self.before.files() || size.files() <= self.limits.max_files)
    }
}

/// A file of the store.
pub(super) type StoredName = (Tree, Name);

/// The part of the store that was listed for an eviction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ListedExtent {
    WholeStore,
    SomeShards,
}

impl EvictionWork {
    /// Keeps the first error.
    pub(super) fn note<T>(&mut self, result: Result<T, StoreError>) -> Option<T> {
        result
            .map_err(|error| self.trouble.get_or_insert(error))
            .ok()
    }
}

impl FileStore {
    /// The limits of this store.
    pub(super) fn limits(&self) -> Limits {
        Limits::below(self.max_bytes).with_files(self.max_files)
    }

    /// Evicts if the store exceeds a limit after a put. `before` is its size before the put: the eviction may stop when
    /// it has made up for that put. What was `put` is not evicted.
    pub(super) fn trim(&self, before: StoreSize, put: StoredName) -> Result<(), StoreError> {
        let goal = Goal {
            limits: self.limits(),
            before,
            spared: Some(put),
            victims: None,
        };
        self.shrink(&goal)
    }

    /// Evicts until a large value of `size` bytes fits below the size limit: for an intermediate, other intermediates
    /// alone.
    ///
    /// # Errors
    /// A directory cannot be listed, or a file not be removed.
    pub fn make_room(&self, size: u64, worth: Worth) -> Result<(), StoreError> {
        if size <= self.max_bytes / LARGE {
            return Ok(());
        }
        self.evict_to(self.max_bytes.saturating_sub(size), worth)
    }

    /// Evicts until at most `max_bytes` bytes are left, in favour of a file of this `worth`.
    pub(super) fn evict_to(&self, max_bytes: u64, worth: Worth) -> Result<(), StoreError> {
        let goal = Goal {
            limits: Limits::exactly(max_bytes),
            before: StoreSize::default(),
            spared: None,
            victims: (worth == Worth::Intermediate).then_some(worth),
        };
        self.shrink(&goal)
    }

    fn shrink(&self, goal: &Goal) -> Result<(), StoreError> {
        if goal.is_reached(self.counted()) {
            return Ok(());
        }
        let Some(root) = self.directory()? else {
            return Ok(());
        };
        let eviction_lock = lock(self.own.as_ref());
        // Another process evicts. It may be stopped: from 110 % of the limit on, this one evicts all the same.
        let (counted, eleventh) = (self.counted(), |number: u64| number / 11 * 10);
        let is_near = eleventh(counted.bytes) <= self.max_bytes
            && eleventh(counted.files()) <= self.max_files;
        if eviction_lock.is_none() && is_near {
            return Ok(());
        }
        self.sweep()?;
        let mut work = EvictionWork {
            queued: self.queued(goal.limits),
            ..EvictionWork::default()
        };
        let totals = self.stats.totals();
        // A single shard whose total is far too high is the fullest one; listing it corrects its total.
        let _ = work.note(self.scan_shard(&root, totals.fullest()));
        while !goal.is_reached(self.counted()) && work.shards < SHARDS {
            let group = self.next_group(&root, &mut work);
            self.thin_out(&root, &group, goal, &mut work);
            let is_enough = work.listed >= MOST_LISTED / 2 || work.removed >= MOST_REMOVED;
            if is_enough && goal.is_made_up(self.counted()) {
                break;
            }
        }
        work.trouble.map_or(Ok(()), Err)
    }

    fn counted(&self) -> StoreSize {
        self.stats.totals().size().unwrap_or_default()
    }

    /// Lists the next shards in turn, as many as one put may pay for; all of them in a small store.
    fn next_group(&self, root: &Directory, work: &mut EvictionWork) -> Vec<Shard> {
        let totals = self.stats.totals();
        let (mut group, mut listed, mut steps) = (Vec::new(), 0_u64, 0);
        let first = totals.take_turns(0);
        let files = totals.size().map_or(u64::MAX, |size| size.files());
        let max_listed = if files <= SMALL { SMALL } else { MOST_LISTED };
        while work.shards < SHARDS {
            let number = first.wrapping_add(steps as u8);
            steps += 1;
            let expected = totals.row(ShardRow::Shard(number)).files();
            work.shards += 1;
            if let Some(shard) = work.note(self.scan_shard(root, number)) {
                listed = listed.saturating_add(shard.size().files());
                group.push(shard);
            }
            // Saturating, because the page is not verified and may hold any number.
            if listed.saturating_add(expected) > max_listed {
                break;
            }
        }
        totals.take_turns(steps);
        work.listed = work.listed.saturating_add(listed);
        group
    }

    /// Removes the policy's victims from the shards of a group: the share of their bytes and files that all
    /// shards together have too many.
    fn thin_out(&self, root: &Directory, group: &[Shard], goal: &Goal, work: &mut EvictionWork) {
        let mut candidates = Vec::new();
        let mut files = Vec::new();
        let mut spared = 0;
        for shard in group {
            let facts = self.candidates(root, shard);
            for ((listing, tree, file), candidate) in shard.files().zip(facts) {
                let is_spared = file.name_in(shard.number).is_some_and(|name| {
                    goal.spared == Some((tree, name))
                        || self.is_kept(&work.queued, name, &candidate)
                });
                spared += u64::from(is_spared);
                if !is_spared && goal.victims.is_none_or(|worth| worth == tree.worth) {
                    candidates.push(candidate);
                    files.push((shard, listing, file));
                }
            }
        }
        let extent = if group.len() == SHARDS {
            ListedExtent::WholeStore
        } else {
            ListedExtent::SomeShards
        };
        for at in self.victims(&candidates, (extent, spared), goal) {
            if work.removed >= MOST_REMOVED && goal.is_made_up(self.counted()) {
                break;
            }
            let (shard, listing, file) = files[at];
            if work.note(self.remove_listed(shard, listing, file)) == Some(true) {
                self.stats.add(Counter::Evicted, 1);
                work.removed += 1;
            }
        }
        if self.policy.needs_log() {
            for shard in group {
                self.fold_log(root, shard, work);
            }
        }
    }

    /// Whether a file is still to be sent. What has expired is no use to other machines either.
    pub(super) fn is_kept(&self, queued: &HashSet<Name>, name: Name, file: &Candidate) -> bool {
        queued.contains(&name) && !self.policy.is_expired(file, files::now())
    }

    /// Indices of the candidates to remove, when `spared` files are not among them that were listed too.
    fn victims(
        &self,
        candidates: &[Candidate],
        (extent, spared): (ListedExtent, u64),
        goal: &Goal,
    ) -> Vec<usize> {
        let (limits, now) = (goal.limits, files::now());
        let listed = candidates.iter().map(|file| u128::from(file.size)).sum();
        let counted = self.counted();
        if extent == ListedExtent::WholeStore {
            // What is being written, and what is spared.
            let others = u128::from(counted.bytes).saturating_sub(listed);
            let others = u64::try_from(others).unwrap_or(u64::MAX);
            let limits = limits.without(others).without_files(spared);
            return self.policy.victims(candidates, limits, now);
        }
        let bytes = stays(listed, counted.bytes, limits.target_bytes);
        let files = stays(
            candidates.len() as u128,
            counted.files(),
            limits.target_files,
        );
        let limits = Limits::exactly(bytes).to_files(files);
        self.policy.victims(candidates, limits, now)
    }

    /// Folds the usage log of a shard, leaving out files that the listing does not have.
    pub(super) fn fold_log(&self, root: &Directory, shard: &Shard, work: &mut EvictionWork) {
        let listed = shard.files().filter_map(|(_, tree, file)| {
            let name = file.name_in(shard.number)?;
            Some((tree, name))
        });
        let listed: HashSet<_> = listed.collect();
        let folded = fold(root, shard.number, |file| listed.contains(file));
        let _ = work.note(folded.map_err(StoreError::io("fold a log in", &self.root.join("uses"))));
    }
}

/// How many of the `held` listed bytes stay if the store is to shrink from `counted` bytes to `target`.
fn stays(held: u128, counted: u64, target: u64) -> u64 {
    let total = u128::from(counted).max(1);
    let excess = total.saturating_sub(u128::from(target));
    // Sparse files can have sizes whose sum exceeds any disk.
    let removed = held
        .checked_mul(excess)
        .map_or(held, |product| product / total);
    u64::try_from(held - removed.min(held / MOST_SHARE)).unwrap_or(u64::MAX)
}

/// Takes the eviction lock, which lies in this user's own directory so that no other user can keep this one from
/// evicting. `None` if another process holds it; `Some(None)` if there can be no lock: then several processes may
/// evict at once, which only costs time.
pub(super) fn lock(own: Option<&Own>) -> Option<Option<File>> {
    let Some(own) = own.and_then(|own| own.root.held()) else {
        return Some(None);
    };
    match try_lock(own) {
        Ok(file) => Some(Some(file)),
        Err(error) if Errno::from_io_error(&error) == Some(Errno::WOULDBLOCK) => None,
        Err(_) => Some(None),
    }
}

fn try_lock(root: &Directory) -> io::Result<File> {
    let rights = root.rights()?;
    let file = root
        .make("locks")?
        .make_own("evict", OFlags::RDWR, rights)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::stays;

    #[test]
    fn as_large_a_part_goes_as_all_have_too_many_and_never_more_than_half() {
        assert_eq!(stays(1000, 100, 90), 900);
        assert_eq!(stays(1000, 100, 100), 1000);
        assert_eq!(stays(1000, 100, 0), 500);
        assert_eq!(stays(1000, 0, 0), 500);
        assert_eq!(stays(0, u64::MAX, 0), 0);
    }

    #[test]
    fn numbers_beyond_any_disk_are_no_trouble() {
        let most = u128::from(u64::MAX);
        assert_eq!(stays(most, u64::MAX, 0), u64::MAX / 2 + 1);
        assert_eq!(stays(4 * most, u64::MAX, 0), u64::MAX);
        assert_eq!(stays(u128::MAX, u64::MAX, 1), u64::MAX);
    }
}
