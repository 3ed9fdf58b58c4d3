//! Redis and Valkey: logins, databases, limits, restarts.

use crate::fault_proxy::{Fault, FaultProxy};
use crate::servers::{Server, free_port};
use crate::{LARGE, bytes, code, connect, poll};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

/// What a server answers to a command, as text.
fn ask(server: &Server, command: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    write!(stream, "{command}\r\nQUIT\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text.replace("+OK\r\n", "")
}

#[test]
fn keys_have_a_prefix_and_expire_if_the_url_says_so() {
    let server = Server::redis(&[]);
    connect(&server.url("redis", ""))
        .put("main/ac/a", b"one")
        .unwrap();
    assert_eq!(ask(&server, "GET pcache/main/ac/a"), "$3\r\none\r\n");
    assert_eq!(ask(&server, "TTL pcache/main/ac/a"), ":-1\r\n");
    let passing = connect(&server.url("redis", "/4?ttl=500"));
    passing.put("main/ac/b", b"two").unwrap();
    let told = ask(&server, "SELECT 4\r\nTTL pcache/main/ac/b");
    assert!(told == ":500\r\n" || told == ":499\r\n", "{told:?}");
    assert_eq!(passing.get("main/ac/a", LARGE), Ok(None));
}

#[test]
fn passwords_and_users_open_what_they_may() {
    let server = Server::redis(&["--requirepass", "p@ss:w/rd"]);
    for (login, expected) in [
        ("", "denied"),
        (":wrong@", "denied"),
        (":p%40ss%3Aw%2Frd@", "ok"),
        ("default:p%40ss%3Aw%2Frd@", "ok"),
    ] {
        let url = format!("redis://{login}127.0.0.1:{}", server.port());
        let done = connect(&url).put("main/ac/a", b"value");
        assert_eq!(code(&done), expected, "{login}: {done:?}");
        assert!(!format!("{done:?}").contains("p@ss"), "{done:?}");
    }
    ask(
        &server,
        "AUTH p@ss:w/rd\r\nACL SETUSER reader on >secret ~pcache/* +get +exists +ping",
    );
    let url = format!("redis://reader:secret@127.0.0.1:{}", server.port());
    let reader = connect(&url);
    assert_eq!(reader.get("main/ac/a", LARGE), Ok(Some(b"value".to_vec())));
    assert_eq!(code(&reader.put("main/ac/a", b"other")), "denied");
    // The refusal has not spoilt the connection.
    assert_eq!(reader.has("main/ac/a"), Ok(true));
}

#[test]
fn password_for_a_server_without_one_is_denied() {
    for server in [Server::redis(&[]), Server::valkey(&[])] {
        let url = format!("redis://user:word@127.0.0.1:{}", server.port());
        assert_eq!(code(&connect(&url).probe()), "denied");
    }
}

#[test]
fn full_server_is_busy() {
    let server = Server::redis(&["--maxmemory", "3mb", "--maxmemory-policy", "noeviction"]);
    let backend = connect(&server.url("redis", ""));
    let mut codes = (0..20).map(|at| {
        let value = bytes(1024 * 1024, at + 1);
        code(&backend.put(&format!("main/cas/{at}"), &value))
    });
    assert!(codes.any(|code| code == "busy"));
    assert_eq!(backend.probe(), Ok(()));
}

#[test]
fn server_without_room_for_connections_is_busy() {
    let server = Server::redis(&["--maxclients", "1"]);
    let first = connect(&server.url("redis", ""));
    // The connection that waited for the start may not have gone yet.
    poll::until("the first client gets in", || first.probe().ok());
    let second = connect(&server.url("redis", ""));
    let done = second.probe();
    assert_eq!(code(&done), "busy", "{done:?}");
}

#[test]
fn missing_database_is_an_error_of_the_server() {
    let server = Server::redis(&[]);
    let done = connect(&server.url("redis", "/99")).probe();
    assert_eq!(code(&done), "server", "{done:?}");
}

#[test]
fn value_of_another_type_is_an_error_of_the_server() {
    let server = Server::redis(&[]);
    ask(&server, "LPUSH pcache/main/ac/list 1");
    let backend = connect(&server.url("redis", ""));
    assert_eq!(code(&backend.get("main/ac/list", LARGE)), "server");
    assert_eq!(backend.probe(), Ok(()));
}

#[test]
fn restarted_server_is_found_again_at_once() {
    for mut server in [Server::redis(&[]), Server::valkey(&[])] {
        let backend = connect(&server.url("redis", ""));
        backend.put("main/ac/a", b"value").unwrap();
        server.restart();
        assert_eq!(backend.get("main/ac/a", LARGE), Ok(None));
        backend.put("main/ac/a", b"again").unwrap();
        server.kill();
        assert_eq!(code(&backend.has("main/ac/a")), "unreachable");
        server.restart();
        assert_eq!(backend.has("main/ac/a"), Ok(false));
    }
}

#[test]
fn one_connection_serves_many_calls() {
    let server = Server::redis(&[]);
    let proxy = FaultProxy::start(server.port(), Fault::None);
    let backend = connect(&format!("redis://127.0.0.1:{}", proxy.port()));
    for _ in 0..20 {
        backend.put("main/ac/a", b"value").unwrap();
        backend.get("main/ac/a", LARGE).unwrap();
    }
    assert_eq!(proxy.connections(), 1);
}

#[test]
fn server_that_ends_idle_connections_is_asked_by_a_new_one() {
    let server = Server::redis(&[]);
    let backend = connect(&server.url("redis", ""));
    backend.put("main/ac/a", b"value").unwrap();
    ask(&server, "CLIENT KILL TYPE normal SKIPME yes");
    assert_eq!(backend.get("main/ac/a", LARGE), Ok(Some(b"value".to_vec())));
}

/// A server of a cluster, and the port at which the others reach it.
fn member(kind: &str) -> (Server, u16) {
    let bus = free_port();
    let program = crate::servers::program(kind);
    let server = Server::start(move |dir, port| {
        let mut command = Command::new(&program);
        command.current_dir(dir);
        command.args([
            "--bind",
            "127.0.0.1",
            "--port",
            &port.to_string(),
            "--save",
            "",
        ]);
        command.args([
            "--cluster-enabled",
            "yes",
            "--cluster-port",
            &bus.to_string(),
        ]);
        command.args(["--requirepass", "word", "--masterauth", "word"]);
        command
    });
    (server, bus)
}

#[test]
fn keys_of_a_cluster_are_found_on_their_servers() {
    for kind in ["redis-server", "valkey-server"] {
        let (first, _) = member(kind);
        let (second, bus) = member(kind);
        let tell = |server: &Server, command: &str| ask(server, &format!("AUTH word\r\n{command}"));
        tell(&first, "CLUSTER ADDSLOTSRANGE 0 8191");
        tell(&second, "CLUSTER ADDSLOTSRANGE 8192 16383");
        let meet = format!("CLUSTER MEET 127.0.0.1 {} {bus}", second.port());
        tell(&first, &meet);
        poll::until("the cluster is whole", || {
            let is_whole = |server| {
                let told = tell(server, "CLUSTER INFO");
                told.contains("cluster_state:ok") && told.contains("cluster_known_nodes:2")
            };
            (is_whole(&first) && is_whole(&second)).then_some(())
        });
        let url = format!("redis://:word@127.0.0.1:{}", first.port());
        let backend = connect(&url);
        for at in 0..50 {
            let (name, value) = (format!("main/cas/{at}"), bytes(100 * at, 9));
            backend.put(&name, &value).unwrap();
            assert_eq!(backend.get(&name, LARGE), Ok(Some(value)), "{name}");
            assert_eq!(backend.has(&name), Ok(true), "{name}");
        }
        for server in [&first, &second] {
            assert_ne!(tell(server, "DBSIZE"), ":0\r\n");
        }
        drop(second);
        let lost = (0..50).filter(|at| backend.has(&format!("main/cas/{at}")).is_err());
        let lost = lost.count();
        assert!(
            (1..50).contains(&lost),
            "{lost} of 50 keys are out of reach"
        );
    }
}

#[test]
fn web_server_in_place_of_redis_is_garbled() {
    let server = Server::nginx("", "");
    let done = connect(&server.url("redis", "")).probe();
    assert_eq!(code(&done), "garbled", "{done:?}");
}
