//! `pcache remote` and its helper, with a directory as the server.

use crate::home::Home;
use pcache_nvcc::store::Name;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Output;

/// A home whose settings name a server, and the end of its helper.
struct Machine {
    home: Home,
    share: PathBuf,
}

impl Machine {
    fn new() -> Self {
        let home = Home::new();
        let share = home.path().join("share");
        fs::create_dir(&share).unwrap();
        let machine = Self { home, share };
        let url = format!("file://{}", machine.share.display());
        machine.text(&["config", "set", "remote", &url]);
        machine
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.home.run(arguments)
    }

    fn text(&self, arguments: &[&str]) -> String {
        self.home.text(arguments)
    }

    /// That of the helper.
    fn directory(&self) -> PathBuf {
        let status = self.home.json(&["remote", "status", "--json"]);
        let shown = status["directory"].as_str().unwrap();
        self.home.path().join(shown.strip_prefix("~/").unwrap())
    }

    /// What is said on standard error by a request that fails.
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(!output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.run(&["remote", "stop"]);
    }
}

#[test]
fn without_a_server_there_is_nothing_to_look_after() {
    let home = Home::new();
    for command in ["status", "flush", "test", "stop"] {
        let output = home.run(&["remote", command]);
        assert_eq!(output.status.code(), Some(1), "{command}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("set PCACHE_REMOTE"), "{said}");
    }
}

#[test]
fn a_server_is_tested_by_writing_and_reading() {
    let machine = Machine::new();
    let said = machine.text(&["remote", "test"]);
    assert!(said.contains("/share: works, "), "{said}");
    assert!(machine.share.join("main/ac").is_dir());
    fs::remove_dir_all(&machine.share).unwrap();
    let output = machine.run(&["remote", "test"]);
    assert_eq!(output.status.code(), Some(4));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("one server cannot be used"), "{said}");
}

#[test]
fn the_helper_runs_only_while_it_is_needed() {
    let machine = Machine::new();
    let status = machine.home.json(&["remote", "status", "--json"]);
    assert_eq!(
        (&status["queued"], &status["helper"]),
        (&0.into(), &().into())
    );
    assert_eq!(machine.text(&["remote", "flush"]), "everything is sent\n");
    assert_eq!(machine.text(&["remote", "stop"]), "no helper runs\n");
    // A queue of one compile that names a record which is gone.
    let directory = machine.directory();
    fs::create_dir_all(directory.join("queue")).unwrap();
    fs::write(directory.join("queue/1-1"), [&b"r"[..], &[7; 32]].concat()).unwrap();
    assert_eq!(
        machine.home.json(&["remote", "status", "--json"])["queued"],
        1
    );
    assert_eq!(machine.text(&["remote", "flush"]), "everything is sent\n");
    let stats = machine.home.json(&["stats", "--json"]);
    assert_eq!(stats["remote"]["unsent"], 1);
    let status = machine.home.json(&["remote", "status", "--json"]);
    assert_eq!(status["helper"]["servers"][0]["is_asked"], true);
    assert!(
        machine
            .text(&["remote", "status"])
            .contains("/share: answers\n")
    );
    assert_eq!(machine.text(&["remote", "stop"]), "ended\n");
    assert!(machine.home.json(&["remote", "status", "--json"])["helper"].is_null());
}

#[test]
fn what_was_stored_here_is_sent_with_what_it_names() {
    let machine = Machine::new();
    let directory = machine.directory();
    let store = machine.home.store();
    let object = store.put_artefact(b"an object").unwrap();
    let record = serde_json::json!({"outputs": [{"artefact": object}]});
    store
        .put_record(&[7; 32], record.to_string().as_bytes())
        .unwrap();
    fs::create_dir_all(directory.join("queue")).unwrap();
    fs::write(directory.join("queue/1-1"), [&b"r"[..], &[7; 32]].concat()).unwrap();
    machine.text(&["remote", "flush"]);
    let sent: Vec<_> = fs::read_dir(machine.share.join("main/ac"))
        .unwrap()
        .collect();
    assert_eq!(sent.len(), 1);
    let stats = machine.home.json(&["stats", "--json"]);
    assert_eq!(stats["remote"]["sent"], 1);
    assert!(stats["remote"]["bytes_sent"].as_u64().unwrap() > 0);
}

