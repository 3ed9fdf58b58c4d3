//! TLS with an authority of our own: who is believed, and who is not.

use crate::fault_proxy::{Fault, FaultProxy};
use crate::servers::{Server, program};
use crate::{HASTY, LARGE, bytes, code, connect, in_time};
use pcache_nvcc::remote::backend::open;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// A folder with the authorities `ours` and `other`, and a certificate of ours for 127.0.0.1 and `localhost`.
pub struct Certificates(TempDir);

impl Certificates {
    pub fn new() -> Self {
        let certificates = Self(TempDir::new().unwrap());
        for name in ["ours", "other"] {
            certificates.openssl(&format!(
                "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={name} -keyout {name}.key -out {name}.pem"
            ));
        }
        certificates.openssl(
            "req -newkey rsa:2048 -nodes -subj /CN=cache -keyout server.key -out server.csr",
        );
        let names = "subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n";
        std::fs::write(certificates.path("names"), names).unwrap();
        certificates.openssl(
            "x509 -req -in server.csr -CA ours.pem -CAkey ours.key -set_serial 7 -days 1 -extfile names -out server.pem",
        );
        certificates
    }

    fn openssl(&self, arguments: &str) {
        let mut command = Command::new("openssl");
        command.args(arguments.split(' ')).current_dir(&self.0);
        let done = command.output();
        let done = done.expect("no openssl for the tests: run scripts/get-servers once");
        let told = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "openssl {arguments}: {told}");
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn nginx(&self) -> Server {
        self.nginx_with("create_full_put_path on;", "ssl")
    }

    /// nginx that speaks `protocols`, and does with requests what `location` says.
    pub fn nginx_with(&self, location: &str, protocols: &str) -> Server {
        let (certificate, key) = (self.path("server.pem"), self.path("server.key"));
        let settings = format!(
            "{protocols}; ssl_certificate {}; ssl_certificate_key {}",
            certificate.display(),
            key.display()
        );
        Server::nginx(location, &settings)
    }

    fn redis(&self) -> Server {
        let paths = ["server.pem", "server.key", "ours.pem"].map(|name| self.path(name));
        Server::start(move |dir, port| {
            let mut command = Command::new(program("redis-server"));
            command.current_dir(dir);
            command.args(["--bind", "127.0.0.1", "--port", "0", "--save", ""]);
            command.args(["--tls-port", &port.to_string()]);
            for (option, path) in ["--tls-cert-file", "--tls-key-file", "--tls-ca-cert-file"]
                .iter()
                .zip(&paths)
            {
                command.arg(option).arg(path);
            }
            command.args(["--tls-auth-clients", "no"]);
            command
        })
    }
}

fn url(server: &Server, scheme: &str, host: &str, ca: &Path) -> String {
    format!("{scheme}://{host}:{}?ca={}", server.port(), ca.display())
}

#[test]
fn servers_of_a_believed_authority_work() {
    let certificates = Certificates::new();
    for (server, scheme) in [
        (certificates.redis(), "rediss"),
        (certificates.nginx(), "https"),
    ] {
        for host in ["127.0.0.1", "localhost"] {
            let backend = connect(&url(&server, scheme, host, &certificates.path("ours.pem")));
            for size in [0, 1000, 3_000_000] {
                let value = bytes(size, 5);
                backend.put("main/cas/0", &value).unwrap();
                let got = backend.get("main/cas/0", LARGE).unwrap();
                assert!(got == Some(value), "{scheme}: other bytes of {size}");
            }
            assert_eq!(backend.get("main/ac/absent", LARGE), Ok(None));
            assert_eq!(code(&backend.get("main/cas/0", 10)), "too_large");
            assert_eq!(backend.probe(), Ok(()));
        }
    }
}

#[test]
fn servers_of_others_are_refused() {
    let certificates = Certificates::new();
    for (server, scheme) in [
        (certificates.redis(), "rediss"),
        (certificates.nginx(), "https"),
    ] {
        let other = connect(&url(
            &server,
            scheme,
            "localhost",
            &certificates.path("other.pem"),
        ));
        let done = other.probe();
        assert_eq!(code(&done), "tls", "{done:?}");
        let public = connect(&server.url(scheme, ""));
        let done = public.put("main/ac/0", b"value");
        assert_eq!(code(&done), "tls", "{done:?}");
        // Another address of the same machine, which the certificate does not name.
        let ours = certificates.path("ours.pem");
        let elsewhere = format!("{scheme}://127.0.0.1:{}", server.port());
        let elsewhere = elsewhere.replace("127.0.0.1", "[::ffff:127.0.0.1]");
        let done = connect(&format!("{elsewhere}?ca={}", ours.display())).probe();
        assert_eq!(code(&done), "tls", "{done:?}");
    }
}

#[test]
fn server_without_tls_ends_the_handshake_in_time() {
    for (server, scheme) in [
        (Server::redis(&[]), "rediss"),
        (Server::nginx("", ""), "https"),
    ] {
        let backend = open(&server.url(scheme, ""), HASTY).unwrap();
        let done = in_time(|| backend.probe());
        assert!(
            matches!(code(&done), "tls" | "timeout" | "unreachable"),
            "{scheme}: {done:?}"
        );
    }
}

#[test]
fn silent_server_ends_the_handshake_in_time() {
    let certificates = Certificates::new();
    let server = certificates.nginx();
    let proxy = FaultProxy::start(server.port(), Fault::Silent);
    for scheme in ["rediss", "https"] {
        let url = format!("{scheme}://127.0.0.1:{}", proxy.port());
        let backend = open(&url, HASTY).unwrap();
        assert_eq!(code(&in_time(|| backend.probe())), "timeout", "{scheme}");
    }
    proxy.set(Fault::Drip(Duration::from_millis(100)));
    for scheme in ["rediss", "https"] {
        let url = format!("{scheme}://127.0.0.1:{}", proxy.port());
        let backend = open(&url, HASTY).unwrap();
        assert_eq!(code(&in_time(|| backend.probe())), "timeout", "{scheme}");
    }
}
