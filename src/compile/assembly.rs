//! What the assemblers of a unit read besides what they are given: asked where they tell it, and ruled out by
//! the text that they are given where they do not.

use super::directives;
use super::evidence::{Doubt, RealFiles, check_assembly, line_files};
use super::unit::UnitWork;
use crate::plan::{FileId, FileKind, Piece, Stage, Tool};
use crate::toolchain::HostFamily;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

impl UnitWork<'_> {
    /// ptxas looks at the files that its PTX names for lines, which `#line` or the PTX's author may have
    /// chosen. The result is only known to be right while these are sources that it is tied to.
    pub fn check_line_files(&self, stage: &Stage, files: &RealFiles) -> Result<(), Doubt> {
        let paths = stage.reads.iter();
        for path in paths.map(|file| self.commands.workspace.locate(self.plan, *file)) {
            let ptx = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            let named = line_files(&ptx).ok_or("line information names files in no plain way")?;
            let is_tied = |path: &PathBuf| self.measures_sources() && files.holds(path);
            if let Some(stray) = named.iter().find(|path| !is_tied(path)) {
                return Err(format!("line information names {}", stray.display()));
            }
        }
        Ok(())
    }

    /// GNU as says what it read, but for files called like its own source. Where there is one, and where
    /// clang assembles by itself, what it is given must not have the directives that read files.
    pub fn check_assembly(&self, stage: &Stage, number: usize) -> Result<(), Doubt> {
        let paths = stage
            .reads
            .iter()
            .map(|file| Path::new(&self.plan.file(*file).path));
        let names: Vec<_> = paths.filter_map(Path::file_name).collect();
        let gnu = self.commands.toolchain.host == HostFamily::Gnu;
        match gnu {
            true => check_assembly(self.commands.workspace, number, &names)
                .and_then(|()| self.check_own_names(&names)),
            false => self.check_directives(),
        }
    }

    /// The assembler names its sources, which are called `names`, and cannot tell others of these names from
    /// them.
    pub fn check_own_names(&self, names: &[&OsStr]) -> Result<(), Doubt> {
        let stages = self.unit.stages.iter().map(|number| self.stage(*number));
        let mut compiles = stages.filter(|stage| stage.tool == Tool::HostCompile);
        match compiles.any(|stage| names.iter().any(|name| may_assemble(stage, name))) {
            true => self.check_directives(),
            false => Ok(()),
        }
    }

    /// Nothing that the host compiler is given makes its assembler read a file.
    pub fn check_directives(&self) -> Result<(), Doubt> {
        let compiles = self.unit.stages.iter().map(|number| self.stage(*number));
        let compiles = compiles.filter(|stage| stage.tool == Tool::HostCompile);
        if compiles.clone().next().is_none() {
            return Ok(());
        }
        let is_own = |file: &&FileId| self.plan.file(**file).kind == FileKind::Temp;
        let generated = compiles.flat_map(|stage| stage.reads.iter().filter(is_own));
        let generated = generated.map(|file| self.commands.workspace.locate(self.plan, *file));
        // Text that cudafe++ has written, and beside it the stub and the fatbinary, which hold none of the user's.
        let generated: Vec<_> = generated
            .filter(|path| path.as_os_str().as_bytes().ends_with(b".cpp"))
            .collect();
        let read =
            |path: &PathBuf| fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
        let texts = match generated.is_empty() {
            false => generated.iter().map(read).collect::<Result<Vec<_>, _>>()?,
            true => self
                .passes
                .texts(self)
                .map_err(|_| "a pass is gone".to_owned())?,
        };
        texts.iter().try_for_each(|text| directives::check(text))
    }
}

/// Whether the assembler of `stage` finds a file called `name`: where it runs, or where headers are.
fn may_assemble(stage: &Stage, name: &OsStr) -> bool {
    // A blank may stand behind the option.
    let told = stage.args.iter().flat_map(|argument| &argument.0);
    let told = told.filter_map(|piece| match piece {
        Piece::Text(text) => Some(text.as_bytes()),
        Piece::File(_) => None,
    });
    let directories = told.map(|text| text.strip_prefix(b"-I").unwrap_or(text));
    let directories = directories.map(|text| Path::new(OsStr::from_bytes(text)));
    let mut places = directories.chain([Path::new("")]);
    places.any(|directory| directory.join(name).exists())
}
