//! nvcc's options as data. One row holds an option's names, arity, effect, what it observes, and help. The parser, the
//! classifier, the canonical job and the tests all use this table.
//!
//! The rows are the union of what nvcc 12.4, 13.0, 13.2 and 13.5 print with `--help`, and of
//! options that they accept without printing them. An option that one version lacks is an error there,
//! which nvcc reports itself.
//!
//! No column has a default: a row that does not state what its option observes does not compile.

use super::mode::Mode;
use super::observed::Observes;
use crate::outcome::BypassReason;

/// What follows an option's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// Nothing; `--name=` is an error.
    Flag,
    /// One value, taken as it is.
    Value,
    /// One value, a number.
    Number,
    /// One value, `true` or `false`.
    Bool,
    /// Values separated by commas outside double quotes; see `expand::split_list`.
    List,
    /// As `List`, but a backslash protects the next byte; see `expand::split_escaped`.
    Escaped,
    /// As `List`, but quotes are removed; see `expand::split_paths`.
    Paths,
    /// `keyword=value` pairs separated by commas, where brackets and quotes protect commas.
    Pairs,
}

/// The CUDA tool whose table judges the words of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judge {
    /// cudafe++.
    Cudafe,
    /// ptxas.
    Ptxas,
    /// fatbinary.
    Fatbinary,
    /// nvlink.
    Nvlink,
    /// A tool whose options are not documented, so that none is accepted.
    Undocumented,
}

/// What an option means to the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Changes what is generated or printed, so it is part of the key.
    Code,
    /// Selects how far the compile goes.
    Mode(Mode),
    /// Not cacheable, for this reason.
    Bypass(BypassReason),
    /// Names the output.
    Output,
    /// Belongs to the depfile.
    Dependencies,
    /// Keeps intermediate files.
    Keep,
    /// Changes only when, or in which temporary files, the stages run.
    Schedule,
    /// Has the commands printed, besides all else.
    Commands,
    /// `-D` and `-U`, whose common order matters.
    Macro,
    /// Names the host compiler.
    HostCompiler,
    /// Passes words to the host compiler.
    Host,
    /// Passes words to a CUDA tool, whose table judges them.
    Tool(Judge),
    /// Passes words to the host linker or archiver.
    Linker,
    /// Makes nvcc forward unknown options.
    Forward,
    /// Names option files.
    OptionFile,
}

/// One option of nvcc.
#[derive(Debug, PartialEq, Eq)]
pub struct OptionRow {
    /// The name after two dashes.
    pub long: &'static str,
    /// The name after one dash; empty if there is none.
    pub short: &'static str,
    /// What follows the name.
    pub arity: Arity,
    /// What it means to the cache.
    pub effect: Effect,
    /// What it lets a compile observe of sources besides their tokens.
    pub observes: Observes,
    /// One sentence for users.
    pub help: &'static str,
}

/// Short names whose value may follow without a space or `=`: `-O3`, `-DX`. An exact name takes
/// precedence: `-lto` is not a library, but `-lto_mode` is.
pub const JOINED: &[&str] = &["D", "I", "L", "O", "U", "l", "t"];

/// The row whose long name is `name`.
pub(super) fn by_long(name: &[u8]) -> Option<&'static OptionRow> {
    let index = OPTIONS.binary_search_by(|row| row.long.as_bytes().cmp(name));
    index.ok().map(|index| &OPTIONS[index])
}

/// The row whose short name is `name`.
pub(super) fn by_short(name: &[u8]) -> Option<&'static OptionRow> {
    if name.is_empty() {
        return None;
    }
    OPTIONS.iter().find(|row| row.short.as_bytes() == name)
}

const fn row(
    long: &'static str,
    short: &'static str,
    arity: Arity,
    effect: Effect,
    observes: Observes,
    help: &'static str,
) -> OptionRow {
    OptionRow {
        long,
        short,
        arity,
        effect,
        observes,
        help,
    }
}

