//! The symbols that a host object defines. Reads ELF as the System V ABI describes it (64 bits, little endian).

/// How a linker treats two definitions of one symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binding {
    /// It refuses them.
    Strong,
    /// It uses one of them.
    Weak,
}

const SYMBOL_TABLE: u32 = 2;

/// Every symbol that the object defines for other objects. `None` if the bytes are not such an object.
pub(super) fn defined(object: &[u8]) -> Option<Vec<(&[u8], Binding)>> {
    if !object.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let sections = Sections {
        object,
        at: usize::try_from(word(object, 0x28, 8)?).ok()?,
        size: usize::try_from(word(object, 0x3a, 2)?).ok()?,
    };
    // If 16 bits cannot hold the number of sections, the size field of the first section holds it.
    let count = match word(object, 0x3c, 2)? {
        0 => sections.field(0, 0x20, 8)?,
        count => count,
    };
    let mut symbols = Vec::new();
    for section in 0..usize::try_from(count).ok()? {
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
            let name = strings.get(usize::try_from(word(symbol, 0, 4)?).ok()?..)?;
            let end = name.iter().position(|byte| *byte == 0)?;
            symbols.push((&name[..end], binding));
        }
    }
    Some(symbols)
}

/// The section headers of an object.
struct Sections<'a> {
    object: &'a [u8],
    at: usize,
    size: usize,
}

impl<'a> Sections<'a> {
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
    use super::{Binding, defined};
    use std::process::Command;

    fn object(text: &str) -> Vec<u8> {
        let dir = tempfile::tempdir().expect("a folder");
        let (source, object) = (dir.path().join("a.c"), dir.path().join("a.o"));
        std::fs::write(&source, text).expect("a source");
        let mut gcc = Command::new("gcc");
        gcc.arg("-c").arg(&source).arg("-o").arg(&object);
        assert!(gcc.status().expect("gcc runs").success());
        std::fs::read(&object).expect("an object")
    }

    #[test]
    fn names_for_others_are_told_with_their_binding() {
        let text = "extern int far; static int own; int strong(void) { return far + own; }\n\
            int data = 1; __attribute__((weak)) int weak(void) { return 2; }\n";
        let object = object(text);
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
    fn what_is_no_object_tells_nothing() {
        let object = object("int data = 1;\n");
        assert_eq!(defined(b""), None);
        assert_eq!(defined(b"# 1 \"a.cu\"\n"), None);
        assert!(defined(&object).is_some());
        for length in 0..object.len() {
            // Nor does it end the process.
            let _ = defined(&object[..length]);
        }
    }
}
