//! The module id: the name that distinguishes a translation unit's internal-linkage and relocatable device
//! symbols from those of other units in a link.

use super::{Digest, Digester, Sink};

/// Options that select how far to compile, and for which architectures. They do not matter for whole-program device
/// code, whose forms all belong to one module.
const FORM: &[&str] = &[
    "compile",
    "cubin",
    "cuda",
    "fatbin",
    "generate-code",
    "gpu-architecture",
    "gpu-code",
    "ptx",
];

/// Options that make device code take part in a link, where every difference matters.
pub const RELOCATABLE: &[&str] = &[
    "device-c",
    "dlink-time-opt",
    "ltoir",
    "relocatable-device-code",
];

/// The facts that distinguish one module of a link from another.
pub struct Module<'a> {
    /// The source's absolute path.
    pub path: &'a [u8],
    /// The digest of the text that the host's front end reads; if there is none, of each text that cicc reads.
    pub contents: &'a [Digest],
    /// The output's absolute path, if another output of the same contents would be a module of its own.
    pub output: Option<&'a [u8]>,
}

impl Module<'_> {
    /// The id of the module as `job` compiles it. Without relocatable device code it depends neither
    /// on the form of the output nor on the architectures, so that the stages of one form serve another.
    ///
    /// It has the form of nvcc's ids, `_<digest>_<length of the file name>_<file name>_<suffix>`, with a longer
    /// digest, and another digest as the suffix, where nvcc has the first symbol's name. All ids for one file name
    /// have the same length, and differ only in digits.
    pub fn id<'a>(
        &self,
        job: impl Iterator<Item = (&'static str, &'a [Vec<u8>])> + Clone,
    ) -> Vec<u8> {
        let mut sink = Digester::default();
        sink.one("path", self.path);
        sink.one("contents", self.contents.as_flattened());
        sink.field("output", usize::from(self.output.is_some()));
        self.output.into_iter().for_each(|path| sink.value(path));
        let relocatable = job.clone().any(|(name, _)| RELOCATABLE.contains(&name));
        for (name, values) in job.filter(|(name, _)| relocatable || !FORM.contains(name)) {
            sink.field(name, values.len());
            values.iter().for_each(|value| sink.value(value));
        }
        let digest = hex::encode(sink.finish());
        let (first, last) = (&digest[..16], &digest[16..32]);
        let middle = String::from_utf8_lossy(&middle(self.path)).into_owned();
        format!("_{first}{middle}{last}").into_bytes()
    }
}

/// The part between the digests of every id of a module compiled from the file at `path`, including nvcc's own ids.
pub fn middle(path: &[u8]) -> Vec<u8> {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let word: String = name
        .iter()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() {
                char::from(*byte)
            } else {
                '_'
            }
        })
        .collect();
    format!("_{}_{word}_", word.len()).into_bytes()
}

/// The two digests in `id`, the only parts that differ between ids for one file name.
pub fn digits(id: &[u8]) -> Option<[&[u8]; 2]> {
    let first = id.get(1..17)?;
    let last = id.get(id.len().checked_sub(16)?..)?;
    (id.len() > 32).then_some([first, last])
}

#[cfg(test)]
mod tests {
    use super::{Module, digits, middle};
    use crate::key::Digest;
    use std::collections::HashSet;

    type Job<'a> = &'a [(&'static str, Vec<Vec<u8>>)];

    fn made(path: &str, contents: &[Digest], output: Option<&str>, job: Job<'_>) -> String {
        let fields = job.iter().map(|(name, values)| (*name, values.as_slice()));
        let module = Module {
            path: path.as_bytes(),
            contents,
            output: output.map(str::as_bytes),
        };
        String::from_utf8(module.id(fields)).expect("ids are ASCII")
    }

    fn id(path: &str, job: Job<'_>) -> String {
        made(path, &[[1; 32]], None, job)
    }

    #[test]
    fn path_contents_output_and_job_tell_modules_apart() {
        let all = [
            id("/src/a.cu", &[]),
            id("/lib/a.cu", &[]),
            id("/src/a.cu", &[("macros", vec![b"D X".to_vec()])]),
            made("/src/a.cu", &[[2; 32]], None, &[]),
            made("/src/a.cu", &[[1; 32], [2; 32]], None, &[]),
            made("/src/a.cu", &[[1; 32]], Some("/a.o"), &[]),
            made("/src/a.cu", &[[1; 32]], Some("/b.o"), &[]),
            made("/src/a.cu", &[[1; 32]], Some(""), &[]),
        ];
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        assert!(all.iter().all(|id| id.len() == all[0].len()), "{all:?}");
        assert_eq!(all[0], id("/src/a.cu", &[]));
    }

    #[test]
    fn form_and_architectures_tell_relocatable_modules_apart_alone() {
        let arch = |arch: &str| ("gpu-architecture", vec![arch.as_bytes().to_vec()]);
        let whole = id("/src/a.cu", &[("compile", vec![]), arch("sm_80")]);
        assert_eq!(whole, id("/src/a.cu", &[arch("sm_90"), ("ptx", vec![])]));
        for option in super::RELOCATABLE {
            let option = (*option, vec![]);
            let one = id("/src/a.cu", &[option.clone(), arch("sm_80")]);
            assert_ne!(one, id("/src/a.cu", &[option, arch("sm_90")]));
        }
    }

    #[test]
    fn an_id_is_a_c_identifier_of_the_known_shape() {
        let odd = id("/src/ä-b c.cu", &[]);
        assert!(
            odd.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'),
            "{odd}"
        );
        assert!(odd.contains("_9____b_c_cu_"), "{odd}");
        assert_eq!(middle("/src/ä-b c.cu".as_bytes()), b"_9____b_c_cu_");
    }

    #[test]
    fn ids_differ_in_their_digits_alone() {
        let (one, other) = (id("/src/a.cu", &[]), id("/lib/a.cu", &[]));
        let [first, last] = digits(one.as_bytes()).expect("an id");
        let [other_first, other_last] = digits(other.as_bytes()).expect("an id");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let moved = one.replace(&text(first), &text(other_first));
        assert_eq!(moved.replace(&text(last), &text(other_last)), other);
        assert_eq!(digits(b""), None);
        assert_eq!(digits(b"_0_4_a_cu_0"), None);
    }
}
