//! Schedules of shells: their order, their width, their slots, and what remains after each way to end.

use super::{Command, Failure, Signals, Slots, Step, Work, run_all, run_steps};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

/// A directory in which shells run and create marker files.
struct Yard {
    dir: tempfile::TempDir,
    signals: Signals,
    slots: Slots,
}

/// Steps by their scripts; those without one have nothing to run.
struct Scripts<'a> {
    yard: &'a Yard,
    scripts: Vec<Option<&'a str>>,
    /// What was called, in order.
    calls: Vec<String>,
    /// The step that fails to begin.
    broken: Option<usize>,
}

impl Yard {
    fn new() -> Self {
        Self::with(Slots::new(NonZeroUsize::new(100), None, None))
    }

    fn with(slots: Slots) -> Self {
        Self {
            dir: tempfile::tempdir().expect("a temp dir"),
            signals: Signals::install().expect("handlers"),
            slots,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("a file")
    }

    /// A shell whose `$0` is the yard and whose `$1` is `name`.
    fn shell(&self, name: &str, script: &str) -> Command {
        Command {
            program: "/bin/sh".into(),
            args: vec![
                "-c".into(),
                script.into(),
                self.dir.path().into(),
                name.into(),
            ],
            stdout: self.path(&format!("{name}.out")),
            stderr: self.path(&format!("{name}.err")),
        }
    }

    fn scripts<'a>(&'a self, scripts: &[Option<&'a str>]) -> Scripts<'a> {
        Scripts {
            yard: self,
            scripts: scripts.to_vec(),
            calls: Vec::new(),
            broken: None,
        }
    }

    fn run_all(&self, scripts: &[&str], width: usize) -> Result<(), Failure> {
        let named = scripts.iter().enumerate();
        let commands: Vec<_> = named
            .map(|(at, script)| self.shell(&at.to_string(), script))
            .collect();
        run_all(&commands, &[], width, &self.slots, &self.signals)
    }

    /// Waits until the process that wrote its number to `name` has ended. Another process reaps orphans.
    fn is_gone(&self, name: &str) {
        while self.runs(name) {
            sleep(Duration::from_millis(1));
        }
    }

    /// Whether the process that wrote its number to `name` runs.
    fn runs(&self, name: &str) -> bool {
        let stat = PathBuf::from(format!("/proc/{}/stat", self.read(name).trim()));
        let text = fs::read_to_string(stat).unwrap_or_default();
        let state = text
            .rsplit_once(") ")
            .and_then(|(_, rest)| rest.chars().next());
        state.is_some_and(|state| !"ZX".contains(state))
    }
}

impl Scripts<'_> {
    fn run(&mut self, steps: &[Step], width: usize) -> Result<(), Failure<String>> {
        let yard = self.yard;
        run_steps(steps, self, &[], width, &yard.slots, &yard.signals)
    }
}

impl Work for Scripts<'_> {
    type Error = String;

    fn begin(&mut self, step: usize) -> Result<Option<Command>, String> {
        self.calls.push(format!("begin {step}"));
        if self.broken == Some(step) {
            return Err(format!("{step} is broken"));
        }
        let script = self.scripts[step];
        Ok(script.map(|script| self.yard.shell(&step.to_string(), script)))
    }

    fn end(&mut self, step: usize) -> Result<(), String> {
        self.calls.push(format!("end {step}"));
        Ok(())
    }
}

fn step(after: &[usize], weight: u64) -> Step {
    Step {
        after: after.to_vec(),
        weight,
    }
}

/// Marks the shell's step as started.
const LOG: &str = "echo $1 >> $0/log";

/// A script that marks its start, and then runs with a child of its own until it is killed.
const FOREVER: &str = "sleep 600 & echo $! > $0/grandchild; echo $$ > $0/child; wait";

/// A script that fails once the one above has started.
const FAILS_LATER: &str = "until [ -s $0/child ]; do sleep 0.01; done; exit 3";

#[test]
fn output_goes_to_the_files_and_the_environment_to_the_child() {
    let yard = Yard::new();
    let commands = [yard.shell("a", "echo $WORD; echo bad >&2")];
    let environment = [("WORD".into(), "good".into())];
    run_all(&commands, &environment, 1, &yard.slots, &yard.signals).expect("success");
    assert_eq!(yard.read("a.out"), "good\n");
    assert_eq!(yard.read("a.err"), "bad\n");
}

