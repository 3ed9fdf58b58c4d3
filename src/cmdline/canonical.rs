//! The two output forms of a job: the arguments with which nvcc prints its plan, and its fields in a key.

use super::classify::{is_left_out, is_single};
use super::job::{Arg, Job};
use super::mode::Mode;
use super::options::{Arity, Effect, OptionRow};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// Fields by option name, each with its values in order.
type CanonicalFields = BTreeMap<&'static str, Vec<OsString>>;

impl Job {
    /// The arguments with which nvcc prints this job's plan, keeping its intermediate files in
    /// `keep_dir`. Run it without `NVCC_PREPEND_FLAGS` and `NVCC_APPEND_FLAGS`, which are folded
    /// in, as option files are; `NVCC_CCBIN` stays in force.
    ///
    /// Options keep their spelling, so that nothing depends on how values are split here.
    /// `-o`, `-odir`, `-MD` and its companions are kept, since the plan names their files.
    pub fn dryrun_args(&self, keep_dir: &Path) -> Vec<OsString> {
        let mut args: Vec<OsString> = ["--dryrun", "--keep", "--keep-dir"]
            .map(OsString::from)
            .into();
        args.push(keep_dir.as_os_str().to_os_string());
        let kept = self
            .spellings
            .iter()
            .filter(|spelling| !is_left_out(spelling));
        args.extend(kept.flat_map(|spelling| spelling.words.iter().cloned()));
        args
    }

    /// The arguments with which nvcc compiles this job's only source to `output`, keeping its
    /// intermediate files in `keep_dir` and writing no depfile. Run it as for
    /// [`Job::dryrun_args`].
    pub fn one_step_args(&self, keep_dir: &Path, output: &Path) -> Vec<OsString> {
        let mut args: Vec<OsString> = ["--keep", "--keep-dir"].map(OsString::from).into();
        args.push(keep_dir.as_os_str().to_os_string());
        args.extend(self.nameless_args());
        args.extend(["-o".into(), output.as_os_str().to_os_string()]);
        args
    }

    /// The arguments of this job, including its inputs, without options that name, place or keep files. Run
    /// them as for [`Job::dryrun_args`].
    pub fn nameless_args(&self) -> Vec<OsString> {
        let names_files =
            |row: &&OptionRow| matches!(row.effect, Effect::Output | Effect::Dependencies);
        let kept = self.spellings.iter().filter(|spelling| {
            !is_left_out(spelling) && spelling.option.filter(names_files).is_none()
        });
        let words = kept.flat_map(|spelling| spelling.words.iter().cloned());
        words.collect()
    }

    /// The fields of this job in a key. Command lines with the same meaning have the same fields.
    ///
    /// Fields are sorted by name. Within a field the values have the order of the command line,
    /// which matters for directories, macros and the like; the order between fields does not. A single
    /// value that is repeated without a change appears once. One that is redefined keeps its history,
    /// since nvcc warns of each change. `define-macro` holds `-D` and `-U` together, and
    /// `compiler-options` holds `-Xcompiler` (`X…`) and forwarded options (`F…`). `input` holds
    /// the inputs as they were written. `redefined` names options that are otherwise left out, once for
    /// each change, because nvcc prints a warning.
    ///
    /// Left out are options that name or place outputs (`-o`, `-odir`, `-MD` and its companions,
    /// `--keep` and its companions), options that only schedule the stages (`-t`,
    /// `--objdir-as-tempdir`), and `-v`. `--jobserver` is kept: the tools see it, and older versions reject it.
    pub fn canonical(&self) -> Vec<(&'static str, Vec<OsString>)> {
        let mut fields = CanonicalFields::new();
        let mut left_out = CanonicalFields::new();
        for arg in &self.args {
            match arg {
                Arg::Input(input) => fields.entry("input").or_default().push(input.clone()),
                Arg::Forwarded(word) => add(&mut fields, "compiler-options", "F", word),
                Arg::Option { option, value } => {
                    place(&mut fields, &mut left_out, option, value.as_deref());
                }
            }
        }
        if let (false, Some(ccbin)) = (fields.contains_key("compiler-bindir"), &self.ccbin) {
            add(&mut fields, "compiler-bindir", "", ccbin);
        }
        for (long, values) in left_out {
            let changes = values.windows(2).filter(|pair| pair[0] != pair[1]).count();
            for _ in 0..changes {
                add(&mut fields, "redefined", "", OsStr::new(long));
            }
        }
        // `-dc` is short for `-c -rdc=true`.
        if !fields.contains_key("relocatable-device-code") && fields.remove("device-c").is_some() {
            fields.insert("compile", Vec::new());
            fields.insert("relocatable-device-code", vec!["true".into()]);
        }
        fields.into_iter().collect()
    }

