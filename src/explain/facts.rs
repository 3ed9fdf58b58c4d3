//! What one compile depended on, as text, but for the values of secrets. Stored for later; never read by a compile.

use crate::key::{COMMON_FIELDS, Explanation};
use crate::secret;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of [`DependencyReport`]; others are not read.
pub const SCHEMA: u32 = 1;

/// Fields of names of files, which hold neither macros nor variables. Of all others, secret values are hidden.
const OF_FILES: [&str; 6] = [
    "directory",
    "inputs",
    "keep",
    "outputs",
    "programs",
    "sources",
];

/// Names and values, in the order of a key.
pub type Fields = Vec<(String, Vec<String>)>;

/// What one compile depended on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DependencyReport {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The fields of direct mode's key, but for the job.
    pub request: Fields,
    /// The job: options by their long names.
    pub job: Fields,
    /// `NVCC_PREPEND_FLAGS` and `NVCC_APPEND_FLAGS`, which are folded into the job.
    pub folded: BTreeMap<String, String>,
    /// The arguments with which nvcc would compile the same, but for where things go; empty where they
    /// are no text.
    #[serde(default)]
    pub command: Vec<String>,
    /// Its tools.
    pub tools: Vec<ToolFacts>,
    /// Its units.
    pub units: Vec<UnitFacts>,
    /// Why every byte of the sources counted, if it did.
    pub exact: Option<String>,
    /// Files that were read; `by` is the index of the includer in this list.
    pub files: Vec<File>,
    /// Names that were looked for and not there, by directory.
    pub absent: BTreeMap<String, Vec<String>>,
    /// Places where it only counted that something is there.
    pub present: Vec<String>,
    /// Directories as they are spelled, with where they led.
    pub links: BTreeMap<String, String>,
}

/// One tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolFacts {
    /// What it is to nvcc: `ptxas`, `host`.
    pub role: String,
    /// Its file.
    pub path: String,
    /// SHA-256 of its content.
    pub sha256: String,
}

/// One translation unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitFacts {
    /// Its key.
    pub key: String,
    /// The fields of its key that the request has not.
    pub fields: Fields,
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// As the preprocessor spells it.
    pub path: String,
    /// The first 16 digits of the SHA-256 of its content.
    pub digest: String,
    /// The digest of its tokens with their lines, if direct mode asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<String>,
    /// The place in the list of the file that included it first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<usize>,
}

/// What a hit depended on whose files had changed in what no compiler sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Later {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The record of the [`DependencyReport`] of the compile whose result it was.
    pub base: String,
    /// Files that have changed since, with what [`File::digest`] is now.
    pub contents: BTreeMap<String, String>,
}

impl DependencyReport {
    /// The record to store, without secrets whatever has been put in.
    pub fn to_record(mut self) -> Option<Vec<u8>> {
        self.hide();
        serde_json::to_vec(&self).ok()
    }

    /// What is stored in `record`, without the secrets that former versions have left there.
    pub fn from_record(record: &[u8]) -> Option<Self> {
        let mut found: Self = serde_json::from_slice(record).ok()?;
        found.hide();
        (found.schema == SCHEMA).then_some(found)
    }

    fn hide(&mut self) {
        let units = self.units.iter_mut().flat_map(|unit| &mut unit.fields);
        for (name, values) in self.request.iter_mut().chain(units).chain(&mut self.job) {
            for value in values {
                *value = hidden(name, value.as_bytes());
            }
        }
        for value in self.folded.values_mut() {
            *value = flags(value.as_bytes());
        }
        for word in self.command.iter_mut().chain(&mut self.exact) {
            *word = secret::hide_text(word).into_owned();
        }
    }

    /// Whether a value is hidden without which the compile cannot be repeated.
    pub fn lacks_values(&self) -> bool {
        let mut variables = self.variables();
        variables.any(|(_, value)| secret::is_hidden(value))
            || self.command.iter().any(|word| secret::is_hidden(word))
    }

