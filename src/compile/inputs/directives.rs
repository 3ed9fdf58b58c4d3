//! Checks that a host compiler's input has no assembler directives that read files. It is used if no assembler
//! writes a depfile: clang assembles by itself, and a compile in one step leaves none.
//!
//! Reads preprocessed C++ or the output of cudafe++: macros are expanded there and pieces of names pasted, so that
//! every string has the form in which the compiler reads it. All literals are checked, joined and with their escapes
//! decoded, since names of sections and symbols reach the assembler verbatim. The text of `asm` is checked further,
//! since operands and alternatives can form words in it. Text that cannot be read is a doubt: docs/design/keys.md has
//! the rule.

use crate::includes::lookups::NotStored;
use memchr::memmem;

/// Parts of directives that read files, or that can build other directives from pieces. The only other directives that
/// can are `.macro` and `.altmacro`: see [`mentions_macros`].
const READING: [&[u8]; 5] = [b"incbin", b".include", b".irp", b".irep", b".mri"];

const ODD: &str = "the sources hold assembly that is no string";

/// The words that may be between `asm` and its text.
const QUALIFIERS: [&[u8]; 10] = [
    b"volatile",
    b"__volatile",
    b"__volatile__",
    b"goto",
    b"inline",
    b"__inline",
    b"__inline__",
    b"const",
    b"__const",
    b"__const__",
];

/// Returns a doubt unless `text` certainly makes the assembler read no file.
pub(crate) fn check(text: &[u8]) -> Result<(), NotStored> {
    check_words(text, &READING)
}

/// Returns a doubt unless `text` certainly makes the assembler read files by `.incbin` alone.
pub(crate) fn check_besides_incbin(text: &[u8]) -> Result<(), NotStored> {
    check_words(text, &READING[1..])
}

fn check_words(text: &[u8], reading: &[&[u8]]) -> Result<(), NotStored> {
    let mut lexer = Lexer {
        rest: text,
        at_line_start: true,
    };
    let mut assembly = Assembly::Outside;
    let mut literal: Option<Vec<u8>> = None;
    while let Some(token) = lexer.next()? {
        if let AssemblyToken::Literal(bytes) = token {
            literal.get_or_insert_default().extend(bytes);
            continue;
        }
        if let Some(whole) = literal.take() {
            judge(&whole, reading)?;
            if assembly == Assembly::Open {
                match token {
                    AssemblyToken::Byte(b')') => judge_template(&whole, Asm::Basic)?,
                    AssemblyToken::Byte(b':') => judge_template(&whole, Asm::Extended)?,
                    _ => return Err(ODD.to_owned()),
                }
                assembly = Assembly::Outside;
            }
        }
        assembly = assembly.after(&token)?;
    }
    literal.map_or(Ok(()), |whole| judge(&whole, reading))
}

/// The position within `asm volatile ("text" …)` after the last token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Assembly {
    Outside,
    /// After `asm` or a qualifier.
    Named,
    /// After the parenthesis.
    Open,
}

impl Assembly {
    fn after(self, token: &AssemblyToken<'_>) -> Result<Self, NotStored> {
        match (self, token) {
            (Self::Named, AssemblyToken::Word(word)) if QUALIFIERS.contains(word) => {
                Ok(Self::Named)
            }
            (Self::Named, AssemblyToken::Byte(b'(')) => Ok(Self::Open),
            (Self::Outside, AssemblyToken::Word(b"asm" | b"__asm" | b"__asm__")) => Ok(Self::Named),
            (Self::Outside, _) => Ok(Self::Outside),
            _ => Err(ODD.to_owned()),
        }
    }
}

/// Checks that a literal holds none of the words `reading`, and no macro.
fn judge(text: &[u8], reading: &[&[u8]]) -> Result<(), NotStored> {
    let lower = text.to_ascii_lowercase();
    // GNU as accepts names in quotes, and joins adjacent quoted pieces into one name.
    for text in [&unquoted(&lower), &lower] {
        let mut words = reading.iter();
        if let Some(word) = words.find(|word| memmem::find(text, word).is_some()) {
            let word = String::from_utf8_lossy(word);
            return Err(format!("the sources mention {word}"));
        }
        if mentions_macros(text) {
            return Err("the sources mention macros of an assembler".to_owned());
        }
    }
    Ok(())
}

