//! A walk through two checkouts of one tree. Path sets and results of either are looked up in both; edits happen in one
//! or in both, and one is copied over the other. Where a set of the other checkout holds, the preprocessor must give
//! what it gave there, but for the checkout's own path in line markers.

use super::disk::{self, Node};
use super::forest::Forest;
use super::{Given, MOST_SETS, TICK, WORKERS, Work, in_workers, missing_name, number};
use crate::random::Random;
use pcache_nvcc::includes::lookups::{Lookups, NotStored, Preprocessor, Reads, Reruns};
use pcache_nvcc::includes::markers;
use pcache_nvcc::includes::name_watch::NameWatch;
use pcache_nvcc::includes::path_set::PathSet;
use pcache_nvcc::includes::placeless::placeless_digest;
use pcache_nvcc::includes::search::SearchOrder;
use pcache_nvcc::includes::shown;
use pcache_nvcc::includes::unchanged_since;
use pcache_nvcc::key::{RootName, RootSet, Roots};
use pcache_nvcc::stat::CoarseTime;
use std::collections::{BTreeSet, HashMap};
use std::env;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::thread::sleep;

/// Pairs of trees that are edited in turn.
const GROUPS: [usize; 2] = [2, 40];

/// Edits of one group's trees.
const ROUNDS: usize = 12;

/// The checkouts, whose paths have equal or other lengths.
const CHECKOUTS: [[&str; 2]; 2] = [["one", "two"], ["one", "other/checkout"]];

type Digest = [u8; 32];
type Key = (Digest, Vec<Digest>, Vec<Vec<u8>>);

#[test]
fn a_hit_in_another_checkout_is_what_a_fresh_preprocessing_gives() {
    let edits = number("PCACHE_TEST_EDITS", 200);
    let seed = number("PCACHE_TEST_SEED", 1);
    in_workers(
        "includes::direct::two_trees::a_hit_in_another_checkout_is_what_a_fresh_preprocessing_gives",
        |worker| {
            run(
                &mut Work::new(Preprocessor::Gcc),
                seed + worker * 1_000_000,
                edits / WORKERS,
            )
        },
    );
}

fn run(work: &mut Work, first_seed: u64, edits: u64) {
    let (mut done, mut seed) = (0, first_seed);
    for size in GROUPS.iter().cycle() {
        if done >= edits {
            break;
        }
        let planted = (0..*size as u64).map(|at| Pair::plant(work, seed + at));
        let mut pairs: Vec<_> = planted.collect();
        seed += *size as u64;
        for _ in 0..ROUNDS {
            sleep(TICK);
            for pair in &mut pairs {
                for number in 0..2 {
                    pair.judge(work, number);
                }
                done += 1;
            }
            pairs.iter_mut().for_each(Pair::edit);
        }
        env::set_current_dir("/").unwrap();
        for pair in pairs {
            fs::remove_dir_all(pair.root).unwrap();
        }
    }
    let counts = &work.counts;
    println!("seeds {first_seed}..{seed}, {done} edits of two trees: {counts:#?}");
    assert!(!counts.keys().any(|what| what.starts_with("FAILED")));
    let count = |what: &str| counts.get(what).copied().unwrap_or_default();
    assert!(count("hit from the other") > done / 20, "hardly any hits");
}

/// One checkout.
struct Checkout {
    base: PathBuf,
    /// The working directory.
    directory: PathBuf,
    roots: Roots,
    forest: Forest,
    source: String,
}

impl Checkout {
    fn plant(base: &Path, below: &str, random: &mut Random) -> Self {
        let directory = base.join(below);
        fs::create_dir_all(&directory).unwrap();
        env::set_current_dir(&directory).unwrap();
        let mut roots = Roots::default();
        roots.add(RootName::Base, base, None);
        roots.add(RootName::Directory, &directory, None);
        Self {
            forest: Forest::plant(random, Preprocessor::Gcc, Some(placed)),
            source: if random.chance(50) {
                directory.join("main.cpp").display().to_string()
            } else {
                "main.cpp".to_owned()
            },
            base: base.to_owned(),
            directory,
            roots,
        }
    }

    fn enter(&self) {
        env::set_current_dir(&self.directory).unwrap();
    }

    fn args(&self) -> Vec<String> {
        [&self.forest.args[..], std::slice::from_ref(&self.source)].concat()
    }

