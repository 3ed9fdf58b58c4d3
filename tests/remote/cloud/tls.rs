//! TLS in front of servers that have none: nginx passes their requests on.

use super::reapi::{casd, result};
use super::{KEYS, moto, s3_url};
use crate::tls::Certificates;
use crate::{LARGE, bytes, code, connect};

#[test]
fn authority_of_the_url_is_believed_and_no_other() {
    let certificates = Certificates::new();
    let (moto, casd) = (moto(&[]), casd());
    let location = format!("proxy_pass {};", moto.url("http", ""));
    let stores = certificates.nginx_with(&location, "ssl");
    let location = format!("grpc_pass {};", casd.url("grpc", ""));
    let caches = certificates.nginx_with(&location, "ssl http2");
    let ca = |name: &str| certificates.path(name).display().to_string();
    let store = s3_url(stores.port(), "", KEYS).replace("http:", "https:");
    let cache = caches.url("grpcs", "?header=x-key:value");
    let name = format!("main/ac/{}", "5".repeat(64));
    for url in [store, cache] {
        let backend = connect(&format!("{url}&ca={}", ca("ours.pem")));
        let value = result(&bytes(100_000, 5));
        assert_eq!(backend.put(&name, &value), Ok(()), "{url}");
        let got = backend.get(&name, LARGE).unwrap();
        assert!(got == Some(value), "{url}: other bytes");
        for url in [format!("{url}&ca={}", ca("other.pem")), url] {
            let done = connect(&url).probe();
            assert_eq!(code(&done), "tls", "{url}: {done:?}");
        }
    }
}
