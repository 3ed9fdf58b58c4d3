//! nvcc's options as data: one row gives names, arity, effect and help. The parser, the classifier,
//! the canonical job and the tests all come from this table. Unaware of command lines.
//!
//! The rows are the union of what nvcc 12.4, 13.0, 13.2 and 13.5 print with `--help`, and of
//! options that they accept without printing them. A row that one version lacks is an error there,
//! which nvcc reports itself.

use super::job::Mode;
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
    /// As `List`, but the quotes vanish; see `expand::split_paths`.
    Paths,
    /// `keyword=value` pairs separated by commas, where brackets and quotes protect commas.
    Pairs,
}

/// What an option means to the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Changes what is generated or said: part of the key.
    Code,
    /// Chooses how far the compile goes.
    Mode(Mode),
    /// Not for a cache.
    Bypass(BypassReason),
    /// Names the output.
    Output,
    /// Belongs to the file of make rules.
    Dependencies,
    /// Keeps intermediate files.
    Keep,
    /// Changes only when, or in which temporary files, the stages run.
    Schedule,
    /// `-D` and `-U`, whose common order counts.
    Macro,
    /// Names the host compiler.
    HostCompiler,
    /// Passes words to the host compiler.
    Host,
    /// Passes words to a CUDA tool.
    Tool,
    /// Passes words to the host linker or archiver.
    Linker,
    /// Lets unknown options through.
    Forward,
    /// Names option files.
    OptionFile,
}

/// One option of nvcc.
#[derive(Debug, PartialEq, Eq)]
pub struct OptionRow {
    /// The name after two dashes.
    pub long: &'static str,
    /// The name after one dash; empty where there is none.
    pub short: &'static str,
    /// What follows the name.
    pub arity: Arity,
    /// What it means to the cache.
    pub effect: Effect,
    /// One sentence for people.
    pub help: &'static str,
}

/// Short names whose value may follow without a space or `=`: `-O3`, `-DX`. An exact name goes
/// first: `-lto` is no library, but `-lto_mode` is.
pub const JOINED: &[&str] = &["D", "I", "L", "O", "U", "l", "t"];

/// The row whose long name is `name`.
pub fn by_long(name: &[u8]) -> Option<&'static OptionRow> {
    let found = OPTIONS.binary_search_by(|row| row.long.as_bytes().cmp(name));
    found.ok().map(|at| &OPTIONS[at])
}

/// The row whose short name is `name`.
pub fn by_short(name: &[u8]) -> Option<&'static OptionRow> {
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
    help: &'static str,
) -> OptionRow {
    OptionRow {
        long,
        short,
        arity,
        effect,
        help,
    }
}

