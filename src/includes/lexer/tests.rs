use super::SourcePieces;
use super::piece::{PieceKind, Quotes};
use super::tokens::Tokens;
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

const STRING: PieceKind = PieceKind::Literal(Quotes::String);
const CHAR: PieceKind = PieceKind::Literal(Quotes::Char);
const RAW: PieceKind = PieceKind::Literal(Quotes::Raw);

/// The tokens of `text`, ends of lines left out.
fn tokens(text: &str) -> Vec<(PieceKind, &str)> {
    let found = Tokens::new(text.as_bytes()).filter(|token| token.kind != PieceKind::Newline);
    found
        .map(|token| (token.kind, &text[token.start..token.end]))
        .collect()
}

#[track_caller]
fn reads(text: &str, expected: &[(PieceKind, &str)]) {
    assert_eq!(tokens(text), expected, "{text}");
    assert_eq!(doubt(text), None, "{text}");
}

/// Like [`reads`], kinds left out.
#[track_caller]
fn splits(text: &str, expected: &[&str]) {
    let found: Vec<_> = tokens(text).into_iter().map(|(_, token)| token).collect();
    assert_eq!(found, expected, "{text}");
}

fn doubt(text: &str) -> Option<&'static str> {
    let mut pieces = SourcePieces::new(text.as_bytes());
    pieces.by_ref().for_each(drop);
    pieces.doubt()
}

#[test]
fn words_numbers_and_operators_are_told_apart() {
    use PieceKind::{Identifier, Number, Other, Punct};
    reads(
        "int a1=.5e+3+0x1p-2;@",
        &[
            (Identifier, "int"),
            (Identifier, "a1"),
            (Punct, "="),
            (Number, ".5e+3"),
            (Punct, "+"),
            (Number, "0x1p-2"),
            (Punct, ";"),
            (Other, "@"),
        ],
    );
    splits(
        "a+++b<<=c->*d...::e",
        &[
            "a", "++", "+", "b", "<<=", "c", "->*", "d", "...", "::", "e",
        ],
    );
    splits(
        "x<::y<:::z<::>%:%:",
        &["x", "<", "::", "y", "<:", "::", "z", "<:", ":>", "%:%:"],
    );
    splits("1.e+x+1..2", &["1.e+x", "+", "1..2"]);
}

#[test]
fn quotes_in_numbers_are_separators() {
    reads("1'000'000", &[(PieceKind::Number, "1'000'000")]);
    reads(
        "0x1'f+'a'",
        &[
            (PieceKind::Number, "0x1'f"),
            (PieceKind::Punct, "+"),
            (CHAR, "'a'"),
        ],
    );
    for text in ["1'+'", "1'", "1.'2'", "0x1p+'a'", "1\u{e9}'2'"] {
        assert!(doubt(text).is_some(), "{text}");
    }
}

