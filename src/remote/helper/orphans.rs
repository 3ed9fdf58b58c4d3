//! Queues that helpers with other settings have left: after a change of the password, of the servers or of the wrapper's
//! version, or after a crash, no helper sends what waits there. A file of a queue only names records of the local cache, so
//! any helper of the same user and cache can send it, to the servers that are wanted now.

use crate::config::{Config, RemoteServer};
use crate::remote::place::HelperPlace;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::time::{Duration, SystemTime};

/// For so long, results for other servers wait for their own settings: builds with different servers may use one cache by
/// turns, and what one makes must not go to the other's server.
const OTHER_SERVERS: Duration = Duration::from_secs(24 * 3600);

/// For so long, a directory stays, since a compile may be about to use it.
const IN_USE: Duration = Duration::from_secs(60);

/// Takes over what waits in the queues beside that of `place` and has no helper, if `config` sends it to the same servers,
/// or if the settings that it was for are no longer used. Best effort: it is tried again.
pub(super) fn adopt_orphans(place: &HelperPlace, config: &Config) {
    let beside = place.directory.parent().map(fs::read_dir);
    for child in beside.into_iter().flatten().flatten().flatten() {
        if child.path() != place.directory && child.path().is_dir() {
            let _ = adopt(&HelperPlace::at(child.path()), place, config);
        }
    }
}

/// The lock of the old place keeps its own helper from starting, and another helper from taking the same files.
fn adopt(old: &HelperPlace, place: &HelperPlace, config: &Config) -> io::Result<()> {
    let Some(_lock) = old.locked()? else {
        return Ok(());
    };
    let used = old.last_used();
    let age = used.map(|used| SystemTime::now().duration_since(used).unwrap_or_default());
    let is_older = |than: Duration| age.is_none_or(|age| age > than);
    let has_same_servers = old.settings().is_ok_and(|settings| {
        let (former, _) = Config::from_variables(&settings);
        destinations(&former).is_subset(&destinations(config))
    });
    if has_same_servers || is_older(OTHER_SERVERS) {
        place.queue().take_over(&old.queue())?;
        if is_older(IN_USE) {
            old.remove()?;
        }
    }
    Ok(())
}

/// Where results are sent: the servers without what lets a client in, and the namespaces there.
fn destinations(config: &Config) -> BTreeSet<(String, Option<&String>)> {
    let servers = config.remote.value.0.iter();
    let written = servers.filter(|server| !server.read_only);
    written
        .map(|server| (address(server), server.namespaces.first()))
        .collect()
}

/// The URL without user and password.
fn address(server: &RemoteServer) -> String {
    let shown = server.shown();
    let Some((scheme, rest)) = shown.split_once("://") else {
        return shown;
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let start = rest[..end].rfind('@').map_or(0, |at| at + 1);
    format!("{scheme}://{}", &rest[start..])
}

#[cfg(test)]
mod tests {
    use super::{HelperPlace, IN_USE, OTHER_SERVERS, adopt_orphans};
    use crate::config::Config;
    use crate::store::{Name, QueuedRecord, Worth};
    use std::fs::{self, File};
    use std::path::Path;
    use std::time::{Duration, SystemTime};

    /// A place with these servers, and one file in its queue.
    fn place(own: &Path, servers: &str) -> (HelperPlace, Config) {
        let variable = |name: &str| match name {
            "HOME" => Some(own.into()),
            "PCACHE_REMOTE" => Some(servers.into()),
            _ => None,
        };
        let (config, problems) = Config::load(&variable);
        assert!(problems.is_empty());
        let (place, settings) = HelperPlace::of(&config, own);
        place.prepare(&settings).unwrap();
        let record = QueuedRecord::Stored(Worth::Result, Name([1; 32]));
        place.queue().add(&[record]).unwrap();
        (place, config)
    }

    fn waiting(place: &HelperPlace) -> usize {
        place.queue().names().unwrap().len()
    }

    fn age(place: &HelperPlace, by: Duration) {
        for name in ["queue", "settings"] {
            let file = File::open(place.directory.join(name)).unwrap();
            file.set_modified(SystemTime::now() - by).unwrap();
        }
    }

    const NEW: &str = "redis://:new@cache:6379/0 namespace=pr,main https://b/c?ca=/x read-only";

    #[test]
    fn what_waits_for_the_same_servers_is_taken_over_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let old = "redis://user:old@cache:6379/0 namespace=pr";
        let (former, _) = place(dir.path(), old);
        let (present, config) = place(dir.path(), NEW);
        adopt_orphans(&present, &config);
        assert_eq!((waiting(&former), waiting(&present)), (0, 2));
        // A compile may still be about to use the directory.
        assert!(former.directory.exists());
        age(&former, 2 * IN_USE);
        adopt_orphans(&present, &config);
        assert!(!former.directory.exists() && present.directory.exists());
        assert_eq!(waiting(&present), 2);
    }

    #[test]
    fn what_waits_for_other_servers_is_taken_over_when_they_are_no_longer_used() {
        for old in [
            "redis://other:6379/0 namespace=pr",
            "redis://cache:6379/0 namespace=secret",
            "redis://cache:6379/0 namespace=pr https://b/c?ca=/x",
        ] {
            let dir = tempfile::tempdir().unwrap();
            let (former, _) = place(dir.path(), old);
            let (present, config) = place(dir.path(), NEW);
            age(&former, OTHER_SERVERS / 2);
            adopt_orphans(&present, &config);
            assert_eq!((waiting(&former), waiting(&present)), (1, 1), "{old}");
            age(&former, 2 * OTHER_SERVERS);
            adopt_orphans(&present, &config);
            assert_eq!(waiting(&present), 2, "{old}");
            assert!(!former.directory.exists(), "{old}");
        }
    }

    #[test]
    fn a_queue_with_a_helper_is_left_to_it_and_two_helpers_share_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (former, _) = place(dir.path(), "redis://:old@cache:6379/0 namespace=pr");
        let (present, config) = place(dir.path(), NEW);
        let (second, second_config) = place(dir.path(), "redis://:c@cache:6379/0 namespace=pr");
        let running = former.locked().unwrap();
        let others = [present.locked().unwrap(), second.locked().unwrap()];
        assert!(running.is_some() && others.iter().all(Option::is_some));
        adopt_orphans(&present, &config);
        assert_eq!((waiting(&former), waiting(&present)), (1, 1));
        drop(running);
        for number in 0..300 {
            let name = former.directory.join(format!("queue/{number}"));
            fs::write(name, "").unwrap();
        }
        std::thread::scope(|scope| {
            scope.spawn(|| adopt_orphans(&present, &config));
            scope.spawn(|| adopt_orphans(&second, &second_config));
        });
        assert_eq!(waiting(&present) + waiting(&second), 303);
        assert_eq!(waiting(&former), 0);
    }
}
