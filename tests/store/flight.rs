//! One flight for each key, among threads and among processes: one leads, the others wait, and a
//! dead leader is nobody's trouble. The processes are this test program again, told apart by an
//! environment variable.

use crate::again::{command, name_of, root};
use pcache_nvcc::store::{Flight, Flights, LeadGuard};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

const KEY: &[u8] = b"key";

/// What only a hang can reach.
fn never() -> Instant {
    Instant::now() + Duration::from_secs(120)
}

fn join(flights: &Flights, key: &[u8], deadline: Instant) -> Flight<()> {
    flights.join(key, deadline, &mut || None)
}

/// The lead that must be free.
#[track_caller]
fn lead(flights: &Flights, key: &[u8]) -> LeadGuard {
    match join(flights, key, Instant::now()) {
        Flight::Leader(guard) => guard,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn is_led(flights: &Flights, key: &[u8]) {
    let joined = join(flights, key, Instant::now());
    assert!(matches!(joined, Flight::Impatient), "{joined:?}");
}

struct Cache {
    dir: tempfile::TempDir,
}

impl Cache {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir }
    }

    fn root(&self) -> &Path {
        self.dir.path()
    }

    fn flights(&self) -> Flights {
        Flights::new(Some(self.root()))
    }

    fn locks(&self) -> PathBuf {
        self.root().join("locks")
    }

    /// Starts the test `name` of this program on this cache; what it prints comes through a pipe.
    fn start(&self, name: &str) -> (Child, ChildStdout) {
        let mut command = command(name, self.root(), 0);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let printed = child.stdout.take().unwrap();
        (child, printed)
    }
}

/// Reads what a child prints until it has printed `word`.
#[track_caller]
fn wait_for(printed: &mut ChildStdout, word: &str) {
    let mut text = Vec::new();
    while !text.ends_with(word.as_bytes()) {
        let mut byte = [0];
        let n = printed.read(&mut byte).unwrap();
        assert_eq!(n, 1, "no {word} in {}", String::from_utf8_lossy(&text));
        text.push(byte[0]);
    }
}

/// Joins as a compile does: looks, joins, looks again, makes. Whether it made.
fn make_once(flights: &Flights, is_made: &dyn Fn() -> bool, make: &dyn Fn()) -> bool {
    loop {
        if is_made() {
            return false;
        }
        match join(flights, KEY, never()) {
            Flight::Leader(_guard) => {
                let makes = !is_made();
                if makes {
                    make();
                }
                return makes;
            }
            Flight::Followed => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn one_of_many_threads_makes_it() {
    let cache = Cache::new();
    let (made, makers) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let make = || {
                    thread::sleep(Duration::from_millis(50));
                    made.store(true, Ordering::SeqCst);
                };
                let is_made = || made.load(Ordering::SeqCst);
                if make_once(&cache.flights(), &is_made, &make) {
                    makers.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!(makers.into_inner(), 1);
}

#[test]
fn one_of_many_processes_makes_it() {
    if let Some(root) = root() {
        let is_made = || root.join("made").exists();
        let make = || {
            let mut options = File::options();
            let makers = options.append(true).create(true);
            let mut makers = makers.open(root.join("makers")).unwrap();
            makers.write_all(b"x").unwrap();
            thread::sleep(Duration::from_millis(50));
            File::create(root.join("made")).unwrap();
        };
        make_once(&Flights::new(Some(&root)), &is_made, &make);
        return;
    }
    let cache = Cache::new();
    let started = (0..16).map(|_| cache.start(name_of(one_of_many_processes_makes_it)));
    for (mut child, _printed) in started.collect::<Vec<_>>() {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(fs::read(cache.root().join("makers")).unwrap(), b"x");
}

#[test]
fn nobody_else_leads_until_the_leader_is_done() {
    let cache = Cache::new();
    let inside = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut turns = 0;
                while turns < 20 {
                    if let Flight::Leader(_guard) = join(&cache.flights(), KEY, never()) {
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        thread::yield_now();
                        assert_eq!(inside.fetch_sub(1, Ordering::SeqCst), 1);
                        turns += 1;
                    }
                }
            });
        }
    });
}

