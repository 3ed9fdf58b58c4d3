//! Explains why a compile missed the cache: stores what each compile depended on as a [`DependencyReport`],
//! and compares two reports. The fields come from the writers of the keys, through their
//! second sink, so that an explanation shows exactly what the keys hold. Pure: `compile` collects the facts,
//! `cli` chooses the reports to compare. `docs/explain.md` lists the differences that are shown.

mod causes;
mod difference;
mod facts;
mod files;
mod stored;

pub use causes::differences;
pub use difference::{Difference, DifferenceKind};
pub use facts::{
    CommonPart, DependencyReport, Fields, File, Later, SCHEMA, ToolFacts, UnitFacts, fields, flags,
    options, shared, text,
};
pub use stored::FactsRecord;

#[cfg(test)]
mod tests;
