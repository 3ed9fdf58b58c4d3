//! What every command works with, and how it ends.

use super::env::Env;
use super::screen::{Screen, say};
use crate::config::Config;
use crate::store::{FileStore, StoreError};
use anyhow::{Context as _, Error};
use std::path::Path;

/// How a request ended, other than by an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// All is well, or worth no more than a warning.
    Fine,
    /// Something keeps compiles from working.
    Failed,
    /// Something was found that should be looked at.
    Findings,
    /// Something was found that keeps the cache from working.
    Trouble,
}

/// What every request works with.
pub(super) struct Context<'a> {
    pub(super) config: &'a Config,
    pub(super) env: &'a Env<'a>,
    pub(super) out: Screen<'a>,
    pub(super) err: Screen<'a>,
}

impl Context<'_> {
    pub(super) fn root(&self) -> &Path {
        &self.config.dir.value
    }

    /// The store for reading; `None` if there is no cache.
    pub(super) fn store_for_reading(&self) -> Result<Option<FileStore>, Error> {
        self.store(FileStore::reading(self.config))
    }

    /// The store, to change it; `None` if there is no cache. `change` is the verb for the error message.
    pub(super) fn store_for(&self, change: &str) -> Result<Option<FileStore>, Error> {
        let root = self.root();
        if self.config.readonly.value {
            let from = &self.config.readonly.source;
            anyhow::bail!(
                "cannot {change} {root:?}: it is set to be read-only (readonly, from {from})"
            );
        }
        // Opening it would create it.
        if !is_there(root)? {
            return Ok(None);
        }
        self.store(FileStore::from_config(self.config))
    }

    pub(super) fn store(
        &self,
        opened: Result<FileStore, StoreError>,
    ) -> Result<Option<FileStore>, Error> {
        if is_there(self.root())? {
            Ok(Some(opened?))
        } else {
            Ok(None)
        }
    }

    pub(super) fn say_absent(&mut self) -> Result<(), Error> {
        let root = self.root().to_owned();
        say(&mut self.out, format_args!("there is no cache at {root:?}"))
    }
}

/// Whether the cache directory exists.
pub(super) fn is_there(root: &Path) -> Result<bool, Error> {
    if root.as_os_str().is_empty() {
        anyhow::bail!("no home directory is known; set PCACHE_DIR to a directory for the cache");
    }
    let found = root.try_exists();
    found.with_context(|| format!("cannot look for the cache at {root:?}"))
}