    /// The options that name outputs, depfiles and kept files, in order, as `name=value`. [`Job::canonical`] leaves
    /// them out, but the names and contents of these files depend on them. Of `-o` only the file name matters if
    /// nothing else is named after it, neither a depfile, its target nor a kept file; of `-MF`, of
    /// `-MT`, and of `-o` with `-M`, that it is given.
    pub fn outputs(&self) -> Vec<OsString> {
        let names_no_depfile = self
            .dependencies
            .as_ref()
            .is_none_or(|requested| requested.file.is_some() && !requested.targets.is_empty());
        let is_movable = names_no_depfile && self.keep.is_none();
        let mut outputs = Vec::new();
        for arg in &self.args {
            let Arg::Option { option, value } = arg else {
                continue;
            };
            let naming = [Effect::Output, Effect::Dependencies, Effect::Keep];
            if !naming.contains(&option.effect) {
                continue;
            }
            let value = value.as_deref().unwrap_or_default();
            let base = Path::new(value).file_name().unwrap_or(value);
            let mut assignment = OsString::from(option.long);
            if option.long == "dependency-target-name" {
                outputs.push(assignment);
                continue;
            }
            assignment.push("=");
            assignment.push(match option.long {
                "dependency-output" => OsStr::new(""),
                "output-file" if self.mode == Mode::Rules => OsStr::new(""),
                "output-file" if is_movable => base,
                _ => value,
            });
            outputs.push(assignment);
        }
        outputs
    }
}

/// Adds one option to its field.
fn place(
    fields: &mut CanonicalFields,
    left_out: &mut CanonicalFields,
    option: &'static OptionRow,
    value: Option<&OsStr>,
) {
    let value = match value {
        Some(value) => value,
        // A flag is a field without values.
        None if is_part(option) => {
            fields.entry(option.long).or_default();
            return;
        }
        None => return,
    };
    match option.effect {
        Effect::Macro => add(fields, "define-macro", option.short, value),
        Effect::Host => add(fields, "compiler-options", "X", value),
        _ if !is_part(option) => add(left_out, option.long, "", value),
        _ if option.arity == Arity::Pairs => {
            let spec = normal_pairs(value.as_bytes());
            let specs = fields.entry(option.long).or_default();
            if specs.last() != Some(&spec) {
                specs.push(spec);
            }
        }
        _ => {
            let values = fields.entry(option.long).or_default();
            // Repetitions of one value are dropped; every change is kept.
            if !is_single(option) || values.last().is_none_or(|last| last != value) {
                values.push(value.to_os_string());
            }
        }
    }
}

/// Whether the option has a field of its own in the canonical job.
fn is_part(option: &OptionRow) -> bool {
    !matches!(
        option.effect,
        Effect::Output | Effect::Dependencies | Effect::Keep | Effect::Schedule | Effect::Commands
    )
}

fn add(fields: &mut CanonicalFields, name: &'static str, tag: &str, value: &OsStr) {
    let text = [tag.as_bytes(), value.as_bytes()].concat();
    fields
        .entry(name)
        .or_default()
        .push(OsString::from_vec(text));
}

/// The value in the form `arch=A,code=[B,C]`, whatever the order of the pairs and the brackets or quotes around the
/// codes; any other text is returned unchanged.
fn normal_pairs(text: &[u8]) -> OsString {
    let normal = std::str::from_utf8(text)
        .ok()
        .and_then(normal_specification);
    normal.map_or_else(|| OsString::from_vec(text.to_vec()), OsString::from)
}

fn normal_specification(text: &str) -> Option<String> {
    let (arch, code) = match text.strip_prefix("arch=") {
        Some(rest) => rest.split_once(",code=")?,
        None => {
            let (code, arch) = text.strip_prefix("code=")?.rsplit_once(",arch=")?;
            (arch, code)
        }
    };
    let bracketed = code
        .strip_prefix('[')
        .and_then(|code| code.strip_suffix(']'));
    let quoted = code
        .strip_prefix('"')
        .and_then(|code| code.strip_suffix('"'));
    let protected = bracketed.or(quoted);
    let codes = protected.unwrap_or(code);
    let is_plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let is_list = protected.is_some() || is_plain(codes);
    (is_list && is_plain(arch) && codes.split(',').all(is_plain))
        .then(|| format!("arch={arch},code=[{codes}]"))
}

#[cfg(test)]
mod tests {
    use super::normal_pairs;

    #[track_caller]
    fn normal(text: &str, expected: &str) {
        assert_eq!(normal_pairs(text.as_bytes()), expected);
    }

    #[test]
    fn one_architecture_has_one_form() {
        let form = "arch=compute_80,code=[sm_80,compute_80]";
        normal(form, form);
        normal("arch=compute_80,code=\"sm_80,compute_80\"", form);
        normal("code=[sm_80,compute_80],arch=compute_80", form);
        normal("arch=compute_80,code=sm_80", "arch=compute_80,code=[sm_80]");
        normal(
            "arch=compute_80,code=[sm_80]",
            "arch=compute_80,code=[sm_80]",
        );
    }

    #[test]
    fn other_text_stays_as_it_is() {
        for text in [
            "arch=compute_80",
            "x",
            "arch=compute_80,code=sm_80,compute_80",
            "code=[,arch=]",
        ] {
            normal(text, text);
        }
    }
}