/// The text without quotes, and without blanks between two of them.
fn unquoted(text: &[u8]) -> Vec<u8> {
    let pieces: Vec<_> = text.split(|&byte| byte == b'"').collect();
    let last = pieces.len() - 1;
    let is_gap = |(index, piece): &(usize, &&[u8])| {
        *index > 0 && *index < last && piece.iter().all(|byte| b" \t".contains(byte))
    };
    let pieces = pieces.iter().enumerate().filter(|piece| !is_gap(piece));
    pieces
        .flat_map(|(_, piece)| piece.iter().copied())
        .collect()
}

/// Whether `text` contains `.macro`, `.altmacro` or a similar directive: a dot, letters, and `macro`.
fn mentions_macros(text: &[u8]) -> bool {
    memmem::find_iter(text, b"macro").any(|at| {
        let before = text[..at].iter().rev();
        let mut before = before.skip_while(|byte| byte.is_ascii_alphabetic());
        before.next() == Some(&b'.')
    })
}

/// GCC's two forms of `asm`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asm {
    Basic,
    /// With a colon after the text, and perhaps operands, which are substituted into it.
    Extended,
}

/// Returns a doubt if an operand or an alternative (`{a|b}`) may turn the beginning of a statement into a directive, or
/// if that beginning is in quotes.
fn judge_template(text: &[u8], form: Asm) -> Result<(), NotStored> {
    let lower = text.to_ascii_lowercase();
    if memmem::find(&lower, b"include").is_some() {
        return Err("the sources mention include in assembly".to_owned());
    }
    let mut statements = text.split(|byte| b"\n;".contains(byte));
    if statements.any(begins_with_quote) {
        return Err("a statement of assembly begins with a quote".to_owned());
    }
    if form == Asm::Basic {
        return Ok(());
    }
    let mut words = text.split(|byte| b" \t\r\n;\",".contains(byte));
    // Anywhere in the text: where a statement or a comment begins depends on the operands.
    if words.any(is_made_by_operands) {
        return Err("operands make a word of assembly".to_owned());
    }
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' | b';' => rest = after,
            b'#' => rest = &after[end_of(after, b"\n")..],
            byte if byte.is_ascii_alphanumeric() || b"_.$".contains(byte) => {
                let word = &rest[..end_of(rest, b" \t\r\n;:\",")];
                rest = &rest[word.len()..];
                if rest.starts_with(b":") {
                    rest = &rest[1..];
                    continue;
                }
                let is_made = word.iter().any(|byte| b"%{|}&\\".contains(byte));
                if *byte == b'.' && is_made {
                    return Err("operands make a directive of assembly".to_owned());
                }
                rest = &rest[end_of(rest, b"\n;")..];
            }
            _ => return Err("a statement of assembly is made by operands".to_owned()),
        }
    }
    Ok(())
}

/// Whether a quote follows the labels of a statement, if it has any.
fn begins_with_quote(statement: &[u8]) -> bool {
    let mut parts = statement.split(|&byte| byte == b':');
    parts.any(|part| part.trim_ascii_start().starts_with(b"\""))
}

/// Whether an operand or an alternative is part of a word with a dot, or adjoins other parts of a word.
fn is_made_by_operands(word: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.$[".contains(byte);
    let is_name = |byte: &u8| byte.is_ascii_alphabetic();
    let (mut rest, mut before) = (word, None);
    let mut operands = 0;
    while let Some((&byte, after)) = rest.split_first() {
        match byte {
            // `%%` is a percent sign, `%=` a number.
            b'%' if after.starts_with(b"%") || after.starts_with(b"=") => rest = &after[1..],
            b'%' => {
                operands += 1;
                let letters = after.iter().take_while(|byte| is_name(byte)).count();
                let after = &after[letters..];
                let length = match after.first() {
                    Some(b'[') => end_of(after, b"]") + 1,
                    _ => after
                        .iter()
                        .take_while(|byte| byte.is_ascii_digit())
                        .count(),
                };
                rest = after.get(length..).unwrap_or_default();
                let adjoins = before.is_some_and(|byte| is_part(&byte) && byte != b'$');
                if adjoins
                    || rest
                        .first()
                        .is_some_and(|byte| is_part(byte) || *byte == b'%')
                {
                    return true;
                }
            }
            _ => {
                operands += usize::from(b"{|}&\\".contains(&byte));
                rest = after;
            }
        }
        before = Some(byte);
    }
    operands > 0 && word.contains(&b'.')
}

/// The number of bytes of `text` before the first one of `ends`.
fn end_of(text: &[u8], ends: &[u8]) -> usize {
    let end = text.iter().position(|byte| ends.contains(byte));
    end.unwrap_or(text.len())
}

enum AssemblyToken<'a> {
    Word(&'a [u8]),
    /// A string, decoded.
    Literal(Vec<u8>),
    Byte(u8),
}

/// Splits preprocessed text into tokens, without comments, line markers, pragmas, and the code within `#if 0`.
struct Lexer<'a> {
    rest: &'a [u8],
    at_line_start: bool,
}

