//! `pcache-nvcc`: takes nvcc's arguments and nothing else. It is called by its own name, as a link called `nvcc`, or
//! as a launcher with the compiler's path as the first argument. Unless a compile is a hit or a successful miss, this
//! process becomes the real nvcc with the original arguments. A launcher's compiler that is no nvcc is always run.

#![no_main]

use pcache_nvcc::compile::{Detour, StoreView, compile, recheck};
use pcache_nvcc::config::{Config, unknown_variables};
use pcache_nvcc::exec::{Interrupted, Slots};
use pcache_nvcc::includes::digests::{DigestTable, MappingGuard};
use pcache_nvcc::journal::{self, Compile, CompileOutcome, Recorder};
use pcache_nvcc::log::{Block, Log};
use pcache_nvcc::notice;
use pcache_nvcc::outcome::{Bypass, BypassReason, Fallback, FallbackReason};
use pcache_nvcc::remote::Remote;
use pcache_nvcc::stats::{Counter, Stats};
use pcache_nvcc::store::{FileStore, Flights, StoreError};
use pcache_nvcc::toolchain::{
    KeyedSettings, LaunchedProgram, MemoAccess, Memos, Search, find_launched, is_program,
    is_recursive, look_up, nvcc_command,
};
use pcache_nvcc::visible;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::stdio::{stderr, stdin, stdout};
use std::cell::OnceCell;
use std::env;
use std::ffi::{OsStr, OsString, c_char, c_int};
use std::fmt::Display;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Exit statuses.
const FAILURE: c_int = 1;

/// The entry point, called by the C library. The start-up code of Rust's standard library would first read this
/// process's memory map and prepare for a stack overflow, which takes a quarter of the system calls of a small hit.
// SAFETY: nothing else in this program has this name, and the C library calls it as C's `main`.
#[unsafe(no_mangle)]
extern "C" fn main(_: c_int, _: *const *const c_char) -> c_int {
    // The rest of what Rust's start-up code does: a file that is opened must not get the descriptor of a closed
    // standard stream, and a closed pipe must be an error of the write. (`Command` resets SIGPIPE for children.)
    fill_streams();
    // SAFETY: SIG_IGN installs no handler.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    run()
}

/// Opens the null device for each standard stream that is closed.
fn fill_streams() {
    let streams = [stdin(), stdout(), stderr()];
    let mut streams = streams.map(|stream| PollFd::from_borrowed_fd(stream, PollFlags::empty()));
    let polled = poll(&mut streams, Some(&Timespec::default()));
    let is_closed = |stream: &PollFd<'_>| stream.revents().contains(PollFlags::NVAL);
    if polled.is_ok_and(|count| count > 0) {
        for _ in streams.iter().filter(|stream| is_closed(stream)) {
            // `open` returns the lowest free descriptor, which is that of the stream.
            let null = File::options().read(true).write(true).open("/dev/null");
            std::mem::forget(null);
        }
    }
}

fn run() -> c_int {
    let mut args = env::args_os();
    let own_name = args.next().unwrap_or_default();
    let args: Vec<_> = args.collect();
    let (config, problems) = Config::load(&|name| env::var_os(name));
    for problem in problems {
        notice::say_once(&problem.to_string());
    }
    let (launcher, args) = split_launcher(&own_name, &args);
    match launched(&config, launcher, own_name.clone().into()) {
        Ok(program) => run_with(&program, args, &config),
        Err(message) => fail(&message),
    }
}

fn launched(
    config: &Config,
    launcher: Option<PathBuf>,
    called: PathBuf,
) -> Result<LaunchedProgram, String> {
    let search = Search {
        setting: config.nvcc.value.clone(),
        launcher,
        called: Some(called),
        path: env::var_os("PATH"),
        cuda_home: env::var_os("CUDA_HOME").or_else(|| env::var_os("CUDA_PATH")),
        // This link leads to the program's file even if that has been replaced or removed.
        own: Some("/proc/self/exe".into()),
    };
    let launched = find_launched(&search).map_err(|error| error.to_string())?;
    if is_recursive() {
        let (LaunchedProgram::Nvcc(program) | LaunchedProgram::Other(program)) = &launched;
        let program = program.display();
        return Err(format!(
            "{program} leads back to pcache-nvcc; set PCACHE_NVCC to the real nvcc"
        ));
    }
    Ok(launched)
}