/// Every known option, sorted by long name (in byte order).
#[rustfmt::skip]
pub const OPTIONS: &[OptionRow] = &[
    row("Ofast-compile", "Ofc", Arity::Value, Effect::Code, "Trade speed of device code for speed of compilation."),
    row("Wconversion", "Wconversion", Arity::Flag, Effect::Code, "Warn of narrowing conversions."),
    row("Wdefault-stream-launch", "Wdefault-stream-launch", Arity::Flag, Effect::Code, "Warn of launches without a stream."),
    row("Werror", "Werror", Arity::List, Effect::Code, "Make warnings errors."),
    row("Wext-lambda-captures-this", "Wext-lambda-captures-this", Arity::Flag, Effect::Code, "Warn of lambdas that capture this."),
    row("Wmissing-launch-bounds", "Wmissing-launch-bounds", Arity::Flag, Effect::Code, "Warn of kernels without launch bounds."),
    row("Wno-deprecated-declarations", "Wno-deprecated-declarations", Arity::Flag, Effect::Code, "Do not warn of deprecated declarations."),
    row("Wno-deprecated-gpu-targets", "Wno-deprecated-gpu-targets", Arity::Flag, Effect::Code, "Do not warn of deprecated architectures."),
    row("Wreorder", "Wreorder", Arity::Flag, Effect::Code, "Warn of reordered initialisers."),
    row("aggressive-inline", "aggressive-inline", Arity::Flag, Effect::Code, "Inline device code harder."),
    row("all-prefix", "", Arity::Value, Effect::Bypass(BypassReason::ToolOption), "Run every stage through another program."),
    row("allow-unsupported-compiler", "allow-unsupported-compiler", Arity::Flag, Effect::Code, "Accept any version of the host compiler."),
    row("apply-controls", "apply-controls", Arity::Value, Effect::Bypass(BypassReason::ToolOption), "Read options of the stages from a file that no key covers."),
    row("archive-options", "Xarchive", Arity::List, Effect::Linker, "Pass options to the archiver."),
    row("archiver-binary", "arbin", Arity::Value, Effect::Bypass(BypassReason::ToolOption), "Archive with another program; it is outside the identified toolchain."),
    row("augment-host-linker-script", "aug-hls", Arity::Flag, Effect::Bypass(BypassReason::UnsupportedMode), "Write a linker script that augments another."),
    row("brief-diagnostics", "brief-diag", Arity::Bool, Effect::Code, "Print diagnostics without source lines."),
    row("cicc-options", "Xcicc", Arity::Escaped, Effect::Tool, "Pass options to cicc."),
    row("cicc-prefix", "", Arity::Value, Effect::Bypass(BypassReason::ToolOption), "Run cicc through another program."),
    row("cl-version", "", Arity::Value, Effect::Code, "Set the version of cl.exe; nothing on Linux."),
    row("clean-targets", "clean", Arity::Flag, Effect::Bypass(BypassReason::Clean), "Remove what a compile would write."),
    row("compile", "c", Arity::Flag, Effect::Mode(Mode::Object), "Compile to an object."),
    row("compile-as-tools-patch", "astoolspatch", Arity::Flag, Effect::Code, "Compile patch code for CUDA tools."),
    row("compiler-bindir", "ccbin", Arity::Value, Effect::HostCompiler, "Name the host compiler or its directory."),
    row("compiler-options", "Xcompiler", Arity::Escaped, Effect::Host, "Pass options to the host compiler."),
    row("compress-mode", "compress-mode", Arity::Value, Effect::Code, "Choose the compression of device code."),
    row("concat", "concat", Arity::Flag, Effect::Code, "Compress several architectures together."),
    row("cpp-prefix", "", Arity::Value, Effect::Bypass(BypassReason::ToolOption), "Run the preprocessor through another program."),
    row("cubin", "cubin", Arity::Flag, Effect::Mode(Mode::Cubin), "Stop after ptxas and write a cubin."),
    row("cuda", "cuda", Arity::Flag, Effect::Mode(Mode::CudaSource), "Stop after the CUDA front end and write .cu.cpp.ii."),
    row("cuda-api-version", "cuda-api-version", Arity::Value, Effect::Code, "Set the version of the CUDA API."),
    row("cudadevrt", "cudadevrt", Arity::Value, Effect::Code, "Choose the kind of CUDA device runtime library."),
    row("cudafe-options", "Xcudafe", Arity::List, Effect::Tool, "Pass options to cudafe++."),
    row("cudafe-prefix", "", Arity::Value, Effect::Bypass(BypassReason::ToolOption), "Run cudafe++ through another program."),
    row("cudart", "cudart", Arity::Value, Effect::Code, "Choose the kind of CUDA runtime library."),
    row("debug", "g", Arity::Flag, Effect::Code, "Debug information for host code."),
    row("default-stream", "default-stream", Arity::Value, Effect::Code, "Choose the default stream."),
    row("define-macro", "D", Arity::Escaped, Effect::Macro, "Define a macro."),
    row("dependency-drive-prefix", "ddp", Arity::Value, Effect::Code, "Windows path translation; nothing on Linux."),
    row("dependency-output", "MF", Arity::Value, Effect::Dependencies, "Name the file of make rules."),
    row("dependency-target-name", "MT", Arity::Value, Effect::Dependencies, "Name the target of the make rules."),
    row("device-c", "dc", Arity::Flag, Effect::Mode(Mode::Object), "Compile to an object with relocatable device code."),
    row("device-compilation", "", Arity::Value, Effect::Code, "Set the language of device code."),
    row("device-debug", "G", Arity::Flag, Effect::Code, "Debug information for device code."),
    row("device-entity-has-hidden-visibility", "device-entity-has-hidden-visibility", Arity::Bool, Effect::Code, "Hide kernels and device variables."),
    row("device-link", "dlink", Arity::Flag, Effect::Mode(Mode::DeviceLink), "Link device code only."),
    row("device-stack-protector", "device-stack-protector", Arity::Bool, Effect::Code, "Protect stacks of device code."),
    row("device-w", "dw", Arity::Flag, Effect::Mode(Mode::Object), "Compile to an object with executable device code."),
    row("diag-error", "diag-error", Arity::List, Effect::Code, "Make diagnostics errors."),
    row("diag-suppress", "diag-suppress", Arity::List, Effect::Code, "Suppress diagnostics."),
    row("diag-warn", "diag-warn", Arity::List, Effect::Code, "Make diagnostics warnings."),
    row("disable-warnings", "w", Arity::Flag, Effect::Code, "Print no warnings."),
    row("display-error-number", "err-no", Arity::Flag, Effect::Code, "Print numbers of diagnostics."),
    row("dlink-time-opt", "dlto", Arity::Flag, Effect::Code, "Link-time optimisation of device code."),
    row("dont-use-profile", "noprof", Arity::Flag, Effect::Bypass(BypassReason::ToolOption), "Ignore nvcc.profile; the tools come from elsewhere then."),
    row("dopt", "dopt", Arity::Value, Effect::Code, "Optimise device code together with -G."),
    row("drive-prefix", "dp", Arity::Value, Effect::Code, "Windows path translation; nothing on Linux."),
    row("dryrun", "dryrun", Arity::Flag, Effect::Bypass(BypassReason::Dryrun), "Print the commands and run none."),
    row("enable-tile", "enable-tile", Arity::Flag, Effect::Code, "Compile tile code as well as SIMT code."),
    row("entries", "e", Arity::List, Effect::Code, "Compile these kernels only."),
    row("export-dir", "dir", Arity::Value, Effect::Bypass(BypassReason::ToolOption), "Keep device code in a repository of files."),
    row("expt-extended-lambda", "expt-extended-lambda", Arity::Flag, Effect::Code, "Another name of --extended-lambda."),
    row("expt-relaxed-constexpr", "expt-relaxed-constexpr", Arity::Flag, Effect::Code, "Allow constexpr functions across host and device."),
    row("extended-lambda", "extended-lambda", Arity::Flag, Effect::Code, "Allow execution space annotations on lambdas."),
    row("extensible-whole-program", "ewp", Arity::Flag, Effect::Code, "Compile extensible whole programs."),
    row("extern-mode", "", Arity::Value, Effect::Bypass(BypassReason::ToolOption), "Choose what goes into the code repository."),
    row("extra-device-vectorization", "extra-device-vectorization", Arity::Flag, Effect::Code, "Vectorise device code harder."),
    row("fassociative-math", "fassociative-math", Arity::Flag, Effect::Code, "Reorder floating-point operations."),
    row("fatbin", "fatbin", Arity::Flag, Effect::Mode(Mode::Fatbin), "Stop after fatbinary and write a fatbin."),
    row("fatbin-options", "Xfatbin", Arity::List, Effect::Tool, "Pass options to fatbinary."),
    row("fdevice-sanitize", "fdevice-sanitize", Arity::Value, Effect::Code, "Instrument device code."),
    row("fdevice-syntax-only", "fdevice-syntax-only", Arity::Flag, Effect::Code, "Stop device compilation after its front end."),
    row("fdevice-time-trace", "fdevice-time-trace", Arity::Value, Effect::Bypass(BypassReason::Timing), "Write a trace of the compile."),
    row("fdevice-time-trace-granularity", "fdevice-time-trace-granularity", Arity::Number, Effect::Code, "Set the resolution of the trace."),
    row("ffinite-math-only", "ffinite-math-only", Arity::Flag, Effect::Code, "Assume finite numbers."),
    row("fmad", "fmad", Arity::Bool, Effect::Code, "Contract multiplications and additions."),
    row("fmax-errors", "fmax-errors", Arity::Number, Effect::Code, "Stop after so many errors."),
    row("fno-signed-zeros", "fno-signed-zeros", Arity::Flag, Effect::Code, "Ignore the sign of zero."),
    row("force-cl-env-setup", "force-cl-env-setup", Arity::Flag, Effect::Code, "Set up the environment of cl.exe; nothing on Linux."),
    row("forward-unknown-opts", "forward-unknown-opts", Arity::Flag, Effect::Forward, "Pass unknown options to the host compiler and linker."),
    row("forward-unknown-to-host-compiler", "forward-unknown-to-host-compiler", Arity::Flag, Effect::Forward, "Pass unknown options to the host compiler."),
    row("forward-unknown-to-host-linker", "forward-unknown-to-host-linker", Arity::Flag, Effect::Forward, "Pass unknown options to the host linker."),
    row("frandom-seed", "frandom-seed", Arity::Value, Effect::Code, "Seed the names of generated symbols."),
    row("ftemplate-backtrace-limit", "ftemplate-backtrace-limit", Arity::Number, Effect::Code, "Limit the notes of template instantiation."),
    row("ftemplate-depth", "ftemplate-depth", Arity::Number, Effect::Code, "Limit the depth of template instantiation."),
    row("ftz", "ftz", Arity::Bool, Effect::Code, "Flush denormals to zero."),
    row("gen-opt-lto", "gen-opt-lto", Arity::Flag, Effect::Code, "Optimise before writing link-time IR."),
    row("generate-code", "gencode", Arity::Pairs, Effect::Code, "Generate code for one architecture."),
    row("generate-dependencies", "M", Arity::Flag, Effect::Bypass(BypassReason::Dependencies), "Write make rules and compile nothing."),
    row("generate-dependencies-with-compile", "MD", Arity::Flag, Effect::Dependencies, "Write make rules beside the output."),
    row("generate-dependency-targets", "MP", Arity::Flag, Effect::Dependencies, "Add an empty rule for each header."),
    row("generate-line-info", "lineinfo", Arity::Flag, Effect::Code, "Line numbers in device code."),
    row("generate-nonsystem-dependencies", "MM", Arity::Flag, Effect::Bypass(BypassReason::Dependencies), "Write make rules without system headers and compile nothing."),
    row("generate-nonsystem-dependencies-with-compile", "MMD", Arity::Flag, Effect::Dependencies, "Write make rules without system headers beside the output."),
    row("global_var", "global_var", Arity::Flag, Effect::Code, "Treat device variables as global."),
    row("gpu-architecture", "arch", Arity::Value, Effect::Code, "Set the GPU architecture."),
    row("gpu-code", "code", Arity::List, Effect::Code, "Set the real architectures to generate code for."),
    row("help", "h", Arity::Flag, Effect::Bypass(BypassReason::Information), "Print the options."),
    row("host-linker-script", "hls", Arity::Value, Effect::Bypass(BypassReason::UnsupportedMode), "Write or use a linker script."),
    row("host-relocatable-link", "host-r", Arity::Flag, Effect::Code, "Old name of --relocatable-link."),
    row("include-path", "I", Arity::Paths, Effect::Code, "Add an include directory."),
    row("input-drive-prefix", "idp", Arity::Value, Effect::Code, "Windows path translation; nothing on Linux."),
    row("intern-mode", "", Arity::Value, Effect::Bypass(BypassReason::ToolOption), "Choose what is embedded beside the code repository."),
    row("jobserver", "jobserver", Arity::Flag, Effect::Code, "Have the tools take part in make's job server."),
    row("jump-table-density", "jtd", Arity::Number, Effect::Code, "Choose when a switch becomes a jump table."),
    row("keep", "keep", Arity::Flag, Effect::Keep, "Keep the intermediate files."),
    row("keep-device-functions", "keep-device-functions", Arity::Flag, Effect::Code, "Keep unused device functions."),
    row("keep-dir", "keep-dir", Arity::Value, Effect::Keep, "Name the directory of the intermediate files."),
    row("legacy-launch-seq", "legacy-launch-seq", Arity::Flag, Effect::Code, "Launch kernels in the old way."),
    row("lib", "lib", Arity::Flag, Effect::Mode(Mode::Library), "Compile and archive."),
    row("libdevice-directory", "ldir", Arity::Value, Effect::Bypass(BypassReason::ToolOption), "Take libdevice from elsewhere; it is outside the identified toolchain."),
    row("library", "l", Arity::Paths, Effect::Code, "Link a library."),
    row("library-path", "L", Arity::Paths, Effect::Code, "Add a library directory."),
    row("limit-fold-fp", "limit-fold-fp", Arity::Flag, Effect::Code, "Fold fewer floating-point constants."),
    row("link", "link", Arity::Flag, Effect::Mode(Mode::Program), "Compile and link a program."),
    row("linker-options", "Xlinker", Arity::List, Effect::Linker, "Pass options to the host linker."),
    row("list-gpu-arch", "arch-ls", Arity::Flag, Effect::Bypass(BypassReason::Information), "List the virtual architectures."),
    row("list-gpu-code", "code-ls", Arity::Flag, Effect::Bypass(BypassReason::Information), "List the real architectures."),
    row("lto", "lto", Arity::Flag, Effect::Code, "Another name of -dlto."),
    row("ltoir", "ltoir", Arity::Flag, Effect::Mode(Mode::Ltoir), "Write link-time IR."),
    row("m64", "m64", Arity::Flag, Effect::Code, "The same as --machine=64."),
    row("machine", "m", Arity::Number, Effect::Code, "Set the word size."),
    row("maxrregcount", "maxrregcount", Arity::Number, Effect::Code, "Limit the registers of a thread."),
    row("no-align-double", "", Arity::Flag, Effect::Code, "Drop -malign-double on 32-bit hosts."),
    row("no-compress", "no-compress", Arity::Flag, Effect::Code, "Do not compress device code."),
    row("no-device-inline", "nodinline", Arity::Flag, Effect::Code, "Inline no device code."),
    row("no-device-link", "nodlink", Arity::Flag, Effect::Code, "Skip the device link."),
    row("no-display-error-number", "no-err-no", Arity::Flag, Effect::Code, "Print no numbers of diagnostics."),
    row("no-exceptions", "noeh", Arity::Flag, Effect::Code, "Compile host code without exceptions."),
    row("no-host-device-initializer-list", "nohdinitlist", Arity::Flag, Effect::Code, "Keep std::initializer_list out of device code."),
    row("no-host-device-move-forward", "nohdmoveforward", Arity::Flag, Effect::Code, "Keep std::move and std::forward out of device code."),
    row("no-libdevice", "no-libdevice", Arity::Bool, Effect::Code, "Compile without libdevice."),
    row("no-lineinfo-inlined-at", "no-lineinfo-ia", Arity::Flag, Effect::Code, "Leave inlining out of line numbers."),
    row("no-shadow-functions", "no-shadow-functions", Arity::Flag, Effect::Code, "Make no shadow functions."),
    row("no-strong-global-assumptions", "no-strong-global-assumptions", Arity::Flag, Effect::Code, "Assume less of global variables."),
    row("nvasm-loopback", "nvasm-loopback", Arity::Flag, Effect::Bypass(BypassReason::ToolOption), "Disassemble and assemble again with tools outside the identified toolchain."),
    row("nvasm-options", "Xnvasm", Arity::List, Effect::Tool, "Pass options to nvasm."),
    row("nvdisasm-options", "Xnvdisasm", Arity::List, Effect::Tool, "Pass options to nvdisasm."),
    row("nvlink-options", "Xnvlink", Arity::Escaped, Effect::Tool, "Pass options to nvlink."),
    row("nvlink-prefix", "", Arity::Value, Effect::Bypass(BypassReason::ToolOption), "Run nvlink through another program."),
    row("nvprune-options", "Xnvprune", Arity::List, Effect::Tool, "Pass options to nvprune."),
    row("nvvm-version", "nvvm-version", Arity::Value, Effect::Code, "Choose the version of NVVM."),
    row("objdir-as-tempdir", "objtemp", Arity::Flag, Effect::Schedule, "Put temporary files beside the object."),
    row("okey", "", Arity::Value, Effect::Code, "Obfuscate device code."),
    row("optimization-info", "opt-info", Arity::List, Effect::Code, "Report optimisations on stderr."),
    row("optimize", "O", Arity::Number, Effect::Code, "Optimisation level."),
    row("options-file", "optf", Arity::Paths, Effect::OptionFile, "Read options from a file."),
    row("optix-ir", "optix-ir", Arity::Flag, Effect::Mode(Mode::OptixIr), "Write OptiX IR."),
    row("output-directory", "odir", Arity::Value, Effect::Output, "Name the directory of the output."),
    row("output-file", "o", Arity::Value, Effect::Output, "Name the output."),
    row("pre-include", "include", Arity::Paths, Effect::Code, "Include a header before the source."),
    row("prec-div", "prec-div", Arity::Bool, Effect::Code, "Divide exactly."),
    row("prec-sqrt", "prec-sqrt", Arity::Bool, Effect::Code, "Take exact square roots."),
    row("preprocess", "E", Arity::Flag, Effect::Bypass(BypassReason::Preprocess), "Print the preprocessed source."),
    row("profile", "pg", Arity::Flag, Effect::Code, "Instrument host code for gprof."),
    row("prune", "prune", Arity::Flag, Effect::Code, "Prune unused architectures when linking."),
    row("ptx", "ptx", Arity::Flag, Effect::Mode(Mode::Ptx), "Stop after cicc and write PTX."),
    row("ptxas-options", "Xptxas", Arity::Escaped, Effect::Tool, "Pass options to ptxas."),
    row("ptxas-prefix", "", Arity::Value, Effect::Bypass(BypassReason::ToolOption), "Run ptxas through another program."),
    row("qpp-config", "qpp-config", Arity::Value, Effect::Code, "Configure the q++ host compiler."),
    row("relaxed-constexpr", "relaxed-constexpr", Arity::Flag, Effect::Code, "Old name of --expt-relaxed-constexpr."),
    row("relocatable-device-code", "rdc", Arity::Bool, Effect::Code, "Generate relocatable device code."),
    row("relocatable-link", "r", Arity::Flag, Effect::Code, "Link incrementally."),
    row("relocatable-ptx", "reloc-ptx", Arity::Flag, Effect::Code, "Keep PTX of relocatable code when linking."),
    row("resource-usage", "res-usage", Arity::Flag, Effect::Code, "Report registers and memory on stderr."),
    row("restrict", "restrict", Arity::Flag, Effect::Code, "Treat kernel pointers as restrict."),
    row("restrict-in-struct", "restrict-in-struct", Arity::Flag, Effect::Code, "Treat pointers in kernel structs as restrict."),
    row("run", "run", Arity::Flag, Effect::Bypass(BypassReason::Run), "Build and run a program."),
    row("run-args", "run-args", Arity::List, Effect::Code, "Arguments for --run."),
    row("safety-compatibility", "safety-compat", Arity::Flag, Effect::Code, "Stay compatible with safety certified drivers."),
    row("sanitize", "sanitize", Arity::Value, Effect::Code, "Name of --fdevice-sanitize in 13.0."),
    row("save-temps", "save-temps", Arity::Flag, Effect::Keep, "Another name of --keep."),
    row("shared", "shared", Arity::Flag, Effect::Code, "Link a shared library."),
    row("simt-only", "simt-only", Arity::Flag, Effect::Code, "Generate SIMT code only."),
    row("skip-ptx-semantics-check", "skip-ptx-semantics-check", Arity::Flag, Effect::Code, "Do not check PTX."),
    row("source-in-ptx", "src-in-ptx", Arity::Flag, Effect::Code, "Put source lines into the PTX."),
    row("split-compile", "split-compile", Arity::Number, Effect::Code, "Optimise in so many threads; the split can change the code."),
    row("split-compile-extended", "split-compile-extended", Arity::Number, Effect::Code, "Optimise in so many threads at link time."),
    row("static-global-template-stub", "static-global-template-stub", Arity::Bool, Effect::Code, "Make the stubs of kernel templates static."),
    row("std", "std", Arity::Value, Effect::Code, "Set the C++ dialect."),
    row("stdlib", "stdlib", Arity::Value, Effect::Code, "Set the C++ library; clang only."),
    row("system-include", "isystem", Arity::Paths, Effect::Code, "Add a system include directory."),
    row("target-directory", "target-dir", Arity::Value, Effect::Code, "Choose the folder under targets/ for headers and libraries."),
    row("tdump", "tdump", Arity::Flag, Effect::Bypass(BypassReason::Verbose), "Print nvcc's inner state."),
    row("threads", "t", Arity::Number, Effect::Schedule, "Run so many stages at once."),
    row("tile-only", "tile-only", Arity::Flag, Effect::Code, "Generate tile code only."),
    row("tile-preview", "tile-preview", Arity::Value, Effect::Code, "Switch on previews of tile features."),
    row("tilebc", "tilebc", Arity::Flag, Effect::Bypass(BypassReason::UnsupportedMode), "Write tile bitcode."),
    row("tilecubin", "tilecubin", Arity::Flag, Effect::Bypass(BypassReason::UnsupportedMode), "Write a cubin of the tile code only."),
    row("tilefatbin", "tilefatbin", Arity::Flag, Effect::Bypass(BypassReason::UnsupportedMode), "Write a fatbin of the tile code only."),
    row("tileiras-options", "Xtileiras", Arity::Escaped, Effect::Tool, "Pass options to tileiras."),
    row("time", "time", Arity::Value, Effect::Bypass(BypassReason::Timing), "Append the time of each stage to a file."),
    row("tool-name", "tool-name", Arity::Value, Effect::Bypass(BypassReason::ToolOption), "Rename nvcc in its own messages."),
    row("undefine-macro", "U", Arity::Escaped, Effect::Macro, "Undefine a macro."),
    row("use-cubin", "use-cubin", Arity::Pairs, Effect::Bypass(BypassReason::ToolOption), "Embed a cubin that no key covers."),
    row("use-local-env", "use-local-env", Arity::Flag, Effect::Code, "Trust the environment of cl.exe; nothing on Linux."),
    row("use_fast_math", "use_fast_math", Arity::Flag, Effect::Code, "Use fast, less exact mathematics."),
    row("utf-8", "utf-8", Arity::Flag, Effect::Code, "Read sources as UTF-8."),
    row("verbose", "v", Arity::Flag, Effect::Bypass(BypassReason::Verbose), "Print the commands while running them."),
    row("verbose2", "v2", Arity::Flag, Effect::Bypass(BypassReason::Verbose), "Print the commands and their progress."),
    row("version", "V", Arity::Flag, Effect::Bypass(BypassReason::Information), "Print the version."),
    row("version-ident", "", Arity::Bool, Effect::Code, "Put a version into the PTX."),
    row("x", "x", Arity::Value, Effect::Code, "Set the language of all inputs."),
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