    /// `text` with its own paths taken out of line markers. No line in a raw string is one.
    fn placeless(&self, text: &[u8]) -> Vec<u8> {
        let places = [(&self.directory, "{cwd}"), (&self.base, "{base}")];
        let places = places.map(|(place, name)| (format!("\"{}/", place.display()), name));
        let mut is_raw = false;
        let lines = String::from_utf8_lossy(text).into_owned();
        let lines = lines.split_inclusive('\n').map(|line| {
            is_raw = (is_raw || line.contains("R\"(")) && !line.contains(")\"");
            if line.starts_with("# ") && !is_raw {
                let mut found = places.iter().filter(|(place, _)| line.contains(place));
                if let Some((place, name)) = found.next() {
                    return line.replacen(place, &format!("\"{name}/"), 1);
                }
            }
            line.to_owned()
        });
        lines.collect::<String>().into_bytes()
    }
}

/// Lines that name the place of the tree in the working directory.
fn placed(random: &mut Random, token: u64) -> String {
    let here = env::current_dir().unwrap().display().to_string();
    let name = *random.pick(&["a/x.h", "b/y.h", "c/z.h", "../out/w.h"]);
    match random.below(9) {
        0 => format!("#include \"{here}/{name}\"\n"),
        1 => format!("const char *f{token} = __FILE__;\n"),
        2 => format!("#if __has_include(\"{here}/{name}\")\nint there{token};\n#endif\n"),
        3 => format!("#line 5 \"{here}/generated.y\"\n"),
        4 => format!("const char *r{token} = R\"(\n# 1 \"{here}/x\"\n)\";\n"),
        5 => format!("#pragma message \"m{token}\"\n"),
        6 => format!("// see {here}\n"),
        7 => format!("#define H{token} \"{here}/{name}\"\n#include H{token}\n"),
        _ => {
            let slashes: Vec<_> = here.match_indices('/').map(|(at, _)| at).skip(1).collect();
            let (head, tail) = here.split_at(*random.pick(&slashes));
            format!(
                "#define D{token} {head}\n#define H{token} <D{token}{tail}/{name}>\n#include H{token}\n"
            )
        }
    }
}

/// Two checkouts and what is remembered of both.
struct Pair {
    seed: u64,
    root: PathBuf,
    random: Random,
    trees: [Checkout; 2],
    sets: Vec<PathSet>,
    needs: HashMap<(Digest, Vec<Digest>), RootSet>,
    /// Results, and the checkout of each.
    results: HashMap<Key, (Given, usize)>,
    missing: Option<String>,
    history: Vec<String>,
}

impl Pair {
    fn plant(work: &Work, seed: u64) -> Self {
        let root = work.root.path().canonicalize().unwrap();
        let root = root.join(format!("two{seed}"));
        let checkouts = CHECKOUTS[usize::from(seed.is_multiple_of(2))];
        let mut random = Random(seed ^ 0x5eed);
        let trees = checkouts.map(|name| {
            let below = *random.pick(&["w", "w", "build/w"]);
            Checkout::plant(&root.join(name), below, &mut Random(seed))
        });
        Self {
            seed,
            root,
            random,
            trees,
            sets: Vec::new(),
            needs: HashMap::new(),
            results: HashMap::new(),
            missing: None,
            history: Vec::new(),
        }
    }

    /// Asks for a verdict in one checkout, and holds it against what a preprocessing gives there. After a miss,
    /// remembers.
    fn judge(&mut self, work: &mut Work, number: usize) {
        let tree = &self.trees[number];
        tree.enter();
        let verdict = self.look_up(work, tree);
        let watch = NameWatch::of(disk::directories().iter().map(PathBuf::as_path));
        let started = CoarseTime::now();
        let fresh = preprocess(work, tree);
        let (given, orders) = match fresh {
            Ok(fresh) => fresh,
            Err(words) => {
                work.count("failing preprocessing");
                self.missing = missing_name(&words);
                if verdict.is_some() {
                    self.fail(work, number, "unsound: the preprocessor fails", &words);
                }
                return;
            }
        };
        match verdict {
            Some((stored, from)) => {
                let kinds = ["hit from here", "hit from the other"];
                work.count(kinds[usize::from(from != number)]);
                let texts = stored.texts.iter().zip(&given.texts);
                let mut texts =
                    texts.map(|(stored, fresh)| self.are_alike([from, number], [stored, fresh]));
                if stored.words != given.words || !texts.all(|is_alike| is_alike) {
                    self.fail(work, number, "unsound", &stored.against(&given));
                }
            }
            None => {
                work.count("miss");
                self.compare_digests(work, number, &given);
                let kept = self.keep(work, number, given, &orders, watch, started);
                work.count(match kept {
                    Ok(()) => "remembered".to_owned(),
                    Err(doubt) => format!("doubt: {}", super::without_path(&doubt)),
                });
            }
        }
    }

