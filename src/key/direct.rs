//! The keys of direct mode: that of the path sets of a compile, and that of the result for a path set whose files have
//! certain contents.

use super::common::{COMMON_FIELDS, with_common};
use super::{CommonFacts, Digest, Digester, Sink, list};

/// The version of the keys. It is raised when the meaning of a field, or of a path set, changes.
const SCHEMA: &[u8] = b"pcache-nvcc direct 4";

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
    /// The paths of the roots that the other fields name although their paths stand for them elsewhere.
    pub places: &'a [Vec<u8>],
}

/// The fields of this key only, which follow [`COMMON_FIELDS`].
const OWN: &[&str] = &[
    "programs", "planning", "inputs", "sources", "machine", "outputs", "places",
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
            places,
        } = self;
        sink.one("schema", SCHEMA);
        common.write(sink);
        list(sink, "programs", programs.iter().map(Vec::as_slice));
        list(sink, "planning", planning.iter().map(Vec::as_slice));
        list(sink, "inputs", inputs.iter().map(Vec::as_slice));
        list(sink, "sources", sources.iter().map(Vec::as_slice));
        list(sink, "machine", machine.iter().map(Vec::as_slice));
        list(sink, "outputs", outputs.iter().map(Vec::as_slice));
        list(sink, "places", places.iter().map(Vec::as_slice));
    }
}

/// What a result depends on besides its files. Each part is empty for a result that does not depend on it.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResultFacts<'a> {
    /// The path of the output as spelled.
    pub output: Option<&'a [u8]>,
    /// What messages depend on.
    pub messages: &'a [Vec<u8>],
    /// The value of SOURCE_DATE_EPOCH.
    pub time: Option<&'a [u8]>,
    /// The paths of roots.
    pub places: &'a [Vec<u8>],
}

/// The key of a result. `direct` is the key of the compile's path sets, `set` the digest of a path set, and `contents`
/// the digests of its files in the set's order.
#[deny(unused_variables)]
pub fn result_key(
    direct: &Digest,
    set: &Digest,
    contents: &[Digest],
    facts: &ResultFacts<'_>,
) -> Digest {
    let ResultFacts {
        output,
        messages,
        time,
        places,
    } = *facts;
    let mut sink = Digester::default();
    sink.one("schema", SCHEMA);
    sink.one("direct", direct);
    sink.one("set", set);
    sink.one("contents", contents.as_flattened());
    list(&mut sink, "output", output.into_iter());
    list(&mut sink, "messages", messages.iter().map(Vec::as_slice));
    list(&mut sink, "time", time.into_iter());
    list(&mut sink, "places", places.iter().map(Vec::as_slice));
    sink.finish()
}

#[cfg(test)]
mod tests {
    use super::{DIRECT_FIELDS, DirectFacts, ResultFacts, result_key};
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
            places: &[],
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
        let mut all = vec![base(); 8];
        all[7].places = &text;
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
        let none = ResultFacts::default();
        let text = [b"x".to_vec()];
        let output = |output| ResultFacts {
            output: Some(output),
            ..none
        };
        let time = ResultFacts {
            time: Some(b""),
            ..none
        };
        let messages = ResultFacts {
            messages: &text,
            ..none
        };
        let places = ResultFacts {
            places: &text,
            ..none
        };
        let all = [
            result_key(&[0; 32], &[0; 32], &[[0; 32]], &none),
            result_key(&[1; 32], &[0; 32], &[[0; 32]], &none),
            result_key(&[0; 32], &[1; 32], &[[0; 32]], &none),
            result_key(&[0; 32], &[0; 32], &[[1; 32]], &none),
            result_key(&[0; 32], &[0; 32], &[[0; 32], [0; 32]], &none),
            result_key(&[0; 32], &[0; 32], &[[0; 32]], &output(b"")),
            result_key(&[0; 32], &[0; 32], &[[0; 32]], &output(b"a.o")),
            result_key(&[0; 32], &[0; 32], &[[0; 32]], &time),
            result_key(&[0; 32], &[0; 32], &[[0; 32]], &messages),
            result_key(&[0; 32], &[0; 32], &[[0; 32]], &places),
        ];
        let distinct: HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }
}
