//! `pcache-nvcc`: takes nvcc's arguments and nothing else, as itself, as a link called `nvcc`, or as
//! a launcher with the compiler's path first. Whatever is not a hit or a clean miss becomes the real
//! nvcc with the original arguments.

#![no_main]

use pcache_nvcc::compile::{Detour, StoreView, compile};
use pcache_nvcc::config::Config;
use pcache_nvcc::exec::{Interrupted, Slots};
use pcache_nvcc::includes::digests::{DigestTable, MappingGuard};
use pcache_nvcc::journal::{self, Compile, CompileOutcome, Recorder};
use pcache_nvcc::log::Log;
use pcache_nvcc::outcome::{Bypass, BypassReason, Fallback, FallbackReason};
use pcache_nvcc::stats::{Counter, Stats};
use pcache_nvcc::store::{FileStore, Flights};
use pcache_nvcc::toolchain::{
    MemoAccess, Memos, Search, find_nvcc, is_program, is_recursive, nvcc_command,
};
use pcache_nvcc::visible;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::stdio::{stderr, stdin, stdout};
use std::env;
use std::ffi::{OsStr, OsString, c_char, c_int};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Exit statuses.
const FAILURE: c_int = 1;

/// What the C library starts. The start of Rust's own library would read this process's memory map and
/// prepare for a stack overflow first, with a fourth of the system calls that a small hit makes.
// SAFETY: nothing else of this program has this name, and the C library calls it as C's `main`.
#[unsafe(no_mangle)]
extern "C" fn main(_: c_int, _: *const *const c_char) -> c_int {
    // What else Rust's start does: a file that is opened must not become a closed stream's, and a
    // reader that goes away is an error of the write. (`Command` gives children the default back.)
    fill_streams();
    // SAFETY: no handler is installed that could do anything.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    run()
}

/// Opens the null device in the place of streams that are closed.
fn fill_streams() {
    let streams = [stdin(), stdout(), stderr()];
    let mut streams = streams.map(|stream| PollFd::from_borrowed_fd(stream, PollFlags::empty()));
    let polled = poll(&mut streams, Some(&Timespec::default()));
    let is_closed = |stream: &PollFd<'_>| stream.revents().contains(PollFlags::NVAL);
    if polled.is_ok_and(|found| found > 0) {
        for _ in streams.iter().filter(|stream| is_closed(stream)) {
            // The lowest number that is free is given.
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
        say(&problem.to_string());
    }
    let (launcher, args) = split_launcher(&own_name, &args);
    match real_nvcc(&config, launcher) {
        Ok(nvcc) => run_with(&nvcc, args, &config),
        Err(text) => fail(&text),
    }
}

fn real_nvcc(config: &Config, launcher: Option<PathBuf>) -> Result<PathBuf, String> {
    let search = Search {
        setting: config.nvcc.value.clone(),
        launcher,
        path: env::var_os("PATH"),
        cuda_home: env::var_os("CUDA_HOME").or_else(|| env::var_os("CUDA_PATH")),
        // The link of this process: it leads to the file even where that was replaced or removed.
        own: Some("/proc/self/exe".into()),
    };
    let nvcc = find_nvcc(&search).map_err(|error| error.to_string())?;
    if is_recursive() {
        let nvcc = nvcc.display();
        return Err(format!(
            "{nvcc} leads back to pcache-nvcc; set PCACHE_NVCC to the real nvcc"
        ));
    }
    Ok(nvcc)
}

fn run_with(nvcc: &Path, args: &[OsString], config: &Config) -> c_int {
    let log = Log::open(config.log.value.as_deref());
    let mut block = log.block(args);
    let recorder = Recorder::begin(block.is_kept());
    let opened = FileStore::from_config(config);
    let own = opened.as_ref().ok().and_then(FileStore::own_root);
    let is_kept = opened.as_ref().is_ok_and(|store| !store.may_change_own());
    let elsewhere = Stats::nowhere();
    let stats = opened.as_ref().map_or(&elsewhere, FileStore::stats);
    if let Err(error) = &opened {
        recorder.note("cache", error);
    }
    let digests = config.direct.value.then(|| match own {
        None => DigestTable::nowhere(),
        Some(own) => DigestTable::open_mapped(own, is_kept, MappingGuard::set()),
    });
    let memo_access = if is_kept {
        MemoAccess::Read
    } else {
        MemoAccess::ReadWrite
    };
    let memos = own.map(|own| Memos::open_in(Arc::clone(own), memo_access));
    let own = own.map(|own| own.path.as_path());
    let cache = StoreView {
        store: opened.as_ref().ok(),
        stats,
        memos,
        readonly: config.readonly.value
            || opened.as_ref().is_ok_and(|store| store.refusal().is_some()),
        recache: config.recache.value,
        flights: Flights::new(own),
        slots: Slots::new(config.jobs.value.number(), own, env::var_os("MAKEFLAGS"))
            .with_patience(config.wait.value),
        stages: config.stages.value,
        semantic: config.semantic.value,
        wait: config.wait.value,
        digests: digests.as_ref(),
    };
    let detour = attempt(nvcc, args, config, &cache, &recorder).err();
    note(stats, &recorder, detour.as_ref(), args);
    let record = recorder.finish();
    count_time(stats, &record);
    recorder.write_block(&record, &mut block);
    if let Some(store) = cache.store {
        // Best effort: a lost record only affects reports.
        let _ = store.note(&record.to_text());
    }
    if log.append(block).is_err() {
        stats.add(Counter::Error, 1);
    }
    match detour {
        // Everything that must be tidied up is; unmapping pages is the kernel's work.
        None => std::process::exit(0),
        Some(Detour::Interrupted(signal)) => interrupted(signal),
        Some(Detour::Bypass(_) | Detour::Fallback(_)) => become_nvcc(nvcc, args),
    }
}

/// Compiles through the cache. A failure of our own is a detour like any other.
fn attempt(
    nvcc: &Path,
    args: &[OsString],
    config: &Config,
    cache: &StoreView<'_>,
    recorder: &Recorder,
) -> Result<(), Detour> {
    if config.disable.value {
        return Err(Bypass::new(BypassReason::Disabled, "").into());
    }
    // stderr is nvcc's: a failure of ours goes to the log.
    std::panic::set_hook(Box::new(|_| {}));
    let tried = catch_unwind(AssertUnwindSafe(|| compile(nvcc, args, cache, recorder)));
    tried.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Fallback::new(FallbackReason::Internal, text.unwrap_or_default()).into())
    })
}

