//! The keys of direct mode: that of the path sets of a compile, and that of the result for a path set whose files have
//! certain contents.

use super::common::{COMMON_FIELDS, with_common};
use super::{CommonFacts, Digest, Digester, Sink, list};

/// The version of the keys. It is raised when the meaning of a field, or of a path set, changes.
const SCHEMA: &[u8] = b"pcache-nvcc direct 3";

/// Everything that is known of a compile before any tool has run and any source was read.
#[derive(Clone, Copy, Debug)]
pub struct DirectFacts<'a> {
    /// The facts that a unit's key holds too.
    pub common: CommonFacts<'a>,
    /// nvcc's path as started, and the paths of its tools: headers are looked for relative to them.
    pub programs: &'a [Vec<u8>],
    /// `NAME=value` of every variable that nvcc reads to make its plan.
    pub planning: &'a [Vec<u8>],
    /// The inputs as they were written.
    pub inputs: &'a [Vec<u8>],
    /// The real path of each input, which nvcc passes to its tools.
    pub sources: &'a [Vec<u8>],
    /// The description of each part of the machine that an option asks for (`-march=native`).
    pub machine: &'a [Vec<u8>],
    /// The options that name outputs, in order.
    pub outputs: &'a [Vec<u8>],
}

/// The fields of this key only, which follow [`COMMON_FIELDS`].
const OWN: &[&str] = &[
    "programs", "planning", "inputs", "sources", "machine", "outputs",
];

/// The fields in their order.
pub const DIRECT_FIELDS: &[&str] = &with_common::<{ 1 + COMMON_FIELDS.len() + OWN.len() }>(OWN);

impl DirectFacts<'_> {
    /// The key of the path sets.
    pub fn key(&self) -> Digest {
        let mut sink = Digester::default();
        self.write(&mut sink);
        sink.finish()
    }

    /// Writes every field.
    #[deny(unused_variables)]
    pub fn write(&self, sink: &mut impl Sink) {
        // Without `..`, so that the compiler reports a field that is not written.
        let Self {
            common,
            programs,
            planning,
            inputs,
            sources,
            machine,
            outputs,
        } = self;
        sink.one("schema", SCHEMA);
        common.write(sink);
        list(sink, "programs", programs.iter().map(Vec::as_slice));
        list(sink, "planning", planning.iter().map(Vec::as_slice));
        list(sink, "inputs", inputs.iter().map(Vec::as_slice));
        list(sink, "sources", sources.iter().map(Vec::as_slice));
        list(sink, "machine", machine.iter().map(Vec::as_slice));
        list(sink, "outputs", outputs.iter().map(Vec::as_slice));
    }
}

/// The key of a result. `direct` is the key of the compile's path sets, `set` the digest of a path set, and `contents`
/// the digests of its files in the set's order. `output` is the path of the output as spelled, for a result that is
/// valid for this output only.
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
    use crate::key::common::tests as common;
    use std::collections::HashSet;

    fn base<'a>() -> DirectFacts<'a> {
        DirectFacts {
            common: common::base(),
            programs: &[],
            planning: &[],
            inputs: &[],
            sources: &[],
            machine: &[],
            outputs: &[],
        }
    }

    #[test]
    fn the_explanation_has_exactly_the_documented_fields() {
        let mut sink = Explanation::default();
        base().write(&mut sink);
        let names: Vec<_> = sink.0.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, DIRECT_FIELDS);
        let page = include_str!("../../docs/design/keys.md");
        for field in DIRECT_FIELDS {
            let row = format!("| `{field}` |");
            assert!(page.contains(&row), "docs/design/keys.md lacks {field}");
        }
    }

    #[test]
    fn every_field_reaches_the_key() {
        let text = [b"X=1".to_vec()];
        let job = [("mode", vec![b"object".to_vec()])];
        let mut all = vec![base(); 7];
        all[6].machine = &text;
        all[0].programs = &text;
        all[1].planning = &text;
        all[2].inputs = &text;
        all[3].sources = &text;
        all[4].outputs = &text;
        let common = common::changed(&text, &job).into_iter();
        all.extend(common.map(|common| DirectFacts { common, ..base() }));
        let distinct: HashSet<_> = all.iter().map(DirectFacts::key).collect();
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
