//! `pcache report --format markdown`: a summary that a CI service shows beside a job. Its tables are those that GitHub
//! and GitLab know. Names and reasons come from outside: they are code, or text in which nothing is markup.

use super::figures::BuildFigures;
use super::misses::Misses;
use super::parts::{Numbers, share, time};
use crate::cli::builds::builds;
use crate::config::ByteSize;
use crate::journal::Compile;
use crate::outcome::{BypassReason, FallbackReason, RemoteFailure};
use std::cmp::Reverse;
use std::fmt::Write as _;

/// Misses at most, and differences that are named of each.
const MISSES: usize = 10;
const DIFFERENCES: usize = 3;

/// The text of the summary.
pub(super) fn summary(numbers: &Numbers, chosen: &[Compile], misses: &Misses) -> String {
    let mut text = headline(numbers, chosen);
    write_misses(&mut text, misses);
    write_detours(&mut text, numbers);
    write_failures(&mut text, numbers);
    text
}

fn headline(numbers: &Numbers, chosen: &[Compile]) -> String {
    let misses = numbers.get("misses");
    let hits = ["direct_hits", "preprocessed_hits", "coalesced"];
    let hits: u64 = hits.iter().map(|name| numbers.get(name)).sum();
    let milliseconds = |name: &str| time(numbers.get(name).saturating_mul(1000));
    let (held, cap) = (numbers.get("store.bytes"), numbers.get("store.max_bytes"));
    let bytes = |bytes: u64| ByteSize::approximate(bytes);
    let detours = numbers.sum("bypassed") + numbers.sum("fallbacks");
    let mut rows = vec![
        ("units", format!("{hits} hits, {misses} misses")),
        ("from servers", numbers.get("remote.served").to_string()),
        ("time saved", milliseconds("saved_milliseconds")),
        ("time compiling", milliseconds("spent_milliseconds")),
        ("left to nvcc", detours.to_string()),
        ("cache", format!("{} of {}", bytes(held), bytes(cap))),
    ];
    // Only of one build it can be said how long it took.
    if let [build] = builds(chosen)[..] {
        let figures = BuildFigures::of(build);
        rows.push(("build took", time(figures.took)));
        rows.push(("speed-up", figures.speed_up()));
        rows.push(("critical path", critical(&figures)));
    }
    let mut text = format!(
        "### pcache: {} hits\n\n| | |\n|---|---|\n",
        share(hits, hits + misses)
    );
    for (name, value) in rows {
        row(&mut text, &[name.to_owned(), value]);
    }
    text
}

fn write_misses(text: &mut String, misses: &Misses) {
    let mut slowest: Vec<_> = misses.list.iter().collect();
    slowest.sort_by_key(|unit| Reverse(unit.wall));
    let left = slowest.len().saturating_sub(MISSES);
    begin_table(
        text,
        "Slowest misses",
        ["source", "took", "why"],
        slowest.len(),
    );
    for unit in slowest.into_iter().take(MISSES) {
        let names = unit.sources.iter().map(|source| code(end(source)));
        let differences = unit.differences.iter().take(DIFFERENCES);
        let mut why = plain(&unit.reason);
        for difference in differences {
            let _ = write!(why, "<br>{}", code(difference));
        }
        let names = names.collect::<Vec<_>>().join(" ");
        row(text, &[names, time(unit.wall), why]);
    }
    if left > 0 {
        let _ = writeln!(text, "\n{left} more took less long.");
    }
}

fn write_detours(text: &mut String, numbers: &Numbers) {
    let bypassed = BypassReason::ALL.iter();
    let bypassed = bypassed.map(|reason| ("bypassed", reason.code(), reason.sentence()));
    let fallbacks = FallbackReason::ALL.iter();
    let fallbacks = fallbacks.map(|reason| ("fallbacks", reason.code(), reason.sentence()));
    let counted = bypassed
        .chain(fallbacks)
        .map(|(group, name, sentence)| (numbers.get(&format!("{group}.{name}")), sentence));
    write_counts(text, "Left to nvcc", counted);
}

/// Of the counters: the journal does not tell.
fn write_failures(text: &mut String, numbers: &Numbers) {
    let failures = RemoteFailure::ALL.iter().map(|failure| {
        let name = format!("remote.failures.{}", failure.code());
        (numbers.get(&name), failure.sentence())
    });
    let title = "Failures of servers, since the counters were zero";
    write_counts(text, title, failures);
}

/// A table of what occurred, the most frequent first; nothing if nothing did.
fn write_counts<'a>(text: &mut String, title: &str, counted: impl Iterator<Item = (u64, &'a str)>) {
    let mut counted: Vec<_> = counted.filter(|(count, _)| *count > 0).collect();
    counted.sort_by_key(|(count, _)| Reverse(*count));
    begin_table(text, title, ["what", "times"], counted.len());
    for (count, sentence) in counted {
        row(text, &[plain(sentence), count.to_string()]);
    }
}

/// The title and the headings of a table that has rows.
fn begin_table<const N: usize>(text: &mut String, title: &str, headings: [&str; N], rows: usize) {
    if rows > 0 {
        let _ = writeln!(text, "\n#### {title}\n");
        row(text, &headings.map(str::to_owned));
        row(text, &headings.map(|_| "---".to_owned()));
    }
}

fn row(text: &mut String, cells: &[String]) {
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

fn critical(figures: &BuildFigures) -> String {
    let critical = &figures.critical;
    match critical.name.as_str() {
        "" => time(critical.length),
        name => format!("{}, {}", time(critical.length), code(name)),
    }
}

/// The last two names of a path.
fn end(path: &str) -> &str {
    let mut slashes = path.rmatch_indices('/').map(|(at, _)| at);
    match (slashes.next(), slashes.next()) {
        (Some(_), Some(second)) => &path[second + 1..],
        _ => path,
    }
}

/// Text as code within a cell. A code span has no escapes: it ends at a backtick, and the cell at a bar or newline.
fn code(text: &str) -> String {
    let shown = text.replace('`', "'").replace('|', "\\|");
    let shown: Vec<_> = shown.split_whitespace().collect();
    if shown.is_empty() {
        return String::new();
    }
    format!("`{}`", shown.join(" "))
}

/// Text within a cell, in which nothing is markup.
fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' => shown.push(' '),
            '<' => shown.push_str("&lt;"),
            '&' => shown.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '!' => {
                shown.push('\\');
                shown.push(c);
            }
            c => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::{code, end, plain};

    #[test]
    fn names_stay_in_their_cells_and_are_no_markup() {
        assert_eq!(code("a`b|c\nd <img>"), "`a'b\\|c d <img>`");
        assert_eq!(code("\n"), "");
        assert_eq!(
            plain("<b> a|b\n[x](y) `z`"),
            "&lt;b> a\\|b \\[x\\](y) \\`z\\`"
        );
    }

    #[test]
    fn paths_end_with_two_names() {
        assert_eq!(end("/a/b/c.cu"), "b/c.cu");
        assert_eq!(end("/c.cu"), "/c.cu");
        assert_eq!(end("c.cu"), "c.cu");
    }
}
