//! What a file of the store is, and which of the user's files it names. Only the values tell, in the formats of
//! `docs/design/store.md`, because the store does not keep keys.

use crate::compile::{POINTER, TOKEN_SETS};
use crate::includes::path_set;
use crate::key::Roots;
use crate::remote::record_list;
use crate::store::{Artefact, CLASS_HEAD, Content, EntryKind, Reading, StoreError, SurveyedFile};
use serde_json::Value;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// What is known of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Contents {
    /// What it is, in listings.
    pub(super) class: &'static str,
    /// The files that a record names.
    pub(super) files: Vec<PathBuf>,
    /// The sources that a record was first made of.
    pub(super) sources: Vec<PathBuf>,
    /// The artefacts that a record names.
    pub(super) artefacts: Vec<Artefact>,
}

/// A record whose value has no known format.
const UNKNOWN: &str = "record";
/// A record that fails its checksum.
const DAMAGED: &str = "damaged";

/// Every class, in the order in which help names them.
pub(super) const CLASSES: [&str; 21] = [
    "object",
    "archive",
    "cubin",
    "fatbin",
    "ptx",
    "ltoir",
    "nvvm",
    "text",
    "packed",
    "other",
    "result",
    "direct-result",
    "stage",
    "path-sets",
    "token-sets",
    "record-list",
    "plan",
    "search-order",
    "facts",
    UNKNOWN,
    DAMAGED,
];

impl Contents {
    /// Looks at a file: at the head of an entry, at all of a record.
    ///
    /// # Errors
    /// A record cannot be read.
    pub(super) fn of(stored: &SurveyedFile<'_>) -> Result<Self, StoreError> {
        if stored.tree.kind == EntryKind::Entry {
            return Ok(Self::nameless(Content::of(&stored.head(CLASS_HEAD)).code()));
        }
        Ok(match stored.record()? {
            Reading::Whole(value) => Self::of_record(&value),
            Reading::Damaged => Self::nameless(DAMAGED),
            Reading::Gone | Reading::Signed => Self::nameless(UNKNOWN),
        })
    }

    /// Of the value of a record.
    pub(super) fn of_record(value: &[u8]) -> Self {
        if value.starts_with(path_set::TITLE) {
            let files = path_sets(value).unwrap_or_default();
            return Self {
                files,
                ..Self::nameless("path-sets")
            };
        }
        if let Some(pointer) = value.strip_prefix(POINTER) {
            let pointer: Option<Value> = serde_json::from_slice(pointer).ok();
            return Self {
                sources: pointer.as_ref().map(sources).unwrap_or_default(),
                ..Self::nameless("direct-result")
            };
        }
        if value.starts_with(record_list::TITLE) {
            return Self::nameless("record-list");
        }
        if value.starts_with(TOKEN_SETS) {
            return Self::nameless("token-sets");
        }
        let mut values = serde_json::Deserializer::from_slice(value).into_iter::<Value>();
        let Some(Ok(first)) = values.next() else {
            return Self::nameless(UNKNOWN);
        };
        let is_alone = values.byte_offset() == value.len();
        let mut found = Self::nameless(if is_alone {
            class_of_json(&first)
        } else {
            "plan"
        });
        found.collect(&first);
        found.artefacts = Artefact::all_in(&first);
        found.sources = sources(&first);
        found
    }

    /// The file that describes it best.
    pub(super) fn name(&self) -> Option<&PathBuf> {
        self.sources.first().or(self.files.first())
    }

    fn nameless(class: &'static str) -> Self {
        Self {
            class,
            files: Vec::new(),
            sources: Vec::new(),
            artefacts: Vec::new(),
        }
    }

    /// Every file that stands beside an artefact or under `path` or `name`.
    fn collect(&mut self, value: &Value) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    match member {
                        Value::String(file) if ["path", "name"].contains(&name.as_str()) => {
                            self.files.push(shown(file));
                        }
                        Value::Array(files) if name == "paths" => {
                            let files = files.iter().filter_map(Value::as_str);
                            self.files.extend(files.map(shown));
                        }
                        member => self.collect(member),
                    }
                }
            }
            Value::Array(items) => {
                if let [Value::String(file), Value::Object(_)] = items.as_slice() {
                    self.files.push(file.into());
                }
                items.iter().for_each(|item| self.collect(item));
            }
            _ => {}
        }
    }
}

/// Whether a record can be nothing but data, and decides of no program that runs.
pub(super) fn is_data(value: &[u8]) -> bool {
    value.starts_with(TOKEN_SETS) || record_list::is_data(value)
}

/// The path in a record, with the names of roots.
fn shown(path: &str) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(&Roots::shown(path.as_bytes())))
}

fn class_of_json(value: &Value) -> &'static str {
    let has = |name: &str| value.get(name).is_some();
    match () {
        () if has("request") || has("base") || has("base_files") => "facts",
        () if has("depfiles") || has("unit") => "direct-result",
        () if has("milliseconds") => "result",
        () if has("order") => "search-order",
        () if has("compiled") => "stage",
        () if has("outputs") && has("sources") => "stage",
        () => UNKNOWN,
    }
}

/// What results, those of direct mode and stages say that they were made of.
fn sources(value: &Value) -> Vec<PathBuf> {
    let one = value.get("source").into_iter();
    let many = value.get("sources").and_then(Value::as_array);
    let named = one.chain(many.into_iter().flatten());
    let named = named.filter_map(Value::as_str);
    let named = named.filter(|source| !source.is_empty());
    named.map(PathBuf::from).collect()
}

