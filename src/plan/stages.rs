//! Turns one command into one stage: determines the tool, and the files that its arguments name.
//!
//! Sees one command at a time. `graph` adds what a file includes, and which stage writes it.

use super::error::PlanError;
use super::files::Files;
use super::flags::{self, FlagEffect, Match};
use super::lines::PrintedCommand;
use super::parts::{Argument, FileId, Piece, Resolve, Stage};
use super::tool::Tool;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// A stage, with facts that only the graph needs.
#[derive(Debug)]
pub(super) struct Draft {
    /// The stage, with the reads and writes that its arguments name.
    pub stage: Stage,
    /// The file that it translates, for the tools that translate one.
    pub source: Option<FileId>,
    /// The file with the module id.
    pub module_id: Option<FileId>,
    /// The name of the stub that cudafe++'s output includes.
    pub stub_name: Option<OsString>,
    /// The name of the fatbinary that the stub, which cicc writes, includes.
    pub include_name: Option<OsString>,
    /// The file that it appends to.
    pub appends: Option<FileId>,
}

/// Reads one command.
pub(super) fn draft(command: &PrintedCommand, files: &mut Files) -> Result<Draft, PlanError> {
    let tool = classify(command)?;
    let mut builder = Builder::new(tool, command, files);
    match tool {
        Tool::Archive => builder.archive(&command.args)?,
        _ => builder.walk(&command.args)?,
    }
    builder.finish()
}

fn classify(command: &PrintedCommand) -> Result<Tool, PlanError> {
    let unknown = || PlanError::UnknownTool {
        program: String::from_utf8_lossy(&command.program).into_owned(),
    };
    match &command.resolve {
        Resolve::PrintProgName(name) if name == "ar" => return Ok(Tool::Archive),
        Resolve::PrintProgName(_) => return Err(unknown()),
        Resolve::Named => {}
    }
    let name = command.program.rsplit(|&byte| byte == b'/').next();
    match name.unwrap_or_default() {
        b"cudafe++" => return Ok(Tool::Cudafe),
        b"cicc" => return Ok(Tool::Cicc),
        b"ptxas" => return Ok(Tool::Ptxas),
        b"fatbinary" => return Ok(Tool::Fatbinary),
        b"nvlink" => return Ok(Tool::Nvlink),
        b"rm" => return Ok(Tool::Remove),
        _ => {}
    }
    // A host compiler may have any name. nvcc always gives it the language, and groups libraries when
    // it links; a program that is used in another way is unknown.
    let has = |flag: &str| command.args.iter().any(|arg| arg == flag.as_bytes());
    let names_fatbinary = |arg: &Vec<u8>| arg.starts_with(b"-DFATBINFILE=");
    match (has("-E"), has("-c"), has("-x"), has("-Wl,--start-group")) {
        (true, false, true, false) => Ok(Tool::Preprocess),
        (false, true, true, false) if command.args.iter().any(names_fatbinary) => {
            Ok(Tool::StubCompile)
        }
        (false, true, true, false) => Ok(Tool::HostCompile),
        (false, false, false, true) => Ok(Tool::HostLink),
        _ => Err(unknown()),
    }
}

struct Builder<'a> {
    files: &'a mut Files,
    draft: Draft,
    /// The spelling of the source in the arguments of cudafe++ and cicc.
    source_name: Option<&'a [u8]>,
    sources: usize,
    outputs: usize,
}

impl<'a> Builder<'a> {
    fn new(tool: Tool, command: &'a PrintedCommand, files: &'a mut Files) -> Self {
        let mut args = command.args.iter();
        let is_source_name =
            |arg: &Vec<u8>| flags::find(tool, arg) == Some(Match::Whole(FlagEffect::SourceName));
        let source_name = args.any(is_source_name).then(|| args.next()).flatten();
        Self {
            files,
            source_name: source_name.map(Vec::as_slice),
            sources: 0,
            outputs: 0,
            draft: Draft {
                stage: Stage {
                    tool,
                    program: OsStr::from_bytes(&command.program).to_owned(),
                    resolve: command.resolve.clone(),
                    args: Vec::new(),
                    reads: Vec::new(),
                    writes: Vec::new(),
                    output: None,
                },
                source: None,
                module_id: None,
                stub_name: None,
                include_name: None,
                appends: None,
            },
        }
    }

