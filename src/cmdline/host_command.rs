//! Checks the commands that GCC's driver would start, the compiler proper and the assembler with all their arguments,
//! for effects beyond the driver's own files.

use super::effects::EffectVerdict;
use super::host::verdict;

/// Options of GCC's compiler proper whose value is the next argument, and comes from the driver's own arguments.
const VALUED: &[&str] = &[
    "--param",
    "-D",
    "-I",
    "-U",
    "-auxbase",
    "-auxbase-strip",
    "-dumpbase",
    "-dumpbase-ext",
    "-dumpdir",
    "-idirafter",
    "-imultiarch",
    "-imultilib",
    "-include",
    "-iprefix",
    "-iquote",
    "-isysroot",
    "-isystem",
    "-o",
    "-x",
];

/// Whether a value follows `word` among the arguments of GCC's compiler proper.
pub fn takes_value(word: &str) -> bool {
    VALUED.contains(&word)
}

/// Such options of GNU as. Other options of the compiler have another meaning there: its `-D` has no value.
const VALUED_BY_AS: &[&str] = &["-I", "-o"];

/// Other arguments that the driver gives the compiler proper.
const OWN: &[&str] = &["-", "-E", "-S", "-quiet", "-version", "/dev/null"];

/// Options of GNU as that only change what it generates or prints. `=` is followed by a name that is not a file's.
const GNU_AS: &[&str] = &[
    "--32",
    "--64",
    "--x32",
    "--noexecstack",
    "-EB",
    "-EL",
    "--gdwarf-",
    "-mabi=",
    "-march=",
    "-mcpu=",
];

/// Checks that a command that GCC's driver would start (its program first) reads and writes only the files of the
/// driver's arguments. Flags that a program in front of the driver or a specs file adds have not been checked as part
/// of the job.
///
/// # Errors
/// The word that may do more.
pub fn check_command(words: &[Vec<u8>]) -> Result<(), String> {
    let (program, words) = words.split_first().ok_or("no program")?;
    let is_assembler = program.ends_with(b"as");
    let is_valued = |word: &str| {
        if is_assembler {
            VALUED_BY_AS.contains(&word)
        } else {
            takes_value(word)
        }
    };
    let is_harmless = |word: &str| {
        if is_assembler {
            GNU_AS.iter().any(|option| is_option(word, option))
        } else {
            word.starts_with('-') && verdict(word.as_bytes()) == EffectVerdict::Harmless
        }
    };
    let mut words = words.iter().map(|word| String::from_utf8_lossy(word));
    while let Some(word) = words.next() {
        if is_valued(&word) {
            words.next();
        } else if !OWN.contains(&word.as_ref()) && !is_harmless(&word) {
            return Err(word.into_owned());
        }
    }
    Ok(())
}

/// Whether `word` is `option`, or begins with it if `option` ends in `-` or `=`.
fn is_option(word: &str, option: &str) -> bool {
    if option.ends_with(['-', '=']) {
        word.starts_with(option)
    } else {
        word == option
    }
}

#[cfg(test)]
mod tests {
    use super::check_command;

    #[track_caller]
    fn is_plain(command: &str) -> bool {
        let words = command.split(' ').map(|word| word.as_bytes().to_vec());
        check_command(&words.collect::<Vec<_>>()).is_ok()
    }

    #[test]
    fn commands_of_a_driver_are_plain_until_a_word_may_name_a_file() {
        assert!(is_plain(
            "/x/cc1plus -quiet -I a -D X=1 /dev/null -dumpbase null -O2 -o -"
        ));
        assert!(is_plain("as -I a --64 -o /dev/null"));
        for added in ["-fplugin=x.so", "-fprofile-use", "-ftest-coverage", "@x"] {
            assert!(!is_plain(&format!("/x/cc1plus -quiet {added}")), "{added}");
        }
        for added in ["@x", "-D @x", "--defsym x=1", "--MD x.d"] {
            assert!(!is_plain(&format!("as --64 {added}")), "{added}");
        }
    }
}
