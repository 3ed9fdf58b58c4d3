//! The directory of one helper: one for each user, cache, and set of settings. Its name follows from the settings, which
//! lie in it, so that compiles with other settings have another helper, and a helper takes nothing from the environment
//! of the compile that happened to start it.

use super::protocol::CLOUD_SCHEMES;
use super::queue::Queue;
use crate::config::Config;
use crate::files::make_private;
use crate::store::{QUEUE, QUEUES};
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process;
#[cfg(feature = "remote")]
use std::time::SystemTime;

/// The settings that a helper depends on.
const SETTINGS: [&str; 13] = [
    "PCACHE_DIR",
    "PCACHE_MAX_SIZE",
    "PCACHE_MAX_FILES",
    "PCACHE_POLICY",
    "PCACHE_COMPRESS",
    "PCACHE_READONLY",
    "PCACHE_TRUST",
    "PCACHE_KEY",
    "PCACHE_PRIVATE_DIR",
    REMOTE,
    "PCACHE_REMOTE_WAIT",
    "PCACHE_SIGN_KEY",
    "PCACHE_TRUSTED_KEYS",
];
const REMOTE: &str = "PCACHE_REMOTE";

/// Files of a helper's directory.
const SETTINGS_FILE: &str = "settings";
const ATTEMPT: &str = "attempt";
#[cfg(feature = "remote")]
const LOCK: &str = "lock";

/// Longer ones have no address: `sun_path` has 108 bytes.
pub(super) const LONGEST_ADDRESS: usize = 100;

/// The program that talks to servers, and the one that talks to those of clouds too.
pub(super) const HELPER: &str = "pcache-remote";
const CLOUD_HELPER: &str = "pcache-remote-cloud";

/// The directory of one helper.
#[derive(Clone, Debug)]
pub(super) struct HelperPlace {
    pub(super) directory: PathBuf,
    /// The name of the program that is the helper here.
    pub(super) program: &'static str,
}

impl HelperPlace {
    /// The place of the helper for these settings, and their text.
    pub(super) fn of(config: &Config, own: &Path) -> (Self, Vec<u8>) {
        let settings = settings(config);
        let mut digest = Sha256::new_with_prefix(env!("CARGO_PKG_VERSION"));
        digest.update(&settings);
        let name = hex::encode(&digest.finalize()[..8]);
        let directory = own.join(QUEUES).join(name);
        let program = program_for(config);
        (Self { directory, program }, settings)
    }

    pub(super) fn at(directory: PathBuf) -> Self {
        let program = HELPER;
        Self { directory, program }
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.directory.join("socket")
    }

    /// The lock that a running helper holds; `None` if another process has it.
    #[cfg(feature = "remote")]
    pub(super) fn locked(&self) -> io::Result<Option<File>> {
        use rustix::fs::{FlockOperation, flock};
        use std::os::unix::fs::MetadataExt;
        let path = self.directory.join(LOCK);
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        // The one who had it may have removed the directory: then this is the lock of nothing.
        let there = fs::metadata(&path)?.ino();
        Ok((file.metadata()?.ino() == there).then_some(file))
    }

    /// When a compile used it last, as far as its files tell.
    #[cfg(feature = "remote")]
    pub(super) fn last_used(&self) -> Option<SystemTime> {
        let files = [SETTINGS_FILE, ATTEMPT, QUEUE].map(|name| self.directory.join(name));
        let times = files
            .iter()
            .filter_map(|path| fs::metadata(path).ok()?.modified().ok());
        times.max()
    }