    /// The facts as they were after the files had changed.
    #[must_use]
    pub fn at(mut self, later: &Later) -> Self {
        for file in &mut self.files {
            if let Some(digest) = later.contents.get(&file.path) {
                file.digest.clone_from(digest);
            }
        }
        self
    }

    /// The values of a field of the request.
    pub fn request(&self, name: &str) -> &[String] {
        values(&self.request, name)
    }

    /// The only value of a field of the request.
    pub fn one(&self, name: &str) -> &str {
        self.request(name).first().map_or("", String::as_str)
    }

    /// The environment variables that counted, by name with their values.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        let planning = self.request("planning").iter();
        let set = self.request("environment").iter().chain(planning);
        set.filter_map(|set| set.split_once('='))
    }

    /// The directory against which relative paths count.
    pub fn directory(&self) -> &str {
        self.one("directory")
    }

    /// The files through which the file at `at` came in: its includer first, the source last.
    pub fn chain(&self, at: usize) -> Vec<&str> {
        let mut chain = Vec::new();
        let mut next = self.files.get(at).and_then(|file| file.by);
        while let Some(file) = next.and_then(|at| self.files.get(at)) {
            // A circle would be a damaged record.
            if chain.len() > self.files.len() {
                break;
            }
            chain.push(file.path.as_str());
            next = file.by;
        }
        chain
    }
}

/// The values of the field `name`; none if it is not there.
pub(super) fn values<'f>(fields: &'f Fields, name: &str) -> &'f [String] {
    let found = fields.iter().find(|(known, _)| known == name);
    found.map_or(&[], |(_, values)| values)
}

/// What the key writer gave to its second sink, without the fields `left_out`.
pub fn fields(written: &Explanation, left_out: &[&str]) -> Fields {
    let kept = written
        .0
        .iter()
        .filter(|(name, _)| !left_out.contains(name));
    kept.map(|(name, values)| {
        let values = values.iter().map(|value| hidden(name, value)).collect();
        ((*name).to_owned(), values)
    })
    .collect()
}

/// A value of the field `name` as text, secrets hidden.
fn hidden(name: &str, value: &[u8]) -> String {
    match name {
        _ if OF_FILES.contains(&name) => text(value),
        "environment" | "planning" => text(&secret::hide_assignment(value)),
        // Each word of a command for itself.
        _ => {
            let words = value.split(|&byte| byte == 0).map(secret::hide);
            text(&words.collect::<Vec<_>>().join(&0))
        }
    }
}

/// Fields of a unit's key that the request has too, or that follow from it.
pub fn shared() -> Vec<&'static str> {
    [COMMON_FIELDS, &["module_id"]].concat()
}

/// The options in the field `job` of a key: each is its name, the number of its values, and these. The
/// inputs are one more.
pub fn options(written: &Explanation) -> Fields {
    let job = written.0.iter().find(|(name, _)| *name == "job");
    let mut rest = job.map_or(&[][..], |(_, values)| values);
    let mut found = Fields::new();
    while let [name, count, after @ ..] = rest {
        let count = <[u8; 8]>::try_from(count.as_slice()).map_or(0, u64::from_le_bytes);
        let count = usize::try_from(count).map_or(after.len(), |count| count.min(after.len()));
        let (values, after) = after.split_at(count);
        let (name, values) = (text(name), values.iter().map(|value| hidden("job", value)));
        // NVRTC's keys have an option as often as it was given.
        match found.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => known.extend(values),
            None => found.push((name, values.collect())),
        }
        rest = after;
    }
    let inputs = written.0.iter().find(|(name, _)| *name == "inputs");
    let inputs = inputs.filter(|(_, values)| !values.is_empty());
    found.extend(inputs.map(|(_, values)| {
        let values = values.iter().map(|value| text(value)).collect();
        ("input".to_owned(), values)
    }));
    found
}

/// Flags from a variable as text, secrets hidden.
pub fn flags(value: &[u8]) -> String {
    text(&secret::hide_flags(value))
}