#[test]
fn longest_way_to_the_end_goes_first() {
    let yard = Yard::new();
    let mut work = yard.scripts(&[Some(LOG); 6]);
    // 3 leads to the heavy 5, so it starts before 1, the heaviest of the steps that wait for nothing.
    let steps = [
        step(&[], 1),
        step(&[], 7),
        step(&[0], 1),
        step(&[], 2),
        step(&[], 7),
        step(&[3], 9),
    ];
    work.run(&steps, 1).expect("success");
    assert_eq!(yard.read("log"), "3\n5\n1\n4\n0\n2\n");
}

#[test]
fn step_begins_when_all_before_it_are_done() {
    let yard = Yard::new();
    let scripts = [Some("echo one > $0/one"), None, Some("cat $0/one"), None];
    let mut work = yard.scripts(&scripts);
    let steps = [step(&[], 0), step(&[0], 0), step(&[1], 0), step(&[0, 2], 0)];
    work.run(&steps, 4).expect("success");
    let calls = ["begin 0", "end 0", "begin 1", "begin 2", "end 2", "begin 3"];
    assert_eq!(work.calls, calls);
    assert_eq!(yard.read("2.out"), "one\n");
}

#[test]
fn width_is_used_and_never_exceeded() {
    let yard = Yard::new();
    fs::create_dir(yard.path("at")).unwrap();
    // Each child ends when three have been running at once.
    let script = "mkdir $0/at/$1; n=$(ls $0/at | wc -l); echo $n >> $0/counts
        [ $n -lt 3 ] || touch $0/full
        until [ -e $0/full ]; do sleep 0.01; done; rmdir $0/at/$1";
    yard.run_all(&[script; 9], 3).expect("success");
    let counts = yard.read("counts");
    assert_eq!(counts.lines().count(), 9);
    assert_eq!(counts.lines().max(), Some("3"));
}

#[test]
fn pool_limits_what_the_width_allows() {
    let dir = tempfile::tempdir().unwrap();
    let yard = Yard::with(Slots::new(NonZeroUsize::new(2), Some(dir.path()), None));
    let script = "mkdir $0/at.$1; ls -d $0/at.* | wc -l >> $0/counts; sleep 0.02; rmdir $0/at.$1";
    yard.run_all(&[script; 8], 8).expect("success");
    let counts = yard.read("counts");
    assert_eq!(counts.lines().count(), 8);
    assert!(
        counts.lines().all(|count| ["1", "2"].contains(&count)),
        "{counts}"
    );
}

#[test]
fn the_first_failure_ends_the_others_and_starts_no_more() {
    let yard = Yard::new();
    let mut work = yard.scripts(&[Some(FOREVER), Some(FAILS_LATER), Some(LOG), Some(LOG)]);
    let steps = [step(&[], 9), step(&[], 8), step(&[], 7), step(&[1], 0)];
    let failure = work.run(&steps, 2).expect_err("1 fails");
    assert!(matches!(failure, Failure::Status(1, status) if status.code() == Some(3)));
    assert!(!yard.path("log").exists());
    assert!(!work.calls.iter().any(|call| call.starts_with("end")));
    yard.is_gone("child");
    yard.is_gone("grandchild");
}

#[test]
fn work_that_cannot_begin_ends_what_runs() {
    let yard = Yard::new();
    let wait = "until [ -s $0/child ]; do sleep 0.01; done";
    let mut work = yard.scripts(&[Some(FOREVER), Some(wait), None]);
    work.broken = Some(2);
    let steps = [step(&[], 0), step(&[], 0), step(&[1], 0)];
    let failure = work.run(&steps, 2).expect_err("2 is broken");
    assert!(matches!(failure, Failure::Work(text) if text == "2 is broken"));
    yard.is_gone("grandchild");
}

#[test]
fn a_program_that_is_not_there_is_named_by_its_index() {
    let yard = Yard::new();
    let mut missing = yard.shell("a", "");
    missing.program = yard.path("nothing");
    let commands = [yard.shell("b", ""), missing];
    let failure =
        run_all(&commands, &[], 1, &yard.slots, &yard.signals).expect_err("no such program");
    assert!(matches!(failure, Failure::Start(1, _)));
}

