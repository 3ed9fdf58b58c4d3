//! The keys of programs compiled at run time: the key of a request's path sets, and the key of the result
//! for a path set whose files have certain contents. Pure: every fact arrives as an argument.
//! `docs/design/keys.md` lists the fields, with reasons.

use super::options::Options;
use super::program::{NvrtcRequest, Program};
use crate::key::{Digest, Digester, Sink, list};
use sha2::{Digest as _, Sha256};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Raised when the fields or the meaning of a path set change.
const SCHEMA: &[u8] = b"pcache-nvcc nvrtc 3";

/// NVRTC's name for a program without a name.
const UNNAMED: &[u8] = b"default_program";

/// Whether a result depends on the program's directory and the working directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Locality {
    /// No: the key has the program's name without its directory.
    Anywhere,
    /// Yes: the key has the program's whole name and the working directory.
    ThisDirectory,
}

/// Everything that is known about a compile before NVRTC has read any file.
#[derive(Clone, Copy, Debug)]
pub(super) struct NvrtcFacts<'a> {
    /// SHA-256 of libnvrtc and of its builtins.
    pub library: [&'a Digest; 2],
    pub driver: &'a [u8],
    /// `NAME=value` of every variable that NVRTC reads.
    pub environment: &'a [Vec<u8>],
    /// The mode of the calling thread's floating-point unit: [`super::process::floating_point_mode`].
    pub floating_point: &'a str,
    pub request: NvrtcRequest<'a>,
    /// The options, including those from the environment.
    pub options: &'a Options,
    /// The working directory, physical and as `PWD` spells it.
    pub directories: &'a [PathBuf; 2],
    /// Whether the key has the directories.
    pub scope: Locality,
}

/// The fields in their order.
#[cfg(test)]
const NVRTC_FIELDS: &[&str] = &[
    "schema",
    "library",
    "driver",
    "environment",
    "floating_point",
    "scope",
    "directory",
    "name",
    "job",
    "expressions",
    "headers",
    "source",
];

impl NvrtcFacts<'_> {
    /// The key of the path sets.
    pub(super) fn key(&self) -> Digest {
        let mut sink = Digester::default();
        self.write(&mut sink);
        sink.finish()
    }

    #[deny(unused_variables)]
    pub(super) fn write(&self, sink: &mut impl Sink) {
        // Taken apart, so that the compiler names a field that is not written.
        let Self {
            library,
            driver,
            environment,
            floating_point,
            request,
            options,
            directories,
            scope,
        } = *self;
        let NvrtcRequest {
            program,
            expressions,
            ..
        } = request;
        sink.one("schema", SCHEMA);
        list(sink, "library", library.iter().map(|digest| &digest[..]));
        sink.one("driver", driver);
        let environment = environment.iter().map(Vec::as_slice);
        list(sink, "environment", environment);
        sink.one("floating_point", floating_point.as_bytes());
        match scope {
            Locality::Anywhere => {
                sink.one("scope", b"anywhere");
                sink.field("directory", 0);
                sink.one("name", base_name(program));
            }
            Locality::ThisDirectory => {
                sink.one("scope", b"here");
                let directories = directories.iter();
                let directories = directories.map(|path| path.as_os_str().as_bytes());
                list(sink, "directory", directories);
                sink.one("name", full_name(program));
            }
        }
        options.write(sink);
        let expressions = expressions.iter().map(Vec::as_slice);
        list(sink, "expressions", expressions);
        sink.field("headers", 2 * program.headers.len());
        for header in &program.headers {
            sink.value(&header.name);
            sink.value(&Sha256::digest(&header.source));
        }
        sink.one("source", &Sha256::digest(&program.source));
    }
}

/// The program's name as NVRTC knows it.
pub(super) fn full_name(program: &Program) -> &[u8] {
    let name = program.name.as_deref();
    name.filter(|name| !name.is_empty()).unwrap_or(UNNAMED)
}

/// The program's name after its last slash.
pub(super) fn base_name(program: &Program) -> &[u8] {
    let name = full_name(program);
    let slash = name.iter().rposition(|&byte| byte == b'/');
    &name[slash.map_or(0, |slash| slash + 1)..]
}

/// The program's name for reports and paths.
pub(super) fn shown_name(program: &Program) -> &OsStr {
    OsStr::from_bytes(full_name(program))
}

/// The key of a result: for the request with the key `request`, if the files of the path set with the digest `set`
/// have the digests `contents`, in the set's order, and these `times`, which are empty if the result does not depend
/// on them.
pub(super) fn result_key(
    request: &Digest,
    set: &Digest,
    contents: &[Digest],
    times: &[u64],
) -> Digest {
    let mut sink = Digester::default();
    sink.one("schema", SCHEMA);
    sink.one("request", request);
    sink.one("set", set);
    sink.one("contents", contents.as_flattened());
    let times: Vec<_> = times.iter().flat_map(|time| time.to_le_bytes()).collect();
    sink.one("times", &times);
    sink.finish()
}

#[cfg(test)]
mod tests {
    use super::{Locality, NVRTC_FIELDS, NvrtcFacts, result_key};
    use crate::key::{Digest, Explanation};
    use crate::nvrtc::options::Options;
    use crate::nvrtc::program::{Header, Library, NvrtcRequest, Program};
    use std::collections::HashSet;
    use std::path::PathBuf;

