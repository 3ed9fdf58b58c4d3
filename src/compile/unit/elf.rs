//! What a host object shows: the symbols that it defines, and whether a search of its bytes finds its text. Reads ELF as
//! the System V ABI describes it (64 bits, little endian).

/// How a linker treats two definitions of one symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binding {
    /// It refuses them.
    Strong,
    /// It uses one of them.
    Weak,
}

const SYMBOL_TABLE: u32 = 2;
/// The flag of a section whose content is compressed.
const COMPRESSED: u64 = 0x800;

/// Beginnings of the names of sections whose content is compressed in a form of its own: debug information of old
/// assemblers, and GCC's and clang's code for link-time optimization.
const PACKED: [&[u8]; 4] = [b".zdebug", b".gnu.lto_", b".gnu.debuglto_", b".llvm.lto"];

/// Every symbol that the object defines for other objects. `None` if the bytes are not such an object.
pub(super) fn defined(object: &[u8]) -> Option<Vec<(&[u8], Binding)>> {
    let sections = Sections::of(object)?;
    let mut symbols = Vec::new();
    for section in 0..sections.count {
        if sections.field(section, 4, 4)? != u64::from(SYMBOL_TABLE) {
            continue;
        }
        let strings = usize::try_from(sections.field(section, 0x28, 4)?).ok()?;
        let strings = sections.content(strings)?;
        for symbol in sections.content(section)?.chunks_exact(24) {
            let binding = match (symbol[4] >> 4, word(symbol, 6, 2)?) {
                (_, 0) => continue,
                (1, _) => Binding::Strong,
                // STB_WEAK and STB_GNU_UNIQUE.
                (2 | 10, _) => Binding::Weak,
                _ => continue,
            };
            let name = usize::try_from(word(symbol, 0, 4)?).ok()?;
            symbols.push((text_at(strings, name)?, binding));
        }
    }
    Some(symbols)
}

/// The first bytes of a fatbinary. What it holds compressed lay in intermediate files, which are searched.
const FATBINARY: &[u8] = b"\x50\xed\x55\xba";

/// Whether an output may hold text that a search of its bytes does not find. Only text, fatbinaries and objects without
/// compressed sections are known not to: LLVM's bitcode, which clang writes for link-time optimization, packs letters.
pub(super) fn may_hide_text(output: &[u8]) -> bool {
    if output.starts_with(b"\x7fELF") {
        return has_packed_sections(output).unwrap_or(true);
    }
    !output.starts_with(FATBINARY) && output.contains(&0)
}

/// `None` if the bytes are not an object of the kind that [`Sections`] reads.
fn has_packed_sections(object: &[u8]) -> Option<bool> {
    let sections = Sections::of(object)?;
    // Where 16 bits cannot hold the number of the section with the names, the link field of the first section does.
    let names = match word(object, 0x3e, 2)? {
        0xffff => sections.field(0, 0x28, 4)?,
        number => number,
    };
    let names = sections.content(usize::try_from(names).ok()?)?;
    for section in 0..sections.count {
        let name = usize::try_from(sections.field(section, 0, 4)?).ok()?;
        let name = text_at(names, name)?;
        let is_compressed = sections.field(section, 8, 8)? & COMPRESSED != 0;
        if is_compressed || PACKED.iter().any(|packed| name.starts_with(packed)) {
            return Some(true);
        }
    }
    Some(false)
}

/// The text at offset `at`, which a zero ends.
fn text_at(strings: &[u8], at: usize) -> Option<&[u8]> {
    let text = strings.get(at..)?;
    Some(&text[..text.iter().position(|byte| *byte == 0)?])
}

/// The section headers of an object.
struct Sections<'a> {
    object: &'a [u8],
    at: usize,
    size: usize,
    count: usize,
}

