//! Queries the host compiler about the flags of a job: the commands that it would run for a compile and, if another
//! program starts it, for each preprocessing, and the environment of those. The answers are part of the keys of units
//! and host stages, and of direct mode's key if the compiler has to be queried at a hit. See
//! `docs/design/keys.md#the-host-compiler`.

use crate::cmdline::check_command;
use crate::compile::inputs::additions::{Additions, NO_MAP, added_words, without_evidence};
use crate::compile::inputs::host_questions::{HostQuestion, PIPE};
use crate::compile::request::environment;
use crate::compile::run::commands::dependency_flags;
use crate::includes::digests::DigestTable;
use crate::includes::lookups::NotStored;
use crate::key::{Digest, Digester, Roots, Shortener, Sink, list};
use crate::outcome::{Fallback, FallbackReason};
use crate::plan::{Plan, Stage};
use crate::toolchain::{
    HostCommands, HostDriver, HostFamily, Inquiry, Part, Toolchain, Variable, is_compiler_of_gcc,
    look_up, split_assignment,
};
use std::collections::BTreeSet;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Output;

/// The host compiler's answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answers {
    /// The questions that were asked.
    pub questions: BTreeSet<HostQuestion>,
    /// For keys: each command that the compiler printed, followed by the digest of its program's content; then what a
    /// program in front of GCC gives its parts besides arguments.
    pub commands: Vec<Vec<u8>>,
    /// The words of every command that the compiler printed.
    pub arguments: Vec<Vec<OsString>>,
    /// The family of compilers whose options it understands; `None` if nothing is compiled for the host.
    pub family: Option<HostFamily>,
    /// Why the compiler may get flags that the job does not have, such as one that writes line numbers.
    pub additions: Option<String>,
    /// Why a result of this compiler may depend on more than its commands show.
    pub doubt: Option<String>,
}

impl Answers {
    /// Direct mode's key of an invocation for which the host compiler has to be queried. `base` is its key without
    /// the answers.
    pub(crate) fn key(&self, base: &Digest, roots: &Roots) -> Digest {
        let mut shortener = Shortener::new(roots);
        let commands = shortener.words(&self.commands);
        let mut sink = Digester::default();
        sink.one("schema", b"pcache-nvcc asked 7");
        sink.one("direct", base);
        if shortener.is_ambiguous() {
            // Some program's answer could be taken for a shortened one.
            list(&mut sink, "whole", self.commands.iter().map(Vec::as_slice));
            return sink.finish();
        }
        list(&mut sink, "commands", commands.iter().map(Vec::as_slice));
        let places = shortener.places();
        list(&mut sink, "places", places.iter().map(Vec::as_slice));
        sink.finish()
    }
}

/// Queries the host compiler of one toolchain.
pub(crate) struct HostCompiler<'a> {
    pub toolchain: &'a Toolchain,
    /// The table of digests of files.
    pub digests: Option<&'a DigestTable>,
}

