//! Splits the host compile into two steps: from the output of cudafe++ to assembly, and from assembly to the object.
//!
//! The object holds the device code, because the stub includes the output of fatbinary: one assembler block
//! of numbers. The compiler proper copies such a block without reading it. So it can run in parallel with the
//! device compiles, with a placeholder for the numbers, and need not run again if only device code has changed.
//! fatbinary itself writes that *form* when it gets nothing to pack. This module rewrites the plan's arguments;
//! `compile` puts the numbers into the assembly.

use super::parts::{Argument, FileId, FileKind, Piece, Plan, PlanFile, Stage, Unit};
use super::tool::Tool;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// A plan whose unit compiles its host side in two steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The plan, with two additional stages and some additional files. Existing stages and files keep their numbers.
    pub plan: Plan,
    /// The unit, with the additional stages.
    pub unit: Unit,
    /// The file that the host compiler includes instead of the fatbinary.
    pub form: FileId,
    /// The fatbinary, as the host compiler would include it.
    pub fatbinary: FileId,
    /// The host compiler's output. The caller puts the fatbinary into it before it is assembled.
    pub assembly: FileId,
}

/// How many stages a split adds behind those of the plan.
pub(crate) const ADDED_STAGES: usize = 2;

/// Whole flags of the host compiler that are known not to affect the block, and to write no second file.
const WHOLE: &[&str] = &["-c", "-pipe", "-pthread", "-w"];

/// Such flags whose value is the next argument.
const WITH_VALUE: &[&str] = &[
    "-D",
    "-I",
    "-U",
    "-idirafter",
    "-include",
    "-iquote",
    "-isystem",
    "-x",
];

/// Beginnings of such flags. Left out are debug information, which holds the size of the block; link-time optimisation,
/// which writes no assembly; and options for the assembler.
const BEGINNINGS: &[&str] = &[
    "-D",
    "-I",
    "-O",
    "-U",
    "-W",
    "-fPIC",
    "-fPIE",
    "-fcf-protection",
    "-fdata-sections",
    "-fdiagnostics-color",
    "-fexceptions",
    "-ffast-math",
    "-ffunction-sections",
    "-finline",
    "-fmax-errors=",
    "-fno-",
    "-fomit-frame-pointer",
    "-fopenmp",
    "-fpermissive",
    "-fpic",
    "-fpie",
    "-frtti",
    "-fsigned-char",
    "-fstack-clash-protection",
    "-fstack-protector",
    "-fstrict-aliasing",
    "-ftemplate-depth=",
    "-ftree-",
    "-funroll-",
    "-fvisibility",
    "-fwrapv",
    "-m",
    "-pedantic",
    "-std=",
];

/// Exceptions to [`BEGINNINGS`].
const NOT: &[&str] = &["-Wa,", "-Wl,", "-Wp,"];

impl Plan {
    /// This plan with the host compile of `unit` in two steps. `None` if the unit has no host compile of cudafe++'s
    /// output, or one with flags of unknown effect. For GCC's driver only.
    pub fn split_host_compile(&self, unit: &Unit) -> Option<Split> {
        let number = self.only(unit, |stage| stage.tool == Tool::HostCompile)?;
        let compile = &self.stages[number];
        let [source, _, form] = compile.reads[..] else {
            return None;
        };
        let packing = self.only(unit, |stage| stage.writes.contains(&form))?;
        let readers = self
            .stages
            .iter()
            .filter(|stage| stage.reads.contains(&form));
        let is_temp = |file| self.file(file).kind == FileKind::Temp;
        if !is_temp(source) || !is_temp(form) || readers.count() != 1 || !is_plain(&compile.args) {
            return None;
        }
        let mut plan = self.clone();
        let fatbinary = plan.beside(form, "whole")?;
        let empty = plan.beside(form, "empty")?;
        let assembly = plan.beside(source, "s")?;
        let template = template(&self.stages[packing], form, empty)?;
        let assemble = assemble(compile, source, assembly, fatbinary)?;
        plan.stages[number] = to_assembly(compile, assembly)?;
        // The host compiler includes the form under the old name, so the packed fatbinary gets another.
        let packing = &mut plan.stages[packing];
        replace(&mut packing.args, form, fatbinary)?;
        packing.writes = renamed(&packing.writes, form, fatbinary);
        let mut unit = unit.clone();
        let added: [Stage; ADDED_STAGES] = [template, assemble];
        unit.stages
            .extend(plan.stages.len()..plan.stages.len() + ADDED_STAGES);
        plan.stages.extend(added);
        Some(Split {
            plan,
            unit,
            form,
            fatbinary,
            assembly,
        })
    }

