//! Splits the text of a dry run into environment, notices, commands and depfiles.

use super::error::PlanError;
use super::parts::{Resolve, RulesTarget};
use crate::shell::{self, ShellError};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The parts of a dry run, each in order.
#[derive(Debug, Default)]
pub(super) struct Script {
    /// The `NAME=value` lines.
    pub env: Vec<(OsString, OsString)>,
    /// The lines that are not nvcc's plan.
    pub notices: Vec<u8>,
    /// The commands.
    pub commands: Vec<PrintedCommand>,
    /// Where make rules are written, each with the number of commands before it.
    pub rules: Vec<(usize, RulesTarget)>,
}

/// One command, split into words.
#[derive(Debug)]
pub(super) struct PrintedCommand {
    pub program: Vec<u8>,
    /// Whether the program is run, or asked for the program to run.
    pub resolve: Resolve,
    /// Its arguments.
    pub args: Vec<Vec<u8>>,
}

const PLANNED: &[u8] = b"#$ ";
const DEPENDENCIES: &[u8] = b"-- Filter Dependencies --";
const PRINT_PROG_NAME: &[u8] = b"-print-prog-name=";

/// Parses the output of a dry run.
pub(super) fn parse(text: &[u8]) -> Result<Script, PlanError> {
    let mut script = Script::default();
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        let Some(planned) = line.strip_prefix(PLANNED) else {
            script.notices.extend_from_slice(line);
            continue;
        };
        let planned = planned.strip_suffix(b"\n").unwrap_or(planned);
        if let Some((name, value)) = assignment(planned) {
            script.env.push((name, value));
        } else if let Some(rest) = planned.strip_prefix(DEPENDENCIES) {
            let target = rules(rest)?;
            script.rules.push((script.commands.len(), target));
        } else {
            let command = command(planned, &script.env).map_err(|reason| PlanError::Shell {
                line: String::from_utf8_lossy(planned).into_owned(),
                reason,
            })?;
            script.commands.push(command);
        }
    }
    Ok(script)
}

/// Splits `NAME=value`. The name may contain a dash (`compiler-bindir=…`), and the value anything.
fn assignment(line: &[u8]) -> Option<(OsString, OsString)> {
    let length = line
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
        .count();
    let (name, rest) = line.split_at(length);
    let value = rest.strip_prefix(b"=")?;
    let first = name.first()?;
    (first.is_ascii_alphabetic() || *first == b'_').then(|| {
        let owned = |bytes| OsStr::from_bytes(bytes).to_owned();
        (owned(name), owned(value))
    })
}

/// Where make rules are written: the path is the rest of the line, which nvcc never quotes.
fn rules(rest: &[u8]) -> Result<RulesTarget, PlanError> {
    match rest.strip_prefix(b" > ") {
        Some(path) if !path.is_empty() => Ok(RulesTarget::File(OsStr::from_bytes(path).to_owned())),
        None if rest.trim_ascii().is_empty() => Ok(RulesTarget::Stdout),
        _ => Err(PlanError::Depfile {
            path: String::from_utf8_lossy(rest).into_owned(),
        }),
    }
}

/// Takes a command apart. nvcc names a variable of its own in the program alone (`"$CICC_PATH/cicc"`). One in the
/// arguments comes from the command line: some versions of nvcc escape it, and the others have the shell expand it.
fn command(line: &[u8], env: &[(OsString, OsString)]) -> Result<PrintedCommand, ShellError> {
    let variable = |name: &[u8]| {
        let assignment = env
            .iter()
            .rev()
            .find(|(variable, _)| variable.as_bytes() == name);
        assignment.map(|(_, value)| value.as_bytes())
    };
    if let Some((query, rest)) = backticks(line) {
        let mut words = shell::plain_words(query)?.into_iter();
        let (Some(program), Some(flag), None) = (words.next(), words.next(), words.next()) else {
            return Err(ShellError::Special('`'));
        };
        let name = flag
            .strip_prefix(PRINT_PROG_NAME)
            .ok_or(ShellError::Special('`'))?;
        return Ok(PrintedCommand {
            program,
            resolve: Resolve::PrintProgName(OsString::from_vec(name.to_vec())),
            args: shell::plain_words(rest)?,
        });
    }
    let (program, args) = shell::program_and_arguments(line, &variable)?;
    if program.is_empty() || program.contains(&b'=') {
        // A shell might read a word with an equals sign as an assignment.
        return Err(ShellError::Empty);
    }
    Ok(PrintedCommand {
        program,
        resolve: Resolve::Named,
        args,
    })
}

/// Splits ``"`gcc -print-prog-name=ar`" cr …``, the only command substitution that nvcc prints, into the substituted
/// command and the rest.
fn backticks(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let inner = line.strip_prefix(b"\"`")?;
    let end = inner.windows(3).position(|window| window == b"`\" ")?;
    Some((&inner[..end], &inner[end + 3..]))
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::plan::{PlanError, Resolve, RulesTarget};
    use crate::shell::ShellError;

    #[test]
    fn a_dry_run_is_taken_apart_line_by_line() {
        let text = b"nvcc warning : old\n#$ _SPACE_= \n#$ compiler-bindir=/a b\n#$ X=\"$(rm)\n\
            #$ gcc -E \"a b\" \n\n#$ -- Filter Dependencies -- > x y.d\n#$ \"`gcc -print-prog-name=ar`\" cr \"x.a\"";
        let script = parse(text).expect("the text is well formed");
        assert_eq!(script.notices, b"nvcc warning : old\n\n");
        assert_eq!(script.env[0], ("_SPACE_".into(), " ".into()));
        assert_eq!(script.env[1], ("compiler-bindir".into(), "/a b".into()));
        assert_eq!(script.env[2], ("X".into(), "\"$(rm)".into()));
        assert_eq!(script.commands[0].args, [b"-E".to_vec(), b"a b".to_vec()]);
        assert_eq!(script.rules, [(1, RulesTarget::File("x y.d".into()))]);
        assert_eq!(script.commands[1].program, b"gcc");
        assert_eq!(
            script.commands[1].resolve,
            Resolve::PrintProgName("ar".into())
        );
        assert_eq!(script.commands[1].args, [b"cr".to_vec(), b"x.a".to_vec()]);
    }

    #[test]
    fn the_last_value_of_a_variable_counts() {
        let script = parse(b"#$ P=/a\n#$ P=/b\n#$ \"$P/cicc\" -o\n").expect("it is well formed");
        assert_eq!(script.commands[0].program, b"/b/cicc");
    }

    #[test]
    fn other_substitutions_and_targets_are_errors() {
        for text in [
            "#$ \"`rm x`\" cr\n",
            "#$ \"`gcc -print-prog-name=ar; rm x`\" cr\n",
        ] {
            assert!(matches!(
                parse(text.as_bytes()),
                Err(PlanError::Shell {
                    reason: ShellError::Special(_),
                    ..
                })
            ));
        }
        assert!(matches!(
            parse(b"#$ -- Filter Dependencies -- >\n"),
            Err(PlanError::Depfile { .. })
        ));
    }

    #[test]
    fn rules_without_a_file_go_to_standard_output() {
        let script = parse(b"#$ -- Filter Dependencies --\n").expect("a dry run");
        assert_eq!(script.rules, [(0, RulesTarget::Stdout)]);
    }
}