/// Every known option, sorted by long name (in byte order).
#[rustfmt::skip]
pub const OPTIONS: &[OptionRow] = &[
    row("Ofast-compile", "Ofc", Arity::Value, Effect::Code, Observes::Nothing, "Trade speed of device code for speed of compilation."),
    row("Wconversion", "Wconversion", Arity::Flag, Effect::Code, Observes::Nothing, "Warn of narrowing conversions."),
    row("Wdefault-stream-launch", "Wdefault-stream-launch", Arity::Flag, Effect::Code, Observes::Nothing, "Warn of launches without a stream."),
    row("Werror", "Werror", Arity::List, Effect::Code, Observes::Nothing, "Make warnings errors."),
    row("Wext-lambda-captures-this", "Wext-lambda-captures-this", Arity::Flag, Effect::Code, Observes::Nothing, "Warn of lambdas that capture this."),
    row("Wmissing-launch-bounds", "Wmissing-launch-bounds", Arity::Flag, Effect::Code, Observes::Nothing, "Warn of kernels without launch bounds."),
    row("Wno-deprecated-declarations", "Wno-deprecated-declarations", Arity::Flag, Effect::Code, Observes::Nothing, "Do not warn of deprecated declarations."),
    row("Wno-deprecated-gpu-targets", "Wno-deprecated-gpu-targets", Arity::Flag, Effect::Code, Observes::Nothing, "Do not warn of deprecated architectures."),
    row("Wreorder", "Wreorder", Arity::Flag, Effect::Code, Observes::Nothing, "Warn of reordered initialisers."),
    row("aggressive-inline", "aggressive-inline", Arity::Flag, Effect::Code, Observes::Nothing, "Inline device code harder."),
    row("all-prefix", "", Arity::Value, Effect::Bypass(BypassReason::ToolOption), Observes::Everything, "Run every stage through another program."),
    row("allow-unsupported-compiler", "allow-unsupported-compiler", Arity::Flag, Effect::Code, Observes::Nothing, "Accept any version of the host compiler."),
    row("apply-controls", "apply-controls", Arity::Value, Effect::Bypass(BypassReason::ToolOption), Observes::Everything, "Read options of the stages from a file that no key covers."),
    row("archive-options", "Xarchive", Arity::List, Effect::Linker, Observes::Nothing, "Pass options to the archiver."),
    row("archiver-binary", "arbin", Arity::Value, Effect::Bypass(BypassReason::ToolOption), Observes::Everything, "Archive with another program; it is outside the identified toolchain."),
    row("augment-host-linker-script", "aug-hls", Arity::Flag, Effect::Bypass(BypassReason::UnsupportedMode), Observes::Everything, "Write a linker script that augments another."),
    row("brief-diagnostics", "brief-diag", Arity::Bool, Effect::Code, Observes::Nothing, "Print diagnostics without source lines."),
    row("cicc-options", "Xcicc", Arity::Escaped, Effect::Tool(Judge::Undocumented), Observes::Everything, "Pass options to cicc."),
    row("cicc-prefix", "", Arity::Value, Effect::Bypass(BypassReason::ToolOption), Observes::Everything, "Run cicc through another program."),
    row("cl-version", "", Arity::Value, Effect::Code, Observes::Nothing, "Set the version of cl.exe; nothing on Linux."),
    row("clean-targets", "clean", Arity::Flag, Effect::Bypass(BypassReason::Clean), Observes::Everything, "Remove what a compile would write."),
    row("compile", "c", Arity::Flag, Effect::Mode(Mode::Object), Observes::Nothing, "Compile to an object."),
    row("compile-as-tools-patch", "astoolspatch", Arity::Flag, Effect::Code, Observes::Lines, "Compile patch code for CUDA tools."),
    row("compiler-bindir", "ccbin", Arity::Value, Effect::HostCompiler, Observes::Nothing, "Name the host compiler or its directory."),
    row("compiler-options", "Xcompiler", Arity::Escaped, Effect::Host, Observes::HostWords, "Pass options to the host compiler."),
    row("compress-mode", "compress-mode", Arity::Value, Effect::Code, Observes::Nothing, "Choose the compression of device code."),
    row("concat", "concat", Arity::Flag, Effect::Code, Observes::Nothing, "Compress several architectures together."),
    row("cpp-prefix", "", Arity::Value, Effect::Bypass(BypassReason::ToolOption), Observes::Everything, "Run the preprocessor through another program."),
    row("cubin", "cubin", Arity::Flag, Effect::Mode(Mode::Cubin), Observes::Nothing, "Stop after ptxas and write a cubin."),
    row("cuda", "cuda", Arity::Flag, Effect::Mode(Mode::CudaSource), Observes::Lines, "Stop after the CUDA front end and write .cu.cpp.ii."),
    row("cuda-api-version", "cuda-api-version", Arity::Value, Effect::Code, Observes::Nothing, "Set the version of the CUDA API."),
    row("cudadevrt", "cudadevrt", Arity::Value, Effect::Code, Observes::Nothing, "Choose the kind of CUDA device runtime library."),
    row("cudafe-options", "Xcudafe", Arity::List, Effect::Tool(Judge::Cudafe), Observes::Nothing, "Pass options to cudafe++."),
    row("cudafe-prefix", "", Arity::Value, Effect::Bypass(BypassReason::ToolOption), Observes::Everything, "Run cudafe++ through another program."),
    row("cudart", "cudart", Arity::Value, Effect::Code, Observes::Nothing, "Choose the kind of CUDA runtime library."),
    row("debug", "g", Arity::Flag, Effect::Code, Observes::Lines, "Debug information for host code."),
    row("default-stream", "default-stream", Arity::Value, Effect::Code, Observes::Nothing, "Choose the default stream."),
    row("define-macro", "D", Arity::Escaped, Effect::Macro, Observes::Nothing, "Define a macro."),
    row("dependency-drive-prefix", "ddp", Arity::Value, Effect::Code, Observes::Nothing, "Windows path translation; nothing on Linux."),
    row("dependency-output", "MF", Arity::Value, Effect::Dependencies, Observes::Nothing, "Name the file of make rules."),
    row("dependency-target-name", "MT", Arity::Value, Effect::Dependencies, Observes::Nothing, "Name the target of the make rules."),
    row("device-c", "dc", Arity::Flag, Effect::Mode(Mode::Object), Observes::Nothing, "Compile to an object with relocatable device code."),
    row("device-compilation", "", Arity::Value, Effect::Code, Observes::Lines, "Set the language of device code."),
    row("device-debug", "G", Arity::Flag, Effect::Code, Observes::Sizes, "Debug information for device code."),
    row("device-entity-has-hidden-visibility", "device-entity-has-hidden-visibility", Arity::Bool, Effect::Code, Observes::Nothing, "Hide kernels and device variables."),
    row("device-link", "dlink", Arity::Flag, Effect::Mode(Mode::DeviceLink), Observes::Nothing, "Link device code only."),
    row("device-stack-protector", "device-stack-protector", Arity::Bool, Effect::Code, Observes::Nothing, "Protect stacks of device code."),
    row("device-w", "dw", Arity::Flag, Effect::Mode(Mode::Object), Observes::Nothing, "Compile to an object with executable device code."),
    row("diag-error", "diag-error", Arity::List, Effect::Code, Observes::Nothing, "Make diagnostics errors."),
    row("diag-suppress", "diag-suppress", Arity::List, Effect::Code, Observes::Nothing, "Suppress diagnostics."),
    row("diag-warn", "diag-warn", Arity::List, Effect::Code, Observes::Nothing, "Make diagnostics warnings."),
    row("disable-warnings", "w", Arity::Flag, Effect::Code, Observes::Nothing, "Print no warnings."),
    row("display-error-number", "err-no", Arity::Flag, Effect::Code, Observes::Nothing, "Print numbers of diagnostics."),
    row("dlink-time-opt", "dlto", Arity::Flag, Effect::Code, Observes::Lines, "Link-time optimisation of device code."),
    row("dont-use-profile", "noprof", Arity::Flag, Effect::Bypass(BypassReason::ToolOption), Observes::Everything, "Ignore nvcc.profile; the tools come from elsewhere then."),
    row("dopt", "dopt", Arity::Value, Effect::Code, Observes::Lines, "Optimise device code together with -G."),
    row("drive-prefix", "dp", Arity::Value, Effect::Code, Observes::Nothing, "Windows path translation; nothing on Linux."),
    row("dryrun", "dryrun", Arity::Flag, Effect::Bypass(BypassReason::Dryrun), Observes::Everything, "Print the commands and run none."),
    row("enable-tile", "enable-tile", Arity::Flag, Effect::Code, Observes::Lines, "Compile tile code as well as SIMT code."),
    row("entries", "e", Arity::List, Effect::Code, Observes::Nothing, "Compile these kernels only."),
    row("export-dir", "dir", Arity::Value, Effect::Bypass(BypassReason::ToolOption), Observes::Everything, "Keep device code in a repository of files."),
    row("expt-extended-lambda", "expt-extended-lambda", Arity::Flag, Effect::Code, Observes::Nothing, "Another name of --extended-lambda."),
    row("expt-relaxed-constexpr", "expt-relaxed-constexpr", Arity::Flag, Effect::Code, Observes::Nothing, "Allow constexpr functions across host and device."),
    row("extended-lambda", "extended-lambda", Arity::Flag, Effect::Code, Observes::Nothing, "Allow execution space annotations on lambdas."),
    row("extensible-whole-program", "ewp", Arity::Flag, Effect::Code, Observes::Nothing, "Compile extensible whole programs."),
    row("extern-mode", "", Arity::Value, Effect::Bypass(BypassReason::ToolOption), Observes::Everything, "Choose what goes into the code repository."),
    row("extra-device-vectorization", "extra-device-vectorization", Arity::Flag, Effect::Code, Observes::Nothing, "Vectorise device code harder."),
    row("fassociative-math", "fassociative-math", Arity::Flag, Effect::Code, Observes::Nothing, "Reorder floating-point operations."),
    row("fatbin", "fatbin", Arity::Flag, Effect::Mode(Mode::Fatbin), Observes::Nothing, "Stop after fatbinary and write a fatbin."),
    row("fatbin-options", "Xfatbin", Arity::List, Effect::Tool(Judge::Fatbinary), Observes::Nothing, "Pass options to fatbinary."),
    row("fdevice-sanitize", "fdevice-sanitize", Arity::Value, Effect::Code, Observes::Lines, "Instrument device code."),
    row("fdevice-syntax-only", "fdevice-syntax-only", Arity::Flag, Effect::Code, Observes::Nothing, "Stop device compilation after its front end."),
    row("fdevice-time-trace", "fdevice-time-trace", Arity::Value, Effect::Bypass(BypassReason::Timing), Observes::Everything, "Write a trace of the compile."),
    row("fdevice-time-trace-granularity", "fdevice-time-trace-granularity", Arity::Number, Effect::Code, Observes::Nothing, "Set the resolution of the trace."),
    row("ffinite-math-only", "ffinite-math-only", Arity::Flag, Effect::Code, Observes::Nothing, "Assume finite numbers."),
    row("fmad", "fmad", Arity::Bool, Effect::Code, Observes::Nothing, "Contract multiplications and additions."),
    row("fmax-errors", "fmax-errors", Arity::Number, Effect::Code, Observes::Nothing, "Stop after so many errors."),
    row("fno-signed-zeros", "fno-signed-zeros", Arity::Flag, Effect::Code, Observes::Nothing, "Ignore the sign of zero."),
    row("force-cl-env-setup", "force-cl-env-setup", Arity::Flag, Effect::Code, Observes::Nothing, "Set up the environment of cl.exe; nothing on Linux."),
    row("forward-unknown-opts", "forward-unknown-opts", Arity::Flag, Effect::Forward, Observes::Nothing, "Pass unknown options to the host compiler and linker."),
    row("forward-unknown-to-host-compiler", "forward-unknown-to-host-compiler", Arity::Flag, Effect::Forward, Observes::Nothing, "Pass unknown options to the host compiler."),
    row("forward-unknown-to-host-linker", "forward-unknown-to-host-linker", Arity::Flag, Effect::Forward, Observes::Nothing, "Pass unknown options to the host linker."),
    row("frandom-seed", "frandom-seed", Arity::Value, Effect::Code, Observes::Nothing, "Seed the names of generated symbols."),
    row("ftemplate-backtrace-limit", "ftemplate-backtrace-limit", Arity::Number, Effect::Code, Observes::Nothing, "Limit the notes of template instantiation."),
    row("ftemplate-depth", "ftemplate-depth", Arity::Number, Effect::Code, Observes::Nothing, "Limit the depth of template instantiation."),
    row("ftz", "ftz", Arity::Bool, Effect::Code, Observes::Nothing, "Flush denormals to zero."),
    row("gen-opt-lto", "gen-opt-lto", Arity::Flag, Effect::Code, Observes::Lines, "Optimise before writing link-time IR."),
    row("generate-code", "gencode", Arity::Pairs, Effect::Code, Observes::Architecture, "Generate code for one architecture."),
    row("generate-dependencies", "M", Arity::Flag, Effect::Mode(Mode::Rules), Observes::Nothing, "Write make rules and compile nothing."),
    row("generate-dependencies-with-compile", "MD", Arity::Flag, Effect::Dependencies, Observes::Nothing, "Write make rules beside the output."),
    row("generate-dependency-targets", "MP", Arity::Flag, Effect::Dependencies, Observes::Nothing, "Add an empty rule for each header."),
    row("generate-line-info", "lineinfo", Arity::Flag, Effect::Code, Observes::Sizes, "Line numbers in device code."),
    row("generate-nonsystem-dependencies", "MM", Arity::Flag, Effect::Mode(Mode::Rules), Observes::Nothing, "Write make rules without system headers and compile nothing."),
    row("generate-nonsystem-dependencies-with-compile", "MMD", Arity::Flag, Effect::Dependencies, Observes::Nothing, "Write make rules without system headers beside the output."),
    row("global_var", "global_var", Arity::Flag, Effect::Code, Observes::Nothing, "Treat device variables as global."),
    row("gpu-architecture", "arch", Arity::Value, Effect::Code, Observes::Architecture, "Set the GPU architecture."),
    row("gpu-code", "code", Arity::List, Effect::Code, Observes::Architecture, "Set the real architectures to generate code for."),
    row("help", "h", Arity::Flag, Effect::Bypass(BypassReason::Information), Observes::Everything, "Print the options."),
    row("host-linker-script", "hls", Arity::Value, Effect::Bypass(BypassReason::UnsupportedMode), Observes::Everything, "Write or use a linker script."),
    row("host-relocatable-link", "host-r", Arity::Flag, Effect::Code, Observes::Nothing, "Old name of --relocatable-link."),
    row("include-path", "I", Arity::Paths, Effect::Code, Observes::Nothing, "Add an include directory."),
    row("input-drive-prefix", "idp", Arity::Value, Effect::Code, Observes::Nothing, "Windows path translation; nothing on Linux."),
    row("intern-mode", "", Arity::Value, Effect::Bypass(BypassReason::ToolOption), Observes::Everything, "Choose what is embedded beside the code repository."),
    row("jobserver", "jobserver", Arity::Flag, Effect::Code, Observes::Nothing, "Have the tools take part in make's job server."),
    row("jump-table-density", "jtd", Arity::Number, Effect::Code, Observes::Nothing, "Choose when a switch becomes a jump table."),
    row("keep", "keep", Arity::Flag, Effect::Keep, Observes::Lines, "Keep the intermediate files."),
    row("keep-device-functions", "keep-device-functions", Arity::Flag, Effect::Code, Observes::Nothing, "Keep unused device functions."),
    row("keep-dir", "keep-dir", Arity::Value, Effect::Keep, Observes::Nothing, "Name the directory of the intermediate files."),
    row("legacy-launch-seq", "legacy-launch-seq", Arity::Flag, Effect::Code, Observes::Nothing, "Launch kernels in the old way."),
    row("lib", "lib", Arity::Flag, Effect::Mode(Mode::Library), Observes::Nothing, "Compile and archive."),
    row("libdevice-directory", "ldir", Arity::Value, Effect::Code, Observes::Nothing, "Take libdevice from elsewhere if nvcc.profile names none; the plan shows whether it does."),
    row("library", "l", Arity::Paths, Effect::Code, Observes::Nothing, "Link a library."),
    row("library-path", "L", Arity::Paths, Effect::Code, Observes::Nothing, "Add a library directory."),
    row("limit-fold-fp", "limit-fold-fp", Arity::Flag, Effect::Code, Observes::Nothing, "Fold fewer floating-point constants."),
    row("link", "link", Arity::Flag, Effect::Mode(Mode::Program), Observes::Nothing, "Compile and link a program."),
    row("linker-options", "Xlinker", Arity::List, Effect::Linker, Observes::Nothing, "Pass options to the host linker."),
    row("list-gpu-arch", "arch-ls", Arity::Flag, Effect::Bypass(BypassReason::Information), Observes::Everything, "List the virtual architectures."),
    row("list-gpu-code", "code-ls", Arity::Flag, Effect::Bypass(BypassReason::Information), Observes::Everything, "List the real architectures."),
    row("lto", "lto", Arity::Flag, Effect::Code, Observes::Lines, "Another name of -dlto."),
    row("ltoir", "ltoir", Arity::Flag, Effect::Mode(Mode::Ltoir), Observes::Lines, "Write link-time IR."),
    row("m64", "m64", Arity::Flag, Effect::Code, Observes::Nothing, "The same as --machine=64."),
    row("machine", "m", Arity::Number, Effect::Code, Observes::Nothing, "Set the word size."),
    row("maxrregcount", "maxrregcount", Arity::Number, Effect::Code, Observes::Nothing, "Limit the registers of a thread."),
    row("no-align-double", "", Arity::Flag, Effect::Code, Observes::Nothing, "Drop -malign-double on 32-bit hosts."),
    row("no-compress", "no-compress", Arity::Flag, Effect::Code, Observes::Nothing, "Do not compress device code."),
    row("no-device-inline", "nodinline", Arity::Flag, Effect::Code, Observes::Nothing, "Inline no device code."),
    row("no-device-link", "nodlink", Arity::Flag, Effect::Code, Observes::Nothing, "Skip the device link."),
    row("no-display-error-number", "no-err-no", Arity::Flag, Effect::Code, Observes::Nothing, "Print no numbers of diagnostics."),
    row("no-exceptions", "noeh", Arity::Flag, Effect::Code, Observes::Nothing, "Compile host code without exceptions."),
    row("no-host-device-initializer-list", "nohdinitlist", Arity::Flag, Effect::Code, Observes::Nothing, "Keep std::initializer_list out of device code."),
    row("no-host-device-move-forward", "nohdmoveforward", Arity::Flag, Effect::Code, Observes::Nothing, "Keep std::move and std::forward out of device code."),
    row("no-libdevice", "no-libdevice", Arity::Bool, Effect::Code, Observes::Nothing, "Compile without libdevice."),
    row("no-lineinfo-inlined-at", "no-lineinfo-ia", Arity::Flag, Effect::Code, Observes::Nothing, "Leave inlining out of line numbers."),
    row("no-shadow-functions", "no-shadow-functions", Arity::Flag, Effect::Code, Observes::Nothing, "Make no shadow functions."),
    row("no-strong-global-assumptions", "no-strong-global-assumptions", Arity::Flag, Effect::Code, Observes::Nothing, "Assume less of global variables."),
    row("nvasm-loopback", "nvasm-loopback", Arity::Flag, Effect::Bypass(BypassReason::ToolOption), Observes::Everything, "Disassemble and assemble again with tools outside the identified toolchain."),
    row("nvasm-options", "Xnvasm", Arity::List, Effect::Tool(Judge::Undocumented), Observes::Everything, "Pass options to nvasm."),
    row("nvdisasm-options", "Xnvdisasm", Arity::List, Effect::Tool(Judge::Undocumented), Observes::Everything, "Pass options to nvdisasm."),
    row("nvlink-options", "Xnvlink", Arity::Escaped, Effect::Tool(Judge::Nvlink), Observes::Nothing, "Pass options to nvlink."),
    row("nvlink-prefix", "", Arity::Value, Effect::Bypass(BypassReason::ToolOption), Observes::Everything, "Run nvlink through another program."),
    row("nvprune-options", "Xnvprune", Arity::List, Effect::Tool(Judge::Undocumented), Observes::Everything, "Pass options to nvprune."),
    row("nvvm-version", "nvvm-version", Arity::Value, Effect::Code, Observes::Nothing, "Choose the version of NVVM."),
    row("objdir-as-tempdir", "objtemp", Arity::Flag, Effect::Schedule, Observes::Nothing, "Put temporary files beside the object."),
    row("okey", "", Arity::Value, Effect::Code, Observes::Lines, "Obfuscate device code."),
    row("optimization-info", "opt-info", Arity::List, Effect::Code, Observes::Lines, "Report optimisations on stderr."),
    row("optimize", "O", Arity::Number, Effect::Code, Observes::Nothing, "Optimisation level."),
    row("options-file", "optf", Arity::Paths, Effect::OptionFile, Observes::Nothing, "Read options from a file."),
    row("optix-ir", "optix-ir", Arity::Flag, Effect::Mode(Mode::OptixIr), Observes::Lines, "Write OptiX IR."),
    row("output-directory", "odir", Arity::Value, Effect::Output, Observes::Nothing, "Name the directory of the output."),
    row("output-file", "o", Arity::Value, Effect::Output, Observes::Nothing, "Name the output."),
    row("pre-include", "include", Arity::Paths, Effect::Code, Observes::Nothing, "Include a header before the source."),
    row("prec-div", "prec-div", Arity::Bool, Effect::Code, Observes::Nothing, "Divide exactly."),
    row("prec-sqrt", "prec-sqrt", Arity::Bool, Effect::Code, Observes::Nothing, "Take exact square roots."),
    row("preprocess", "E", Arity::Flag, Effect::Bypass(BypassReason::Preprocess), Observes::Everything, "Print the preprocessed source."),
    row("profile", "pg", Arity::Flag, Effect::Code, Observes::Lines, "Instrument host code for gprof."),
    row("prune", "prune", Arity::Flag, Effect::Code, Observes::Nothing, "Prune unused architectures when linking."),
    row("ptx", "ptx", Arity::Flag, Effect::Mode(Mode::Ptx), Observes::Nothing, "Stop after cicc and write PTX."),
    row("ptxas-options", "Xptxas", Arity::Escaped, Effect::Tool(Judge::Ptxas), Observes::PtxasWords, "Pass options to ptxas."),
    row("ptxas-prefix", "", Arity::Value, Effect::Bypass(BypassReason::ToolOption), Observes::Everything, "Run ptxas through another program."),
    row("qpp-config", "qpp-config", Arity::Value, Effect::Code, Observes::Lines, "Configure the q++ host compiler."),
    row("relaxed-constexpr", "relaxed-constexpr", Arity::Flag, Effect::Code, Observes::Nothing, "Old name of --expt-relaxed-constexpr."),
    row("relocatable-device-code", "rdc", Arity::Bool, Effect::Code, Observes::Nothing, "Generate relocatable device code."),
    row("relocatable-link", "r", Arity::Flag, Effect::Code, Observes::Nothing, "Link incrementally."),
    row("relocatable-ptx", "reloc-ptx", Arity::Flag, Effect::Code, Observes::Nothing, "Keep PTX of relocatable code when linking."),
    row("resource-usage", "res-usage", Arity::Flag, Effect::Code, Observes::Nothing, "Report registers and memory on stderr."),
    row("restrict", "restrict", Arity::Flag, Effect::Code, Observes::Nothing, "Treat kernel pointers as restrict."),
    row("restrict-in-struct", "restrict-in-struct", Arity::Flag, Effect::Code, Observes::Nothing, "Treat pointers in kernel structs as restrict."),
    row("run", "run", Arity::Flag, Effect::Bypass(BypassReason::Run), Observes::Everything, "Build and run a program."),
    row("run-args", "run-args", Arity::List, Effect::Code, Observes::Nothing, "Arguments for --run."),
    row("safety-compatibility", "safety-compat", Arity::Flag, Effect::Code, Observes::Nothing, "Stay compatible with safety certified drivers."),
    row("sanitize", "sanitize", Arity::Value, Effect::Code, Observes::Lines, "Name of --fdevice-sanitize in 13.0."),
    row("save-temps", "save-temps", Arity::Flag, Effect::Keep, Observes::Lines, "Another name of --keep."),
    row("shared", "shared", Arity::Flag, Effect::Code, Observes::Nothing, "Link a shared library."),
    row("simt-only", "simt-only", Arity::Flag, Effect::Code, Observes::Nothing, "Generate SIMT code only."),
    row("skip-ptx-semantics-check", "skip-ptx-semantics-check", Arity::Flag, Effect::Code, Observes::Nothing, "Do not check PTX."),
    row("source-in-ptx", "src-in-ptx", Arity::Flag, Effect::Code, Observes::Text, "Put source lines into the PTX."),
    row("split-compile", "split-compile", Arity::Number, Effect::Code, Observes::Nothing, "Optimise in so many threads; the split can change the code."),
    row("split-compile-extended", "split-compile-extended", Arity::Number, Effect::Code, Observes::Nothing, "Optimise in so many threads at link time."),
    row("static-global-template-stub", "static-global-template-stub", Arity::Bool, Effect::Code, Observes::Nothing, "Make the stubs of kernel templates static."),
    row("std", "std", Arity::Value, Effect::Code, Observes::Dialect, "Set the C++ dialect."),
    row("stdlib", "stdlib", Arity::Value, Effect::Code, Observes::Nothing, "Set the C++ library; clang only."),
    row("system-include", "isystem", Arity::Paths, Effect::Code, Observes::Nothing, "Add a system include directory."),
    row("target-directory", "target-dir", Arity::Value, Effect::Code, Observes::Nothing, "Choose the folder under targets/ for headers and libraries."),
    row("tdump", "tdump", Arity::Flag, Effect::Bypass(BypassReason::Verbose), Observes::Everything, "Print nvcc's inner state."),
    row("threads", "t", Arity::Number, Effect::Schedule, Observes::Nothing, "Run so many stages at once."),
    row("tile-only", "tile-only", Arity::Flag, Effect::Code, Observes::Lines, "Generate tile code only."),
    row("tile-preview", "tile-preview", Arity::Value, Effect::Code, Observes::Lines, "Switch on previews of tile features."),
    row("tilebc", "tilebc", Arity::Flag, Effect::Bypass(BypassReason::UnsupportedMode), Observes::Everything, "Write tile bitcode."),
    row("tilecubin", "tilecubin", Arity::Flag, Effect::Bypass(BypassReason::UnsupportedMode), Observes::Everything, "Write a cubin of the tile code only."),
    row("tilefatbin", "tilefatbin", Arity::Flag, Effect::Bypass(BypassReason::UnsupportedMode), Observes::Everything, "Write a fatbin of the tile code only."),
    row("tileiras-options", "Xtileiras", Arity::Escaped, Effect::Tool(Judge::Undocumented), Observes::Everything, "Pass options to tileiras."),
    row("time", "time", Arity::Value, Effect::Bypass(BypassReason::Timing), Observes::Everything, "Append the time of each stage to a file."),
    row("tool-name", "tool-name", Arity::Value, Effect::Bypass(BypassReason::ToolOption), Observes::Everything, "Rename nvcc in its own messages."),
    row("undefine-macro", "U", Arity::Escaped, Effect::Macro, Observes::Nothing, "Undefine a macro."),
    row("use-cubin", "use-cubin", Arity::Pairs, Effect::Bypass(BypassReason::ToolOption), Observes::Everything, "Embed a cubin that no key covers."),
    row("use-local-env", "use-local-env", Arity::Flag, Effect::Code, Observes::Nothing, "Trust the environment of cl.exe; nothing on Linux."),
    row("use_fast_math", "use_fast_math", Arity::Flag, Effect::Code, Observes::Nothing, "Use fast, less exact mathematics."),
    row("utf-8", "utf-8", Arity::Flag, Effect::Code, Observes::Nothing, "Read sources as UTF-8."),
    row("verbose", "v", Arity::Flag, Effect::Commands, Observes::Nothing, "Print the commands while running them."),
    row("verbose2", "v2", Arity::Flag, Effect::Bypass(BypassReason::Verbose), Observes::Everything, "Print the commands and their progress."),
    row("version", "V", Arity::Flag, Effect::Bypass(BypassReason::Information), Observes::Everything, "Print the version."),
    row("version-ident", "", Arity::Bool, Effect::Code, Observes::Nothing, "Put a version into the PTX."),
    row("x", "x", Arity::Value, Effect::Code, Observes::Nothing, "Set the language of all inputs."),
];