    /// The number of the unit's stage that fulfils `condition`, if exactly one does.
    fn only(&self, unit: &Unit, condition: impl Fn(&Stage) -> bool) -> Option<usize> {
        let mut numbers = unit
            .stages
            .iter()
            .filter(|number| condition(&self.stages[**number]));
        match (numbers.next(), numbers.next()) {
            (Some(number), None) => Some(*number),
            _ => None,
        }
    }

    /// Adds a temporary file whose name is that of `file` with another suffix. `None` if there is one already.
    fn beside(&mut self, file: FileId, suffix: &str) -> Option<FileId> {
        let mut path = self.file(file).path.clone();
        path.push(".");
        path.push(suffix);
        let is_taken = |file: &PlanFile| file.kind == FileKind::Temp && file.path == path;
        if self.files.iter().any(is_taken) {
            return None;
        }
        self.files.push(PlanFile {
            path,
            kind: FileKind::Temp,
        });
        Some(FileId(self.files.len() - 1))
    }
}

/// Whether every argument is a file or one of the harmless flags.
fn is_plain(args: &[Argument]) -> bool {
    let mut args = args.iter();
    while let Some(argument) = args.next() {
        let [Piece::Text(text)] = &argument.0[..] else {
            continue;
        };
        let text = text.as_bytes();
        let is_whole = |flag: &&str| text == flag.as_bytes();
        let begins = |flag: &&str| text.starts_with(flag.as_bytes());
        if WITH_VALUE.iter().any(is_whole) {
            args.next();
        } else if text == b"-o" {
            // Its value is a file.
        } else if !WHOLE.iter().any(is_whole)
            && (NOT.iter().any(begins) || !BEGINNINGS.iter().any(begins))
        {
            return false;
        }
    }
    true
}

/// The stage of fatbinary without anything to pack, which writes the form. Its main output goes to `empty`.
fn template(packing: &Stage, form: FileId, empty: FileId) -> Option<Stage> {
    let mut stage = packing.clone();
    let reads = std::mem::take(&mut stage.reads);
    let is_read = |piece: &Piece| matches!(piece, Piece::File(file) if reads.contains(file));
    stage
        .args
        .retain(|argument| !argument.0.iter().any(is_read));
    let output = stage.output.filter(|output| *output != form)?;
    replace(&mut stage.args, output, empty)?;
    stage.writes = renamed(&stage.writes, output, empty);
    stage.output = Some(empty);
    stage.tool = Tool::EmptyFatbinary;
    Some(stage)
}

/// The first step: the compile to assembly.
fn to_assembly(compile: &Stage, assembly: FileId) -> Option<Stage> {
    let mut stage = compile.clone();
    replace_text(&mut stage.args, "-c", "-S")?;
    let output = stage.output?;
    replace(&mut stage.args, output, assembly)?;
    stage.writes = renamed(&stage.writes, output, assembly);
    stage.output = Some(assembly);
    Some(stage)
}

/// The second step: from assembly to the object.
fn assemble(compile: &Stage, source: FileId, assembly: FileId, fatbinary: FileId) -> Option<Stage> {
    let mut stage = compile.clone();
    let language = stage
        .args
        .iter()
        .position(|argument| is_text(argument, "-x"))?
        + 1;
    *stage.args.get_mut(language)? = Argument(vec![Piece::Text("assembler".into())]);
    replace(&mut stage.args, source, assembly)?;
    stage.reads = vec![assembly, fatbinary];
    stage.tool = Tool::Assemble;
    Some(stage)
}

/// Replaces the only occurrence of a file by another; `None` if it does not occur exactly once.
fn replace(args: &mut [Argument], from: FileId, to: FileId) -> Option<()> {
    let pieces = args.iter_mut().flat_map(|argument| &mut argument.0);
    let mut occurrences = pieces.filter(|piece| **piece == Piece::File(from));
    let (piece, None) = (occurrences.next()?, occurrences.next()) else {
        return None;
    };
    *piece = Piece::File(to);
    Some(())
}

/// Replaces the only argument `from`; `None` if it does not occur exactly once.
fn replace_text(args: &mut [Argument], from: &str, to: &str) -> Option<()> {
    let mut occurrences = args.iter_mut().filter(|argument| is_text(argument, from));
    let (argument, None) = (occurrences.next()?, occurrences.next()) else {
        return None;
    };
    *argument = Argument(vec![Piece::Text(OsString::from(to))]);
    Some(())
}

fn is_text(argument: &Argument, expected: &str) -> bool {
    matches!(&argument.0[..], [Piece::Text(text)] if text == OsStr::new(expected))
}

fn renamed(files: &[FileId], from: FileId, to: FileId) -> Vec<FileId> {
    let rename = |file: &FileId| if *file == from { to } else { *file };
    files.iter().map(rename).collect()
}
