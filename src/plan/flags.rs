//! What each tool's flags say about files: tables, and the lookup in them.
//!
//! A flag that is in no table is taken to say nothing about files; `stages` still refuses it when it
//! mentions the keep directory. Flags that read or write further files are listed to be refused.

use super::tool::Tool;

/// What a flag, or its value, means for the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The value is not a file, or one found by a search; it is listed so that it is not mistaken
    /// for a source.
    Value,
    /// The value is the main file written.
    Output,
    /// The value is a further file written.
    Write,
    /// The value is a file that the tool appends to.
    Append,
    /// The value is the file that holds the module id.
    ModuleId,
    /// The value is how the source is spelled.
    SourceName,
    /// The value names the stub that the written file will include.
    StubName,
    /// The value names the fatbinary that the written stub will include.
    IncludeName,
    /// The value ends in `file=PATH`, a file read.
    Image,
    /// The value is `"PATH"`, a file that the source includes by a macro.
    Macro,
    /// Left out: the caller does what the flag asks for.
    Drop,
    /// Not for a plan.
    Refuse,
}

/// Where the value of a flag is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// The flag is the whole argument; a value, where there is one, is the next.
    Whole(Effect),
    /// `flag=value`; the value starts at this byte.
    Joined(Effect, usize),
}

type Table = &'static [(&'static str, Effect)];

const CUDAFE: Table = &[
    ("--gen_c_file_name", Effect::Output),
    ("--gen_module_id_file", Effect::Drop),
    ("--module_id_file_name", Effect::ModuleId),
    ("--orig_src_file_name", Effect::SourceName),
    ("--orig_src_path_name", Effect::Value),
    ("--stub_file_name", Effect::StubName),
];

const CICC: Table = &[
    ("--gen_c_file_name", Effect::Write),
    ("--gen_device_file_name", Effect::Write),
    ("--gen_module_id_file", Effect::Drop),
    ("--include_file_name", Effect::IncludeName),
    ("--module_id_file_name", Effect::ModuleId),
    ("--orig_src_file_name", Effect::SourceName),
    ("--orig_src_path_name", Effect::Value),
    ("--stub_file_name", Effect::Write),
    ("-arch", Effect::Value),
    ("-o", Effect::Output),
    ("-olto", Effect::Write),
];

const PTXAS: Table = &[
    ("--options-file", Effect::Refuse),
    ("--output-file", Effect::Refuse),
    ("-o", Effect::Output),
    ("-optf", Effect::Refuse),
];

const FATBINARY: Table = &[
    ("--create", Effect::Output),
    ("--embedded-fatbin", Effect::Write),
    ("--image", Effect::Image),
    ("--image3", Effect::Image),
    ("--options-file", Effect::Refuse),
    ("-optf", Effect::Refuse),
];

const NVLINK: Table = &[
    ("--host-ccbin", Effect::Value),
    ("--options-file", Effect::Refuse),
    ("--register-link-binaries", Effect::Append),
    ("-L", Effect::Value),
    ("-arch", Effect::Value),
    ("-l", Effect::Value),
    ("-o", Effect::Output),
    ("-optf", Effect::Refuse),
];

/// Flags of gcc and clang whose value may be the next argument, and flags with files of their own.
const HOST: Table = &[
    ("-###", Effect::Refuse),
    ("--output", Effect::Refuse),
    ("--param", Effect::Value),
    ("--sysroot", Effect::Value),
    ("--target", Effect::Value),
    ("-A", Effect::Value),
    ("-B", Effect::Value),
    ("-D", Effect::Value),
    ("-DFATBINFILE", Effect::Macro),
    ("-DREGISTERLINKBINARYFILE", Effect::Macro),
    ("-F", Effect::Value),
    ("-I", Effect::Value),
    ("-L", Effect::Value),
    ("-M", Effect::Refuse),
    ("-MD", Effect::Refuse),
    ("-MF", Effect::Refuse),
    ("-MJ", Effect::Refuse),
    ("-MM", Effect::Refuse),
    ("-MMD", Effect::Refuse),
    ("-S", Effect::Refuse),
    ("-T", Effect::Value),
    ("-U", Effect::Value),
    ("-Xassembler", Effect::Value),
    ("-Xclang", Effect::Value),
    ("-Xlinker", Effect::Value),
    ("-Xpreprocessor", Effect::Value),
    ("-arch", Effect::Value),
    ("-aux-info", Effect::Refuse),
    ("-dumpbase", Effect::Value),
    ("-dumpbase-ext", Effect::Value),
    ("-dumpdir", Effect::Value),
    ("-e", Effect::Value),
    ("-framework", Effect::Value),
    ("-fsyntax-only", Effect::Refuse),
    ("-idirafter", Effect::Value),
    ("-imacros", Effect::Value),
    ("-imultilib", Effect::Value),
    ("-include", Effect::Value),
    ("-iprefix", Effect::Value),
    ("-iquote", Effect::Value),
    ("-isysroot", Effect::Value),
    ("-isystem", Effect::Value),
    ("-iwithprefix", Effect::Value),
    ("-iwithprefixbefore", Effect::Value),
    ("-l", Effect::Value),
    ("-mllvm", Effect::Value),
    ("-o", Effect::Output),
    ("-target", Effect::Value),
    ("-u", Effect::Value),
    ("-wrapper", Effect::Refuse),
    ("-x", Effect::Value),
    ("-z", Effect::Value),
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

/// What `argument` of `tool` means, where that is known.
pub fn find(tool: Tool, argument: &[u8]) -> Option<Match> {
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
    // A file of further arguments: no tool's plan is complete without reading it.
    if argument.first() == Some(&b'@') {
        return Some(Match::Whole(Effect::Refuse));
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
        .then_some(Match::Whole(Effect::Refuse))
}

#[cfg(test)]
mod tests {
    use super::{CICC, CUDAFE, Effect, FATBINARY, HOST, HOST_REFUSED, Match, NVLINK, PTXAS, find};
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
            Some(Match::Whole(Effect::Write))
        );
        assert_eq!(
            find(Tool::Fatbinary, b"--image3=kind=elf,file=a"),
            Some(Match::Joined(Effect::Image, 9))
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
                    Some(Match::Whole(Effect::Refuse) | Match::Joined(Effect::Refuse, _))
                ),
                "{flag}"
            );
        }
    }
}
