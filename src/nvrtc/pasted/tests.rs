use super::Pieces;

const TIME: &[u8] = b"__TIME__";

fn may_make(texts: &[&str], macros: &[&str], whole: &[u8]) -> bool {
    let texts = texts.iter().map(|text| text.as_bytes());
    let macros = macros.iter().map(|text| text.as_bytes());
    Pieces::of(texts, macros, std::iter::empty()).may_make(whole)
}

#[track_caller]
fn makes(text: &str) {
    assert!(may_make(&[text], &[], TIME), "{text}");
}

#[track_caller]
fn makes_not(text: &str) {
    assert!(!may_make(&[text], &[], TIME), "{text}");
}

#[test]
fn pieces_of_any_number_are_seen() {
    makes("#define CAT(a, b) a##b\nx = CAT(__TI, ME__);");
    makes("#define D(x) __##x##__\nx = D(TIME);");
    makes("#define CAT(a, b, c) a##b##c\nx = CAT(__, TIME, __);");
    makes("#define CAT(a, b) a%:%:b\nx = CAT(__T, IME__);");
    makes("#define CAT(a, b) a#\\\n#b\nx = CAT(__T, IME__);");
    makes("#define CAT(a, b) a##b\nx = CAT(_, CAT(_, CAT(T, CAT(I, CAT(M, CAT(E, CAT(_, _)))))));");
    makes(
        "#define CAT(a, ...) a##__VA_ARGS__\n#define HALF __TI\n#define C(a, b) CAT(a, b)\nC(HALF, ME__)",
    );
    makes("#define X __TI##ME__\n");
    makes("#define T(a, b) a??=??=b\nx = T(__TI, ME__);");
}

#[test]
fn words_that_no_macro_is_given_are_no_pieces() {
    makes_not("#define CAT(a, b) a##b\nint T, I, M, E, __, x = CAT(A, B);");
    makes_not(
        "#define CAT(a, b) a##b\n\n#error don't CAT(__TI, ME__)\n/* CAT(__TI, ME__) */ // CAT(__TI, ME__)\nx = \"CAT(__TI, ME__)\";",
    );
    makes_not("#define CAT(a, b) a b\nx = CAT(__TI, ME__);");
    makes_not("#define CAT(a, b) a##b\nf(__TI, ME__);");
    makes_not("#define CAT(T, I, M, E) T##I##M##E\nx = CAT(__, A, B, __);");
    // A word that stands there as a whole is found by others.
    makes_not("#define CAT(a, b) a##b\nx = CAT(__TIME__, B);");
}

#[test]
fn calls_are_found_wherever_they_may_begin_and_end() {
    let cat = "#define CAT(a, b) a##b\n#define ID(x) x\n#define EMPTY\n";
    for call in [
        "CAT\n(__TI,\n ME__)",
        "CAT /* ( */ (__TI, ME__)",
        "ID(CAT)(__TI, ME__)",
        "ID(CAT) EMPTY (__TI, ME__)",
        "CAT(f(1), __TI) ID(ME__)",
        "#if CAT(__TI, ME__)",
        "#include CAT(__TI, ME__)",
        "#define LP (\nID(CAT LP) __TI, ME__ )",
        "#define CALL CAT(\nID(CALL) __TI, ME__ )",
        "#define CALL CA##T (\nID(CALL) __TI, ME__ )",
        "CAT(\n#include \"pieces.h\"\n) __TI ME__",
        "CAT(__TI\n#if 1\n,\n#else\n)\n#endif\nME__)",
        "CAT(__TI,",
        "it's CAT(__TI, ME__)",
        "// a comment \\ \nCAT(__TI, ME__)",
        "\"\nCAT(__TI, ME__)",
    ] {
        makes(&format!("{cat}{call}\nint __TI, ME__;\n"));
    }
    let halves = ["#define CAT(a, b) a##b\nCAT(__TI,", "ME__);"];
    assert!(may_make(&halves, &[], TIME));
    let halves = [
        "#define CAT(a, b) a##b\nCAT\n#include \"args.h\"",
        "(__TI, ME__);",
    ];
    assert!(may_make(&halves, &[], TIME));
}

#[test]
fn options_define_macros_and_pieces() {
    assert!(may_make(
        &["x = CAT(A, B);"],
        &["CAT(a,b)=a##b", "A=__TI", "B=ME__"],
        TIME
    ));
    assert!(may_make(
        &["#define D(a, b) a##b\nD(A, B)"],
        &["A=__TI", "B=ME__"],
        TIME
    ));
    assert!(!may_make(
        &["x = CAT(A, B);"],
        &["CAT(a,b)=a##b", "A=__TI"],
        TIME
    ));
}

#[test]
fn a_macro_that_opens_a_parenthesis_of_no_call_is_told() {
    let text = "#define LP (\n#define RP )\n#define CAT(a, b) a##b\n#define IS decltype LP x RP\n";
    makes_not(&format!("{text}int __, TIME, T; CAT(A, B)"));
    makes(&format!("{text}CAT LP __, TIME RP"));
}

#[test]
fn every_cut_of_a_word_is_a_row() {
    let word = "__BASE_FILE__";
    for one in 1..word.len() {
        for two in one..word.len() {
            let pieces = [&word[..one], &word[one..two], &word[two..]].join(", ");
            let text = format!("#define CAT(a, b, c) a##b##c\nCAT({pieces})");
            assert!(may_make(&[&text], &[], word.as_bytes()), "{text}");
        }
    }
}
