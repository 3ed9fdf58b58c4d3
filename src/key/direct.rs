//! The keys of direct mode: which path sets belong to a compile, and which result to a path set
//! whose files have certain contents. Knows no file and no plan.

use super::{Digest, Digester, Sink, list, write_job};

/// Raised when fields, or what a path set means, change.
const SCHEMA: &[u8] = b"pcache-nvcc direct 2";

/// Everything that is known of a compile before any tool has run and any source was read.
#[derive(Clone, Copy, Debug)]
pub struct DirectFacts<'a> {
    /// SHA-256 over the contents of all tools.
    pub toolchain: &'a Digest,
    /// What `nvcc --version` prints.
    pub release: &'a [u8],
    /// nvcc's path as started, and where its tools were found: headers are looked for beside them.
    pub programs: &'a [Vec<u8>],
    /// The driver's version.
    pub driver: &'a [u8],
    /// The working directory, physical and as `PWD` spells it.
    pub directory: [&'a [u8]; 2],
    /// `NAME=value` of every variable that reaches nvcc's plan or its tools.
    pub environment: &'a [Vec<u8>],
    /// How messages look.
    pub diagnostics: &'a [u8],
    /// The canonical command line with its inputs.
    pub job: &'a [(&'static str, Vec<Vec<u8>>)],
    /// The real path of each input: nvcc tells it to its tools.
    pub sources: &'a [Vec<u8>],
    /// The options that name outputs, in order.
    pub outputs: &'a [Vec<u8>],
}

/// The fields in their order.
pub const DIRECT_FIELDS: &[&str] = &[
    "schema",
    "toolchain",
    "release",
    "programs",
    "driver",
    "directory",
    "environment",
    "diagnostics",
    "job",
    "sources",
    "outputs",
];

impl DirectFacts<'_> {
    /// The key of the path sets.
    pub fn key(&self) -> Digest {
        let mut sink = Digester::default();
        self.write(&mut sink);
        sink.finish()
    }

    /// Writes every field.
    pub fn write(&self, sink: &mut impl Sink) {
        sink.one("schema", SCHEMA);
        sink.one("toolchain", self.toolchain);
        sink.one("release", self.release);
        list(sink, "programs", self.programs.iter().map(Vec::as_slice));
        sink.one("driver", self.driver);
        list(sink, "directory", self.directory.iter().copied());
        let environment = self.environment.iter().map(Vec::as_slice);
        list(sink, "environment", environment);
        sink.one("diagnostics", self.diagnostics);
        write_job(sink, self.job);
        list(sink, "sources", self.sources.iter().map(Vec::as_slice));
        list(sink, "outputs", self.outputs.iter().map(Vec::as_slice));
    }
}

/// The key of the result of the compile `direct` where the files of the path set `set` (its digest)
/// have the digests `contents`, in the set's order; of a result that is right for one `output` alone, with
/// its path as spelled.
pub fn result_key(
    direct: &Digest,
    set: &Digest,
    contents: &[Digest],
    output: Option<&[u8]>,
) -> Digest {
    let mut sink = Digester::default();
    sink.one("schema", SCHEMA);
    sink.one("direct", direct);
    sink.one("set", set);
    sink.one("contents", contents.as_flattened());
    list(&mut sink, "output", output.into_iter());
    sink.finish()
}

#[cfg(test)]
mod tests {
    use super::{DIRECT_FIELDS, DirectFacts, result_key};
    use crate::key::Explanation;
    use std::collections::HashSet;

    fn base<'a>() -> DirectFacts<'a> {
        DirectFacts {
            toolchain: &[1; 32],
            release: b"13.2",
            programs: &[],
            driver: b"none",
            directory: [b"/src", b"/src"],
            environment: &[],
            diagnostics: b"plain",
            job: &[],
            sources: &[],
            outputs: &[],
        }
    }

    #[test]
    fn the_explanation_has_exactly_the_documented_fields() {
        let mut sink = Explanation::default();
        base().write(&mut sink);
        let names: Vec<_> = sink.0.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, DIRECT_FIELDS);
        let page = include_str!("../../docs/keys.md");
        for field in DIRECT_FIELDS {
            let row = format!("| `{field}` |");
            assert!(page.contains(&row), "docs/keys.md lacks {field}");
        }
    }

    #[test]
    fn every_field_reaches_the_key() {
        let text = [b"X=1".to_vec()];
        let job = [("mode", vec![b"object".to_vec()])];
        let changes: [fn(&mut DirectFacts<'_>); 6] = [
            |facts| facts.toolchain = &[9; 32],
            |facts| facts.release = b"13.5",
            |facts| facts.driver = b"595.1",
            |facts| facts.directory = [b"/other", b"/src"],
            |facts| facts.directory = [b"/src", b"/link"],
            |facts| facts.diagnostics = b"colour",
        ];
        let mut all: Vec<_> = changes
            .iter()
            .map(|change| {
                let mut facts = base();
                change(&mut facts);
                facts.key()
            })
            .collect();
        all.push(
            DirectFacts {
                programs: &text,
                ..base()
            }
            .key(),
        );
        all.push(
            DirectFacts {
                environment: &text,
                ..base()
            }
            .key(),
        );
        all.push(
            DirectFacts {
                job: &job,
                ..base()
            }
            .key(),
        );
        all.push(
            DirectFacts {
                sources: &text,
                ..base()
            }
            .key(),
        );
        all.push(
            DirectFacts {
                outputs: &text,
                ..base()
            }
            .key(),
        );
        all.push(base().key());
        let distinct: HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }

    #[test]
    fn every_part_reaches_the_key_of_a_result() {
        let all = [
            result_key(&[0; 32], &[0; 32], &[[0; 32]], None),
            result_key(&[1; 32], &[0; 32], &[[0; 32]], None),
            result_key(&[0; 32], &[1; 32], &[[0; 32]], None),
            result_key(&[0; 32], &[0; 32], &[[1; 32]], None),
            result_key(&[0; 32], &[0; 32], &[[0; 32], [0; 32]], None),
            result_key(&[0; 32], &[0; 32], &[[0; 32]], Some(b"")),
            result_key(&[0; 32], &[0; 32], &[[0; 32]], Some(b"a.o")),
        ];
        let distinct: HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }
}
