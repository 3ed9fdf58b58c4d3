//! What the host compiler answers to the flags of a job: the commands that it would run for a compile, which are
//! a field of the keys of units and host stages, and, of a program in front of a compiler, what it does before a
//! preprocessing, which only direct mode's key needs. See `docs/keys.md#the-host-compiler`.

use super::Cache;
use super::commands::plain_arguments;
use super::evidence::Doubt;
use super::passes::UnitPasses;
use crate::includes::digests::DigestTable;
use crate::key::{Digest, Digester, Sink, list};
use crate::outcome::{Fallback, FallbackReason};
use crate::plan::{Plan, Tool};
use crate::toolchain::{Account, HostDriver, HostFamily, Inquiry, Toolchain, look_up, words};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Output;

/// A question to the host compiler with the flags of one of the job's commands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Question {
    inquiry: Inquiry,
    flags: Vec<OsString>,
}

/// What to ask about the host compiler's part in `plan`: what it would run for a compile; of a
/// program in front of it, which may add anything, what it does before a preprocessing too.
pub fn questions(plan: &Plan, passes: &[UnitPasses], driver: HostDriver) -> BTreeSet<Question> {
    let passes = plan.units.iter().zip(passes);
    let passes = passes.flat_map(|(unit, passes)| passes.stages(plan, unit));
    let stages = plan.stages.iter().chain(passes.map(|(_, stage)| stage));
    let mut questions = BTreeSet::new();
    for stage in stages {
        let inquiry = match stage.tool {
            Tool::HostCompile | Tool::StubCompile => Inquiry::Commands,
            Tool::Preprocess | Tool::HostPreprocess => Inquiry::Search,
            _ => continue,
        };
        let flags = plain_arguments(plan, stage);
        match (inquiry, driver) {
            // Specs files may ask for macros too.
            (Inquiry::Search, HostDriver::Wrapper) => {
                let flags = steering(&flags);
                questions.insert(Question { inquiry, flags })
            }
            (Inquiry::Search, HostDriver::Own) => false,
            _ => questions.insert(Question { inquiry, flags }),
        };
    }
    questions
}

/// The arguments but for macros and included files, which steer neither the search for headers nor the
/// driver, and for what would silence the answer.
pub fn steering(args: &[OsString]) -> Vec<OsString> {
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

/// What follows `-include` and its kin within the same argument.
pub fn included(arg: &[u8]) -> Option<&[u8]> {
    const SPELLINGS: [&[u8]; 4] = [b"--include", b"--imacros", b"-include", b"-imacros"];
    let joined = SPELLINGS
        .iter()
        .find_map(|spelling| arg.strip_prefix(*spelling))?;
    let is_other = joined.starts_with(b"-");
    (!is_other).then_some(joined)
}

/// The host compiler's answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// What was asked.
    pub questions: BTreeSet<Question>,
    /// For keys: each command of a compile, and behind it the digest of its program's content.
    pub commands: Vec<Vec<u8>>,
    /// The words of every command that was told.
    pub arguments: Vec<Vec<OsString>>,
    /// What the preprocessings say, where they were asked about.
    searches: Vec<Vec<u8>>,
    /// Whose options the compiler understands; `None` where nothing is compiled for the host.
    pub family: Option<HostFamily>,
    /// Why the compiler may be given flags that the job does not have, such as one that writes lines.
    pub additions: Option<String>,
    /// Why a result of this compiler may depend on more than its commands tell.
    pub doubt: Option<String>,
}

impl Answers {
    /// The key of direct mode for the invocation `base`, where the host compiler has to be asked.
    pub fn key(&self, base: &Digest) -> Digest {
        let mut sink = Digester::default();
        sink.one("schema", b"pcache-nvcc asked 1");
        sink.one("direct", base);
        list(
            &mut sink,
            "commands",
            self.commands.iter().map(Vec::as_slice),
        );
        list(
            &mut sink,
            "searches",
            self.searches.iter().map(Vec::as_slice),
        );
        sink.finish()
    }
}

/// Asks the host compiler of one toolchain.
pub struct HostCompiler<'a> {
    /// Identified.
    pub toolchain: &'a Toolchain,
    /// Digests that are known already.
    pub digests: Option<&'a DigestTable>,
}

