//! Finds the kind of server for a URL.

#[cfg(feature = "cloud")]
use super::cloud::CloudBackend;
use super::file::FileBackend;
use super::http::HttpBackend;
use super::memcached::MemcachedBackend;
#[cfg(feature = "cloud")]
use super::reapi::ReapiBackend;
use super::redis::RedisBackend;
use super::url::ServerUrl;
use super::{BadUrl, RemoteBackend, Timeouts};
use crate::remote::protocol::CLOUD_SCHEMES;

/// The server that a URL names. Does not connect to it.
///
/// # Errors
/// The URL is none of those listed in the head of [the module](super), or the file of authorities cannot be read.
pub fn open(url: &str, timeouts: Timeouts) -> Result<Box<dyn RemoteBackend>, BadUrl> {
    let url = ServerUrl::parse(url)?;
    Ok(match url.scheme.as_str() {
        "redis" | "rediss" | "redis+unix" | "unix" => Box::new(RedisBackend::new(&url, timeouts)?),
        "http" | "https" => Box::new(HttpBackend::new(&url, timeouts)?),
        "memcached" => Box::new(MemcachedBackend::new(&url, timeouts)?),
        "file" => Box::new(FileBackend::new(&url)?),
        #[cfg(feature = "cloud")]
        "s3" | "gcs" | "azblob" => Box::new(CloudBackend::new(&url, timeouts)?),
        #[cfg(feature = "cloud")]
        "grpc" | "grpcs" => Box::new(ReapiBackend::new(&url, timeouts)?),
        scheme if CLOUD_SCHEMES.contains(&scheme) => {
            return Err(BadUrl::new(format!(
                "{scheme}:// needs the program pcache-remote-cloud (cargo build --features cloud)"
            )));
        }
        scheme => return Err(BadUrl::new(format!("no servers for {scheme}:// are known"))),
    })
}

#[cfg(test)]
mod tests {
    use super::{Timeouts, open};
    use std::time::Duration;

    const SECOND: Duration = Duration::from_secs(1);
    const TIMEOUTS: Timeouts = Timeouts {
        connect: SECOND,
        first_byte: SECOND,
        whole: SECOND,
    };

    #[test]
    fn bad_urls_say_what_is_wrong_and_never_the_password() {
        for (url, why) in [
            ("", "no scheme"),
            ("main", "no scheme"),
            ("ftp://host", "no servers for ftp://"),
            #[cfg(not(feature = "cloud"))]
            ("s3://bucket", "pcache-remote-cloud"),
            ("redis://", "no host"),
            ("redis://h:70000", "port"),
            ("redis://u:secret@h:port", "port"),
            ("redis://u:secret@h/x", "database"),
            ("redis://u:secret@h?tls=1", "tls"),
            ("redis://u:secret@h?ttl=soon", "ttl"),
            ("redis://u:%zz@h", "percent"),
            ("redis+unix://host/path", "host"),
            ("redis+unix://", "path"),
            ("rediss://h?ca=/does/not/exist", "/does/not/exist"),
            ("memcached://u:secret@h", "password"),
            ("memcached://h/path", "path"),
            ("memcached://h?ttl=soon", "ttl"),
            ("memcached://h?ttl=2592001", "30 days"),
            ("http://u:secret@h/a b", "character"),
            ("https://h?ca=/does/not/exist", "/does/not/exist"),
            ("http://h/#part", "#"),
            ("file://host/path", "host"),
            ("file:///", "root"),
        ] {
            let Err(error) = open(url, TIMEOUTS) else {
                panic!("{url} was taken");
            };
            let text = error.to_string();
            assert!(error.why.contains(why), "{url}: {text}");
            assert!(!text.contains("secret"), "{text}");
            assert!(text.contains("redis+unix:///SOCKET"), "{text}");
        }
    }

    #[test]
    fn urls_of_all_schemes_are_taken_without_a_connection() {
        for url in [
            "redis://cache.example",
            "redis://user:p%40ss@[::1]:7000/3?ttl=60",
            "rediss://cache.example:6380",
            "redis+unix:///run/redis.sock?db=2",
            "unix:///run/redis.sock",
            "memcached://cache.example",
            "http://10.0.0.1:8080/cache/",
            "https://user:pass@cache.example/a/b",
            "file:///mount/cache",
        ] {
            assert!(open(url, TIMEOUTS).is_ok(), "{url}");
        }
    }
}