#[test]
fn killed_leader_whose_programs_still_run_is_followed_by_a_waiter() {
    if let Some(root) = root() {
        let _guard = lead(&Flights::new(Some(&root)), KEY);
        let mut program = Command::new("sleep");
        let mut program = program.arg("600").stdout(Stdio::null()).spawn().unwrap();
        fs::write(root.join("program"), program.id().to_string()).unwrap();
        let mut out = std::io::stdout();
        out.write_all(b"leads").and_then(|()| out.flush()).unwrap();
        program.wait().unwrap();
        return;
    }
    let cache = Cache::new();
    let (mut leader, mut printed) = cache.start(name_of(
        killed_leader_whose_programs_still_run_is_followed_by_a_waiter,
    ));
    wait_for(&mut printed, "leads");
    let (tell, asked) = channel();
    thread::scope(|scope| {
        let flights = cache.flights();
        let waiter = scope.spawn(move || {
            flights.join(KEY, never(), &mut || {
                let _ = tell.send(());
                None::<()>
            })
        });
        asked.recv().unwrap();
        kill_process(Pid::from_child(&leader), Signal::KILL).unwrap();
        let joined = waiter.join().unwrap();
        assert!(matches!(joined, Flight::Followed), "{joined:?}");
    });
    lead(&cache.flights(), KEY);
    leader.wait().unwrap();
    let program = fs::read_to_string(cache.root().join("program")).unwrap();
    let program = Pid::from_raw(program.parse().unwrap()).unwrap();
    kill_process(program, Signal::KILL).expect("it still ran, without the lock");
}

#[test]
fn slow_leader_does_not_hold_up_a_waiter_beyond_its_deadline() {
    let cache = Cache::new();
    let _slow = lead(&cache.flights(), KEY);
    let soon = Instant::now() + Duration::from_millis(50);
    let joined = join(&cache.flights(), KEY, soon);
    assert!(matches!(joined, Flight::Impatient), "{joined:?}");
    assert!(Instant::now() >= soon, "waited");
}

#[test]
fn interruption_ends_the_wait_and_says_why() {
    let cache = Cache::new();
    let _slow = lead(&cache.flights(), KEY);
    let mut asked = 0;
    let mut third_time = || {
        asked += 1;
        (asked == 3).then_some("interrupted")
    };
    let joined = cache.flights().join(KEY, never(), &mut third_time);
    assert!(
        matches!(joined, Flight::Interrupted("interrupted")),
        "{joined:?}"
    );
}

#[test]
fn different_keys_do_not_wait_for_each_other() {
    let cache = Cache::new();
    let first = lead(&cache.flights(), b"first");
    // With one descriptor for both, or with locks of the process, the second would end the first.
    let second = lead(&cache.flights(), b"second");
    is_led(&cache.flights(), b"first");
    drop(second);
    is_led(&cache.flights(), b"first");
    drop(first);
    lead(&cache.flights(), b"first");
}

#[test]
fn programs_that_the_leader_started_do_not_hold_the_lock() {
    let cache = Cache::new();
    let guard = lead(&cache.flights(), KEY);
    let mut child = Command::new("sleep").arg("600").spawn().unwrap();
    is_led(&cache.flights(), KEY);
    drop(guard);
    lead(&cache.flights(), KEY);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn child_that_is_being_started_does_not_hold_the_lock() {
    let cache = Cache::new();
    let guard = lead(&cache.flights(), KEY);
    let (mut told, tells) = std::io::pipe().unwrap();
    let (waits, waited) = std::io::pipe().unwrap();
    let mut command = Command::new("true");
    let stop = move || {
        rustix::io::write(&tells, b"x")?;
        rustix::io::read(&waits, &mut [0])?;
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes two system calls and allocates nothing.
    unsafe { command.pre_exec(stop) };
    let starter = thread::spawn(move || command.status().unwrap());
    told.read_exact(&mut [0]).unwrap();
    drop(guard);
    let joined = join(&cache.flights(), KEY, Instant::now());
    (&waited).write_all(b"x").unwrap();
    assert!(starter.join().unwrap().success());
    assert!(matches!(joined, Flight::Leader(_)), "{joined:?}");
}

#[test]
fn removed_lock_directory_is_made_again() {
    let cache = Cache::new();
    let before = lead(&cache.flights(), KEY);
    fs::remove_dir_all(cache.locks()).unwrap();
    // Both make the same thing, which is a waste and no harm; from here on one leads again.
    let after = lead(&cache.flights(), KEY);
    is_led(&cache.flights(), KEY);
    drop(before);
    is_led(&cache.flights(), KEY);
    drop(after);
    lead(&cache.flights(), KEY);
}

#[test]
fn waiter_in_a_removed_lock_file_is_let_go_by_its_leader() {
    let cache = Cache::new();
    let guard = lead(&cache.flights(), KEY);
    let (tell, asked) = channel();
    let flights = cache.flights();
    let waiter = thread::spawn(move || {
        flights.join(KEY, never(), &mut || {
            let _ = tell.send(());
            None::<()>
        })
    });
    asked.recv().unwrap();
    fs::remove_dir_all(cache.locks()).unwrap();
    drop(guard);
    assert!(matches!(waiter.join().unwrap(), Flight::Followed));
}

#[test]
fn removals_at_every_moment_leave_every_join_an_answer() {
    let cache = Cache::new();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let joins = (0..4).map(|_| {
            scope.spawn(|| {
                for _ in 0..200 {
                    let joined = join(&cache.flights(), KEY, never());
                    let is_answer = matches!(joined, Flight::Leader(_) | Flight::Followed);
                    // Removed while it was being opened: the compile goes on without.
                    assert!(
                        is_answer || matches!(joined, Flight::Failed(_)),
                        "{joined:?}"
                    );
                }
            })
        });
        let joins: Vec<_> = joins.collect();
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                let _ = fs::remove_dir_all(cache.locks());
                thread::sleep(Duration::from_micros(200));
            }
        });
        let ended: Vec<_> = joins.into_iter().map(|join| join.join()).collect();
        done.store(true, Ordering::SeqCst);
        assert!(ended.iter().all(Result::is_ok));
    });
    lead(&cache.flights(), KEY);
}

