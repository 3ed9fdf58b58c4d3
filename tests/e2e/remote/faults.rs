//! Servers that break: every build succeeds with nvcc's bytes, each failure has its name, a server that fails again and
//! again is left alone, and one that is well again is asked again.

use std::time::Duration;

use super::farm::Farm;
use crate::support::canned_http::CannedHttp;
use crate::support::fault_proxy::{Fault, FaultProxy};
use crate::support::poll::until;
use crate::support::servers::{Server, free_port};
use crate::support::workspace::{Workspace, program};

/// Units of one test.
const UNITS: usize = 8;

/// What a compile waits in these tests, in milliseconds.
const WAIT: &str = "300";

/// A farm whose first machine has filled a server, and a proxy in front of it.
fn filled(server: &Server, scheme: &str) -> (Farm, FaultProxy) {
    let mut farm = Farm::with_stubs(&server.url(scheme, ""));
    for number in 0..UNITS {
        farm.compile(number).misses(1);
    }
    farm.flush();
    let proxy = FaultProxy::start(server.port(), Fault::None);
    let url = format!("{scheme}://127.0.0.1:{}", proxy.port());
    farm.ws.set_env("PCACHE_REMOTE", format!("{url} read-only"));
    farm.ws.set_env("PCACHE_REMOTE_WAIT", WAIT);
    farm.on("b");
    (farm, proxy)
}

/// Waits until the helper asks its server again.
fn wait_until_asked(farm: &Farm) {
    until("the server is asked again", || {
        let status = farm.status();
        (status["servers"][0]["is_asked"] == true).then_some(())
    });
}

/// A server with a fault is left alone after a few failures, of these kinds, and asked again when it is well.
#[track_caller]
fn is_left_alone(server: &Server, scheme: &str, fault: Fault, kinds: &[&str]) {
    let (mut farm, proxy) = filled(server, scheme);
    farm.start_helper();
    proxy.set(fault);
    for number in 0..UNITS / 2 {
        farm.compile(number).misses(1);
        if farm.status()["servers"][0]["is_asked"] == false {
            break;
        }
    }
    let counted = farm.counted();
    // What failed is no miss.
    assert_eq!((counted.hits, counted.misses), (0, 0), "{counted:?}");
    for kind in counted.failures.keys() {
        assert!(
            kinds.contains(&kind.as_str()) || kind == "wait",
            "{counted:?}"
        );
    }
    assert_eq!(
        farm.status()["servers"][0]["is_asked"],
        false,
        "{counted:?}"
    );
    // No compile opens a connection now; a probe does, once in a while.
    let connections = proxy.connections();
    for number in 100..105 {
        farm.compile(number).misses(1);
    }
    assert_eq!(farm.counted(), counted);
    assert!(proxy.connections() - connections < 5);
    proxy.set(Fault::None);
    wait_until_asked(&farm);
    // The wait is so short that a busy machine may need more than one.
    let mut left = UNITS / 2..UNITS;
    assert!(left.any(|number| farm.compile(number).counted.direct_hits == 1));
}

#[test]
fn a_silent_redis_is_left_alone() {
    is_left_alone(&Server::redis(&[]), "redis", Fault::Silent, &["timeout"]);
}

#[test]
fn a_silent_web_server_is_left_alone() {
    is_left_alone(&Server::nginx("", ""), "http", Fault::Silent, &["timeout"]);
}

#[test]
fn a_slow_server_is_left_alone() {
    let fault = Fault::Delay(Duration::from_secs(2));
    is_left_alone(&Server::redis(&[]), "redis", fault, &["timeout"]);
}

#[test]
fn a_server_that_drips_is_left_alone() {
    let fault = Fault::Drip(Duration::from_millis(20));
    is_left_alone(&Server::nginx("", ""), "http", fault, &["timeout"]);
}

#[test]
fn a_server_that_resets_connections_is_left_alone() {
    let kinds = ["unreachable"];
    is_left_alone(&Server::redis(&[]), "redis", Fault::Reset, &kinds);
}

#[test]
fn a_server_that_has_gone_is_left_alone() {
    let kinds = ["unreachable"];
    is_left_alone(&Server::nginx("", ""), "http", Fault::Refuse, &kinds);
}

#[test]
fn a_server_that_cuts_answers_off_is_left_alone() {
    let kinds = ["garbled", "unreachable"];
    is_left_alone(&Server::redis(&[]), "redis", Fault::CutAfter(3), &kinds);
}

#[test]
fn a_little_delay_is_no_fault() {
    let server = Server::redis(&[]);
    let (mut farm, proxy) = filled(&server, "redis");
    farm.ws.set_env("PCACHE_REMOTE_WAIT", "60000");
    proxy.set(Fault::Delay(Duration::from_millis(20)));
    farm.start_helper();
    for number in 0..UNITS {
        farm.compile(number).hits_directly(1);
    }
    let counted = farm.counted();
    assert!(
        counted.failures.is_empty() && counted.misses == 0,
        "{counted:?}"
    );
}

