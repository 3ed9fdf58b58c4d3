//! What one run of nvcc or pcache-nvcc did: status, words, files, counters.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Output;

use super::counters::Counters;
use super::tree::Tree;

/// One run, as seen from outside.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Exit code, or the negated number of the signal that ended it.
    pub status: i32,
    /// Bytes on stdout.
    pub stdout: Vec<u8>,
    /// Bytes on stderr.
    pub stderr: Vec<u8>,
    /// Files that are new or changed in the work folder.
    pub outputs: Tree,
    /// What the run counted; nothing for nvcc itself.
    pub counted: Counters,
}

impl Outcome {
    /// From what the process left.
    pub fn new(output: Output, outputs: Tree, counted: Counters) -> Self {
        let status = output.status;
        Self {
            status: status
                .code()
                .unwrap_or_else(|| -status.signal().unwrap_or(0)),
            stdout: output.stdout,
            stderr: output.stderr,
            outputs,
            counted,
        }
    }

    /// Ended well.
    #[track_caller]
    pub fn succeeds(&self) -> &Self {
        assert_eq!(
            self.status,
            0,
            "failed, saying:\n{}{}",
            self.out(),
            self.err()
        );
        self
    }

    /// Counted exactly this, no more; hits of any kind.
    #[track_caller]
    pub fn counts(&self, expected: &Counters) -> &Self {
        assert_eq!(
            &self.counted.of_any_kind(),
            &expected.of_any_kind(),
            "counted otherwise; stderr:\n{}",
            self.err()
        );
        self
    }

    /// Succeeded, and counted `n` misses and nothing else.
    #[track_caller]
    pub fn misses(&self, n: u64) -> &Self {
        self.succeeds().counts(&Counters::misses(n))
    }

    /// Succeeded, and counted `n` hits and nothing else.
    #[track_caller]
    pub fn hits(&self, n: u64) -> &Self {
        self.succeeds().counts(&Counters::hits(n))
    }

    /// Succeeded with `n` hits of direct mode and nothing else.
    #[track_caller]
    pub fn hits_directly(&self, n: u64) -> &Self {
        self.hits(n);
        assert_eq!(self.counted.direct_hits, n, "not by direct mode");
        self
    }

    /// Direct mode found nothing, whatever else came of it.
    #[track_caller]
    pub fn does_not_hit_directly(&self) -> &Self {
        assert_eq!(self.counted.direct_hits, 0, "a direct hit");
        self
    }

    /// Counted one bypass for `reason` and nothing else, however it ended.
    #[track_caller]
    pub fn bypasses(&self, reason: &str) -> &Self {
        self.counts(&Counters::bypass(reason))
    }

    /// The same status, words and files as `other`.
    #[track_caller]
    pub fn same_as(&self, other: &Self) -> &Self {
        self.says_the_same_as(other);
        self.same_files_as(other)
    }

    /// The same status and words as `other`, temporary names and measured times apart.
    #[track_caller]
    pub fn says_the_same_as(&self, other: &Self) -> &Self {
        assert_eq!(self.err(), other.err(), "stderr differs");
        assert_eq!(self.out(), other.out(), "stdout differs");
        assert_eq!(
            self.status,
            other.status,
            "status differs; stderr:\n{}",
            self.err()
        );
        self
    }

    /// The same files with the same bytes and modes as `other`.
    #[track_caller]
    pub fn same_files_as(&self, other: &Self) -> &Self {
        let differences = self.outputs.differences(&other.outputs);
        assert!(differences.is_empty(), "outputs differ:\n{differences}");
        self
    }

    /// Differs from `other` in some output or word.
    #[track_caller]
    pub fn differs_from(&self, other: &Self) -> &Self {
        let same = self.outputs == other.outputs
            && self.status == other.status
            && self.err() == other.err();
        assert!(
            !same,
            "nothing differs: the change under test has no effect"
        );
        self
    }

    /// stdout with temporary names and measured times masked.
    pub fn out(&self) -> String {
        masked(&self.stdout)
    }

    /// stderr with temporary names and measured times masked.
    pub fn err(&self) -> String {
        masked(&self.stderr)
    }
}

/// Masks what differs between two runs of nvcc itself: `tmpxft_<pid>_<n>-<m>` and ptxas's times.
fn masked(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        if let Some((head, _)) = line.split_once("Compile time = ") {
            out.push_str(head);
            out.push_str("Compile time = …\n");
            continue;
        }
        let mut pieces = line.split("tmpxft_");
        out.push_str(pieces.next().unwrap_or(""));
        for piece in pieces {
            out.push_str("tmpxft_…");
            let digits = |c: char| c.is_ascii_hexdigit() || c == '_' || c == '-';
            out.push_str(piece.trim_start_matches(digits));
        }
    }
    out
}
