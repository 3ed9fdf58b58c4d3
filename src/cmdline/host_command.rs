//! What a command that GCC's driver would start does beyond the driver's own files: the compiler proper and the
//! assembler with all their arguments. Unaware of nvcc's options.

use super::effects::Verdict;
use super::host::verdict;

/// Options of GCC's compiler proper with a value behind them that names what the driver was told.
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

/// Options of GNU as with such a value. Others of the compiler's mean something else to it: its `-D` has no value.
const VALUED_BY_AS: &[&str] = &["-I", "-o"];

/// What the compiler proper is told besides, and the driver's signs.
const OWN: &[&str] = &["-", "-E", "-S", "-quiet", "-version", "/dev/null", "|"];

/// GNU as's options that only change what is generated or said; `=` is followed by a name that is no file's.
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

/// Whether a command that GCC's driver would start, its program first, reads and writes nothing but what the
/// driver was told to: flags that a program in front of the driver or a specs file adds are in no command line
/// that was judged.
///
/// # Errors
/// The word that may do more.
pub fn check_command(words: &[Vec<u8>]) -> Result<(), String> {
    let (program, words) = words.split_first().ok_or("no program")?;
    let is_assembler = program.ends_with(b"as");
    let is_valued = |word: &str| match is_assembler {
        true => VALUED_BY_AS.contains(&word),
        false => takes_value(word),
    };
    let mut words = words.iter().map(|word| String::from_utf8_lossy(word));
    while let Some(word) = words.next() {
        if is_valued(&word) {
            words.next();
            continue;
        }
        let is_plain = OWN.contains(&word.as_ref())
            || match is_assembler {
                true => GNU_AS
                    .iter()
                    .any(|known| match known.ends_with(['-', '=']) {
                        true => word.starts_with(known),
                        false => word == *known,
                    }),
                false => word.starts_with('-') && verdict(word.as_bytes()) == Verdict::Harmless,
            };
        if !is_plain {
            return Err(word.into_owned());
        }
    }
    Ok(())
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
            "/x/cc1plus -quiet -I a -D X=1 /dev/null -dumpbase null -O2 -o - |"
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