    /// Everything that a key is made of.
    #[derive(Clone)]
    struct Case {
        library: [Digest; 2],
        driver: Vec<u8>,
        environment: Vec<Vec<u8>>,
        floating_point: String,
        program: Program,
        expressions: Vec<Vec<u8>>,
        options: Vec<Vec<u8>>,
        directories: [PathBuf; 2],
        scope: Locality,
    }

    impl Case {
        fn new() -> Self {
            Self {
                library: [[1; 32], [2; 32]],
                driver: b"none".to_vec(),
                environment: Vec::new(),
                floating_point: "mxcsr 1f80, x87 037f".to_owned(),
                program: Program {
                    source: b"int x;".to_vec(),
                    name: Some(b"/a/k.cu".to_vec()),
                    headers: vec![header("h.h", "1")],
                },
                expressions: vec![b"f<int>".to_vec()],
                options: vec![b"-DX".to_vec(), b"-DY".to_vec()],
                directories: ["/d".into(), "/d".into()],
                scope: Locality::ThisDirectory,
            }
        }

        fn write<T>(&self, finish: impl FnOnce(&NvrtcFacts<'_>) -> T) -> T {
            let library = Library {
                path: "/lib".into(),
                builtins: None,
            };
            let request = NvrtcRequest {
                library: &library,
                program: &self.program,
                expressions: &self.expressions,
                options: &self.options,
            };
            finish(&NvrtcFacts {
                library: [&self.library[0], &self.library[1]],
                driver: &self.driver,
                environment: &self.environment,
                floating_point: &self.floating_point,
                request,
                options: &Options::read(&self.options, None).unwrap(),
                directories: &self.directories,
                scope: self.scope,
            })
        }

        fn key(&self) -> Digest {
            self.write(|facts| facts.key())
        }

        fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
            change(&mut self);
            self
        }
    }

    fn header(name: &str, source: &str) -> Header {
        Header {
            name: name.into(),
            source: source.into(),
        }
    }

    #[test]
    fn the_explanation_has_exactly_the_documented_fields() {
        let page = include_str!("../../docs/design/keys.md");
        let written = Case::new().write(|facts| {
            let mut sink = Explanation::default();
            facts.write(&mut sink);
            sink
        });
        let names: Vec<_> = written.0.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, NVRTC_FIELDS);
        for field in NVRTC_FIELDS {
            let row = format!("| `{field}` |");
            assert!(page.contains(&row), "docs/design/keys.md lacks {field}");
        }
    }

    #[test]
    fn every_field_reaches_the_key() {
        let changes: [fn(&mut Case); 17] = [
            |_| {},
            |case| case.library[0] = [9; 32],
            |case| case.library[1] = [9; 32],
            |case| case.driver = b"595.1".to_vec(),
            |case| case.environment.push(b"NVRTCWIZ=1".to_vec()),
            |case| case.floating_point = "mxcsr 9f80, x87 037f".to_owned(),
            |case| case.program.source = b"int y;".to_vec(),
            |case| case.program.name = Some(b"/b/k.cu".to_vec()),
            |case| case.program.headers[0] = header("h.h", "2"),
            |case| case.program.headers[0] = header("g.h", "1"),
            |case| case.program.headers.push(header("g.h", "1")),
            |case| case.expressions[0] = b"f<char>".to_vec(),
            |case| case.expressions.clear(),
            |case| case.options.reverse(),
            |case| case.directories[0] = "/e".into(),
            |case| case.directories[1] = "/e".into(),
            |case| case.scope = Locality::Anywhere,
        ];
        let keys = changes.map(|change| Case::new().with(change).key());
        assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len());
    }

    #[test]
    fn anywhere_only_the_last_part_of_the_name_counts() {
        let anywhere = Case::new().with(|case| case.scope = Locality::Anywhere);
        let moved = anywhere.clone().with(|case| {
            case.program.name = Some(b"/tmp/random/k.cu".to_vec());
            case.directories[0] = "/e".into();
        });
        assert_eq!(anywhere.key(), moved.key());
        let renamed = anywhere.clone();
        let renamed = renamed.with(|case| case.program.name = Some(b"/a/j.cu".to_vec()));
        assert_ne!(anywhere.key(), renamed.key());
        let unnamed = [None, Some(Vec::new()), Some(b"default_program".to_vec())];
        let unnamed = unnamed.map(|name| Case::new().with(|case| case.program.name = name).key());
        assert!(unnamed.iter().all(|key| *key == unnamed[0]));
    }

    #[test]
    fn every_part_reaches_the_key_of_a_result() {
        let all = [
            result_key(&[0; 32], &[0; 32], &[[0; 32]], &[]),
            result_key(&[1; 32], &[0; 32], &[[0; 32]], &[]),
            result_key(&[0; 32], &[1; 32], &[[0; 32]], &[]),
            result_key(&[0; 32], &[0; 32], &[[0; 32], [0; 32]], &[]),
            result_key(&[0; 32], &[0; 32], &[[0; 32]], &[1]),
        ];
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
    }
}
