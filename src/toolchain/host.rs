//! The commands that the host compiler would run, parsed from its driver's answer to `-###`, and the kind of program
//! that the driver is.
//!
//! ```text
//! COLLECT_GCC=/usr/bin/g++                                    GCC's driver, as it was started
//!  /usr/lib/gcc/x86_64-linux-gnu/12/cc1plus -quiet … -o - |   each command behind one blank
//!  as --64 -o /dev/null
//! ```
//! clang quotes each word, and starts itself: ` "/usr/lib/llvm-14/bin/clang" "-cc1" …`. Programs in front of a
//! driver (scripts, OpenMPI's `mpicxx`, ccache) pass the option on, so the answer includes the arguments that they add.

use crate::shell::plain_words;
use memchr::memmem;
use serde::{Deserialize, Serialize};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The family of options that the host compiler understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostFamily {
    /// GCC, with GNU as.
    Gnu,
    /// Clang, which assembles by itself.
    Clang,
    /// Something that is neither.
    Other,
}

/// The kind of program that nvcc starts as the host compiler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostDriver {
    /// GCC's or clang's own driver: it starts its parts itself, and the commands depend only on its arguments,
    /// on known variables and on files at known places.
    Own,
    /// Any other program or script. It may add flags or choose another compiler, depending on anything.
    Wrapper,
}

/// Text that only GCC's driver contains.
const GNU_DRIVER: &[u8] = b"Using built-in specs.";

/// The shell command that GCC's `-wrapper` starts in place of each command; GCC splits the option at commas. It starts
/// nothing itself. With `-pipe`, the assembler after it would be the real one, and must get no input.
const TELL: &str = "/bin/sh,-c,exec >&2; echo =program; command -v \"$0\"; \
    echo =directory; pwd -P; echo =variables; export -p; \
    echo =words $#; printf '%s\\0' \"$0\" \"$@\"; echo";

/// A question to a driver, with the flags of a compile but no input file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Inquiry {
    /// Which commands would it start? For a driver that starts them itself.
    Commands,
    /// Which commands does GCC start behind a wrapper, which may change anything: arguments, files, directory and
    /// variables? Each command is replaced by a shell that prints these.
    Parts,
}

impl Inquiry {
    /// Starts `driver` with `flags`, and with `environment` (`NAME=value`) on top of our own.
    ///
    /// # Errors
    /// The driver cannot be started.
    pub fn ask(
        self,
        driver: &Path,
        flags: &[OsString],
        environment: &[OsString],
    ) -> io::Result<Child> {
        // Without `-pipe`, the answer would name a random temporary file.
        const COMMANDS: &[&str] = &["-pipe", "-###", "-o", "/dev/null", "/dev/null"];
        const PARTS: &[&str] = &["-wrapper", TELL, "-o", "/dev/null", "/dev/null"];
        let last_arguments = match self {
            Self::Commands => COMMANDS,
            Self::Parts => PARTS,
        };
        let mut command = question(driver);
        command.args(flags).args(last_arguments);
        for assignment in environment {
            if let Some((name, value)) = split_assignment(assignment) {
                command.env(name, value);
            }
        }
        // Not for a wrapper, whose behaviour may depend on the locale.
        if self == Self::Commands {
            command.env("LC_ALL", "C");
        }
        command.spawn()
    }
}

/// The two sides of `NAME=value`.
pub fn split_assignment(assignment: &OsStr) -> Option<(&OsStr, &OsStr)> {
    let bytes = assignment.as_bytes();
    let equals = bytes.iter().position(|&byte| byte == b'=')?;
    let sides = (&bytes[..equals], &bytes[equals + 1..]);
    Some((OsStr::from_bytes(sides.0), OsStr::from_bytes(sides.1)))
}

/// Asks GCC's driver for the places in which it searches for its parts: see [`SearchPlaces`].
pub(super) fn ask_places(driver: &Path, path: &OsStr) -> io::Result<Child> {
    let mut command = question(driver);
    command.arg("-print-search-dirs").env("PATH", path);
    command.env("LC_ALL", "C").spawn()
}

fn question(driver: &Path) -> Command {
    let mut command = Command::new(driver);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Whether a program is GCC's compiler proper, which every compile starts.
pub fn is_compiler_of_gcc(program: &OsStr) -> bool {
    let name = Path::new(program).file_name().unwrap_or_default();
    name == "cc1plus" || name == "cc1"
}

/// A command that a driver would start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostCommand {
    /// Its program, a path or a name that is looked up in PATH, and its arguments.
    pub words: Vec<OsString>,
}

