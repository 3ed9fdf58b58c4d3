//! WebDAV servers, statuses of every kind, and answers that lie.

use crate::canned_http::CannedHttp;
use crate::fault_proxy::{Fault, FaultProxy};
use crate::servers::Server;
use crate::{HASTY, LARGE, code, connect, in_time};
use pcache_nvcc::remote::backend::{BackendError, open};
use std::fs;
use std::time::Duration;

#[test]
fn value_is_a_file_of_its_name_below_the_base() {
    let server = Server::nginx("create_full_put_path on;", "");
    connect(&server.url("http", "/some/base/"))
        .put("main/ac/0123", b"value")
        .unwrap();
    let file = server.dir().join("data/some/base/main/ac/0123");
    assert_eq!(fs::read(file).unwrap(), b"value");
}

#[test]
fn missing_folders_are_created_below_the_base_and_once_only() {
    let server = Server::nginx("", "");
    let backend = connect(&server.url("http", ""));
    for name in ["main/ac/0", "main/ac/1", "main/cas/0"] {
        assert_eq!(backend.put(name, b"value"), Ok(()), "{name}");
    }
    assert!(server.dir().join("data/main/cas/0").exists());
    let elsewhere = connect(&server.url("http", "/base"));
    let done = elsewhere.put("main/ac/0", b"value");
    assert_eq!(code(&done), "server", "{done:?}");
    assert!(!server.dir().join("data/base").exists());
}

#[test]
fn login_in_the_url_is_sent_and_needed() {
    let server = Server::nginx(
        "create_full_put_path on; auth_basic \"cache\"; auth_basic_user_file users;",
        "",
    );
    fs::write(server.dir().join("users"), "me:{PLAIN}p@ss/word\n").unwrap();
    for (login, expected) in [
        ("", "denied"),
        ("me:wrong@", "denied"),
        ("me:p%40ss%2Fword@", "ok"),
    ] {
        let url = format!("http://{login}127.0.0.1:{}", server.port());
        let backend = connect(&url);
        let done = backend.put("main/ac/0", b"value");
        assert_eq!(code(&done), expected, "{login}: {done:?}");
        assert!(!format!("{done:?}").contains("wrong"), "{done:?}");
        assert_eq!(code(&backend.get("main/ac/0", LARGE)), expected);
        assert_eq!(code(&backend.probe()), expected);
    }
}

#[test]
fn server_that_allows_no_writing_is_denied() {
    let server = Server::nginx("limit_except GET { deny all; }", "");
    fs::create_dir_all(server.dir().join("data/main/ac")).unwrap();
    fs::write(server.dir().join("data/main/ac/0"), "value").unwrap();
    let backend = connect(&server.url("http", ""));
    assert_eq!(backend.get("main/ac/0", LARGE), Ok(Some(b"value".to_vec())));
    for _ in 0..2 {
        assert_eq!(code(&backend.put("main/ac/1", b"x")), "denied");
    }
}

#[test]
fn value_beyond_the_limit_of_the_server_is_too_large() {
    let server = Server::nginx("create_full_put_path on; client_max_body_size 1k;", "");
    let backend = connect(&server.url("http", ""));
    assert_eq!(code(&backend.put("main/ac/0", &[7; 5000])), "too_large");
    assert_eq!(backend.put("main/ac/0", &[7; 500]), Ok(()));
}

#[test]
fn restarted_server_is_found_again_at_once() {
    let mut server = Server::nginx("create_full_put_path on;", "");
    let backend = connect(&server.url("http", ""));
    backend.put("main/ac/a", b"value").unwrap();
    server.restart();
    assert_eq!(backend.get("main/ac/a", LARGE), Ok(Some(b"value".to_vec())));
    server.kill();
    assert_eq!(code(&backend.has("main/ac/a")), "unreachable");
    server.restart();
    backend.put("main/ac/a", b"again").unwrap();
}

#[test]
fn one_connection_serves_many_calls() {
    let server = Server::nginx("", "");
    let proxy = FaultProxy::start(server.port(), Fault::None);
    let backend = connect(&format!("http://127.0.0.1:{}", proxy.port()));
    for _ in 0..20 {
        backend.put("main/ac/a", b"value").unwrap();
        backend.get("main/ac/a", LARGE).unwrap();
        backend.get("main/ac/absent", LARGE).unwrap();
        backend.has("main/ac/a").unwrap();
    }
    let opened = proxy.connections();
    assert!(opened < 5, "{opened} connections");
}

