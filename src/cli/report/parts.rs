//! What the sections of the page are made of: tables, bars, legends, numbers.

use super::html::{Element, Html, element};
use crate::journal::CompileOutcome;
use serde_json::Value;

/// What `pcache stats --json` prints, by names joined with points.
pub(super) struct Numbers(pub(super) Value);

impl Numbers {
    pub(super) fn get(&self, name: &str) -> u64 {
        let found = self.0.pointer(&format!("/{}", name.replace('.', "/")));
        found.and_then(Value::as_u64).unwrap_or(0)
    }

    /// A count as it is.
    pub(super) fn count(&self, name: &str) -> Html {
        let value = self.get(name);
        self.shown(name, &value.to_string())
    }

    /// A number in other words.
    pub(super) fn shown(&self, name: &str, text: &str) -> Html {
        let data = element("data").attribute("data-stat", name);
        data.attribute("value", self.get(name)).with(text).into()
    }

    /// The sum of all members of `name`.
    pub(super) fn sum(&self, name: &str) -> u64 {
        let members = self.0[name].as_object();
        members.map_or(0, |members| {
            members.values().filter_map(Value::as_u64).sum()
        })
    }
}

/// A part of the page.
pub(super) fn section(
    name: &str,
    title: &str,
    note: impl Into<Html>,
    body: impl Into<Html>,
) -> Html {
    let note = note.into();
    let note = if note == Html::default() {
        note
    } else {
        element("p").class("note").with(note).into()
    };
    let section = element("section").attribute("id", name);
    let section = section.with(element("h2").with(title));
    Html::from(section.with(note).with(body)).with(Html::fixed("\n"))
}

/// A table. Columns of numbers are those whose heading begins with `#`.
pub(super) fn table<const N: usize>(
    headings: [&str; N],
    rows: impl IntoIterator<Item = [Html; N]>,
) -> Html {
    table_of(headings, rows.into_iter().map(|cells| (None, cells)))
}

/// A table of rows that may have an id.
pub(super) fn table_of<'a, const N: usize>(
    headings: [&str; N],
    rows: impl IntoIterator<Item = (Option<&'a str>, [Html; N])>,
) -> Html {
    let mut titles = element("tr");
    for heading in headings {
        let title = heading.trim_start_matches('#');
        titles = titles.with(cell("th", heading).with(title));
    }
    let head = element("thead").with(Html::from(titles).with(Html::fixed("\n")));
    let rows: Html = rows
        .into_iter()
        .map(|(id, cells)| row(headings, id, cells))
        .collect();
    // Narrow screens have room for three columns; broad tables do without their bars on screens of middle width.
    let table = match N {
        0..=3 => element("table"),
        4..=6 => element("table").class("labelled"),
        _ => element("table").class("labelled broad"),
    };
    let table = table.with(head).with(element("tbody").with(rows));
    element("div").class("wide").with(table).into()
}

/// A row of the body. All cells but the first know their heading, which narrow screens show beside them.
fn row<const N: usize>(headings: [&str; N], id: Option<&str>, cells: [Html; N]) -> Html {
    let mut row = element("tr");
    if let Some(id) = id {
        row = row.attribute("id", id);
    }
    for (at, (heading, content)) in headings.iter().zip(cells).enumerate() {
        let title = heading.trim_start_matches('#');
        let cell = cell("td", heading);
        let cell = match (at, title) {
            (0, _) | (_, "") => cell,
            _ => cell.attribute("data-label", title),
        };
        row = row.with(cell.with(content));
    }
    Html::from(row).with(Html::fixed("\n"))
}

/// A cell of the column with this heading.
fn cell(name: &'static str, heading: &str) -> Element {
    if heading.starts_with('#') {
        element(name).class("n")
    } else {
        element(name)
    }
}

/// A bar as long as `part` is of `whole`.
pub(super) fn bar(part: u64, whole: u64, class: &str) -> Html {
    let width = format!("width:{:.2}%", percent(part, whole));
    let bar = element("i").class(class).style(width);
    element("span").class("meter").with(bar).into()
}

/// Parts beside each other that fill the whole; empty ones are left out.
pub(super) fn stack(parts: &[(u64, &str, &str)]) -> Html {
    let whole: u64 = parts.iter().map(|(n, ..)| n).sum();
    let mut stack = element("span").class("meter");
    for (n, class, name) in parts.iter().filter(|(n, ..)| *n > 0) {
        let width = format!("width:{:.2}%", percent(*n, whole));
        let part = element("i").class(class).style(width);
        stack = stack.with(part.title(format_args!("{n} {name}")));
    }
    stack.into()
}

