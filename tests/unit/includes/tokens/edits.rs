//! Nasty sources, and random edits of any source.

use crate::random::Random;
use pcache_nvcc::includes::lexer::SourcePieces;
use pcache_nvcc::includes::lexer::piece::{PieceKind, SourcePiece};

/// What is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// The words of a comment, or a new comment beside a blank.
    Comment,
    /// The width of a run of blanks.
    Blanks,
    /// Blanks or a comment at the end of a line.
    Trailing,
    /// One token.
    Word,
    /// Any bytes, anywhere: a comment opened in a literal, a blank within a token, …
    Wild,
    /// A newline more, in a comment or outside, or an escaped one.
    Newline,
}

impl Edit {
    pub fn any(random: &mut Random) -> Self {
        use Edit::{Blanks, Comment, Newline, Trailing, Wild, Word};
        *random.pick(&[
            Comment, Comment, Blanks, Trailing, Word, Wild, Wild, Wild, Newline,
        ])
    }

    pub fn apply(self, text: &[u8], random: &mut Random) -> Vec<u8> {
        let pieces: Vec<_> = SourcePieces::new(text).collect();
        let choose = |random: &mut Random, wanted: &dyn Fn(&SourcePiece) -> bool| {
            let fit: Vec<_> = pieces.iter().filter(|piece| wanted(piece)).collect();
            (!fit.is_empty()).then(|| **random.pick(&fit))
        };
        let plain = |piece: &SourcePiece| !is_kept(text, piece.start);
        let chosen = match self {
            Self::Comment => choose(random, &|piece| {
                matches!(piece.kind, PieceKind::BlockComment | PieceKind::LineComment)
                    && plain(piece)
            }),
            Self::Blanks => choose(random, &|piece| {
                piece.kind == PieceKind::Blank && plain(piece)
            }),
            Self::Trailing => choose(random, &|piece| {
                piece.kind == PieceKind::Newline && plain(piece)
            }),
            Self::Word => choose(random, &|piece| piece.kind == PieceKind::Identifier),
            Self::Newline => choose(random, &|piece| !piece.kind.is_token()),
            Self::Wild => choose(random, &|_| true),
        };
        let Some(piece) = chosen else {
            return text.to_vec();
        };
        let (start, end) = (piece.start, piece.end);
        match self {
            Self::Comment => reword(text, &piece, random),
            Self::Blanks => splice(
                text,
                start,
                end,
                random.pick::<&str>(&[" ", "  ", "\t", " /* x */", "/**/", " \t "]),
            ),
            Self::Trailing => splice(
                text,
                start,
                start,
                random.pick::<&str>(&[" ", "\t ", " // c", " /* c */", "// \"x", "/* ' */ "]),
            ),
            Self::Word => splice(text, end, end, "_2"),
            Self::Newline => splice(
                text,
                start,
                start,
                random.pick::<&str>(&["\n", "\\\n", "/*\n*/", "// x\n", "\\ \n", "/* \\\n */"]),
            ),
            Self::Wild => {
                let at = start + random.below(end - start + 1);
                let cut = *random.pick(&[0, 0, 0, 1, 2]);
                splice(
                    text,
                    at,
                    (at + cut).min(text.len()),
                    random.pick::<&str>(&WILD),
                )
            }
        }
    }
}

const WILD: [&str; 44] = [
    "",
    "",
    "",
    " ",
    "  ",
    "\t",
    "/*",
    "*/",
    "//",
    "/**/",
    "/* x */",
    "\"",
    "'",
    "\\",
    "\\\n",
    "\\ \n",
    "\n",
    "R\"(",
    ")\"",
    "R\"x(a)x\"",
    "u8",
    "#",
    "##",
    "%:",
    "<",
    ">",
    "(",
    ")",
    "\u{c}",
    "\u{b}",
    "\0",
    "\r",
    "\r\n",
    "\u{e9}",
    "1'0",
    "??/\n",
    "// \\\n",
    "/* /* */",
    "#include <a//b>\n",
    "\u{feff}",
    " @ ",
    "\\u00e9",
    "$",
    "_",
];

fn splice(text: &[u8], start: usize, end: usize, new: &str) -> Vec<u8> {
    [&text[..start], new.as_bytes(), &text[end..]].concat()
}

