//! The records in which a report is stored: one of what most compiles of a unit have in common, and one of the rest,
//! so that an edit adds little to the store.

use super::facts::{CommonPart, DependencyReport, File, SCHEMA, ToolFacts};
use crate::key::{Digest, Digester, Sink};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// A record and the key under which it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactsRecord {
    /// The key: a digest of the record, so that equal ones are stored once.
    pub key: Digest,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl FactsRecord {
    /// The record with these bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        let mut sink = Digester::default();
        sink.one("schema", b"pcache-nvcc facts 2");
        sink.one("content", &Sha256::digest(&bytes));
        let key = sink.finish();
        Self { key, bytes }
    }
}

/// What most compiles of a unit have in common: all that edits of the user's own files leave as it is.
#[derive(Serialize, Deserialize)]
struct SharedReport {
    schema: u32,
    tools: Vec<ToolFacts>,
    /// Without the user's own files.
    base_files: Vec<File>,
    absent: BTreeMap<String, Vec<String>>,
    present: Vec<String>,
    links: BTreeMap<String, String>,
}

impl DependencyReport {
    /// The records to store; the key of the second one is that of the report. Hides all secrets.
    pub fn to_records(mut self) -> Option<[FactsRecord; 2]> {
        let mut places = Vec::new();
        let mut own = Vec::new();
        let mut base_files = Vec::new();
        for (place, file) in std::mem::take(&mut self.files).into_iter().enumerate() {
            if file.is_own {
                places.push(place);
                own.push(file);
            } else {
                base_files.push(file);
            }
        }
        self.files = own;
        let common = SharedReport {
            schema: SCHEMA,
            tools: std::mem::take(&mut self.tools),
            base_files,
            absent: std::mem::take(&mut self.absent),
            present: std::mem::take(&mut self.present),
            links: std::mem::take(&mut self.links),
        };
        let common = FactsRecord::new(serde_json::to_vec(&common).ok()?);
        let key = hex::encode(common.key);
        self.common = Some(CommonPart { key, places });
        Some([common, FactsRecord::new(self.to_record()?)])
    }

    /// The report in `record`. Reads the record of its common part with `read`, which takes a key in hex.
    pub fn from_records(record: &[u8], read: impl Fn(&str) -> Option<Vec<u8>>) -> Option<Self> {
        let mut report = Self::from_record(record)?;
        let Some(CommonPart { key, places }) = report.common.take() else {
            return Some(report);
        };
        let common: SharedReport = serde_json::from_slice(&read(&key)?).ok()?;
        if common.schema != SCHEMA {
            return None;
        }
        let mut files = common.base_files;
        for (place, file) in places.into_iter().zip(report.files) {
            let file = File {
                is_own: true,
                ..file
            };
            if place > files.len() {
                return None;
            }
            files.insert(place, file);
        }
        Some(Self {
            tools: common.tools,
            files,
            absent: common.absent,
            present: common.present,
            links: common.links,
            ..report
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{DependencyReport, FactsRecord, File, SCHEMA};

    fn report(own_digest: &str) -> DependencyReport {
        let file = |path: &str, is_own, digest: &str| File {
            path: path.to_owned(),
            digest: digest.to_owned(),
            is_own,
            tokens: None,
            by: Some(0),
        };
        DependencyReport {
            schema: SCHEMA,
            job: vec![("arch".to_owned(), vec!["sm_90".to_owned()])],
            files: vec![
                file("a.cu", true, own_digest),
                file("/usr/a.h", false, "00"),
                file("/usr/b.h", false, "01"),
                file("b.h", true, "02"),
            ],
            absent: [("/usr".to_owned(), vec!["c.h".to_owned()])].into(),
            present: vec!["/etc/x".to_owned()],
            ..DependencyReport::default()
        }
    }

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let [common, own] = report("11").to_records().unwrap();
        let read = |key: &str| (key == hex::encode(common.key)).then(|| common.bytes.clone());
        let found = DependencyReport::from_records(&own.bytes, read);
        assert_eq!(found, Some(report("11")));
        assert_eq!(DependencyReport::from_records(&own.bytes, |_| None), None);
        let other = |_: &str| Some(own.bytes.clone());
        assert_eq!(DependencyReport::from_records(&own.bytes, other), None);
    }

    #[test]
    fn an_edit_of_an_own_file_leaves_the_common_part() {
        let [first, second] = ["11", "12"].map(|digest| report(digest).to_records().unwrap());
        assert_eq!(first[0], second[0]);
        assert_ne!(first[1], second[1]);
    }

    #[test]
    fn places_beyond_the_list_are_no_report() {
        let [common, own] = report("11").to_records().unwrap();
        let text = String::from_utf8(own.bytes).unwrap();
        let bad = FactsRecord::new(text.replace("[0,3]", "[0,9]").into_bytes());
        let read = |_: &str| Some(common.bytes.clone());
        assert_eq!(DependencyReport::from_records(&bad.bytes, read), None);
    }
}