/// Colours with their names.
pub(super) fn legend(colours: &[(&str, &str)]) -> Html {
    let mut legend = element("p").class("legend");
    for (class, name) in colours {
        let colour = element("i").class(class);
        legend = legend
            .with(element("span").with(colour).with(*name))
            .with(" ");
    }
    Html::from(legend).with(Html::fixed("\n"))
}

/// A name with its colour before it.
pub(super) fn keyed(class: &str, name: &str) -> Html {
    let key = element("i").class(format_args!("key {class}"));
    Html::from(key).with(name)
}

pub(super) fn code(text: &str) -> Html {
    element("code").with(text).into()
}

/// Where a path ends, with all of it as its title.
pub(super) fn path(path: &str) -> Html {
    let (before, base) = path.rsplit_once('/').unwrap_or(("", path));
    let near = before.rsplit_once('/').map_or(before, |(_, near)| near);
    let slash = if near.is_empty() { "" } else { "/" };
    let directory = element("span").class("faint").with(near).with(slash);
    let path = element("span").class("path").title(path);
    path.with(directory).with(base).into()
}

pub(super) fn percent(part: u64, whole: u64) -> f64 {
    match whole {
        0 => 0.0,
        whole => 100.0 * part as f64 / whole as f64,
    }
}

/// A share of a whole, for people.
pub(super) fn share(part: u64, whole: u64) -> String {
    match whole {
        0 => "–".to_owned(),
        _ => format!("{:.1} %", percent(part, whole)),
    }
}

/// Microseconds in the unit that suits them.
pub(super) fn time(micros: u64) -> String {
    let seconds = micros as f64 / 1e6;
    match micros {
        0 => "0".to_owned(),
        1..10_000 => format!("{:.1} ms", seconds * 1e3),
        10_000..1_000_000 => format!("{:.0} ms", seconds * 1e3),
        1_000_000..10_000_000 => format!("{seconds:.2} s"),
        10_000_000..100_000_000 => format!("{seconds:.1} s"),
        100_000_000..6_000_000_000 => format!("{:.1} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}

/// How a level is coloured.
pub(super) fn level_class(level: CompileOutcome) -> &'static str {
    match level {
        CompileOutcome::DirectHit => "direct",
        CompileOutcome::PreprocessedHit => "preprocessed",
        CompileOutcome::Coalesced => "coalesced",
        CompileOutcome::Miss => "miss",
        CompileOutcome::Bypass => "bypass",
        CompileOutcome::Fallback => "fallback",
        CompileOutcome::Interrupted | CompileOutcome::Failed => "interrupted",
    }
}

/// How a stage is coloured.
pub(super) fn stage_class(name: &str) -> &'static str {
    match name {
        "preprocess" | "host_preprocess" | "extra_pass" => "preprocess",
        "cudafe" => "cudafe",
        "cicc" => "cicc",
        "ptxas" => "ptxas",
        "fatbinary" | "empty_fatbinary" => "fatbinary",
        "host_compile" | "stub_compile" | "assemble" => "host",
        _ => "link",
    }
}

#[cfg(test)]
mod tests {
    use super::{path, section, table, time};

    #[test]
    fn paths_end_with_names_and_are_whole_in_their_titles() {
        let text = path("/a/<b>/\"c\".cu").into_text();
        let expected = "<span class=\"path\" title=\"/a/&lt;b&gt;/&quot;c&quot;.cu\"><span class=\"faint\">\
            &lt;b&gt;/</span>&quot;c&quot;.cu</span>";
        assert_eq!(text, expected);
    }

    #[test]
    fn columns_of_numbers_are_marked() {
        let text = table(["name", "#n"], [["<a>".into(), "1".into()]]).into_text();
        assert!(
            text.contains("<tr><th>name</th><th class=\"n\">n</th></tr>"),
            "{text}"
        );
        assert!(
            text.contains("<tr><td>&lt;a&gt;</td><td class=\"n\" data-label=\"n\">1</td></tr>"),
            "{text}"
        );
    }

    #[test]
    fn sections_without_a_note_have_none() {
        let text = section("a", "A", "", "<b>").into_text();
        assert_eq!(text, "<section id=\"a\"><h2>A</h2>&lt;b&gt;</section>\n");
        let text = section("a", "A", "note", "").into_text();
        assert!(
            text.contains("<h2>A</h2><p class=\"note\">note</p></section>"),
            "{text}"
        );
    }

    #[test]
    fn times_have_three_digits_or_so() {
        let shown = [0, 400, 9_900, 512_000, 1_240_000, 14_200_000, 120_000_000].map(time);
        assert_eq!(
            shown,
            [
                "0", "0.4 ms", "9.9 ms", "512 ms", "1.24 s", "14.2 s", "2.0 min"
            ]
        );
    }
}
