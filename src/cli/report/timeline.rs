//! The part of the page that shows when compiles ran, and their stages within them: a row for each
//! compile, a chart for each build. Places are percentages, so that the browser does all scaling.

use super::build_table::anchor;
use super::figures::BuildFigures;
use super::html::{Element, Html, element};
use super::misses::Misses;
use super::parts::{self, legend, level_class, percent, share, stage_class, time};
use crate::cli::spans::{Span, name, spans};
use crate::cli::stats::units;
use crate::cli::zone::Zone;
use crate::journal::{Compile, CompileOutcome};
use std::cmp::Reverse;
use std::fmt::Write as _;

/// Builds at most, and compiles in all of them together; of more, the last.
const BUILDS: usize = 20;
const COMPILES: usize = 600;
/// Lanes of stages that are drawn of one compile; what is beyond shares the last.
const LANES: usize = 12;
/// Marks of the axis at most.
const MARKS: u64 = 10;
/// Pixels of a lane, and of a row around its lanes.
const LANE: usize = 7;
const ROW: usize = 8;

const STAGES: [(&str, &str); 9] = [
    ("preprocess", "preprocessing"),
    ("cudafe", "cudafe++"),
    ("cicc", "cicc"),
    ("ptxas", "ptxas"),
    ("fatbinary", "fatbinary"),
    ("host", "host compiler"),
    ("link", "links"),
    ("preprocess found", "from the cache"),
    ("wait", "waiting"),
];

const LEVELS: [(&str, &str); 6] = [
    ("direct", "direct hit"),
    ("preprocessed", "preprocessed hit"),
    ("coalesced", "hit after waiting"),
    ("miss", "miss"),
    ("bypass", "passed to nvcc"),
    ("fallback", "fell back to nvcc"),
];

pub(super) fn section(builds: &[&[Compile]], misses: &Misses, zone: &Zone) -> Html {
    let mut left = COMPILES;
    let mut charts = Vec::new();
    let mut slowest = builds[builds.len().saturating_sub(BUILDS)..].to_vec();
    slowest.sort_by_cached_key(|build| Reverse(BuildFigures::of(build).took));
    for build in slowest {
        if left == 0 {
            break;
        }
        let shown = &build[build.len().saturating_sub(left)..];
        left -= shown.len();
        let began = build.first().map_or(0, |compile| compile.start);
        let details = element("details").attribute("id", anchor(began));
        let details = if charts.is_empty() {
            details.attribute("open", "")
        } else {
            details
        };
        let chart = Chart::new(build, shown, misses, zone);
        let chart = details.with(chart.summary()).with(chart.timeline());
        charts.push(Html::from(chart).with(Html::fixed("\n")));
    }
    let mut note = "The slowest build is first. The colour behind a compile's stages shows how it ended; the bar ends \
        where nvcc took over. A click on the bar of a miss leads to what explains it."
        .to_owned();
    if charts.len() < builds.len() {
        let (shown, all) = (charts.len(), builds.len());
        note.push_str(&format!(" The last {shown} of {all} builds."));
    }
    let body = legend(&LEVELS).with(legend(&STAGES));
    let body = body.with(Html::from_iter(charts));
    parts::section("timeline", "Timeline", note, body)
}

/// The chart of a build, with a row for each compile that is shown of it.
struct Chart<'a> {
    build: &'a [Compile],
    shown: &'a [Compile],
    misses: &'a Misses,
    zone: &'a Zone,
    /// When the first of the shown compiles began, and how long all of them took.
    first: u64,
    length: u64,
}

impl<'a> Chart<'a> {
    fn new(build: &'a [Compile], shown: &'a [Compile], misses: &'a Misses, zone: &'a Zone) -> Self {
        let first = shown.first().map_or(0, |compile| compile.start);
        let end = shown.iter().map(Compile::end).max().unwrap_or(first);
        Self {
            build,
            shown,
            misses,
            zone,
            first,
            length: end.saturating_sub(first).max(1),
        }
    }

    fn summary(&self) -> Html {
        let [direct, preprocessed, coalesced, misses] = units(self.build);
        let hits = direct + preprocessed + coalesced;
        let began = self.build.first().map_or(0, |compile| compile.start);
        let compiles = self.build.len();
        let (took, rate) = (time(self.length), share(hits, hits + misses));
        let told =
            format!(" · {compiles} compiles in {took} · {hits} hits and {misses} misses, {rate}");
        let left = match compiles - self.shown.len() {
            0 => String::new(),
            left => format!(" · {left} that began first are left out"),
        };
        let began = element("b").with(self.zone.second(began));
        let summary = element("summary").with(began);
        summary.with(told).with(left).into()
    }

    fn timeline(&self) -> Html {
        let axis = element("div").class("axis");
        let rows = element("div").class("rows").with(axis);
        let rows = rows.with(marks(self.length));
        let compiles: Html = self.shown.iter().map(|compile| self.row(compile)).collect();
        let timeline = element("div").class("timeline");
        let timeline = timeline.attribute("data-length", self.length);
        timeline.with(rows.with(compiles)).into()
    }

