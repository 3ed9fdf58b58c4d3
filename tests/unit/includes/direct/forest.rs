//! Random trees of headers, and random edits of them. A tree lies in the working directory; its
//! search directories are chosen once, and may come and go. Knows nothing of caches.

use super::disk::{Node, describe, files, has_copy, read_tree, remove, restore, stamp, write};
use crate::random::Random;
use pcache_nvcc::includes::lookups::Preprocessor;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Where headers lie, relative to the working directory. Some are not made at first.
const PLACES: [&str; 10] = [
    ".",
    "a",
    "b",
    "c",
    "a/deep",
    "../out",
    "gone",
    "gone/deep",
    "link",
    "b/sub",
];

/// Spellings of search directories.
const SEARCHED: [&str; 14] = [
    "a",
    "b",
    "c",
    "a/deep",
    "../out",
    "gone",
    "gone/deep",
    "link",
    ".",
    "a/../c",
    "b/",
    "./a",
    "link/../b",
    "c/nowhere",
];

const NAMES: [&str; 8] = [
    "x.h", "y.h", "z.h", "w.h", "sub/x.h", "sub/y.h", "../x.h", "Z.h",
];

const FLAGS: [&str; 6] = ["-I", "-I", "-I", "-iquote", "-isystem", "-idirafter"];

/// Differences of times between copies.
const LATER: [Duration; 4] = [
    Duration::ZERO,
    Duration::ZERO,
    Duration::from_millis(1),
    Duration::from_secs(1),
];

/// What every tree begins with: macros that stand for questions.
const PRELUDE: &str = "#define ASK(x) __has_include(x)\n\
    #define ASK_NEXT(n) __has_include_next(n)\n";

/// More of it, for some trees.
const TRICKS: [&str; 4] = [
    "#define ASK_BARE(x) __has_include(<x>)\n",
    "#define ASK_QUOTED __has_include(\"x.h\")\n",
    "#define w y\n",
    "#if /* // */ __has_include(<y.h>)\nint trick;\n#endif\n",
];

/// One tree, in the working directory of the process.
pub struct Forest {
    pub preprocessor: Preprocessor,
    /// Arguments of the preprocessor but for the source.
    pub args: Vec<String>,
    /// Names that the arguments include.
    pub forced: Vec<String>,
    /// Whether a second pass defines `DEVICE`.
    pub two_passes: bool,
    token: u64,
    /// Writes lines that name the place of the tree.
    placed: Option<fn(&mut Random, u64) -> String>,
    snapshots: Vec<BTreeMap<PathBuf, Node>>,
}

/// What an edit may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Times alone, or nothing: what was a hit must stay one.
    None,
    /// Anything.
    Any,
}

impl Forest {
    /// Plants a tree in the working directory.
    pub fn plant(
        random: &mut Random,
        preprocessor: Preprocessor,
        placed: Option<fn(&mut Random, u64) -> String>,
    ) -> Self {
        let mut forest = Self {
            preprocessor,
            args: Vec::new(),
            forced: Vec::new(),
            two_passes: random.chance(25),
            token: 0,
            placed,
            snapshots: Vec::new(),
        };
        for place in ["a/deep", "b/sub", "c", "../out"] {
            fs::create_dir_all(place).unwrap();
        }
        symlink(random.pick(&["a", "b", "c", "../out"]), "link").unwrap();
        let here = std::env::current_dir().unwrap();
        for _ in 0..random.below(5) + 2 {
            let directory = *random.pick(&SEARCHED);
            forest.args.push((*random.pick(&FLAGS)).to_owned());
            forest.args.push(if random.chance(20) {
                here.join(directory).display().to_string()
            } else {
                directory.to_owned()
            });
        }
        // By clang, -imacros leaves no trace: compiles with it are bypassed.
        let is_traced = |flag: &str| flag == "-include" || preprocessor == Preprocessor::Gcc;
        for flag in ["-include", "-imacros"] {
            if random.chance(10) && is_traced(flag) {
                let name = (*random.pick(&NAMES)).to_owned();
                forest.args.extend([flag.to_owned(), name.clone()]);
                forest.forced.push(name);
            }
        }
        for _ in 0..random.below(14) + 4 {
            forest.add(random).unwrap();
        }
        forest.write_source(random);
        forest
    }

