//! The key of a translation unit: every fact that can reach its outputs. Pure: `compile` collects
//! the facts. See `docs/design/keys.md`; a test checks that the page lists [`FIELDS`].

use super::common::{COMMON_FIELDS, with_common};
use super::{CommonFacts, Digest, Digester, Sink, list, pairs};

/// The version of the list of fields. It is raised when their meaning changes.
pub const SCHEMA: &[u8] = b"pcache-nvcc tu 5";

/// The fields of this key only, which follow [`COMMON_FIELDS`].
const OWN: &[&str] = &[
    "host",
    "machine",
    "source",
    "module",
    "output",
    "commands",
    "passes",
    "printed",
    "host_headers",
    "places",
];

/// Every field of the key, in order.
pub const FIELDS: &[&str] = &with_common::<{ 1 + COMMON_FIELDS.len() + OWN.len() }>(OWN);

/// One preprocessed pass, or the content of an input that is not preprocessed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pass {
    /// The name of the file that it was written to.
    pub command: Vec<u8>,
    /// SHA-256 of the text.
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
    /// The facts that were known before the plan.
    pub common: CommonFacts<'a>,
    /// The commands that the host compiler says it would run for a compile, each followed by the
    /// digest of its program; empty if it only preprocesses.
    pub host: &'a [Vec<u8>],
    /// What `-march=native` and its like stand for here; empty if no command depends on it.
    pub machine: &'a [u8],
    /// The source's path as spelled.
    pub source: &'a [u8],
    /// The source's path below the base, or else below its deepest root.
    pub module: &'a [u8],
    /// The output's absolute path, below the base if it lies there, if each output has a module id of its own.
    pub output: Option<&'a [u8]>,
    /// The commands of the unit's stages, with temporary and output names replaced, sorted.
    pub commands: &'a [Vec<u8>],
    /// Every preprocessed pass, sorted by command.
    pub passes: &'a [Pass],
    /// The headers that only the host compile reads, sorted by path.
    pub host_headers: &'a [HostHeader],
    /// The paths of the roots that the other fields name although their paths stand for them elsewhere.
    pub places: &'a [Vec<u8>],
}

impl<'a> TuFacts<'a> {
    /// The digest of all fields.
    pub fn key(&self) -> Digest {
        let mut sink = Digester::default();
        self.write(&mut sink);
        sink.finish()
    }

    /// Writes every field to `sink`, in the order of [`FIELDS`].
    #[deny(unused_variables)]
    pub fn write(&self, sink: &mut impl Sink) {
        // Without `..`, so that the compiler reports a field that is not written.
        let Self {
            common,
            host,
            machine,
            source,
            module,
            output,
            commands,
            passes,
            host_headers,
            places,
        } = self;
        sink.one("schema", SCHEMA);
        common.write(sink);
        list(sink, "host", host.iter().map(Vec::as_slice));
        sink.one("machine", machine);
        sink.one("source", source);
        sink.one("module", module);
        list(sink, "output", output.iter().copied());
        list(sink, "commands", commands.iter().map(Vec::as_slice));
        let texts = passes.iter();
        pairs(
            sink,
            "passes",
            texts.map(|pass| (&pass.command[..], &pass.digest)),
        );
        let printed = |pass: &'a Pass| Some((&pass.command[..], pass.printed.as_ref()?));
        pairs(sink, "printed", passes.iter().filter_map(printed));
        let headers = host_headers.iter();
        pairs(
            sink,
            "host_headers",
            headers.map(|header| (&header.path[..], &header.digest)),
        );
        list(sink, "places", places.iter().map(Vec::as_slice));
    }
}

#[cfg(test)]
mod tests {
    use super::{FIELDS, HostHeader, Pass, TuFacts};
    use crate::key::Explanation;
    use crate::key::common::tests as common;
    use std::collections::HashSet;

    fn base<'a>() -> TuFacts<'a> {
        TuFacts {
            common: common::base(),
            host: &[],
            machine: b"",
            source: b"a.cu",
            module: b"/src/a.cu",
            output: None,
            commands: &[],
            passes: &[],
            host_headers: &[],
            places: &[],
        }
    }

    #[test]
    fn the_explanation_has_exactly_the_documented_fields() {
        let mut sink = Explanation::default();
        base().write(&mut sink);
        let names: Vec<_> = sink.0.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, FIELDS);
        let page = include_str!("../../docs/design/keys.md");
        for field in FIELDS {
            assert!(
                page.contains(&format!("| `{field}` |")),
                "docs/design/keys.md lacks {field}"
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
        let mut changed = vec![base(); 11];
        changed[10].module = b"b/a.cu";
        changed[9].places = &text;
        changed[0].machine = b"cpu";
        changed[1].source = b"b.cu";
        changed[2].output = Some(b"");
        changed[8].output = Some(b"a.o");
        changed[3].commands = &text;
        changed[4].passes = &pass;
        changed[5].passes = &loud;
        changed[6].host_headers = &header;
        changed[7].host = &text;
        let common = common::changed(&text, &job).into_iter();
        changed.extend(common.map(|common| TuFacts { common, ..base() }));
        let mut keys: HashSet<_> = changed.iter().map(TuFacts::key).collect();
        keys.insert(base().key());
        assert_eq!(keys.len(), changed.len() + 1);
    }
}
