//! What a real preprocessor makes of a header, token by token with files, lines and columns.

use crate::random::Random;
use pcache_nvcc::includes::lexer::piece::PieceKind;
use pcache_nvcc::includes::lexer::tokens::Tokens;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// One token of the output: its file, line and text.
type Line = (Vec<u8>, u64, Vec<Vec<u8>>);

/// What came out.
#[derive(Debug, PartialEq, Eq)]
pub struct Given {
    lines: Vec<Line>,
    /// Diagnostics, without the columns and the source lines that they quote.
    words: Vec<String>,
}

/// The compiler and a place for its files.
pub struct Judge {
    compiler: PathBuf,
    triplet: String,
    root: tempfile::TempDir,
}

/// Ways of preprocessing, of which each case takes some.
const FLAVOURS: [&[&str]; 6] = [
    &["-std=c++14"],
    &["-std=gnu++17", "-DA=1", "-DF(x)=#x"],
    &["-std=c++20", "-DB", "-DR=1"],
    &["-std=gnu++20", "-Wall", "-Wextra", "-pedantic", "-DA"],
    &["-std=c++17", "-D__CUDACC__", "-DNDEBUG", "-Wcomment"],
    &["-std=gnu++14", "-P", "-DC=2"],
];

/// Uses the macros that sources of the test define, so that blanks in them can be seen.
const INCLUDER: &str = "#define SHOW2(...) #__VA_ARGS__\n#define SHOW(...) SHOW2(__VA_ARGS__)\n\
#include \"header.h\"\n\
SHOW(A) SHOW(B) SHOW(C) SHOW(D) SHOW(F (x)) SHOW(F(x)) SHOW(G(a b)) SHOW(G( a , b )) SHOW2(A B)\n\
F G A B C D F(1) G(2,3) __LINE__ __COUNTER__\n";

impl Judge {
    pub fn new() -> Self {
        let ask = |what: &str| {
            let output = Command::new("g++").arg(what).output().expect("g++");
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("main.cpp"), INCLUDER).unwrap();
        Self {
            compiler: ask("-print-prog-name=cc1plus").into(),
            triplet: ask("-print-multiarch"),
            root,
        }
    }

    /// Holds `rivals` against `text` in some flavours; the columns of the first one too, if asked.
    pub fn compare(
        &self,
        text: &[u8],
        rivals: &[Vec<u8>],
        columns: bool,
        random: &mut Random,
    ) -> Result<(), String> {
        let flavours = [*random.pick(&FLAVOURS), *random.pick(&FLAVOURS)];
        for flavour in flavours {
            let (expected, exact) = self.preprocess(text, flavour);
            for (at, rival) in rivals.iter().enumerate() {
                let (found, found_exact) = self.preprocess(rival, flavour);
                if found != expected {
                    let show = String::from_utf8_lossy;
                    let difference = difference(&expected, &found);
                    let (text, rival) = (show(text), show(rival));
                    let head = |text: &str| text.chars().take(1500).collect::<String>();
                    return Err(format!(
                        "{flavour:?}, rival {at}: {difference}\n{:?}\n{:?}",
                        head(&text),
                        head(&rival)
                    ));
                }
                if at == 0 && columns && rivals.len() == 3 && found_exact != exact {
                    return Err(format!("{flavour:?}: columns differ"));
                }
            }
        }
        Ok(())
    }

    fn preprocess(&self, text: &[u8], flavour: &[&str]) -> (Given, Vec<u8>) {
        fs::write(self.root.path().join("header.h"), text).unwrap();
        let output = Command::new(&self.compiler)
            .args([
                "-E",
                "-quiet",
                "-fdiagnostics-plain-output",
                "-imultiarch",
                &self.triplet,
            ])
            // Other headers are not at stake, and take time.
            .args(["-nostdinc", "-nostdinc++"])
            .args(flavour)
            .arg("main.cpp")
            .current_dir(self.root.path())
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        let words = words.lines().map(without_column).collect();
        let lines = lines(&output.stdout);
        (Given { lines, words }, output.stdout)
    }
}

/// `file:line:column: words` without the column.
fn without_column(line: &str) -> String {
    let mut parts: Vec<_> = line.splitn(4, ':').collect();
    if parts.len() == 4 && parts[2].bytes().all(|byte| byte.is_ascii_digit()) {
        parts.remove(2);
    }
    parts.join(":")
}

/// The tokens of preprocessed text by the lines where they come from. Markers that only say so are
/// read and left out; those that enter and leave files stay.
fn lines(text: &[u8]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let (mut file, mut base, mut base_line) = (b"?".to_vec(), 1, 1);
    let tokens: Vec<_> = Tokens::new(text).collect();
    for line in tokens.split_inclusive(|token| token.kind == PieceKind::Newline) {
        let words: Vec<_> = line
            .iter()
            .filter(|token| token.kind != PieceKind::Newline)
            .collect();
        let Some(first) = words.first() else {
            continue;
        };
        let texts: Vec<_> = words.iter().map(|token| token.of(text).to_vec()).collect();
        if first.of(text) == b"#" && words.len() > 2 && words[1].kind == PieceKind::Number {
            let line = String::from_utf8_lossy(&texts[1]).parse::<u64>();
            (file, base, base_line) = (texts[2].clone(), line.unwrap_or(0), first.line as u64 + 1);
            if texts.len() > 3 {
                lines.push((file.clone(), base, texts[3..].to_vec()));
            }
            continue;
        }
        for (token, text) in words.iter().zip(texts) {
            let line = (base + token.line as u64).wrapping_sub(base_line);
            match lines.last_mut() {
                Some(last) if last.0 == file && last.1 == line => last.2.push(text),
                _ => lines.push((file.clone(), line, vec![text])),
            }
        }
    }
    lines
}

fn difference(expected: &Given, found: &Given) -> String {
    if expected.words != found.words {
        return format!("said {:#?}\nfor {:#?}", found.words, expected.words);
    }
    let same = expected
        .lines
        .iter()
        .zip(&found.lines)
        .take_while(|(one, other)| one == other);
    let at = same.count();
    let show = |given: &Given| {
        let line = given.lines.get(at).cloned().unwrap_or_default();
        let show = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        format!(
            "{}:{} {:?}",
            show(&line.0),
            line.1,
            line.2.iter().map(show).collect::<Vec<_>>()
        )
    };
    format!("expected {}\nfound    {}", show(expected), show(found))
}
