//! Writers of fields that several keys share.

use super::{Digest, Sink};

/// Writes a field of any number of values.
pub fn list<'a>(
    sink: &mut impl Sink,
    name: &'static str,
    values: impl Iterator<Item = &'a [u8]> + Clone,
) {
    sink.field(name, values.clone().count());
    values.for_each(|value| sink.value(value));
}

/// Writes a field of texts, each followed by a digest.
pub(super) fn pairs<'a>(
    sink: &mut impl Sink,
    name: &'static str,
    values: impl Iterator<Item = (&'a [u8], &'a Digest)> + Clone,
) {
    sink.field(name, 2 * values.clone().count());
    for (text, digest) in values {
        sink.value(text);
        sink.value(digest);
    }
}

/// Writes the canonical job: for each of its fields the name, the number of values, and the values.
pub(super) fn write_job(sink: &mut impl Sink, job: &[(&'static str, Vec<Vec<u8>>)]) {
    let count = job.iter().map(|(_, values)| 2 + values.len()).sum();
    sink.field("job", count);
    for (name, values) in job {
        sink.value(name.as_bytes());
        sink.value(&(values.len() as u64).to_le_bytes());
        values.iter().for_each(|value| sink.value(value));
    }
}
