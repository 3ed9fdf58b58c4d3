//! The memo of a toolchain: what is stored of an identified toolchain, and whether a compile may believe it.

use super::find::program;
use super::host::{HostDriver, HostFamily};
use super::identity::{ToolForms, Toolchain};
use super::loaded::Loaded;
use super::names::{FoundName, SearchPath};
use super::parts::{PROGRAMS, Parts};
use super::search::ToolSearch;
use super::tools::{SeenTool, Targets, ToolRecord};
use crate::includes::digests::{Boot, DigestTable};
use crate::key::{Digester, Sink};
use crate::stat::{CoarseTime, Stat};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// The version of the format.
pub(super) const SCHEMA: u32 = 11;

/// The most records in a memo, each of which has a few KiB.
const MOST: usize = 8;

/// What is stored of one toolchain.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ToolchainRecord {
    pub(super) schema: u32,
    /// The name of the memo that it belongs to.
    pub(super) name: String,
    /// The boot in which the device and mount numbers below are valid.
    pub(super) boot: Option<Boot>,
    pub(super) release: String,
    pub(super) host: HostFamily,
    pub(super) driver: HostDriver,
    pub(super) host_place: PathBuf,
    /// Places where GCC's driver would find other parts.
    pub(super) parts: Parts,
    /// Libraries that the loader's variables load into the tools.
    pub(super) loaded: Loaded,
    /// PATH, along which the names below were found.
    pub(super) search: ToolSearch,
    /// The programs that were found along PATH.
    pub(super) names: Vec<FoundName>,
    pub(super) tools: Vec<ToolRecord>,
    pub(super) targets: Targets,
    pub(super) variables: BTreeMap<String, String>,
    pub(super) profile_variables: Vec<String>,
}

/// The records of a memo, newest first. Those behind one that cannot be read are left out.
pub(super) fn all(memo: &[u8]) -> impl Iterator<Item = ToolchainRecord> {
    let records = serde_json::Deserializer::from_slice(memo).into_iter();
    records.map_while(Result::ok)
}

/// The new content of a memo: `record`, and those of the `former` content that a compile under another PATH may believe.
pub(super) fn with_older(record: &ToolchainRecord, former: &[u8]) -> serde_json::Result<Vec<u8>> {
    let path = &record.search.own;
    // Another process may have identified the same toolchain meanwhile.
    let older = all(former).filter(|older| {
        let is_of_memo = older.name == record.name && older.search.own != *path;
        is_of_memo && older.holds() && older.toolchain(path, None).is_none()
    });
    let mut bytes = serde_json::to_vec(record)?;
    for older in older.take(MOST - 1) {
        bytes.push(b'\n');
        bytes.extend(serde_json::to_vec(&older)?);
    }
    Ok(bytes)
}

impl ToolchainRecord {
    /// Whether a look at a tool or at the targets proves that it has not changed since `started`.
    pub(super) fn is_proof(&self, started: CoarseTime) -> bool {
        let mut seen = self
            .tools
            .iter()
            .map(|tool| tool.seen)
            .chain(self.targets.seen);
        seen.all(|seen| seen.is_proof(started))
    }

    /// Whether it is still the toolchain of a compile with the PATH of then.
    pub(super) fn holds(&self) -> bool {
        self.toolchain(&self.search.own, None).is_some()
    }

    /// The toolchain where PATH is `path`, if every tool is unchanged and would be found at the same place.
    pub(super) fn toolchain(
        &self,
        path: &OsStr,
        digests: Option<&DigestTable>,
    ) -> Option<Toolchain> {
        let search = self.search.under(path)?;
        let is_believed = self.is_unchanged(digests) && self.is_found_along(&search, digests);
        is_believed.then(|| self.found_along(search))
    }

    /// Whether every tool is unchanged, and every place that must be empty still is.
    fn is_unchanged(&self, digests: Option<&DigestTable>) -> bool {
        let nowhere = DigestTable::nowhere();
        let table = digests.unwrap_or(&nowhere);
        let is_same = |tool: &ToolRecord| SeenTool::at(&tool.path) == Some(tool.seen);
        self.schema == SCHEMA
            && boot(digests) == self.boot
            && self.tools.iter().all(is_same)
            && SeenTool::at(&self.targets.path) == self.targets.seen
            && self.parts.hold(table)
            && self.loaded.hold(table)
    }

