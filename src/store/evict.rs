//! Eviction: which shards are listed when the store holds too much, and how much goes from each. A
//! small store is listed whole; of a large one each eviction lists a few shards in turn, so that no
//! single put pays for all of it. `docs/design/store.md#eviction` says how near that comes to a whole listing.

use super::StoreError;
use super::file::FileStore;
use super::own::Own;
use super::policy::{Candidate, Limits, Nanos};
use super::scan::{MOST_LISTED, Shard};
use super::sharded_directory::name_of;
use super::usage_log::fold;
use crate::files;
use crate::files::Directory;
use crate::stats::{Counter, SHARDS, ShardRow};
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use std::collections::HashSet;
use std::fs::File;
use std::io;

/// A store with no more files is listed whole, so that exactly what the policy names goes.
const SMALL: u64 = 8000;

/// So many files are removed on behalf of one put, or as many as make room for it. Removing costs far
/// more than listing.
const MOST_REMOVED: usize = 256;

/// At most half of what is listed goes at once, so that totals gone wrong (a flipped bit in the page)
/// cost little before the next listing corrects them.
const MOST_SHARE: u128 = 2;

/// What one eviction has done so far.
#[derive(Default)]
pub(super) struct EvictionWork {
    listed: u64,
    removed: usize,
    shards: usize,
    pub(super) trouble: Option<StoreError>,
}

impl EvictionWork {
    pub(super) fn note<T>(&mut self, result: Result<T, StoreError>) -> Option<T> {
        result
            .map_err(|error| self.trouble.get_or_insert(error))
            .ok()
    }
}

impl FileStore {
    /// Evicts if the counted size is over the cap. `before` is what was counted before the put that
    /// asks: an eviction has done its duty when it has made up for that put.
    pub(super) fn trim(&self, before: u64) -> Result<(), StoreError> {
        if self.is_small_enough() {
            return Ok(());
        }
        let Some(root) = self.directory()? else {
            return Ok(());
        };
        let held = lock(self.own.as_ref());
        // A process that was stopped while it evicts keeps the others from it for a while only.
        if held.is_none() && self.counted() / 11 * 10 <= self.max_bytes {
            return Ok(());
        }
        self.sweep()?;
        let mut work = EvictionWork::default();
        let totals = self.stats.totals();
        // One shard with a wrong total is the fullest or does no harm.
        let _ = work.note(self.scan_shard(&root, totals.fullest()));
        while !self.is_small_enough() && work.shards < SHARDS {
            let group = self.next_group(&root, &mut work);
            self.thin_out(&root, &group, before, &mut work);
            let is_enough = work.listed >= MOST_LISTED / 2 || work.removed >= MOST_REMOVED;
            if is_enough && self.counted() < before {
                break;
            }
        }
        work.trouble.map_or(Ok(()), Err)
    }

    fn counted(&self) -> u64 {
        let size = self.stats.totals().size();
        size.map_or(0, |size| size.bytes)
    }

    fn is_small_enough(&self) -> bool {
        self.counted() <= self.max_bytes
    }

    /// Lists the next shards in turn, as many as one put may pay for; all, if that is not too much.
    fn next_group(&self, root: &Directory, work: &mut EvictionWork) -> Vec<Shard> {
        let totals = self.stats.totals();
        let (mut group, mut listed, mut steps) = (Vec::new(), 0_u64, 0);
        let first = totals.take_turns(0);
        let files = totals.size().map_or(u64::MAX, |size| size.files());
        let most = if files <= SMALL { SMALL } else { MOST_LISTED };
        while work.shards < SHARDS {
            let number = first.wrapping_add(steps as u8);
            steps += 1;
            let expected = totals.row(ShardRow::Shard(number)).files();
            work.shards += 1;
            if let Some(shard) = work.note(self.scan_shard(root, number)) {
                listed = listed.saturating_add(shard.size().files());
                group.push(shard);
            }
            // What is counted may be any number: nothing vouches for the page.
            if listed.saturating_add(expected) > most {
                break;
            }
        }
        totals.take_turns(steps);
        work.listed = work.listed.saturating_add(listed);
        group
    }

    /// Removes what the policy says from the shards of a group: as large a part of their bytes as
    /// all shards together have too many.
    fn thin_out(&self, root: &Directory, group: &[Shard], before: u64, work: &mut EvictionWork) {
        let now = files::now();
        let candidates = |shard| self.candidates(root, shard);
        let candidates: Vec<Candidate> = group.iter().flat_map(candidates).collect();
        let files = group.iter().flat_map(|shard| {
            let files = shard.files();
            files.map(move |(listing, _, file)| (shard, listing, file))
        });
        let files: Vec<_> = files.collect();
        let is_whole = group.len() == SHARDS;
        for at in self.victims(&candidates, is_whole, now) {
            if work.removed >= MOST_REMOVED && self.counted() < before {
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

    fn victims(&self, candidates: &[Candidate], is_whole: bool, now: Nanos) -> Vec<usize> {
        let limits = Limits::below(self.max_bytes);
        if is_whole {
            let unfinished = self.stats.totals().row(ShardRow::Unfinished).bytes;
            return self
                .policy
                .victims(candidates, limits.without(unfinished), now);
        }
        let held: u128 = candidates.iter().map(|one| u128::from(one.size)).sum();
        let stays = stays(held, self.counted(), limits.target_bytes);
        self.policy.victims(candidates, Limits::exactly(stays), now)
    }

    /// Leaves out of the log of uses what is not there any more.
    pub(super) fn fold_log(&self, root: &Directory, shard: &Shard, work: &mut EvictionWork) {
        let named = shard.files().filter_map(|(_, sort, file)| {
            let name = name_of(shard.number, &file.name)?;
            Some((sort, name))
        });
        let there: HashSet<_> = named.collect();
        let folded = fold(root, shard.number, |file| there.contains(file));
        let _ = work.note(folded.map_err(StoreError::io("fold a log in", &self.root.join("uses"))));
    }
}

/// Of the `held` bytes that were listed, those that stay where `counted` are to become `target`.
fn stays(held: u128, counted: u64, target: u64) -> u64 {
    let total = u128::from(counted).max(1);
    let excess = total.saturating_sub(u128::from(target));
    // Files with holes may seem to hold more than any disk.
    let part = held.checked_mul(excess).map_or(held, |part| part / total);
    u64::try_from(held - part.min(held / MOST_SHARE)).unwrap_or(u64::MAX)
}

/// The lock of who evicts, in this user's own directory, so that no other user keeps this one from evicting; `None` where another process does. Where there can be no lock, several evict
/// at once, which costs time and nothing else.
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
