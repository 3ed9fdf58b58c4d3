//! The key of a translation unit: every fact that can reach its outputs. Pure: `compile` collects
//! the facts. See `docs/keys.md`, which a test ties to [`FIELDS`].

use super::{Digest, Digester, Sink, list, pairs, write_job};

/// The version of this list of fields; raised when their meaning changes.
pub const SCHEMA: &[u8] = b"pcache-nvcc tu 3";

/// Every field of the key, in order.
pub const FIELDS: &[&str] = &[
    "schema",
    "toolchain",
    "release",
    "driver",
    "directory",
    "environment",
    "machine",
    "diagnostics",
    "keep",
    "job",
    "source",
    "output",
    "commands",
    "passes",
    "printed",
    "host_headers",
];

/// One preprocessed pass, or the content of an input that is not preprocessed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    /// The command that made it, temporary names replaced.
    pub command: Vec<u8>,
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// SHA-256 of what the command printed, if it printed anything.
    pub printed: Option<Digest>,
}

/// A header that only the host compile of cudafe++'s output reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostHeader {
    /// The path under which the host compiler found it.
    pub path: Vec<u8>,
    /// SHA-256 of its content.
    pub digest: Digest,
}

/// The facts of one translation unit's compile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TuFacts<'a> {
    /// The toolchain's identity: contents of every tool.
    pub toolchain: &'a Digest,
    /// nvcc's own release string.
    pub release: &'a [u8],
    /// The CUDA driver's version, or `none`.
    pub driver: &'a [u8],
    /// The working directory: physical, and as `PWD` names it.
    pub directory: [&'a [u8]; 2],
    /// `NAME=value` of the variables that reach the tools' output, sorted.
    pub environment: &'a [Vec<u8>],
    /// What `-march=native` and its like mean here; empty when nothing asks.
    pub machine: &'a [u8],
    /// `plain` or `colour`: how the host compiler prints.
    pub diagnostics: &'a [u8],
    /// The keep directory as spelled, when intermediate files are outputs too.
    pub keep: Option<&'a [u8]>,
    /// The canonical job.
    pub job: &'a [(&'static str, Vec<Vec<u8>>)],
    /// The source's path as spelled.
    pub source: &'a [u8],
    /// The output's path as spelled, where the module id tells it apart from others of the same contents.
    pub output: Option<&'a [u8]>,
    /// The unit's stages, temporary and output names replaced, sorted.
    pub commands: &'a [Vec<u8>],
    /// Every preprocessed pass, sorted by command.
    pub passes: &'a [Pass],
    /// The host compile's own headers, sorted by path.
    pub host_headers: &'a [HostHeader],
}

impl<'a> TuFacts<'a> {
    /// The digest of all fields.
    pub fn key(&self) -> Digest {
        let mut sink = Digester::default();
        self.write(&mut sink);
        sink.finish()
    }

    /// Writes every field to `sink`, in the order of [`FIELDS`].
    pub fn write(&self, sink: &mut impl Sink) {
        sink.one("schema", SCHEMA);
        sink.one("toolchain", self.toolchain);
        sink.one("release", self.release);
        sink.one("driver", self.driver);
        list(sink, "directory", self.directory.iter().copied());
        list(
            sink,
            "environment",
            self.environment.iter().map(Vec::as_slice),
        );
        sink.one("machine", self.machine);
        sink.one("diagnostics", self.diagnostics);
        list(sink, "keep", self.keep.into_iter());
        write_job(sink, self.job);
        sink.one("source", self.source);
        list(sink, "output", self.output.into_iter());
        list(sink, "commands", self.commands.iter().map(Vec::as_slice));
        pairs(
            sink,
            "passes",
            self.passes
                .iter()
                .map(|pass| (&pass.command[..], &pass.digest)),
        );
        let printed = |pass: &'a Pass| Some((&pass.command[..], pass.printed.as_ref()?));
        pairs(sink, "printed", self.passes.iter().filter_map(printed));
        let headers = self.host_headers.iter();
        pairs(
            sink,
            "host_headers",
            headers.map(|header| (&header.path[..], &header.digest)),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::{FIELDS, HostHeader, Pass, TuFacts};
    use crate::key::Explanation;
    use std::collections::HashSet;

    fn base<'a>() -> TuFacts<'a> {
        TuFacts {
            toolchain: &[1; 32],
            release: b"13.2",
            driver: b"none",
            directory: [b"/src", b"/src"],
            environment: &[],
            machine: b"",
            diagnostics: b"plain",
            keep: None,
            job: &[],
            source: b"a.cu",
            output: None,
            commands: &[],
            passes: &[],
            host_headers: &[],
        }
    }

    #[test]
    fn the_explanation_has_exactly_the_documented_fields() {
        let mut sink = Explanation::default();
        base().write(&mut sink);
        let names: Vec<_> = sink.0.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, FIELDS);
        let page = include_str!("../../docs/keys.md");
        for field in FIELDS {
            assert!(
                page.contains(&format!("| `{field}` |")),
                "docs/keys.md lacks {field}"
            );
        }
    }

    #[test]
    fn every_field_reaches_the_key() {
        let job = [("mode", vec![b"object".to_vec()])];
        let pass = [Pass {
            command: b"gcc -E".to_vec(),
            digest: [2; 32],
            printed: None,
        }];
        let loud = [Pass {
            printed: Some([4; 32]),
            ..pass[0].clone()
        }];
        let header = [HostHeader {
            path: b"h".to_vec(),
            digest: [3; 32],
        }];
        let text = [b"X=1".to_vec()];
        let changed = [
            TuFacts {
                toolchain: &[9; 32],
                ..base()
            },
            TuFacts {
                release: b"13.5",
                ..base()
            },
            TuFacts {
                driver: b"595.1",
                ..base()
            },
            TuFacts {
                directory: [b"/other", b"/src"],
                ..base()
            },
            TuFacts {
                directory: [b"/src", b"/link"],
                ..base()
            },
            TuFacts {
                environment: &text,
                ..base()
            },
            TuFacts {
                machine: b"cpu",
                ..base()
            },
            TuFacts {
                diagnostics: b"colour",
                ..base()
            },
            TuFacts {
                keep: Some(b""),
                ..base()
            },
            TuFacts {
                job: &job,
                ..base()
            },
            TuFacts {
                source: b"b.cu",
                ..base()
            },
            TuFacts {
                output: Some(b""),
                ..base()
            },
            TuFacts {
                output: Some(b"a.o"),
                ..base()
            },
            TuFacts {
                commands: &text,
                ..base()
            },
            TuFacts {
                passes: &pass,
                ..base()
            },
            TuFacts {
                passes: &loud,
                ..base()
            },
            TuFacts {
                host_headers: &header,
                ..base()
            },
        ];
        let mut keys: HashSet<_> = changed.iter().map(TuFacts::key).collect();
        keys.insert(base().key());
        assert_eq!(keys.len(), changed.len() + 1);
    }
}
