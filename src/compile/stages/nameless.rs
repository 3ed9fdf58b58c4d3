//! The output of a device compiler without the module id. The compiler only puts the id into names, which
//! `docs/design/keys.md` shows by experiment, so that another id can be put in later.

use crate::compile::run::mentions::{mentions, replaced};
use crate::key::digits;
use memchr::memmem;

/// Replaces the id.
const PLACE: &[u8] = b"\0module id\0";

/// Words of PTX that holds line numbers or names for a debugger. ptxas computes checksums over all of it.
const LINES: [&[u8]; 3] = [b".loc", b".file", b".section"];

/// `bytes` with a placeholder for the module `id`. `None` if they contain a part of the id outside of the whole id,
/// or the id spelled in another way: then only the tool itself can put another id in.
pub(super) fn remove(bytes: &[u8], id: &[u8]) -> Option<Vec<u8>> {
    let digits = digits(id)?;
    let count = |word: &[u8]| memmem::find_iter(bytes, word).count();
    let id_count = count(id);
    let spelled = spelled(bytes);
    let is_whole = |part: &&[u8]| count(part) == id_count && !mentions(&spelled, part);
    let is_removable = !mentions(bytes, PLACE) && digits.iter().all(is_whole);
    is_removable.then(|| match id_count {
        0 => bytes.to_vec(),
        _ => replaced(bytes, id, PLACE),
    })
}

/// The inverse of [`remove`]: `bytes` with `id` in place of the placeholder.
pub(super) fn insert(bytes: &[u8], id: &[u8]) -> Vec<u8> {
    replaced(bytes, PLACE, id)
}

/// The kind of a file that a front end writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    /// Its main output: code for the device.
    Device,
    /// Any other file.
    Other,
}

/// Whether `bytes` are text, in which names appear verbatim. Device code must be PTX, neither bitcode nor compressed.
/// Other files may be in portable form, which contains NUL.
pub(super) fn is_plain(bytes: &[u8], code: Code) -> bool {
    let is_ptx = || !bytes.contains(&0) && mentions(bytes, b"\n.version ");
    std::str::from_utf8(bytes).is_ok() && (code == Code::Other || is_ptx())
}

/// Whether another id in this `ptx` changes nothing but names in the output of ptxas.
pub(super) fn is_carried_through(ptx: &[u8]) -> bool {
    !LINES.iter().any(|word| mentions(ptx, word))
}

/// Every number in `text` that fits a byte, whatever is between them: PTX spells strings as such lists, broken into
/// lines.
fn spelled(text: &[u8]) -> Vec<u8> {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$');
    let words = text.split(|byte| !is_word(byte));
    words
        .filter(|word| matches!(word.len(), 1..=4))
        .filter_map(number)
        .collect()
}

/// The decimal or hexadecimal number that `word` is, if it fits a byte.
fn number(word: &[u8]) -> Option<u8> {
    let word = std::str::from_utf8(word).ok()?;
    match word.strip_prefix("0x") {
        Some(digits) => u8::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Code, insert, is_carried_through, is_plain, remove};

    const ID: &[u8] = b"_0123456789abcdef_4_a_cu_fedcba9876543210";
    const OTHER: &[u8] = b"_00112233aabbccdd_4_a_cu_ffeeddcc99887766";

    fn text(id: &[u8]) -> Vec<u8> {
        let text = ".visible .entry _ZN52_INTERNALID52_GLOBAL__NID1kEv(\n.b8 95,48,49,50;\n";
        let text = text.replace("ID", &String::from_utf8_lossy(id));
        text.into_bytes()
    }

    #[test]
    fn one_id_takes_the_place_of_another() {
        let nameless = remove(&text(ID), ID).expect("it is free");
        assert_eq!(remove(&text(OTHER), OTHER), Some(nameless.clone()));
        assert_eq!(insert(&nameless, OTHER), text(OTHER));
        assert_eq!(insert(&nameless, ID), text(ID));
        let none = b".visible .entry k()\n";
        assert_eq!(remove(none, ID).as_deref(), Some(&none[..]));
    }

    #[test]
    fn an_id_that_is_there_in_another_way_stays() {
        let list = |separator: &str| {
            let numbers: Vec<_> = ID[..20].iter().map(u8::to_string).collect();
            [
                &text(ID),
                ".b8 ".as_bytes(),
                numbers.join(separator).as_bytes(),
            ]
            .concat()
        };
        for other in [
            list(","),
            list(", "),
            list(",\n.b8 "),
            [&text(ID), &b" 0123456789abcdef"[..]].concat(),
            [&text(ID), &b" fedcba9876543210"[..]].concat(),
            [&text(ID), &b"\0module id\0"[..]].concat(),
            ID[1..17]
                .iter()
                .flat_map(|byte| format!("0x{byte:02x},").into_bytes())
                .collect(),
        ] {
            assert_eq!(remove(&other, ID), None, "{}", other.escape_ascii());
        }
        assert_eq!(remove(b"", b"_short"), None);
    }

    #[test]
    fn names_may_hide_in_what_is_no_text() {
        let ptx = b"//\n// Generated\n//\n.version 8.4\n.target sm_80\n";
        assert!(is_plain(ptx, Code::Device) && is_plain(b"#include \"\0name\0\"\n", Code::Other));
        for device in [
            &b"BC\xc0\xde\n.version "[..],
            b"\n.version \0",
            b"int x;\n",
            b"",
        ] {
            assert!(!is_plain(device, Code::Device), "{}", device.escape_ascii());
        }
        assert!(!is_plain(b"\xff", Code::Other));
    }

    #[test]
    fn ptx_that_tells_lines_is_ptxas_own() {
        assert!(is_carried_through(&text(ID)));
        for word in [
            "\t.loc\t1 3 5\n",
            ".file\t1 \"a.cu\"\n",
            "\t.section\t.debug_str\n",
        ] {
            assert!(!is_carried_through(&[&text(ID), word.as_bytes()].concat()));
        }
    }
}