    fn tool(&self) -> Tool {
        self.draft.stage.tool
    }

    /// Adds all arguments of a command, by the table of its tool.
    fn walk(&mut self, args: &[Vec<u8>]) -> Result<(), PlanError> {
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match flags::find(self.tool(), arg) {
                Some(Match::Whole(FlagEffect::Drop)) => {}
                Some(Match::Whole(FlagEffect::Refuse) | Match::Joined(FlagEffect::Refuse, _)) => {
                    return Err(PlanError::RefusedFlag {
                        tool: self.tool(),
                        flag: String::from_utf8_lossy(arg).into_owned(),
                    });
                }
                Some(Match::Whole(effect)) => {
                    self.text(arg)?;
                    let value = args.next().ok_or_else(|| self.bad_value(arg))?;
                    self.value(effect, arg, b"", value)?;
                }
                Some(Match::Joined(effect, at)) => {
                    let (flag, value) = arg.split_at(at);
                    self.value(effect, flag, flag, value)?;
                }
                None if arg.len() > 1 && arg.starts_with(b"-") => self.text(arg)?,
                None => self.bare(arg)?,
            }
        }
        Ok(())
    }

    /// Adds the value of a flag. `prefix` precedes it in the same argument.
    fn value(
        &mut self,
        effect: FlagEffect,
        flag: &[u8],
        prefix: &[u8],
        value: &[u8],
    ) -> Result<(), PlanError> {
        let name = || Some(OsStr::from_bytes(value).to_owned());
        // Values that are paths become files of the plan; all others fall through, and are added as text.
        match effect {
            FlagEffect::Output => {
                let id = self.path(prefix, value, b"", flag)?;
                self.draft.stage.output = Some(id);
                self.outputs += 1;
                self.draft.stage.writes.push(id);
                return Ok(());
            }
            FlagEffect::Write => {
                let id = self.path(prefix, value, b"", flag)?;
                self.draft.stage.writes.push(id);
                return Ok(());
            }
            FlagEffect::Append => {
                let id = self.path(prefix, value, b"", flag)?;
                self.draft.stage.writes.push(id);
                self.draft.appends = Some(id);
                return Ok(());
            }
            FlagEffect::ModuleId => {
                let id = self.path(prefix, value, b"", flag)?;
                self.read(id);
                self.draft.module_id = Some(id);
                return Ok(());
            }
            FlagEffect::Image | FlagEffect::Macro => {
                return self.inner_path(effect, flag, prefix, value);
            }
            FlagEffect::StubName => self.draft.stub_name = name(),
            FlagEffect::IncludeName => self.draft.include_name = name(),
            FlagEffect::Value | FlagEffect::SourceName | FlagEffect::Drop | FlagEffect::Refuse => {}
        }
        self.text(&[prefix, value].concat())
    }

    /// Adds a value that contains a path: `kind=elf,sm=80,file=PATH`, or a string literal for a macro.
    fn inner_path(
        &mut self,
        effect: FlagEffect,
        flag: &[u8],
        prefix: &[u8],
        value: &[u8],
    ) -> Result<(), PlanError> {
        let (start, end) = match effect {
            FlagEffect::Image => {
                let key = b"file=";
                let starts = |at: &usize| {
                    value[*at..].starts_with(key) && (*at == 0 || value[*at - 1] == b',')
                };
                let at = (0..value.len())
                    .find(starts)
                    .ok_or_else(|| self.bad_value(flag))?;
                (at + key.len(), value.len())
            }
            _ => (1, value.len().saturating_sub(1)),
        };
        let path = value.get(start..end).ok_or_else(|| self.bad_value(flag))?;
        let (before, after) = (&value[..start], &value[end..]);
        if effect == FlagEffect::Macro
            && (before != b"\"" || after != b"\"" || path.iter().any(|b| b"\"\\".contains(b)))
        {
            return Err(self.bad_value(flag));
        }
        let id = self.path(&[prefix, before].concat(), path, after, flag)?;
        self.read(id);
        Ok(())
    }

    /// Adds an argument that is neither a flag nor the value of a flag in the table.
    fn bare(&mut self, arg: &[u8]) -> Result<(), PlanError> {
        let is_source = match self.tool() {
            Tool::Cudafe | Tool::Cicc => self.files.is_temp(arg) || self.source_name == Some(arg),
            // A user's PTX has this suffix too: nvcc recognises its inputs by their suffixes.
            Tool::Ptxas => self.files.is_temp(arg) || arg.ends_with(b".ptx"),
            Tool::Preprocess | Tool::HostPreprocess | Tool::HostCompile | Tool::StubCompile => true,
            Tool::Nvlink | Tool::HostLink => {
                let id = self.path(b"", arg, b"", arg)?;
                self.read(id);
                return Ok(());
            }
            Tool::Remove => {
                self.path(b"", arg, b"", arg)?;
                return Ok(());
            }
            Tool::Fatbinary | Tool::EmptyFatbinary | Tool::Assemble | Tool::Archive => {
                return Err(self.unaccounted(arg));
            }
        };
        if !is_source {
            // The value of a flag that is not in the table.
            return self.text(arg);
        }
        let id = self.path(b"", arg, b"", arg)?;
        self.read(id);
        self.draft.source = Some(id);
        self.sources += 1;
        Ok(())
    }

    /// Adds the arguments `cr archive member…` of ar, the only tool whose arguments are recognised by position.
    fn archive(&mut self, args: &[Vec<u8>]) -> Result<(), PlanError> {
        let [operation, archive, members @ ..] = args else {
            return Err(self.bad_value(b"ar"));
        };
        if operation != b"cr" || args.iter().any(|arg| arg.starts_with(b"-")) {
            return Err(self.bad_value(operation));
        }
        self.text(operation)?;
        self.value(FlagEffect::Output, operation, b"", archive)?;
        for member in members {
            let id = self.path(b"", member, b"", member)?;
            self.read(id);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Draft, PlanError> {
        let tool = self.tool();
        let not_one = |what, count| {
            Err(PlanError::NotOne {
                tool,
                what,
                found: count,
            })
        };
        let translates = !matches!(
            tool,
            Tool::Fatbinary | Tool::Nvlink | Tool::HostLink | Tool::Archive | Tool::Remove
        );
        if translates && self.sources != 1 {
            return not_one("sources", self.sources);
        }
        match tool {
            Tool::Remove => {}
            // Without -o ptxas checks its input and writes nothing.
            Tool::Ptxas if self.outputs == 0 => {}
            _ if self.outputs != 1 => return not_one("main outputs", self.outputs),
            _ => {}
        }
        let temp = |id: FileId| self.files.kind(id) == super::FileKind::Temp;
        if tool == Tool::Preprocess && self.draft.source.is_some_and(temp) {
            self.draft.stage.tool = Tool::HostPreprocess;
        }
        Ok(self.draft)
    }

    fn read(&mut self, id: FileId) {
        let reads = &mut self.draft.stage.reads;
        if !reads.contains(&id) {
            reads.push(id);
        }
    }

    /// Adds an argument that contains a path.
    fn path(
        &mut self,
        before: &[u8],
        path: &[u8],
        after: &[u8],
        flag: &[u8],
    ) -> Result<FileId, PlanError> {
        if path.is_empty() || path == b"-" {
            return Err(self.bad_value(flag));
        }
        let id = self.files.intern(path);
        let text = |bytes: &[u8]| {
            (!bytes.is_empty()).then(|| Piece::Text(OsStr::from_bytes(bytes).to_owned()))
        };
        let pieces = text(before)
            .into_iter()
            .chain([Piece::File(id)])
            .chain(text(after));
        self.draft.stage.args.push(Argument(pieces.collect()));
        Ok(id)
    }

    /// Adds an argument without a path. One that mentions the keep directory has a path that is not understood, which
    /// is an error.
    fn text(&mut self, arg: &[u8]) -> Result<(), PlanError> {
        let below = &self.files.below;
        if arg.windows(below.len()).any(|window| window == below) {
            return Err(self.unaccounted(arg));
        }
        let text = OsStr::from_bytes(arg).to_owned();
        self.draft
            .stage
            .args
            .push(Argument(vec![Piece::Text(text)]));
        Ok(())
    }

    fn unaccounted(&self, arg: &[u8]) -> PlanError {
        PlanError::UnaccountedPath {
            tool: self.tool(),
            argument: String::from_utf8_lossy(arg).into_owned(),
        }
    }

    fn bad_value(&self, flag: &[u8]) -> PlanError {
        PlanError::FlagValue {
            tool: self.tool(),
            flag: String::from_utf8_lossy(flag).into_owned(),
        }
    }
}
