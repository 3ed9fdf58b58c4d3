//! Splits the text that fatbinary writes for the host compiler into its form and its numbers. The host compiler
//! compiles the form, and the numbers are spliced into its assembly. Text that does not have exactly the known shape
//! is refused.

use memchr::memmem;

/// Replaces the numbers in the form and in the assembly. To assemblers it is a comment.
const PLACE: &[u8] = b"# pcache-nvcc: the fatbinary";

/// Precedes the number of the array's elements, which reaches nothing but debug information.
const ARRAY: &[u8] = b"\nextern const unsigned long long fatbinData[";

/// The form: fatbinary's text without its numbers. `None` if the text has another shape.
pub(super) fn form(text: &[u8]) -> Option<Vec<u8>> {
    let (before, _, after) = parts(text)?;
    let size = only(after, ARRAY)? + ARRAY.len();
    let digits = after[size..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit());
    let end = size + digits.count();
    if end == size || !after[end..].starts_with(b"];") || memmem::find(text, PLACE).is_some() {
        return None;
    }
    let mark = [b"\"", PLACE, b"\\n\"\n"].concat();
    Some([before, &mark, &after[..size], b"1", &after[end..]].concat())
}

/// The section of debug information, which holds the array's size. A wrapper around the host compiler may
/// have asked for it.
const DEBUG: &[u8] = b".debug_info";

/// The assembly with the numbers of `text` in place of the comment. `None` if `text` does not have the form
/// `compiled_form`, if the comment does not occur exactly once, or if the assembly has debug information.
pub(super) fn splice(assembly: &[u8], compiled_form: &[u8], text: &[u8]) -> Option<Vec<u8>> {
    if form(text)? != compiled_form || memmem::find(assembly, DEBUG).is_some() {
        return None;
    }
    let line = [b"\n", PLACE, b"\n"].concat();
    let place = only(assembly, &line)?;
    let (_, numbers, _) = parts(text)?;
    let mut spliced = Vec::with_capacity(assembly.len() + numbers.len());
    spliced.extend_from_slice(&assembly[..=place]);
    for line in numbers.split_inclusive(|byte| *byte == b'\n') {
        spliced.extend_from_slice(numbers_of(line)?);
        spliced.push(b'\n');
    }
    spliced.extend_from_slice(&assembly[place + line.len()..]);
    Some(spliced)
}

/// Splits the text into what precedes the lines of numbers, those lines, and what follows them.
fn parts(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let start = memmem::find(text, b"\n\".quad ")? + 1;
    let mut end = start;
    for line in text[start..].split_inclusive(|byte| *byte == b'\n') {
        if numbers_of(line).is_none() {
            break;
        }
        end += line.len();
    }
    let (before, numbers, after) = (&text[..start], &text[start..end], &text[end..]);
    (!numbers.is_empty() && memmem::find(after, b".quad").is_none())
        .then_some((before, numbers, after))
}

/// The directive in a line that is one string literal: `".quad 0x1,0x2\n"`.
fn numbers_of(line: &[u8]) -> Option<&[u8]> {
    let directive = line.strip_prefix(b"\"")?.strip_suffix(b"\\n\"\n")?;
    let numbers = directive.strip_prefix(b".quad ")?;
    let is_number = |byte: &u8| byte.is_ascii_hexdigit() || b"x, ".contains(byte);
    numbers.iter().all(is_number).then_some(directive)
}

/// The offset of `word`, if it occurs exactly once.
fn only(text: &[u8], word: &[u8]) -> Option<usize> {
    let mut occurrences = memmem::find_iter(text, word);
    match (occurrences.next(), occurrences.next()) {
        (Some(at), None) => Some(at),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{PLACE, form, splice};

    const TEXT: &str = "asm(\n\".align 8\\n\"\n\"fatbinData:\\n\"\n\".quad 0x1f,0x2\\n\"\n\".quad 0x3\\n\"\n\
                        \".text\\n\");\nextern const unsigned long long fatbinData[3];\n";

    fn assembly() -> Vec<u8> {
        [b"\t.align 8\nfatbinData:\n", PLACE, b"\n.text\n"].concat()
    }

    #[test]
    fn numbers_go_from_the_text_into_the_assembly() {
        let used = form(TEXT.as_bytes()).expect("it has the shape");
        let spliced = splice(&assembly(), &used, TEXT.as_bytes()).expect("they fit");
        let wanted = "\t.align 8\nfatbinData:\n.quad 0x1f,0x2\n.quad 0x3\n.text\n";
        assert_eq!(String::from_utf8_lossy(&spliced), wanted);
    }

    #[test]
    fn the_form_does_not_depend_on_the_numbers() {
        let other = TEXT.replace("\".quad 0x3\\n\"\n", "").replace("[3]", "[2]");
        assert_ne!(other, TEXT);
        assert_eq!(form(other.as_bytes()), form(TEXT.as_bytes()));
    }

    #[test]
    fn what_is_not_of_the_shape_is_refused() {
        let used = form(TEXT.as_bytes()).expect("it has the shape");
        for (from, to) in [
            (".quad", ".long"),
            ("0x3\\n", "0x3\\nnop\\n"),
            ("fatbinData[3]", "fatbinData[N]"),
            ("\".text", "\".quad sym\\n\"\n\".text"),
            (".align 8", ".align 16"),
            ("asm(", "# pcache-nvcc: the fatbinary\nasm("),
        ] {
            let other = TEXT.replace(from, to);
            assert_eq!(
                splice(&assembly(), &used, other.as_bytes()),
                None,
                "{other}"
            );
        }
        let twice = [assembly(), assembly()].concat();
        assert_eq!(splice(&twice, &used, TEXT.as_bytes()), None);
        assert_eq!(splice(b"fatbinData:\n", &used, TEXT.as_bytes()), None);
        let debug = [assembly(), b"\t.section\t.debug_info\n".to_vec()].concat();
        assert_eq!(splice(&debug, &used, TEXT.as_bytes()), None);
    }
}
