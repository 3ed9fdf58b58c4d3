//! What every server must do, tried with each kind.

use crate::servers::Server;
use crate::{LARGE, bytes, code, connect};
use pcache_nvcc::remote::backend::RemoteBackend;
use std::thread;
use tempfile::TempDir;

/// A server behind its URL, and what must live as long as it.
pub struct Place {
    pub url: String,
    pub _server: Option<Server>,
    pub _dir: Option<TempDir>,
}

fn of_server(server: Server, scheme: &str, rest: &str) -> Place {
    Place {
        url: server.url(scheme, rest),
        _server: Some(server),
        _dir: None,
    }
}

fn socket(kind: fn(&[&str]) -> Server) -> Place {
    let server = kind(&["--unixsocket", "socket"]);
    Place {
        url: format!("redis+unix://{}/socket?db=3", server.dir().display()),
        _server: Some(server),
        _dir: None,
    }
}

fn directory() -> Place {
    let dir = TempDir::new().unwrap();
    Place {
        url: format!("file://{}", dir.path().display()),
        _server: None,
        _dir: Some(dir),
    }
}

/// Runs a check against each kind of server.
fn each(check: impl Fn(&dyn RemoteBackend, &str)) {
    let places = [
        of_server(Server::redis(&[]), "redis", ""),
        of_server(Server::valkey(&[]), "redis", "/2?ttl=1000"),
        socket(Server::redis),
        socket(Server::valkey),
        of_server(Server::memcached(&[]), "memcached", "?ttl=1000"),
        of_server(
            Server::nginx("create_full_put_path on;", ""),
            "http",
            "/cache/",
        ),
        of_server(Server::nginx("", ""), "http", ""),
        directory(),
    ];
    #[cfg(feature = "cloud")]
    let places = places.into_iter().chain(crate::cloud::places());
    for place in places {
        check(connect(&place.url).as_ref(), &place.url);
    }
}

#[test]
fn absent_name_is_none_and_not_there() {
    each(|server, url| {
        assert_eq!(server.get("main/ac/absent", LARGE), Ok(None), "{url}");
        assert_eq!(server.has("main/ac/absent"), Ok(false), "{url}");
        assert_eq!(server.probe(), Ok(()), "{url}");
    });
}

#[test]
fn values_of_every_size_come_back_as_they_were_put() {
    each(|server, url| {
        for size in [0, 1, 1024, 5 * 1024 * 1024] {
            let (name, value) = (format!("main/cas/{size}"), bytes(size, 1));
            assert_eq!(server.put(&name, &value), Ok(()), "{url} {size}");
            assert_eq!(server.has(&name), Ok(true), "{url} {size}");
            let got = server.get(&name, size as u64).unwrap();
            assert!(got == Some(value), "{url}: other bytes of {size}");
        }
    });
}

#[test]
fn later_value_replaces_the_earlier_one() {
    each(|server, url| {
        for size in [4096, 10, 0, 8192] {
            let value = bytes(size, size as u64);
            assert_eq!(server.put("main/ac/key", &value), Ok(()), "{url}");
            let got = server.get("main/ac/key", LARGE).unwrap();
            assert!(got == Some(value), "{url}: not the value of {size} bytes");
        }
    });
}

#[test]
fn value_beyond_the_limit_is_refused_and_the_next_call_works() {
    each(|server, url| {
        server
            .put("main/cas/large", &bytes(2 * 1024 * 1024, 1))
            .unwrap();
        server.put("main/cas/small", b"small").unwrap();
        for most in [0, 1024, 2 * 1024 * 1024 - 1] {
            let got = server.get("main/cas/large", most);
            assert_eq!(code(&got), "too_large", "{url} {most}");
            let got = server.get("main/cas/small", LARGE);
            assert_eq!(got, Ok(Some(b"small".to_vec())), "{url}");
        }
    });
}

#[test]
fn names_that_lead_elsewhere_are_denied_without_asking() {
    each(|server, url| {
        for name in ["../x", "a/../../x", "/etc/passwd", "a//b", "a b", "a?b", ""] {
            assert_eq!(code(&server.get(name, LARGE)), "denied", "{url} {name:?}");
            assert_eq!(code(&server.put(name, b"x")), "denied", "{url} {name:?}");
            assert_eq!(code(&server.has(name)), "denied", "{url} {name:?}");
        }
    });
}

#[test]
fn sixteen_threads_share_one_backend() {
    each(|server, url| {
        // moto itself answers 500 if one value is written and read at once.
        let is_shared = !url.starts_with("s3:");
        thread::scope(|scope| {
            for thread in 0..16u64 {
                scope.spawn(move || {
                    for turn in 0..20 {
                        let name = format!("main/cas/{thread}-{}", turn % 5);
                        let value = bytes(2000 * turn + 1, thread * 100 + turn as u64 + 1);
                        server.put(&name, &value).unwrap();
                        let shared = bytes(3000, 7);
                        if is_shared {
                            server.put("main/cas/shared", &shared).unwrap();
                        }
                        let got = server.get(&name, LARGE).unwrap();
                        assert!(got == Some(value), "{url}: other bytes of {name}");
                        let got = server.get("main/cas/shared", LARGE).unwrap();
                        let whole = is_shared.then_some(shared);
                        assert!(got == whole, "{url}: a part of a value");
                    }
                });
            }
        });
    });
}
