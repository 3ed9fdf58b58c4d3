//! Decides whether the cache may answer a command line, and reads what it asks for. Uses the effects in the option
//! table, not the spelling of arguments.

use super::effects::{self, EffectVerdict};
use super::host;
use super::inputs::{self, InputKind};
use super::job::{Arg, CommandLine, Dependencies, Job, Spelling, has_option, last_value};
use super::mode::Mode;
use super::options::{Arity, Effect, OptionRow};
use super::parse::{Open, parse};
use super::unquoted;
use crate::outcome::{Bypass, BypassReason};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// Reads a command line. Option files are read through `open`, whose relative paths are relative
/// to nvcc's working directory.
///
/// # Errors
///
/// The [`Bypass`] says why the real nvcc should be run at once, with the argument that decided.
pub fn read(line: &CommandLine, open: Open) -> Result<Job, Bypass> {
    let spellings = parse(line, open)?;
    let args: Vec<Arg> = spellings
        .iter()
        .flat_map(|s| s.args.iter().cloned())
        .collect();
    check_unknown(&args)?;
    check_requests(&args)?;
    check_redefinitions(&spellings)?;
    for arg in &args {
        check_values(arg)?;
    }
    let text = |long| last_value(&args, long).map(OsStr::to_os_string);
    let mode = mode(&args);
    let ccbin = text("compiler-bindir").or_else(|| line.ccbin.map(OsStr::to_os_string));
    if let Some(ccbin) = &ccbin {
        check_quoted(ccbin)?;
    }
    let inputs: Vec<OsString> = args.iter().filter_map(input).cloned().collect();
    let job = Job {
        mode,
        output: text("output-file").filter(|_| mode != Mode::Rules),
        output_directory: text("output-directory"),
        dependencies: dependencies(&args, mode)?,
        keep: keep(&args),
        ccbin,
        shows_commands: has_option(&args, "verbose"),
        threads: text("threads"),
        inputs,
        args,
        spellings,
    };
    check_inputs(&job)?;
    Ok(job)
}

fn input(arg: &Arg) -> Option<&OsString> {
    match arg {
        Arg::Input(input) => Some(input),
        _ => None,
    }
}

/// Refuses unknown options unless an option, anywhere on the command line, makes nvcc forward them.
fn check_unknown(args: &[Arg]) -> Result<(), Bypass> {
    let forwards = args
        .iter()
        .any(|arg| matches!(arg, Arg::Option { option, .. } if option.effect == Effect::Forward));
    let unknown = args.iter().find_map(|arg| match arg {
        Arg::Forwarded(word) if !forwards => Some(word),
        _ => None,
    });
    match unknown {
        Some(word) => Err(bypass(BypassReason::UnknownOption, word)),
        None => Ok(()),
    }
}

/// Refuses options that are a bypass by the table.
fn check_requests(args: &[Arg]) -> Result<(), Bypass> {
    let request = args.iter().find_map(|arg| match arg {
        Arg::Option { option, .. } => match option.effect {
            Effect::Bypass(reason) => Some((reason, option)),
            _ => None,
        },
        _ => None,
    });
    match request {
        Some((reason, option)) => Err(Bypass::new(reason, format!("--{}", option.long))),
        None => Ok(()),
    }
}

/// Refuses redefinitions of options that the plan of a job leaves out: nvcc warns when a single value is redefined,
/// and the warning would be lost.
fn check_redefinitions(spellings: &[Spelling]) -> Result<(), Bypass> {
    let mut seen: Vec<(&str, &Option<OsString>)> = Vec::new();
    for spelling in spellings.iter().filter(|spelling| is_left_out(spelling)) {
        for arg in &spelling.args {
            let Arg::Option { option, value } = arg else {
                continue;
            };
            if seen
                .iter()
                .any(|(long, other)| *long == option.long && *other != value)
            {
                let detail = format!("--{} is redefined", option.long);
                return Err(Bypass::new(BypassReason::BadArguments, detail));
            }
            seen.push((option.long, value));
        }
    }
    Ok(())
}

/// Whether a spelling only changes where or when the stages run, or has them printed, so that it is left out of the
/// plan's command line.
pub(super) fn is_left_out(spelling: &Spelling) -> bool {
    spelling.option.is_some_and(|row| {
        matches!(
            row.effect,
            Effect::Keep | Effect::Schedule | Effect::Commands
        )
    })
}