impl HostCompiler<'_> {
    /// Asks all `questions` at once.
    ///
    /// # Errors
    /// The compiler cannot be run, or one of its programs not be read.
    pub fn ask(&self, questions: &BTreeSet<Question>) -> Result<Answers, Fallback> {
        let outputs = self.outputs(questions.iter().map(|asked| (asked.inquiry, &asked.flags)));
        let outputs = outputs.map_err(|error| self.failed(&error))?;
        let mut answers = Answers {
            questions: questions.clone(),
            additions: match self.toolchain.driver {
                HostDriver::Own => None,
                HostDriver::Wrapper => Some("a program starts the host compiler".to_owned()),
            },
            ..Answers::default()
        };
        for (question, output) in questions.iter().zip(outputs) {
            match question.inquiry {
                Inquiry::Commands => self.add_commands(&output.stderr, &mut answers)?,
                Inquiry::Search => {
                    let text = searched(&output.stderr);
                    let lines = text.split(|&byte| byte == b'\n');
                    answers.arguments.extend(lines.filter_map(words));
                    answers.searches.push(text);
                }
                Inquiry::Places => {}
            }
        }
        Ok(answers)
    }

    /// Whether results may be stored under `answers`: they tell everything, and the compiler still gives the same.
    ///
    /// # Errors
    /// Says what is not so.
    pub fn confirm(&self, answers: &Answers) -> Result<(), Doubt> {
        if let Some(doubt) = &answers.doubt {
            return Err(doubt.clone());
        }
        match self.ask(&answers.questions) {
            Ok(again) if again == *answers => Ok(()),
            _ => Err("the host compiler changed during the compile".to_owned()),
        }
    }

    /// Starts all before it waits for the first.
    fn outputs<'q>(
        &self,
        asked: impl Iterator<Item = (Inquiry, &'q Vec<OsString>)>,
    ) -> io::Result<Vec<Output>> {
        let Toolchain {
            host_place, search, ..
        } = self.toolchain;
        let started = asked.map(|(inquiry, flags)| inquiry.ask(host_place, flags, search));
        let started = started.collect::<io::Result<Vec<_>>>()?;
        let answers = started.into_iter().map(|child| child.wait_with_output());
        answers.collect()
    }

    fn add_commands(&self, text: &[u8], answers: &mut Answers) -> Result<(), Fallback> {
        let Some(account) = Account::parse(text) else {
            answers.doubt = Some("the host compiler does not tell what it would run".to_owned());
            answers.commands.push(text.to_vec());
            return Ok(());
        };
        answers.family = match answers.family {
            None | Some(HostFamily::Gnu) => Some(account.family),
            other => other,
        };
        if let Some(specs) = account.read_specs {
            answers.additions = Some(format!("the host compiler read {}", specs.display()));
        }
        for command in account.commands {
            let digest = self.digest(&command.words[0], answers)?;
            answers.commands.push(command.text);
            answers.commands.extend(digest.map(String::into_bytes));
            answers.arguments.push(command.words);
        }
        Ok(())
    }

    /// SHA-256 of a program that the driver would start, in hexadecimal digits. `None` for one that only a
    /// wrapper finds, by a PATH of its own.
    fn digest(&self, program: &OsStr, answers: &mut Answers) -> Result<Option<String>, Fallback> {
        let Some(place) = look_up(program, &self.toolchain.search) else {
            answers.doubt = Some(format!("no {} on PATH", program.display()));
            return Ok(None);
        };
        let real = fs::canonicalize(&place).map_err(|error| self.failed(&error))?;
        if is_script(&real) {
            answers.doubt = Some(format!(
                "{} is a script, which may do anything",
                real.display()
            ));
        }
        let tools = self.toolchain.tools.iter();
        let mut known = tools.zip(&self.toolchain.roles);
        if let Some((_, (_, sha256))) = known.find(|(path, _)| **path == real) {
            return Ok(Some(sha256.clone()));
        }
        let nowhere = DigestTable::nowhere();
        let found = self.digests.unwrap_or(&nowhere).digest_of(&real);
        let (_, digest) = found.map_err(|error| self.failed(&error))?;
        Ok(Some(hex::encode(digest)))
    }

    fn failed(&self, error: &dyn std::fmt::Display) -> Fallback {
        let text = format!("{}: {error}", self.toolchain.host_place.display());
        Fallback::new(FallbackReason::Toolchain, text)
    }
}

/// The commands and directories in what a driver and its preprocessor print with `-v`: what stands behind a
/// blank, and which directories it ignores. The rest depends on the machine's memory.
fn searched(text: &[u8]) -> Vec<u8> {
    let lines = text.split_inclusive(|&byte| byte == b'\n');
    let kept = lines.filter(|line| line.starts_with(b" ") || line.starts_with(b"ignoring"));
    kept.collect::<Vec<_>>().concat()
}

fn is_script(path: &Path) -> bool {
    let mut magic = [0; 4];
    let read = File::open(path).and_then(|file| file.read_exact_at(&mut magic, 0));
    read.is_err() || &magic != b"\x7fELF"
}

/// The questions that a former compile of the invocation `base` led to.
pub fn recall(cache: &Cache<'_>, base: &Digest) -> Option<BTreeSet<Question>> {
    serde_json::from_slice(&cache.record(&place(base))?).ok()
}

/// Remembers the questions of the invocation `base`; whether that succeeded.
pub fn remember(cache: &Cache<'_>, base: &Digest, questions: &BTreeSet<Question>) -> bool {
    let is_known = recall(cache, base).as_ref() == Some(questions);
    let record = || serde_json::to_vec(questions).ok();
    is_known || record().is_some_and(|bytes| cache.keep(&place(base), &bytes))
}

fn place(base: &Digest) -> Digest {
    let mut sink = Digester::default();
    sink.one("schema", b"pcache-nvcc questions 1");
    sink.one("direct", base);
    sink.finish()
}

#[cfg(test)]
mod tests {
    use super::{searched, steering};
    use std::ffi::OsString;

    fn args(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn macros_and_included_names_steer_nothing() {
        let kept = steering(&args(
            "-E -w -DX -D Y -UZ -include a -includeb -Ix -isystem y --include-directory z",
        ));
        assert_eq!(kept, args("-E -Ix -isystem y --include-directory z"));
    }

    #[test]
    fn commands_and_directories_are_kept_of_a_search() {
        let text = b"Using built-in specs.\n cc1plus -E\nignoring nonexistent directory \"/a\"\n\
            #include <...> search starts here:\n /usr/include\nEnd of search list.\nGGC heuristics: 1\n";
        let kept = " cc1plus -E\nignoring nonexistent directory \"/a\"\n /usr/include\n";
        assert_eq!(String::from_utf8_lossy(&searched(text)), kept);
    }
}
