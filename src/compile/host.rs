//! What the host compiler answers to the flags of a job: the commands that it would run for a compile, which are
//! a field of the keys of units and host stages, and, of a program in front of a compiler, what it does before a
//! preprocessing, which only direct mode's key needs. See `docs/keys.md#the-host-compiler`.

use super::Cache;
use super::commands::plain_arguments;
use super::environment;
use super::evidence::Doubt;
use super::passes::UnitPasses;
use crate::cmdline::check_command;
use crate::includes::digests::DigestTable;
use crate::key::{Digest, Digester, Sink, list};
use crate::outcome::{Fallback, FallbackReason};
use crate::plan::{Plan, Tool};
use crate::toolchain::{
    Account, HostDriver, HostFamily, Inquiry, Part, Toolchain, Variable, look_up, text,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::env;
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
    #[serde(with = "text::list")]
    flags: Vec<OsString>,
}

/// What to ask about the host compiler's part in `plan`: what it would run for a compile; of a program in front of
/// it, which may add anything and for anything, the same for each preprocessing, and what surrounds the compile.
pub fn questions(plan: &Plan, passes: &[UnitPasses], driver: HostDriver) -> BTreeSet<Question> {
    let passes = plan.units.iter().zip(passes);
    let passes = passes.flat_map(|(unit, passes)| passes.stages(plan, unit));
    let stages = plan.stages.iter().chain(passes.map(|(_, stage)| stage));
    let (mut compiles, mut preprocesses) = (BTreeSet::new(), BTreeSet::new());
    for stage in stages {
        // All arguments: a wrapper may look at macros, specs files ask for them.
        let flags = || plain_arguments(plan, stage);
        match stage.tool {
            Tool::HostCompile | Tool::StubCompile => drop(compiles.insert(flags())),
            Tool::Preprocess | Tool::HostPreprocess if driver == HostDriver::Wrapper => {
                preprocesses.insert(flags());
            }
            _ => {}
        }
    }
    let surrounded = match (driver, compiles.is_empty()) {
        (HostDriver::Own, _) => BTreeSet::new(),
        (HostDriver::Wrapper, false) => std::mem::take(&mut compiles),
        (HostDriver::Wrapper, true) => preprocesses.first().cloned().into_iter().collect(),
    };
    let ask = |inquiry| move |flags| Question { inquiry, flags };
    let commands = compiles.into_iter().chain(preprocesses);
    let commands = commands.map(ask(Inquiry::Commands));
    let surrounded = surrounded.into_iter().map(|mut flags| {
        // With a pipe between its parts, what the first one prints would not come back.
        flags.retain(|flag| flag != "-pipe");
        flags
    });
    commands
        .chain(surrounded.map(ask(Inquiry::Parts)))
        .collect()
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
    /// For keys: each command that was told, and behind it the digest of its program's content; then what a program
    /// in front of GCC gives its parts besides arguments.
    pub commands: Vec<Vec<u8>>,
    /// The words of every command that was told.
    pub arguments: Vec<Vec<OsString>>,
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
        sink.one("schema", b"pcache-nvcc asked 3");
        sink.one("direct", base);
        list(
            &mut sink,
            "commands",
            self.commands.iter().map(Vec::as_slice),
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
                Inquiry::Parts => self.add_parts(&output.stdout, &mut answers)?,
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
        let is_wrapped = self.toolchain.driver == HostDriver::Wrapper;
        if is_wrapped && account.family == HostFamily::Other {
            return Err(
                self.failed(&"it starts another compiler than GCC, whose flags are not known")
            );
        }
        for command in account.commands {
            if answers.additions.is_some() {
                self.judge(&command.words)?;
            }
            let digest = self.digest(&command.words[0], answers)?;
            answers.commands.push(command.text);
            answers.commands.extend(digest.map(String::into_bytes));
            answers.arguments.push(command.words);
        }
        Ok(())
    }

    /// A command with flags of a program's or file's own does nothing but its part of a compile.
    fn judge(&self, words: &[OsString]) -> Result<(), Fallback> {
        let words: Vec<_> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        let judged = check_command(&words);
        judged.map_err(|word| self.failed(&format!("it adds {word}, which may do anything")))
    }

    /// Adds what GCC behind a program would run, and what that program gives it besides arguments.
    fn add_parts(&self, text: &[u8], answers: &mut Answers) -> Result<(), Fallback> {
        let parts = Part::parse_all(text).unwrap_or_default();
        let is_compiler = |part: &Part| {
            let program = part.words.first().map(Path::new);
            let name = program.and_then(Path::file_name).unwrap_or_default();
            name == "cc1plus" || name == "cc1"
        };
        if !parts.iter().any(is_compiler) {
            answers.doubt = Some("the host compiler does not tell what it would run".to_owned());
            answers.commands.push(text.to_vec());
        }
        for part in parts {
            answers.family.get_or_insert(HostFamily::Gnu);
            self.judge(&part.words)?;
            let file = part.file.unwrap_or_default();
            let digest = self.digest(file.as_os_str(), answers)?;
            let bytes = |word: &OsString| word.as_bytes().to_vec();
            let words = part.words.iter().map(bytes);
            answers.commands.push(words.collect::<Vec<_>>().join(&0));
            answers.commands.push(bytes(&file.into_os_string()));
            answers.commands.extend(digest.map(String::into_bytes));
            answers.arguments.push(part.words);
            if env::current_dir().ok().as_ref() != Some(&part.directory) {
                answers.doubt = Some("the host compiler works in another directory".to_owned());
            }
            self.add_variables(&part.variables, answers);
        }
        Ok(())
    }

    fn add_variables(&self, variables: &[Variable], answers: &mut Answers) {
        for variable in variables {
            let name = variable.name.as_str();
            let is_ours = || {
                let ours = env::var_os(name);
                ours.as_ref().map(|ours| ours.as_bytes()) == variable.plain()
            };
            let is_odd = environment::FORBIDDEN.contains(&name) || name.starts_with("LD_");
            if is_odd && !is_ours() {
                answers.doubt = Some(format!("a program sets {name} for the host compiler"));
            }
            if environment::is_keyed(name) {
                let text = [name.as_bytes(), b"=", &variable.quoted].concat();
                answers.commands.push(text);
            }
        }
    }

    /// SHA-256 of a program that the driver would start, in hexadecimal digits. `None` for one that only a
    /// wrapper finds, by a PATH of its own: what surrounds the compiler tells which that is.
    fn digest(&self, program: &OsStr, answers: &mut Answers) -> Result<Option<String>, Fallback> {
        let Some(place) = look_up(program, &self.toolchain.search) else {
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
    sink.one("schema", b"pcache-nvcc questions 4");
    sink.one("direct", base);
    sink.finish()
}

#[cfg(test)]
mod tests {
    use super::steering;
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
}