#[test]
fn statuses_are_told_apart() {
    for (status, expected) in [
        ("400 Bad Request", "server"),
        ("401 Unauthorized", "denied"),
        ("403 Forbidden", "denied"),
        ("413 Content Too Large", "too_large"),
        ("418 I'm a teapot", "server"),
        ("429 Too Many Requests", "busy"),
        ("500 Internal Server Error", "server"),
        ("502 Bad Gateway", "server"),
        ("503 Service Unavailable", "busy"),
        ("507 Insufficient Storage", "full"),
    ] {
        let server = CannedHttp::status(status, &[], "sorry");
        let backend = connect(&server.url());
        for done in [
            backend.get("main/ac/0", LARGE).map(drop),
            backend.put("main/ac/0", b"value"),
            backend.has("main/ac/0").map(drop),
            backend.probe(),
        ] {
            assert_eq!(code(&done), expected, "{status}: {done:?}");
        }
    }
    for status in ["404 Not Found", "410 Gone"] {
        let server = CannedHttp::status(status, &[], "sorry");
        let backend = connect(&server.url());
        assert_eq!(backend.get("main/ac/0", LARGE), Ok(None));
        assert_eq!(backend.has("main/ac/0"), Ok(false));
        assert_eq!(backend.probe(), Ok(()));
        assert_eq!(code(&backend.put("main/ac/0", b"value")), "server");
    }
}

#[test]
fn time_to_stay_away_is_passed_on() {
    for (header, expected) in [
        ("Retry-After: 7", Some(Duration::from_secs(7))),
        ("Retry-After: Fri, 31 Dec 1999 23:59:59 GMT", None),
        ("Retry-After: 99999999999999999999999", None),
        ("X-Other: 1", None),
    ] {
        let server = CannedHttp::status("429 Too Many Requests", &[header], "");
        let done = connect(&server.url()).put("main/ac/0", b"value");
        assert_eq!(done.unwrap_err().retry_after(), expected, "{header}");
    }
}

#[test]
fn redirects_are_not_followed() {
    let other = CannedHttp::status("200 OK", &[], "stolen");
    for status in ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"] {
        let location = format!("Location: {}/main/ac/0", other.url());
        let server = CannedHttp::status(status, &[&location], "");
        let backend = connect(&server.url());
        let got = backend.get("main/ac/0", LARGE);
        assert_eq!(code(&got), "server", "{got:?}");
        let put = backend.put("main/ac/0", b"secret");
        assert_eq!(code(&put), "server", "{put:?}");
    }
    assert_eq!(other.requests(), Vec::<String>::new());
}

/// The error of a get from a server with this answer.
#[track_caller]
fn refused(answer: &str, most: u64) -> BackendError {
    let server = CannedHttp::start(answer);
    let backend = open(&server.url(), HASTY).unwrap();
    let got = in_time(|| backend.get("main/ac/0", most));
    got.expect_err(answer)
}

#[test]
fn answers_that_break_the_protocol_or_their_length_are_garbled() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        "HTTP/1.1 200 OK\r\n\r\nof no length",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nshort\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nshort",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Encoding: gzip\r\n\r\nshort",
        "-ERR unknown command\r\n",
    ] {
        let error = refused(answer, LARGE);
        assert_eq!(error.code(), "garbled", "{answer:?}: {error:?}");
    }
    // ureq does not tell whether a part of the head had come.
    assert_eq!(refused("HTTP/1.1 2", LARGE).code(), "unreachable");
}

#[test]
fn announced_length_beyond_the_limit_is_refused_unread() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n01234567890",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n",
    ] {
        let error = refused(answer, 10);
        assert_eq!(error.code(), "too_large", "{answer:?}: {error:?}");
    }
}

#[test]
fn bytes_after_an_answer_do_not_reach_the_next_one() {
    let server = CannedHttp::start(
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nvalueHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong",
    );
    let backend = connect(&server.url());
    for _ in 0..3 {
        assert_eq!(backend.get("main/ac/0", LARGE), Ok(Some(b"value".to_vec())));
    }
}