#[cfg(test)]
mod tests {
    use super::{JOINED, OPTIONS, by_long, by_short};
    use std::collections::HashSet;

    #[test]
    fn rows_are_sorted_and_unique() {
        for pair in OPTIONS.windows(2) {
            assert!(
                pair[0].long < pair[1].long,
                "{} ≥ {}",
                pair[0].long,
                pair[1].long
            );
        }
        let mut seen = HashSet::new();
        for row in OPTIONS.iter().filter(|row| !row.short.is_empty()) {
            assert!(seen.insert(row.short), "-{} twice", row.short);
        }
    }

    #[test]
    fn every_row_is_documented_in_one_sentence() {
        for row in OPTIONS {
            assert!(
                row.help.len() > 5 && row.help.ends_with('.'),
                "--{}",
                row.long
            );
            assert!(!row.help.contains('\n'), "--{}", row.long);
        }
    }

    #[test]
    fn every_row_is_found_by_both_of_its_names() {
        for row in OPTIONS {
            assert_eq!(by_long(row.long.as_bytes()), Some(row));
            if !row.short.is_empty() {
                assert_eq!(by_short(row.short.as_bytes()), Some(row));
            }
        }
        assert_eq!(by_short(b""), None);
        assert_eq!(by_long(b"defin"), None);
    }

    #[test]
    fn joined_names_are_single_letters_with_a_value() {
        for name in JOINED {
            assert_eq!(name.len(), 1);
            let row = by_short(name.as_bytes()).expect("a row");
            assert_ne!(row.arity, super::Arity::Flag);
        }
    }
}