    /// Whether each name leads to the same tool along `search`, provided that the tools are unchanged.
    fn is_found_along(&self, search: &OsStr, digests: Option<&DigestTable>) -> bool {
        // The stat of a tool was compared, so it need not be read again for a name that leads to one.
        let seen = |path: &Path| {
            let tool = self.tools.iter().find(|tool| tool.path == *path);
            tool.map(|tool| tool.seen.stat)
        };
        let look = |path: &Path| seen(path).or_else(|| Some(Stat::from(&program(path)?)));
        let search = SearchPath::new(search);
        let is_undisturbed = digests.is_some_and(|table| search.is_undisturbed(&self.names, table));
        self.names.iter().all(|name| {
            let is_first = is_undisturbed || {
                let first = search.find(&name.name, |path| look(path).is_some());
                first.as_ref() == Some(&name.place)
            };
            // Same path and same inode, so links need not be followed step by step.
            is_first && look(&name.place) == seen(&name.real)
        })
    }

    /// The toolchain, whose tools are found along `search`.
    fn found_along(&self, search: OsString) -> Toolchain {
        let mut sink = Digester::default();
        for tool in &self.tools {
            sink.field("tool", 2);
            sink.value(tool.role.as_bytes());
            sink.value(tool.sha256.as_bytes());
        }
        self.targets.write(&mut sink);
        Toolchain {
            id: sink.finish(),
            release: self.release.clone(),
            host: self.host,
            driver: self.driver,
            host_place: self.host_place.clone(),
            search,
            tools: self.tools.iter().map(|tool| tool.path.clone()).collect(),
            found: self.names.iter().map(|name| name.place.clone()).collect(),
            roles: self
                .tools
                .iter()
                .map(|tool| (tool.role.clone(), tool.sha256.clone()))
                .collect(),
            variables: self.variables.clone(),
            profile_variables: self.profile_variables.clone(),
            front: front(&self.tools),
            path_use: self.search.path_use,
        }
    }
}

/// The current boot, from the table if there is one.
pub(super) fn boot(digests: Option<&DigestTable>) -> Option<Boot> {
    digests.map_or_else(|| DigestTable::nowhere().boot(), DigestTable::boot)
}

