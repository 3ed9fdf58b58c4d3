//! The passes of a walk once more, for what their sources alone do not show.

use super::Work;
use pcache_nvcc::exec::{AskedPaths, paths_asked};
use pcache_nvcc::includes::lookups::{NotStored, Preprocessor};
use pcache_nvcc::includes::reached::ReachedNames;
use std::path::Path;
use std::process::Stdio;

impl Work {
    /// The names that each pass includes.
    pub(super) fn reached(
        &self,
        args: &[String],
        passes: &[&[&str]],
    ) -> Result<ReachedNames, NotStored> {
        let mut names = ReachedNames::default();
        for more in passes {
            let shown: &[&str] = match self.preprocessor {
                Preprocessor::Gcc => &["-dI", "-fdirectives-only"],
                Preprocessor::Clang => &["-dI"],
            };
            let output = self.pass(args, &[*more, shown].concat());
            if !output.status.success() {
                return Err("no directives".to_owned());
            }
            names.read(&output.stdout);
        }
        Ok(names)
    }

    /// The paths that each pass asks the system for.
    pub(super) fn asked(
        &self,
        args: &[String],
        passes: &[&[&str]],
    ) -> Result<AskedPaths, NotStored> {
        let mut all = AskedPaths::new();
        let source = args.last().map(Path::new);
        for more in passes {
            let mut command = self.command(args, more);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            let asked = paths_asked(&mut command, &|path| Some(path) == source);
            all.extend(asked.map_err(|error| error.to_string())?);
        }
        Ok(all)
    }
}
