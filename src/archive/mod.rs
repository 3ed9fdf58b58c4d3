//! The form of a cache in one file: a zstd frame with a tar in it. The members are named as the files of the cache are,
//! and their headers hold nothing else that could differ, so that equal files give equal bytes. Whatever does not have
//! exactly this form is refused, as a file may come from anywhere. Does not know what the members hold.
//! `docs/design/store.md#exports` describes the form.

mod member;
mod read;
mod write;

pub(crate) use read::{ArchiveError, Member, read_archive};
pub(crate) use write::ArchiveWriter;
