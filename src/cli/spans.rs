//! The stages and waits of one compile as spans of time. Spans that overlap are in different lanes.

use crate::journal::{Compile, StageRun};

/// A stage, or a wait for another process, in microseconds since the compile began. Lies within the
/// compile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span<'a> {
    /// When it could have begun.
    pub(super) begin: u64,
    /// When it had its slot, or had waited enough.
    pub(super) start: u64,
    /// When it was over.
    pub(super) end: u64,
    /// The stage; `None` while the compile waited for another process.
    pub(super) stage: Option<&'a StageRun>,
    /// Its lane, from 0.
    pub(super) lane: usize,
}

/// The spans of a compile in the order of their beginnings, each in the first lane that is free.
pub(super) fn spans(compile: &Compile) -> Vec<Span<'_>> {
    let within = |at: u64| at.min(compile.wall);
    let stages = compile.stages.iter().map(|stage| Span {
        begin: within(stage.begin),
        start: within(stage.begin.saturating_add(stage.wait)),
        end: within(
            stage
                .begin
                .saturating_add(stage.wait)
                .saturating_add(stage.run),
        ),
        stage: Some(stage),
        lane: 0,
    });
    let flights = compile.flights.iter().map(|flight| {
        let end = within(flight.begin.saturating_add(flight.wait));
        Span {
            begin: within(flight.begin),
            start: end,
            end,
            stage: None,
            lane: 0,
        }
    });
    let mut spans: Vec<_> = stages.chain(flights).collect();
    spans.sort_by_key(|span| span.begin);
    // When each lane is free again.
    let mut lanes: Vec<u64> = Vec::new();
    for span in &mut spans {
        let free = lanes.iter().position(|free| *free <= span.begin);
        span.lane = free.unwrap_or(lanes.len());
        match lanes.get_mut(span.lane) {
            Some(lane) => *lane = span.end,
            None => lanes.push(span.end),
        }
    }
    spans
}

impl Span<'_> {
    /// What it is called.
    pub(super) fn name(&self) -> String {
        match self.stage {
            Some(StageRun {
                name,
                arch: Some(arch),
                ..
            }) => format!("{name} {arch}"),
            Some(stage) => stage.name.clone(),
            None => "waiting for another process".to_owned(),
        }
    }

    /// How it ended.
    pub(super) fn outcome(&self) -> &'static str {
        match self.stage {
            Some(stage) => stage.outcome(),
            None => "waited",
        }
    }
}

/// What a compile is called: its sources without their directories.
pub(super) fn name(compile: &Compile) -> String {
    let base = |path: &String| path.rsplit('/').next().unwrap_or(path).to_owned();
    let names: Vec<_> = compile.sources.iter().map(base).collect();
    match (names.is_empty(), &compile.output) {
        (false, _) => names.join(" "),
        (true, Some(output)) => base(output),
        (true, None) => "nvcc".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{name, spans};
    use crate::journal::Compile;

    fn compile(rest: &str) -> Compile {
        let text = format!(
            r#"{{"v":1,"start":5,"wall":100,"pid":9,"directory":"/src",{rest},"level":"miss"}}"#
        );
        Compile::from_text(&text).unwrap()
    }

    fn stage(begin: u64, wait: u64, run: u64) -> String {
        format!(r#"{{"name":"cicc","begin":{begin},"wait":{wait},"run":{run},"hit":false}}"#)
    }

    #[test]
    fn spans_take_the_first_free_lane_and_end_with_their_compile() {
        let stages = [
            stage(0, 0, 10),
            stage(0, 5, 20),
            stage(10, 0, 1),
            stage(30, 90, 7),
        ];
        let stages = stages.join(",");
        let flights = r#""flights":[{"begin":12,"wait":20}]"#;
        let compile = compile(&format!(r#""sources":[],{flights},"stages":[{stages}]"#));
        let found = spans(&compile);
        let found: Vec<_> = found
            .iter()
            .map(|span| (span.begin, span.start, span.end, span.lane))
            .collect();
        let expected = [
            (0, 0, 10, 0),
            (0, 5, 25, 1),
            (10, 10, 11, 0),
            (12, 32, 32, 0),
            (30, 100, 100, 1),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn compiles_are_called_by_their_sources_or_what_they_make() {
        assert_eq!(
            name(&compile(r#""sources":["../a.cu","b.cu"]"#)),
            "a.cu b.cu"
        );
        assert_eq!(name(&compile(r#""sources":[],"output":"x/app""#)), "app");
        assert_eq!(name(&compile(r#""sources":[]"#)), "nvcc");
    }
}
