//! The two programs that links and lines for build systems name: `pcache-nvcc`, and the real nvcc.

use super::context::Context;
use crate::toolchain::{Search, find_nvcc, is_program, nvcc_command};
use anyhow::{Context as _, Error, bail};
use std::path::{PathBuf, absolute};
use std::process::Stdio;

/// Absolute paths.
pub(super) struct InstalledPrograms {
    /// `pcache-nvcc`, beside this program.
    pub(super) wrapper: PathBuf,
    /// The nvcc that `pcache-nvcc` finds here, which is never itself.
    pub(super) nvcc: PathBuf,
}

impl InstalledPrograms {
    /// Finds both, and checks that nvcc runs.
    pub(super) fn find(context: &Context<'_>) -> Result<Self, Error> {
        let own = context.env.program.as_deref();
        let beside = own.map(|own| own.with_file_name("pcache-nvcc"));
        let wrapper = beside
            .filter(|wrapper| is_program(wrapper))
            .context("there is no pcache-nvcc beside pcache; install both in one directory")?;
        let var = context.env.var;
        let search = Search {
            setting: context.config.nvcc.value.clone(),
            path: var("PATH"),
            cuda_home: var("CUDA_HOME").or_else(|| var("CUDA_PATH")),
            own: Some(wrapper.clone()),
            ..Search::default()
        };
        let nvcc = absolute(find_nvcc(&search)?).context("the path of nvcc is empty")?;
        let mut version = nvcc_command(&nvcc);
        version.arg("--version").stdin(Stdio::null());
        let output = version
            .output()
            .with_context(|| format!("cannot run {nvcc:?}"))?;
        if !output.status.success() {
            bail!("{nvcc:?} --version fails; pcache doctor says more");
        }
        Ok(Self { wrapper, nvcc })
    }
}
