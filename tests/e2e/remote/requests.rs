//! How often servers are asked, and how each answer is counted.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use super::farm::Farm;
use crate::support::servers::Server;

/// How many values a Redis was asked for.
fn asked(server: &Server) -> u64 {
    let mut connection = TcpStream::connect(("127.0.0.1", server.port())).expect("a connection");
    connection
        .write_all(b"INFO commandstats\r\n")
        .expect("sent");
    let mut answer = BufReader::new(connection);
    let mut length = String::new();
    answer.read_line(&mut length).expect("a length");
    let length: usize = length[1..].trim().parse().expect("a number");
    let mut text = vec![0; length];
    answer.read_exact(&mut text).expect("an answer");
    let text = String::from_utf8(text).expect("text");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("cmdstat_get:calls="));
    line.map_or(0, |line| {
        line.split(',')
            .next()
            .expect("a count")
            .parse()
            .expect("a number")
    })
}

/// The source has a `#warning`: the key of its result holds how messages are shown, and what is found first is a pointer.
#[test]
fn a_direct_hit_with_messages_takes_two_requests() {
    let server = Server::redis(&[]);
    let mut farm = Farm::with_stubs(&server.url("redis", ""));
    farm.compile(1).misses(1);
    farm.flush();
    farm.on("b").start_helper();
    let before = asked(&server);
    farm.compile(1).hits_directly(1);
    assert_eq!(asked(&server) - before, 2);
    let counted = farm.counted();
    assert_eq!((counted.hits, counted.misses), (3, 0), "{counted:?}");
}

/// What this machine knows of the files is all that the server knows, but a file has changed.
#[test]
fn a_list_that_brings_nothing_new_is_no_miss() {
    let server = Server::redis(&[]);
    let mut farm = Farm::with_stubs(&server.url("redis", ""));
    farm.compile(1).misses(1);
    farm.flush();
    let before = farm.counted();
    assert_eq!(before.unchanged, 0);
    farm.ws.write("value.h", "#define VALUE 2\n");
    farm.compile(1).misses(1);
    let after = farm.counted();
    assert_eq!(after.unchanged, 1, "{after:?}");
    assert_eq!(after.hits, before.hits);
}
