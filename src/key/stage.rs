//! The key of one stage: the arguments and inputs of one tool. Pure: `compile` collects the facts. See
//! `docs/design/keys.md`; a test checks that the page lists [`STAGE_FIELDS`].

use super::{Digest, Digester, HostHeader, Sink, list, pairs};

/// The version of the list of fields. It is raised when their meaning changes.
pub const STAGE_SCHEMA: &[u8] = b"pcache-nvcc stage 2";

/// Every field of the key, in order.
pub const STAGE_FIELDS: &[&str] = &[
    "schema",
    "tool",
    "arguments",
    "inputs",
    "directory",
    "environment",
    "machine",
    "diagnostics",
    "debug_directory",
    "host",
    "host_headers",
];

/// The facts of one stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageFacts<'a> {
    /// The digest of the tool and of the files that it loads.
    pub tool: &'a Digest,
    /// The arguments, with files replaced by their index.
    pub arguments: &'a [Vec<u8>],
    /// For each file read, its name (empty unless names reach the output) and the digest of its content.
    pub inputs: &'a [(Vec<u8>, Digest)],
    /// The working directory, physical and as `PWD` names it; empty unless it reaches the output.
    pub directory: &'a [&'a [u8]],
    /// `NAME=value` of the variables that the tool reads, sorted.
    pub environment: &'a [Vec<u8>],
    /// What `-march=native` and its like stand for here; empty if no argument depends on it.
    pub machine: &'a [u8],
    /// `plain` or `colour`: whether the tool colours its messages.
    pub diagnostics: &'a [u8],
    /// The name of the work directory in debug information; `None` if none is written.
    pub debug_directory: Option<&'a [u8]>,
    /// The commands that the host compiler says it would run; empty for other tools.
    pub host: &'a [Vec<u8>],
    /// The headers that the tool finds by itself, sorted by path.
    pub host_headers: &'a [HostHeader],
}

impl StageFacts<'_> {
    /// The digest of all fields.
    pub fn key(&self) -> Digest {
        let mut sink = Digester::default();
        self.write(&mut sink);
        sink.finish()
    }

    /// Writes every field to `sink`, in the order of [`STAGE_FIELDS`].
    #[deny(unused_variables)]
    pub fn write(&self, sink: &mut impl Sink) {
        // Taken apart, so that the compiler names a field that is not written.
        let Self {
            tool,
            arguments,
            inputs,
            directory,
            environment,
            machine,
            diagnostics,
            debug_directory,
            host,
            host_headers,
        } = *self;
        sink.one("schema", STAGE_SCHEMA);
        sink.one("tool", tool);
        list(sink, "arguments", arguments.iter().map(Vec::as_slice));
        let inputs = inputs.iter();
        pairs(
            sink,
            "inputs",
            inputs.map(|(name, digest)| (&name[..], digest)),
        );
        list(sink, "directory", directory.iter().copied());
        list(sink, "environment", environment.iter().map(Vec::as_slice));
        sink.one("machine", machine);
        sink.one("diagnostics", diagnostics);
        list(sink, "debug_directory", debug_directory.into_iter());
        list(sink, "host", host.iter().map(Vec::as_slice));
        let headers = host_headers.iter();
        pairs(
            sink,
            "host_headers",
            headers.map(|header| (&header.path[..], &header.digest)),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::{STAGE_FIELDS, StageFacts};
    use crate::key::{Explanation, HostHeader};
    use std::collections::HashSet;

    fn base<'a>() -> StageFacts<'a> {
        StageFacts {
            tool: &[1; 32],
            arguments: &[],
            inputs: &[],
            directory: &[],
            environment: &[],
            machine: b"",
            diagnostics: b"plain",
            debug_directory: None,
            host: &[],
            host_headers: &[],
        }
    }

    #[test]
    fn the_explanation_has_exactly_the_documented_fields() {
        let mut sink = Explanation::default();
        base().write(&mut sink);
        let names: Vec<_> = sink.0.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, STAGE_FIELDS);
        let page = include_str!("../../docs/design/keys.md");
        let (_, section) = page
            .split_once("\n## Stages\n")
            .expect("a section on stages");
        for field in STAGE_FIELDS {
            assert!(
                section.contains(&format!("| `{field}` |")),
                "docs/design/keys.md lacks {field}"
            );
        }
    }

    #[test]
    fn every_field_reaches_the_key() {
        let text = [b"x".to_vec()];
        let input = [(b"a.ptx".to_vec(), [2; 32])];
        let other_name = [(b"b.ptx".to_vec(), [2; 32])];
        let other_content = [(b"a.ptx".to_vec(), [3; 32])];
        let header = [HostHeader {
            path: b"h".to_vec(),
            digest: [3; 32],
        }];
        let mut changed = vec![base(); 12];
        changed[1].tool = &[9; 32];
        changed[2].arguments = &text;
        changed[3].inputs = &input;
        changed[4].inputs = &other_name;
        changed[5].inputs = &other_content;
        changed[6].directory = &[b"/src", b"/src"];
        changed[7].environment = &text;
        changed[8].machine = b"cpu";
        changed[9].diagnostics = b"colour";
        changed[10].debug_directory = Some(b".");
        changed[11].host = &text;
        changed.push(StageFacts {
            host_headers: &header,
            ..base()
        });
        let keys: HashSet<_> = changed.iter().map(StageFacts::key).collect();
        assert_eq!(keys.len(), changed.len());
    }
}