/// Bytes as text: a digest as its digits, what is no UTF-8 escaped, the NULs between the words of a
/// command as blanks.
pub fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.replace('\0', " "),
        Err(_) if bytes.len() == 32 => hex::encode(bytes),
        Err(_) => bytes.escape_ascii().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{DependencyReport, File, SCHEMA, fields, flags, options};
    use crate::key::{CommonFacts, DirectFacts, Explanation, Sink};

    #[test]
    fn options_are_those_that_the_key_holds() {
        let job = [
            ("arch", vec![]),
            ("define-macro", vec![b"DA=1".to_vec()]),
            ("define-macro", vec![b"DB".to_vec()]),
        ];
        let mut written = Explanation::default();
        DirectFacts {
            common: CommonFacts {
                toolchain: &[1; 32],
                release: b"13.2",
                driver: b"none",
                directory: [b"/src", b"/src"],
                environment: &[],
                diagnostics: b"plain",
                keep: None,
                job: &job,
            },
            programs: &[],
            planning: &[],
            inputs: &[b"a.cu".to_vec()],
            sources: &[],
            outputs: &[],
        }
        .write(&mut written);
        let found = options(&written);
        let expected = [
            ("arch".to_owned(), vec![]),
            (
                "define-macro".to_owned(),
                vec!["DA=1".to_owned(), "DB".to_owned()],
            ),
            ("input".to_owned(), vec!["a.cu".to_owned()]),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn secrets_reach_no_record_and_their_words_do() {
        let mut written = Explanation::default();
        for (name, value) in [
            ("environment", &b"MY_KEY=hunter2 x"[..]),
            ("planning", b"FLAGS=-DKEY=hunter2 -DN=1"),
            ("commands", b"gcc\0-DKEY=hunter2 x\0-DN=1"),
            ("host", b"\"-D\" \"KEY=hunter2\""),
            ("directory", b"/monkey=1"),
        ] {
            written.one(name, value);
        }
        let fields = fields(&written, &[]);
        let facts = DependencyReport {
            schema: SCHEMA,
            request: fields.clone(),
            folded: [(
                "NVCC_APPEND_FLAGS".to_owned(),
                flags(b"-DKEY=hunter2 -DN=1"),
            )]
            .into(),
            ..DependencyReport::default()
        };
        let record = facts.clone().to_record().unwrap();
        let text = String::from_utf8(record.clone()).unwrap();
        assert!(!text.contains("hunter2") && !text.contains(" x"), "{text}");
        assert_eq!(text.matches("-DN=1").count(), 3, "{text}");
        assert!(text.contains("/monkey=1"), "{text}");
        assert_eq!(DependencyReport::from_record(&record), Some(facts));
        // What a former version has stored.
        let plain = DependencyReport {
            schema: SCHEMA,
            job: vec![("define-macro".to_owned(), vec!["DKEY=hunter2".to_owned()])],
            command: vec!["-DKEY=hunter2".to_owned()],
            exact: Some("-DKEY=hunter2".to_owned()),
            ..DependencyReport::default()
        };
        let record = serde_json::to_vec(&plain).unwrap();
        let read = DependencyReport::from_record(&record).unwrap();
        assert!(read.lacks_values());
        assert!(!serde_json::to_string(&read).unwrap().contains("hunter2"));
    }

    #[test]
    fn a_chain_leads_to_the_source_and_ends() {
        let file = |path: &str, by| File {
            path: path.to_owned(),
            digest: String::new(),
            tokens: None,
            by,
        };
        let mut facts = DependencyReport {
            files: vec![
                file("b.h", Some(2)),
                file("a.cu", None),
                file("a.h", Some(1)),
            ],
            ..DependencyReport::default()
        };
        assert_eq!(facts.chain(0), ["a.h", "a.cu"]);
        facts.files[1].by = Some(0);
        assert!(facts.chain(0).len() < 10);
    }
}
