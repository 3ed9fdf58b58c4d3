//! Networks and servers that break, behind each kind of server: every call ends in time, with an error of the right
//! kind, and the server is found again afterwards.

use crate::fault_proxy::{Fault, FaultProxy};
use crate::servers::{Server, free_port};
use crate::{HASTY, LARGE, bytes, code, in_time};
use pcache_nvcc::remote::backend::{BackendError, RemoteBackend, TimeoutPhase, Timeouts, open};
use std::time::Duration;

const SLOW: Duration = Duration::from_secs(2);

/// A server with one value, behind a proxy.
struct Broken {
    _server: Server,
    proxy: FaultProxy,
    backend: Box<dyn RemoteBackend>,
    value: Vec<u8>,
}

impl Broken {
    /// Each kind of server, once.
    fn all() -> Vec<Self> {
        let nginx = "create_full_put_path on;";
        vec![
            Self::new(Server::redis(&[]), "redis", HASTY),
            Self::new(Server::valkey(&[]), "redis", HASTY),
            Self::new(Server::memcached(&[]), "memcached", HASTY),
            Self::new(Server::nginx(nginx, ""), "http", HASTY),
            #[cfg(feature = "cloud")]
            Self::at(crate::cloud::moto(&[]), HASTY, |port| {
                crate::cloud::s3_url(port, "", crate::cloud::KEYS)
            }),
        ]
    }

    fn new(server: Server, scheme: &str, timeouts: Timeouts) -> Self {
        Self::at(server, timeouts, |port| {
            format!("{scheme}://127.0.0.1:{port}")
        })
    }

    /// A server whose URL follows from the port.
    fn at(server: Server, timeouts: Timeouts, url: impl Fn(u16) -> String) -> Self {
        let value = bytes(100_000, 3);
        let patient = crate::connect(&url(server.port()));
        patient.put("main/cas/value", &value).unwrap();
        let proxy = FaultProxy::start(server.port(), Fault::None);
        let backend = open(&url(proxy.port()), timeouts).unwrap();
        Self {
            _server: server,
            proxy,
            backend,
            value,
        }
    }

    /// Makes every call under a fault and checks that each ends in time with one of the `expected` codes; then without
    /// the fault, until they succeed again.
    #[track_caller]
    fn check(&self, fault: Fault, expected: &[&str]) {
        self.recovers();
        self.proxy.set(fault);
        let get = in_time(|| self.backend.get("main/cas/value", LARGE));
        let put = in_time(|| self.backend.put("main/cas/other", &self.value));
        let has = in_time(|| self.backend.has("main/cas/value"));
        let probe = in_time(|| self.backend.probe());
        let codes = [code(&get), code(&put), code(&has), code(&probe)];
        assert!(
            codes.iter().all(|code| expected.contains(code)),
            "{fault:?}: {:?} {put:?} {has:?} {probe:?}",
            get.map(|value| value.map(|value| value.len()))
        );
        self.proxy.set(Fault::None);
        self.recovers();
    }

    #[track_caller]
    fn recovers(&self) {
        // On a loaded machine, the short timeouts may also pass without a fault.
        let value = crate::poll::until("the server is found again", || {
            self.backend.get("main/cas/value", LARGE).ok()
        });
        assert!(value.as_ref() == Some(&self.value), "another value");
    }
}

#[test]
fn silent_server_is_a_timeout() {
    for broken in Broken::all() {
        broken.check(Fault::Silent, &["timeout"]);
    }
}

#[test]
fn slow_server_is_a_timeout() {
    for broken in Broken::all() {
        broken.check(Fault::Delay(SLOW), &["timeout"]);
    }
}

#[test]
fn server_that_sends_byte_after_byte_does_not_prolong_a_call() {
    for broken in Broken::all() {
        broken.check(Fault::Drip(Duration::from_millis(150)), &["timeout"]);
    }
}