    /// The arguments that only one of the passes has, for each pass.
    pub fn passes(&self) -> &'static [&'static [&'static str]] {
        if self.two_passes {
            &[&[], &["-DDEVICE"]]
        } else {
            &[&[]]
        }
    }

    fn write_source(&mut self, random: &mut Random) {
        let trick = if random.chance(20) {
            random.pick(&TRICKS)
        } else {
            ""
        };
        let text = [PRELUDE, trick, &self.text(random), &self.text(random)].concat();
        fs::write("main.cpp", text).unwrap();
    }

    /// The text of a header: a word of its own, and what it asks for.
    fn text(&mut self, random: &mut Random) -> String {
        self.token += 1;
        let mut body = format!("int t{};\n", self.token);
        for _ in 0..random.below(4) {
            body += &self.directive(random);
        }
        match random.below(6) {
            0 => format!("#pragma once\n{body}"),
            1 => format!("#ifndef G{0}\n#define G{0}\n{body}#endif\n", self.token),
            2 => format!("/* c */ #pragma once // {}\n{body}", self.token),
            _ => body,
        }
    }

    fn directive(&mut self, random: &mut Random) -> String {
        self.token += 1;
        let token = self.token;
        if let Some(placed) = self.placed.filter(|_| random.chance(12)) {
            return format!(
                "#if __INCLUDE_LEVEL__ < 5\n{}#endif\n",
                placed(random, token)
            );
        }
        let name = *random.pick(&NAMES);
        let quoted = if random.chance(50) {
            format!("\"{name}\"")
        } else {
            format!("<{name}>")
        };
        let word = name.trim_end_matches(".h");
        let answers = format!("int yes{token};\n#else\nint no{token};\n#endif\n");
        let line = match random.below(16) {
            0 => format!("#include {quoted}\n"),
            1 => format!("#ifdef ASK\n#if ASK({quoted})\n#include {quoted}\n{answers}#endif\n"),
            2 => format!("#if __has_include({quoted})\n#include {quoted}\n{answers}"),
            3 => format!("#include_next {quoted}\n"),
            4 => format!("#define H{token} {quoted}\n#include H{token}\n"),
            5 if random.chance(20) => {
                format!("#define H{token} {quoted}\n#include_next H{token}\n")
            }
            6 => format!("#if __has_include({quoted})\n{answers}"),
            7 => format!("#if ASK({quoted})\n#include {quoted}\n{answers}"),
            8 => format!("#if ASK({quoted})\n{answers}"),
            9 if random.chance(20) => {
                format!("#if defined ASK_BARE && ASK_BARE({name})\n{answers}")
            }
            9 if random.chance(50) => format!("#if defined ASK_QUOTED && ASK_QUOTED\n{answers}"),
            10 if random.chance(20) => {
                format!(
                    "#define W{token} {word}\n#define Q{token} __has_include(<W{token}.h>)\n#if Q{token}\n{answers}"
                )
            }
            10 if random.chance(40) => {
                format!("#define S{token}(x) #x\n#if __has_include(S{token}({name}))\n{answers}")
            }
            11 => format!("#if __has_include_next({quoted})\n#include_next {quoted}\n{answers}"),
            12 => format!("#ifdef DEVICE\n#include {quoted}\n#endif\n"),
            13 => format!("#if 0\n#include {quoted}\n#endif\n"),
            14 if random.chance(20) => format!("#warning w{token}\n"),
            15 if random.chance(20) => format!("#if ASK_NEXT({quoted})\n{answers}"),
            _ => format!("#if defined ASK && ASK({quoted}) && 1\n#  include {quoted}\n#endif\n"),
        };
        format!("#if __INCLUDE_LEVEL__ < 5\n{line}#endif\n")
    }

    /// Puts `name` somewhere: for a tree that does not preprocess.
    pub fn supply(&mut self, random: &mut Random, name: &str) -> String {
        let place = if random.chance(20) {
            PathBuf::from(name)
        } else {
            self.searched(random).join(name)
        };
        let text = self.text(random);
        describe("supply", &place, write(&place, text.as_bytes()))
    }

