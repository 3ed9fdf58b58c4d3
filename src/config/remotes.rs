//! The servers of the shared level.

use super::value::{Scalar, SettingKind, words};
use std::ffi::OsStr;
use std::fmt;

/// One server that keeps results for other machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteServer {
    /// Its address, with what it needs to let us in.
    pub url: String,
    /// Nothing is sent there.
    pub read_only: bool,
    /// Where its values are looked for, in this order. What is sent goes into the first.
    pub namespaces: Vec<String>,
}

/// The servers in the order in which they are asked; none if nothing is shared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remotes(pub Vec<RemoteServer>);

const HINT: &str = "write URLs, each with its attributes behind it, such as redis://cache:6379 read-only namespace=pr-12,main";

/// No servers, where an empty variable would leave those of the configuration file in force.
const NONE: &str = "none";

/// The namespace of a server for which none is named.
const NAMESPACE: &str = "main";

/// Parameters of URLs whose values are not shown.
const SECRETS: [&str; 5] = [
    "secret_access_key",
    "session_token",
    "account_key",
    "sas_token",
    "header",
];

impl Remotes {
    fn parse(text: &str) -> Result<Self, String> {
        if text == NONE {
            return Ok(Self::default());
        }
        let mut servers: Vec<RemoteServer> = Vec::new();
        for word in text.split_whitespace() {
            if word.contains("://") {
                servers.push(RemoteServer {
                    url: word.to_owned(),
                    read_only: false,
                    namespaces: vec![NAMESPACE.to_owned()],
                });
                continue;
            }
            let Some(server) = servers.last_mut() else {
                return Err(format!("{word:?} is no URL; {HINT}"));
            };
            match word.split_once('=') {
                None if word == "read-only" => server.read_only = true,
                Some(("namespace", names)) => server.namespaces = namespaces(names)?,
                _ => return Err(format!("{word:?} is no attribute of a server; {HINT}")),
            }
        }
        Ok(Self(servers))
    }

    /// The text that is read back as this, with passwords.
    pub fn whole(&self) -> String {
        self.text(|server| server.url.clone())
    }

    /// Its text with `url` in the place of each server's.
    fn text(&self, url: impl Fn(&RemoteServer) -> String) -> String {
        let words = self.0.iter().map(|server| {
            let mut text = url(server);
            if server.read_only {
                text += " read-only";
            }
            if server.namespaces != [NAMESPACE] {
                text += &format!(" namespace={}", server.namespaces.join(","));
            }
            text
        });
        words.collect::<Vec<_>>().join(" ")
    }
}

/// The names, each of which becomes a part of paths and keys.
fn namespaces(text: &str) -> Result<Vec<String>, String> {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let names = text.split(',').map(|name| {
        let is_name = !name.is_empty() && !name.starts_with('.') && name.chars().all(is_plain);
        is_name.then(|| name.to_owned()).ok_or_else(|| {
            format!("{name:?} is no namespace; use letters, digits, hyphens, dots and underscores")
        })
    });
    names.collect()
}

impl RemoteServer {
    /// The URL without its password and without keys.
    pub fn shown(&self) -> String {
        let (url, query) = match self.url.split_once('?') {
            Some((url, query)) => (url, format!("?{}", shown_query(query))),
            None => (self.url.as_str(), String::new()),
        };
        let Some((scheme, rest)) = url.split_once("://") else {
            return self.url.clone();
        };
        let end = rest.find(['/', '#']).unwrap_or(rest.len());
        match rest[..end].rsplit_once('@') {
            None => format!("{url}{query}"),
            Some((user, _)) => {
                let name = user.split(':').next().unwrap_or_default();
                format!("{scheme}://{name}:…{}{query}", &rest[user.len()..])
            }
        }
    }
}

/// A query without the values of those parameters that let a client in.
fn shown_query(query: &str) -> String {
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if SECRETS.contains(&name) => format!("{name}=…"),
        _ => pair.to_owned(),
    });
    pairs.collect::<Vec<_>>().join("&")
}

/// Without passwords.
impl fmt::Display for Remotes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(RemoteServer::shown))
    }
}

impl SettingKind for Remotes {
    const KIND: &'static str =
        "URLs, each with its attributes behind it, or `none`; in TOML a text, or a list of texts";

    fn from_text(text: &OsStr) -> Result<Self, String> {
        let text = text.to_str().ok_or_else(|| format!("not UTF-8; {HINT}"))?;
        Self::parse(text)
    }

    fn from_toml(value: &toml::Value) -> Result<Self, String> {
        let words =
            words(value).ok_or_else(|| format!("neither a text nor a list of texts; {HINT}"))?;
        Self::parse(&words)
    }

    fn show(&self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.to_string())
    }

    fn to_toml(&self) -> Result<Scalar, String> {
        // With passwords: this is what is written.
        Ok(Scalar::Text(self.whole()))
    }
}

#[cfg(test)]
mod tests {
    use super::{RemoteServer, Remotes, SettingKind};
    use std::ffi::OsStr;

    fn read(text: &str) -> Result<Remotes, String> {
        Remotes::from_text(OsStr::new(text))
    }

    #[test]
    fn servers_have_attributes() {
        let read = read("redis://cache:6379 namespace=pr-12,main file:///mnt/x read-only").unwrap();
        let server = |url: &str, read_only, namespaces: &[&str]| RemoteServer {
            url: url.to_owned(),
            read_only,
            namespaces: namespaces.iter().map(|name| (*name).to_owned()).collect(),
        };
        let expected = [
            server("redis://cache:6379", false, &["pr-12", "main"]),
            server("file:///mnt/x", true, &["main"]),
        ];
        assert_eq!(read.0, expected);
        let text = read.to_string();
        assert_eq!(Remotes::from_text(OsStr::new(&text)), Ok(read));
    }

    #[test]
    fn nothing_is_no_server() {
        assert_eq!(read(" "), Ok(Remotes::default()));
        assert_eq!(read("none"), Ok(Remotes::default()));
        assert_eq!(Remotes::default().show(), None);
    }

    #[test]
    fn what_is_neither_a_url_nor_an_attribute_is_refused() {
        for text in [
            "cache",
            "read-only redis://a",
            "redis://a readonly",
            "redis://a namespace=",
            "redis://a namespace=a/b",
            "redis://a namespace=..",
            "redis://a namespace=a,",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        for (url, shown) in [
            ("redis://user:pass@host/1", "redis://user:…@host/1"),
            ("redis://:p@ss@host?x=1", "redis://:…@host?x=1"),
            ("http://host/a@b", "http://host/a@b"),
            (
                "s3://b/p?region=r&secret_access_key=k&x=1",
                "s3://b/p?region=r&secret_access_key=…&x=1",
            ),
            ("grpc://h:1?header=k:v@w", "grpc://h:1?header=…"),
        ] {
            assert_eq!(read(url).unwrap().to_string(), shown);
        }
    }
}