fn run_with(program: &LaunchedProgram, args: &[OsString], config: &Config) -> c_int {
    let log = Log::open(config.log.value.as_deref());
    let mut block = log.block(args);
    let recorder = Recorder::begin(block.is_kept());
    note_unknown_variables(&recorder, &block);
    // Without a usable cache the compile still runs, with stand-ins that store nothing.
    let store = FileStore::from_config(config);
    let own = store.as_ref().ok().and_then(FileStore::own_root);
    let is_readonly = store.as_ref().is_ok_and(|store| !store.may_change_own());
    let no_stats = Stats::nowhere();
    let stats = store.as_ref().map_or(&no_stats, FileStore::stats);
    note_unusable(&recorder, store.as_ref().err());
    let digests = config.direct.value.then(|| match own {
        None => DigestTable::nowhere(),
        Some(own) => DigestTable::open_mapped(own, is_readonly, MappingGuard::set()),
    });
    let memos = own.map(|own| Memos::open_in(Arc::clone(own), memo_access(is_readonly)));
    let own = own.map(|own| own.path.as_path());
    let cache = StoreView {
        store: store.as_ref().ok(),
        stats,
        memos,
        readonly: config.readonly.value
            || store.as_ref().is_ok_and(|store| store.refusal().is_some()),
        recache: config.recache.value,
        flights: Flights::new(own),
        slots: Slots::new(config.jobs.value.number(), own, env::var_os("MAKEFLAGS"))
            .with_patience(config.wait.value),
        stages: config.stages.value,
        semantic: config.semantic.value,
        driver: &config.driver.value,
        base_dir: &config.base_dir.value,
        keyed_settings: KeyedSettings::of(config),
        wait: config.wait.value,
        digests: digests.as_ref(),
        remote: own.and_then(|own| Remote::new(config, own, stats)),
        trouble: OnceCell::new(),
    };
    let detour = attempt(program, args, config, &cache, &recorder).err();
    // Everything is counted and recorded before the process ends or becomes nvcc.
    note(stats, &recorder, detour.as_ref(), args);
    let record = finished(&cache, &recorder);
    count_time(stats, &record);
    recorder.write_block(&record, &mut block);
    follow_up(&cache, detour.as_ref(), &record, (args, config));
    if let Some(store) = cache.store {
        // Best effort: a lost record only affects reports.
        let _ = store.note(&record.to_text());
    }
    log.append(block)
        .unwrap_or_else(|_| stats.add(Counter::Error, 1));
    cache.trouble.get().into_iter().for_each(say_trouble);
    match detour {
        // Nothing is left to clean up; the kernel unmaps the pages.
        None => std::process::exit(0),
        Some(Detour::Interrupted(signal)) => interrupted(signal),
        Some(_) => become_program(program, args),
    }
}

fn note_unusable(recorder: &Recorder, error: Option<&StoreError>) {
    if let Some(error) = error {
        recorder.note("cache", error);
        say_trouble(error);
    }
}

/// A misspelled variable must not put a line between the messages of every compile, so it is in the log alone.
fn note_unknown_variables(recorder: &Recorder, block: &Block) {
    if !block.is_kept() {
        return;
    }
    for unknown in unknown_variables(env::vars_os().map(|(name, _)| name)) {
        recorder.note("settings", format_args!("{unknown}; {}", unknown.advice()));
    }
}

/// The journal's record, with how long the compile has waited for servers.
fn finished(cache: &StoreView<'_>, recorder: &Recorder) -> Compile {
    if let Some(remote) = &cache.remote {
        recorder.update(|record| record.remote_wait = remote.waited());
    }
    recorder.finish()
}

