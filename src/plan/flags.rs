//! Tables of each tool's flags that name files, and the lookup in them.
//!
//! A flag that is in no table is assumed not to name a file; `stages` still refuses it if it
//! mentions the keep directory. Flags that read or write additional files are listed to be refused.

use super::tool::Tool;

/// What a flag, or its value, means for the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FlagEffect {
    /// The value is not a file, or a file found by a search. The flag is listed so that its value is not mistaken
    /// for a source.
    Value,
    /// The value is the main file written.
    Output,
    /// The value is another file written.
    Write,
    /// The value is a file that the tool appends to.
    Append,
    /// The value is the file that holds the module id.
    ModuleId,
    /// The value is the spelling of the source.
    SourceName,
    /// The value names the stub that the written file will include.
    StubName,
    /// The value names the fatbinary that the written stub will include.
    IncludeName,
    /// The value ends in `file=PATH`, a file read.
    Image,
    /// The value is `"PATH"`, a file that the source includes by a macro.
    Macro,
    /// The flag is left out; the caller does what it asks for.
    Drop,
    /// The flag makes the plan unusable.
    Refuse,
}

/// Where the value of a flag is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// The flag is the whole argument; its value, if it has one, is the next argument.
    Whole(FlagEffect),
    /// `flag=value`; the value starts at this byte.
    Joined(FlagEffect, usize),
}

type FlagTable = &'static [(&'static str, FlagEffect)];

const CUDAFE: FlagTable = &[
    ("--gen_c_file_name", FlagEffect::Output),
    ("--gen_module_id_file", FlagEffect::Drop),
    ("--module_id_file_name", FlagEffect::ModuleId),
    ("--orig_src_file_name", FlagEffect::SourceName),
    ("--orig_src_path_name", FlagEffect::Value),
    ("--stub_file_name", FlagEffect::StubName),
];

const CICC: FlagTable = &[
    ("--gen_c_file_name", FlagEffect::Write),
    ("--gen_device_file_name", FlagEffect::Write),
    ("--gen_module_id_file", FlagEffect::Drop),
    ("--include_file_name", FlagEffect::IncludeName),
    ("--module_id_file_name", FlagEffect::ModuleId),
    ("--orig_src_file_name", FlagEffect::SourceName),
    ("--orig_src_path_name", FlagEffect::Value),
    ("--stub_file_name", FlagEffect::Write),
    ("-arch", FlagEffect::Value),
    ("-o", FlagEffect::Output),
    ("-olto", FlagEffect::Write),
];

const PTXAS: FlagTable = &[
    ("--options-file", FlagEffect::Refuse),
    ("--output-file", FlagEffect::Refuse),
    ("-o", FlagEffect::Output),
    ("-optf", FlagEffect::Refuse),
];

const FATBINARY: FlagTable = &[
    ("--create", FlagEffect::Output),
    ("--embedded-fatbin", FlagEffect::Write),
    ("--image", FlagEffect::Image),
    ("--image3", FlagEffect::Image),
    ("--options-file", FlagEffect::Refuse),
    ("-optf", FlagEffect::Refuse),
];

const NVLINK: FlagTable = &[
    ("--host-ccbin", FlagEffect::Value),
    ("--options-file", FlagEffect::Refuse),
    ("--register-link-binaries", FlagEffect::Append),
    ("-L", FlagEffect::Value),
    ("-arch", FlagEffect::Value),
    ("-l", FlagEffect::Value),
    ("-o", FlagEffect::Output),
    ("-optf", FlagEffect::Refuse),
];