    fn row(&self, compile: &Compile) -> Html {
        let spans = spans(compile);
        let lanes = spans.iter().map(|span| span.lane + 1).max().unwrap_or(1);
        let height = ROW + lanes.clamp(2, LANES) * LANE;
        let title = title(compile, self.zone);
        let who = element("span").class("who").title(&title);
        let bar = element("i").class(format_args!("bar {}", level_class(compile.level)));
        let bar = bar.style(self.place(compile, 0, compile.wall)).title(title);
        let mut track = self.track(compile).class("track");
        track = track.style(format_args!("height:{height}px")).with(bar);
        for span in &spans {
            track = track.with(self.span(compile, span));
        }
        let row = element("div").class("row").with(who.with(name(compile)));
        Html::from(row.with(track)).with(Html::fixed("\n"))
    }

    /// What holds the bar and the stages: for what is explained elsewhere on the page, a link to it.
    fn track(&self, compile: &Compile) -> Element {
        let place = match compile.level {
            CompileOutcome::Miss => self.misses.anchor(compile),
            CompileOutcome::Bypass | CompileOutcome::Fallback => Some("detours"),
            _ => None,
        };
        match place {
            Some(place) => element("a").attribute("href", format_args!("#{place}")),
            None => element("div"),
        }
    }

    /// The wait and the stage of a span.
    fn span(&self, compile: &Compile, span: &Span<'_>) -> Html {
        let top = ROW / 2 + span.lane.min(LANES - 1) * LANE;
        let title = span_title(span);
        let mut drawn = Html::default();
        if span.start > span.begin {
            let place = self.place(compile, span.begin, span.start);
            let wait = element("i").class("wait");
            let wait = wait.style(format_args!("{place};top:{top}px"));
            drawn = drawn.with(wait.title(&title));
        }
        let Some(stage) = span.stage else {
            return drawn;
        };
        let found = if stage.hit { " found" } else { "" };
        let place = self.place(compile, span.start, span.end);
        let bar = element("i").class(format_args!("{}{found}", stage_class(&stage.name)));
        let bar = bar.style(format_args!("{place};top:{top}px"));
        drawn.with(bar.title(title))
    }

    /// Where a part of a compile is drawn, which lasts from one time to another since the compile began.
    fn place(&self, compile: &Compile, from: u64, to: u64) -> String {
        let begin = (compile.start - self.first).saturating_add(from);
        let left = percent(begin, self.length);
        let width = percent(to - from, self.length);
        format!("left:{left:.3}%;width:{width:.3}%")
    }
}

/// Lines at round times, with these.
fn marks(length: u64) -> Html {
    let mut step = 1;
    // 1, 2, 5, 10, 20 …
    let mut factors = [2.0, 2.5, 2.0].iter().cycle();
    while length / step > MARKS {
        let factor: f64 = *factors.next().unwrap_or(&2.0);
        step = (step as f64 * factor) as u64;
    }
    (0..=length / step)
        .map(|n| mark(n * step, length))
        .collect()
}

fn mark(at: u64, length: u64) -> Html {
    let part = percent(at, length) / 100.0;
    // There is no room to the right of the last ones for the time.
    let class = if part > 0.84 { "mark late" } else { "mark" };
    let mark = element("b")
        .class(class)
        .style(format_args!("--x:{part:.5}"));
    mark.with(element("span").with(time(at))).into()
}

/// What is shown of a compile under the pointer, line by line.
fn title(compile: &Compile, zone: &Zone) -> String {
    let mut title = format!(
        "{}\n{}, {}",
        compile.sources.join(" "),
        compile.level.text(),
        time(compile.wall)
    );
    if compile.semantic {
        title.push_str("\nafter edits that change nothing");
    }
    for said in [&compile.reason, &compile.detail].into_iter().flatten() {
        let _ = write!(title, "\n{said}");
    }
    if compile.stored > 0 {
        let _ = write!(
            title,
            "\ncompiling took {}",
            time(compile.stored.saturating_mul(1000))
        );
    }
    if let Some(origin) = compile.origin() {
        let _ = write!(title, "\n{origin}");
    }
    if let Some(output) = &compile.output {
        let _ = write!(title, "\n→ {output}");
    }
    let _ = write!(
        title,
        "\nprocess {}, {}",
        compile.pid,
        zone.time(compile.start)
    );
    title
}

fn span_title(span: &Span<'_>) -> String {
    let mut title = format!("{}\n{}", span.name(), span.outcome());
    if span.end > span.start {
        let _ = write!(title, ", {}", time(span.end - span.start));
    }
    if span.start > span.begin {
        let _ = write!(title, "\nwaited {}", time(span.start - span.begin));
    }
    title
}

#[cfg(test)]
mod tests {
    use super::marks;

    #[test]
    fn marks_are_few_and_round() {
        for (length, expected) in [
            (1, "0 0.0 ms"),
            (
                14_200_000,
                "0 2.00 s 4.00 s 6.00 s 8.00 s 10.0 s 12.0 s 14.0 s",
            ),
            (60_000_000, "0 10.0 s 20.0 s 30.0 s 40.0 s 50.0 s 60.0 s"),
        ] {
            let text = marks(length).into_text();
            let shown = text
                .split('<')
                .filter_map(|part| part.strip_prefix("span>"));
            let shown: Vec<_> = shown.collect();
            assert_eq!(shown.join(" "), expected, "{length}");
        }
    }
}
