//! A full collection, for a user who asks for it and can wait: does at once what eviction does bit by bit. Every
//! shard is listed, so that exactly the policy's victims are removed.

use super::backend::Cleared;
use super::bounds::{Bounds, RemovalReason};
use super::error::StoreError;
use super::evict::{EvictionWork, lock};
use super::file::FileStore;
use super::kind::Access;
use super::scan::Shard;
use crate::files::{Directory, now};
use crate::stats::{Counter, ShardRow, StoreSize};

/// What [`FileStore::collect`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Size of the store before, as listed.
    pub before: StoreSize,
    /// Size of the store afterwards, as counted; computed if the counters are not known.
    pub after: StoreSize,
    /// Removed files that were not used since the given moment.
    pub unused: Cleared,
    /// Removed files that had expired.
    pub expired: Cleared,
    /// Removed files above the size limit.
    pub evicted: Cleared,
    /// Bytes of removed files that dead writers had left.
    pub swept: u64,
}

/// The phase of a collection, for a progress bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Lists shards.
    Listing,
    /// Removes files.
    Removing,
}

impl FileStore {
    /// Removes expired files, temporary files of dead writers and, above the size limit, the policy's
    /// victims. Calls `watch` with the phase, the number of steps done, and their total.
    ///
    /// # Errors
    /// A directory cannot be listed; or the first file that cannot be removed, after all others have
    /// been tried.
    pub fn collect(&self, watch: &mut dyn FnMut(Phase, u64, u64)) -> Result<Collected, StoreError> {
        self.collect_to(&Bounds::below(self.limits()), watch)
    }

    /// As [`FileStore::collect`], with other bounds than the store's own limit.
    ///
    /// # Errors
    /// As there.
    pub fn collect_to(
        &self,
        bounds: &Bounds,
        watch: &mut dyn FnMut(Phase, u64, u64),
    ) -> Result<Collected, StoreError> {
        let mut done = Collected::default();
        let Some(root) = self.directory()? else {
            return Ok(done);
        };
        if self.access == Access::ReadOnly {
            return Ok(done);
        }
        // Keeps puts from evicting too. If another process evicts already, both do, which only costs time.
        let _lock = lock(self.own.as_ref());
        done.swept = self.sweep()?;
        let mut shards = Vec::new();
        for number in 0..=u8::MAX {
            watch(Phase::Listing, number.into(), 256);
            let shard = self.scan_shard(&root, number)?;
            done.before = done.before.plus(shard.size());
            shards.push(shard);
        }
        let unfinished = self.stats.totals().row(ShardRow::Unfinished).bytes;
        done.before.bytes = done.before.bytes.saturating_add(unfinished);
        let mut work = EvictionWork::default();
        let chosen = self.chosen(bounds, &root, &shards, unfinished);
        self.remove_chosen(&shards, &chosen, (&mut done, &mut work), watch);
        if self.policy.needs_log() {
            for shard in &shards {
                self.fold_log(&root, shard, &mut work);
            }
        }
        let removed = [done.unused, done.expired, done.evicted].map(|cleared| cleared.bytes);
        let removed_bytes = removed.into_iter().fold(0, u64::saturating_add);
        done.after = self.stats.totals().size().unwrap_or(StoreSize {
            bytes: done.before.bytes.saturating_sub(removed_bytes),
            ..done.before
        });
        work.trouble.map_or(Ok(done), Err)
    }

    /// The files to remove, as ascending indices into those of all shards together, and why. What is still to be sent
    /// stays.
    fn chosen(
        &self,
        bounds: &Bounds,
        root: &Directory,
        shards: &[Shard],
        unfinished: u64,
    ) -> Vec<(usize, RemovalReason)> {
        let files = shards.iter().map(|shard| shard.size().files() as usize);
        let mut candidates = Vec::with_capacity(files.sum());
        let mut indices = Vec::with_capacity(candidates.capacity());
        let queued = self.queued(bounds.limits);
        let (mut at, mut kept_bytes, mut kept) = (0, unfinished, 0);
        for shard in shards {
            let facts = self.candidates(root, shard);
            for ((_, _, file), candidate) in shard.files().zip(facts) {
                let name = file.name_in(shard.number);
                if name.is_some_and(|name| self.is_kept(&queued, name, &candidate)) {
                    kept_bytes = candidate.size.saturating_add(kept_bytes);
                    kept += 1;
                } else {
                    candidates.push(candidate);
                    indices.push(at);
                }
                at += 1;
            }
        }
        let bounds = Bounds {
            limits: bounds.limits.without_files(kept),
            ..*bounds
        };
        let victims = bounds.victims(self.policy, candidates, kept_bytes, now());
        let victims = victims.into_iter().map(|(at, why)| (indices[at], why));
        let mut victims: Vec<_> = victims.collect();
        // In the order of the directories, where a file system removes files several times as fast.
        victims.sort_unstable_by_key(|(at, _)| *at);
        victims
    }

    /// Removes files from the listed shards, and counts each under its reason.
    fn remove_chosen(
        &self,
        shards: &[Shard],
        chosen: &[(usize, RemovalReason)],
        (done, work): (&mut Collected, &mut EvictionWork),
        watch: &mut dyn FnMut(Phase, u64, u64),
    ) {
        let mut files = shards.iter().flat_map(|shard| {
            let files = shard.files();
            files.map(move |(listing, _, file)| (shard, listing, file))
        });
        let total = chosen.len() as u64;
        let mut passed = 0;
        for (nth, (at, reason)) in chosen.iter().enumerate() {
            watch(Phase::Removing, nth as u64, total);
            let Some((shard, listing, file)) = files.nth(at - passed) else {
                break;
            };
            passed = at + 1;
            if work.note(self.remove_listed(shard, listing, file)) != Some(true) {
                continue;
            }
            self.stats.add(Counter::Evicted, 1);
            let cleared = match reason {
                RemovalReason::Unused => &mut done.unused,
                RemovalReason::Expired => &mut done.expired,
                RemovalReason::TooMuch => &mut done.evicted,
            };
            cleared.files += 1;
            cleared.bytes = cleared.bytes.saturating_add(file.facts.size);
        }
    }
}
