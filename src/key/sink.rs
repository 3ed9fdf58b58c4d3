//! The destinations of a key's fields: a digest, or a list for users.

use super::Digest;
use sha2::{Digest as _, Sha256};

/// Receives the fields of a key, in order. A field is a name and any number of values.
pub trait Sink {
    /// Begins the field `name`, which has `count` values.
    fn field(&mut self, name: &'static str, count: usize);
    /// Adds a value to the field begun last.
    fn value(&mut self, bytes: &[u8]);

    /// Adds a field of one value.
    fn one(&mut self, name: &'static str, bytes: &[u8]) {
        self.field(name, 1);
        self.value(bytes);
    }
}

/// The digest of the fields. Every name and value is preceded by its length, and every field by its
/// count, so that no two different lists of fields yield the same bytes.
#[derive(Default)]
pub struct Digester(Sha256);

impl Digester {
    /// The digest of all fields so far.
    pub fn finish(self) -> Digest {
        self.0.finalize().into()
    }

    fn sized(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }
}

impl Sink for Digester {
    fn field(&mut self, name: &'static str, count: usize) {
        self.sized(name.as_bytes());
        self.0.update((count as u64).to_le_bytes());
    }

    fn value(&mut self, bytes: &[u8]) {
        self.sized(bytes);
    }
}

/// The fields themselves, for `pcache explain`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Explanation(pub Vec<(&'static str, Vec<Vec<u8>>)>);

impl Sink for Explanation {
    fn field(&mut self, name: &'static str, _count: usize) {
        self.0.push((name, Vec::new()));
    }

    fn value(&mut self, bytes: &[u8]) {
        if let Some((_, values)) = self.0.last_mut() {
            values.push(bytes.to_vec());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Digester, Explanation, Sink};

    fn digest(fields: &[(&'static str, &[&[u8]])]) -> [u8; 32] {
        let mut sink = Digester::default();
        for (name, values) in fields {
            sink.field(name, values.len());
            values.iter().for_each(|value| sink.value(value));
        }
        sink.finish()
    }

    #[test]
    fn moving_a_byte_between_values_changes_the_digest() {
        assert_ne!(
            digest(&[("f", &[b"ab", b"c"])]),
            digest(&[("f", &[b"a", b"bc"])])
        );
        assert_ne!(digest(&[("f", &[b"ab"])]), digest(&[("f", &[b"a", b"b"])]));
    }

    #[test]
    fn moving_a_value_between_fields_changes_the_digest() {
        let left = digest(&[("f", &[b"a", b"g"]), ("g", &[])]);
        assert_ne!(left, digest(&[("f", &[b"a"]), ("g", &[b"g"])]));
        assert_ne!(digest(&[("f", &[b"g"])]), digest(&[("f", &[]), ("g", &[])]));
    }

    #[test]
    fn an_explanation_holds_the_fields_as_written() {
        let mut sink = Explanation::default();
        sink.one("name", b"value");
        sink.field("list", 2);
        sink.value(b"a");
        sink.value(b"b");
        let wanted = vec![
            ("name", vec![b"value".to_vec()]),
            ("list", vec![b"a".to_vec(), b"b".to_vec()]),
        ];
        assert_eq!(sink.0, wanted);
    }
}
