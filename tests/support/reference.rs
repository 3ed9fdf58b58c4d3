//! Keeps what nvcc made of a work folder, and gives it to every test of this program with the same question. If an answer
//! may depend on more than the question holds, it is asked again.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::outcome::Outcome;
use super::tree::{Node, Tree};

/// Everything that an answer depends on; the toolkit is the one of this test run.
#[derive(PartialEq, Eq)]
pub struct Question {
    pub args: Vec<OsString>,
    /// Without the places of the workspace, which say nothing to a compiler.
    pub env: BTreeMap<OsString, OsString>,
    /// Below the workspace.
    pub current: PathBuf,
    pub files: Tree,
}

/// What may lead out of the work folder, or to what no file holds, such as the time; pasted pieces may be any word.
const ELSEWHERE: [&[u8]; 5] = [b"..", b"##", b"__DATE", b"__TIME", b"%:%:"];

fn contains(text: &[u8], word: &[u8]) -> bool {
    memchr::memmem::find(text, word).is_some()
}

impl Question {
    /// Whether nothing else has a say in the answer: nothing names a file beside the work folder of the workspace in
    /// `root`, nor in another temporary folder.
    fn is_complete(&self, root: &Path) -> bool {
        let above = root
            .parent()
            .map_or(b"/".as_slice(), |above| above.as_os_str().as_bytes());
        let words = ELSEWHERE.iter().chain([&above]);
        let is_inside = |text: &[u8]| !words.clone().any(|word| contains(text, word));
        let args = self.args.iter().chain(self.env.values());
        let args = args.map(|arg| arg.as_bytes()).all(is_inside);
        let files = self.files.0.values().all(|node| match node {
            Node::File { bytes, .. } => is_inside(bytes),
            Node::Dir => true,
            Node::Link(_) => false,
        });
        args && files
    }
}

/// The answer to `question`, which `ask` gives for the workspace in `root` if no test has asked before.
pub fn answer(question: Question, root: &Path, ask: impl FnOnce() -> Outcome) -> Outcome {
    static KNOWN: Mutex<Vec<(Question, Outcome)>> = Mutex::new(Vec::new());
    if !question.is_complete(root) {
        return ask();
    }
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let found = known()
        .iter()
        .find(|(asked, _)| *asked == question)
        .map(|(_, answer)| answer.clone());
    if let Some(answer) = found {
        return answer;
    }
    let answer = ask();
    if !names(&answer, root.as_os_str().as_bytes()) {
        known().push((question, answer.clone()));
    }
    answer
}

/// Whether the answer names the workspace, as a depfile or debug information does.
fn names(answer: &Outcome, root: &[u8]) -> bool {
    let is_in = |node: &Node| matches!(node, Node::File { bytes, .. } if contains(bytes, root));
    let printed = [&answer.stdout, &answer.stderr];
    printed.iter().any(|text| contains(text, root)) || answer.outputs.0.values().any(is_in)
}
