//! Takes the URL of a server apart. Knows no scheme but its form, and shows no password.

use super::BadUrl;
use std::fmt;

/// A URL in its parts. Only user, password and query are decoded.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct ServerUrl {
    pub(super) scheme: String,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    /// Without the brackets of an IPv6 address. Empty in URLs of files and sockets.
    pub(super) host: String,
    pub(super) port: Option<u16>,
    /// With its leading slash, or empty.
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
}

/// Formats what may be shown: no user and no password.
impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority(), self.path)
    }
}

impl ServerUrl {
    pub(super) fn parse(text: &str) -> Result<Self, BadUrl> {
        let (scheme, rest) = text.split_once("://").ok_or_else(|| {
            BadUrl::new("a URL of a remote cache starts with a scheme, and this one has no scheme")
        })?;
        let is_allowed = |c: char| c.is_ascii_graphic() && !"\"<>\\^`{|}".contains(c);
        if let Some(c) = rest.chars().find(|c| !is_allowed(*c)) {
            let why = format!("the character {c:?} must be percent-encoded in a URL");
            return Err(BadUrl::new(why));
        }
        if rest.contains('#') {
            return Err(BadUrl::new("a URL of a remote cache has no # part"));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let start_of_path = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(start_of_path);
        let (login, place) = match authority.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, authority),
        };
        let (host, port) = split_place(place)?;
        let (user, password) = split_login(login)?;
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let query = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        });
        Ok(Self {
            scheme: scheme.to_ascii_lowercase(),
            user,
            password,
            host,
            port,
            path: path.to_owned(),
            query: query.collect::<Result<_, BadUrl>>()?,
        })
    }

    /// Host and port as they stand in a URL.
    pub(super) fn authority(&self) -> String {
        let is_address_of_ipv6 = self.host.contains(':');
        let host = if is_address_of_ipv6 {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        match self.port {
            Some(port) => format!("{host}:{port}"),
            None => host,
        }
    }

    /// The value of a parameter, the last one if it stands there more than once.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let pair = self.query.iter().rev().find(|(found, _)| found == name);
        pair.map(|(_, value)| value.as_str())
    }

    /// Refuses parameters other than `known`.
    pub(super) fn check_parameters(&self, known: &[&str]) -> Result<(), BadUrl> {
        let mut names = self.query.iter().map(|(name, _)| name.as_str());
        let Some(name) = names.find(|name| !known.contains(name)) else {
            return Ok(());
        };
        let scheme = &self.scheme;
        Err(BadUrl::new(match known {
            [] => format!("{scheme}:// has no parameters, and {name:?} is one"),
            _ => {
                let known = known.join(" and ");
                format!("{scheme}:// has no parameter {name:?}, only {known}")
            }
        }))
    }

    /// The host, which must be there.
    pub(super) fn check_host(&self) -> Result<(), BadUrl> {
        let why = || BadUrl::new(format!("{}:// with no host", self.scheme));
        (!self.host.is_empty()).then_some(()).ok_or_else(why)
    }

    /// The path of a file or socket, decoded, in a URL that must have no host.
    pub(super) fn local_path(&self) -> Result<String, BadUrl> {
        let scheme = &self.scheme;
        if !self.host.is_empty() || self.user.is_some() && scheme == "file" {
            let why = format!("{scheme}:// takes no host: write {scheme}:///PATH");
            return Err(BadUrl::new(why));
        }
        if self.path.len() < 2 {
            return Err(BadUrl::new(format!(
                "{scheme}:// needs a path other than the root"
            )));
        }
        decode(&self.path)
    }
}

/// Host and port.
fn split_place(place: &str) -> Result<(String, Option<u16>), BadUrl> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest
                .split_once(']')
                .ok_or_else(|| BadUrl::new("the bracket of the host is not closed"))?;
            (host, rest.strip_prefix(':'))
        }
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    let port = port.map(|port| {
        port.parse()
            .map_err(|_| BadUrl::new("the port is not a number below 65536"))
    });
    Ok((decode(host)?, port.transpose()?))
}

/// User and password. `:password` alone has no user.
fn split_login(login: Option<&str>) -> Result<(Option<String>, Option<String>), BadUrl> {
    let Some(login) = login else {
        return Ok((None, None));
    };
    let (user, password) = match login.split_once(':') {
        Some((user, password)) => (user, Some(decode(password)?)),
        None => (login, None),
    };
    let user = Some(decode(user)?).filter(|user| !user.is_empty());
    Ok((user, password))
}

/// Replaces `%41` by `A`.
fn decode(text: &str) -> Result<String, BadUrl> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let digits = rest.get(..2).and_then(|digits| hex::decode(digits).ok());
        let Some(digits) = digits else {
            return Err(BadUrl::new(
                "a percent sign in a URL is followed by two hexadecimal digits",
            ));
        };
        bytes.extend(digits);
        rest = &rest[2..];
    }
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => Err(BadUrl::new("percent-encoded text that is not UTF-8")),
    }
}

#[cfg(test)]
mod tests {
    use super::ServerUrl;

    #[test]
    fn parts_are_found_and_decoded() {
        let url = ServerUrl::parse("RediSS://us%40er:p%3Aa:ss@[::1]:70/2?ttl=5&ca=/a%20b").unwrap();
        assert_eq!(url.scheme, "rediss");
        assert_eq!(url.user.as_deref(), Some("us@er"));
        assert_eq!(url.password.as_deref(), Some("p:a:ss"));
        assert_eq!((url.host.as_str(), url.port), ("::1", Some(70)));
        assert_eq!(url.path, "/2");
        assert_eq!(url.parameter("ca"), Some("/a b"));
        assert_eq!(format!("{url:?}"), "rediss://[::1]:70/2");
        let url = ServerUrl::parse("redis://:only@host").unwrap();
        assert_eq!(url.user, None);
        assert_eq!(url.password.as_deref(), Some("only"));
        assert_eq!(url.authority(), "host");
        let url = ServerUrl::parse("file:///mount/a%20b").unwrap();
        assert_eq!(url.local_path().unwrap(), "/mount/a b");
    }
}
