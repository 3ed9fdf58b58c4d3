//! Lists of records: a new machine brings what another one has named, and then needs no server.

use super::farm::Farm;
use crate::support::servers::Server;

/// What `pcache remote` prints with these words, and its exit status.
fn said(farm: &Farm, words: &[&str]) -> (Option<i32>, String) {
    let output = farm.remote(words);
    let texts = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(texts).expect("text");
    (output.status.code(), text)
}

#[test]
fn a_machine_pulls_what_another_has_named_and_then_needs_no_server() {
    let server = Server::redis(&[]);
    let url = server.url("redis", "");
    let mut farm = Farm::with_stubs(&url);
    farm.compile(1).misses(1);
    farm.compile(2).misses(1);
    assert_eq!(said(&farm, &["push", "--as", "main"]).0, Some(0));
    farm.flush();
    farm.on("b");
    let (status, text) = said(&farm, &["pull", "main"]);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.ends_with(" were brought and 0 were here\n"), "{text}");
    // A second time, all of it is here.
    let (status, text) = said(&farm, &["pull", "main"]);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains(", 0 were brought and "), "{text}");
    assert_eq!(said(&farm, &["stop"]).0, Some(0));
    farm.ws.unset_env("PCACHE_REMOTE");
    farm.compile(1).hits_directly(1);
    farm.compile(2).hits_directly(1);
}

#[test]
fn a_list_takes_the_place_of_the_one_before() {
    let server = Server::redis(&[]);
    let mut farm = Farm::with_stubs(&server.url("redis", ""));
    farm.compile(1).misses(1);
    said(&farm, &["push", "--as", "main"]);
    farm.flush();
    farm.compile(2).misses(1);
    said(&farm, &["push", "--as", "main"]);
    farm.flush();
    farm.on("b");
    assert_eq!(said(&farm, &["pull", "main"]).0, Some(0));
    farm.ws.unset_env("PCACHE_REMOTE");
    farm.compile(2).hits_directly(1);
}

#[test]
fn a_list_that_no_server_has_is_an_error_that_says_who_writes_it() {
    let server = Server::redis(&[]);
    let farm = Farm::with_stubs(&server.url("redis", ""));
    let (status, text) = said(&farm, &["pull", "main"]);
    assert_ne!(status, Some(0), "{text}");
    assert!(text.contains("pcache remote push --as main"), "{text}");
}

#[test]
fn a_list_without_its_signature_is_not_believed() {
    let server = Server::redis(&[]);
    let mut farm = Farm::with_stubs(&server.url("redis", ""));
    farm.compile(1).misses(1);
    said(&farm, &["push", "--as", "main"]);
    farm.flush();
    farm.on("b");
    let (_, public) = said(&farm, &["keygen", "farm", "farm.key"]);
    farm.ws.set_env("PCACHE_TRUSTED_KEYS", public.trim());
    let (status, text) = said(&farm, &["pull", "main"]);
    assert_ne!(status, Some(0), "{text}");
    let counted = farm.counted();
    assert_eq!((counted.hits, counted.failures["untrusted"]), (0, 1));
}
