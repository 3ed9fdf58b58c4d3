//! memcached: limits, expiry, restarts.

use crate::servers::Server;
use crate::{LARGE, bytes, code, connect, poll};

#[test]
fn value_beyond_the_servers_limit_is_too_large_and_the_next_call_works() {
    let server = Server::memcached(&["-I", "1m"]);
    let backend = connect(&server.url("memcached", ""));
    backend.put("main/ac/a", b"value").unwrap();
    let done = backend.put("main/cas/large", &bytes(2 * 1024 * 1024, 1));
    assert_eq!(code(&done), "too_large", "{done:?}");
    assert_eq!(backend.has("main/cas/large"), Ok(false));
    assert_eq!(backend.get("main/ac/a", LARGE), Ok(Some(b"value".to_vec())));
}

#[test]
fn full_server_that_may_forget_nothing_says_so() {
    let server = Server::memcached(&["-M", "-I", "1m", "-m", "3"]);
    let backend = connect(&server.url("memcached", ""));
    let mut codes = (0..20).map(|at| {
        let value = bytes(500_000, at + 1);
        code(&backend.put(&format!("main/cas/{at}"), &value))
    });
    assert!(codes.any(|code| code == "full"));
    assert_eq!(backend.probe(), Ok(()));
}

#[test]
fn values_expire_if_the_url_says_so() {
    let server = Server::memcached(&[]);
    let backend = connect(&server.url("memcached", "?ttl=1"));
    backend.put("main/ac/a", b"value").unwrap();
    poll::until("the value is forgotten", || {
        backend
            .get("main/ac/a", LARGE)
            .unwrap()
            .is_none()
            .then_some(())
    });
}

#[test]
fn server_that_was_started_again_is_found_without_an_error() {
    let mut server = Server::memcached(&[]);
    let backend = connect(&server.url("memcached", ""));
    backend.put("main/ac/a", b"value").unwrap();
    server.restart();
    assert_eq!(backend.get("main/ac/a", LARGE), Ok(None));
}

#[test]
fn name_that_makes_too_long_a_key_is_denied() {
    let server = Server::memcached(&[]);
    let backend = connect(&server.url("memcached", ""));
    let name = format!("{}/ac/{}", "n".repeat(200), "0".repeat(64));
    assert_eq!(code(&backend.put(&name, b"value")), "denied");
}