    /// Whether two texts of the checkouts `of` are equal but for the paths of the checkouts in line markers.
    fn are_alike(&self, of: [usize; 2], texts: [&[u8]; 2]) -> bool {
        let [one, other] = texts;
        if one == other {
            return true;
        }
        let [one, other] = [(of[0], one), (of[1], other)].map(|(of, text)| {
            let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec);
            let placeless = self.trees[of].placeless(text);
            let placeless = placeless.split(|byte| *byte == b'\n').map(<[u8]>::to_vec);
            lines.zip(placeless).collect::<Vec<_>>()
        });
        // A line may name the same place in both, that of either.
        let mut lines = one.iter().zip(&other);
        let is_alike = |(one, other): (&(_, _), &(_, _))| one.0 == other.0 || one.1 == other.1;
        one.len() == other.len() && lines.all(is_alike)
    }

    /// Equal placeless digests mean texts that are equal but for line markers.
    fn compare_digests(&self, work: &mut Work, number: usize, given: &Given) {
        let placeless = |text: &[u8], of: usize| placeless_digest(text, &self.trees[of].roots);
        let stored = self.results.values();
        let stored = stored.flat_map(|(given, from)| given.texts.iter().map(|text| (*from, text)));
        for (from, stored) in stored {
            for fresh in &given.texts {
                let is_alike = self.are_alike([from, number], [stored, fresh]);
                match (
                    placeless(stored, from) == placeless(fresh, number),
                    is_alike,
                ) {
                    (true, true) => work.count("equal digests"),
                    (false, true) => work.count("other digests of texts that are alike"),
                    (false, false) => work.count("other digests"),
                    (true, false) => {
                        let texts = [stored, fresh].map(|text| String::from_utf8_lossy(text));
                        self.fail(work, number, "wrong digest", &texts.join("\n----\n"));
                    }
                }
            }
        }
    }

    /// A result, and the checkout from which it is.
    fn look_up(&self, work: &Work, tree: &Checkout) -> Option<(Given, usize)> {
        let started = CoarseTime::now();
        let mut memo = HashMap::new();
        self.sets.iter().find_map(|set| {
            let contents = set
                .check(&work.table, Some(&mut memo), started, &tree.roots)
                .ok()?;
            let needs = *self.needs.get(&(set.digest, contents.clone()))?;
            let key = (set.digest, contents, tree.roots.paths(needs));
            self.results.get(&key).cloned()
        })
    }

    fn keep(
        &mut self,
        work: &Work,
        number: usize,
        given: Given,
        orders: &BTreeSet<SearchOrder>,
        watch: NameWatch,
        started: CoarseTime,
    ) -> Result<(), NotStored> {
        let tree = &self.trees[number];
        let mut reads = Reads::default();
        let forced = tree.forest.forced.iter();
        reads
            .forced
            .extend(forced.map(|name| name.clone().into_bytes()));
        for file in given.texts.iter().flat_map(|text| markers::files(text)) {
            let path = PathBuf::from(file.path);
            let text = fs::read(&path).map_err(|error| error.to_string())?;
            reads.sources.insert(path, Rc::new(text));
        }
        let (args, passes) = (tree.args(), tree.forest.passes());
        let reruns = Reruns {
            reached: &|| work.reached(&args, passes),
            asked: &|| work.asked(&args, passes),
        };
        let lookups = Lookups::resolve(&reads, orders, &reruns)?;
        unchanged_since::check(&lookups, started, &watch.end())?;
        let set = PathSet::new(&lookups, &tree.roots).ok_or("a path with a NUL")?;
        let contents = set
            .check(&work.table, None, CoarseTime::now(), &tree.roots)
            .map_err(|_| "a file changed during the compile")?;
        // As direct mode does with what it stores.
        let sources = reads.sources.values().map(|text| text.as_slice());
        let mentioned = sources
            .chain([given.words.as_slice()])
            .map(|text| tree.roots.mentioned(text, &mut |_| true));
        let shown = given
            .texts
            .iter()
            .map(|text| shown::of_text(text, &tree.roots));
        let absolute = lookups.absolute.as_ref().map_or(RootSet::all(), |paths| {
            let roots = paths.iter();
            let roots = roots.filter_map(|path| tree.roots.root_of(path.as_os_str().as_bytes()));
            roots.fold(RootSet::default(), RootSet::with)
        });
        let needs = mentioned
            .chain(shown)
            .chain([absolute])
            .fold(RootSet::default(), RootSet::and);
        self.needs.insert((set.digest, contents.clone()), needs);
        let key = (set.digest, contents, tree.roots.paths(needs));
        self.results.insert(key, (given, number));
        self.sets.retain(|other| *other != set);
        self.sets.insert(0, set);
        self.sets.truncate(MOST_SETS);
        Ok(())
    }

    /// Edits one checkout or both, or makes one a copy of the other.
    fn edit(&mut self) {
        let missing = self.missing.take();
        let mut random = Random(self.seed ^ ((self.history.len() as u64) << 32));
        let chance = self.random.below(100);
        let one = self.random.below(2);
        let said = match chance {
            0..50 => {
                let mut again = Random(random.0);
                let said = self.edit_one(0, &mut random, missing.as_deref());
                self.edit_one(1, &mut again, missing.as_deref());
                format!("both: {said}")
            }
            50..72 => {
                let said = self.edit_one(one, &mut random, missing.as_deref());
                format!("{one}: {said}")
            }
            72..90 => self.copy_over(one),
            _ => "nothing".to_owned(),
        };
        self.history.push(said);
    }

    fn edit_one(&mut self, number: usize, random: &mut Random, missing: Option<&str>) -> String {
        let tree = &mut self.trees[number];
        tree.enter();
        match missing {
            Some(name) if random.chance(95) => tree.forest.supply(random, name),
            _ => tree.forest.edit(random).1,
        }
    }

    /// Makes the other checkout a copy of `from`, perhaps with its times and its own path in the files.
    fn copy_over(&mut self, from: usize) -> String {
        let [has_times, is_rewritten] = [self.random.chance(30), self.random.chance(50)];
        let (here, there) = (&self.trees[from], &self.trees[1 - from]);
        let places = [
            (&here.directory, &there.directory),
            (&here.base, &there.base),
        ];
        here.enter();
        let mut tree = disk::read_tree();
        let times: Vec<_> = tree
            .keys()
            .filter_map(|path| Some((path.clone(), fs::metadata(path).ok()?.modified().ok()?)))
            .collect();
        for node in tree.values_mut() {
            match node {
                Node::Link(target) => {
                    let moved = places
                        .iter()
                        .find_map(|(old, new)| Some(new.join(target.strip_prefix(old).ok()?)));
                    *target = moved.unwrap_or_else(|| target.clone());
                }
                Node::File(bytes) if is_rewritten => {
                    let text = String::from_utf8_lossy(bytes).into_owned();
                    let moved = places.iter().fold(text, |text, (old, new)| {
                        text.replace(
                            &format!("{}/", old.display()),
                            &format!("{}/", new.display()),
                        )
                    });
                    *bytes = moved.into_bytes();
                }
                _ => {}
            }
        }
        there.enter();
        disk::restore(&tree);
        for (path, time) in times.iter().filter(|_| has_times) {
            let _ = disk::stamp(path, *time);
        }
        format!("copy {from} over the other, times {has_times}, rewritten {is_rewritten}")
    }

    fn fail(&self, work: &mut Work, number: usize, what: &str, details: &str) {
        if !work.may_tell(what) {
            return;
        }
        let tree = &self.trees[number];
        tree.enter();
        eprintln!(
            "==== {what} in {}: seed {}\n{}\n{:?}\nedits: {:#?}\n{details}",
            tree.base.display(),
            self.seed,
            disk::picture(),
            tree.args(),
            self.history,
        );
    }
}

/// Texts and search orders, or what the preprocessor says.
fn preprocess(work: &Work, tree: &Checkout) -> Result<(Given, BTreeSet<SearchOrder>), String> {
    let mut given = Given {
        texts: Vec::new(),
        words: Vec::new(),
    };
    let mut orders = BTreeSet::new();
    for more in tree.forest.passes() {
        let output = work.pass(&tree.args(), &[*more, &["-v"]].concat());
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
