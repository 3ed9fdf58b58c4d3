//! Every way a compile can end other than with a hit or a stored miss: an enum variant with a name for counters and a
//! sentence for users.

/// One table: variant, counter name, sentence. Counter slots follow this order, so new rows go last.
macro_rules! reasons {
    ($(#[$meta:meta])* $name:ident { $($variant:ident $code:literal $sentence:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $(#[doc = $sentence] $variant,)* }

        impl $name {
            /// Every reason, in the order of the counter slots.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in `pcache stats --json`.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// One sentence for users.
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$variant => $sentence,)* }
            }
        }
    };
}

reasons! {
    /// Why the real nvcc runs at once with the original command line: the request is understood, but not cacheable.
    BypassReason {
        Disabled "disabled" "PCACHE_DISABLE is set",
        Information "information" "asks nvcc about itself (--version, --help, --list-gpu-…)",
        Preprocess "preprocess" "prints the preprocessed source (-E)",
        Dependencies "dependencies" "asks for make rules in a way that is not cached (-M and -MD, or of several sources)",
        Dryrun "dryrun" "prints commands without running them (--dryrun)",
        Verbose "verbose" "prints messages among nvcc's commands (-v), or nvcc's state",
        Run "run" "runs the program that it builds (--run)",
        Clean "clean" "removes files (--clean)",
        Timing "timing" "measures the compile itself (--time, -fdevice-time-trace)",
        NoInput "no_input" "names no input file",
        LinkOnly "link_only" "only links or archives; nothing is compiled",
        Stdin "stdin" "reads the source from standard input",
        Precompiled "precompiled" "makes or uses a precompiled header",
        UnknownOption "unknown_option" "holds an option that this version does not know",
        BadArguments "bad_arguments" "is not a valid nvcc command line; nvcc says why",
        OptionFile "option_file" "names an option file that cannot be read",
        HostOption "host_option" "passes the host compiler an option with effects beyond its output",
        ToolOption "tool_option" "passes a CUDA tool an option with effects beyond its output",
        UnsupportedMode "unsupported_mode" "asks for a kind of output that is not cached",
        OutputSpecial "output_special" "writes to something other than a plain file",
        Environment "environment" "an environment variable gives the compile effects beyond its output",
        ShellExpansion "shell_expansion" "holds a value that the shell of nvcc would expand or run",
        OneStep "one_step" "has several sources or a link, and PCACHE_STAGES is off",
        ExtraFile "extra_file" "a file of PCACHE_EXTRA_FILES cannot be read",
        OtherCompiler "other_compiler" "is for a compiler that is not nvcc, such as g++ or Kokkos' nvcc_wrapper",
    }
}

reasons! {
    /// Why a compile that was begun was handed to the real nvcc after all.
    FallbackReason {
        Dryrun "dryrun_failed" "nvcc --dryrun failed",
        PlanShape "plan_shape" "nvcc --dryrun printed a command that is not understood",
        Toolchain "toolchain" "the toolchain could not be identified",
        UnknownTool "unknown_tool" "the compile uses a program outside the identified toolchain",
        Preprocess "preprocess_failed" "a preprocessing stage failed",
        Stage "stage_failed" "a stage failed; nvcc repeats the compile and reports the error",
        MissingOutput "missing_output" "a stage did not write the file that the plan names",
        WorkDirectory "work_directory" "the private work directory could not be used",
        Placement "placement" "an output could not be put in its place",
        Internal "internal" "pcache-nvcc itself failed; please report it with PCACHE_LOG",
    }
}

reasons! {
    /// Why a program that is compiled at run time is left to NVRTC, without looking at the cache.
    NvrtcReason {
        Disabled "disabled" "PCACHE_DISABLE is set, or PCACHE_NVRTC is off",
        Store "store" "the cache cannot be used",
        Library "library" "libnvrtc or its builtins cannot be told by their content",
        UnknownOption "unknown_option" "holds an option that this version does not know",
        Precompiled "precompiled" "makes or uses a precompiled header",
        Timing "timing" "measures the compile itself",
        Files "files" "an option reads or writes files that are not headers",
        TimeMacro "time_macro" "the program asks for the time of the compile",
        Environment "environment" "an environment variable gives the compile effects beyond its output",
        Callback "callback" "the program watches the compile (nvrtcSetFlowCallback)",
        Internal "internal" "pcache-nvcc itself failed; please report it with PCACHE_LOG",
        Process "process" "an option of this compile, or of an earlier one of the process, changes what later ones give",
        ExtraFile "extra_file" "a file of PCACHE_EXTRA_FILES cannot be read",
    }
}

reasons! {
    /// Why a server of the shared level could not be used.
    RemoteFailure {
        Helper "helper" "pcache-remote could not be started, or did not answer",
        Unreachable "unreachable" "the server could not be reached",
        Timeout "timeout" "the server did not answer in time",
        Denied "denied" "the server did not let us in",
        Busy "busy" "the server asked for fewer requests",
        Full "full" "the server has no room",
        Server "server" "the server reported an error of its own",
        Garbled "garbled" "the server sent something other than was stored, or cut it off",
        TooLarge "too_large" "the server sent more than any result has",
        Tls "tls" "no encrypted connection could be made",
        Untrusted "untrusted" "a result was not signed by a trusted key",
        Store "store" "the local cache did not take a result",
        Queue "queue" "too many results wait to be sent, or the queue cannot be written",
        Wait "wait" "PCACHE_REMOTE_WAIT was over",
    }
}

/// A request that is handed to the real nvcc at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bypass {
    /// The reason, which is counted.
    pub reason: BypassReason,
    /// The argument, file or variable that caused it; empty if the reason is enough.
    pub detail: String,
}

impl Bypass {
    /// A bypass for `reason`, caused by `detail`.
    pub fn new(reason: BypassReason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
        }
    }
}

/// A compile that is handed to the real nvcc after it was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// The reason, which is counted.
    pub reason: FallbackReason,
    /// The stage, path or line at fault.
    pub detail: String,
}

impl Fallback {
    /// A fallback for `reason`, caused by `detail`.
    pub fn new(reason: FallbackReason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BypassReason, FallbackReason, NvrtcReason};
    use std::collections::HashSet;

    #[test]
    fn reason_names_are_unique() {
        let bypass: HashSet<_> = BypassReason::ALL.iter().map(|r| r.code()).collect();
        assert_eq!(bypass.len(), BypassReason::ALL.len());
        let fallback: HashSet<_> = FallbackReason::ALL.iter().map(|r| r.code()).collect();
        assert_eq!(fallback.len(), FallbackReason::ALL.len());
        let nvrtc: HashSet<_> = NvrtcReason::ALL.iter().map(|r| r.code()).collect();
        assert_eq!(nvrtc.len(), NvrtcReason::ALL.len());
    }
}
