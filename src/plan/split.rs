//! The host compile in two steps: what cudafe++ wrote to assembly, and assembly to the object.
//!
//! The object holds the device code, for the stub includes what fatbinary wrote: one assembler block
//! of numbers. The compiler proper copies such a block without reading it. So it may run beside the
//! device tracks, with a mark where the numbers belong, and nothing of it has to be done again where
//! only device code has changed. fatbinary itself writes that *form*, when it is given nothing to
//! pack. Knows the plan's arguments; `compile` puts the numbers into the assembly.

use super::parts::{Argument, FileId, FileKind, Piece, Plan, PlanFile, Stage, Unit};
use super::tool::Tool;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// A plan whose unit compiles its host side in two steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The plan, with two stages and some files more. What it shares with the one before has the same
    /// numbers.
    pub plan: Plan,
    /// The unit, with these stages.
    pub unit: Unit,
    /// What the host compiler includes in the place of the fatbinary.
    pub form: FileId,
    /// The fatbinary, as the host compiler would include it.
    pub fatbinary: FileId,
    /// What the host compiler writes. The caller puts the fatbinary into it before it is assembled.
    pub assembly: FileId,
}

/// The host compiler's flags that are known to leave the block alone and to write one file, in full.
const WHOLE: &[&str] = &["-c", "-pipe", "-pthread", "-w"];

/// Such flags with a value in the next argument.
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

/// Beginnings of such flags. No debug information, which knows the size of the block; no link-time optimisation, which
/// has no assembly; no options for the assembler.
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
    /// This plan with the host compile of `unit` in two steps; `None` if it has no such compile of
    /// what cudafe++ wrote, or one with flags of unknown consequence. GCC's driver only.
    pub fn split_host_compile(&self, unit: &Unit) -> Option<Split> {
        let number = self.only(unit, |stage| stage.tool == Tool::HostCompile)?;
        let compile = &self.stages[number];
        let [source, _, form] = compile.reads[..] else {
            return None;
        };
        let packs = self.only(unit, |stage| stage.writes.contains(&form))?;
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
        let template = template(&self.stages[packs], form, empty)?;
        let assemble = assemble(compile, source, assembly, fatbinary)?;
        plan.stages[number] = to_assembly(compile, assembly)?;
        let packing = &mut plan.stages[packs];
        replace(&mut packing.args, form, fatbinary)?;
        packing.writes = renamed(&packing.writes, form, fatbinary);
        let mut unit = unit.clone();
        unit.stages
            .extend([plan.stages.len(), plan.stages.len() + 1]);
        plan.stages.extend([template, assemble]);
        Some(Split {
            plan,
            unit,
            form,
            fatbinary,
            assembly,
        })
    }

    fn only(&self, unit: &Unit, is_it: impl Fn(&Stage) -> bool) -> Option<usize> {
        let mut found = unit
            .stages
            .iter()
            .filter(|number| is_it(&self.stages[**number]));
        match (found.next(), found.next()) {
            (Some(number), None) => Some(*number),
            _ => None,
        }
    }

    /// A new temporary file beside another.
    fn beside(&mut self, file: FileId, suffix: &str) -> Option<FileId> {
        let mut path = self.file(file).path.clone();
        path.push(".");
        path.push(suffix);
        let taken = |file: &PlanFile| file.kind == FileKind::Temp && file.path == path;
        if self.files.iter().any(taken) {
            return None;
        }
        self.files.push(PlanFile {
            path,
            kind: FileKind::Temp,
        });
        Some(FileId(self.files.len() - 1))
    }
}

/// Whether every argument is known to do no harm.
fn is_plain(args: &[Argument]) -> bool {
    let mut args = args.iter();
    while let Some(argument) = args.next() {
        let [Piece::Text(text)] = &argument.0[..] else {
            continue;
        };
        let text = text.as_bytes();
        let is = |flag: &&str| text == flag.as_bytes();
        let begins = |flag: &&str| text.starts_with(flag.as_bytes());
        if WITH_VALUE.iter().any(is) {
            args.next();
        } else if text == b"-o" {
            // Its value is a file.
        } else if !WHOLE.iter().any(is)
            && (NOT.iter().any(begins) || !BEGINNINGS.iter().any(begins))
        {
            return false;
        }
    }
    true
}

/// fatbinary without anything to pack.
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

/// The compile, as far as assembly.
fn to_assembly(compile: &Stage, assembly: FileId) -> Option<Stage> {
    let mut stage = compile.clone();
    replace_text(&mut stage.args, "-c", "-S")?;
    let output = stage.output?;
    replace(&mut stage.args, output, assembly)?;
    stage.writes = renamed(&stage.writes, output, assembly);
    stage.output = Some(assembly);
    Some(stage)
}

/// The rest of the compile.
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

/// Puts a file into the one place of another.
fn replace(args: &mut [Argument], from: FileId, to: FileId) -> Option<()> {
    let pieces = args.iter_mut().flat_map(|argument| &mut argument.0);
    let mut places = pieces.filter(|piece| **piece == Piece::File(from));
    let (place, None) = (places.next()?, places.next()) else {
        return None;
    };
    *place = Piece::File(to);
    Some(())
}

fn replace_text(args: &mut [Argument], from: &str, to: &str) -> Option<()> {
    let mut places = args.iter_mut().filter(|argument| is_text(argument, from));
    let (place, None) = (places.next()?, places.next()) else {
        return None;
    };
    *place = Argument(vec![Piece::Text(OsString::from(to))]);
    Some(())
}

fn is_text(argument: &Argument, wanted: &str) -> bool {
    matches!(&argument.0[..], [Piece::Text(text)] if text == OsStr::new(wanted))
}

fn renamed(files: &[FileId], from: FileId, to: FileId) -> Vec<FileId> {
    let rename = |file: &FileId| if *file == from { to } else { *file };
    files.iter().map(rename).collect()
}
