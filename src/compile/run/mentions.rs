//! The portable form of a generated file, which does not depend on the file names in its stage's arguments. Two
//! files mention such names: cudafe++'s mentions the stub that it includes, and the stub mentions itself.

use memchr::memmem;

/// Replaces the name in the portable form. No tool writes NUL into text.
const PLACE: &[u8] = b"\0name\0";

/// Replaces the name in text that is still to be read as C++.
const READABLE: &[u8] = b"<pcache stub>";

/// Whether a file mentions a name from its stage's arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mention {
    Nothing,
    /// Each occurrence of these bytes is the name.
    Name(Vec<u8>),
}

impl Mention {
    /// The portable form of `bytes`: with a placeholder for the name. `None` if they contain the placeholder
    /// already.
    pub(crate) fn remove(&self, bytes: Vec<u8>) -> Option<Vec<u8>> {
        match self {
            Self::Nothing => Some(bytes),
            Self::Name(name) => {
                let is_free = !name.is_empty() && memmem::find(&bytes, PLACE).is_none();
                is_free.then(|| replaced(&bytes, name, PLACE))
            }
        }
    }

    /// `bytes` with a fixed, readable name instead. `None` if they contain a placeholder or that name already.
    pub(crate) fn rename(&self, bytes: Vec<u8>) -> Option<Vec<u8>> {
        let portable = self.remove(bytes)?;
        (!mentions(&portable, READABLE)).then(|| replaced(&portable, PLACE, READABLE))
    }

    /// The inverse of [`Mention::remove`]: puts the name back into the portable form `bytes`.
    pub(crate) fn insert(&self, bytes: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Nothing => bytes,
            Self::Name(name) => replaced(&bytes, PLACE, name),
        }
    }
}

/// `bytes` with every `from` replaced by `to`.
pub(crate) fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(bytes.len());
    let mut copied = 0;
    for at in memmem::find_iter(bytes, from) {
        result.extend_from_slice(&bytes[copied..at]);
        result.extend_from_slice(to);
        copied = at + from.len();
    }
    result.extend_from_slice(&bytes[copied..]);
    result
}

/// Whether `bytes` mention `word`.
pub(crate) fn mentions(bytes: &[u8], word: &[u8]) -> bool {
    memmem::find(bytes, word).is_some()
}

#[cfg(test)]
mod tests {
    use super::Mention;

    #[test]
    fn a_name_is_replaced_by_another() {
        let name = |name: &[u8]| Mention::Name(name.to_vec());
        let text = b"# 1 \"a.stub.c\"\n#include \"a.stub.c\"\n".to_vec();
        let portable = name(b"a.stub.c")
            .remove(text.clone())
            .expect("no NUL in it");
        assert_eq!(name(b"a.stub.c").insert(portable.clone()), text);
        assert_eq!(
            name(b"b/c").insert(portable),
            b"# 1 \"b/c\"\n#include \"b/c\"\n"
        );
        assert_eq!(Mention::Nothing.remove(text.clone()), Some(text));
    }

    #[test]
    fn text_that_looks_portable_already_has_no_portable_form() {
        let name = Mention::Name(b"a".to_vec());
        assert_eq!(name.remove(b"\0name\0".to_vec()), None);
        assert_eq!(Mention::Name(Vec::new()).remove(b"a".to_vec()), None);
    }

    #[test]
    fn readable_text_has_one_name_for_all() {
        let renamed = |name: &[u8]| {
            let text = [b"# 1 \"", name, b"\"\n"].concat();
            Mention::Name(name.to_vec()).rename(text)
        };
        assert_eq!(renamed(b"a.c"), renamed(b"/b/c.c"));
        assert_eq!(renamed(b"a.c"), Some(b"# 1 \"<pcache stub>\"\n".to_vec()));
        let taken = b"# 1 \"<pcache stub>\"\n".to_vec();
        assert_eq!(Mention::Name(b"b.c".to_vec()).rename(taken), None);
    }
}