/// The files of every path set in a list.
fn path_sets(list: &[u8]) -> Option<Vec<PathBuf>> {
    let mut files = Vec::new();
    for set in path_set::read_list(list)? {
        files.extend(set.shown_files()?);
    }
    files.sort();
    files.dedup();
    Some(files)
}

#[cfg(test)]
mod tests {
    use super::{CLASSES, Contents, is_data, path_set};
    use crate::includes::path_set::PathSet;
    use crate::store::Artefact;
    use serde_json::json;
    use std::path::PathBuf;

    fn of(value: &serde_json::Value) -> Contents {
        Contents::of_record(value.to_string().as_bytes())
    }

    /// A list of path sets, each with these files.
    fn path_sets(sets: &[&[&str]]) -> Vec<u8> {
        let sets = sets.iter().zip(0..).map(|(files, digest)| {
            let mut set = (files.len() as u32).to_le_bytes().to_vec();
            files
                .iter()
                .for_each(|file| set.extend(format!("{file}\0").as_bytes()));
            PathSet::named([digest; 32], set)
        });
        let mut sets: Vec<_> = sets.collect();
        let first = sets.remove(0);
        path_set::list_with(first, sets).unwrap()
    }

    #[test]
    fn path_sets_name_every_file_once() {
        let found = Contents::of_record(&path_sets(&[&["/b.cu", "/a.h"], &["/b.cu"]]));
        assert_eq!(found.class, "path-sets");
        assert_eq!(found.files, ["/a.h", "/b.cu"].map(PathBuf::from));
        let mut cut = path_sets(&[&["/b.cu"]]);
        cut.pop();
        let found = Contents::of_record(&cut);
        assert_eq!((found.class, found.files.len()), ("path-sets", 0));
    }

    #[test]
    fn records_of_results_name_artefacts_and_files_wherever_they_stand() {
        let artefacts = [b"1", b"2", b"3"].map(|bytes| Artefact::of(bytes));
        let [one, two, three] = artefacts;
        let result = json!({ "outputs": [{ "command": 5, "artefact": one }], "milliseconds": 5,
            "streams": [{ "stdout": null, "stderr": two }], "kept": [{ "name": "a.ptx", "artefact": three }],
            "sources": { "paths": ["/a.cu"], "sha256": "00" } });
        let found = of(&result);
        assert_eq!((found.class, found.artefacts.len()), ("result", 3));
        assert!(
            artefacts
                .iter()
                .all(|artefact| found.artefacts.contains(artefact))
        );
        assert_eq!(found.files, ["a.ptx", "/a.cu"].map(PathBuf::from));

        let direct = json!({ "units": 1, "outputs": [{ "path": "o", "artefact": one }],
            "depfiles": [["a.d", two]], "stdout": null });
        let found = of(&direct);
        assert_eq!((found.class, found.artefacts.len()), ("direct-result", 2));
        assert_eq!(found.files.len(), 2);

        let stage = json!({ "outputs": [{ "flag": "-o", "artefact": one }], "sources": [] });
        assert_eq!((of(&stage).class, of(&stage).artefacts.len()), ("stage", 1));
    }

    #[test]
    fn records_tell_what_they_were_made_of() {
        let result = json!({ "milliseconds": 5, "source": "/a.cu",
            "sources": [{ "path": "b.h", "sha256": "00" }] });
        assert_eq!(of(&result).sources, [PathBuf::from("/a.cu")]);
        assert_eq!(of(&result).files, [PathBuf::from("b.h")]);
        let direct = json!({ "depfiles": [], "sources": ["/a.cu", "/b.cu"] });
        assert_eq!(of(&direct).sources, ["/a.cu", "/b.cu"].map(PathBuf::from));
        let older = json!({ "milliseconds": 5, "sources": [], "source": "" });
        assert!(of(&older).sources.is_empty());
    }

    #[test]
    fn what_steers_is_never_taken_for_data() {
        for steers in [
            // A plan, a search order, questions; and each in disguise.
            &b"[[\"/usr/include/stdc-predef.h\",null]]\n#$ _SPACE_=\n"[..],
            b"{\"order\":{\"quote\":[],\"angle\":[]},\"real\":[]}",
            b"[{\"inquiry\":\"Parts\",\"flags\":[],\"environment\":[]}]",
            b"{\"request\":1,\"order\":{},\"real\":[]}",
            b"{\"\\u006frder\":{},\"real\":[]}",
            b" [[\"a\",null]]\n{}",
            b"{}\n#$ _SPACE_=\n",
            b"",
            b"[]",
            b"null",
        ] {
            assert!(!is_data(steers), "{}", String::from_utf8_lossy(steers));
        }
        for data in [
            path_set::TITLE,
            crate::compile::POINTER,
            crate::compile::TOKEN_SETS,
            b"{\"schema\":5,\"milliseconds\":1}",
        ] {
            assert!(is_data(data), "{}", String::from_utf8_lossy(data));
        }
    }

    #[test]
    fn other_records_have_their_classes() {
        let of = |value: &[u8]| Contents::of_record(value).class;
        assert_eq!(of(b"pcache-nvcc token sets 2\n..."), "token-sets");
        assert_eq!(of(b"{\"order\":{},\"real\":[]}"), "search-order");
        assert_eq!(of(b"{\"places\":[]}\n#$ _SPACE_=\n"), "plan");
        for unknown in [&b""[..], b"\0\xff", b"{\"schema\":7}", b"[1, {\"a\": 2}]"] {
            assert_eq!(of(unknown), "record");
        }
        assert!(CLASSES.contains(&"token-sets") && CLASSES.contains(&"damaged"));
    }
}