/// Counts and tells how it ended; units have been noted already.
fn note(stats: &Stats, recorder: &Recorder, detour: Option<&Detour>, args: &[OsString]) {
    let (level, reason, detail) = match detour {
        None => return,
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
    recorder.tell(|found| {
        found.level = level;
        found.reason = reason.map(str::to_owned);
        found.detail = detail.filter(|detail| !detail.is_empty());
        if found.directory.is_empty() {
            let directory = env::current_dir().unwrap_or_default();
            found.directory = journal::text(directory.as_os_str());
            (found.sources, found.output) = named_files(args);
        }
    });
}

/// The sources and the output of a command line that was not read to its end, as far as their names
/// tell, for searches in the journal.
fn named_files(args: &[OsString]) -> (Vec<String>, Option<String>) {
    const SOURCES: [&str; 5] = ["cu", "c", "cc", "cpp", "cxx"];
    let is_source = |arg: &&OsString| {
        let suffix = Path::new(arg).extension().and_then(OsStr::to_str);
        !arg.as_bytes().starts_with(b"-") && suffix.is_some_and(|found| SOURCES.contains(&found))
    };
    let sources = args.iter().filter(is_source);
    let sources = sources.map(|arg| journal::text(arg)).collect();
    let output = args.iter().position(|arg| arg == "-o");
    let output = output.and_then(|at| args.get(at + 1));
    (sources, output.map(|arg| journal::text(arg)))
}

/// Counts what a hit has saved, or what a compile has cost.
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

/// A compiler named first, as CMake's launchers are given one. Never under the name `nvcc`.
fn split_launcher<'a>(own_name: &OsStr, args: &'a [OsString]) -> (Option<PathBuf>, &'a [OsString]) {
    let is_nvcc = Path::new(own_name).file_name() == Some("nvcc".as_ref());
    let Some((first, rest)) = args.split_first().filter(|_| !is_nvcc) else {
        return (None, args);
    };
    let path = Path::new(first);
    let is_path = first.as_bytes().contains(&b'/');
    // A source is never a compiler, even where everything is marked executable.
    let named = if is_path {
        path.extension().is_none_or(|suffix| suffix == "exe") && is_program(path)
    } else {
        first == "nvcc"
    };
    if named {
        (Some(path.to_owned()), rest)
    } else {
        (None, args)
    }
}

fn become_nvcc(nvcc: &Path, args: &[OsString]) -> c_int {
    let error = nvcc_command(nvcc).args(args).exec();
    fail(&format!("cannot run {}: {error}", nvcc.display()))
}

/// Ends as nvcc does on the same signal: observed on 12.4 to 13.5.
fn interrupted(signal: Interrupted) -> c_int {
    match signal {
        Interrupted::Int => 2,
        Interrupted::Term => {
            eprintln!("nvcc: Terminated");
            255
        }
        Interrupted::Hup => {
            // Ends the process by the signal itself; the code is for the case that it cannot.
            let _ = signal_hook::low_level::emulate_default_handler(signal.number());
            129
        }
    }
}

fn say(text: &str) {
    eprintln!("pcache-nvcc: {}", visible::line(text));
}

fn fail(text: &str) -> c_int {
    say(text);
    FAILURE
}