#[test]
fn what_has_nothing_to_run_needs_no_slot() {
    let dir = tempfile::tempdir().unwrap();
    let pool = |jobs| Slots::new(NonZeroUsize::new(jobs), Some(dir.path()), None);
    let others = pool(1);
    let all = others.take().expect("the only slot");
    let yard = Yard::with(pool(1));
    let steps = [step(&[], 0), step(&[0], 0), step(&[0], 0)];
    let mut work = yard.scripts(&[None; 3]);
    work.run(&steps, 1).expect("success");
    assert_eq!(work.calls, ["begin 0", "begin 1", "begin 2"]);
    drop(all);
    yard.run_all(&[LOG], 1).expect("a slot is free");
}

#[test]
fn slot_that_is_given_up_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let others = Slots::new(NonZeroUsize::new(1), Some(dir.path()), None);
    let held = others.take().expect("the only slot");
    let waits = dir.path().join("waits");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let yard = Yard::with(Slots::new(NonZeroUsize::new(1), Some(dir.path()), None));
            fs::write(&waits, "").unwrap();
            yard.run_all(&[LOG], 1).expect("success");
            yard.read("log")
        });
        while !waits.exists() {
            sleep(Duration::from_millis(1));
        }
        sleep(Duration::from_millis(30));
        assert!(!waiting.is_finished());
        drop(held);
        assert_eq!(waiting.join().unwrap(), "0\n");
    });
}

#[test]
#[should_panic(expected = "circle")]
fn steps_that_wait_for_each_other_are_refused() {
    let yard = Yard::new();
    let steps = [step(&[], 0), step(&[2], 0), step(&[1], 0)];
    let _ = yard.scripts(&[None; 3]).run(&steps, 1);
}

/// make's end of a jobserver with these tokens, and the MAKEFLAGS that make gives its children.
fn jobserver(tokens: &[u8]) -> (PipeReader, PipeWriter, Slots) {
    let (reader, mut writer) = pipe().unwrap();
    writer.write_all(tokens).unwrap();
    let (r, w) = (reader.as_raw_fd(), writer.as_raw_fd());
    let flags = format!("-j --jobserver-auth={r},{w}");
    (reader, writer, Slots::new(None, None, Some(flags.into())))
}

/// Runs `act` with two tokens, of which it takes at least one, and expects both back.
#[track_caller]
fn gives_tokens_back(act: impl FnOnce(&Yard)) {
    let (mut reader, writer, slots) = jobserver(b"ab");
    let yard = Yard::with(slots);
    act(&yard);
    drop((yard, writer));
    let mut left = Vec::new();
    reader.read_to_end(&mut left).unwrap();
    left.sort_unstable();
    assert_eq!(left, b"ab");
}

/// Both of two such children must run at once, or neither ends.
const MEETS: &str =
    "touch $0/here.$1; until [ -e $0/here.0 ] && [ -e $0/here.1 ]; do sleep 0.01; done";

#[test]
fn tokens_come_back_after_success() {
    gives_tokens_back(|yard| {
        yard.run_all(&[MEETS, MEETS, "", ""], 4).expect("success");
    });
}

#[test]
fn tokens_come_back_after_failure() {
    gives_tokens_back(|yard| {
        let failed = yard.run_all(&[FOREVER, FAILS_LATER, FOREVER], 3);
        assert!(matches!(failed, Err(Failure::Status(1, _))));
    });
}

#[test]
fn tokens_come_back_when_a_program_cannot_be_started() {
    gives_tokens_back(|yard| {
        let mut missing = yard.shell("1", "");
        missing.program = yard.path("nothing");
        let commands = [yard.shell("0", FOREVER), missing];
        let failed = run_all(&commands, &[], 2, &yard.slots, &yard.signals);
        assert!(matches!(failed, Err(Failure::Start(1, _))));
    });
}

#[test]
fn tokens_come_back_after_a_panic_and_nothing_runs_on() {
    struct Panics<'a>(&'a Yard);
    impl Work for Panics<'_> {
        type Error = ();
        fn begin(&mut self, step: usize) -> Result<Option<Command>, ()> {
            assert!(step < 2, "expected");
            let script = [FOREVER, "until [ -s $0/child ]; do sleep 0.01; done"][step];
            Ok(Some(self.0.shell(&step.to_string(), script)))
        }
        fn end(&mut self, _step: usize) -> Result<(), ()> {
            Ok(())
        }
    }
    gives_tokens_back(|yard| {
        let steps = [step(&[], 0), step(&[], 0), step(&[1], 0)];
        let run = || {
            run_steps(
                &steps,
                &mut Panics(yard),
                &[],
                3,
                &yard.slots,
                &yard.signals,
            )
        };
        assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
        yard.is_gone("grandchild");
    });
}