    fn searched(&self, random: &mut Random) -> PathBuf {
        let pairs: Vec<_> = self
            .args
            .chunks(2)
            .filter(|pair| FLAGS.contains(&&*pair[0]))
            .collect();
        PathBuf::from(&random.pick(&pairs)[1])
    }

    fn place(&self, random: &mut Random) -> PathBuf {
        let directory = if random.chance(60) {
            self.searched(random)
        } else {
            PathBuf::from(*random.pick(&PLACES))
        };
        directory.join(*random.pick(&NAMES))
    }

    fn add(&mut self, random: &mut Random) -> io::Result<()> {
        let place = self.place(random);
        let text = self.text(random);
        write(&place, text.as_bytes())
    }

    /// Changes one thing, and says what and how.
    pub fn edit(&mut self, random: &mut Random) -> (Effect, String) {
        if random.chance(15) {
            return self.leave_alone(random);
        }
        let said = match random.below(22) {
            0..6 => {
                let place = self.place(random);
                let text = self.text(random);
                describe("write", &place, write(&place, text.as_bytes()))
            }
            6..9 => self.change(random),
            9 => one(random, "remove", |path| fs::remove_file(path)),
            10 => self.move_file(random),
            11 | 12 => self.change_directories(random),
            13 => self.change_links(random),
            14 | 15 => self.copy(random),
            16 => self.date_alike(random),
            17 => self.become_directory(random),
            18 => self.predefine(random),
            19 => {
                self.write_source(random);
                "write main.cpp".to_owned()
            }
            _ => self.switch(random),
        };
        (Effect::Any, said)
    }

    /// What must not matter, unless the times of copies do.
    fn leave_alone(&mut self, random: &mut Random) -> (Effect, String) {
        let path = random.pick(&files()).clone();
        let said = match random.below(4) {
            0 => return (Effect::None, "nothing".to_owned()),
            1 => {
                let done = fs::read(&path).and_then(|bytes| fs::write(&path, bytes));
                describe("write the same to", &path, done)
            }
            2 => {
                let directory = self.searched(random);
                let place = directory.join("unrelated.h");
                let exists = directory.is_dir();
                let done = if exists {
                    fs::write(&place, "int unrelated;\n")
                } else {
                    Ok(())
                };
                return (Effect::None, describe("put aside", &place, done));
            }
            _ => {
                let when = SystemTime::now() - Duration::from_secs(random.below(9000) as u64);
                describe("touch", &path, stamp(&path, when))
            }
        };
        let effect = if has_copy(&path) {
            Effect::Any
        } else {
            Effect::None
        };
        (effect, said)
    }

    fn change(&mut self, random: &mut Random) -> String {
        let text = self.text(random);
        match random.below(3) {
            0 => one(random, "rewrite", |path| fs::write(path, &text)),
            1 => one(random, "change without trace in size and time", |path| {
                let found = fs::metadata(path)?.modified()?;
                let old = fs::read_to_string(path)?;
                let new = old.replacen("int t", "int u", 1);
                fs::write(
                    path,
                    if new == old {
                        old.replacen("int u", "int t", 1)
                    } else {
                        new
                    },
                )?;
                stamp(path, found)
            }),
            _ => one(random, "replace by rename", |path| {
                fs::write("new.tmp", &text)?;
                fs::rename("new.tmp", path)
            }),
        }
    }

    fn move_file(&mut self, random: &mut Random) -> String {
        let to = self.place(random);
        one(random, &format!("move to {}:", to.display()), |path| {
            fs::rename(path, &to)
        })
    }

    fn change_directories(&mut self, random: &mut Random) -> String {
        let (one, other) = (*random.pick(&PLACES[1..]), *random.pick(&PLACES[1..]));
        match random.below(4) {
            0 => describe("make", Path::new(one), fs::create_dir_all(one)),
            1 => {
                let what = format!("rename {one} to");
                describe(&what, Path::new(other), fs::rename(one, other))
            }
            2 => {
                let swap = || {
                    fs::rename(one, "swap.tmp")?;
                    let back = fs::rename(other, one);
                    fs::rename("swap.tmp", if back.is_ok() { other } else { one })
                };
                describe(&format!("swap {one} with"), Path::new(other), swap())
            }
            _ => {
                let replace = || {
                    fs::rename(one, format!("old{}.tmp", self.token))?;
                    symlink(std::env::current_dir()?.join(other), one)
                };
                describe(
                    &format!("{one} becomes a link to"),
                    Path::new(other),
                    replace(),
                )
            }
        }
    }

