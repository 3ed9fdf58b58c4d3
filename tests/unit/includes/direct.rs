//! Direct mode's verdict against a real preprocessor: in random trees of headers that are edited at
//! random, a path set may say "as it was" only where a fresh preprocessing gives the same bytes.
//!
//! `PCACHE_TEST_EDITS` sets the number of edits of a preprocessor, `PCACHE_TEST_SEED` the first seed. Each worker is
//! this program again, since trees lie in the working directory.

#![expect(
    clippy::print_stdout,
    reason = "how much was tried is for those who run it with --nocapture"
)]

mod cuts;
mod disk;
mod forest;
mod reruns;
mod two_trees;

use crate::random::Random;
use forest::{Effect, Forest};
use pcache_nvcc::includes::digests::DigestTable;
use pcache_nvcc::includes::lookups::{Lookups, NotStored, Preprocessor, Reads, Reruns};
use pcache_nvcc::includes::markers;
use pcache_nvcc::includes::name_watch::NameWatch;
use pcache_nvcc::includes::path_set::PathSet;
use pcache_nvcc::includes::search::SearchOrder;
use pcache_nvcc::includes::unchanged_since;
use pcache_nvcc::key::Roots;
use pcache_nvcc::stat::CoarseTime;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::rc::Rc;
use std::thread::sleep;
use std::time::Duration;

const WORKER: &str = "PCACHE_TEST_WORKER";
const WORKERS: u64 = 2;

/// Trees that are edited in turn: few, whose files are always young, or so many that files grow old
/// enough to be remembered by their stat.
const GROUPS: [usize; 3] = [2, 10, 170];

/// Edits of one group's trees.
const ROUNDS: usize = 12;

/// Longer than a tick of any kernel, so that edits are older than what comes after them.
const TICK: Duration = Duration::from_millis(15);

/// Failures of one kind that are told in full.
const MOST_FAILURES: u64 = 4;

/// Path sets remembered, as direct mode remembers them.
const MOST_SETS: usize = 8;

type Digest = [u8; 32];

#[test]
fn a_hit_is_what_a_fresh_preprocessing_gives() {
    walk(
        Preprocessor::Gcc,
        "a_hit_is_what_a_fresh_preprocessing_gives",
        800,
    );
}

#[test]
fn a_hit_is_what_a_fresh_preprocessing_by_clang_gives() {
    walk(
        Preprocessor::Clang,
        "a_hit_is_what_a_fresh_preprocessing_by_clang_gives",
        200,
    );
}

/// Edits trees in workers, which are the test `name`.
fn walk(preprocessor: Preprocessor, name: &str, edits: u64) {
    let edits = number("PCACHE_TEST_EDITS", edits);
    let seed = number("PCACHE_TEST_SEED", 1);
    in_workers(&format!("includes::direct::{name}"), |worker| {
        Work::new(preprocessor).run(seed + worker * 1_000_000, edits / WORKERS);
    });
}

/// The number in a variable.
fn number(name: &str, default: u64) -> u64 {
    match env::var(name) {
        Ok(value) => value.parse().expect("a number"),
        Err(_) => default,
    }
}

