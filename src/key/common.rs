//! The facts of a compile that are known before there is a plan. The key of a translation unit and that of direct
//! mode hold all of them. One function writes them, so that a fact that is added here is in both.

use super::{Digest, Sink, list, write_job};

/// Facts of an invocation that need neither a plan nor a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommonFacts<'a> {
    /// The toolchain's identity: SHA-256 over the contents of every tool.
    pub toolchain: &'a Digest,
    /// nvcc's own release string.
    pub release: &'a [u8],
    /// The CUDA driver's version, or `none`.
    pub driver: &'a [u8],
    /// The working directory: physical, and as `PWD` names it.
    pub directory: [&'a [u8]; 2],
    /// `NAME=value` of the variables that reach the output of every compile, sorted.
    pub environment: &'a [Vec<u8>],
    /// The keep directory as spelled; `None` if intermediate files are not kept.
    pub keep: Option<&'a [u8]>,
    /// The canonical job without its inputs.
    pub job: &'a [(&'static str, Vec<Vec<u8>>)],
}

/// The names of the common fields, in order. They follow the schema in each key that has them.
pub const COMMON_FIELDS: &[&str] = &[
    "toolchain",
    "release",
    "driver",
    "directory",
    "environment",
    "keep",
    "job",
];

impl CommonFacts<'_> {
    /// Writes every field to `sink`, in the order of [`COMMON_FIELDS`].
    #[deny(unused_variables)]
    pub(super) fn write(&self, sink: &mut impl Sink) {
        // Without `..`, so that the compiler reports a field that is not written.
        let Self {
            toolchain,
            release,
            driver,
            directory,
            environment,
            keep,
            job,
        } = *self;
        sink.one("toolchain", toolchain);
        sink.one("release", release);
        sink.one("driver", driver);
        list(sink, "directory", directory.into_iter());
        list(sink, "environment", environment.iter().map(Vec::as_slice));
        list(sink, "keep", keep.into_iter());
        write_job(sink, job);
    }
}

/// The names of the fields of a key: its schema, the common ones, and its `own`.
pub(super) const fn with_common<const COUNT: usize>(own: &[&'static str]) -> [&'static str; COUNT] {
    let mut names = ["schema"; COUNT];
    let mut index = 1;
    while index < COUNT {
        let before = index - 1;
        names[index] = if before < COMMON_FIELDS.len() {
            COMMON_FIELDS[before]
        } else {
            own[before - COMMON_FIELDS.len()]
        };
        index += 1;
    }
    names
}

#[cfg(test)]
pub(crate) mod tests {
    use super::CommonFacts;

    pub(crate) fn base<'a>() -> CommonFacts<'a> {
        CommonFacts {
            toolchain: &[1; 32],
            release: b"13.2",
            driver: b"none",
            directory: [b"/src", b"/src"],
            environment: &[],
            keep: None,
            job: &[],
        }
    }

    /// Facts that each differ from [`base`] in one field.
    pub(crate) fn changed<'a>(
        variable: &'a [Vec<u8>],
        job: &'a [(&'static str, Vec<Vec<u8>>)],
    ) -> Vec<CommonFacts<'a>> {
        let mut all = vec![base(); 8];
        all[0].toolchain = &[9; 32];
        all[1].release = b"13.5";
        all[2].driver = b"595.1";
        all[3].directory = [b"/other", b"/src"];
        all[4].directory = [b"/src", b"/link"];
        all[5].environment = variable;
        all[6].keep = Some(b"");
        all[7].job = job;
        all
    }
}
