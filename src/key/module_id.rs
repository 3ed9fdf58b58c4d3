//! The module id: the name by which a translation unit's internal-linkage and relocatable device
//! symbols are told apart in a link.

use super::{Digester, Sink};

/// Options that say how far to compile, and for which architectures. Whole programs in device code,
/// whatever their form, are of one module.
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

/// Options with which device code takes part in a link, where every difference counts.
const RELOCATABLE: &[&str] = &[
    "device-c",
    "dlink-time-opt",
    "ltoir",
    "relocatable-device-code",
];

/// The id for the source at `path` (absolute) compiled as `job` says: unique among the objects of a
/// link, and independent of the source's content, so that it is known before any stage has run.
/// Without relocatable device code it does not depend on the form of the output nor on the
/// architectures, so that the stages of one form serve another.
///
/// Its shape is nvcc's, `_<digest>_<length of the file name>_<file name>_<suffix>`, with a longer
/// digest and without the first symbol's name, which nvcc can only know after cudafe++.
pub fn module_id<'a>(
    path: &[u8],
    job: impl Iterator<Item = (&'static str, &'a [Vec<u8>])> + Clone,
) -> Vec<u8> {
    let mut sink = Digester::default();
    sink.one("path", path);
    let relocatable = job.clone().any(|(name, _)| RELOCATABLE.contains(&name));
    for (name, values) in job.filter(|(name, _)| relocatable || !FORM.contains(name)) {
        sink.field(name, values.len());
        values.iter().for_each(|value| sink.value(value));
    }
    let digest = hex::encode(sink.finish());
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
    format!(
        "_{}_{}_{word}_{}",
        &digest[..16],
        word.len(),
        &digest[16..32]
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::module_id;

    fn id(path: &str, job: &[(&'static str, Vec<Vec<u8>>)]) -> String {
        let fields = job.iter().map(|(name, values)| (*name, values.as_slice()));
        String::from_utf8(module_id(path.as_bytes(), fields)).expect("ids are ASCII")
    }

    #[test]
    fn the_path_and_the_job_tell_modules_apart() {
        let plain = id("/src/a.cu", &[]);
        assert_ne!(plain, id("/lib/a.cu", &[]));
        assert_ne!(plain, id("/src/a.cu", &[("macros", vec![b"D X".to_vec()])]));
        assert_eq!(plain, id("/src/a.cu", &[]));
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
    }
}