impl<'a> Lexer<'a> {
    fn next(&mut self) -> Result<Option<AssemblyToken<'a>>, NotStored> {
        while let Some((&byte, after)) = self.rest.split_first() {
            let at_line_start = std::mem::replace(&mut self.at_line_start, byte == b'\n');
            match byte {
                b'\n' => self.rest = after,
                byte if byte.is_ascii_whitespace() => {
                    self.rest = after;
                    self.at_line_start = at_line_start;
                }
                b'#' if at_line_start => self.skip_directive()?,
                b'/' if after.starts_with(b"/") => self.rest = &after[end_of(after, b"\n")..],
                b'/' if after.starts_with(b"*") => {
                    let end = memmem::find(after, b"*/");
                    self.rest = &after[end.ok_or("a comment without an end")? + 2..];
                    self.at_line_start = at_line_start;
                }
                _ => return self.token().map(Some),
            }
        }
        Ok(None)
    }

    fn token(&mut self) -> Result<AssemblyToken<'a>, NotStored> {
        let (rest, byte) = (self.rest, self.rest[0]);
        let is_word =
            |byte: &u8| byte.is_ascii_alphanumeric() || *byte >= 0x80 || b"_$".contains(byte);
        let is_number =
            byte.is_ascii_digit() || (byte == b'.' && rest.get(1).is_some_and(u8::is_ascii_digit));
        if is_number {
            let is_part = |byte: &u8| is_word(byte) || b".'".contains(byte);
            let length = rest.iter().take_while(|byte| is_part(byte)).count();
            self.rest = &rest[length..];
            return Ok(AssemblyToken::Byte(b'0'));
        }
        if is_word(&byte) {
            let length = rest.iter().take_while(|byte| is_word(byte)).count();
            let (word, after) = rest.split_at(length);
            let is_prefix = matches!(word, b"L" | b"u" | b"U" | b"u8");
            if matches!(word, b"R" | b"LR" | b"uR" | b"UR" | b"u8R") && after.starts_with(b"\"") {
                return self.raw(&after[1..]);
            }
            self.rest = after;
            if is_prefix && after.starts_with(b"\"") {
                return self.quoted();
            }
            return Ok(AssemblyToken::Word(word));
        }
        match byte {
            b'"' => self.quoted(),
            b'\'' => {
                self.quoted_by(b'\'')?;
                Ok(AssemblyToken::Byte(b'0'))
            }
            _ => {
                self.rest = &rest[1..];
                Ok(AssemblyToken::Byte(byte))
            }
        }
    }

    fn quoted(&mut self) -> Result<AssemblyToken<'a>, NotStored> {
        self.quoted_by(b'"').map(AssemblyToken::Literal)
    }

    fn quoted_by(&mut self, quote: u8) -> Result<Vec<u8>, NotStored> {
        let odd = || NotStored::from("the sources hold a string that cannot be read");
        let mut decoded = Vec::new();
        let mut rest = &self.rest[1..];
        loop {
            let (&byte, after) = rest.split_first().ok_or_else(odd)?;
            rest = after;
            match byte {
                b'\n' => return Err(odd()),
                b'\\' => {
                    let (byte, after) = escape(rest).ok_or_else(odd)?;
                    decoded.push(byte);
                    rest = after;
                }
                byte if byte == quote => break,
                byte => decoded.push(byte),
            }
        }
        self.rest = rest;
        Ok(decoded)
    }

    /// A raw string, whose text begins with its delimiter.
    fn raw(&mut self, text: &'a [u8]) -> Result<AssemblyToken<'a>, NotStored> {
        let odd = || NotStored::from("the sources hold a raw string that cannot be read");
        let open = text.iter().position(|byte| *byte == b'(').ok_or_else(odd)?;
        let end = [b")", &text[..open], b"\""].concat();
        let body = &text[open + 1..];
        let length = memmem::find(body, &end).ok_or_else(odd)?;
        self.rest = &body[length + end.len()..];
        Ok(AssemblyToken::Literal(body[..length].to_vec()))
    }

    /// Skips the line of a directive, and after `#if 0` everything up to its `#endif` or `#else`.
    fn skip_directive(&mut self) -> Result<(), NotStored> {
        let line = &self.rest[..end_of(self.rest, b"\n")];
        self.rest = &self.rest[line.len()..];
        let name = line[1..].trim_ascii_start();
        if name.starts_with(b"ident") || name.starts_with(b"sccs") {
            return Err("the sources hand a text to the assembler by #ident".to_owned());
        }
        if line.trim_ascii_end() != b"#if 0" {
            return Ok(());
        }
        let mut depth = 1;
        while depth > 0 {
            let (&byte, after) = self.rest.split_first().ok_or("an #if 0 without an end")?;
            let at_line_start = std::mem::replace(&mut self.at_line_start, byte == b'\n');
            if byte == b'#' && at_line_start {
                let line = &self.rest[..end_of(self.rest, b"\n")];
                let name = line[1..].trim_ascii_start();
                self.rest = &self.rest[line.len()..];
                if name.starts_with(b"if") {
                    depth += 1;
                } else if name.starts_with(b"endif") || (depth == 1 && name.starts_with(b"el")) {
                    depth -= 1;
                }
            } else if byte.is_ascii_whitespace() {
                self.rest = after;
                self.at_line_start |= at_line_start;
            } else {
                // Strings may hold lines that look like directives.
                self.token()?;
            }
        }
        Ok(())
    }
}

