//! Entry points to the readers of stored records, for fuzz targets and for tests that give them arbitrary bytes
//! (`tests/unit/formats.rs`). No compile uses this module.

use crate::compile::direct::record::DirectRecord;
use crate::compile::direct::search_orders::OrderRecord;
use crate::compile::direct::token_set::TokenSet;
use crate::compile::inputs::host_questions::HostQuestion;
use crate::compile::plan_memo::dryrun::PlanMemo;
use crate::compile::stages::record::StageRecord;
use crate::compile::unit::record::UnitRecord;
use crate::plan::Plan;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::path::Path;

/// A format of [`read`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordFormat {
    Unit,
    Stage,
    Direct,
    Order,
    /// Questions to a program in front of the host compiler.
    Questions,
}

impl RecordFormat {
    pub const ALL: [Self; 5] = [
        Self::Unit,
        Self::Stage,
        Self::Direct,
        Self::Order,
        Self::Questions,
    ];
}

/// Whether `bytes` are the value of a record in `format`.
pub fn read(format: RecordFormat, bytes: &[u8]) -> bool {
    fn is<T: DeserializeOwned>(bytes: &[u8]) -> bool {
        serde_json::from_slice::<T>(bytes).is_ok()
    }
    match format {
        RecordFormat::Unit => is::<UnitRecord>(bytes),
        RecordFormat::Stage => is::<StageRecord>(bytes),
        RecordFormat::Direct => is::<DirectRecord>(bytes),
        RecordFormat::Order => is::<OrderRecord>(bytes),
        RecordFormat::Questions => is::<BTreeSet<HostQuestion>>(bytes),
    }
}

/// Reads token sets and writes them again. `None` if `bytes` are not token sets, or hold none.
pub fn token_sets(bytes: &[u8]) -> Option<Vec<u8>> {
    let sets = TokenSet::read_all(bytes)?;
    let (first, others) = sets.split_first()?;
    Some(first.write_before(others))
}

/// Reads a remembered plan of a compile of `words` in the work directory `root`.
pub fn plan(bytes: &[u8], words: &[&[u8]], root: &Path) -> Option<Plan> {
    let memo = PlanMemo::new([0; 32], root, words);
    let (_, text) = memo.read(bytes)?;
    Plan::parse(&text, &root.join("keep")).ok()
}
