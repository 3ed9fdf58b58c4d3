//! What an ordinary compile leaves for direct mode: the search orders of its passes, asked before
//! they run, and what they read.

use super::direct::Trail;
use super::evidence::Known;
use super::orders::{Asker, Question};
use super::passes::HOST_RUNTIME;
use super::unit::UnitWork;
use crate::includes::lookups::{Doubt, Reads};
use crate::includes::settled;
use crate::plan::{Argument, Piece, Stage};
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;

impl<'a> Trail<'a> {
    /// Asks every preprocessor of `works` where it searches. To be called before any pass.
    pub fn begin(works: &[UnitWork<'a>]) -> Result<Self, Doubt> {
        let mut questions = BTreeSet::new();
        let mut reads = Reads::default();
        let mut snippets = BTreeSet::new();
        for work in works {
            for (_, stage) in work.passes.stages(work.plan, work.unit) {
                let args = plain_arguments(work, stage);
                reads.forced.extend(forced(&args)?);
                snippets.extend(definitions(&args));
                questions.insert(Question {
                    program: stage.program.clone(),
                    args: steering(&args),
                });
            }
            if work.passes.include_runtime() {
                snippets.insert(HOST_RUNTIME.as_bytes().to_vec());
            }
        }
        reads.snippets = snippets.into_iter().collect();
        let (work, commands) = (&works[0], works[0].commands);
        let asker = Asker {
            cache: work.cache,
            facts: work.facts,
            toolchain: commands.toolchain,
            environment: &commands.environment,
        };
        let find = |program: &OsStr| {
            let found = commands.find(work.plan, program);
            found.map_err(|unknown| unknown.detail)
        };
        // All are asked before the first answer is waited for.
        let asked = questions.iter().map(|question| asker.ask(question, &find));
        let asked = asked.collect::<Result<Vec<_>, _>>()?;
        let orders = asked.into_iter().map(|asked| asker.answer(asked));
        Ok(Self {
            reads,
            orders: orders.collect::<Result<_, _>>()?,
            began: settled::stamp_time(),
            mounts: work.mounts,
        })
    }

    /// Adds what a unit's passes read.
    pub fn add(&mut self, known: &Known) -> Result<(), Doubt> {
        self.reads.raw.extend(known.raw().cloned());
        let precompilable = known.precompilable().cloned();
        self.reads.precompilable.extend(precompilable);
        for path in known.preprocessed() {
            if self.reads.sources.contains_key(path) {
                continue;
            }
            let text = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
            self.reads.sources.insert(path.clone(), Rc::new(text));
        }
        Ok(())
    }
}

/// The stage's arguments without files, and without the `-o` before one.
fn plain_arguments(work: &UnitWork<'_>, stage: &Stage) -> Vec<OsString> {
    let mut args: Vec<OsString> = Vec::new();
    let mut nothing = |_| OsString::new();
    for argument in &stage.args {
        let Argument(pieces) = argument;
        if pieces.iter().any(|piece| matches!(piece, Piece::File(_))) {
            args.pop_if(|last| last.as_os_str() == "-o");
        } else {
            args.push(work.plan.render(argument, &mut nothing));
        }
    }
    args
}

/// The names that options include before the source.
fn forced(args: &[OsString]) -> Result<Vec<Vec<u8>>, Doubt> {
    let mut names = Vec::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let bytes = arg.as_bytes();
        if bytes.starts_with(b"@") || bytes == b"-I-" || bytes.starts_with(b"-fmodule") {
            return Err(format!("{} changes how headers are found", arg.display()));
        }
        let Some(joined) = included(bytes) else {
            continue;
        };
        match joined {
            b"" => names.extend(rest.next().map(|name| name.as_bytes().to_vec())),
            joined => names.push(joined.strip_prefix(b"=").unwrap_or(joined).to_vec()),
        }
    }
    Ok(names)
}

/// What `-D` defines, as the directives that gcc makes of it.
fn definitions(args: &[OsString]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let text = match arg.as_bytes().strip_prefix(b"-D") {
            Some(b"") => rest.next().map(|next| next.as_bytes()),
            joined => joined,
        };
        let Some(text) = text else { continue };
        let mut line = b"#define ".to_vec();
        let mut parts = text.splitn(2, |&byte| byte == b'=');
        line.extend(parts.next().unwrap_or_default());
        line.push(b' ');
        line.extend(parts.next().unwrap_or_default());
        found.push(line);
    }
    found
}

/// What follows `-include` and its kin within the same argument.
fn included(arg: &[u8]) -> Option<&[u8]> {
    const SPELLINGS: [&[u8]; 4] = [b"--include", b"--imacros", b"-include", b"-imacros"];
    let joined = SPELLINGS
        .iter()
        .find_map(|spelling| arg.strip_prefix(*spelling))?;
    let is_other = joined.starts_with(b"-");
    (!is_other).then_some(joined)
}

/// The arguments but for macros and included files, which change no directory, and for what would
/// silence the answer.
fn steering(args: &[OsString]) -> Vec<OsString> {
    let mut kept = Vec::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let bytes = arg.as_bytes();
        if included(bytes) == Some(b"") || bytes == b"-D" || bytes == b"-U" {
            rest.next();
        } else if included(bytes).is_none() && !is_macro(bytes) && bytes != b"-w" {
            kept.push(arg.clone());
        }
    }
    kept
}

fn is_macro(arg: &[u8]) -> bool {
    arg.starts_with(b"-D") || arg.starts_with(b"-U")
}

#[cfg(test)]
mod tests {
    use super::{definitions, forced, steering};
    use std::ffi::OsString;

    fn args(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn included_names_are_found_in_every_spelling() {
        let found = forced(&args("-E -include a -imacrosb --include=c --imacros d -Ix")).unwrap();
        assert_eq!(found, [b"a", b"b", b"c", b"d"]);
        assert!(forced(&args("-E @x")).is_err());
        assert!(forced(&args("-I- -Ix")).is_err());
        assert!(forced(&args("--include-directory x")).unwrap().is_empty());
    }

    #[test]
    fn macros_of_the_command_line_are_directives() {
        let found = definitions(&args("-DA -D B=<x.h> -DASK(x)=__has_include(x) -Ix"));
        let lines: Vec<_> = found
            .iter()
            .map(|line| String::from_utf8_lossy(line))
            .collect();
        assert_eq!(
            lines,
            [
                "#define A ",
                "#define B <x.h>",
                "#define ASK(x) __has_include(x)"
            ]
        );
    }

    #[test]
    fn macros_and_included_names_steer_nothing() {
        let kept = steering(&args(
            "-E -w -DX -D Y -UZ -include a -includeb -Ix -isystem y --include-directory z",
        ));
        assert_eq!(kept, args("-E -Ix -isystem y --include-directory z"));
    }
}