/// A driver's account of the commands that it would start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostCommands {
    /// Each command, in order.
    pub commands: Vec<HostCommand>,
    /// The family of the compiler.
    pub family: HostFamily,
    /// The path by which GCC's driver was started, as it prints it.
    pub(super) started_as: Option<PathBuf>,
    /// A specs file that GCC's driver has read.
    pub read_specs: Option<PathBuf>,
    /// Directories in which GCC's driver looks for specs files, independent of its search path.
    pub specs: Vec<PathBuf>,
}

impl HostCommands {
    /// Parses what a driver printed on standard error. `None` if it names no compiler.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut commands = Vec::new();
        let mut family = None;
        for line in text.split(|&byte| byte == b'\n') {
            // clang prints ` (in-process)` before its command.
            let Some(line) = line
                .strip_prefix(b" ")
                .filter(|line| !line.starts_with(b"("))
            else {
                continue;
            };
            // The first of two commands joined by a pipe ends with `|`.
            let words = words(line.strip_suffix(b" |").unwrap_or(line))?;
            let program = words.first()?;
            if is_compiler_of_gcc(program) {
                family = Some(HostFamily::Gnu);
            } else if words.iter().any(|word| word == "-cc1") {
                family = Some(if is_clang(text) {
                    HostFamily::Clang
                } else {
                    HostFamily::Other
                });
            }
            commands.push(HostCommand { words });
        }
        Some(Self {
            commands,
            family: family?,
            started_as: value(text, b"COLLECT_GCC=").map(PathBuf::from),
            read_specs: value(text, b"Reading specs from ").map(PathBuf::from),
            specs: configured(text),
        })
    }

    /// The kind of `driver`, which gave this answer. `content` is the content of its file.
    pub fn kind_of(&self, driver: &Path, content: &[u8]) -> HostDriver {
        let real = |path: &Path| fs::canonicalize(path).ok();
        let is_own = match self.family {
            // All three: another program may have the name, and a script may contain the text.
            HostFamily::Gnu => {
                self.started_as.as_deref() == Some(driver)
                    && content.starts_with(b"\x7fELF")
                    && memmem::find(content, GNU_DRIVER).is_some()
            }
            HostFamily::Clang | HostFamily::Other => {
                let mut programs = self
                    .commands
                    .iter()
                    .map(|command| Path::new(&command.words[0]));
                real(driver).is_some() && programs.all(|program| real(program) == real(driver))
            }
        };
        if is_own {
            HostDriver::Own
        } else {
            HostDriver::Wrapper
        }
    }
}

/// Whether a driver whose compiler proper is started with `-cc1` calls itself clang: `Debian clang version 14.0.6`.
/// Compilers that were made from clang may search for headers in ways of their own.
fn is_clang(text: &[u8]) -> bool {
    let mut lines = text.split(|&byte| byte == b'\n');
    lines.any(|line| memmem::find(line, b"clang version ").is_some() && !line.starts_with(b" "))
}

/// The words of a command that a driver printed, bare or in double quotes with backslashes, as a shell would read them.
/// `None` if a shell would read them differently.
fn words(line: &[u8]) -> Option<Vec<OsString>> {
    let words = plain_words(line).ok()?.into_iter();
    Some(words.map(OsString::from_vec).collect())
}

/// The rest of the first line that begins with `name`.
fn value<'t>(text: &'t [u8], name: &[u8]) -> Option<&'t OsStr> {
    let mut lines = text.split(|&byte| byte == b'\n');
    lines
        .find_map(|line| line.strip_prefix(name))
        .map(OsStr::from_bytes)
}

/// `LIBDIR/gcc/TARGET`, as GCC was configured. A specs file there is read even if the compiler was moved.
fn configured(text: &[u8]) -> Vec<PathBuf> {
    let options = value(text, b"Configured with: ").unwrap_or_default();
    let option = |name: &[u8]| {
        let mut words = options.as_bytes().split(|&byte| byte == b' ');
        let value = words.find_map(|word| word.strip_prefix(name))?;
        Some(Path::new(OsStr::from_bytes(value)))
    };
    let prefix = option(b"--prefix=").unwrap_or(Path::new("/usr/local"));
    let libdir = option(b"--libdir=").map_or_else(|| prefix.join("lib"), Path::to_owned);
    let target = value(text, b"Target: ").map(|target| libdir.join("gcc").join(target));
    target.into_iter().collect()
}

/// The places in which GCC's driver searches for its parts, as `-print-search-dirs` prints them.
///
/// ```text
/// install: /usr/lib/gcc/x86_64-linux-gnu/12/
/// programs: =/usr/lib/gcc/x86_64-linux-gnu/12/:…
/// libraries: =/usr/lib/gcc/x86_64-linux-gnu/12/:…
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchPlaces {
    /// Prefixes of programs, in order.
    pub programs: Vec<PathBuf>,
    /// Prefixes of startup files, where specs files are looked for too.
    pub startup: Vec<PathBuf>,
}

