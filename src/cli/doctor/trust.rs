//! Whose results a compile believes in this cache, and where this user's own files are.

use super::findings::{Findings, Severity};
use crate::config::Config;
use crate::files::{Rights, Trust};
use crate::store::{FileStore, KEY_DIRECTORY, KEY_FILE, KeyRefusal, Privacy, Standing};
use rustix::fs::{Access, access};
use rustix::process::geteuid;
use std::path::Path;
use std::process::{Command, Stdio};

const ABOUT: &str = "cache";

pub(super) fn examine(config: &Config, findings: &mut Findings) {
    let root = &config.dir.value;
    if let Err(error) = access(root, Access::READ_OK | Access::EXEC_OK) {
        let text = format!(
            "you may not enter {root:?}: {}",
            std::io::Error::from(error)
        );
        let advice =
            "become a member of the group that shares it, or set PCACHE_DIR to another place";
        return findings.advise(Severity::Error, ABOUT, text, advice);
    }
    let store = match FileStore::reading(config) {
        Ok(store) => store,
        Err(error) => {
            let advice = "nothing is cached until this is fixed";
            return findings.advise(Severity::Error, ABOUT, error.to_string(), advice);
        }
    };
    let Some(rights) = store.rights() else { return };
    let privacy = Privacy::examined(&config.private_dir.value);
    let is_private = matches!(privacy, Privacy::Private);
    match store.standing() {
        Standing::Exclusive => findings.ok(ABOUT, "only you and root can write in it"),
        Standing::Signed => say_signed(config, &store, findings),
        // Opened for reading, the store makes no place.
        Standing::Own | Standing::Nothing if is_private => {
            say_own(config, &store, rights, findings)
        }
        Standing::Own | Standing::Nothing => {
            let advice = "set PCACHE_PRIVATE_DIR to a directory in which only you can write";
            let text = "no key is known here, and there is no place for one of yours: no result is believed or stored";
            findings.advise(Severity::Error, ABOUT, text, advice);
        }
        Standing::Owner => findings.note(
            ABOUT,
            format!(
                "trust is set to owner: results of {} are believed",
                user(rights.owner())
            ),
        ),
        Standing::Everyone => findings.advise(
            Severity::Warning,
            ABOUT,
            "trust is set to everyone: any user who can write in it decides what you link",
            "set PCACHE_TRUST=mine, unless you trust all users who can write there",
        ),
    }
    if !store.is_alone() {
        examine_place(&config.private_dir.value, &privacy, findings);
    }
}

fn say_signed(config: &Config, store: &FileStore, findings: &mut Findings) {
    let writers = if store.is_alone() {
        "only you and root"
    } else {
        "others"
    };
    let key = config.key.value.as_ref().map_or_else(
        || format!("its key ({KEY_DIRECTORY}/{KEY_FILE})"),
        |path| format!("the key {path:?}"),
    );
    let text =
        format!("{writers} can write in it; only results that {key} has signed are believed");
    findings.ok(ABOUT, text);
}

/// Only this user's own results are believed: for lack of a key, or because the directory is another user's.
fn say_own(config: &Config, store: &FileStore, rights: Rights, findings: &mut Findings) {
    let root = &config.dir.value;
    let key = root.join(KEY_DIRECTORY).join(KEY_FILE);
    let only = "only results that you have made are believed";
    let mode = rights.mode();
    let owner = user(rights.owner());
    match store.refused_key() {
        Some(KeyRefusal::Denied) => {
            let text =
                format!("others can write in it, and you may not read its key {key:?}: {only}");
            let advice =
                "its owner can add you to the group that signs; otherwise there is nothing to do";
            findings.advise(Severity::Note, ABOUT, text, advice);
        }
        Some(KeyRefusal::Unsafe(why)) => {
            let text = format!("its key {key:?} is not used ({why}): {only}");
            let advice = format!(
                "{owner} sets mode 750 for {KEY_DIRECTORY} and 640 for {KEY_FILE}; if others may have read or \
                 changed the key, make a new cache with pcache init --shared GROUP"
            );
            findings.advise(Severity::Error, ABOUT, text, &advice);
        }
        None if !rights.is_written_by_others() => {
            let text = format!("it belongs to {owner}, who alone can write in it: {only}");
            let advice = "set PCACHE_TRUST=owner to believe what is there";
            findings.advise(Severity::Warning, ABOUT, text, advice);
        }
        None => {
            let text = format!("others can write in it (mode {mode:o}), and it has no key: {only}");
            let advice = match config.trust.value {
                Trust::Owner => {
                    "PCACHE_TRUST=owner counts only where the owner alone can write: set PCACHE_KEY, or make a cache with pcache init --shared GROUP"
                }
                _ => {
                    "pcache init --shared GROUP makes a cache with a key; chmod go-w, if the cache is yours alone"
                }
            };
            findings.advise(Severity::Error, ABOUT, text, advice);
        }
    }
}

/// Where plans, toolchains, digests and the journal are, as others can write in the cache.
fn examine_place(place: &Path, privacy: &Privacy, findings: &mut Findings) {
    let why = match privacy {
        Privacy::Private => return findings.ok(ABOUT, format!("your own files are in {place:?}")),
        Privacy::OfOthers(rights) => {
            let (owner, mode) = (user(rights.owner()), rights.mode());
            format!("others can change what is in {place:?} (of {owner}, mode {mode:o})")
        }
        Privacy::Unusable(error) => format!("{place:?} cannot be used: {error}"),
    };
    let text = format!(
        "{why}; without own files every hit asks the compilers again, and no journal is kept"
    );
    let advice = "set PCACHE_PRIVATE_DIR to a directory in which only you can write";
    findings.advise(Severity::Warning, ABOUT, text, advice);
}

/// A user's name and number, as far as the system knows them.
fn user(number: u32) -> String {
    if number == geteuid().as_raw() {
        return "you".to_owned();
    }
    let asked = Command::new("getent")
        .args(["passwd", &number.to_string()])
        .stderr(Stdio::null())
        .output();
    let text = asked.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let name = text
        .ok()
        .and_then(|text| text.split(':').next().map(str::to_owned));
    match name.filter(|name| !name.is_empty()) {
        Some(name) => format!("{name} (user {number})"),
        None => format!("user {number}"),
    }
}