/// Flags of gcc and clang whose value may be the next argument, and flags with files of their own.
const HOST: FlagTable = &[
    ("-###", FlagEffect::Refuse),
    ("--output", FlagEffect::Refuse),
    ("--param", FlagEffect::Value),
    ("--sysroot", FlagEffect::Value),
    ("--target", FlagEffect::Value),
    ("-A", FlagEffect::Value),
    ("-B", FlagEffect::Value),
    ("-D", FlagEffect::Value),
    ("-DFATBINFILE", FlagEffect::Macro),
    ("-DREGISTERLINKBINARYFILE", FlagEffect::Macro),
    ("-F", FlagEffect::Value),
    ("-I", FlagEffect::Value),
    ("-L", FlagEffect::Value),
    ("-M", FlagEffect::Refuse),
    ("-MD", FlagEffect::Refuse),
    ("-MF", FlagEffect::Refuse),
    ("-MJ", FlagEffect::Refuse),
    ("-MM", FlagEffect::Refuse),
    ("-MMD", FlagEffect::Refuse),
    ("-S", FlagEffect::Refuse),
    ("-T", FlagEffect::Value),
    ("-U", FlagEffect::Value),
    ("-Xassembler", FlagEffect::Value),
    ("-Xclang", FlagEffect::Value),
    ("-Xlinker", FlagEffect::Value),
    ("-Xpreprocessor", FlagEffect::Value),
    ("-arch", FlagEffect::Value),
    ("-aux-info", FlagEffect::Refuse),
    ("-dumpbase", FlagEffect::Value),
    ("-dumpbase-ext", FlagEffect::Value),
    ("-dumpdir", FlagEffect::Value),
    ("-e", FlagEffect::Value),
    ("-framework", FlagEffect::Value),
    ("-fsyntax-only", FlagEffect::Refuse),
    ("-idirafter", FlagEffect::Value),
    ("-imacros", FlagEffect::Value),
    ("-imultilib", FlagEffect::Value),
    ("-include", FlagEffect::Value),
    ("-iprefix", FlagEffect::Value),
    ("-iquote", FlagEffect::Value),
    ("-isysroot", FlagEffect::Value),
    ("-isystem", FlagEffect::Value),
    ("-iwithprefix", FlagEffect::Value),
    ("-iwithprefixbefore", FlagEffect::Value),
    ("-l", FlagEffect::Value),
    ("-mllvm", FlagEffect::Value),
    ("-o", FlagEffect::Output),
    ("-target", FlagEffect::Value),
    ("-u", FlagEffect::Value),
    ("-wrapper", FlagEffect::Refuse),
    ("-x", FlagEffect::Value),
    ("-z", FlagEffect::Value),
];

/// Beginnings of host compiler flags with files of their own.
const HOST_REFUSED: &[&str] = &[
    "--coverage",
    "--save-temps",
    "-Wl,--dependency-file",
    "-Wl,-Map",
    "-Wp,-M",
    "-coverage",
    "-fdump",
    "-fstack-usage",
    "-ftest-coverage",
    "-ftime-trace",
    "-gsplit-dwarf",
    "-o",
    "-save-temps",
];

/// The meaning of `argument` of `tool`; `None` if it is in no table.
pub(super) fn find(tool: Tool, argument: &[u8]) -> Option<Match> {
    let table = match tool {
        Tool::Cudafe => CUDAFE,
        Tool::Cicc => CICC,
        Tool::Ptxas => PTXAS,
        Tool::Fatbinary | Tool::EmptyFatbinary => FATBINARY,
        Tool::Nvlink => NVLINK,
        Tool::Archive | Tool::Remove => &[],
        Tool::Preprocess
        | Tool::HostPreprocess
        | Tool::HostCompile
        | Tool::Assemble
        | Tool::StubCompile
        | Tool::HostLink => HOST,
    };
    // A file with more arguments, which may name files.
    if argument.first() == Some(&b'@') {
        return Some(Match::Whole(FlagEffect::Refuse));
    }
    for (flag, effect) in table {
        match argument.strip_prefix(flag.as_bytes()) {
            Some(b"") => return Some(Match::Whole(*effect)),
            Some(rest) if rest.first() == Some(&b'=') => {
                return Some(Match::Joined(*effect, flag.len() + 1));
            }
            _ => {}
        }
    }
    let refused = |flag: &&str| argument.starts_with(flag.as_bytes());
    (std::ptr::eq(table, HOST) && HOST_REFUSED.iter().any(refused))
        .then_some(Match::Whole(FlagEffect::Refuse))
}

#[cfg(test)]
mod tests {
    use super::{
        CICC, CUDAFE, FATBINARY, FlagEffect, HOST, HOST_REFUSED, Match, NVLINK, PTXAS, find,
    };
    use crate::plan::Tool;

    #[test]
    fn tables_are_sorted_and_unique() {
        for table in [CUDAFE, CICC, PTXAS, FATBINARY, NVLINK, HOST] {
            assert!(table.is_sorted_by(|a, b| a.0 < b.0), "{:?}", table[0]);
        }
        assert!(HOST_REFUSED.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn values_are_found_apart_and_joined() {
        assert_eq!(
            find(Tool::Cicc, b"-olto"),
            Some(Match::Whole(FlagEffect::Write))
        );
        assert_eq!(
            find(Tool::Fatbinary, b"--image3=kind=elf,file=a"),
            Some(Match::Joined(FlagEffect::Image, 9))
        );
        assert_eq!(find(Tool::Cicc, b"-ftz=0"), None);
        assert_eq!(find(Tool::HostCompile, b"-DX=1"), None);
    }

    #[test]
    fn flags_with_files_of_their_own_are_refused() {
        for flag in [
            "-MD",
            "-MF=x",
            "-ox.o",
            "-save-temps=obj",
            "@more",
            "-Wp,-MD,x",
        ] {
            assert!(
                matches!(
                    find(Tool::Preprocess, flag.as_bytes()),
                    Some(Match::Whole(FlagEffect::Refuse) | Match::Joined(FlagEffect::Refuse, _))
                ),
                "{flag}"
            );
        }
    }
}
