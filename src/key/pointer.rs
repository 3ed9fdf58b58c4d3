//! Pointers: what stands in place of a record whose key has further parts.

#[cfg(feature = "remote")]
use serde::Deserialize;

/// The first line of a pointer; JSON follows.
pub(crate) const POINTER: &[u8] = b"pcache-nvcc pointer 1\n";

/// The part of a pointer that names the record it was written for.
#[cfg(feature = "remote")]
#[derive(Deserialize)]
struct NamingPart {
    #[serde(default)]
    record: Option<String>,
}

/// The name of the record for which a pointer was written: the SHA-256 of its key. With other values of the parts, the
/// same pointer leads to other records. `None` for any other record, and for pointers of former versions.
#[cfg(feature = "remote")]
pub(crate) fn leads_to(value: &[u8]) -> Option<[u8; 32]> {
    let pointer: NamingPart = serde_json::from_slice(value.strip_prefix(POINTER)?).ok()?;
    let mut name = [0; 32];
    hex::decode_to_slice(pointer.record?, &mut name).ok()?;
    Some(name)
}

#[cfg(all(test, feature = "remote"))]
mod tests {
    use super::{POINTER, leads_to};

    #[test]
    fn only_pointers_that_name_a_record_lead_to_one() {
        let name = "ab".repeat(32);
        let named = format!("{{\"schema\":4,\"needs\":[],\"record\":\"{name}\"}}");
        let pointer = |json: &str| [POINTER, json.as_bytes()].concat();
        assert_eq!(leads_to(&pointer(&named)), Some([0xab; 32]));
        assert_eq!(leads_to(named.as_bytes()), None);
        for json in ["", "{}", "{\"record\":\"abc\"}"] {
            assert_eq!(leads_to(&pointer(json)), None, "{json}");
        }
    }
}