#[test]
fn a_server_that_is_new_gets_what_the_cache_holds() {
    let machine = Machine::new();
    let store = machine.home.store();
    let object = store.put_artefact(b"an object").unwrap();
    let stage = serde_json::json!({"schema": 3, "outputs": [{"artefact": object}], "sources": []});
    store
        .put_intermediate_record(&[1; 32], stage.to_string().as_bytes())
        .unwrap();
    let result = serde_json::json!({"milliseconds": 5, "outputs": [{"artefact": object}]});
    store
        .put_record(&[2; 32], result.to_string().as_bytes())
        .unwrap();
    let order = serde_json::json!({"order": []});
    store
        .put_record(&[3; 32], order.to_string().as_bytes())
        .unwrap();
    let said = machine.text(&["remote", "push"]);
    assert!(said.starts_with("2 records are queued"), "{said}");
    machine.text(&["remote", "flush"]);
    let mut sent: Vec<_> = fs::read_dir(machine.share.join("main/ac"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    sent.sort();
    let mut expected = [[1; 32], [2; 32]].map(|key| hex::encode(Name::of(&key).0));
    expected.sort();
    assert_eq!(sent, expected);
    // Once more, it has all of them.
    machine.text(&["remote", "push"]);
    machine.text(&["remote", "flush"]);
    assert_eq!(machine.home.json(&["stats", "--json"])["remote"]["sent"], 2);
}

#[test]
fn a_server_that_does_not_answer_is_mentioned_in_the_statistics() {
    let machine = Machine::new();
    machine.text(&["config", "set", "remote", "redis://127.0.0.1:1"]);
    let directory = machine.directory();
    let store = machine.home.store();
    store.put_record(&[7; 32], b"{}").unwrap();
    fs::create_dir_all(directory.join("queue")).unwrap();
    fs::write(directory.join("queue/1-1"), [&b"r"[..], &[7; 32]].concat()).unwrap();
    let said = machine.refused(&["remote", "flush", "--timeout", "2s"]);
    assert!(said.contains("still wait to be sent"), "{said}");
    let text = machine.text(&["stats"]);
    assert!(
        text.ends_with(
            "hint: redis://127.0.0.1:1 has not answered since a failure; pcache remote status says why\n"
        ),
        "{text}"
    );
    machine.text(&["remote", "stop"]);
    assert!(
        !machine.text(&["stats"]).contains("hint"),
        "no helper knows"
    );
}

#[test]
fn keys_are_made_once_and_kept_secret() {
    let machine = Machine::new();
    let file = machine.home.path().join("key");
    let name = file.to_str().unwrap();
    let public = machine.text(&["remote", "keygen", "farm-1", name]);
    assert!(
        public.starts_with("farm-1:") && public.len() == 7 + 64 + 1,
        "{public}"
    );
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(
        machine
            .refused(&["remote", "keygen", "farm-1", name])
            .contains("File exists")
    );
    let other = machine.home.path().join("other");
    let said = machine.refused(&["remote", "keygen", "a b", other.to_str().unwrap()]);
    assert!(said.contains("a key's name has letters"), "{said}");
    machine.text(&["config", "set", "trusted_keys", public.trim()]);
}

#[test]
fn doctor_looks_at_the_settings_of_servers() {
    let machine = Machine::new();
    let findings = || {
        let output = machine.run(&["doctor", "--json"]);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let findings = report["findings"].as_array().unwrap().iter();
        let about = findings.filter(|found| found["about"] == "servers");
        about
            .map(|found| found["text"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let has = |part: &str| findings().iter().any(|text| text.contains(part));
    assert!(has("pcache-remote talks to them"));
    assert!(has("decides what you link"));
    let file = machine.home.path().join("key");
    machine.text(&["config", "set", "sign_key", file.to_str().unwrap()]);
    assert!(has("cannot be read"));
    machine.text(&["remote", "keygen", "farm-1", file.to_str().unwrap()]);
    assert!(!has("the signing key"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(has("others can read the signing key"));
}
