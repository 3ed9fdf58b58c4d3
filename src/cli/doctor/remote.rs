//! The servers that share results between machines, as far as that can be seen without asking them.

use super::findings::{Findings, Severity};
use crate::config::Config;
use crate::remote::{RemoteControl, helper_program};
use crate::store::FileStore;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const ABOUT: &str = "servers";

/// Looks at nothing if no server is set.
pub(super) fn examine(config: &Config, findings: &mut Findings) {
    let servers = &config.remote.value.0;
    if servers.is_empty() {
        return;
    }
    match helper_program(config) {
        Ok(program) => findings.ok(ABOUT, format!("{} talks to them", program.display())),
        Err(error) => findings.advise(
            Severity::Error,
            ABOUT,
            format!("servers are set, but the program that talks to them is missing: {error}"),
            "install it beside pcache-nvcc, or on PATH",
        ),
    }
    if let Some(key) = &config.sign_key.value {
        examine_key(key, findings);
    }
    if config.trusted_keys.value.0.is_empty() {
        findings.advise(
            Severity::Note,
            ABOUT,
            "every machine that can write on them decides what you link",
            "sign results, and set trusted_keys (docs/sharing.md)",
        );
    }
    let is_sent = servers.iter().any(|server| !server.read_only);
    if is_sent && config.sign_key.value.is_none() && !config.trusted_keys.value.0.is_empty() {
        findings.note(
            ABOUT,
            "without sign_key, no machine believes what is sent from here",
        );
    }
    examine_helper(config, findings);
}

fn examine_key(key: &Path, findings: &mut Findings) {
    let text = match fs::metadata(key) {
        Err(error) => format!("the signing key {key:?} cannot be read: {error}"),
        Ok(found) if found.permissions().mode() & 0o077 != 0 => {
            format!("others can read the signing key {key:?}")
        }
        Ok(_) => return,
    };
    let advice = "give it to this user with mode 600; until then, nothing is fetched or sent";
    findings.advise(Severity::Error, ABOUT, text, advice);
}

/// What a running helper has seen.
fn examine_helper(config: &Config, findings: &mut Findings) {
    let store = FileStore::reading(config);
    let own = store.as_ref().ok().and_then(FileStore::own_dir);
    let said = own.and_then(|own| RemoteControl::new(config, own).status().ok()?);
    let Some(helper) = said.and_then(|text| serde_json::from_str::<Value>(&text).ok()) else {
        return;
    };
    for server in helper["servers"].as_array().into_iter().flatten() {
        let url = server["url"].as_str().unwrap_or_default();
        match server["last_error"].as_str() {
            None => findings.ok(ABOUT, format!("{url} answers")),
            Some(error) => findings.advise(
                Severity::Warning,
                ABOUT,
                format!("{url} failed: {error}"),
                "compiles go on without it; pcache remote test asks it again",
            ),
        }
    }
}
