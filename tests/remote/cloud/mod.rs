//! Servers with the protocols of clouds. Only with the feature `cloud`; `scripts/get-servers --cloud` gets them.

mod reapi;
mod stores;
mod tls;

use crate::contract::Place;
use crate::servers::{Server, program};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

/// The account that azurite has.
const ACCOUNT: &str = "devstoreaccount1";
const ACCOUNT_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// Keys that moto takes; it lets requests without keys read nothing.
pub const KEYS: &str = "access_key_id=id&secret_access_key=word";

/// One server of each kind.
pub fn places() -> [Place; 3] {
    let moto = moto(&[]);
    let azurite = azurite();
    let gcs = gcs();
    [
        Place {
            url: s3_url(moto.port(), "/some/prefix", KEYS),
            _server: Some(moto),
            _dir: None,
        },
        Place {
            url: azblob_url(azurite.port()),
            _server: Some(azurite),
            _dir: None,
        },
        Place {
            url: gcs_url(gcs.port()),
            _server: Some(gcs),
            _dir: None,
        },
    ]
}

/// A server of S3 with the bucket `cache`.
pub fn moto(variables: &[(&'static str, &'static str)]) -> Server {
    let program = program("moto_server");
    let variables = variables.to_owned();
    let server = Server::start(move |_, port| {
        let mut command = Command::new(&program);
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        command.envs(variables.iter().copied());
        command
    });
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    let request = "PUT /cache HTTP/1.1\r\nHost: s3.amazonaws.com\r\nContent-Length: 0\r\n";
    write!(stream, "{request}Connection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    server
}

pub fn s3_url(port: u16, prefix: &str, keys: &str) -> String {
    format!("s3://cache{prefix}?endpoint=http://127.0.0.1:{port}&{keys}")
}

/// A server of Azure Blob Storage with the container `cache`.
fn azurite() -> Server {
    let program = program("azurite-blob");
    let server = Server::start(move |dir, port| {
        let mut command = Command::new(&program);
        command.args(["--blobPort", &port.to_string(), "--silent"]);
        command.arg("--skipApiVersionCheck");
        command.arg("--location").arg(dir);
        command
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/remote/cloud/make_container.py");
    let mut command = Command::new("python3");
    command
        .arg(script)
        .arg(server.url("http", &format!("/{ACCOUNT}")));
    command.args([ACCOUNT, ACCOUNT_KEY, "cache"]);
    assert!(command.status().unwrap().success());
    server
}

fn azblob_url(port: u16) -> String {
    let key = ACCOUNT_KEY.replace('+', "%2B").replace('=', "%3D");
    let endpoint = format!("http://127.0.0.1:{port}/{ACCOUNT}");
    format!("azblob://cache/prefix?endpoint={endpoint}&account_name={ACCOUNT}&account_key={key}")
}

/// A server of Google Cloud Storage with the bucket `cache`.
fn gcs() -> Server {
    let program = program("gcp-storage-emulator");
    Server::start(move |_, port| {
        let mut command = Command::new(&program);
        command.args(["start", "--in-memory", "--default-bucket=cache"]);
        command.args(["--host=127.0.0.1", &format!("--port={port}")]);
        command
    })
}

fn gcs_url(port: u16) -> String {
    format!("gcs://cache/prefix?endpoint=http://127.0.0.1:{port}&anonymous=yes")
}
