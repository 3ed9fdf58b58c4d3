//! Many processes that run children at once: never more than there are slots, whoever gives them out,
//! and whatever becomes of those who hold them. The processes are this test program again.

use crate::again::{ROOT, WRITER, command, name_of, role, start};
use crate::poll;
use pcache_nvcc::exec::{Command, Failure, Signals, Slots, run_all};
use rustix::fs::{Mode, OFlags, fcntl_getfl, mkfifoat};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, kill_process};
use std::env;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

const PROCESSES: usize = 16;

/// Children of each process.
const CHILDREN: usize = 3;

/// Enters the yard `$0`, counts who is in it and alive, and leaves. Whose process is killed does not
/// leave by itself.
const VISIT: &str = r#"
    : > "$0/at/$$"
    n=0
    for path in "$0"/at/*; do
        state=$(sed -n 's/^State:[^A-Z]*\(.\).*/\1/p' "/proc/${path##*/}/status" 2>/dev/null)
        case $state in ''|Z|X) ;; *) n=$((n + 1)) ;; esac
    done
    echo $n >> "$0/counts"
    sleep 0.02
    rm "$0/at/$$""#;

/// Stays until it is killed, with a child of its own, and says so.
const STAY: &str = r#"sleep 600 & echo $! > "$0/grandchild"; echo $$ > "$0/child"; wait"#;

/// Stays until it is killed, alone, and says so.
const HOLD: &str = r#"echo $$ >> "$0/holders"; exec sleep 600"#;

/// Only where the killed one's grandchild is gone.
const FOLLOW: &str = r#"
    state=$(sed -n 's/^State:[^A-Z]*\(.\).*/\1/p' "/proc/$(cat "$0/grandchild")/status" 2>/dev/null)
    case $state in ''|Z|X) ;; *) exit 1 ;; esac"#;

/// A directory where processes meet: a cache, and marks of those who are there.
struct Yard {
    dir: tempfile::TempDir,
}

impl Yard {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for made in ["at", "cache"] {
            fs::create_dir(dir.path().join(made)).unwrap();
        }
        Self { dir }
    }

    fn root(&self) -> &Path {
        self.dir.path()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// How many were there at once, as each of them saw it.
    fn counts(&self) -> Vec<usize> {
        let text = fs::read_to_string(self.path("counts")).unwrap();
        text.lines().map(|line| line.parse().unwrap()).collect()
    }

    /// The number of the process that wrote it to `name`, when it has.
    fn pid(&self, name: &str) -> Pid {
        poll::until(&format!("a process says that it is the {name}"), || {
            let text = fs::read_to_string(self.path(name)).ok()?;
            Pid::from_raw(text.strip_suffix('\n')?.parse().ok()?)
        })
    }
}

/// Whether it runs. Orphans are reaped by others, or not at all.
fn is_alive(pid: Pid) -> bool {
    let path = format!("/proc/{}/stat", pid.as_raw_nonzero());
    let text = fs::read_to_string(path).unwrap_or_default();
    let state = text
        .rsplit_once(") ")
        .and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| !"ZX".contains(state))
}

/// Runs `scripts` side by side in the yard at `root`, as process `number`, on a pool of `jobs` or make's
/// tokens.
fn run(root: &Path, number: usize, jobs: usize, scripts: &[&str]) -> Result<(), Failure> {
    let shell = |(at, script): (usize, &&str)| Command {
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script.into(), root.into()],
        stdout: root.join(format!("{number}.{at}.out")),
        stderr: root.join(format!("{number}.{at}.err")),
    };
    let commands: Vec<_> = scripts.iter().enumerate().map(shell).collect();
    let cache = root.join("cache");
    let jobs = NonZeroUsize::new(jobs);
    let slots = Slots::new(jobs, Some(&cache), env::var_os("MAKEFLAGS"));
    let signals = Signals::install().unwrap();
    run_all(&commands, &[], scripts.len(), &slots, &signals)
}

fn kill(child: &mut Child) -> ExitStatus {
    child.kill().unwrap();
    child.wait().unwrap()
}

#[test]
fn sixteen_processes_on_a_pool_of_two_run_two_children_at_once() {
    if let Some((root, number)) = role() {
        return run(&root, number, 2, &[VISIT; CHILDREN]).unwrap();
    }
    let yard = Yard::new();
    let name = name_of(sixteen_processes_on_a_pool_of_two_run_two_children_at_once);
    let children: Vec<_> = (0..PROCESSES)
        .map(|number| start(name, yard.root(), number))
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let counts = yard.counts();
    assert_eq!(counts.len(), PROCESSES * CHILDREN);
    assert!(counts.iter().all(|count| *count <= 2), "{counts:?}");
    assert!(counts.contains(&2), "nobody met anybody");
}