/// Decodes the escape after a backslash: the byte that it stands for (`0xff` for a character beyond one byte), and the
/// text after it. `None` for the escapes of later dialects, which may stand for any character.
fn escape(text: &[u8]) -> Option<(u8, &[u8])> {
    let (&byte, after) = text.split_first()?;
    let value = match byte {
        b'n' => b'\n',
        b't' => b'\t',
        b'r' => b'\r',
        b'a' => 7,
        b'b' => 8,
        b'f' => 12,
        b'v' => 11,
        b'e' => 27,
        b'0'..=b'7' => return number(text, 8, 3),
        b'x' => return number(after, 16, usize::MAX),
        b'u' => return number(after, 16, 4),
        b'U' => return number(after, 16, 8),
        b'N' | b'o' => return None,
        byte => byte,
    };
    Some((value, after))
}

/// Decodes the character whose number, of at most `max_digits` digits, `text` begins with.
fn number(text: &[u8], radix: u32, max_digits: usize) -> Option<(u8, &[u8])> {
    let is_digit = |byte: &&u8| char::from(**byte).is_digit(radix);
    let length = text.iter().take(max_digits).take_while(is_digit).count();
    let (digits, after) = text.split_at(length);
    let digits = std::str::from_utf8(digits)
        .ok()
        .filter(|digits| !digits.is_empty())?;
    let value = u32::from_str_radix(digits, radix).ok();
    let value = value.and_then(|value| u8::try_from(value).ok());
    Some((value.unwrap_or(0xff), after))
}

#[cfg(test)]
mod tests {
    use super::check;

