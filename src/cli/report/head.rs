//! The head of the page: what it covers, and on which machine and by which toolkit.

use super::html::{Html, element};
use super::parts::code;
use crate::cli::zone::Zone;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// What the head says.
pub(super) struct PageHead<'a> {
    pub(super) root: &'a Path,
    pub(super) range: String,
    pub(super) compiles: usize,
    /// Releases of nvcc.
    pub(super) releases: &'a BTreeSet<String>,
    pub(super) zone: &'a Zone,
}

impl PageHead<'_> {
    pub(super) fn html(&self) -> Html {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| u64::try_from(now.as_micros()).unwrap_or(0));
        let (compiles, range) = (self.compiles, &self.range);
        let told = element("p").with(format!("{compiles} compiles since {range}, in the cache "));
        let told = told.with(code(&self.root.to_string_lossy()));
        let mut known = element("p");
        if let Some(host) = host() {
            known = known.with("on ").with(code(&host)).with(" ");
        }
        if !self.releases.is_empty() {
            let releases: Vec<_> = self.releases.iter().map(String::as_str).collect();
            known = known.with(format!("with CUDA {}", releases.join(" and ")));
        }
        let (now, version) = (self.zone.second(now), env!("CARGO_PKG_VERSION"));
        let written = element("p").class("faint");
        let written = written.with(format!("made {now} by pcache {version}"));
        let head = element("header").with(element("h1").with("pcache report"));
        let head = head.with(told).with(known).with(written);
        Html::from(head).with(Html::fixed("\n"))
    }
}

/// The name of this machine, or of its container.
pub(super) fn host() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}