#[test]
fn processes_killed_in_their_slots_hold_nobody_up_and_break_no_limit() {
    if let Some((root, number)) = role() {
        return run(&root, number, 2, &[VISIT; CHILDREN]).unwrap();
    }
    let yard = Yard::new();
    let name = name_of(processes_killed_in_their_slots_hold_nobody_up_and_break_no_limit);
    let mut children: Vec<_> = (0..PROCESSES)
        .map(|number| start(name, yard.root(), number))
        .collect();
    for _ in 0..4 {
        // The first one that has begun and not ended, if there is any left.
        let begun = children.iter().position(|child| {
            let parent = format!("PPid:\t{}\n", child.id());
            let visitors = fs::read_dir(yard.path("at")).unwrap().flatten();
            visitors.map(|visitor| visitor.file_name()).any(|pid| {
                let status = Path::new("/proc").join(pid).join("status");
                fs::read_to_string(status).is_ok_and(|text| text.contains(&parent))
            })
        });
        if let Some(begun) = begun {
            kill(&mut children.remove(begun));
        }
    }
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let counts = yard.counts();
    assert!(counts.iter().all(|count| *count <= 2), "{counts:?}");
}

#[test]
fn killed_process_takes_its_child_along_and_its_grandchild_keeps_the_slot() {
    if let Some((root, number)) = role() {
        let script = [STAY, FOLLOW][number];
        return run(&root, number, 1, &[script]).unwrap();
    }
    let yard = Yard::new();
    let name = name_of(killed_process_takes_its_child_along_and_its_grandchild_keeps_the_slot);
    let mut first = start(name, yard.root(), 0);
    let (child, grandchild) = (yard.pid("child"), yard.pid("grandchild"));
    let mut second = start(name, yard.root(), 1);
    kill(&mut first);
    poll::until("the child is gone", || (!is_alive(child)).then_some(()));
    assert!(is_alive(grandchild));
    let open = format!("/proc/{}/fd", second.id());
    poll::until("the second one waits", || {
        let mut open = fs::read_dir(&open).ok()?.flatten();
        open.any(|entry| fs::read_link(entry.path()).is_ok_and(|to| to.ends_with("locks/slots")))
            .then_some(())
    });
    // Many looks long: had it the slot, it would find the grandchild alive, and fail.
    thread::sleep(Duration::from_millis(200));
    kill_process(grandchild, Signal::KILL).unwrap();
    assert!(second.wait().unwrap().success());
}

/// What make does: hands out tokens through a pipe, and takes one itself for each process that it
/// starts.
struct Make {
    yard: Yard,
    reader: Mutex<File>,
    writer: File,
    flags: String,
    tokens: &'static [u8],
}

impl Make {
    fn pipe(tokens: &'static [u8]) -> Self {
        let (reader, writer) = std::io::pipe().unwrap();
        let (reader, writer) = (OwnedFd::from(reader), OwnedFd::from(writer));
        for end in [&reader, &writer] {
            fcntl_setfd(end, FdFlags::empty()).unwrap();
        }
        let auth = format!("{},{}", reader.as_raw_fd(), writer.as_raw_fd());
        Self::with(Yard::new(), reader.into(), writer.into(), &auth, tokens)
    }

    fn fifo(tokens: &'static [u8]) -> Self {
        let yard = Yard::new();
        let path = yard.path("fifo");
        mkfifoat(rustix::fs::CWD, &path, Mode::RWXU).unwrap();
        let open = || File::options().read(true).write(true).open(&path).unwrap();
        let (reader, writer) = (open(), open());
        let auth = format!("fifo:{}", path.display());
        Self::with(yard, reader, writer, &auth, tokens)
    }

    fn with(yard: Yard, reader: File, mut writer: File, auth: &str, tokens: &'static [u8]) -> Self {
        writer.write_all(tokens).unwrap();
        Self {
            yard,
            reader: Mutex::new(reader),
            writer,
            flags: format!(" -j{} --jobserver-auth={auth}", tokens.len()),
            tokens,
        }
    }

    /// Runs process `number` in a slot of its own, and `then` while it runs.
    fn run(&self, test: &str, number: usize, then: impl FnOnce(&mut Child)) -> ExitStatus {
        let mut token = [0];
        self.reader.lock().unwrap().read_exact(&mut token).unwrap();
        let mut prepared = command(test, self.yard.root(), number);
        let mut child = prepared.env("MAKEFLAGS", &self.flags).spawn().unwrap();
        then(&mut child);
        let status = child.wait().unwrap();
        (&self.writer).write_all(&token).unwrap();
        status
    }

    /// The tokens that are in the pipe, sorted, when nobody uses it any more.
    fn left(self) -> Vec<u8> {
        let reader = self.reader.into_inner().unwrap();
        let flags = fcntl_getfl(reader.as_fd()).unwrap();
        assert!(!flags.contains(OFlags::NONBLOCK), "it must go on blocking");
        (&self.writer).write_all(b"\n").unwrap();
        let mut left = Vec::new();
        BufReader::new(reader).read_until(b'\n', &mut left).unwrap();
        left.pop();
        left.sort_unstable();
        left
    }
}

