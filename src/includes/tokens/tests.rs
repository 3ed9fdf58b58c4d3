use super::{digest, normal_forms};

#[track_caller]
fn forms(text: &str) -> (String, String) {
    let forms = normal_forms(text.as_bytes()).expect(text);
    let show = |form| String::from_utf8(form).unwrap();
    (show(forms.lines), show(forms.columns))
}

#[track_caller]
fn becomes(text: &str, lines: &str) {
    assert_eq!(forms(text).0, lines, "{text}");
    // Both forms are sources of the same meaning.
    for form in [forms(text).0, forms(text).1] {
        assert_eq!(forms(&form).0, lines, "{form}");
    }
}

#[track_caller]
fn stays(text: &str) {
    becomes(text, text);
}

#[track_caller]
fn differ(one: &str, other: &str) {
    let [one, other] = [one, other].map(|text| digest(text.as_bytes()).expect(text).lines);
    assert_ne!(one, other);
}

#[track_caller]
fn has_none(text: &str) {
    assert!(digest(text.as_bytes()).is_none(), "{text}");
}

#[test]
fn plain_comments_and_runs_of_blanks_are_one_blank() {
    becomes("  a \t b/* c */d // e\n", "a b d\n");
    becomes("a/ /**//b\n", "a/ /b\n");
    becomes("a /* ' \" */ b // don't\n", "a b\n");
    becomes("#  define  F( a )  /* c */ a\n", "# define F( a ) a\n");
    becomes("#endif // x\n", "#endif\n");
}

#[test]
fn lines_stay_where_they_are() {
    becomes("/* a\n * b\n */\nc\n", "\n\n\nc\n");
    becomes("// a\n\n  /* b\n */ # if 1\n", "\n\n\n# if 1\n");
    becomes("a /* b\n */ /*\n*/ c\n", "a /*\n\n*/c\n");
    becomes("a /*\n b */ \nc\n", "a /*\n*/\nc\n");
    differ("a\nb\n", "a\n\nb\n");
    differ("a /*\n*/ b\n", "a\n b\n");
}

#[test]
fn blanks_that_can_be_seen_count() {
    differ("#define F(x) x\n", "#define F (x) x\n");
    differ("#define F(x) x\n", "#define F/**/(x) x\n");
    differ("S(a+b)\n", "S(a +b)\n");
    differ("a+ +b\n", "a++b\n");
    stays("S(a + b)\n");
}

#[test]
fn literals_are_left_alone() {
    stays("\"a  /* b */ // c\" L'  ' R\"(\n  // d  \n)\" 1'000\n");
    differ("R\"(\n a)\"\n", "R\"(\n  a)\"\n");
    stays("'unterminated  /* b\n");
    becomes(
        "#define D R\"( /*  )\"  /* c */\n",
        "#define D R\"( /*  )\"\n",
    );
}

#[test]
fn escaped_newlines_stay() {
    stays("in\\\nt a; \\\n b\n");
    becomes("a  \\\n   b\n", "a \\\n b\n");
    stays("// a \\\n b\n");
    stays("/* a \\\n b */ c\n");
    stays("/\\\n/ a\n");
    differ("a\\\nb\n", "a\\\n b\n");
}

#[test]
fn lines_that_are_read_as_they_are_count_as_they_are() {
    for text in [
        "#pragma  omp  /* a */ x // b\n",
        "#error it's  over /* a */\n",
        "#warning  a // b\n",
        "#include  <a//b>  // c\n",
        "#include \"a\\\" /* b */\n",
        "#line  7 \"a\" // b\n",
        "# 7  \"a\"\n",
        "#ident  \"a\" // b\n",
        "#unknown  a // b\n",
        "#pragma a /* b\n c */ d // e\n",
        "#prag\\\nma  a\n",
    ] {
        stays(text);
    }
    becomes("  #  pragma a  b\n  c\n", "# pragma a  b\nc\n");
    // What is kept before a directive does not hide it.
    stays("\u{c} #pragma a  b\n");
    stays("/* \u{e9} */ #pragma a  b\n");
    stays("# /* \u{e9} */ pragma a  b\n");
}

#[test]
fn comments_that_may_be_warned_about_stay() {
    for comment in [
        "/* a /* b */",
        "/*/*/",
        "/* \u{e9}  */",
        "// \u{202e}",
        "/* \u{1}  */",
        "// \\u00e9  ",
        "/* \u{c} */",
        "/* fall  through */",
        "// FALLTHRU  ",
    ] {
        stays(&format!("a {comment}\nb\n"));
    }
    becomes("a /* \\brief falls  short */\n", "a\n");
    stays("a \u{c}\u{b} b\n");
}

#[test]
fn beginnings_and_ends_of_files_count() {
    stays("\u{feff}a\n");
    becomes("\u{feff} /* b */ #if 1\n", "\u{feff}#if 1\n");
    stays("a");
    becomes("a // b", "a");
    differ("a\n", "a");
    differ("a\n\n", "a\n/*\n*/");
    stays("");
}

#[test]
fn texts_that_may_be_read_in_several_ways_have_no_digest() {
    for text in [
        "a\r\n",
        "a ??= b\n",
        "// ????/\n",
        "a /* b\n",
        "R\"(a\n",
        "#define A R\"(\n)\"\n",
        "a \\",
        "a \\ \n b\n",
        "a \\\n",
        "// a \\\n\n",
        "a \\\n/* b */",
        "  \u{feff}a\n",
        "a \\u00e9\n",
        "1'+'\n",
        "\"a\"R\"(b)\"\n",
        "%\\\n:define A\n",
        "import <a//b>;\n",
        "#include A <b /* c\n",
        "#include A \"b\\\" /* c\"\n",
        "#pragma GCC dependency <a/*b>\n",
        "#if __has_include(<a//b>)\n",
        "#if __has_in\\\nclude(<a//b>)\n",
        "#if __has_include(<it's>)\n",
        "#if __has_include(\"a\\\" /* b\")\n",
        "#if ALIAS(<a//b>)\n",
    ] {
        has_none(text);
    }
    becomes(
        "#if __has_include(<a>) && 1 == 2 /* b */
",
        "#if __has_include(<a>) && 1 == 2
",
    );
}

#[test]
fn columns_are_kept_in_the_other_form() {
    let columns = |text| forms(text).1;
    assert_eq!(columns("\t a  /* b\t*/c  \n"), "\t a  /*  \t*/c\n");
    assert_eq!(columns("/* a\n b */ c\n"), " /*\n b */ c\n");
    assert_eq!(columns("a  /* x\n b */ c // d\n"), "a /*\n b */ c\n");
    assert_eq!(columns("  /* a */\n  // b\n"), "\n\n");
    let same = |one: &str, other: &str| {
        let [one, other] = [one, other].map(|text| digest(text.as_bytes()).unwrap());
        (one.lines == other.lines, one.columns == other.columns)
    };
    assert_eq!(same("a /* b */ c\n", "a /* d */ c // e\n"), (true, true));
    assert_eq!(same("a  b\n", "a b\n"), (true, false));
    assert_eq!(same("\ta\n", " a\n"), (true, false));
}