impl SearchPlaces {
    /// Parses the driver's standard output. `None` if a line is missing.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let list = |name: &[u8]| {
            let list = value(text, name)?.as_bytes();
            let parts = list.split(|&byte| byte == b':');
            Some(
                parts
                    .map(|part| PathBuf::from(OsStr::from_bytes(part)))
                    .collect(),
            )
        };
        Some(Self {
            programs: list(b"programs: =")?,
            startup: list(b"libraries: =")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{HostCommands, HostDriver, HostFamily, SearchPlaces, words};
    use std::path::Path;

    const GNU: &[u8] = b"Using built-in specs.\nCOLLECT_GCC=/usr/bin/g++\nTarget: x86_64-linux-gnu\n\
        Configured with: ../src/configure -v --with-pkgversion='Debian 12' --prefix=/usr --libdir=/usr/lib\n\
        COLLECT_GCC_OPTIONS='-c' '-pipe'\n \
        /usr/lib/gcc/x86_64-linux-gnu/12/cc1plus -quiet \"-march=x86-64\" -o - |\n \
        as --64 -o /dev/null\nCOMPILER_PATH=/usr/lib/gcc/\n";

    const CLANG: &[u8] = b"clang version 14.0.6\nInstalledDir: /usr/bin\n (in-process)\n \
        \"/usr/lib/llvm-14/bin/clang\" \"-cc1\" \"-triple\" \"x86_64\"\n";

    #[test]
    fn the_commands_of_both_compilers_are_read() {
        let found = HostCommands::parse(GNU).unwrap();
        assert_eq!(found.family, HostFamily::Gnu);
        assert_eq!(
            programs(&found),
            ["/usr/lib/gcc/x86_64-linux-gnu/12/cc1plus", "as"]
        );
        assert_eq!(found.commands[1].words, ["as", "--64", "-o", "/dev/null"]);
        assert_eq!(found.commands[0].words[2], "-march=x86-64");
        assert_eq!(found.specs, [Path::new("/usr/lib/gcc/x86_64-linux-gnu")]);
        let found = HostCommands::parse(CLANG).unwrap();
        assert_eq!(found.family, HostFamily::Clang);
        assert_eq!(programs(&found), ["/usr/lib/llvm-14/bin/clang"]);
        let other = String::from_utf8_lossy(CLANG).replace("clang version", "Other Compiler");
        let found = HostCommands::parse(other.as_bytes()).unwrap();
        assert_eq!(found.family, HostFamily::Other);
    }

    fn programs(answer: &HostCommands) -> Vec<&str> {
        let commands = answer.commands.iter();
        commands
            .filter_map(|command| command.words[0].to_str())
            .collect()
    }

    #[test]
    fn words_are_told_from_quotes_and_blanks() {
        let found = words(br#"cc1plus  -D "X=\"a b\"" -D"Y" "" z"#).unwrap();
        assert_eq!(found, ["cc1plus", "-D", "X=\"a b\"", "-DY", "", "z"]);
    }

    #[test]
    fn an_answer_without_a_compiler_is_none() {
        for text in [
            &b""[..],
            b"wrapper: unknown option\n",
            b" as --64\n",
            b" \"open\n",
        ] {
            assert_eq!(HostCommands::parse(text), None);
        }
    }

    #[test]
    fn a_driver_is_gccs_own_by_name_and_content() {
        let driver = b"\x7fELF... Using built-in specs.\n";
        let answer = HostCommands::parse(GNU).unwrap();
        let kind = |path: &str, content: &[u8]| answer.kind_of(Path::new(path), content);
        assert_eq!(kind("/usr/bin/g++", driver), HostDriver::Own);
        assert_eq!(
            kind("/opt/bin/g++", driver),
            HostDriver::Wrapper,
            "starts another"
        );
        assert_eq!(
            kind("/usr/bin/g++", b"\x7fELF"),
            HostDriver::Wrapper,
            "a launcher"
        );
        assert_eq!(
            kind("/usr/bin/g++", b"#!/bin/sh # Using built-in specs."),
            HostDriver::Wrapper
        );
    }

    #[test]
    fn search_places_are_in_order() {
        let text = b"install: /x/\nprograms: =/a/:/b/\nlibraries: =/c/\n";
        let found = SearchPlaces::parse(text).unwrap();
        assert_eq!(found.programs, [Path::new("/a/"), Path::new("/b/")]);
        assert_eq!(found.startup, [Path::new("/c/")]);
        assert_eq!(SearchPlaces::parse(b"programs: =/a/\n"), None);
    }
}
