//! The report of what one compile depended on, as text without secret values. Stored for `pcache explain`; never read
//! by a compile.

use crate::key::{COMMON_FIELDS, Explanation};
use crate::secret;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of [`DependencyReport`]; others are not read.
pub const SCHEMA: u32 = 2;

/// Fields with names of files, which hold neither macros nor variables. In all other fields, secret values are hidden.
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
    /// The fields of direct mode's key, except the job.
    pub request: Fields,
    /// The job: options by their long names.
    pub job: Fields,
    /// `NVCC_PREPEND_FLAGS` and `NVCC_APPEND_FLAGS`, which are also folded into the job.
    pub folded: BTreeMap<String, String>,
    /// Arguments with which nvcc would do the same compile, without the names of outputs; empty if they
    /// are not text.
    #[serde(default)]
    pub command: Vec<String>,
    /// The tools.
    pub tools: Vec<ToolFacts>,
    /// The units.
    pub units: Vec<UnitFacts>,
    /// Why every byte of the sources mattered; `None` if only the tokens did.
    pub exact: Option<String>,
    /// Files that were read; `by` is the index of the includer in this list.
    pub files: Vec<File>,
    /// Names that were searched for and missing, by directory.
    pub absent: BTreeMap<String, Vec<String>>,
    /// Paths of which only the existence mattered.
    pub present: Vec<String>,
    /// Directories as they are spelled, with their real paths.
    pub links: BTreeMap<String, String>,
    /// Where the rest of a stored report is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common: Option<CommonPart>,
}

/// Where the rest of a report is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommonPart {
    /// The key of the record, in hex.
    pub key: String,
    /// The places of the report's own files in the whole list.
    pub places: Vec<usize>,
}

/// One tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolFacts {
    /// Its role: `ptxas`, `host`.
    pub role: String,
    /// The path of its file.
    pub path: String,
    /// SHA-256 of its content.
    pub sha256: String,
}

/// One translation unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitFacts {
    /// Its key.
    pub key: String,
    /// The fields of its key that are not in the request.
    pub fields: Fields,
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// As the preprocessor spells it.
    pub path: String,
    /// The first 16 digits of the SHA-256 of its content.
    pub digest: String,
    /// Whether it is in the working directory or the base directory. Such files are edited.
    #[serde(skip)]
    pub is_own: bool,
    /// The digest of its tokens with their lines, if direct mode computed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<String>,
    /// The index in the list of the file that included it first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<usize>,
}

/// The report of a semantic hit: the report of an earlier compile, and the files that have changed since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Later {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The record of the [`DependencyReport`] of the compile whose result was used.
    pub base: String,
    /// Files that have changed since, with their new [`File::digest`].
    pub contents: BTreeMap<String, String>,
}

impl DependencyReport {
    /// The record to store. Hides all secrets.
    pub fn to_record(mut self) -> Option<Vec<u8>> {
        self.hide();
        serde_json::to_vec(&self).ok()
    }

    /// Parses a stored record. Hides secrets that former versions have stored; `None` for other schemas.
    pub fn from_record(record: &[u8]) -> Option<Self> {
        let mut report: Self = serde_json::from_slice(record).ok()?;
        report.hide();
        (report.schema == SCHEMA).then_some(report)
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

    /// Whether a hidden value is needed to repeat the compile.
    pub fn lacks_values(&self) -> bool {
        let mut variables = self.variables();
        variables.any(|(_, value)| secret::is_hidden(value))
            || self.command.iter().any(|word| secret::is_hidden(word))
    }

    /// The report with the digests of the files that have changed since.
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

    /// The first value of a field of the request; empty without one. For fields with a single value.
    pub fn one(&self, name: &str) -> &str {
        self.request(name).first().map_or("", String::as_str)
    }

    /// The environment variables that were part of the key, by name with their values.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        let planning = self.request("planning").iter();
        let assignments = self.request("environment").iter().chain(planning);
        assignments.filter_map(|assignment| assignment.split_once('='))
    }

    /// The directory to which relative paths are relative.
    pub fn directory(&self) -> &str {
        self.one("directory")
    }

    /// The chain of files that include the file at `at`: its includer first, the source last.
    pub fn chain(&self, at: usize) -> Vec<&str> {
        let mut chain = Vec::new();
        let mut next = self.files.get(at).and_then(|file| file.by);
        while let Some(file) = next.and_then(|at| self.files.get(at)) {
            // A cycle, which only a damaged record has.
            if chain.len() > self.files.len() {
                break;
            }
            chain.push(file.path.as_str());
            next = file.by;
        }
        chain
    }
}

/// The values of the field `name`; empty if there is no such field.
pub(super) fn values<'f>(fields: &'f Fields, name: &str) -> &'f [String] {
    let field = fields.iter().find(|(known, _)| known == name);
    field.map_or(&[], |(_, values)| values)
}

/// The fields that a key's writer wrote to its second sink, without the fields `left_out`.
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
        // Each word of a command separately.
        _ => {
            let words = value.split(|&byte| byte == 0).map(secret::hide);
            text(&words.collect::<Vec<_>>().join(&0))
        }
    }
}

/// Fields of a unit's key that are also in the request, or that follow from it.
pub fn shared() -> Vec<&'static str> {
    [COMMON_FIELDS, &["module_id"]].concat()
}

/// The options in the field `job` of a key: each consists of its name, the number of its values, and the values.
/// The inputs are added as the option `input`.
pub fn options(written: &Explanation) -> Fields {
    let job = written.0.iter().find(|(name, _)| *name == "job");
    let mut rest = job.map_or(&[][..], |(_, values)| values);
    let mut options = Fields::new();
    while let [name, count, after @ ..] = rest {
        let count = <[u8; 8]>::try_from(count.as_slice()).map_or(0, u64::from_le_bytes);
        let count = usize::try_from(count).map_or(after.len(), |count| count.min(after.len()));
        let (values, after) = after.split_at(count);
        let (name, values) = (text(name), values.iter().map(|value| hidden("job", value)));
        // NVRTC's keys repeat an option that was given more than once.
        match options.iter_mut().find(|(known, _)| *known == name) {
            Some((_, all_values)) => all_values.extend(values),
            None => options.push((name, values.collect())),
        }
        rest = after;
    }
    let inputs = written.0.iter().find(|(name, _)| *name == "inputs");
    let inputs = inputs.filter(|(_, values)| !values.is_empty());
    options.extend(inputs.map(|(_, values)| {
        let values = values.iter().map(|value| text(value)).collect();
        ("input".to_owned(), values)
    }));
    options
}

/// Flags from a variable as text, with secrets hidden.
pub fn flags(value: &[u8]) -> String {
    text(&secret::hide_flags(value))
}

/// Bytes as text: a digest in hex, other bytes that are not UTF-8 escaped, and the NULs between the words of a
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
    use crate::key::{CommonFacts, DirectFacts, Explanation, Sink, common_facts};

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
                job: &job,
                ..common_facts()
            },
            programs: &[],
            planning: &[],
            inputs: &[b"a.cu".to_vec()],
            sources: &[],
            machine: &[],
            outputs: &[],
            places: &[],
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
            is_own: true,
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
