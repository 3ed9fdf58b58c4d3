//! Caches of the Remote Execution API: buildbox-casd, and other ones at the address in `PCACHE_TEST_REAPI`.

use crate::fault_proxy::{Fault, FaultProxy};
use crate::poll::until;
use crate::servers::{Server, program};
use crate::{HASTY, LARGE, bytes, code, connect, in_time};
use pcache_nvcc::remote::backend::{RemoteBackend, open};
use sha2::{Digest as _, Sha256};
use std::process::Command;
use std::thread;

pub fn casd() -> Server {
    let program = program("buildbox-casd");
    Server::start(move |dir, port| {
        let mut command = Command::new(&program);
        command.arg(format!("--bind=127.0.0.1:{port}"));
        command.arg(dir.join("data"));
        command
    })
}

/// Runs a check against each server.
fn each(check: impl Fn(&dyn RemoteBackend)) {
    let casd = casd();
    check(connect(&casd.url("grpc", "")).as_ref());
    if let Ok(url) = std::env::var("PCACHE_TEST_REAPI") {
        check(connect(&url).as_ref());
    }
}

/// An `ActionResult` with this standard output.
pub fn result(stdout: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    if stdout.is_empty() {
        return message;
    }
    message.push(5 << 3 | 2);
    let mut size = stdout.len();
    while size >= 0x80 {
        message.push(size as u8 | 0x80);
        size >>= 7;
    }
    message.push(size as u8);
    message.extend(stdout);
    message
}

fn action(seed: u64) -> String {
    action_of("main", seed)
}

fn action_of(namespace: &str, seed: u64) -> String {
    format!("{namespace}/ac/{}", hash(&seed.to_le_bytes()))
}