#[test]
fn wrong_bytes_are_refused() {
    for (server, scheme) in [
        (Server::redis(&[]), "redis"),
        (Server::nginx("", ""), "http"),
    ] {
        let (mut farm, proxy) = filled(&server, scheme);
        farm.ws.set_env("PCACHE_REMOTE_WAIT", "60000");
        farm.start_helper();
        proxy.set(Fault::WrongBytes);
        for number in 0..UNITS {
            farm.compile(number).succeeds();
        }
        let counted = farm.counted();
        // A byte that was changed outside of the value does no harm.
        assert!(counted.failures["garbled"] > 0, "{counted:?}");
    }
}

#[test]
fn a_server_that_is_down_from_the_start_costs_no_build() {
    let mut farm = Farm::with_stubs(&format!("redis://127.0.0.1:{}", free_port()));
    for number in 0..3 {
        farm.compile(number).misses(1);
    }
    let counted = farm.counted();
    assert_eq!((counted.hits, counted.misses), (0, 0));
    assert!(counted.failures["unreachable"] >= 3, "{counted:?}");
    assert!(!farm.remote(&["flush", "--timeout", "1s"]).status.success());
}

/// What HTTP servers say, and as what it is counted; nothing for one that only has no such value.
#[test]
fn refusals_of_web_servers_have_names() {
    let lies = |length: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nshort");
    let plain = |status| CannedHttp::status(status, &[], "words");
    for (server, kind) in [
        (plain("401 Unauthorized"), "denied"),
        (plain("403 Forbidden"), "denied"),
        (plain("404 Not Found"), ""),
        (plain("429 Too Many Requests"), "busy"),
        (plain("500 Internal Server Error"), "server"),
        (plain("503 Service Unavailable"), "busy"),
        (plain("507 Insufficient Storage"), "full"),
        (plain("302 Found"), "server"),
        (plain("200 OK"), "garbled"),
        (CannedHttp::start(lies("1000000")), "garbled"),
        (CannedHttp::start(lies("99999999999999")), "too_large"),
        (CannedHttp::start(lies("-1")), "garbled"),
        (CannedHttp::start("nonsense\r\n\r\n"), "garbled"),
    ] {
        let mut farm = Farm::with_stubs(&format!("{} read-only", server.url()));
        farm.compile(1).misses(1);
        let counted = farm.counted();
        assert_eq!(counted.hits, 0);
        if kind.is_empty() {
            assert!(counted.misses > 0 && counted.failures.is_empty());
        } else {
            let kinds: Vec<_> = counted.failures.keys().collect();
            assert_eq!(kinds, [kind], "{counted:?}");
            assert_eq!(counted.misses, 0);
        }
        assert!(!server.requests().is_empty());
    }
}

/// A server that asks for a pause gets it.
#[test]
fn a_busy_server_is_asked_once() {
    let server = CannedHttp::status("429 Too Many Requests", &["Retry-After: 3600"], "");
    let mut farm = Farm::with_stubs(&format!("{} read-only", server.url()));
    for number in 0..4 {
        farm.compile(number).misses(1);
    }
    assert_eq!(server.requests().len(), 1);
    assert_eq!(farm.counted().failures["busy"], 1);
}

/// One value that a server does not take keeps no other from being sent.
#[test]
fn values_that_are_too_large_are_given_up() {
    let server = Server::nginx("client_max_body_size 1k;", "");
    let mut farm = Farm::with_stubs(&server.url("http", ""));
    for number in 0..3 {
        farm.compile(number).misses(1);
    }
    farm.flush();
    let counted = farm.counted();
    assert!(counted.sent > 0 && counted.unsent > 0, "{counted:?}");
    assert_eq!(counted.failures["too_large"], counted.unsent);
}

/// What servers have cannot be stored, nor what compiles have made be queued.
#[test]
fn a_full_cache_costs_hits_and_no_build() {
    let server = Server::redis(&[]);
    let ws = Workspace::with("unit.cu", "__global__ void k(int *p) { *p = 1; }\n");
    let mut farm = Farm::new(ws, &server.url("redis", ""));
    let args = ["-c", "unit.cu", "-o", "unit.o"];
    farm.ws.build(&args).misses(1);
    farm.flush();
    let expected = farm.ws.kept(&args);
    for size in ["nr_inodes=3", "size=16k", "size=64k", "nr_inodes=20"] {
        farm.on(&size.replace('=', "-"));
        let mount = format!("mkdir -p $PCACHE_DIR && mount -t tmpfs -o {size} none $PCACHE_DIR");
        let compile = format!("{mount} && \"$0\" \"$@\" && exec \"$0\" \"$@\"");
        let mut inside = farm.ws.command("unshare");
        inside.args(["--mount", "--map-root-user", "sh", "-c", &compile]);
        inside.arg(program("pcache-nvcc")).args(args);
        let built = farm.ws.try_run(inside);
        built.succeeds().same_files_as(&expected);
    }
}