    fn change_links(&mut self, random: &mut Random) -> String {
        let target = *random.pick(&["a", "b", "c", "../out", "gone"]);
        if random.chance(40) {
            let retarget = || {
                fs::remove_file("link")?;
                symlink(target, "link")
            };
            return describe("link leads to", Path::new(target), retarget());
        }
        let files = files();
        let to = std::env::current_dir().unwrap().join(random.pick(&files));
        let name = self.place(random);
        let mut link = || {
            remove(&name)?;
            fs::create_dir_all(name.parent().unwrap())?;
            match random.below(3) {
                0 => fs::hard_link(&to, &name),
                _ => symlink(&to, &name),
            }
        };
        describe(&format!("link to {}:", to.display()), &name, link())
    }

    /// A copy, with the same time or not: `#pragma once` takes those of one second for the same file.
    fn copy(&mut self, random: &mut Random) -> String {
        let to = self.place(random);
        let later = LATER[random.below(LATER.len())];
        let what = format!("copy, {later:?} later, to {}:", to.display());
        one(random, &what, |path| {
            let time = fs::metadata(path)?.modified()?;
            write(&to, &fs::read(path)?)?;
            stamp(&to, time + later)
        })
    }

    /// Gives a file about the time of another one, perhaps that of a copy.
    fn date_alike(&mut self, random: &mut Random) -> String {
        let files = files();
        let other = random.pick(&files);
        let later = LATER[random.below(LATER.len())];
        let what = format!("date {later:?} after {}:", other.display());
        let copies: Vec<_> = files
            .iter()
            .filter(|path| *path != other && fs::read(path).ok() == fs::read(other).ok())
            .collect();
        let path = if copies.is_empty() {
            random.pick(&files)
        } else {
            *random.pick(&copies)
        };
        let date = || stamp(path, fs::metadata(other)?.modified()? + later);
        describe(&what, path, date())
    }

    fn become_directory(&mut self, random: &mut Random) -> String {
        let place = self.place(random);
        let mut change = || {
            remove(&place)?;
            match random.below(4) {
                0 => symlink("nowhere", &place),
                1 => symlink(place.file_name().unwrap(), &place),
                _ => fs::create_dir_all(&place),
            }
        };
        describe("a directory or a bad link at", &place, change())
    }

    /// The header that the compiler includes unasked, or what it might take for a precompiled header.
    fn predefine(&mut self, random: &mut Random) -> String {
        if let Some(name) = self.forced.first()
            && random.chance(50)
        {
            let place = PathBuf::from(format!("{name}.{}", random.pick(&["gch", "pch"])));
            let done = if place.exists() {
                remove(&place)
            } else {
                write(&place, b"int precompiled;\n")
            };
            return describe("a precompiled header", &place, done);
        }
        let place = self.searched(random).join("stdc-predef.h");
        let done = if place.exists() {
            remove(&place)
        } else if place.parent().is_some_and(Path::is_dir) {
            write(&place, b"int predefined;\n")
        } else {
            Ok(())
        };
        describe("the compiler's own header", &place, done)
    }

    /// To another branch and back.
    fn switch(&mut self, random: &mut Random) -> String {
        if self.snapshots.len() < 2 || random.chance(20) {
            let now = read_tree();
            self.snapshots.push(now);
            return "remember".to_owned();
        }
        let number = random.below(self.snapshots.len());
        restore(&self.snapshots[number]);
        format!("switch to {number}")
    }
}

fn one(random: &mut Random, what: &str, act: impl FnOnce(&Path) -> io::Result<()>) -> String {
    let path = random.pick(&files()).clone();
    let done = act(&path);
    describe(what, &path, done)
}