#[test]
fn reset_connections_are_unreachable() {
    for broken in Broken::all() {
        broken.check(Fault::Reset, &["unreachable"]);
    }
}

#[test]
fn closed_port_is_unreachable() {
    for broken in Broken::all() {
        broken.check(Fault::Refuse, &["unreachable"]);
    }
    for scheme in ["redis", "memcached", "http"] {
        let url = format!("{scheme}://127.0.0.1:{}", free_port());
        let backend = open(&url, HASTY).unwrap();
        assert_eq!(code(&in_time(|| backend.probe())), "unreachable");
    }
}

#[test]
fn answers_that_are_cut_are_never_taken_for_whole() {
    for broken in Broken::all() {
        broken.check(Fault::CutAfter(0), &["unreachable", "timeout"]);
        broken.check(Fault::CutAfter(3), &["garbled", "unreachable", "timeout"]);
        broken.proxy.set(Fault::CutAfter(50_000));
        let got = in_time(|| broken.backend.get("main/cas/value", LARGE));
        assert!(
            matches!(code(&got), "garbled" | "timeout"),
            "{:?}",
            code(&got)
        );
        broken.proxy.set(Fault::None);
        broken.recovers();
    }
}

#[test]
fn wrong_bytes_cause_no_panic_and_no_hang() {
    for broken in Broken::all() {
        broken.proxy.set(Fault::WrongBytes);
        for _ in 0..5 {
            // Redis and HTTP protect no byte of a value: their reader must check them.
            let _ = in_time(|| broken.backend.get("main/cas/value", LARGE));
            let _ = in_time(|| broken.backend.put("main/cas/other", &broken.value));
            let _ = in_time(|| broken.backend.has("main/cas/value"));
            let _ = in_time(|| broken.backend.probe());
        }
        broken.proxy.set(Fault::None);
        broken.recovers();
    }
}

#[test]
fn timeouts_name_the_phase_that_was_too_long() {
    let phase = |done: Result<(), BackendError>| match done {
        Err(BackendError::Timeout { phase, .. }) => phase,
        done => panic!("{done:?}"),
    };
    let long = Duration::from_secs(60);
    for (kind, scheme) in [
        (Server::redis as fn(&[&str]) -> Server, "redis"),
        (Server::memcached, "memcached"),
        (|_| Server::nginx("", ""), "http"),
    ] {
        let server = kind(&[]);
        let proxy = FaultProxy::start(server.port(), Fault::Silent);
        let url = format!("{scheme}://127.0.0.1:{}", proxy.port());
        let mut timeouts = Timeouts {
            connect: long,
            first_byte: HASTY.first_byte,
            whole: long,
        };
        let probe = |timeouts| in_time(|| open(&url, timeouts).unwrap().probe());
        assert_eq!(phase(probe(timeouts)), TimeoutPhase::FirstByte, "{scheme}");
        (timeouts.first_byte, timeouts.whole) = (long, HASTY.whole);
        assert_eq!(phase(probe(timeouts)), TimeoutPhase::Whole, "{scheme}");
        // A login is part of the connection; HTTP has none.
        if scheme == "redis" {
            (timeouts.connect, timeouts.whole) = (HASTY.connect, long);
            let url = format!("redis://:word@127.0.0.1:{}", proxy.port());
            let done = in_time(|| open(&url, timeouts).unwrap().probe());
            assert_eq!(phase(done), TimeoutPhase::Connect);
        }
    }
}

#[test]
fn unknown_host_is_unreachable() {
    let timeouts = Timeouts {
        connect: Duration::from_secs(8),
        first_byte: Duration::from_secs(8),
        whole: Duration::from_secs(8),
    };
    for scheme in ["redis", "memcached", "http"] {
        let url = format!("{scheme}://no-such-host.invalid");
        let done = in_time(|| open(&url, timeouts).unwrap().probe());
        // A machine without a name server may answer too late.
        assert!(matches!(code(&done), "unreachable" | "timeout"), "{done:?}");
    }
}
