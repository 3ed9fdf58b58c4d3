//! Object stores: keys, buckets that are missing, keys in a file.

use super::{KEYS, moto, s3_url};
use crate::servers::free_port;
use crate::{HASTY, LARGE, code, connect, in_time};
use pcache_nvcc::remote::backend::{Timeouts, open};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// A server that lets in the first request, which makes the bucket; later ones need keys.
const STRICT: [(&str, &str); 1] = [("INITIAL_NO_AUTH_ACTION_COUNT", "1")];

#[test]
fn missing_bucket_is_an_error_of_the_server_and_no_miss() {
    let server = moto(&[]);
    let url = s3_url(server.port(), "", KEYS).replace("//cache", "//another");
    let backend = connect(&url);
    for done in [
        backend.get("main/ac/a", LARGE).map(drop),
        backend.put("main/ac/a", b"value"),
        backend.probe(),
    ] {
        assert_eq!(code(&done), "server", "{done:?}");
        assert!(format!("{done:?}").contains("NoSuchBucket"), "{done:?}");
    }
}

#[test]
fn unknown_keys_are_denied_and_never_shown() {
    let server = moto(&STRICT);
    let backend = connect(&s3_url(server.port(), "", KEYS));
    for done in [
        backend.get("main/ac/a", LARGE).map(drop),
        backend.put("main/ac/a", b"value"),
        backend.has("main/ac/a").map(drop),
        backend.probe(),
    ] {
        assert_eq!(code(&done), "denied", "{done:?}");
        assert!(!format!("{done:?}").contains("word"), "{done:?}");
    }
}

#[test]
fn keys_come_from_a_private_file_and_are_read_again_when_it_changes() {
    let (server, dir) = (moto(&[]), TempDir::new().unwrap());
    let path = dir.path().join("keys");
    let write = |text: &str, time| {
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(time).unwrap();
    };
    let now = SystemTime::now();
    write("AWS_ACCESS_KEY_ID=id\nAWS_SECRET_ACCESS_KEY = no\n", now);
    let url = s3_url(
        server.port(),
        "",
        &format!("credentials={}", path.display()),
    );
    let backend = connect(&url);
    write(
        "AWS_ACCESS_KEY_ID=id\nAWS_SECRET_ACCESS_KEY=word\n",
        now + Duration::from_secs(1),
    );
    assert_eq!(backend.put("main/ac/a", b"value"), Ok(()));
    assert_eq!(backend.get("main/ac/a", LARGE), Ok(Some(b"value".to_vec())));
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let Err(error) = open(&url, HASTY) else {
        panic!("a file that others can read was taken");
    };
    assert!(error.why.contains("600"), "{error}");
}

#[test]
fn bad_urls_say_what_is_wrong() {
    for (url, why) in [
        ("s3://", "no host"),
        ("s3://host:80/bucket", "endpoint"),
        ("s3://bucket?key=1", "key"),
        ("s3://bucket?credentials=/does/not/exist", "/does/not/exist"),
        ("s3://bucket?ca=/does/not/exist", "/does/not/exist"),
        ("azblob://container", "account_name"),
        ("azblob://c?account_name=a&account_key=hidden!", "base64"),
        ("gcs://bucket?region=x", "region"),
    ] {
        let Err(error) = open(url, HASTY) else {
            panic!("{url} was taken");
        };
        assert!(error.why.contains(why), "{url}: {error}");
        assert!(!error.to_string().contains("hidden"), "{error}");
    }
}

#[test]
fn host_that_does_not_exist_and_port_that_is_closed_are_unreachable() {
    let timeouts = Timeouts {
        connect: Duration::from_secs(8),
        first_byte: Duration::from_secs(8),
        whole: Duration::from_secs(8),
    };
    for place in [
        format!("127.0.0.1:{}", free_port()),
        "no-such-host.invalid".to_owned(),
    ] {
        for url in [
            format!("s3://cache?endpoint=http://{place}&{KEYS}"),
            format!("gcs://cache?endpoint=http://{place}&anonymous=yes"),
            format!("azblob://cache?endpoint=http://{place}&anonymous=yes"),
        ] {
            let done = in_time(|| open(&url, timeouts).unwrap().probe());
            // A machine without a name server may answer too late.
            assert!(matches!(code(&done), "unreachable" | "timeout"), "{done:?}");
        }
    }
}
