//! The part of the page that shows when compiles ran, and their stages within them: a row for each
//! compile, a chart for each build. Places are percentages, so that the browser does all scaling.

use super::html::{self, HtmlText, legend, level_class, percent, share, stage_class, time};
use crate::cli::spans::{Span, name, spans};
use crate::cli::stats::units;
use crate::cli::zone::Zone;
use crate::journal::Compile;
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

pub(super) fn section(builds: &[&[Compile]], zone: &Zone) -> String {
    let mut left = COMPILES;
    let mut charts = Vec::new();
    for build in builds.iter().rev().take(BUILDS) {
        if left == 0 {
            break;
        }
        let shown = &build[build.len().saturating_sub(left)..];
        left -= shown.len();
        charts.push(chart(build, shown, charts.is_empty(), zone));
    }
    let mut note = "The newest build is first. Behind the stages of a compile its colour tells how it ended; where nvcc \
        took over, the bar ends."
        .to_owned();
    if charts.len() < builds.len() {
        let _ = write!(
            note,
            " The last {} of {} builds.",
            charts.len(),
            builds.len()
        );
    }
    let body = format!("{}{}{}", legend(&LEVELS), legend(&STAGES), charts.concat());
    html::section("timeline", "Timeline", &note, &body)
}

/// The chart of a `build`, with a row for each that is `shown` of it.
fn chart(build: &[Compile], shown: &[Compile], is_open: bool, zone: &Zone) -> String {
    let first = shown.first().map_or(0, |compile| compile.start);
    let ends = shown.iter().map(Compile::end);
    let length = ends.max().unwrap_or(first).saturating_sub(first).max(1);
    let [direct, preprocessed, coalesced, misses] = units(build);
    let hits = direct + preprocessed + coalesced;
    let mut text = format!(
        "<details{}><summary><b>{}</b> · {} compiles in {} · {hits} hits and {misses} misses, {}{}</summary>\n",
        if is_open { " open" } else { "" },
        build
            .first()
            .map(|first| zone.second(first.start))
            .unwrap_or_default(),
        build.len(),
        time(length),
        share(hits, hits + misses),
        match build.len() - shown.len() {
            0 => String::new(),
            left => format!(" · {left} that began first are left out"),
        }
    );
    let _ = writeln!(
        text,
        "<div class=\"timeline\" data-length=\"{length}\"><div class=\"rows\">\n<div class=\"axis\"></div>{}",
        marks(length)
    );
    for compile in shown {
        text.push_str(&row(compile, compile.start - first, length, zone));
    }
    text.push_str("</div></div></details>\n");
    text
}

/// Lines at round times, with these.
fn marks(length: u64) -> String {
    let mut step = 1;
    // 1, 2, 5, 10, 20 …
    let mut factors = [2.0, 2.5, 2.0].iter().cycle();
    while length / step > MARKS {
        let factor: f64 = *factors.next().unwrap_or(&2.0);
        step = (step as f64 * factor) as u64;
    }
    let marks = (0..=length / step).map(|n| {
        let at = percent(n * step, length) / 100.0;
        format!(
            "<b class=\"mark\" style=\"--x:{at:.5}\"><span>{}</span></b>",
            time(n * step)
        )
    });
    marks.collect()
}

fn row(compile: &Compile, begin: u64, length: u64, zone: &Zone) -> String {
    let spans = spans(compile);
    let lanes = spans.iter().map(|span| span.lane + 1).max().unwrap_or(1);
    let height = ROW + lanes.clamp(2, LANES) * LANE;
    let title = title(compile, zone);
    let title = HtmlText(&title);
    let mut text = format!(
        "<div class=\"row\"><span class=\"who\" title=\"{title}\">{}</span><div class=\"track\" style=\"height:{height}px\">",
        HtmlText(&name(compile))
    );
    let place = |from: u64, to: u64| {
        let (left, width) = (
            percent(begin.saturating_add(from), length),
            percent(to - from, length),
        );
        format!("left:{left:.3}%;width:{width:.3}%")
    };
    let _ = write!(
        text,
        "<i class=\"bar {}\" style=\"{}\" title=\"{title}\"></i>",
        level_class(compile.level),
        place(0, compile.wall)
    );
    for span in &spans {
        let top = ROW / 2 + span.lane.min(LANES - 1) * LANE;
        let title = span_title(span);
        let title = HtmlText(&title);
        if span.start > span.begin {
            let place = place(span.begin, span.start);
            let _ = write!(
                text,
                "<i class=\"wait\" style=\"{place};top:{top}px\" title=\"{title}\"></i>"
            );
        }
        if let Some(stage) = span.stage {
            let (class, place) = (stage_class(&stage.name), place(span.start, span.end));
            let found = if stage.hit { " found" } else { "" };
            let _ = write!(
                text,
                "<i class=\"{class}{found}\" style=\"{place};top:{top}px\" title=\"{title}\"></i>"
            );
        }
    }
    text.push_str("</div></div>\n");
    text
}

/// What is told of a compile, line by line.
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
            let text = marks(length);
            let shown = text
                .split('<')
                .filter_map(|part| part.strip_prefix("span>"));
            let shown: Vec<_> = shown.collect();
            assert_eq!(shown.join(" "), expected, "{length}");
        }
    }
}
