//! What the parts of the page are made of. Whatever comes from outside passes through [`HtmlText`].

use crate::journal::CompileOutcome;
use crate::visible::{is_steering, json};
use serde_json::Value;
use std::fmt::{self, Write as _};

/// Text in HTML: between tags, or between the quotes of an attribute.
pub(super) struct HtmlText<'a>(pub(super) &'a str);

impl fmt::Display for HtmlText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // A title's lines are ours.
                '\n' => f.write_str("&#10;")?,
                // No place in HTML, or would turn the direction of what follows.
                c if is_steering(c) => f.write_char('\u{fffd}')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// What `pcache stats --json` prints, by names joined with points.
pub(super) struct Numbers(pub(super) Value);

impl Numbers {
    pub(super) fn get(&self, name: &str) -> u64 {
        let found = self.0.pointer(&format!("/{}", name.replace('.', "/")));
        found.and_then(Value::as_u64).unwrap_or(0)
    }

    /// A count as it is.
    pub(super) fn count(&self, name: &str) -> String {
        let value = self.get(name);
        self.shown(name, &value.to_string())
    }

    /// A number in other words.
    pub(super) fn shown(&self, name: &str, text: &str) -> String {
        let (value, text) = (self.get(name), HtmlText(text));
        format!("<data data-stat=\"{name}\" value=\"{value}\">{text}</data>")
    }

    /// The sum of all members of `name`.
    pub(super) fn sum(&self, name: &str) -> u64 {
        let members = self.0[name].as_object();
        members.map_or(0, |members| {
            members.values().filter_map(Value::as_u64).sum()
        })
    }

    /// All of it as JSON in an element of a page: nothing in it ends the element.
    pub(super) fn embedded(&self) -> String {
        json(&self.0.to_string()).replace('<', "\\u003c")
    }
}

/// A part of the page.
pub(super) fn section(name: &str, title: &str, note: &str, body: &str) -> String {
    let note = match note {
        "" => String::new(),
        note => format!("<p class=\"note\">{note}</p>\n"),
    };
    format!("<section id=\"{name}\">\n<h2>{title}</h2>\n{note}{body}</section>\n")
}

/// A table; headings and cells are HTML. Columns of numbers are those whose heading begins with `#`.
pub(super) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let class = |at: usize| {
        if headings.get(at).is_some_and(|text| text.starts_with('#')) {
            " class=\"n\""
        } else {
            ""
        }
    };
    let mut text = String::from("<div class=\"wide\"><table>\n<thead><tr>");
    for (at, heading) in headings.iter().enumerate() {
        let shown = heading.trim_start_matches('#');
        // Writing to a String cannot fail, here and below.
        let _ = write!(text, "<th{}>{shown}</th>", class(at));
    }
    text.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        text.push_str("<tr>");
        for (at, cell) in row.iter().enumerate() {
            let _ = write!(text, "<td{}>{cell}</td>", class(at));
        }
        text.push_str("</tr>\n");
    }
    text.push_str("</tbody></table></div>\n");
    text
}

/// A bar as long as `part` is of `whole`.
pub(super) fn bar(part: u64, whole: u64, class: &str) -> String {
    let width = percent(part, whole);
    format!("<span class=\"meter\"><i class=\"{class}\" style=\"width:{width:.2}%\"></i></span>")
}

/// Parts beside each other that fill the whole; empty ones are left out.
pub(super) fn stack(parts: &[(u64, &str, &str)]) -> String {
    let whole: u64 = parts.iter().map(|(n, ..)| n).sum();
    let mut text = String::from("<span class=\"meter\">");
    for (n, class, name) in parts.iter().filter(|(n, ..)| *n > 0) {
        let width = percent(*n, whole);
        let style = format!("width:{width:.2}%");
        let _ = write!(
            text,
            "<i class=\"{class}\" style=\"{style}\" title=\"{n} {name}\"></i>"
        );
    }
    text.push_str("</span>");
    text
}

/// Colours with their names.
pub(super) fn legend(colours: &[(&str, &str)]) -> String {
    let mut text = String::from("<p class=\"legend\">");
    for (class, name) in colours {
        let _ = write!(text, "<span><i class=\"{class}\"></i>{name}</span> ");
    }
    text.push_str("</p>\n");
    text
}

/// Where a path ends, with all of it as its title.
pub(super) fn path(path: &str) -> String {
    let (before, base) = path.rsplit_once('/').unwrap_or(("", path));
    let near = before.rsplit_once('/').map_or(before, |(_, near)| near);
    let slash = if near.is_empty() { "" } else { "/" };
    format!(
        "<span class=\"path\" title=\"{}\"><span class=\"faint\">{}{slash}</span>{}</span>",
        HtmlText(path),
        HtmlText(near),
        HtmlText(base)
    )
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
    use super::{HtmlText, Numbers, path, time};
    use serde_json::json;

    #[test]
    fn nothing_from_outside_is_markup() {
        let text = HtmlText("<img src=x onerror=\"a('b')\">&\n\u{1b}\u{202e}\u{2069}").to_string();
        assert_eq!(
            text,
            "&lt;img src=x onerror=&quot;a(&#39;b&#39;)&quot;&gt;&amp;&#10;\u{fffd}\u{fffd}\u{fffd}"
        );
        let page = path("/a/<b>/\"c\".cu");
        assert!(
            page.contains("title=\"/a/&lt;b&gt;/&quot;c&quot;.cu\""),
            "{page}"
        );
        let json = Numbers(json!({ "a": "</script>\u{9b}" })).embedded();
        assert_eq!(json, r#"{"a":"\u003c/script>\u009b"}"#);
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
