//! What every page of `pcache report` must hold to, whatever was compiled.

use serde_json::Value;
use std::collections::BTreeMap;

/// What the page may be made of. Nothing here can load anything or run, but for the one script.
const TAGS: [&str; 30] = [
    "html", "head", "meta", "title", "link", "style", "body", "header", "main", "section", "h1",
    "h2", "h3", "p", "a", "code", "div", "span", "i", "b", "table", "thead", "tbody", "tr", "th",
    "td", "data", "details", "summary", "script",
];
const VOID: [&str; 2] = ["meta", "link"];
const ATTRIBUTES: [&str; 16] = [
    "lang",
    "charset",
    "name",
    "content",
    "rel",
    "href",
    "type",
    "id",
    "class",
    "style",
    "title",
    "value",
    "open",
    "data-stat",
    "data-length",
    "data-label",
];

/// Checks a page, and gives the numbers in it, as JSON, that `pcache stats` would print.
#[track_caller]
pub fn check(page: &str) -> Value {
    check_markup(page);
    for element in ["style", "script"] {
        let (_, rest) = page
            .split_once(&format!("<{element}>\n"))
            .expect("an element");
        let (text, _) = rest.split_once(&format!("</{element}>")).expect("its end");
        for outside in [
            "http:",
            "https:",
            "url(",
            "import",
            "fetch",
            "XMLHttp",
            "WebSocket",
            "innerHTML",
        ] {
            assert!(!text.contains(outside), "{outside} in {element}");
        }
    }
    let (_, rest) = page
        .split_once("<script type=\"application/json\" id=\"stats\">")
        .expect("the numbers");
    let (json, _) = rest.split_once("</script>").expect("their end");
    let numbers: Value = serde_json::from_str(json).expect("JSON");
    let shown = shown(page);
    for (name, value) in &shown {
        let path = format!("/{}", name.replace('.', "/"));
        let known = numbers.pointer(&path).and_then(Value::as_u64);
        assert_eq!(known, Some(*value), "{name}");
    }
    let mut counted = BTreeMap::new();
    count("", &numbers, &mut counted);
    for (name, value) in counted.iter().filter(|(_, value)| **value > 0) {
        assert_eq!(shown.get(name), Some(value), "{name} is shown");
    }
    numbers
}

/// All tags, without their brackets, outside of scripts and styles.
fn tags_of(page: &str) -> impl Iterator<Item = &str> {
    let mut rest = page;
    let mut raw: Option<&str> = None;
    std::iter::from_fn(move || {
        if let Some(name) = raw.take() {
            let end = rest.find(&format!("</{name}>"))?;
            rest = &rest[end..];
        }
        let begin = rest.find('<')?;
        let end = begin + rest[begin..].find('>').expect("a tag ends");
        let tag = &rest[begin + 1..end];
        rest = &rest[end + 1..];
        let name = tag.split_whitespace().next()?;
        raw = ["script", "style"].into_iter().find(|raw| *raw == name);
        Some(tag)
    })
}

#[track_caller]
fn check_markup(page: &str) {
    assert!(page.starts_with("<!DOCTYPE html>\n"));
    let mut open = Vec::new();
    for tag in tags_of(page).skip(1) {
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "</{name}>");
            continue;
        }
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        assert!(TAGS.contains(&name), "<{tag}>");
        check_attributes(attributes);
        if !VOID.contains(&name) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
    check_links(page);
}

/// Links lead to what the page has, once.
#[track_caller]
fn check_links(page: &str) {
    for link in page.split(" href=\"#").skip(1) {
        let (place, _) = link.split_once('"').expect("quotes end");
        let places = page.matches(&format!(" id=\"{place}\"")).count();
        assert_eq!(places, 1, "{place}");
    }
}

/// Names that are known, each with a value in quotes.
#[track_caller]
fn check_attributes(text: &str) {
    let mut rest = text.trim();
    while !rest.is_empty() {
        let end = rest.find(['=', ' ']).unwrap_or(rest.len());
        let name = &rest[..end];
        assert!(ATTRIBUTES.contains(&name), "{name:?} in {text:?}");
        rest = match rest[end..].strip_prefix("=\"") {
            Some(value) => {
                let (value, rest) = value.split_once('"').expect("quotes end");
                let is_within = value == "data:," || value.starts_with('#');
                assert!(name != "href" || is_within, "{value}");
                rest.trim_start()
            }
            None => rest[end..].trim_start(),
        };
    }
}

/// The numbers that people see, by their names.
fn shown(page: &str) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    for part in page.split("<data data-stat=\"").skip(1) {
        let (name, rest) = part.split_once("\" value=\"").expect("a value");
        let (value, rest) = rest.split_once("\">").expect("an element");
        let (text, _) = rest.split_once("</data>").expect("its end");
        let value: u64 = value.parse().expect("a number");
        let counts = text.bytes().all(|byte| byte.is_ascii_digit());
        assert!(
            !counts || text == value.to_string() || value == 0,
            "{name}: {text}"
        );
        assert!(!text.is_empty());
        found.insert(name.to_owned(), value);
    }
    found
}

/// All numbers in `value`, by their names joined with points.
fn count(name: &str, value: &Value, found: &mut BTreeMap<String, u64>) {
    if let Some(number) = value.as_u64() {
        found.insert(name.to_owned(), number);
    }
    for (member, value) in value.as_object().into_iter().flatten() {
        let point = if name.is_empty() { "" } else { "." };
        count(&format!("{name}{point}{member}"), value, found);
    }
}