/// What a compile does for others once its own outputs are there.
fn follow_up(
    cache: &StoreView<'_>,
    detour: Option<&Detour>,
    record: &Compile,
    (args, config): (&[OsString], &Config),
) {
    if detour.is_none() && is_hit(record) && recheck::is_due(config) {
        say_rechecked(args, cache.stats);
    }
    if let Some(remote) = &cache.remote {
        remote.finish();
    }
}

fn is_hit(record: &Compile) -> bool {
    matches!(
        record.level,
        CompileOutcome::DirectHit | CompileOutcome::PreprocessedHit
    )
}

/// Compiles a hit again. A difference is said on standard error, since those who run the cache must know.
fn say_rechecked(args: &[OsString], stats: &Stats) {
    match recheck::recheck(args, stats) {
        Ok(None) => {}
        Ok(Some(output)) => say(&format!(
            "PCACHE_RECHECK: the cache gave other bytes for {} than a new compile, which are there now; run pcache verify, and pcache clear if the cause is not known",
            output.display()
        )),
        Err(error) => say(&format!("PCACHE_RECHECK: nothing was compared: {error}")),
    }
}

fn memo_access(is_readonly: bool) -> MemoAccess {
    if is_readonly {
        MemoAccess::Read
    } else {
        MemoAccess::ReadWrite
    }
}

/// Compiles through the cache. A panic of ours is turned into a detour.
fn attempt(
    program: &LaunchedProgram,
    args: &[OsString],
    config: &Config,
    cache: &StoreView<'_>,
    recorder: &Recorder,
) -> Result<(), Detour> {
    if config.disable.value {
        return Err(Bypass::new(BypassReason::Disabled, "").into());
    }
    let nvcc = match program {
        LaunchedProgram::Nvcc(nvcc) => nvcc,
        LaunchedProgram::Other(other) => {
            let other = journal::text(other.as_os_str());
            return Err(Bypass::new(BypassReason::OtherCompiler, other).into());
        }
    };
    // stderr belongs to nvcc: the message of a panic goes to the log.
    std::panic::set_hook(Box::new(|_| {}));
    let result = catch_unwind(AssertUnwindSafe(|| compile(nvcc, args, cache, recorder)));
    result.unwrap_or_else(|panic| {
        let message = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Fallback::new(FallbackReason::Internal, message.unwrap_or_default()).into())
    })
}

/// Counts and records a detour. Compiles without one have recorded their units already.
fn note(stats: &Stats, recorder: &Recorder, detour: Option<&Detour>, args: &[OsString]) {
    let (level, reason, detail) = match detour {
        // Does not come here: what has come was delivered.
        None | Some(Detour::Overtaken(_)) => return,
        Some(Detour::Bypass(bypass)) => {
            stats.add(Counter::Bypassed(bypass.reason), 1);
            let (code, detail) = (bypass.reason.code(), &bypass.detail);
            recorder.note("bypass", format_args!("{code} {detail}"));
            (CompileOutcome::Bypass, Some(code), Some(detail.clone()))
        }
        Some(Detour::Fallback(fallback)) => {
            stats.add(Counter::Fallback(fallback.reason), 1);
            let (code, detail) = (fallback.reason.code(), &fallback.detail);
            recorder.note("fallback", format_args!("{code} {detail}"));
            (CompileOutcome::Fallback, Some(code), Some(detail.clone()))
        }
        Some(Detour::Interrupted(signal)) => {
            let text = format!("signal {}", signal.number());
            recorder.note("interrupted", &text);
            (CompileOutcome::Interrupted, None, Some(text))
        }
    };
    recorder.update(|record| {
        record.level = level;
        record.reason = reason.map(str::to_owned);
        record.detail = detail.filter(|detail| !detail.is_empty());
        if record.directory.is_empty() {
            let directory = env::current_dir().unwrap_or_default();
            record.directory = journal::text(directory.as_os_str());
            (record.sources, record.output) = named_files(args);
        }
    });
}

