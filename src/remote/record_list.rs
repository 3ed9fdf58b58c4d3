//! A list of records that has a name, so that a machine can bring all of them before its build. It lies in the cache and on
//! servers as a record of its own.

use crate::includes::path_set;
use crate::key::pointer::POINTER;
use crate::key::{Digest, Digester, Sink};
use crate::store::{Name, QueuedRecord, RECORD_LENGTH, Worth};
use serde_json::{Map, Value};

/// What the list begins with.
pub(crate) const TITLE: &[u8] = b"pcache-nvcc list of records 1\n";

/// The key of the list called `name`.
pub(crate) fn key(name: &str) -> Digest {
    let mut sink = Digester::default();
    sink.one("schema", b"pcache-nvcc list of records 1");
    sink.one("name", name.as_bytes());
    sink.finish()
}

/// The list of these records.
pub(crate) fn encode(records: &[(Worth, Name)]) -> Vec<u8> {
    let mut list = TITLE.to_vec();
    for (worth, name) in records {
        list.extend(QueuedRecord::Stored(*worth, *name).bytes());
    }
    list
}

/// The records of a list; `None` if it is none.
pub(crate) fn decode(list: &[u8]) -> Option<Vec<(Worth, Name)>> {
    let records = list.strip_prefix(TITLE)?.chunks(RECORD_LENGTH);
    let record = |bytes: &[u8]| match QueuedRecord::read(bytes)? {
        QueuedRecord::Stored(worth, name) => Some((worth, name)),
        QueuedRecord::Made(_) => None,
    };
    records.map(record).collect()
}

/// Members of which each result has one: those of direct mode, of a unit, of one of several units, and of a stage.
const OF_RESULTS: [&str; 5] = ["depfiles", "milliseconds", "unit", "outputs", "compiled"];

/// Whether a record is of a kind that machines share. A list chooses names, and what decides which programs run lies
/// beside results: so of what a list names, only these kinds are stored.
pub(super) fn is_shared(value: &[u8]) -> bool {
    let titles = [path_set::TITLE, POINTER];
    let object = || serde_json::from_slice::<Map<String, Value>>(value);
    let is_result =
        || object().is_ok_and(|object| OF_RESULTS.iter().any(|name| object.contains_key(*name)));
    titles.iter().any(|title| value.starts_with(title)) || (is_data(value) && is_result())
}

/// Whether a record can be nothing but data: no reader of what decides which programs run takes it, which is a plan, a
/// search order or a list of questions to the host compiler. Of those, the first and the last begin with a list, and a
/// search order is an object with the member `order`.
pub(crate) fn is_data(value: &[u8]) -> bool {
    let titles = [path_set::TITLE, POINTER, TITLE];
    titles.iter().any(|title| value.starts_with(title))
        || serde_json::from_slice::<Map<String, Value>>(value)
            .is_ok_and(|object| !object.contains_key("order"))
}

#[cfg(test)]
mod tests {
    use super::{TITLE, decode, encode, key};
    use crate::store::{Name, Worth};

    #[test]
    fn a_list_is_read_back_and_anything_else_is_none() {
        let records = [
            (Worth::Result, Name([1; 32])),
            (Worth::Intermediate, Name([2; 32])),
        ];
        let list = encode(&records);
        assert_eq!(decode(&list).unwrap(), records);
        assert_eq!(decode(TITLE).unwrap(), []);
        assert_eq!(decode(&list[..list.len() - 1]), None);
        assert_eq!(decode(&[TITLE, &[b'r'; 33]].concat()), None);
        assert_eq!(decode(b"pcache"), None);
        assert_ne!(key("main"), key("other"));
    }
}