/// Jobservers of both kinds with one, two and four tokens, which are all different.
fn jobservers() -> impl Iterator<Item = Make> {
    let tokens: [&'static [u8]; 3] = [b"a", b"ab", b"abcd"];
    let makers = [Make::pipe, Make::fifo];
    makers.into_iter().flat_map(move |make| tokens.map(make))
}

#[test]
fn under_make_no_more_children_run_than_there_are_tokens() {
    if let Some((root, number)) = role() {
        return run(&root, number, 100, &[VISIT; CHILDREN]).unwrap();
    }
    let name = name_of(under_make_no_more_children_run_than_there_are_tokens);
    for make in jobservers() {
        thread::scope(|scope| {
            for number in 0..PROCESSES {
                let make = &make;
                scope.spawn(move || assert!(make.run(name, number, |_| ()).success()));
            }
        });
        let (counts, tokens) = (make.yard.counts(), make.tokens);
        assert_eq!(counts.len(), PROCESSES * CHILDREN);
        let most = counts.iter().max().unwrap();
        assert!(*most <= tokens.len(), "{}: {counts:?}", make.flags);
        assert!(tokens.len() == 1 || *most > 1, "{}: {counts:?}", make.flags);
        assert_eq!(make.left(), tokens);
    }
}

#[test]
fn single_process_under_make_uses_every_token() {
    /// Ends when there are as many as there are tokens.
    const MEET: &str = r#": > "$0/at/$$"
        until [ $(ls "$0/at" | wc -l) -ge $TOKENS ]; do sleep 0.01; done"#;
    if let Some((root, number)) = role() {
        let tokens: usize = env::var("MAKEFLAGS").unwrap()[3..4].parse().unwrap();
        let script = MEET.replace("$TOKENS", &tokens.to_string());
        return run(&root, number, 1, &vec![script.as_str(); tokens]).unwrap();
    }
    for make in jobservers() {
        let tokens = make.tokens;
        let name = name_of(single_process_under_make_uses_every_token);
        assert!(make.run(name, 0, |_| ()).success());
        assert_eq!(make.left(), tokens);
    }
}

#[test]
fn signal_gives_every_token_back() {
    if let Some((root, number)) = role() {
        let ended = run(&root, number, 1, &[STAY; CHILDREN]);
        assert!(matches!(ended, Err(Failure::Interrupted(_))), "{ended:?}");
        return;
    }
    for make in jobservers() {
        let tokens = make.tokens;
        let status = make.run(name_of(signal_gives_every_token_back), 0, |child| {
            let grandchild = make.yard.pid("grandchild");
            kill_process(Pid::from_child(child), Signal::TERM).unwrap();
            poll::until("the grandchild is gone", || {
                (!is_alive(grandchild)).then_some(())
            });
        });
        assert!(status.success());
        assert_eq!(make.left(), tokens);
    }
}

#[test]
fn process_killed_with_tokens_loses_no_others_and_holds_nobody_up() {
    if let Some((root, number)) = role() {
        let script = if number == 0 { HOLD } else { VISIT };
        return run(&root, number, 1, &[script; CHILDREN]).unwrap();
    }
    let name = name_of(process_killed_with_tokens_loses_no_others_and_holds_nobody_up);
    for make in jobservers() {
        let tokens = make.tokens;
        let status = make.run(name, 0, |child| {
            poll::until("it holds all that it can get", || {
                let holders = fs::read_to_string(make.yard.path("holders")).ok()?;
                (holders.lines().count() == CHILDREN.min(tokens.len())).then_some(())
            });
            kill(child);
        });
        assert_eq!(status.signal(), Some(Signal::KILL.as_raw()));
        thread::scope(|scope| {
            for number in 1..PROCESSES {
                let make = &make;
                scope.spawn(move || assert!(make.run(name, number, |_| ()).success()));
            }
        });
        let most = make.yard.counts().into_iter().max().unwrap();
        assert!(most <= tokens.len(), "{most} at once");
        let left = make.left();
        let lost = CHILDREN.min(tokens.len()) - 1;
        assert_eq!(left.len(), tokens.len() - lost, "{left:?} of {tokens:?}");
        assert!(left.iter().all(|token| tokens.contains(token)));
    }
}

#[test]
fn real_make_misses_none_of_its_tokens() {
    if let Some((root, number)) = role() {
        return run(&root, number, 100, &[VISIT; CHILDREN]).unwrap();
    }
    let yard = Yard::new();
    let name = name_of(real_make_misses_none_of_its_tokens);
    let program = command(name, yard.root(), 0);
    let program = program.get_program().to_str().unwrap();
    // With the mark of a sub-make and without it, which keeps the pipe of old versions from recipes.
    for mark in ["+", ""] {
        let makefile = format!(
            "all: $(foreach n,1 2 3 4 5 6,job$n)\njob%:\n\
             \t{mark}@{WRITER}=$* '{program}' --exact {name}\n"
        );
        fs::write(yard.path("Makefile"), makefile).unwrap();
        let output = std::process::Command::new("make")
            .args(["-j3", "all"])
            .current_dir(yard.root())
            .env(ROOT, yard.root())
            .env_remove("MAKEFLAGS")
            .output()
            .expect("GNU make");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{said}");
        let counts = yard.counts();
        assert_eq!(counts.len(), 6 * CHILDREN);
        assert!(counts.iter().all(|count| *count <= 3), "{counts:?}");
        fs::remove_file(yard.path("counts")).unwrap();
    }
}
