//! What is computed of one build: how it ended, how long it took and could have taken. Pure.

use super::parts::time;
use crate::cli::spans::{Span, name, spans};
use crate::cli::stats::units;
use crate::journal::Compile;

/// The numbers of one build. Times in microseconds.
pub(super) struct BuildFigures {
    pub(super) began: u64,
    /// From the beginning of the first compile to the end of the last.
    pub(super) took: u64,
    pub(super) compiles: usize,
    pub(super) hits: u64,
    pub(super) misses: u64,
    /// What hits saved.
    pub(super) saved: u64,
    /// How long everything would have taken one after another, without the cache.
    pub(super) alone: u64,
    pub(super) critical: CriticalPath,
}

/// The compile that would take longest if no stage waited for a slot. A build takes at least as long, with any number
/// of processors. Which compiles wait for which others is known to the build tool alone.
#[derive(Default)]
pub(super) struct CriticalPath {
    pub(super) length: u64,
    /// The compile's name, and the stages that decide how long it takes, a line each.
    pub(super) name: String,
    pub(super) stages: String,
}

impl BuildFigures {
    pub(super) fn of(build: &[Compile]) -> Self {
        let began = build.first().map_or(0, |compile| compile.start);
        let end = build.iter().map(Compile::end).max().unwrap_or(began);
        let [direct, preprocessed, coalesced, misses] = units(build);
        let saved = build.iter().map(Compile::saved);
        let longest = build.iter().max_by_key(|compile| length(compile));
        Self {
            began,
            took: end.saturating_sub(began),
            compiles: build.len(),
            hits: direct + preprocessed + coalesced,
            misses,
            saved: saved.fold(0, u64::saturating_add).saturating_mul(1000),
            alone: build.iter().map(alone).fold(0, u64::saturating_add),
            critical: longest.map(CriticalPath::of).unwrap_or_default(),
        }
    }

    /// How many times as long the compiles would have taken one after another, without the cache.
    pub(super) fn speed_up(&self) -> String {
        let times = self.alone as f64 / self.took.max(1) as f64;
        if times < 100.0 {
            format!("{times:.1} ×")
        } else {
            format!("{times:.0} ×")
        }
    }
}

impl CriticalPath {
    fn of(compile: &Compile) -> Self {
        let spans = spans(compile);
        let stages = deciding(&spans, compile.wall).into_iter().rev();
        let stages = stages.filter(|span| span.end > span.start);
        let stages = stages.map(|span| format!("{} {}", span.name(), time(span.end - span.start)));
        Self {
            length: length(compile),
            name: name(compile),
            stages: stages.collect::<Vec<_>>().join("\n"),
        }
    }
}

/// How long a compile would take without the waits that decide how long it takes.
fn length(compile: &Compile) -> u64 {
    let spans = spans(compile);
    let deciding = deciding(&spans, compile.wall);
    let waits = deciding.iter().map(|span| span.start - span.begin);
    compile.wall - waits.sum::<u64>().min(compile.wall)
}

/// The spans that decide when a compile ends, the last first: each is the last that was over when the inputs of the one
/// after it were ready.
fn deciding<'a, 'b>(spans: &'b [Span<'a>], wall: u64) -> Vec<&'b Span<'a>> {
    let mut chain: Vec<&Span<'_>> = Vec::new();
    let mut before = wall;
    loop {
        let over = spans
            .iter()
            .filter(|span| span.end <= before && span.begin < before);
        // An empty span does not lead on, so that this ends.
        let Some(span) = over.max_by_key(|span| span.end) else {
            return chain;
        };
        before = span.begin;
        chain.push(span);
    }
}

/// How long a compile would have taken by itself, with its stages one after another and without the cache.
fn alone(compile: &Compile) -> u64 {
    if compile.level.is_hit() && compile.stored > 0 {
        return compile.stored.saturating_mul(1000);
    }
    let spans = spans(compile);
    let ran = spans.iter().map(|span| span.end - span.start);
    match ran.fold(0, u64::saturating_add) {
        0 => compile.wall,
        ran => ran,
    }
}

#[cfg(test)]
mod tests {
    use super::BuildFigures;
    use crate::journal::Compile;

    const SECOND: u64 = 1_000_000;

    fn compile(source: &str, start: u64, rest: &str) -> Compile {
        let text = format!(
            r#"{{"v":1,"start":{},"wall":10000000,"pid":9,"directory":"/","sources":["{source}"],{rest}}}"#,
            start * SECOND
        );
        Compile::from_text(&text).unwrap()
    }

    /// Seconds in which a stage could have begun, waited and ran.
    fn stage(name: &str, [begin, wait, run]: [u64; 3]) -> String {
        let [begin, wait, run] = [begin, wait, run].map(|seconds| seconds * SECOND);
        format!(r#"{{"name":"{name}","begin":{begin},"wait":{wait},"run":{run},"hit":false}}"#)
    }

    #[test]
    fn critical_path_is_the_longest_compile_without_its_waits() {
        let stages = [
            stage("preprocess", [0, 1, 2]),
            stage("cudafe", [3, 0, 1]),
            stage("cicc", [3, 2, 4]),
            stage("host_compile", [9, 0, 1]),
        ];
        let stages = format!(r#""level":"miss","stages":[{}]"#, stages.join(","));
        let hit = r#""level":"direct_hit","stored":30000"#;
        let waited = format!(r#""level":"miss","stages":[{}]"#, stage("cicc", [0, 9, 1]));
        let build = [compile("a.cu", 0, &stages), compile("b.cu", 1, &waited)];
        let figures = BuildFigures::of(&build);
        assert_eq!(figures.took, 11 * SECOND);
        // Ten seconds, of which preprocess waited one and cicc two.
        assert_eq!(figures.critical.length, 7 * SECOND);
        assert_eq!(figures.critical.name, "a.cu");
        assert_eq!(
            figures.critical.stages,
            "preprocess 2.00 s\ncicc 4.00 s\nhost_compile 1.00 s"
        );
        assert_eq!(figures.alone, 9 * SECOND);
        assert_eq!(figures.speed_up(), "0.8 ×");
        let figures = BuildFigures::of(&[compile("a.cu", 0, hit)]);
        assert_eq!((figures.alone, figures.saved), (30 * SECOND, 20 * SECOND));
        assert_eq!((figures.hits, figures.misses), (1, 0));
        assert_eq!(figures.speed_up(), "3.0 ×");
    }

    #[test]
    fn a_build_of_nothing_and_stages_without_length_have_numbers() {
        let figures = BuildFigures::of(&[]);
        assert_eq!((figures.took, figures.speed_up().as_str()), (0, "0.0 ×"));
        let empty = stage("cicc", [5, 0, 0]);
        let build = [compile(
            "a.cu",
            0,
            &format!(r#""level":"miss","stages":[{empty}]"#),
        )];
        assert_eq!(BuildFigures::of(&build).critical.length, 10 * SECOND);
    }
}