/// Steps whose commands never end, each with a pipe that may make them unnecessary.
struct Raced<'a> {
    yard: &'a Yard,
    rivals: Vec<PipeReader>,
    /// How often each step has begun.
    begun: Vec<usize>,
    /// What the answers said.
    answers: Vec<u8>,
}

impl Work for Raced<'_> {
    type Error = ();

    fn begin(&mut self, step: usize) -> Result<Option<Command>, ()> {
        self.begun[step] += 1;
        let is_first = self.begun[step] == 1;
        Ok(is_first.then(|| self.yard.shell(&step.to_string(), FOREVER)))
    }

    fn end(&mut self, _step: usize) -> Result<(), ()> {
        Err(())
    }

    fn rivals(&self) -> Vec<(usize, BorrowedFd<'_>)> {
        let rivals = self.rivals.iter().enumerate();
        let open = rivals.filter(|(step, _)| self.begun[*step] == 1);
        open.map(|(step, rival)| (step, rival.as_fd())).collect()
    }

    fn overtaken_by(&mut self, rival: usize) -> Result<Option<usize>, ()> {
        let mut answer = [0];
        self.rivals[rival].read_exact(&mut answer).map_err(drop)?;
        self.answers.push(answer[0]);
        Ok((answer == *b"y").then_some(rival))
    }
}

#[test]
fn a_command_that_is_overtaken_is_killed_and_its_step_begins_again() {
    // The second command waits for the slot of the first when its rival answers.
    for slots in [100, 1] {
        let yard = Yard::with(Slots::new(NonZeroUsize::new(slots), None, None));
        let (rivals, mut sides): (Vec<_>, Vec<_>) = (0..2).map(|_| pipe().expect("a pipe")).unzip();
        let mut work = Raced {
            yard: &yard,
            rivals,
            begun: vec![0; 2],
            answers: Vec::new(),
        };
        sides[1].write_all(b"ny").expect("answers");
        let first = sides.remove(0);
        let child = yard.path("child");
        let answer_later = move || {
            let mut first = first;
            while !child.exists() {
                sleep(Duration::from_millis(1));
            }
            first.write_all(b"y").expect("an answer");
        };
        let answering = std::thread::spawn(answer_later);
        let steps = [step(&[], 9), step(&[], 1)];
        run_steps(&steps, &mut work, &[], 2, &yard.slots, &yard.signals).expect("success");
        answering.join().expect("answers");
        assert_eq!(work.begun, [2, 2]);
        assert_eq!(work.answers.len(), 3);
        // Nothing can write to the files of a step that has begun again.
        assert!(!yard.runs("grandchild"));
    }
}

#[test]
fn without_tokens_one_child_after_the_other_runs() {
    let (_reader, _writer, slots) = jobserver(b"");
    let yard = Yard::with(slots);
    let script =
        "[ -z \"$(ls -d $0/at.* 2>/dev/null)\" ] || exit 1; mkdir $0/at.$1; rmdir $0/at.$1";
    yard.run_all(&[script; 4], 4).expect("alone each time");
}

#[test]
fn slot_is_free_when_its_child_has_ended_whatever_that_has_left_behind() {
    let dir = tempfile::tempdir().unwrap();
    let pool = || Slots::new(NonZeroUsize::new(1), Some(dir.path()), None);
    let yard = Yard::with(pool());
    yard.run_all(&["sleep 600 & echo $! > $0/daemon"], 1)
        .expect("success");
    let daemon = yard.read("daemon").trim().to_owned();
    let open = fs::read_dir(format!("/proc/{daemon}/fd"))
        .unwrap()
        .flatten();
    let mut open = open.filter_map(|entry| fs::read_link(entry.path()).ok());
    let is_held = open.any(|target| target.ends_with("locks/slots"));
    let is_free = pool().take().is_some();
    let pid = daemon.parse().ok().and_then(Pid::from_raw).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    assert!(is_held && is_free, "{is_held} {is_free}");
}