/// Refuses values with effects beyond their option: through the shell, or through another program.
fn check_values(arg: &Arg) -> Result<(), Bypass> {
    match arg {
        Arg::Input(input) => check_quoted(input),
        Arg::Forwarded(word) => {
            check_words(
                word,
                word.as_bytes(),
                host::verdict,
                BypassReason::HostOption,
            )?;
            check_words(
                word,
                word.as_bytes(),
                effects::linker,
                BypassReason::HostOption,
            )
        }
        Arg::Option { value: None, .. } => Ok(()),
        Arg::Option {
            option,
            value: Some(value),
        } => check_option(option, value),
    }
}

/// Options of effect `Code` whose values nvcc puts between double quotes. The values of all others but [`ESCAPED`]
/// reach the shell without quotes, unless nvcc has a list of allowed ones.
const QUOTED: &[&str] = &["frandom-seed"];

/// Options of effect `Code` in whose values nvcc escapes a dollar sign, so that the shell leaves it alone. The plan
/// refuses the commands of a version that does not.
const ESCAPED: &[&str] = &[
    "include-path",
    "library",
    "library-path",
    "pre-include",
    "system-include",
];

fn check_option(option: &OptionRow, value: &OsStr) -> Result<(), Bypass> {
    let bytes = value.as_bytes();
    match option.effect {
        Effect::Host => check_words(value, bytes, host::verdict, BypassReason::HostOption),
        Effect::Linker => check_words(value, bytes, effects::linker, BypassReason::HostOption),
        Effect::Tool(judge) => {
            check_words(value, bytes, effects::of(judge), BypassReason::ToolOption)
        }
        // nvcc copies these into the depfile itself; no shell sees them.
        Effect::Dependencies => {
            if bytes.iter().any(|b| matches!(b, b'\n' | b'\r')) {
                Err(bypass(BypassReason::ShellExpansion, value))
            } else {
                Ok(())
            }
        }
        Effect::Schedule if !is_small_number(bytes) => {
            Err(bypass(BypassReason::BadArguments, value))
        }
        Effect::Output if bytes.is_empty() && option.long == "output-file" => Err(Bypass::new(
            BypassReason::BadArguments,
            "an empty output name",
        )),
        // A precompiled header may be named with this option, like any header.
        Effect::Code if option.long == "pre-include" => match host::verdict(bytes) {
            EffectVerdict::Precompiled => Err(bypass(BypassReason::Precompiled, value)),
            _ => check_escaped(value),
        },
        Effect::Code if ESCAPED.contains(&option.long) => check_escaped(value),
        Effect::Code if option.arity != Arity::Pairs && !QUOTED.contains(&option.long) => {
            check_words(
                value,
                bytes,
                |_| EffectVerdict::Harmless,
                BypassReason::ShellExpansion,
            )
        }
        _ => check_quoted(value),
    }
}

/// Whether `text` is a number in every version of nvcc: some accept `-t 0x4` and some do not.
fn is_small_number(text: &[u8]) -> bool {
    (1..=9).contains(&text.len()) && text.iter().all(u8::is_ascii_digit)
}

fn check_quoted(value: &OsStr) -> Result<(), Bypass> {
    if unquoted::expands_in_quotes(value.as_bytes()) {
        Err(bypass(BypassReason::ShellExpansion, value))
    } else {
        Ok(())
    }
}

fn check_escaped(value: &OsStr) -> Result<(), Bypass> {
    let bytes = value.as_bytes();
    if bytes
        .split(|&byte| byte == b'$')
        .any(unquoted::expands_in_quotes)
    {
        Err(bypass(BypassReason::ShellExpansion, value))
    } else {
        Ok(())
    }
}

fn check_words(
    value: &OsStr,
    pasted: &[u8],
    judge: fn(&[u8]) -> EffectVerdict,
    reason: BypassReason,
) -> Result<(), Bypass> {
    let words =
        unquoted::words(pasted).ok_or_else(|| bypass(BypassReason::ShellExpansion, value))?;
    for word in &words {
        let text = String::from_utf8_lossy(word);
        match judge(word) {
            EffectVerdict::Harmless => {}
            EffectVerdict::Precompiled => return Err(Bypass::new(BypassReason::Precompiled, text)),
            EffectVerdict::Harmful(effect) => {
                return Err(Bypass::new(reason, format!("{text} {effect}")));
            }
        }
    }
    Ok(())
}

