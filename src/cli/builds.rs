//! Divides the journal into builds. No record says which build a compile belongs to: to look for its build tool among
//! its ancestors would slow down every hit. So the times and outputs of compiles decide.

use super::journal::{output, sources};
use crate::journal::{Compile, CompileOutcome};
use std::collections::HashMap;
use std::path::PathBuf;

/// Microseconds without any compile that end a build.
const PAUSE: u64 = 30_000_000;

/// Divides `compiles`, which are sorted by their beginnings, into builds. A build ends before a pause of [`PAUSE`]. It
/// also ends if an output comes a second time: then at the longest pause between the two compiles, since the second one
/// need not be the first of its build. Builds that run at the same time are one.
pub(super) fn builds(compiles: &[Compile]) -> Vec<&[Compile]> {
    let mut cuts = Vec::new();
    let mut begin = 0;
    let mut end = 0;
    let mut pauses = Vec::with_capacity(compiles.len());
    let mut made = HashMap::new();
    for (at, compile) in compiles.iter().enumerate() {
        pauses.push(compile.start.saturating_sub(end));
        end = end.max(compile.end());
        let former = target(compile).and_then(|target| made.insert(target, at));
        let cut = match former.filter(|former| *former >= begin) {
            _ if at > begin && pauses[at] >= PAUSE => Some(at),
            Some(former) => longest(&pauses, former + 1, at),
            None => None,
        };
        if let Some(cut) = cut {
            cuts.push(cut);
            begin = cut;
        }
    }
    let mut builds = Vec::new();
    let mut left = compiles;
    for cut in cuts.into_iter().rev() {
        let (before, build) = left.split_at(cut);
        builds.push(build);
        left = before;
    }
    if !left.is_empty() {
        builds.push(left);
    }
    builds.reverse();
    builds
}

/// The last of the longest pauses from `first` to `last`; `None` if something ran all the time.
fn longest(pauses: &[u64], first: usize, last: usize) -> Option<usize> {
    let longest = (first..=last).max_by_key(|at| pauses[*at]);
    longest.filter(|at| pauses[*at] > 0)
}

/// What a compile makes. `None` for bypasses, which need not make anything, and for programs that compile at run time,
/// which compile the same thing often.
fn target(compile: &Compile) -> Option<Vec<PathBuf>> {
    if compile.level == CompileOutcome::Bypass || compile.nvrtc {
        return None;
    }
    let made = output(compile).map_or_else(|| sources(compile), |output| vec![output]);
    (!made.is_empty()).then_some(made)
}

#[cfg(test)]
mod tests {
    use super::builds;
    use crate::journal::{Compile, CompileOutcome};

    /// A compile of `output` that begins after so many seconds and takes so many.
    fn compile(output: &str, start: u64, wall: u64) -> Compile {
        let text = format!(
            r#"{{"v":1,"start":{},"wall":{},"pid":9,"directory":"/src","output":"{output}","sources":["a.cu"],"level":"miss"}}"#,
            1_000_000_000 + start * 1_000_000,
            wall * 1_000_000
        );
        Compile::from_text(&text).unwrap()
    }

    #[track_caller]
    fn check(compiles: &[Compile], expected: &[usize]) {
        let lengths: Vec<_> = builds(compiles).iter().map(|build| build.len()).collect();
        assert_eq!(lengths, expected);
        let joined: Vec<_> = builds(compiles).concat();
        assert_eq!(joined, compiles);
    }

    #[test]
    fn a_pause_ends_a_build_and_a_long_compile_is_none() {
        check(&[], &[]);
        check(&[compile("a", 0, 1)], &[1]);
        let long = compile("a", 0, 100);
        check(
            &[long.clone(), compile("b", 1, 1), compile("c", 129, 1)],
            &[3],
        );
        check(&[long, compile("b", 1, 1), compile("c", 130, 1)], &[2, 1]);
    }

    #[test]
    fn what_is_made_again_is_of_another_build_from_the_longest_pause_on() {
        let first = [compile("a", 0, 4), compile("b", 1, 4), compile("c", 6, 2)];
        check(&[&first[..], &[compile("a", 12, 1)]].concat(), &[3, 1]);
        let second = [
            compile("d", 12, 1),
            compile("a", 13, 1),
            compile("c", 14, 1),
        ];
        check(&[&first[..], &second].concat(), &[3, 3]);
        // Another directory's output has another place.
        let elsewhere = Compile {
            directory: "/other".to_owned(),
            ..compile("a", 12, 1)
        };
        check(&[&first[..], &[elsewhere]].concat(), &[4]);
    }

    #[test]
    fn builds_that_overlap_are_one() {
        check(
            &[compile("a", 0, 9), compile("b", 1, 9), compile("a", 5, 9)],
            &[3],
        );
    }

    #[test]
    fn what_makes_nothing_ends_no_build() {
        let asks = |start| Compile {
            level: CompileOutcome::Bypass,
            ..compile("a", start, 1)
        };
        check(&[asks(0), compile("a", 2, 1), asks(4)], &[3]);
    }
}