    /// Removes the directory, unless something waits in its queue.
    #[cfg(feature = "remote")]
    pub(super) fn remove(&self) -> io::Result<()> {
        match fs::remove_dir(self.directory.join(QUEUE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        for name in [SETTINGS_FILE, "socket", ATTEMPT, "silent", LOCK] {
            let _ = fs::remove_file(self.directory.join(name));
        }
        // Fails if a compile has queued something meanwhile, which is found the next time.
        fs::remove_dir(&self.directory)
    }

    /// The file whose time says when a helper was started that has no socket yet.
    pub(super) fn attempt(&self) -> PathBuf {
        self.directory.join(ATTEMPT)
    }

    /// The file whose time says when the helper did not start, or did not answer.
    pub(super) fn silent(&self) -> PathBuf {
        self.directory.join("silent")
    }

    pub(super) fn queue(&self) -> Queue {
        Queue::at(self.directory.join(QUEUE))
    }

    /// Writes the settings, unless they are there.
    pub(super) fn prepare(&self, settings: &[u8]) -> io::Result<()> {
        let path = self.directory.join(SETTINGS_FILE);
        if path.exists() {
            return Ok(());
        }
        make_private(&self.directory)?;
        let unfinished = self.directory.join(format!("settings-{}", process::id()));
        let mut file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)?;
        file.write_all(settings)?;
        fs::rename(&unfinished, &path)
    }

    /// Looks the settings up as an environment does. There is nothing else that a helper may look at: the compile has
    /// read all files.
    #[cfg(feature = "remote")]
    pub(super) fn settings(&self) -> io::Result<impl Fn(&str) -> Option<OsString>> {
        let text = fs::read(self.directory.join(SETTINGS_FILE))?;
        Ok(move |name: &str| {
            let mut lines = text.split(|byte| *byte == 0);
            let value = lines.find_map(|line| {
                let rest = line.strip_prefix(name.as_bytes())?;
                rest.strip_prefix(b"=")
            });
            value.map(|value| OsString::from_vec(value.to_owned()))
        })
    }
}

/// The program that talks to the configured servers.
pub(super) fn program_for(config: &Config) -> &'static str {
    let servers = &config.remote.value.0;
    let schemes = servers
        .iter()
        .filter_map(|server| server.url.split_once("://"));
    let needs_cloud = |scheme: &str| {
        CLOUD_SCHEMES
            .iter()
            .any(|one| one.eq_ignore_ascii_case(scheme))
    };
    if schemes.into_iter().any(|(scheme, _)| needs_cloud(scheme)) {
        CLOUD_HELPER
    } else {
        HELPER
    }
}

/// `NAME=value`, each with a zero byte behind it.
fn settings(config: &Config) -> Vec<u8> {
    let mut text = Vec::new();
    for listed in config.list() {
        let name = listed.setting.variable;
        let value = match name {
            // Shown without passwords.
            REMOTE => Some(config.remote.value.whole()),
            _ => listed.value,
        };
        if let Some(value) = value.filter(|_| SETTINGS.contains(&name)) {
            text.extend(
                [
                    name.as_bytes(),
                    b"=",
                    OsString::from(value).as_bytes(),
                    b"\0",
                ]
                .concat(),
            );
        }
    }
    text
}

#[cfg(all(test, feature = "remote"))]
mod tests {
    use super::{HelperPlace, settings};
    use crate::config::Config;
    use std::fs;

    #[test]
    fn a_helper_has_the_settings_of_the_compile_and_no_others() {
        let dir = tempfile::tempdir().unwrap();
        let variable = |name: &str| match name {
            "HOME" => Some(dir.path().into()),
            "PCACHE_REMOTE" => Some("redis://:secret@host namespace=a,b".into()),
            _ => None,
        };
        let files = dir.path().join(".config/pcache");
        fs::create_dir_all(&files).unwrap();
        fs::write(files.join("config.toml"), "max_size = '3G'\n").unwrap();
        let (config, _) = Config::load(&variable);
        let (place, text) = HelperPlace::of(&config, dir.path());
        place.prepare(&text).unwrap();
        let read = place.settings().unwrap();
        let (helpers, problems) = Config::from_variables(&read);
        assert_eq!((settings(&helpers), problems.len()), (text, 0));
        assert_eq!(helpers.remote.value, config.remote.value);
        assert_eq!(helpers.max_size.value.bytes(), 3 << 30);
    }
}