/// The mode of the command line. nvcc stops at the earliest stage that any option asks for, whatever their order.
fn mode(args: &[Arg]) -> Mode {
    let has = |mode: Mode| {
        args.iter().any(
            |arg| matches!(arg, Arg::Option { option, .. } if option.effect == Effect::Mode(mode)),
        )
    };
    // Cubins and fatbins can also be outputs of a device link, and so can the PTX of link-time optimisation.
    let links = has(Mode::DeviceLink);
    let optimises_links = has_option(args, "dlink-time-opt") || has_option(args, "lto");
    match () {
        () if has(Mode::Rules) => Mode::Rules,
        () if has(Mode::OptixIr) => Mode::OptixIr,
        () if has(Mode::Ltoir) => Mode::Ltoir,
        () if has(Mode::Ptx) && links && optimises_links => Mode::DeviceLink,
        () if has(Mode::Ptx) => Mode::Ptx,
        () if (has(Mode::Cubin) || has(Mode::Fatbin)) && links => Mode::DeviceLink,
        () if has(Mode::Cubin) => Mode::Cubin,
        () if has(Mode::Fatbin) => Mode::Fatbin,
        () if has(Mode::CudaSource) => Mode::CudaSource,
        () if has(Mode::Object) => Mode::Object,
        () if links => Mode::DeviceLink,
        () if has(Mode::Library) => Mode::Library,
        () => Mode::Program,
    }
}

/// The options that ask for make rules, each with whether system headers are listed.
const RULES: [(&str, bool); 4] = [
    ("generate-dependencies", true),
    ("generate-dependencies-with-compile", true),
    ("generate-nonsystem-dependencies", false),
    ("generate-nonsystem-dependencies-with-compile", false),
];

fn dependencies(args: &[Arg], mode: Mode) -> Result<Option<Dependencies>, Bypass> {
    let file = last_value(args, "dependency-output");
    let mut asked = RULES.iter().filter(|(long, _)| has_option(args, long));
    let Some((_, system)) = asked.next() else {
        return match file {
            Some(_) => Err(Bypass::new(BypassReason::BadArguments, "-MF without -MD")),
            None => Ok(None),
        };
    };
    if asked.next().is_some() {
        let detail = "several of -M, -MM, -MD and -MMD";
        return Err(Bypass::new(BypassReason::Dependencies, detail));
    }
    let output = last_value(args, "output-file").filter(|_| mode == Mode::Rules);
    Ok(Some(Dependencies {
        phony: has_option(args, "generate-dependency-targets"),
        targets: last_value(args, "dependency-target-name")
            .map(OsStr::to_os_string)
            .into_iter()
            .collect(),
        system: *system,
        file: output.or(file).map(OsStr::to_os_string),
    }))
}

/// The keep directory. `--keep-dir` alone keeps nothing, and an empty value means the working directory.
fn keep(args: &[Arg]) -> Option<OsString> {
    if !has_option(args, "keep") && !has_option(args, "save-temps") {
        return None;
    }
    let directory = last_value(args, "keep-dir").filter(|directory| !directory.is_empty());
    Some(directory.unwrap_or(OsStr::new(".")).to_os_string())
}

fn check_inputs(job: &Job) -> Result<(), Bypass> {
    if job.inputs.is_empty() {
        return Err(Bypass::new(BypassReason::NoInput, ""));
    }
    let language = job.value_of("x");
    let mut compiles = false;
    for input in &job.inputs {
        let kind = inputs::kind(input, language);
        match kind {
            InputKind::Stdin => return Err(bypass(BypassReason::Stdin, input)),
            InputKind::Precompiled => return Err(bypass(BypassReason::Precompiled, input)),
            InputKind::Unknown => return Err(bypass(BypassReason::BadArguments, input)),
            InputKind::Compiled | InputKind::Device | InputKind::Linked => {}
        }
        compiles |= inputs::is_compiled(kind, job.mode);
    }
    if !compiles {
        return Err(Bypass::new(BypassReason::LinkOnly, ""));
    }
    if job.mode == Mode::Rules && job.inputs.len() > 1 {
        let detail = "rules of several sources";
        return Err(Bypass::new(BypassReason::Dependencies, detail));
    }
    let links = matches!(job.mode, Mode::Library | Mode::DeviceLink | Mode::Program);
    if job.inputs.len() > 1 && job.output.is_some() && !links {
        return Err(Bypass::new(
            BypassReason::BadArguments,
            "one output for several inputs",
        ));
    }
    Ok(())
}

fn bypass(reason: BypassReason, detail: &OsStr) -> Bypass {
    Bypass::new(reason, detail.to_string_lossy())
}

/// Whether nvcc keeps only the last value of this option.
pub(super) fn is_single(option: &OptionRow) -> bool {
    matches!(option.arity, Arity::Value | Arity::Number | Arity::Bool)
}