/// Calls `walk` in processes of their own, since a walk changes its working directory. `test` is the name of the test
/// that calls this.
fn in_workers(test: &str, walk: impl FnOnce(u64)) {
    if let Ok(worker) = env::var(WORKER) {
        return walk(worker.parse().expect("a number"));
    }
    let start = |worker: u64| {
        Command::new(env::current_exe().unwrap())
            .args(["--exact", test, "--include-ignored", "--nocapture"])
            .env(WORKER, worker.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let workers: Vec<_> = (0..WORKERS).map(start).collect();
    let ends = workers
        .into_iter()
        .map(|worker| worker.wait_with_output().unwrap());
    for end in ends.collect::<Vec<_>>() {
        let said = [end.stdout, end.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        eprintln!("{said}");
        let is_run = said.contains("test result: ok. 1 passed");
        assert!(end.status.success() && is_run, "a worker failed, see above");
    }
}

/// What the preprocessor gave.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Given {
    /// Texts of all passes.
    texts: Vec<Vec<u8>>,
    /// Diagnostics.
    words: Vec<u8>,
}

impl Given {
    /// The lines by which the two differ.
    fn against(&self, fresh: &Self) -> String {
        let lines = |given: &Self| -> Vec<String> {
            let text = [given.texts.concat(), given.words.clone()].concat();
            let text = String::from_utf8_lossy(&text).into_owned();
            text.lines().map(str::to_owned).collect()
        };
        let (stored, fresh) = (lines(self), lines(fresh));
        let same = stored
            .iter()
            .zip(&fresh)
            .take_while(|(one, other)| one == other)
            .count();
        let tail = |lines: &[String]| lines[same..].iter().take(12).cloned().collect::<Vec<_>>();
        format!("stored {:#?}\nfresh {:#?}", tail(&stored), tail(&fresh))
    }
}

/// One tree and what is remembered of it.
struct Case {
    seed: u64,
    directory: PathBuf,
    random: Random,
    forest: Forest,
    sets: Vec<PathSet>,
    results: HashMap<(Digest, Vec<Digest>), Given>,
    /// Whether the last verdict was a hit, or the last state was remembered.
    is_known: bool,
    last: Option<Given>,
    failure: Option<String>,
    history: Vec<String>,
    effect: Effect,
}

/// One worker: the compiler, the table, counters.
struct Work {
    preprocessor: Preprocessor,
    /// The preprocessor's program and first arguments.
    compiler: Vec<String>,
    table: DigestTable,
    root: tempfile::TempDir,
    counts: BTreeMap<String, u64>,
}

impl Work {
    fn new(preprocessor: Preprocessor) -> Self {
        let ask = |what: &str| {
            let output = Command::new("g++").arg(what).output().expect("g++");
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        let compiler = match preprocessor {
            Preprocessor::Gcc => {
                let (program, triplet) = (ask("-print-prog-name=cc1plus"), ask("-print-multiarch"));
                [&program, "-E", "-quiet", "-imultiarch", &triplet].map(str::to_owned)
            }
            // The driver, since it looks for precompiled headers.
            Preprocessor::Clang => ["clang++", "-E", "-x", "c++", "-m64"].map(str::to_owned),
        };
        let root = tempfile::tempdir().unwrap();
        let table = DigestTable::open(&root.path().join("cache"));
        assert!(table.is_shared());
        Self {
            preprocessor,
            compiler: compiler.into(),
            table,
            root,
            counts: BTreeMap::new(),
        }
    }

    fn count(&mut self, what: impl Into<String>) {
        *self.counts.entry(what.into()).or_default() += 1;
    }

    /// Counts a failure, and returns whether so few of its kind have been told that this one should be.
    fn may_tell(&mut self, what: &str) -> bool {
        self.count(format!("FAILED: {what}"));
        self.counts[&format!("FAILED: {what}")] <= MOST_FAILURES
    }

    /// Tells everything about a failure. Others may follow.
    fn fail(&mut self, case: &Case, what: &str, details: &str) {
        if !self.may_tell(what) {
            return;
        }
        eprintln!(
            "==== {what}: seed {}\n{}\n{:?}\nedits: {:#?}\n{details}",
            case.seed,
            disk::picture(),
            case.forest.args,
            case.history,
        );
    }

    fn run(mut self, first_seed: u64, edits: u64) {
        let mut done = 0;
        let mut seed = first_seed;
        for size in GROUPS.iter().cycle() {
            if done >= edits {
                break;
            }
            let mut cases: Vec<_> = (0..*size as u64).map(|at| self.plant(seed + at)).collect();
            seed += *size as u64;
            for _ in 0..ROUNDS {
                sleep(TICK);
                for case in &mut cases {
                    env::set_current_dir(&case.directory).unwrap();
                    self.judge(case);
                    done += 1;
                }
                for case in &mut cases {
                    env::set_current_dir(&case.directory).unwrap();
                    case.edit();
                }
            }
            env::set_current_dir("/").unwrap();
            for case in cases {
                fs::remove_dir_all(case.directory.parent().unwrap()).unwrap();
            }
        }
        println!(
            "seeds {first_seed}..{seed}, {done} edits: {:#?}",
            self.counts
        );
        assert!(!self.counts.keys().any(|what| what.starts_with("FAILED")));
        let count = |what: &str| self.counts.get(what).copied().unwrap_or_default();
        assert!(count("hit") > done / 20, "hardly any hits");
        assert!(
            count("remembered") > done / 10,
            "hardly anything is remembered"
        );
    }

    fn plant(&self, seed: u64) -> Case {
        let directory = self.root.path().join(seed.to_string()).join("w");
        fs::create_dir_all(&directory).unwrap();
        env::set_current_dir(&directory).unwrap();
        let mut random = Random(seed);
        Case {
            seed,
            forest: Forest::plant(&mut random, self.preprocessor, None),
            directory: directory.canonicalize().unwrap(),
            random,
            sets: Vec::new(),
            results: HashMap::new(),
            is_known: false,
            last: None,
            failure: None,
            history: Vec::new(),
            effect: Effect::Any,
        }
    }

    /// Asks for a verdict, and holds it against what a preprocessing gives. After a miss, remembers.
    fn judge(&mut self, case: &mut Case) {
        let verdict = case.look_up(&self.table);
        let watch = NameWatch::of(disk::directories().iter().map(PathBuf::as_path));
        let started = CoarseTime::now();
        let fresh = self.preprocess(case, verdict.is_none());
        match (&verdict, &fresh) {
            (Some(stored), Ok((fresh, _))) if stored == fresh => self.count("hit"),
            (Some(stored), Ok((fresh, _))) => self.fail(case, "unsound", &stored.against(fresh)),
            (Some(_), Err(words)) => self.fail(case, "unsound", words),
            (None, _) => self.count("miss"),
        }
        if case.effect == Effect::None && case.is_known && verdict.is_none() {
            self.fail(case, "needless miss", "");
        }
        let same = fresh.as_ref().ok().map(|(given, _)| given) == case.last.as_ref();
        if case.is_known && verdict.is_none() && same {
            self.count("miss, though nothing else came out");
        }
        case.is_known = verdict.is_some();
        case.failure = None;
        match fresh {
            Err(words) => {
                self.count("failing preprocessing");
                case.last = None;
                case.failure = missing_name(&words);
            }
            Ok((given, orders)) => {
                if verdict.is_none() {
                    case.edit_meanwhile();
                    let args = case.args();
                    let passes = case.forest.passes();
                    let reruns = Reruns {
                        reached: &|| self.reached(&args, passes),
                        asked: &|| self.asked(&args, passes),
                    };
                    let kept = case.keep(&self.table, &given, &orders, &reruns, watch, started);
                    case.is_known = kept.is_ok();
                    self.count(match kept {
                        Ok(()) => "remembered".to_owned(),
                        Err(doubt) => format!("doubt: {}", without_path(&doubt)),
                    });
                }
                case.last = Some(given);
            }
        }
    }

    /// Texts and search orders, or what the preprocessor says. Something may change between passes.
    fn preprocess(
        &self,
        case: &mut Case,
        may_change: bool,
    ) -> Result<(Given, BTreeSet<SearchOrder>), String> {
        let passes = case.forest.passes();
        let mut given = Given {
            texts: Vec::new(),
            words: Vec::new(),
        };
        let mut orders = BTreeSet::new();
        for (number, more) in passes.iter().enumerate() {
            if number > 0 && may_change {
                case.edit_meanwhile();
            }
            let output = self.pass(&case.args(), &[*more, &["-v"]].concat());
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            if !output.status.success() {
                return Err(words);
            }
            let (_, said) = words
                .split_once("End of search list.")
                .expect("a search order");
            given.words.extend(said.bytes());
            given.texts.push(output.stdout);
            orders.insert(SearchOrder::parse(words.as_bytes()).expect("a search order"));
        }
        Ok((given, orders))
    }

    fn pass(&self, args: &[String], more: &[&str]) -> Output {
        self.command(args, more).output().unwrap()
    }

    fn command(&self, args: &[String], more: &[&str]) -> Command {
        let mut command = Command::new(&self.compiler[0]);
        command
            .args(&self.compiler[1..])
            .args(args)
            .args(more)
            .env("LC_ALL", "C");
        command
    }
}

impl Case {
    /// Arguments of the preprocessor.
    fn args(&self) -> Vec<String> {
        [&self.forest.args[..], &["main.cpp".to_owned()]].concat()
    }

    fn edit(&mut self) {
        let random = &mut self.random;
        let (effect, said) = match &self.failure {
            Some(name) if random.chance(95) => (Effect::Any, self.forest.supply(random, name)),
            _ => self.forest.edit(random),
        };
        self.effect = effect;
        self.history.push(said);
    }

    /// Sometimes something changes between a compile's passes and its end.
    fn edit_meanwhile(&mut self) {
        if self.random.chance(7) {
            let (_, said) = self.forest.edit(&mut self.random);
            self.history.push(format!("meanwhile: {said}"));
        }
    }

    fn look_up(&self, table: &DigestTable) -> Option<Given> {
        let started = CoarseTime::now();
        let mut memo = HashMap::new();
        self.sets.iter().find_map(|set| {
            let contents = set
                .check(table, Some(&mut memo), started, &Roots::default())
                .ok()?;
            self.results.get(&(set.digest, contents)).cloned()
        })
    }

    fn keep(
        &mut self,
        table: &DigestTable,
        given: &Given,
        orders: &BTreeSet<SearchOrder>,
        reruns: &Reruns<'_>,
        watch: NameWatch,
        started: CoarseTime,
    ) -> Result<(), NotStored> {
        let mut reads = Reads {
            preprocessor: self.forest.preprocessor,
            ..Reads::default()
        };
        reads.forced.extend(
            self.forest
                .forced
                .iter()
                .map(|name| name.clone().into_bytes()),
        );
        for file in given.texts.iter().flat_map(|text| markers::files(text)) {
            let path = PathBuf::from(file.path);
            let text = fs::read(&path).map_err(|error| error.to_string())?;
            reads.sources.insert(path, Rc::new(text));
        }
        let lookups = Lookups::resolve(&reads, orders, reruns)?;
        unchanged_since::check(&lookups, started, &watch.end())?;
        let set = PathSet::new(&lookups, &Roots::default()).ok_or("a path with a NUL")?;
        let contents = set
            .check(table, None, CoarseTime::now(), &Roots::default())
            .map_err(|_| "a file changed during the compile")?;
        self.results.insert((set.digest, contents), given.clone());
        self.sets.retain(|other| *other != set);
        self.sets.insert(0, set);
        self.sets.truncate(MOST_SETS);
        Ok(())
    }
}

/// The header that a failed preprocessing lacks.
fn missing_name(words: &str) -> Option<String> {
    let line = words.lines().find(|line| line.contains("fatal error: "))?;
    let (_, rest) = line.split_once("fatal error: ")?;
    let of_gcc = rest.split_once(": No such file");
    let of_clang = || rest.strip_prefix('\'')?.split_once("' file not found");
    Some(of_gcc.or_else(of_clang)?.0.to_owned())
}

fn without_path(doubt: &str) -> String {
    let (head, rest) = doubt.split_once(' ').unwrap_or((doubt, ""));
    if Path::new(head).components().count() > 1 || head.ends_with(".h") {
        rest.to_owned()
    } else {
        doubt.to_owned()
    }
}
