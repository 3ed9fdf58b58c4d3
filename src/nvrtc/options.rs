//! NVRTC's command line: what the options of a compile mean to a cache.

use crate::key::Sink;
use crate::outcome::NvrtcReason;

/// The options of one compile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Name and value, in order.
    all: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Options {
    /// Reads the options in order.
    ///
    /// # Errors
    /// Why a compile with these is not for a cache, and the option.
    pub fn read(arguments: &[Vec<u8>]) -> Result<Self, (NvrtcReason, Vec<u8>)> {
        let all = arguments.iter().map(|one| (one.clone(), Vec::new()));
        Ok(Self { all: all.collect() })
    }

    /// Writes the field `job`, in the shape of the other keys' jobs.
    pub fn write(&self, sink: &mut impl Sink) {
        sink.field("job", 3 * self.all.len());
        for (name, value) in &self.all {
            sink.value(name);
            sink.value(&1_u64.to_le_bytes());
            sink.value(value);
        }
    }
}