#[test]
fn literals_have_their_prefixes_and_escapes() {
    reads(
        r#"L"a\"b"'\''u8'x'"#,
        &[(STRING, r#"L"a\"b""#), (CHAR, r"'\''"), (CHAR, "u8'x'")],
    );
    reads(
        r#"x"a"_s"#,
        &[
            (PieceKind::Identifier, "x"),
            (STRING, "\"a\""),
            (PieceKind::Identifier, "_s"),
        ],
    );
    reads(
        "\"a\\\\\" b",
        &[(STRING, "\"a\\\\\""), (PieceKind::Identifier, "b")],
    );
    reads(
        "\"/*\" a \"*/\" '\"' // \"",
        &[
            (STRING, "\"/*\""),
            (PieceKind::Identifier, "a"),
            (STRING, "\"*/\""),
            (CHAR, "'\"'"),
        ],
    );
}

#[test]
fn raw_strings_end_at_their_own_delimiter() {
    reads(
        "R\"(a)b\" \\\n)\"x",
        &[(RAW, "R\"(a)b\" \\\n)\""), (PieceKind::Identifier, "x")],
    );
    reads("u8R\"d(\n)\")d\"", &[(RAW, "u8R\"d(\n)\")d\"")]);
    reads(
        "LR\"(/*)\" UR\"(\\)\" uR\"()\"",
        &[(RAW, "LR\"(/*)\""), (RAW, "UR\"(\\)\""), (RAW, "uR\"()\"")],
    );
    splits("xR\"(a)\"", &["xR", "\"(a)\""]);
    for text in [
        "R\"(a",
        "R\"a b(x)a b\"",
        "R\\\n\"(a)\"",
        "\"a\"R\"(b)\"",
        "#if R\"(\n)\"",
        "$R\"(a)\"",
    ] {
        assert!(doubt(text).is_some(), "{text}");
    }
}

#[test]
fn escaped_newlines_are_undone_everywhere_else() {
    splits("a\\\nb", &["a\\\nb"]);
    splits("a\\ \t\n\\\nb c", &["a\\ \t\n\\\nb", "c"]);
    splits("a\\\n b", &["a", "b"]);
    splits("/\\\n/ x\ny", &["y"]);
    splits("/\\\n* x *\\\n/y", &["y"]);
    splits("// x \\\ny\nz", &["z"]);
    splits("\"a\\\nb\\\\\n\"c\" d", &["\"a\\\nb\\\\\n\"c\"", "d"]);
    splits("1\\\n2'\\\n3", &["1\\\n2'\\\n3"]);
}

#[test]
fn names_of_headers_are_read_only_where_they_may_stand() {
    let header = PieceKind::HeaderName;
    let expected = |name| {
        vec![
            (PieceKind::Punct, "#"),
            (PieceKind::Identifier, "include"),
            (header, name),
        ]
    };
    reads("#include <a//b/*.h>", &expected("<a//b/*.h>"));
    reads("#include \"a\\\"//", &expected("\"a\\\""));
    reads(
        "/**/ %: /*\n*/ inc\\\nlude_next<'>",
        &[
            (PieceKind::Punct, "%:"),
            (PieceKind::Identifier, "inc\\\nlude_next"),
            (header, "<'>"),
        ],
    );
    splits("include <a>", &["include", "<", "a", ">"]);
    splits("x #include <a>", &["x", "#", "include", "<", "a", ">"]);
    splits("#include <a\n>", &["#", "include", "<", "a", ">"]);
    splits("#include M <a>", &["#", "include", "M", "<", "a", ">"]);
}

#[test]
fn a_quote_alone_takes_the_rest_of_its_line() {
    reads(
        "#error don't /*\nx",
        &[
            (PieceKind::Punct, "#"),
            (PieceKind::Identifier, "error"),
            (PieceKind::Identifier, "don"),
            (PieceKind::Other, "'t /*"),
            (PieceKind::Identifier, "x"),
        ],
    );
    splits("\"a\\\nb // \nc", &["\"a\\\nb // ", "c"]);
    splits("'\\\n", &["'\\\n"]);
}

#[test]
fn lines_and_blanks_are_known() {
    let text = "a/*\n*/b\\\n+c\n R\"(\n)\" d(e) f";
    let facts = Tokens::new(text.as_bytes()).filter(|token| token.kind != PieceKind::Newline);
    let facts = facts.map(|token| (token.line, token.blank_before, token.starts_line));
    let expected = [
        (1, false, true),
        (2, true, false),
        (3, false, false),
        (3, false, false),
        (4, true, true),
        (5, true, false),
        (5, false, false),
        (5, false, false),
        (5, false, false),
        (5, true, false),
    ];
    assert_eq!(facts.collect::<Vec<_>>(), expected);
    let last = Tokens::new(b"#include \"a\\\nb\nc").last().unwrap();
    assert_eq!(last.line, 3);
}

#[test]
fn ill_formed_ends_are_doubts_or_tokens() {
    assert!(doubt("a /* b").is_some());
    assert!(doubt("/*/").is_some());
    splits("a \\", &["a", "\\"]);
    splits("a '", &["a", "'"]);
    splits("", &[]);
}

#[test]
fn preprocessed_text_is_read() {
    let lines =
        Tokens::new(b"# 12 \"a.h\" 1\nint x;\n# 2 \"b.cpp\" 2\n").filter(|token| token.starts_line);
    let found: Vec<_> = lines.map(|token| token.line).collect();
    assert_eq!(found, [1, 2, 3]);
    splits(
        "# 12 \"a.h\" 1 3 4\n",
        &["#", "12", "\"a.h\"", "1", "3", "4"],
    );
}

proptest! {
    #[test]
    fn pieces_tile_any_text(text in vec(prop_oneof![
        Just(b"/*".to_vec()), Just(b"*/".to_vec()), Just(b"//".to_vec()), Just(b"\\\n".to_vec()),
        Just(b"R\"(".to_vec()), Just(b")\"".to_vec()), Just(b"#include <".to_vec()), Just(b"\n".to_vec()),
        Just(b"1'".to_vec()), Just(b"u8".to_vec()), any::<u8>().prop_map(|byte| vec![byte]),
    ], 0..40)) {
        let text = text.concat();
        let (mut at, mut line) = (0, 1);
        for piece in SourcePieces::new(&text) {
            assert!(piece.start == at && piece.end > at && piece.line == line);
            at = piece.end;
            line += text[piece.start..at].iter().filter(|&&byte| byte == b'\n').count();
        }
        assert_eq!(at, text.len());
    }
}
