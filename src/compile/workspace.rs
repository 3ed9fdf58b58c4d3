//! The private directory of one invocation: where stages write until everything is known to be
//! good. Removed on every way out.

use crate::outcome::{Fallback, FallbackReason};
use crate::plan::{FileId, FileKind, Plan};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use tempfile::TempDir;

/// Three directories below `TMPDIR`: the plan's temporaries, outputs before they are placed, and
/// what stages print.
pub struct Workspace {
    root: TempDir,
    /// When it was made; what changes later than this changed during the compile.
    pub began: SystemTime,
}

impl Workspace {
    /// Makes the directories.
    pub fn new() -> Result<Self, Fallback> {
        Self::make().map_err(|error| {
            let text = format!("{}: {error}", std::env::temp_dir().display());
            Fallback::new(FallbackReason::WorkDirectory, text)
        })
    }

    fn make() -> io::Result<Self> {
        let began = SystemTime::now();
        let root = tempfile::Builder::new().prefix("pcache-nvcc-").tempdir()?;
        for part in ["t", "o", "s"] {
            fs::create_dir(root.path().join(part))?;
        }
        Ok(Self { root, began })
    }

    /// The keep directory of the plan.
    pub fn temporaries(&self) -> PathBuf {
        self.root.path().join("t")
    }

    /// Whether `path` lies in the workspace.
    pub fn holds(&self, path: &Path) -> bool {
        path.starts_with(self.root.path())
    }

    /// The file for what stage `number` prints; `suffix` tells which stream or side file.
    pub fn stream(&self, number: usize, suffix: &str) -> PathBuf {
        self.root.path().join("s").join(format!("{number}.{suffix}"))
    }

    /// Where a stage finds or writes the plan's file: temporaries and outputs inside the workspace,
    /// inputs as they are.
    pub fn locate(&self, plan: &Plan, file: FileId) -> PathBuf {
        let found = plan.file(file);
        let path = Path::new(&found.path);
        match found.kind {
            FileKind::Temp => self.temporaries().join(path),
            FileKind::Input => path.to_owned(),
            // The base name keeps its suffix; nothing else of an output's name reaches a stage.
            FileKind::Output => {
                let name = path.file_name().map_or_else(|| OsString::from("output"), Into::into);
                self.root.path().join("o").join(format!("{}", file.index())).join(name)
            }
        }
    }

    /// Makes the directories that [`Workspace::locate`] names.
    pub fn prepare(&self, plan: &Plan, files: &[FileId]) -> Result<(), Fallback> {
        for file in files {
            if let Some(parent) = self.locate(plan, *file).parent()
                && self.holds(parent)
            {
                fs::create_dir_all(parent).map_err(|error| {
                    let text = format!("{}: {error}", parent.display());
                    Fallback::new(FallbackReason::WorkDirectory, text)
                })?;
            }
        }
        Ok(())
    }
}