/// The sources and the output of a command line that has not been parsed, recognised by their names, for searches in
/// the journal.
fn named_files(args: &[OsString]) -> (Vec<String>, Option<String>) {
    const SOURCES: [&str; 5] = ["cu", "c", "cc", "cpp", "cxx"];
    let is_source = |arg: &&OsString| {
        let suffix = Path::new(arg).extension().and_then(OsStr::to_str);
        !arg.as_bytes().starts_with(b"-") && suffix.is_some_and(|suffix| SOURCES.contains(&suffix))
    };
    let sources = args.iter().filter(is_source);
    let sources = sources.map(|arg| journal::text(arg)).collect();
    let flag = args.iter().position(|arg| arg == "-o");
    let output = flag.and_then(|flag| args.get(flag + 1));
    (sources, output.map(|arg| journal::text(arg)))
}

/// Adds the time that a hit has saved, or that a miss has taken, to the counters.
fn count_time(stats: &Stats, record: &Compile) {
    for (counter, milliseconds) in [
        (Counter::SavedMilliseconds, record.saved()),
        (Counter::SpentMilliseconds, record.spent()),
    ] {
        if milliseconds > 0 {
            stats.add(counter, milliseconds);
        }
    }
}

/// Splits off a compiler in the first argument, as CMake passes it to launchers. Under the name `nvcc` there is none.
fn split_launcher<'a>(own_name: &OsStr, args: &'a [OsString]) -> (Option<PathBuf>, &'a [OsString]) {
    let is_nvcc = Path::new(own_name).file_name() == Some("nvcc".as_ref());
    let Some((first, rest)) = args.split_first().filter(|_| !is_nvcc) else {
        return (None, args);
    };
    let path = Path::new(first);
    let is_path = first.as_bytes().contains(&b'/');
    // A source is never a compiler, even on file systems that mark every file executable.
    let is_compiler = if is_path {
        path.extension().is_none_or(|suffix| suffix == "exe") && is_program(path)
    } else {
        first == "nvcc" || (!rest.is_empty() && is_bare_program(first))
    };
    if is_compiler {
        (Some(path.to_owned()), rest)
    } else {
        (None, args)
    }
}

/// Whether `name` is a program of PATH, such as `g++`, and not an argument of nvcc: that would be a file with a suffix.
fn is_bare_program(name: &OsStr) -> bool {
    let path = Path::new(name);
    let is_word = !b"-@".contains(name.as_bytes().first().unwrap_or(&b'-'));
    let is_candidate = is_word && path.extension().is_none() && !path.exists();
    is_candidate && look_up(name, &env::var_os("PATH").unwrap_or_default()).is_some()
}

fn become_program(program: &LaunchedProgram, args: &[OsString]) -> c_int {
    let (LaunchedProgram::Nvcc(path) | LaunchedProgram::Other(path)) = program;
    let error = nvcc_command(path).args(args).exec();
    fail(&format!("cannot run {}: {error}", path.display()))
}

/// Ends as nvcc does on the same signal, as observed with 12.4 to 13.5.
fn interrupted(signal: Interrupted) -> c_int {
    match signal {
        Interrupted::Int => 2,
        Interrupted::Term => {
            eprintln!("nvcc: Terminated");
            255
        }
        Interrupted::Hup => {
            // Ends the process with the signal itself; the exit status is only used if that fails.
            let _ = signal_hook::low_level::emulate_default_handler(signal.number());
            129
        }
    }
}

fn say_trouble(error: impl Display) {
    notice::say_once(&format!("the cache: {error}; pcache doctor tells more"));
}

fn say(text: &str) {
    eprintln!("pcache-nvcc: {}", visible::line(text));
}

fn fail(text: &str) -> c_int {
    say(text);
    FAILURE
}