fn blob(value: &[u8]) -> String {
    format!("main/cas/{}", hash(value))
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[test]
fn absent_values_are_none_and_the_server_answers() {
    each(|server| {
        assert_eq!(server.probe(), Ok(()));
        assert_eq!(server.get(&action(1000), LARGE), Ok(None));
        assert_eq!(server.has(&action(1000)), Ok(false));
        for size in [1, 1000, 3 << 20] {
            let absent = blob(&bytes(size, 99));
            assert_eq!(server.get(&absent, size as u64), Ok(None), "{size}");
            assert_eq!(server.has(&absent), Ok(false));
        }
    });
}

#[test]
fn results_come_back_as_they_were_put_and_later_ones_replace_them() {
    each(|server| {
        for size in [1, 5_000_000, 1000, 2 << 20, 3_900_000] {
            let value = result(&bytes(size, size as u64));
            assert_eq!(server.put(&action(1), &value), Ok(()), "{size}");
            assert_eq!(server.has(&action(1)), Ok(true), "{size}");
            let got = server.get(&action(1), LARGE).unwrap();
            assert!(got == Some(value), "other bytes of {size}");
        }
    });
}

#[test]
fn blobs_come_back_as_they_were_put_also_twice() {
    each(|server| {
        for size in [0, 1, 1024, 2 << 20, (2 << 20) + 1, 5_000_000] {
            let value = bytes(size, 3);
            for _ in 0..2 {
                assert_eq!(server.put(&blob(&value), &value), Ok(()), "{size}");
            }
            let got = server.get(&blob(&value), size as u64).unwrap();
            assert!(got == Some(value), "other bytes of {size}");
        }
    });
}

#[test]
fn namespaces_have_results_of_their_own() {
    each(|server| {
        let (ours, theirs) = (result(b"ours"), result(b"theirs"));
        server.put(&action(7), &ours).unwrap();
        assert_eq!(server.get(&action_of("pr-1", 7), LARGE), Ok(None));
        server.put(&action_of("pr-1", 7), &theirs).unwrap();
        assert_eq!(server.get(&action(7), LARGE), Ok(Some(ours)));
        assert_eq!(server.get(&action_of("pr-1", 7), LARGE), Ok(Some(theirs)));
    });
}

#[test]
fn result_beyond_the_limit_is_refused_and_the_next_call_works() {
    each(|server| {
        server.put(&action(2), &result(b"small")).unwrap();
        for size in [100_000, 1_000_000, 5_000_000] {
            server.put(&action(3), &result(&bytes(size, 1))).unwrap();
            for most in [0, 1024, size as u64 - 1] {
                let got = server.get(&action(3), most);
                assert_eq!(code(&got), "too_large", "{size} {most}: {got:?}");
                let got = server.get(&action(2), LARGE);
                assert_eq!(got, Ok(Some(result(b"small"))));
            }
        }
    });
}

#[test]
fn what_is_no_result_and_has_not_its_digest_is_denied_without_asking() {
    each(|server| {
        let no_digest = blob(b"other");
        for (name, value) in [
            (action(4).as_str(), &b"\x2a\x7f"[..]),
            (&no_digest, b"value"),
            ("main/ac/0123", b""),
            ("main/other", b""),
            ("../ac/x", b""),
            ("", b""),
        ] {
            let done = server.put(name, value);
            assert_eq!(code(&done), "denied", "{name}: {done:?}");
        }
    });
}

#[test]
fn sixteen_threads_share_one_connection() {
    each(|server| {
        thread::scope(|scope| {
            for thread in 0..16u64 {
                scope.spawn(move || {
                    for turn in 0..20 {
                        let text = bytes(2000 * turn + 1, thread * 100 + turn as u64 + 1);
                        let (name, value) = (action(thread * 100), result(&text));
                        server.put(&name, &value).unwrap();
                        let got = server.get(&name, LARGE).unwrap();
                        assert!(got == Some(value), "other bytes of {name}");
                        server.put(&blob(&text), &text).unwrap();
                        let got = server.get(&blob(&text), text.len() as u64);
                        assert!(got == Ok(Some(text)), "other bytes of a blob");
                    }
                });
            }
        });
    });
}

#[test]
fn broken_connections_end_in_time_and_the_server_is_found_again() {
    let casd = casd();
    let proxy = FaultProxy::start(casd.port(), Fault::None);
    let server = open(&format!("grpc://127.0.0.1:{}", proxy.port()), HASTY).unwrap();
    let (name, value) = (action(1), result(&bytes(100_000, 1)));
    connect(&casd.url("grpc", "")).put(&name, &value).unwrap();
    for (fault, expected) in [
        (Fault::Silent, &["timeout"][..]),
        (Fault::Reset, &["unreachable"]),
        (Fault::Refuse, &["unreachable"]),
        (
            Fault::CutAfter(30_000),
            &["unreachable", "garbled", "timeout", "ok"],
        ),
        (
            Fault::WrongBytes,
            &["unreachable", "garbled", "timeout", "server", "ok"],
        ),
    ] {
        let got = until("the server is found again", || {
            server.get(&name, LARGE).ok()
        });
        assert!(got.as_ref() == Some(&value), "after {fault:?}: other bytes");
        proxy.set(fault);
        for _ in 0..2 {
            let codes = [
                code(&in_time(|| server.get(&name, LARGE))),
                code(&in_time(|| server.put(&name, &value))),
                code(&in_time(|| server.has(&name))),
                code(&in_time(|| server.probe())),
            ];
            let is_expected = codes.iter().all(|code| expected.contains(code));
            assert!(is_expected, "{fault:?}: {codes:?}");
        }
        proxy.set(Fault::None);
    }
}

#[test]
fn bad_urls_say_what_is_wrong() {
    for (url, why) in [
        ("grpc://", "no host"),
        ("grpc://user:secret@host", "header"),
        ("grpc://host?ca=x", "ca"),
        ("grpc://host?header=x", "NAME:VALUE"),
        ("grpcs://host?ca=/does/not/exist", "/does/not/exist"),
    ] {
        let Err(error) = open(url, HASTY) else {
            panic!("{url} was taken");
        };
        assert!(error.why.contains(why), "{url}: {error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