impl HostCompiler<'_> {
    /// Asks all `questions` in parallel.
    ///
    /// # Errors
    /// The compiler cannot be run, or one of its programs cannot be read.
    pub(crate) fn ask(&self, questions: &BTreeSet<HostQuestion>) -> Result<Answers, Fallback> {
        let outputs = self.outputs(questions.iter());
        let outputs = outputs.map_err(|error| self.failed(&error))?;
        let mut additions = BTreeSet::new();
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
                Inquiry::Parts => {
                    additions.extend(self.add_parts(question, &output.stderr, &mut answers)?);
                }
            }
        }
        if additions.len() > 1 {
            let mut words = additions.iter().flat_map(|additions| &additions.words);
            let is_not_shared = |word: &&OsString| {
                let mut additions = additions.iter();
                additions.any(|additions| !additions.words.contains(word))
            };
            let word = words.find(is_not_shared);
            let word = word.map_or("a variable".into(), |word| word.to_string_lossy());
            answers.doubt = Some(format!(
                "only some commands of the host compiler are given {word}"
            ));
        }
        Ok(answers)
    }

    /// Checks that a program in front of the compiler does the same with the flags for depfiles as without. These are
    /// added to the `asked` stages of `plan`, and nvcc does not use them.
    ///
    /// # Errors
    /// It does something else.
    pub(crate) fn check_dependency_flags<'a>(
        &self,
        plan: &Plan,
        asked: impl Iterator<Item = &'a Stage>,
    ) -> Result<(), Fallback> {
        if self.toolchain.driver == HostDriver::Own {
            return Ok(());
        }
        let null = OsStr::new("/dev/null");
        let flags = |stage: &Stage| {
            dependency_flags(stage.tool, HostFamily::Gnu, [null; 2], || NO_MAP.into())
        };
        if self.does_the_same(plan, asked.map(|stage| (stage, flags(stage)))) {
            Ok(())
        } else {
            Err(self.failed(&"it does something else where dependencies are written"))
        }
    }

    /// Whether a program in front of the compiler does the same for each stage with and without the flags beside it.
    pub(crate) fn does_the_same<'a>(
        &self,
        plan: &Plan,
        stages: impl Iterator<Item = (&'a Stage, Vec<OsString>)>,
    ) -> bool {
        let driver = self.toolchain.driver;
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for (stage, added) in stages.filter(|(_, added)| !added.is_empty()) {
            let mut question = HostQuestion::about(plan, stage, driver);
            question.flags.retain(|flag| flag != PIPE);
            without.push(question.clone());
            question.flags.extend(added);
            with.push(question);
        }
        match (self.plain_words(&without), self.plain_words(&with)) {
            (Ok(without), Ok(with)) => without == with,
            _ => false,
        }
    }

    /// The words of each part's command for each question, without the flags for depfiles.
    fn plain_words(
        &self,
        questions: &[HostQuestion],
    ) -> io::Result<Vec<Option<Vec<Vec<OsString>>>>> {
        let outputs = self.outputs(questions.iter())?;
        let words = outputs.iter().map(|output| {
            let (_, parts) = Part::parse_all(&output.stderr)?;
            let parts = parts.iter();
            Some(parts.map(|part| without_evidence(&part.words)).collect())
        });
        Ok(words.collect())
    }

    /// Checks that results may be stored under `answers`: that they show everything a result depends on, and that the
    /// compiler still gives the same ones.
    ///
    /// # Errors
    /// The reason why not.
    pub(crate) fn confirm(&self, answers: &Answers) -> Result<(), NotStored> {
        if let Some(doubt) = &answers.doubt {
            return Err(doubt.clone());
        }
        match self.ask(&answers.questions) {
            Ok(again) if again == *answers => Ok(()),
            _ => Err("the host compiler changed during the compile".to_owned()),
        }
    }

    /// The outputs of the compiler for `questions`. Starts all processes before it waits for the first.
    fn outputs<'q>(
        &self,
        questions: impl Iterator<Item = &'q HostQuestion>,
    ) -> io::Result<Vec<Output>> {
        let compiler = &self.toolchain.host_place;
        let ask = |question: &HostQuestion| {
            let HostQuestion {
                inquiry,
                flags,
                environment,
            } = question;
            inquiry.ask(compiler, flags, environment)
        };
        let children = questions.map(ask).collect::<io::Result<Vec<_>>>()?;
        let outputs = children.into_iter().map(|child| child.wait_with_output());
        outputs.collect()
    }

    /// Adds the commands that the compiler would run, which it printed as `text`.
    fn add_commands(&self, text: &[u8], answers: &mut Answers) -> Result<(), Fallback> {
        let Some(answer) = HostCommands::parse(text) else {
            answers.doubt = Some("the host compiler does not tell what it would run".to_owned());
            answers.commands.push(text.to_vec());
            return Ok(());
        };
        answers.family = match answers.family {
            None | Some(HostFamily::Gnu) => Some(answer.family),
            other => other,
        };
        if let Some(specs) = answer.read_specs {
            answers.additions = Some(format!("the host compiler read {}", specs.display()));
        }
        for command in answer.commands {
            if answers.additions.is_some() {
                self.judge(&command.words)?;
            }
            let digest = self.digest(&command.words[0], answers)?;
            let words: Vec<_> = command.words.iter().map(|word| word.as_bytes()).collect();
            answers.commands.push(words.join(&0));
            answers.commands.extend(digest.map(String::into_bytes));
            answers.arguments.push(command.words);
        }
        Ok(())
    }

    /// Checks that a command to which a program or a specs file has added flags does nothing but its part of a compile.
    fn judge(&self, words: &[OsString]) -> Result<(), Fallback> {
        let words: Vec<_> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        check_command(&words)
            .map_err(|word| self.failed(&format!("it adds {word}, which may do anything")))
    }

    /// Adds the commands that GCC, started by another program, would run, and what that program gives it besides
    /// arguments. Returns what the program adds for each compiler proper.
    fn add_parts(
        &self,
        question: &HostQuestion,
        text: &[u8],
        answers: &mut Answers,
    ) -> Result<Vec<Additions>, Fallback> {
        let (message, parts) = Part::parse_all(text).unwrap_or_default();
        let is_compiler = |part: &Part| {
            let program = part.words.first();
            program.is_some_and(|program| is_compiler_of_gcc(program))
        };
        if !parts.iter().any(is_compiler) {
            return Err(self.failed(&"it tells nothing that GCC would run"));
        }
        if question.has("-c") && !question.has(PIPE) && parts.iter().all(is_compiler) {
            answers.doubt = Some("the host compiler does not tell its assembler".to_owned());
        }
        // The program prints its own message at each compile, so it is part of the result.
        answers.commands.push(message.to_vec());
        let mut additions = Vec::new();
        for part in parts {
            answers.family.get_or_insert(HostFamily::Gnu);
            self.judge(&part.words)?;
            let words: Vec<_> = part.words.iter().map(|word| word.as_bytes()).collect();
            answers.commands.push(words.join(&0));
            let file = part.file.as_deref().unwrap_or(Path::new(""));
            answers.commands.push(file.as_os_str().as_bytes().to_vec());
            match self.digest(file.as_os_str(), answers)? {
                Some(digest) => answers.commands.push(digest.into_bytes()),
                None => answers.doubt = Some("a part of the host compiler is not found".to_owned()),
            }
            if env::current_dir().ok().as_ref() != Some(&part.directory) {
                answers.doubt = Some("the host compiler works in another directory".to_owned());
            }
            let variables = kept_variables(question, &part.variables, answers);
            answers.commands.extend(variables.iter().cloned());
            if is_compiler(&part) {
                let words = added_words(&part.words[1..], &question.flags);
                additions.push(Additions { words, variables });
            }
            answers.arguments.push(part.words);
        }
        Ok(additions)
    }

    /// SHA-256 of a program that the driver would start, in hexadecimal digits. `None` if it is not found: a program
    /// in front of the driver may have a PATH of its own.
    fn digest(&self, program: &OsStr, answers: &mut Answers) -> Result<Option<String>, Fallback> {
        let Some(path) = look_up(program, &self.toolchain.search) else {
            return Ok(None);
        };
        let real = fs::canonicalize(&path).map_err(|error| self.failed(&error))?;
        if is_script(&real) {
            answers.doubt = Some(format!(
                "{} is a script, which may do anything",
                real.display()
            ));
        }
        let mut tools = self.toolchain.tools.iter().zip(&self.toolchain.roles);
        if let Some((_, (_, sha256))) = tools.find(|(path, _)| **path == real) {
            return Ok(Some(sha256.clone()));
        }
        let nowhere = DigestTable::nowhere();
        let result = self.digests.unwrap_or(&nowhere).digest_of(&real);
        let (_, digest) = result.map_err(|error| self.failed(&error))?;
        Ok(Some(hex::encode(digest)))
    }

    fn failed(&self, error: &dyn std::fmt::Display) -> Fallback {
        let detail = format!("{}: {error}", self.toolchain.host_place.display());
        Fallback::new(FallbackReason::Toolchain, detail)
    }
}