impl<'a> Sections<'a> {
    /// `None` if the bytes are not an object of 64 bits, little endian.
    fn of(object: &'a [u8]) -> Option<Self> {
        if !object.starts_with(b"\x7fELF\x02\x01") {
            return None;
        }
        let mut sections = Self {
            object,
            at: usize::try_from(word(object, 0x28, 8)?).ok()?,
            size: usize::try_from(word(object, 0x3a, 2)?).ok()?,
            count: usize::try_from(word(object, 0x3c, 2)?).ok()?,
        };
        if sections.count == 0 && sections.at != 0 {
            // 16 bits cannot hold the number; the size field of the first section does.
            sections.count = usize::try_from(sections.field(0, 0x20, 8)?).ok()?;
        }
        Some(sections)
    }

    fn field(&self, section: usize, offset: usize, bytes: usize) -> Option<u64> {
        let header = self.size.checked_mul(section)?.checked_add(self.at)?;
        word(self.object, header.checked_add(offset)?, bytes)
    }

    fn content(&self, section: usize) -> Option<&'a [u8]> {
        let at = usize::try_from(self.field(section, 0x18, 8)?).ok()?;
        let size = usize::try_from(self.field(section, 0x20, 8)?).ok()?;
        self.object.get(at..at.checked_add(size)?)
    }
}

/// The little-endian number in `bytes` bytes at offset `at`.
fn word(text: &[u8], at: usize, bytes: usize) -> Option<u64> {
    let mut number = [0; 8];
    number[..bytes].copy_from_slice(text.get(at..at.checked_add(bytes)?)?);
    Some(u64::from_le_bytes(number))
}

#[cfg(test)]
mod tests {
    use super::{Binding, defined, may_hide_text};
    use std::process::Command;

    fn object(text: &str, options: &[&str]) -> Vec<u8> {
        let dir = tempfile::tempdir().expect("a folder");
        let (source, object) = (dir.path().join("a.c"), dir.path().join("a.o"));
        std::fs::write(&source, text).expect("a source");
        let mut gcc = Command::new("gcc");
        gcc.args(options)
            .arg("-c")
            .arg(&source)
            .arg("-o")
            .arg(&object);
        assert!(gcc.status().expect("gcc runs").success());
        std::fs::read(&object).expect("an object")
    }

    #[test]
    fn names_for_others_are_told_with_their_binding() {
        let text = "extern int far; static int own; int strong(void) { return far + own; }\n\
            int data = 1; __attribute__((weak)) int weak(void) { return 2; }\n";
        let object = object(text, &[]);
        let mut found = defined(&object).expect("an object");
        found.sort_by_key(|(name, _)| *name);
        let wanted: [(&[u8], _); 3] = [
            (b"data", Binding::Strong),
            (b"strong", Binding::Strong),
            (b"weak", Binding::Weak),
        ];
        assert_eq!(found, wanted);
    }

    #[test]
    fn an_object_with_compressed_sections_may_hide_text() {
        let hides =
            |options: &[&str]| may_hide_text(&object("int f(void) { return 1; }\n", options));
        assert!(!hides(&[]));
        assert!(!hides(&["-g"]));
        assert!(hides(&["-flto"]));
        assert!(hides(&["-flto", "-ffat-lto-objects"]));
        // A small section is only compressed if that makes it smaller.
        assert!(hides(&["-g3", "-gz", "-include", "stdio.h"]));
        assert!(hides(&["-g3", "-gz=zlib-gnu", "-include", "stdio.h"]));
        assert!(!may_hide_text(b"text"));
        assert!(may_hide_text(b"\x7fELF\x01\x01\x01"));
        assert!(may_hide_text(b"BC\xc0\xde\x35\x14\0\0"));
        assert!(!may_hide_text(b"\x50\xed\x55\xba\x01\0"));
    }

    #[test]
    fn what_is_no_object_tells_nothing() {
        let object = object("int data = 1;\n", &[]);
        assert_eq!(defined(b""), None);
        assert_eq!(defined(b"# 1 \"a.cu\"\n"), None);
        assert!(defined(&object).is_some());
        for length in 0..object.len() {
            // Nor does it end the process.
            let _ = defined(&object[..length]);
        }
    }
}