/// Whether the line of `at` is one whose bytes count, or may be.
fn is_kept(text: &[u8], at: usize) -> bool {
    let start = text[..at]
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |at| at + 1);
    let end = text[at..]
        .iter()
        .position(|&byte| byte == b'\n')
        .map_or(text.len(), |end| at + end);
    let line = text[start..end].trim_ascii_start();
    let plain = ["define", "undef", "if", "el", "endif"];
    let after = line.strip_prefix(b"#").map(<[u8]>::trim_ascii_start);
    line.ends_with(b"\\")
        || after.is_some_and(|after| !plain.iter().any(|word| after.starts_with(word.as_bytes())))
}

/// Other words for a comment, on as many lines.
fn reword(text: &[u8], piece: &SourcePiece, random: &mut Random) -> Vec<u8> {
    let old = piece.of(text);
    let words = *random.pick(&[
        "other words",
        "",
        " x \" ",
        "don't",
        "# if 0",
        "int a; // b",
        "*",
        "\\brief",
    ]);
    let newlines = "\n".repeat(old.iter().filter(|&&byte| byte == b'\n').count());
    let new = match piece.kind {
        PieceKind::LineComment => format!("//{words}{newlines}"),
        _ => format!("/*{newlines}{words}*/"),
    };
    splice(text, piece.start, piece.end, &new)
}

/// A source of what lexers stumble over.
pub fn nasty(random: &mut Random) -> Vec<u8> {
    let mut text = String::new();
    if random.chance(3) {
        text.push('\u{feff}');
    }
    for _ in 0..4 + random.below(14) {
        text += *random.pick(&LINES);
        text += *random.pick(&[
            "\n",
            "\n",
            "\n",
            "\n",
            " // c\n",
            "  \n",
            "/* a\nb */\n",
            "\n\n",
            " /* c */ \n",
            " \\\n",
        ]);
    }
    if random.chance(5) {
        text.truncate(text.trim_end().len());
    }
    text.into_bytes()
}

const LINES: [&str; 64] = [
    "#define A a+b",
    "#define A (x)",
    "#define F(x) #x",
    "#define F (x)",
    "#define F/**/(x) x",
    "#define F(x) # x \"/*\" x",
    "#define G(x, y) SHOW2(x y) x ## y",
    "#define G( x , ... ) #__VA_ARGS__ /* t */ x",
    "# define B /* b\n */ bb",
    "#define C",
    "#define D R\"(/*)\"",
    "#define B '\"' \"'\"",
    "  #  define C(a)a",
    "%: define D d %:%: e",
    "#ifdef A",
    "#if defined(B) /* c */ && 1",
    "#if 0",
    "#else",
    "#else // other",
    "#endif",
    "#endif /* A */",
    "#elif 1",
    "#undef A",
    "#undef  B // b",
    "#pragma  once",
    "#pragma GCC diagnostic push /* a\n b */",
    "#warning some   words don't matter",
    "#error it's   over /* a",
    "#line 7 \"l.h\"",
    "# 12 \"m.h\"",
    "#ident \"x\"  // y",
    "#",
    "# /* null */",
    "#unknown  x",
    "#if __has_include(<a//b.h>)",
    "#if __has_include(  \"a.h\" ) // c",
    "#if __has_include(<a.h>) /* c */ && 1",
    "#endif\n#endif",
    "int a = 1'000 + 0x1'f; /* c */ char c = 'x';",
    "auto s = R\"(a\n  // b \"\n)\" /* c */;",
    "auto s = u8R\"d(\\\n)\")d\"  \"/* no */\";",
    "auto t = \"// no\" L\"a\\\"b\" /* \" */ U'\\'';",
    "F(a\n   b /* c */\n  c)",
    "F( a )  F(a)F( \"x  y\"  )",
    "G(1,\n#define Q 1\n 2)",
    "F\n  (x)",
    "x = a /**/ / /**/ b;",
    "x = a+/**/+b - -c->*d;",
    "/* one */ int /* two */ b; // three",
    "/* lic\n * ence\n */",
    "/* a\n */ #define C /* c */ 3",
    "// x \\\n y",
    "/\\\n* c *\\\n/ int c;",
    "in\\\nt d  = __LI\\\nNE__;",
    "a \\ \n  b",
    "don't",
    "/* \u{e9} */ int e;",
    "/* /* */ x",
    "  \u{c}  int f;",
    "auto r = \"a\"_x \"b\" 'c'_y;",
    "int \u{e9}t = __LINE__ /* \n */ + __LINE__; __COUNTER__",
    "_Pragma(\"GCC poison zz\")  x",
    "F(__LINE__ /*\n*/ __LINE__)",
    "case 1: /* fall through */ // \\u00e9",
];