/// The keyed variables in the environment of a part, as `NAME=value`. If a program has set a variable with which a
/// tool may do anything, that is a doubt.
fn kept_variables(
    question: &HostQuestion,
    variables: &[Variable],
    answers: &mut Answers,
) -> Vec<Vec<u8>> {
    let mut kept = Vec::new();
    for variable in variables {
        let name = variable.name.as_str();
        let is_inherited = || {
            let value = variable.plain();
            value.is_some_and(|value| {
                original_value(question, name).is_some_and(|original| original.as_bytes() == value)
            })
        };
        let is_dangerous = environment::FORBIDDEN.contains(&name) || name.starts_with("LD_");
        if is_dangerous && !is_inherited() {
            answers.doubt = Some(format!("a program sets {name} for the host compiler"));
        }
        // The compiler names the directory in debug information as PWD spells it.
        let is_plain = !environment::is_conditional(name) || !is_inherited();
        if (environment::is_keyed(name) && is_plain) || name == "PWD" {
            kept.push([name.as_bytes(), b"=", &variable.quoted].concat());
        }
    }
    kept
}

/// The value of a variable that the program in front of the compiler was started with.
fn original_value(question: &HostQuestion, name: &str) -> Option<OsString> {
    let mut assignments = question
        .environment
        .iter()
        .rev()
        .filter_map(|assignment| split_assignment(assignment));
    let assignment = assignments.find(|(variable, _)| *variable == name);
    assignment.map_or_else(|| env::var_os(name), |(_, value)| Some(value.to_owned()))
}

/// Whether the file is not an ELF program, or cannot be read.
fn is_script(path: &Path) -> bool {
    let mut magic = [0; 4];
    let read = File::open(path).and_then(|file| file.read_exact_at(&mut magic, 0));
    read.is_err() || &magic != b"\x7fELF"
}
