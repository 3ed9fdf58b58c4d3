//! Everything that eviction does bit by bit, at once, for a user who asks for it and can wait. Every shard is
//! listed, so that exactly what the policy names goes.

use super::backend::Cleared;
use super::error::StoreError;
use super::evict::{EvictionWork, lock};
use super::file::FileStore;
use super::kind::Access;
use super::policy::{Candidate, Limits};
use super::scan::Shard;
use crate::files::{Directory, now};
use crate::stats::{Counter, ShardRow, StoreSize};

/// What [`FileStore::collect`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// What was there before.
    pub before: StoreSize,
    /// What is left, as listed and counted.
    pub after: StoreSize,
    /// Files that had expired.
    pub expired: Cleared,
    /// Files beyond the cap.
    pub evicted: Cleared,
    /// Bytes of files that dead writers had left.
    pub swept: u64,
}

/// What a collection is doing, for a progress bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Listing.
    Listing,
    /// Removing.
    Removing,
}

impl FileStore {
    /// Removes what has expired, what dead writers have left, and, if there is more than the cap, as
    /// much as the policy says. `watch` is told how much of how much is done.
    ///
    /// # Errors
    /// A directory cannot be listed; or the first file that cannot be removed, after all others have
    /// been tried.
    pub fn collect(&self, watch: &mut dyn FnMut(Phase, u64, u64)) -> Result<Collected, StoreError> {
        let mut done = Collected::default();
        let Some(root) = self.directory()? else {
            return Ok(done);
        };
        if self.access == Access::ReadOnly {
            return Ok(done);
        }
        // So that puts do not evict as well. Where another process evicts, both do, which costs time only.
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
        self.remove_victims(&root, &shards, unfinished, (&mut done, &mut work), watch);
        if self.policy.needs_log() {
            for shard in &shards {
                self.fold_log(&root, shard, &mut work);
            }
        }
        let gone = |cleared: &Cleared| cleared.bytes;
        let left = || StoreSize {
            bytes: done
                .before
                .bytes
                .saturating_sub(gone(&done.expired))
                .saturating_sub(gone(&done.evicted)),
            ..done.before
        };
        done.after = self.stats.totals().size().unwrap_or_else(left);
        work.trouble.map_or(Ok(done), Err)
    }

    fn remove_victims(
        &self,
        root: &Directory,
        shards: &[Shard],
        unfinished: u64,
        (done, work): (&mut Collected, &mut EvictionWork),
        watch: &mut dyn FnMut(Phase, u64, u64),
    ) {
        let now = now();
        let candidates = |shard| self.candidates(root, shard);
        let candidates: Vec<Candidate> = shards.iter().flat_map(candidates).collect();
        let files = shards.iter().flat_map(|shard| {
            let files = shard.files();
            files.map(move |(listing, _, file)| (shard, listing, file))
        });
        let files: Vec<_> = files.collect();
        let limits = Limits::below(self.max_bytes).without(unfinished);
        let victims = self.policy.victims(&candidates, limits, now);
        let most = victims.len() as u64;
        for (nth, at) in victims.into_iter().enumerate() {
            watch(Phase::Removing, nth as u64, most);
            let (shard, listing, file) = files[at];
            if work.note(self.remove_listed(shard, listing, file)) != Some(true) {
                continue;
            }
            self.stats.add(Counter::Evicted, 1);
            let recorder = if self.policy.is_expired(&candidates[at], now) {
                &mut done.expired
            } else {
                &mut done.evicted
            };
            recorder.files += 1;
            recorder.bytes = recorder.bytes.saturating_add(file.facts.size);
        }
    }
}
