//! Markup as a type of its own. Text gets into it by `From` or as the value of an attribute, and both escape it. Names of
//! elements and attributes are literals of this program.

use crate::visible::{is_steering, json};
use serde_json::Value;
use std::fmt::{self, Display, Write as _};

/// A piece of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Html(String);

impl Html {
    /// Markup, style or script of this program: text from outside is not `'static`.
    pub(super) fn fixed(markup: &'static str) -> Self {
        Self(markup.to_owned())
    }

    /// JSON as the content of an element `script`: nothing in it ends the element.
    pub(super) fn json(value: &Value) -> Self {
        Self(json(&value.to_string()).replace('<', "\\u003c"))
    }

    /// With more behind it.
    pub(super) fn with(mut self, more: impl Into<Self>) -> Self {
        self.0.push_str(&more.into().0);
        self
    }

    /// All of `parts`, with `between` between two of them.
    pub(super) fn join(parts: impl IntoIterator<Item = Self>, between: &str) -> Self {
        let mut parts = parts.into_iter();
        let first = parts.next().unwrap_or_default();
        parts.fold(first, |joined, part| joined.with(between).with(part))
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

impl From<&str> for Html {
    fn from(text: &str) -> Self {
        Self(Escaped(text).to_string())
    }
}

impl From<String> for Html {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl FromIterator<Self> for Html {
    fn from_iter<I: IntoIterator<Item = Self>>(parts: I) -> Self {
        Self::join(parts, "")
    }
}

/// An element, whose content may follow.
pub(super) fn element(name: &'static str) -> Element {
    Element {
        name,
        attributes: String::new(),
        content: Html::default(),
    }
}

/// See [`element`].
pub(super) struct Element {
    name: &'static str,
    attributes: String,
    content: Html,
}

impl Element {
    pub(super) fn attribute(mut self, name: &'static str, value: impl Display) -> Self {
        let value = value.to_string();
        // Writing to a String cannot fail.
        let _ = write!(self.attributes, " {name}=\"{}\"", Escaped(&value));
        self
    }

    pub(super) fn class(self, value: impl Display) -> Self {
        self.attribute("class", value)
    }

    pub(super) fn style(self, value: impl Display) -> Self {
        self.attribute("style", value)
    }

    pub(super) fn title(self, value: impl Display) -> Self {
        self.attribute("title", value)
    }

    /// With more in it.
    pub(super) fn with(mut self, more: impl Into<Html>) -> Self {
        self.content = self.content.with(more);
        self
    }
}

impl From<Element> for Html {
    fn from(element: Element) -> Self {
        let Element {
            name,
            attributes,
            content: Self(content),
        } = element;
        Self(format!("<{name}{attributes}>{content}</{name}>"))
    }
}

/// Text in HTML: between tags, or between the quotes of an attribute.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // Titles have several lines.
                '\n' => f.write_str("&#10;")?,
                // HTML has no place for control characters; the others would turn the text around.
                c if is_steering(c) => f.write_char('\u{fffd}')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// A name that tries to become markup, between tags and in attributes.
#[cfg(test)]
pub(super) const HOSTILE: &str = "/\"'><script>alert('&')</script>\n.cu";

/// Checks that [`HOSTILE`], or its last part, is in a piece of a page, and as text alone.
#[cfg(test)]
#[track_caller]
pub(super) fn assert_harmless(html: Html) {
    let text = html.into_text();
    assert!(text.contains("script&gt;&#10;.cu"), "{text}");
    assert!(
        !text.contains("<script") && !text.contains("</script"),
        "{text}"
    );
    // Every quote is that of an attribute.
    for part in text.split('<').skip(1) {
        let (tag, content) = part.split_once('>').expect("a tag ends");
        assert!(!content.contains(['"', '\'']), "{content}");
        assert_eq!(
            tag.matches('"').count(),
            2 * tag.matches("=\"").count(),
            "{tag}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::{Html, element};
    use serde_json::json;

    const EVIL: &str = "<img src=x onerror=\"a('b')\">&\n\u{1b}\u{202e}\u{2069}";
    const ESCAPED: &str =
        "&lt;img src=x onerror=&quot;a(&#39;b&#39;)&quot;&gt;&amp;&#10;\u{fffd}\u{fffd}\u{fffd}";

    #[test]
    fn text_is_escaped_wherever_it_gets_in() {
        assert_eq!(Html::from(EVIL).into_text(), ESCAPED);
        let made = element("i")
            .title(EVIL)
            .with(EVIL)
            .with(element("b").class(EVIL));
        let expected = format!("<i title=\"{ESCAPED}\">{ESCAPED}<b class=\"{ESCAPED}\"></b></i>");
        assert_eq!(Html::from(made).into_text(), expected);
        let joined = Html::join([Html::from(EVIL), Html::from("b")], EVIL);
        assert_eq!(joined.into_text(), format!("{ESCAPED}{ESCAPED}b"));
    }

    #[test]
    fn json_does_not_end_its_element_and_stays_json() {
        let value = json!({ "<!--": "</script>\u{9b}" });
        let text = Html::json(&value).into_text();
        assert_eq!(text, r#"{"\u003c!--":"\u003c/script>\u009b"}"#);
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap(),
            value
        );
    }
}
