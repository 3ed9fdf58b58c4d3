//! Why a compile was not answered from the cache: what it depended on, kept for later as [`DependencyReport`],
//! and what differs between two of them. The fields come from the writers of the keys, through their
//! second sink, so that what is told here is what the keys hold. Pure: `compile` collects the facts,
//! `cli` finds those that are to be compared. `docs/explain.md` says what is named and what is not.

mod causes;
mod difference;
mod facts;
mod files;

pub use causes::differences;
pub use difference::{Difference, DifferenceKind};
pub use facts::{
    DependencyReport, Fields, File, Later, SCHEMA, ToolFacts, UnitFacts, fields, flags, options,
    shared, text,
};

#[cfg(test)]
mod tests;
