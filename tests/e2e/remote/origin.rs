//! What is shown of where a result came from.

use std::fs;

use serde_json::Value;

use super::farm::Farm;
use crate::support::servers::Server;

/// The journal's record of the last compile, and what is said of it.
fn last(farm: &Farm) -> (Value, String) {
    let (_, explained) = farm.ws.pcache(&["explain"]);
    (
        explained[0]["compile"].clone(),
        explained[0]["because"].to_string(),
    )
}

/// How many hits came from servers.
fn served(farm: &Farm) -> Value {
    farm.ws.pcache(&["stats"]).1["remote"]["served"].clone()
}

#[test]
fn a_hit_says_whether_a_server_served_it() {
    let server = Server::redis(&[]);
    let mut farm = Farm::with_stubs(&server.url("redis", ""));
    let log = farm.ws.root().join("log");
    farm.compile(1).misses(1);
    let (compile, because) = last(&farm);
    assert!(compile["remote"].is_null() && compile["remote_wait"].as_u64() > Some(0));
    assert!(because.contains("asked servers for "), "{because}");
    farm.flush();
    farm.on("b")
        .ws
        .set_env("PCACHE_LOG", log.to_str().expect("a path"));
    farm.compile(1).hits_directly(1);
    let (compile, because) = last(&farm);
    assert_eq!(compile["remote"], true, "{compile}");
    assert!(
        because.contains("served from a server, asked for "),
        "{because}"
    );
    let text = fs::read_to_string(&log).expect("a log");
    assert!(text.contains("served from a server, asked for "), "{text}");
    assert_eq!(served(&farm), 1);
    // Now it is here, and no server is asked.
    farm.compile(1).hits_directly(1);
    let (compile, because) = last(&farm);
    assert!(
        compile["remote"].is_null() && compile["remote_wait"].is_null(),
        "{compile}"
    );
    assert!(!because.contains("server"), "{because}");
    assert_eq!(served(&farm), 1);
}

/// Without direct mode, each unit says it.
#[test]
fn a_preprocessed_hit_and_stages_say_it_too() {
    let server = Server::redis(&[]);
    let mut farm = Farm::with_stubs(&server.url("redis", ""));
    farm.ws.set_env("PCACHE_DIRECT", "0");
    farm.compile(1).misses(1);
    farm.flush();
    farm.on("b").compile(1).hits(1);
    let (compile, _) = last(&farm);
    assert_eq!(compile["units"][0]["remote"], true, "{compile}");
    assert_eq!(served(&farm), 1);
    // The unit's own result is new, some of its stages are not.
    farm.on("c");
    farm.ws.write("value.h", "#define VALUE 2\n");
    farm.compile(1).misses(1);
    let (compile, because) = last(&farm);
    let stages = compile["stages"].as_array().expect("stages");
    assert!(
        stages.iter().any(|stage| stage["remote"] == true),
        "{compile}"
    );
    assert!(because.contains("stages from a server: "), "{because}");
    assert!(compile["remote"].is_null(), "{compile}");
    assert_eq!(served(&farm), 0);
}