/// Whether nvcc and the host compiler's parts are programs.
pub(super) fn front(tools: &[ToolRecord]) -> ToolForms {
    let is_front = |role: &str| role == "nvcc" || PROGRAMS.contains(&role);
    let mut tools = tools.iter();
    if tools.any(|tool| tool.script && is_front(&tool.role)) {
        ToolForms::Scripts
    } else {
        ToolForms::Programs
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST, SCHEMA, ToolchainRecord, all, boot, with_older};
    use crate::toolchain::host::{HostDriver, HostFamily};
    use crate::toolchain::loaded::Loaded;
    use crate::toolchain::names::FoundName;
    use crate::toolchain::parts::Parts;
    use crate::toolchain::search::{PathUse, ToolSearch};
    use crate::toolchain::tools::{Targets, tool_records};
    use std::collections::BTreeMap;
    use std::ffi::OsString;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    /// Directories `one`, `two` and `empty`; the first two have a program called `gcc`.
    fn place() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("empty")).unwrap();
        for name in ["one", "two"] {
            fs::create_dir(dir.path().join(name)).unwrap();
            program(&dir.path().join(name).join("gcc"));
        }
        dir
    }

    fn program(path: &Path) {
        fs::write(path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn path(root: &Path, names: &[&str]) -> OsString {
        std::env::join_paths(names.iter().map(|name| root.join(name))).unwrap()
    }

    /// The record of a toolchain whose only tool is `gcc`, found in the first of the directories that has it.
    fn record(root: &Path, names: &[&str], path_use: PathUse) -> ToolchainRecord {
        let own = path(root, names);
        let mut places = names.iter().map(|name| root.join(name).join("gcc"));
        let gcc = places.find(|place| place.exists()).unwrap();
        let mut tools = OsString::from("/cuda/bin:");
        tools.push(&own);
        ToolchainRecord {
            schema: SCHEMA,
            name: "memo".to_owned(),
            boot: boot(None),
            release: String::new(),
            host: HostFamily::Gnu,
            driver: HostDriver::Own,
            host_place: gcc.clone(),
            parts: Parts::default(),
            loaded: Loaded::default(),
            search: ToolSearch::new(own, tools, b"", path_use),
            names: vec![FoundName {
                name: "gcc".into(),
                place: gcc.clone(),
                real: gcc.clone(),
            }],
            tools: tool_records(vec![("host".to_owned(), gcc)]).unwrap(),
            targets: Targets::at("/no/such/targets".into()),
            variables: BTreeMap::new(),
            profile_variables: Vec::new(),
        }
    }

    /// The PATHs of a memo's records.
    fn paths(memo: &[u8]) -> Vec<OsString> {
        all(memo).map(|record| record.search.own).collect()
    }

    #[test]
    fn toolchain_is_known_under_a_path_that_leads_to_the_same_programs() {
        let dir = place();
        let root = dir.path();
        let known = record(root, &["one"], PathUse::Lookups);
        let under = |names: &[&str]| known.toolchain(&path(root, names), None);
        assert!(under(&["one"]).is_some());
        let toolchain = under(&["empty", "absent", "one", "two"]).unwrap();
        assert_eq!(toolchain.id, under(&["one"]).unwrap().id);
        let mut search = OsString::from("/cuda/bin:");
        search.push(path(root, &["empty", "absent", "one", "two"]));
        assert_eq!(toolchain.search, search);
        assert!(under(&["two", "one"]).is_none(), "another gcc comes first");
        assert!(under(&["empty"]).is_none(), "no gcc");
        program(&root.join("empty/gcc"));
        assert!(under(&["empty", "one"]).is_none(), "it appeared");
        let known = record(root, &["one"], PathUse::Value);
        assert!(known.holds());
        assert!(
            known
                .toolchain(&path(root, &["one", "two"]), None)
                .is_none()
        );
    }

    #[test]
    fn memo_keeps_what_compiles_under_other_paths_may_believe() {
        let dir = place();
        let root = dir.path();
        let one = record(root, &["one"], PathUse::Lookups);
        let memo = with_older(&one, b"").unwrap();
        assert_eq!(paths(&memo), [path(root, &["one"])]);
        let two = record(root, &["two"], PathUse::Lookups);
        let memo = with_older(&two, &memo).unwrap();
        assert_eq!(paths(&memo), [path(root, &["two"]), path(root, &["one"])]);
        // One that the compile would have believed is not needed twice.
        let again = record(root, &["empty", "one"], PathUse::Lookups);
        let memo = with_older(&again, &memo).unwrap();
        assert_eq!(
            paths(&memo),
            [path(root, &["empty", "one"]), path(root, &["two"])]
        );
        fs::write(root.join("two/gcc"), "#!/bin/sh\nexit 1\n").unwrap();
        let memo = with_older(&one, &memo).unwrap();
        assert_eq!(paths(&memo), [path(root, &["one"])], "two has changed");
        let other = ToolchainRecord {
            name: "other".to_owned(),
            ..record(root, &["two"], PathUse::Lookups)
        };
        let renamed = with_older(&other, b"").unwrap();
        assert_eq!(with_older(&one, &renamed).unwrap(), memo);
    }

    #[test]
    fn memo_has_a_limit_and_ends_where_it_cannot_be_read() {
        let dir = place();
        let root = dir.path();
        let mut memo = Vec::new();
        for number in 0..MOST + 2 {
            let own = format!("dir{number}");
            let record = record(root, &["one", &own], PathUse::Value);
            memo = with_older(&record, &memo).unwrap();
        }
        let kept = paths(&memo);
        assert_eq!(kept.len(), MOST);
        assert_eq!(kept[0], path(root, &["one", &format!("dir{}", MOST + 1)]));
        let second = memo.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        memo[second] = b'x';
        assert_eq!(paths(&memo), kept[..1]);
        assert!(paths(b"{}").is_empty());
    }
}
