use super::{HAS_INCLUDE, IncludeForm, Mentions, ScannedName, scan};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use std::collections::BTreeSet;

fn askers() -> BTreeSet<Vec<u8>> {
    HAS_INCLUDE.iter().map(|word| word.to_vec()).collect()
}

fn of(text: &str) -> Mentions {
    scan(text.as_bytes(), &askers())
}

fn names(found: &BTreeSet<ScannedName>) -> Vec<String> {
    let show = |name: &ScannedName| {
        let text = String::from_utf8_lossy(&name.text);
        match name.form {
            IncludeForm::Quote => format!("\"{text}\""),
            IncludeForm::Angle => format!("<{text}>"),
        }
    };
    found.iter().map(show).collect()
}

#[track_caller]
fn includes(text: &str, expected: &[&str]) {
    let found = of(text);
    assert_eq!(names(&found.includes), expected, "{text}");
    assert_eq!((found.doubt, found.unseen), (None, None), "{text}");
}

#[test]
fn every_spelling_of_an_include_is_seen() {
    includes("#include <a.h>\n", &["<a.h>"]);
    includes("#include\"a.h\"", &["\"a.h\""]);
    includes(" \t# \tinclude\t<a/b.h> // c", &["<a/b.h>"]);
    includes("%:include <a.h>", &["<a.h>"]);
    includes("#/* x */include/* y */<a.h>", &["<a.h>"]);
    includes("/* x\n */ # include <a.h>", &["<a.h>"]);
    includes("#inc\\\nlude <a\\  \n.h>", &["<a.h>"]);
    includes("#if 0\n#include <a.h>\n#endif", &["<a.h>"]);
    includes("int include; // include <a.h>", &[]);
    includes("#include <a.h\n>", &[]);
    includes("#includes <a.h>", &[]);
}

#[test]
fn names_from_macros_are_noticed() {
    assert!(of("#include HEADER\n").computes_names);
    assert!(of("/* a\n*/ # include HEADER\n").computes_names);
    assert!(!of(" *  You should \\#include this file").computes_names);
    assert!(of("# include_next NAME(x)").unseen.is_some());
    assert!(!of("#include <HEADER>\n").computes_names);
    assert!(!of("we include HEADER").computes_names);
}

#[test]
fn include_next_is_told_apart() {
    let found = of("#include_next <math.h>");
    assert_eq!(names(&found.nexts), ["<math.h>"]);
    assert!(found.includes.is_empty());
}

#[track_caller]
fn asks(text: &str, expected: &[&str]) {
    let found = of(text);
    assert_eq!(names(&found.asked), expected, "{text}");
    assert_eq!((found.doubt, found.unseen), (None, None), "{text}");
}

#[test]
fn questions_with_literal_names_are_seen() {
    asks("#if __has_include(<a.h>)", &["<a.h>"]);
    asks("#elif X && __has_include ( \"a.h\" )", &["\"a.h\""]);
    asks("#  if ! __has_include_next(<a.h>)", &["<a.h>"]);
    asks("#if __has_include <a.h>", &["<a.h>"]);
    asks(
        "#if defined(X) \\\n && __has_include(<a.h>) || __has_include(<b.h>)",
        &["<a.h>", "<b.h>"],
    );
    asks("#ifdef __has_include\n#endif", &[]);
    asks("#if defined(__has_include) && defined __has_include", &[]);
    asks("#define __has_include(x) 0", &[]);
    asks("// __has_include is not known everywhere", &[]);
    asks("#endif // __has_include", &[]);
    asks("/* __has_include(x) */", &[]);
}

#[test]
fn macros_that_stand_for_the_question_are_followed() {
    let define = "#define ASK(_X) __has_include(_X)\n";
    let found = of(define);
    assert_eq!(found.aliases, BTreeSet::from([b"ASK".to_vec()]));
    assert_eq!((found.doubt, found.unseen), (None, None));
    let mut askers = askers();
    askers.extend(found.aliases);
    let text = b"#if ASK(<a.h>)\n#endif\n#define AGAIN(a, b) (a && ASK(b))\n";
    let found = scan(text, &askers);
    assert_eq!(names(&found.asked), ["<a.h>"]);
    assert_eq!(found.aliases, BTreeSet::from([b"AGAIN".to_vec()]));
    assert_eq!((found.doubt, found.unseen), (None, None));
    assert_eq!(scan(define.as_bytes(), &askers).unseen, None);
}

#[test]
fn names_that_the_text_does_not_show_are_unseen() {
    for text in [
        "#if __has_include(NAME)",
        "#define ASK __has_include",
        "#define ASK(x) __has_include(NAME)",
        "#define ASK(x) __has_include(x.h)",
        "#if /* \n */ __has_include(NAME)",
        "#define ASK(x) __has_i ## x",
        "#define ASK(x) x ## nclude",
        "#if ifdef(__has_include)",
    ] {
        let found = of(text);
        assert!(found.unseen.is_some() && found.doubt.is_none(), "{text}");
    }
}

#[test]
fn what_a_path_set_cannot_describe_is_a_doubt() {
    for text in [
        "#embed \"a.bin\"",
        "#if __has_embed(<a.bin>)",
        "#pragma GCC dependency \"a.y\"",
        "#import <a.h>",
        "??=include <a.h>",
        "#inc??/\nlude <a.h>",
    ] {
        assert!(of(text).doubt.is_some(), "{text}");
    }
}

#[test]
fn a_macro_that_asks_is_not_pasted() {
    let mut askers = askers();
    askers.insert(b"ASK".to_vec());
    for text in [
        "#if X(ASK)",
        "#define X(x) ASK##x(<a.h>)",
        "#define X(x) x ## ASK(<a.h>)",
    ] {
        assert!(scan(text.as_bytes(), &askers).unseen.is_some(), "{text}");
    }
}

#[test]
fn reading_once_is_noticed() {
    assert!(of("#pragma once").reads_once);
    assert!(of("_Pragma(\"once\")").reads_once);
    assert!(!of("#pragma onces").reads_once);
}

proptest! {
    #[test]
    fn any_bytes_are_read(text in vec(prop_oneof![
        Just(b"#include ".to_vec()), Just(b"__has_include".to_vec()), Just(b"\\\n".to_vec()),
        Just(b"#define A(x) ".to_vec()), Just(b"(x)".to_vec()), Just(b"<a>".to_vec()),
        Just(b"/*".to_vec()), Just(b"*/".to_vec()), any::<u8>().prop_map(|byte| vec![byte]),
    ], 0..60)) {
        scan(&text.concat(), &askers());
    }

    #[test]
    fn an_include_is_found_whatever_stands_around_it(before in "[a-z\"/*' \n(){}]{0,40}", after in "\\PC{0,40}") {
        let text = format!("{before}\n#include <needle.h>\n{after}");
        let needle = ScannedName { form: IncludeForm::Angle, text: b"needle.h".to_vec() };
        assert!(scan(text.as_bytes(), &askers()).includes.contains(&needle));
    }
}
