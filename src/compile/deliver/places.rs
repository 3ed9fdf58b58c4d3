//! The paths that an invocation may write to: the names that nvcc gives to outputs, depfiles and kept files,
//! derived from the command line alone. A stored result names paths too; it is used only if this invocation
//! would write to the same ones.

use crate::cmdline::{Job, Mode};
use crate::compile::request::facts::Keep;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Suffixes of kept files, whose names begin with the source's: `a.cudafe1.stub.c`, `a.sm_80.cubin`. None of them
/// is a suffix that users give to their sources.
const KEPT: [&str; 15] = [
    ".ii",
    ".cubin",
    ".ptx",
    ".fatbin",
    ".fatbin.c",
    ".module_id",
    ".gpu",
    ".cudafe1.c",
    ".cudafe1.cpp",
    ".stub.c",
    ".reg.c",
    ".o",
    ".ltoir",
    ".optixir",
    ".bc",
];

/// The paths that one invocation may write to.
pub(crate) struct Places<'a> {
    job: &'a Job,
    keep: Option<&'a Keep>,
}

impl<'a> Places<'a> {
    /// The places of `job`, whose `--keep` options are `keep`.
    pub(crate) fn of(job: &'a Job, keep: Option<&'a Keep>) -> Self {
        Self { job, keep }
    }

    /// Whether `outputs` are exactly the outputs of the invocation, each once. `None` stands for the value of `-o`.
    pub(crate) fn are_outputs(&self, outputs: &[Option<&Path>]) -> bool {
        if self.job.mode == Mode::Rules {
            return outputs.is_empty();
        }
        let mut expected = match (&self.job.output, self.derived_outputs()) {
            (Some(_), _) => vec![None],
            (None, Some(derived)) => derived.into_iter().map(Some).collect(),
            (None, None) => return false,
        };
        // Versions of nvcc differ in whether `-odir` applies to `-o`, so either path stands for the value of `-o`.
        let output_in_directory = self
            .job
            .output
            .as_deref()
            .map(|output| self.in_output_directory(output));
        let mut actual: Vec<_> = outputs
            .iter()
            .map(|path| match path {
                Some(path) if output_in_directory.as_deref() == Some(path) => None,
                path => path.map(Path::to_owned),
            })
            .collect();
        expected.sort();
        actual.sort();
        expected == actual
    }

    /// The outputs that the sources name, as `-o` does not; `None` if not each source has one.
    pub(crate) fn derived_outputs(&self) -> Option<Vec<PathBuf>> {
        let suffix = suffix(self.job.mode)?;
        let inputs = self.job.inputs.iter();
        let names = inputs.map(|input| named(stem(input), suffix));
        let paths = names.map(|name| self.in_output_directory(&name));
        Some(paths.collect())
    }

    /// The output, if there is one alone: the value of `-o`, or what the only source names.
    pub(crate) fn only_output(&self) -> Option<OsString> {
        if self.job.output.is_some() {
            return self.job.output.clone();
        }
        let [output] = <[PathBuf; 1]>::try_from(self.derived_outputs()?).ok()?;
        Some(output.into_os_string())
    }

    /// Whether `depfiles` are those that the invocation writes.
    pub(crate) fn are_depfiles(&self, depfiles: &[&Path]) -> bool {
        let Some(requested) = &self.job.dependencies else {
            return depfiles.is_empty();
        };
        // Without the name of a file, `-M` prints the rules.
        if self.job.mode == Mode::Rules && requested.file.is_none() {
            return depfiles.is_empty();
        }
        let is_expected = |path: &&Path| match &requested.file {
            Some(file) => path.as_os_str() == file,
            None => self.may_be_depfile(path),
        };
        depfiles.len() <= self.job.inputs.len()
            && !depfiles.is_empty()
            && depfiles.iter().all(is_expected)
    }

    /// Whether nvcc may give a depfile this path if the user names none: the name of the output or of a source
    /// with the suffix `.d`.
    fn may_be_depfile(&self, path: &Path) -> bool {
        let output = self.job.output.as_deref().map(Path::new);
        let directories = [
            Some(PathBuf::new()),
            self.job.output_directory.as_ref().map(PathBuf::from),
            output.and_then(Path::parent).map(Path::to_owned),
        ];
        let inputs = self.job.inputs.iter().map(|input| stem(input));
        let mut names: Vec<_> = inputs.collect();
        names.extend(output.map(|output| stem(output.as_os_str())));
        names.extend(output.and_then(Path::file_name));
        let mut directories = directories.iter().flatten();
        directories.any(|directory| {
            let mut names = names.iter();
            names.any(|name| directory.join(named(name, ".d")) == path)
        })
    }

    /// Whether each of `kept` is an intermediate file in the keep directory.
    pub(crate) fn are_kept(&self, mut kept: impl Iterator<Item = impl AsRef<Path>>) -> bool {
        kept.all(|path| {
            let path = path.as_ref().as_os_str().as_bytes();
            let prefix = self.keep.map(|keep| keep.prefix.as_bytes());
            let name = prefix.and_then(|prefix| path.strip_prefix(prefix));
            name.is_some_and(|name| self.may_be_kept(name))
        })
    }

