//! Keys: SHA-256 over tagged, length-prefixed fields. One function writes the facts of a compile to a
//! sink, either the digest or the explanation, so that these two cannot drift apart.
//! Pure: all facts are arguments. `docs/design/keys.md` lists the fields, with reasons.

mod common;
mod digest;
mod direct;
mod fields;
mod module_id;
mod path_starts;
pub(crate) mod pointer;
mod roots;
mod shortener;
mod sink;
mod stage;
mod tu;

pub use fields::list;
use fields::{pairs, write_job};

#[cfg(test)]
pub(crate) use common::tests::base as common_facts;
pub use common::{COMMON_FIELDS, CommonFacts};
pub use digest::Digest;
pub use direct::{DIRECT_FIELDS, DirectFacts, ResultFacts, result_key};
pub use module_id::{Module, RELOCATABLE, digits, middle};
pub use path_starts::PathStarts;
pub use roots::{RootName, RootSet, Roots};
pub use shortener::Shortener;
pub use sink::{Digester, Explanation, Sink};
pub use stage::{STAGE_FIELDS, STAGE_SCHEMA, StageFacts};
pub use tu::{FIELDS, HostHeader, Pass, SCHEMA, TuFacts};
