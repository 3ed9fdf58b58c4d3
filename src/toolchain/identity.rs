//! The identity of a toolchain: what a compile's keys hold of its tools, and what its commands are found by.

use super::host::{HostDriver, HostFamily};
use super::search::PathUse;
use crate::key::{Digest, Digester, Sink};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The role of a library that the loader's variables load into tools.
pub(super) const LOADED: &str = "loaded";

/// The role of a library that holds a part of the host compiler.
pub const HOST_LIBRARY: &str = "host-library";

/// The tools of a compile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolchain {
    /// SHA-256 over the contents of all tools, by role.
    pub id: Digest,
    /// What `nvcc --version` prints.
    pub release: String,
    /// The host compiler's family. That of a wrapper may change; see `compile::inputs::host`.
    pub host: HostFamily,
    /// The kind of the host compiler's driver.
    pub driver: HostDriver,
    /// The path at which the host compiler was found, links not resolved.
    pub host_place: PathBuf,
    /// nvcc's PATH for its tools.
    pub search: OsString,
    /// The file of every tool, links resolved.
    pub tools: Vec<PathBuf>,
    /// The role of each tool, such as `ptxas`, and the SHA-256 of its content.
    pub roles: Vec<(String, String)>,
    /// The path of each program that was found along PATH, links not resolved: compilers look for
    /// their parts and headers beside themselves.
    pub found: Vec<PathBuf>,
    /// `CICC_PATH` and `NVVMIR_LIBRARY_DIR` in nvcc's plan.
    pub variables: BTreeMap<String, String>,
    /// Environment variables that `nvcc.profile` reads, sorted.
    pub profile_variables: Vec<String>,
    /// Whether nvcc and the host compiler's parts are programs or scripts.
    pub front: ToolForms,
    /// How it depends on PATH.
    pub path_use: PathUse,
}

impl Toolchain {
    /// Whether nvcc and the host compiler's parts are programs, not scripts, and the parts are GCC's, so that their
    /// behaviour depends only on their contents, arguments and inputs. A program in front of GCC may still add
    /// arguments.
    pub fn ends_in_gcc(&self) -> bool {
        self.front == ToolForms::Programs && self.host == HostFamily::Gnu
    }

    /// The file of the tool with a role, links resolved.
    pub fn tool(&self, role: &str) -> Option<&Path> {
        let mut tools = self.roles.iter().zip(&self.tools);
        let found = tools.find(|((other, _), _)| other == role);
        found.map(|(_, path)| path.as_path())
    }

    /// Whether nvcc starts GCC's own driver, with no other program in front of it.
    pub fn starts_gcc(&self) -> bool {
        self.ends_in_gcc() && self.driver == HostDriver::Own
    }

    /// The identity of one tool with the libraries that it loads: SHA-256 over the contents of all tools whose role
    /// `is_part` of it, and of the libraries that the loader's variables load into any tool. `None` if the
    /// file `real` does not have the role `main`.
    pub fn part(&self, main: &str, real: &Path, is_part: impl Fn(&str) -> bool) -> Option<Digest> {
        let mut tools = self.roles.iter().zip(&self.tools);
        if !tools.any(|((role, _), path)| role == main && path == real) {
            return None;
        }
        let mut sink = Digester::default();
        let is_in = |role: &str| is_part(role) || role == LOADED;
        for (role, sha256) in self.roles.iter().filter(|(role, _)| is_in(role)) {
            sink.field("tool", 2);
            sink.value(role.as_bytes());
            sink.value(sha256.as_bytes());
        }
        Some(sink.finish())
    }
}

/// Whether nvcc and the host compiler's parts are programs. The host compiler's driver is classified separately
/// ([`HostDriver`]), because it can be asked for its commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolForms {
    /// All are programs, whose inputs are known: those of nvcc and of compilers.
    Programs,
    /// At least one is a script, which may read anything: another file, a variable.
    Scripts,
}