    fn may_be_kept(&self, name: &[u8]) -> bool {
        let mut stems = self.job.inputs.iter().map(|input| stem(input));
        !name.contains(&b'/')
            && stems.any(|stem| {
                let rest = name.strip_prefix(stem.as_bytes());
                rest.is_some_and(|rest| rest.starts_with(b".") || rest.starts_with(b"_"))
            })
            && KEPT.iter().any(|suffix| name.ends_with(suffix.as_bytes()))
    }

    /// The path of `name` in the output directory (`-odir`), if there is one.
    fn in_output_directory(&self, name: &OsStr) -> PathBuf {
        match &self.job.output_directory {
            Some(directory) => Path::new(directory).join(name),
            None => name.into(),
        }
    }
}

/// The suffix of the output if each source has an output of its own, otherwise `None`.
fn suffix(mode: Mode) -> Option<&'static str> {
    match mode {
        Mode::Object => Some(".o"),
        Mode::Ptx => Some(".ptx"),
        Mode::Cubin => Some(".cubin"),
        Mode::Fatbin => Some(".fatbin"),
        Mode::OptixIr => Some(".optixir"),
        Mode::Ltoir => Some(".ltoir"),
        Mode::CudaSource => Some(".cu.cpp.ii"),
        Mode::Rules | Mode::Library | Mode::DeviceLink | Mode::Program => None,
    }
}

fn stem(path: &OsStr) -> &OsStr {
    Path::new(path).file_stem().unwrap_or_default()
}

fn named(stem: &OsStr, suffix: &str) -> OsString {
    let mut name = stem.to_owned();
    name.push(suffix);
    name
}

#[cfg(test)]
mod tests {
    use super::{Keep, Places};
    use crate::cmdline::{CommandLine, Job};
    use std::ffi::OsString;
    use std::path::Path;

    fn job(text: &str) -> Job {
        let args: Vec<OsString> = text.split(' ').map(OsString::from).collect();
        let line = CommandLine {
            args: &args,
            ..CommandLine::default()
        };
        let mut read = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
        crate::cmdline::read(&line, &mut read).expect("a job")
    }

    fn outputs(text: &str, outputs: &[Option<&str>]) -> bool {
        let outputs: Vec<_> = outputs.iter().map(|path| path.map(Path::new)).collect();
        Places::of(&job(text), None).are_outputs(&outputs)
    }

    fn depfiles(text: &str, depfiles: &[&str]) -> bool {
        let depfiles: Vec<_> = depfiles.iter().map(Path::new).collect();
        Places::of(&job(text), None).are_depfiles(&depfiles)
    }

    fn kept(text: &str, prefix: &str, kept: &[&str]) -> bool {
        let keep = Keep {
            prefix: prefix.into(),
        };
        Places::of(&job(text), Some(&keep)).are_kept(kept.iter())
    }

    #[test]
    fn outputs_are_those_that_the_command_line_names_all_of_them_and_no_others() {
        assert!(outputs("-c -o x.o s/a.cu", &[None]));
        assert!(outputs("-c s/a.b.cu c.cu", &[Some("c.o"), Some("a.b.o")]));
        assert!(outputs("-ptx -odir d s/a.cu", &[Some("d/a.ptx")]));
        assert!(outputs("-cuda a.cu", &[Some("a.cu.cpp.ii")]));
        for wrong in [
            &[][..],
            &[Some("/home/me/.profile")],
            &[Some("s/a.o")],
            &[Some("a.cu")],
            &[Some("a.o"), Some("a.o")],
            &[Some("a.o"), Some(".bashrc")],
            &[None],
        ] {
            assert!(!outputs("-c s/a.cu", wrong), "{wrong:?}");
        }
        assert!(!outputs("-c -o x.o s/a.cu", &[Some("/etc/x.o")]));
    }

    #[test]
    fn depfiles_are_those_that_the_command_line_names() {
        assert!(depfiles("-c a.cu", &[]) && !depfiles("-c a.cu", &["a.d"]));
        assert!(depfiles("-c -MD -MF p/q a.cu", &["p/q"]));
        assert!(!depfiles("-c -MD -MF p/q a.cu", &["a.d"]));
        assert!(depfiles("-c -MD -o x/y.o a.cu", &["x/y.d"]));
        assert!(depfiles("-c -MD a.cu b.cu", &["a.d", "b.d"]));
        for wrong in ["/home/me/.profile", "../a.d", "x/a.d", "a.cu"] {
            assert!(!depfiles("-c -MD a.cu", &[wrong]), "{wrong}");
        }
        assert!(!depfiles("-c -MD a.cu", &[]));
    }

    #[test]
    fn kept_files_are_intermediate_ones_in_the_keep_directory() {
        assert!(kept("-c --keep a.cu", "", &["a.cudafe1.stub.c", "a.ptx"]));
        assert!(kept("-c --keep-dir k a.cu", "k/", &["k/a.sm_80.cubin"]));
        for wrong in [
            "a.cu",
            "b.ptx",
            "../a.ptx",
            "/etc/a.ptx",
            "a.sh",
            "a.py",
            "k/a.ptx",
            "ab.ptx",
            "another.o",
        ] {
            assert!(!kept("-c --keep a.cu", "", &[wrong]), "{wrong}");
        }
        assert!(!kept("-c --keep-dir k a.cu", "k/", &["a.ptx"]));
        assert!(!kept("-c --keep-dir k a.cu", "k/", &["k/../a.ptx"]));
    }
}
