//! Lines to paste for build systems, with the paths of this machine. `docs/integration.md` says which of them a test runs.

use super::context::{Context, Status};
use super::installed_programs::InstalledPrograms;
use super::links::toolkit_of;
use super::screen::say_text;
use anyhow::{Context as _, Error};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// A build system that can be told of pcache-nvcc.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum BuildSystem {
    /// Variables for CMake's configure step
    Cmake,
    /// A native file for Meson
    Meson,
    /// Variables of a Makefile
    Make,
    /// Variables for extensions of PyTorch
    Torch,
    /// Cargo's configuration, for build scripts
    Cargo,
    /// Options for Bazel with rules_cuda
    Bazel,
    /// A command for xmake
    Xmake,
}

/// The paths that the lines name, without a character that any of the languages would treat specially.
struct NamedPaths {
    wrapper: String,
    nvcc: String,
    toolkit: Option<String>,
    /// Where a mirror of the toolkit could be.
    mirror: String,
    cache: String,
}

pub(super) fn print(system: BuildSystem, context: &mut Context<'_>) -> Result<Status, Error> {
    let programs = InstalledPrograms::find(context)?;
    let home = (context.env.var)("HOME").unwrap_or_else(|| OsString::from("/opt"));
    let toolkit = toolkit_of(&programs.nvcc).ok();
    let paths = NamedPaths {
        wrapper: plain(&programs.wrapper)?,
        nvcc: plain(&programs.nvcc)?,
        toolkit: toolkit.as_deref().map(plain).transpose()?,
        mirror: plain(&PathBuf::from(home).join(".local/share/pcache-nvcc/cuda"))?,
        cache: plain(context.root())?,
    };
    say_text(&mut context.out, &lines(system, &paths))?;
    Ok(Status::Fine)
}

/// The text of a path without blanks, quotes and the like, which shells, make, TOML and Bazel quote in different ways.
fn plain(path: &Path) -> Result<String, Error> {
    let is_plain = |c: char| c.is_alphanumeric() || "/._+-@,".contains(c);
    let text = path.to_str().filter(|text| text.chars().all(is_plain));
    let text = text.with_context(|| {
        format!("{path:?} has characters that build systems treat specially; make a link to it with a plain name")
    })?;
    Ok(text.to_owned())
}

fn lines(system: BuildSystem, paths: &NamedPaths) -> String {
    match system {
        BuildSystem::Cmake => cmake(paths),
        BuildSystem::Meson => meson(paths),
        BuildSystem::Make => make(paths),
        BuildSystem::Torch => torch(paths),
        BuildSystem::Cargo => cargo(paths),
        BuildSystem::Bazel => bazel(paths),
        BuildSystem::Xmake => xmake(paths),
    }
}

fn cmake(NamedPaths { wrapper, nvcc, .. }: &NamedPaths) -> String {
    format!(
        "# In the environment of the configure step (CMake 3.17 and newer), with a new build directory:
export CMAKE_CUDA_COMPILER_LAUNCHER={wrapper}
export CUDACXX={nvcc}
# Or as options: cmake -DCMAKE_CUDA_COMPILER_LAUNCHER={wrapper} -DCMAKE_CUDA_COMPILER={nvcc} ...
# Or as cacheVariables of a configure preset in CMakePresets.json:
#   \"CMAKE_CUDA_COMPILER_LAUNCHER\": \"{wrapper}\",
#   \"CMAKE_CUDA_COMPILER\": \"{nvcc}\"
"
    )
}

fn meson(NamedPaths { wrapper, nvcc, .. }: &NamedPaths) -> String {
    format!(
        "# Save this as pcache.ini, and configure a new build directory:
#   meson setup --native-file pcache.ini build
[binaries]
cuda = ['{wrapper}', '{nvcc}']
"
    )
}

fn make(NamedPaths { wrapper, nvcc, .. }: &NamedPaths) -> String {
    format!(
        "# In the Makefile, if its rules use $(NVCC):
export PCACHE_NVCC := {nvcc}
NVCC := {wrapper}
# Or on the command line: PCACHE_NVCC={nvcc} make NVCC={wrapper}
"
    )
}

fn torch(paths: &NamedPaths) -> String {
    let NamedPaths {
        wrapper,
        nvcc,
        mirror,
        ..
    } = paths;
    let toolkit = paths.toolkit.as_deref().map_or_else(
        || "# CUDA_HOME must name the toolkit.\n".to_owned(),
        |toolkit| format!("export CUDA_HOME={toolkit}\n"),
    );
    format!(
        "# In the environment of the build, which uses ninja:
{toolkit}export PYTORCH_NVCC={wrapper}
export PCACHE_NVCC={nvcc}
# A setup.py that builds without ninja runs $CUDA_HOME/bin/nvcc. For that, in place of these lines:
#   pcache init --cuda-home {mirror}
#   export CUDA_HOME={mirror}
"
    )
}

fn cargo(NamedPaths { wrapper, nvcc, .. }: &NamedPaths) -> String {
    format!(
        "# In .cargo/config.toml of the project, or in ~/.cargo/config.toml. NVCC is for the crate cc and for
# cudaforge, the other two for the crate cmake.
[env]
NVCC = \"{wrapper}\"
PCACHE_NVCC = \"{nvcc}\"
CMAKE_CUDA_COMPILER_LAUNCHER = \"{wrapper}\"
CUDACXX = \"{nvcc}\"
"
    )
}

fn bazel(paths: &NamedPaths) -> String {
    let NamedPaths {
        nvcc,
        mirror,
        cache,
        ..
    } = paths;
    format!(
        "# Run once: pcache init --cuda-home {mirror}
# Then in .bazelrc, for rules_cuda:
build --repo_env=CUDA_PATH={mirror}
build --action_env=PCACHE_NVCC={nvcc}
build --action_env=PCACHE_DIR={cache}
build --sandbox_writable_path={cache}
"
    )
}

fn xmake(NamedPaths { mirror, .. }: &NamedPaths) -> String {
    format!(
        "# Run once:
pcache init --cuda-home {mirror}
# Then configure with:
xmake f --cuda={mirror}
"
    )
}

#[cfg(test)]
mod tests {
    use super::plain;
    use std::path::Path;

    #[test]
    fn only_paths_that_every_language_takes_as_they_are_go_into_lines() {
        assert_eq!(
            plain(Path::new("/opt/cuda-13.2")).unwrap(),
            "/opt/cuda-13.2"
        );
        for odd in ["/a b", "/a'b", "/a$b", "/a#b", "/a\"b", "/a:b", "/a\\b"] {
            plain(Path::new(odd)).unwrap_err();
        }
    }
}
