//! Random C++ in which lines are taken through several hands: what takes them, what carries that on under
//! other names, and what uses it. `forms.txt` has the forms.

use super::random::Random;
use std::collections::HashMap;
use std::fmt::Write as _;

/// What comes first in every source.
const TOP: &str = "namespace std {
using size_t = decltype(sizeof 0);
template <class T> struct tuple_size;
template <size_t, class> struct tuple_element;
}

HD inline int cur(int l = __builtin_LINE()) { return l; }

struct loc {
  int n;
  static HD constexpr loc current(int l = __builtin_LINE()) { return {l}; }
};

struct Other { int cur; int current; HD int get() const { return cur + current; } };
";

/// The rows of each section of `forms.txt`.
pub struct Forms(HashMap<&'static str, Vec<&'static str>>);

impl Forms {
    /// Reads them.
    pub fn new() -> Self {
        let mut sections = HashMap::<_, Vec<_>>::new();
        let mut section = "";
        for line in include_str!("forms.txt").lines() {
            match line.strip_prefix('[') {
                _ if line.is_empty() || line.starts_with('#') => {}
                Some(name) if name.ends_with(']') && !name.contains(' ') => {
                    section = name.trim_end_matches(']');
                }
                _ => sections.entry(section).or_default().push(line),
            }
        }
        Self(sections)
    }

    fn pick(&self, random: &mut Random, section: &str) -> &'static str {
        let rows: &[&str] = &self.0[section];
        rows[random.below(rows.len())]
    }
}

/// Something that exists.
#[derive(Clone)]
struct Thing {
    text: String,
    is_host: bool,
}

/// A source that grows.
struct Source<'f> {
    forms: &'f Forms,
    text: String,
    number: usize,
    /// Types with a member `n` that need no arguments.
    types: Vec<Thing>,
    calls: Vec<Thing>,
    /// Functions that need no arguments.
    functions: Vec<Thing>,
    uses: Vec<Thing>,
}

/// A random source, and what of it may be called.
pub struct Program {
    /// With `HD` before what both sides may call.
    pub text: String,
    /// What kernels may call.
    pub device: Vec<String>,
    /// What only the host may.
    pub host: Vec<String>,
}

/// A random program.
pub fn program(random: &mut Random, forms: &Forms) -> Program {
    let mut source = Source {
        forms,
        text: TOP.to_owned(),
        number: 0,
        types: Vec::new(),
        calls: Vec::new(),
        functions: Vec::new(),
        uses: Vec::new(),
    };
    for _ in 0..=random.below(2) {
        match random.below(3) {
            0 => source.class(random),
            _ => source.row(random, "takers", None),
        }
    }
    for _ in 0..random.below(4) {
        source.hand_on(random);
    }
    for _ in 0..=random.below(3) {
        source.make_use(random);
    }
    let side = |is_host: bool| {
        let uses = source.uses.iter().filter(|one| one.is_host == is_host);
        uses.map(|one| one.text.clone()).collect()
    };
    Program {
        device: side(false),
        host: side(true),
        text: source.text,
    }
}

impl Source<'_> {
    fn class(&mut self, random: &mut Random) {
        let row = self.forms.pick(random, "classes");
        let body = self.forms.pick(random, "bodies");
        self.make(random, &row.replace("$B", body).replace("$N", "S@"), false);
    }

    fn hand_on(&mut self, random: &mut Random) {
        let (section, mark, things) = match random.below(8) {
            0..=3 => ("of_types", "$T", &self.types),
            4 | 5 => ("of_functions", "$F", &self.functions),
            _ => ("of_calls", "$C", &self.calls),
        };
        if !things.is_empty() {
            let thing = random.pick(things).clone();
            self.row(random, section, Some((mark, thing)));
        }
    }

    fn make_use(&mut self, random: &mut Random) {
        let of_type = !self.types.is_empty() && (self.calls.is_empty() || random.below(2) == 0);
        let (mark, section, things) = if of_type {
            ("$T", "uses_of_types", &self.types)
        } else {
            ("$C", "uses", &self.calls)
        };
        if things.is_empty() {
            return;
        }
        let thing = random.pick(things).clone();
        let body = self.forms.pick(random, section).replace(mark, &thing.text);
        let text = format!("HD inline int use@() {{{body}");
        self.add(random, &text, thing.is_host);
        let text = self.numbered("use@()");
        self.uses.push(Thing { text, ..thing });
    }

    /// Adds one of the rows of `section`, made with `of`.
    fn row(&mut self, random: &mut Random, section: &str, of: Option<(&str, Thing)>) {
        let row = self.forms.pick(random, section);
        let is_host = of.as_ref().is_some_and(|(_, thing)| thing.is_host);
        match of {
            Some((mark, thing)) => self.make(random, &row.replace(mark, &thing.text), is_host),
            None => self.make(random, row, is_host),
        }
    }

    /// Adds a row, and remembers what it makes.
    fn make(&mut self, random: &mut Random, row: &str, is_host: bool) {
        let (gives, text) = row.split_once(" :: ").unwrap();
        let only_host = gives.strip_prefix("host ");
        let is_host = is_host || only_host.is_some();
        self.add(random, text, is_host);
        let gives = only_host.unwrap_or(gives);
        let Some((kind, names)) = gives.split_once(' ') else {
            return;
        };
        for name in names.split(" | ") {
            let thing = |text: &str| Thing {
                text: self.numbered(text),
                is_host,
            };
            match kind {
                "type" => self.types.push(thing(name)),
                "call" => self.calls.push(thing(name)),
                "function" => {
                    let function = thing(name);
                    self.calls.push(thing(&format!("{name}()")));
                    self.functions.push(function);
                }
                other => panic!("{other}: {row}"),
            }
        }
    }

    fn numbered(&self, text: &str) -> String {
        text.replace('@', &self.number.to_string())
    }

    fn add(&mut self, random: &mut Random, text: &str, is_host: bool) {
        self.number += 1;
        let mut text = self.numbered(text);
        while text.contains("$L") {
            text = text.replacen("$L", self.forms.pick(random, "lines"), 1);
        }
        if is_host {
            text = text.replace("HD ", "");
        }
        writeln!(self.text, "\n{}", text.replace('~', "\n")).unwrap();
        if random.below(3) == 0 {
            let number = self.number;
            writeln!(self.text, "inline int none{number}() {{\n\n return 3; }}").unwrap();
        }
    }
}