    /// Every known way to make the assembler read a file.
    #[test]
    fn directives_are_found_however_they_are_written() {
        for text in [
            r#"asm(".incbin \"x\"");"#,
            r#"asm(".inc\x62in \"x\"");"#,
            r#"asm(".inc\142in \"x\"");"#,
            r#"asm(".inc\u0062in \"x\"");"#,
            r#"asm(".INCBIN \"x\"");"#,
            r#"asm(".IncLude \"x\"");"#,
            "asm(\".inc\" \n# 3 \"f.h\"\n \"bin x\");",
            "asm(R\"(.incbin \"x\")\");",
            "asm(R\"a(.inc)\" /* ) */ \"bin\\t\\\"x\\\");",
            "asm(u8R\"--(.incbin x)--\");",
            r#"__asm__ volatile (".incbin \"x\"" : : "r"(1));"#,
            r#"__asm goto(".incbin x" : : : : l);"#,
            r#"asm(".macro m a b\n.\\a\\()\\b \"x\"\n.endm\nm inc bin");"#,
            r#"asm(".altmacro\n");"#,
            r#"asm("\"a macro\"\n.irp w, bin\n.inc\\w x\n.endr");"#,
            r##"asm("# a macro\n.irp w, bin\n.inc\\w x\n.endr");"##,
            r#"asm(".irep w, bin\n.inc\\w \"x\"\n.endr");"#,
            r#"asm("\".mac\" \"ro\" m a\n.inc\\a \"x\"\n.endm\nm bin");"#,
            r#"asm("\".i\" \"rp\" w, bin\n.inc\\w x\n.endr");"#,
            r#"asm("l: \"\\056irp\" w, bin\n");"#,
            r#"__attribute__((section("a\n\".\" \"macro\" m"))) int z;"#,
            "#ident \"x\\\"\\n.inc\"\nint x;",
            r#"asm(".irp w, bin\n.inc\\w \"x\"\n.endr");"#,
            r#"asm(".irpc c, n\n.incbi\\c \"x\"\n.endr");"#,
            r#"asm(".in{cbin|valid} \"x\"" : : );"#,
            r#"asm(".inc%P0 \"x\"" : : "i"(bin));"#,
            r#"asm("nop\n\t.inc%P0 \"x\"" : : "i"(bin));"#,
            r#"asm("l: %P0 \"x\"" : : "i"(dot));"#,
            r#"asm("%P0%P1 \"x\"" : : "i"(dot), "i"(bin));"#,
            r#"asm("{.incbi|x}n \"x\"" : : );"#,
            r#"int y asm(".incbin");"#,
            r#"__attribute__((section("a\n.incbin \"x\"\n#"))) int z;"#,
            r#"asm((make()));"#,
            r#"asm(".inc" PIECE);"#,
            "asm(u8\"\\N{LATIN SMALL LETTER I}\");",
            "asm(\"unfinished",
            "__asm { mov eax, 1 }",
            "#if 0\n#endif\nasm(\".incbin x\");",
            "#if 0\nR\"(\n#if\n)\" \n#endif\nasm(\".incbin x\");",
            "int a = 1'000'000; asm(\".incbin x\");",
            "char c = '\"'; asm(\".incbin x\");",
        ] {
            assert!(check(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn ordinary_sources_are_no_doubt() {
        for text in [
            "# 1 \"include/a.h\" 1\nint included, incbin;\n",
            r#"asm("");"#,
            r#"asm volatile("" : : "r"(x) : "memory");"#,
            r#"__asm__ __volatile__("movl %1, %0; addl $1, %0 # %2" : "=r"(x) : "r"(*q));"#,
            r#"asm("lock; cmpxchgb %b1,%2" : "=a"(p));"#,
            r#"asm("mov{l %1, %0| %0, %1}\n\tret" : "=r"(x) : "r"(y));"#,
            r#"asm(".L%=:\n\t.byte 0x0f\n 1:\tnop\n" : : );"#,
            r#"asm(".section .rodata\n.ascii \"a\\n\"\n.text\n");"#,
            r#"extern int f() __asm__("" "__isoc99_sscanf") __attribute__((nothrow));"#,
            "const char *s = \"#include <x>\\nmacro { %0 }\";",
            "wchar_t *s = L\"\\x1234 \\u00e9\"; char c = '\\'';",
            "#if 0\nasm(\"{ .incbin }\" : : );\n#if 1\n#endif\n#endif\nint x;",
            "#pragma GCC diagnostic ignored \"-Wincbin\"\n",
            "const char *s = R\"x(a \" b)x\"; int i = 0x1p-3;",
        ] {
            assert_eq!(check(text.as_bytes()), Ok(()), "{text}");
        }
    }
}