#[test]
fn planted_symlinks_are_refused_and_not_followed() {
    let fails = |cache: &Cache| {
        let joined = join(&cache.flights(), KEY, never());
        assert!(matches!(joined, Flight::Failed(_)), "{joined:?}");
    };
    let elsewhere = tempfile::tempdir().unwrap();
    let directory = Cache::new();
    symlink(elsewhere.path(), directory.locks()).unwrap();
    fails(&directory);
    let file = Cache::new();
    fs::create_dir(file.locks()).unwrap();
    let target = elsewhere.path().join("target");
    // A link in the file's place goes, and leads nowhere.
    for _ in 0..2 {
        let _ = fs::remove_file(file.locks().join("flights"));
        symlink(&target, file.locks().join("flights")).unwrap();
        lead(&file.flights(), KEY);
        assert!(
            !fs::symlink_metadata(file.locks().join("flights"))
                .unwrap()
                .is_symlink()
        );
        assert!(fs::read(&target).unwrap_or_default().is_empty());
        fs::write(&target, "").unwrap();
    }
}

#[test]
fn other_things_in_the_place_of_the_file_fail_at_once_or_go() {
    let plant: [fn(&Path); 2] = [
        |locks| fs::write(locks, "").unwrap(),
        |locks| fs::create_dir_all(locks.join("flights")).unwrap(),
    ];
    for plant in plant {
        let cache = Cache::new();
        plant(&cache.locks());
        let joined = join(&cache.flights(), KEY, never());
        assert!(matches!(joined, Flight::Failed(_)), "{joined:?}");
    }
    let cache = Cache::new();
    fs::create_dir(cache.locks()).unwrap();
    let pipe = cache.locks().join("flights");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    lead(&cache.flights(), KEY);
    assert!(fs::metadata(&pipe).unwrap().is_file());
    let gone = Flights::new(Some(Path::new("/nonexistent/cache")));
    let joined = join(&gone, KEY, never());
    assert!(matches!(joined, Flight::Failed(_)), "{joined:?}");
}

#[test]
fn ten_thousand_keys_are_one_empty_file() {
    let cache = Cache::new();
    let flights = cache.flights();
    let held: Vec<_> = (0..100u32)
        .map(|n| lead(&flights, &n.to_le_bytes()))
        .collect();
    for n in 100..10_000u32 {
        lead(&flights, &n.to_le_bytes());
    }
    drop(held);
    let files: Vec<_> = fs::read_dir(cache.locks()).unwrap().collect();
    assert_eq!(files.len(), 1);
    let metadata = files[0].as_ref().unwrap().metadata().unwrap();
    assert_eq!(metadata.len(), 0);
}

#[test]
fn locks_have_the_mode_of_the_cache() {
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for root in [0o700, 0o750] {
        let cache = Cache::new();
        fs::set_permissions(cache.root(), PermissionsExt::from_mode(root)).unwrap();
        lead(&cache.flights(), KEY);
        assert_eq!(mode(&cache.locks()), root);
        assert_eq!(mode(&cache.locks().join("flights")), root & 0o644);
    }
}
