//! Every kind of server: a second machine, with another checkout, gets what the first one has made.

use std::fs;

use super::farm::Farm;
use crate::places::{PLACES, arguments, checkouts, names_no_other_place};
use crate::support::outcome::Outcome;
use crate::support::servers::Server;
use crate::support::stages::staged;

/// Compiles in the build folder of a place.
#[track_caller]
fn build(farm: &mut Farm, place: &str, args: &[&str]) -> Outcome {
    farm.ws.cd(&format!("{place}/build"));
    let words = arguments(&farm.ws, place, args);
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let outcome = farm.ws.build(&words);
    outcome.succeeds();
    outcome
}

/// What nvcc gives in the build folder of a place.
#[track_caller]
fn reference(farm: &mut Farm, place: &str, args: &[&str]) -> Outcome {
    farm.ws.cd(&format!("{place}/build"));
    let words = arguments(&farm.ws, place, args);
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    farm.ws.kept(&words)
}

const RELATIVE: [&str; 7] = [
    "-MD",
    "-c",
    "../src/unit.cu",
    "-I../include",
    "-o",
    "unit.o",
    "-DX",
];
const ABSOLUTE: [&str; 5] = [
    "-c",
    "{base}/src/second.cu",
    "-I{base}/include",
    "-o",
    "{base}/build/second.o",
];
const WARNING: [&str; 4] = ["-c", "../src/warning.cu", "-o", "warning.o"];

/// Compiles on one machine, and has another one find everything.
#[track_caller]
fn another_machine_finds_everything(url: &str, lists: &[&[&str]]) {
    let mut farm = Farm::new(checkouts(), url);
    for args in lists {
        build(&mut farm, PLACES[0], args).misses(1);
    }
    farm.flush();
    let first = farm.counted();
    assert!(first.sent > 0 && first.unsent == 0 && first.failures.is_empty());
    farm.on("b");
    for args in lists {
        let outcome = build(&mut farm, PLACES[1], args);
        outcome.hits_directly(1);
        outcome.same_as(&reference(&mut farm, PLACES[1], args));
        names_no_other_place(&farm.ws, PLACES[1], &outcome);
    }
    let second = farm.flush().counted();
    assert!(second.hits > 0 && second.failures.is_empty(), "{second:?}");
    assert_eq!((second.misses, second.sent), (0, 0));
}

#[test]
fn redis_serves_another_machine() {
    let server = Server::redis(&[]);
    another_machine_finds_everything(&server.url("redis", ""), &[&RELATIVE, &ABSOLUTE, &WARNING]);
}

#[test]
fn valkey_serves_another_machine() {
    let server = Server::valkey(&["--requirepass", "pass"]);
    let url = format!("redis://:pass@127.0.0.1:{}/3?ttl=600", server.port());
    another_machine_finds_everything(&url, &[&RELATIVE]);
}

#[test]
fn a_web_server_serves_another_machine() {
    let server = Server::nginx("create_full_put_path on;", "");
    another_machine_finds_everything(&server.url("http", "/cache"), &[&RELATIVE, &WARNING]);
}

#[test]
fn a_directory_serves_another_machine() {
    let share = tempfile::tempdir().expect("a share");
    let url = format!("file://{}", share.path().display());
    another_machine_finds_everything(&url, &[&RELATIVE, &ABSOLUTE]);
}

#[test]
fn two_servers_are_both_written_and_one_is_enough() {
    let (first, second) = (Server::redis(&[]), Server::nginx("", ""));
    let urls = [first.url("redis", ""), second.url("http", "")];
    let mut farm = Farm::new(checkouts(), &urls.join(" "));
    let made = build(&mut farm, PLACES[0], &RELATIVE);
    farm.flush();
    for (machine, url) in ["b", "c"].into_iter().zip(&urls) {
        farm.ws.set_env("PCACHE_REMOTE", url);
        let found = build(farm.on(machine), PLACES[0], &RELATIVE);
        found.hits_directly(1).same_as(&made);
    }
}

/// A machine that may only read sends nothing.
#[test]
fn a_reader_sends_nothing() {
    let server = Server::redis(&[]);
    let mut farm = Farm::new(checkouts(), &server.url("redis", " read-only"));
    build(&mut farm, PLACES[0], &RELATIVE).misses(1);
    farm.flush();
    assert_eq!(farm.counted().sent, 0);
    build(farm.on("b"), PLACES[0], &RELATIVE).misses(1);
}

/// Debug information, and texts of assertions, name the checkout: none of another machine's.
#[test]
fn what_names_its_checkout_serves_no_other_one() {
    let share = tempfile::tempdir().expect("a share");
    let mut farm = Farm::new(checkouts(), &format!("file://{}", share.path().display()));
    for args in [
        &["-c", "{base}/src/asserting.cu", "-o", "unit.o"][..],
        &[
            "-lineinfo",
            "-c",
            "../src/unit.cu",
            "-I../include",
            "-o",
            "unit.o",
        ],
        &["-g", "-c", "../src/unit.cu", "-I../include", "-o", "unit.o"],
    ] {
        build(farm.on("a"), PLACES[0], args).misses(1);
        farm.flush();
        let outcome = build(farm.on("b"), PLACES[1], args);
        outcome.misses(1);
        names_no_other_place(&farm.ws, PLACES[1], &outcome);
        if !args[0].starts_with("-g") && !args[0].starts_with("-l") {
            outcome.same_as(&reference(&mut farm, PLACES[1], args));
        }
        // In the first checkout it is found.
        build(farm.on("c"), PLACES[0], args).hits_directly(1);
    }
}

const LARGE: [&str; 4] = ["-c", "../src/large.cu", "-o", "large.o"];

/// A farm whose first machine has made and sent a result of more than a megabyte, which travels as a value of its own.
fn with_large_result(url: &str) -> Farm {
    let mut farm = Farm::new(checkouts(), url);
    let mut word = 1_u64;
    let noise = std::iter::repeat_with(|| {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        word.to_le_bytes()
    });
    let noise: Vec<u8> = noise.flatten().take(3 << 20).collect();
    for place in PLACES {
        farm.ws.write(&format!("{place}/src/noise.bin"), &noise);
        let text = "asm(\".data\\n.globl noise\\nnoise: .incbin \\\"../src/noise.bin\\\"\\n\");\n\
            __global__ void external(int *p) { *p = 1; }\n";
        farm.ws.write(&format!("{place}/src/large.cu"), text);
    }
    build(&mut farm, PLACES[0], &LARGE).misses(1);
    farm.flush();
    farm
}

#[track_caller]
fn large_results_travel(url: &str) {
    let mut farm = with_large_result(url);
    let outcome = build(farm.on("b"), PLACES[1], &LARGE);
    outcome.hits_directly(1);
    outcome.same_as(&reference(&mut farm, PLACES[1], &LARGE));
    assert!(farm.counted().failures.is_empty());
}

#[test]
fn large_results_travel_by_redis() {
    let server = Server::redis(&[]);
    large_results_travel(&server.url("redis", ""));
}

#[test]
fn large_results_travel_by_a_web_server() {
    let server = Server::nginx("", "");
    large_results_travel(&server.url("http", ""));
    let blobs = fs::read_dir(server.dir().join("data/main/cas")).expect("values");
    assert!(blobs.count() > 0);
}

/// A server may forget a part of what it has, or have other bytes. What needs it is compiled, and sent again.
#[test]
fn large_artefacts_that_are_gone_or_wrong_are_sent_again() {
    let share = tempfile::tempdir().expect("a share");
    let mut farm = with_large_result(&format!("file://{}", share.path().display()));
    let expected = reference(&mut farm, PLACES[0], &LARGE);
    let other = zstd::stream::encode_all(&b"other"[..], 3).expect("a frame");
    for (number, text) in [None, Some(&b"no frame"[..]), Some(&other)]
        .into_iter()
        .enumerate()
    {
        for blob in fs::read_dir(share.path().join("main/cas")).expect("values") {
            let blob = blob.expect("a value").path();
            match text {
                None => fs::remove_file(blob).expect("a value"),
                Some(text) => fs::write(blob, text).expect("a value"),
            }
        }
        let made = build(farm.on(&format!("finder-{number}")), PLACES[0], &LARGE);
        made.misses(1).same_as(&expected);
        let counted = farm.flush().counted();
        let kinds: Vec<_> = counted.failures.keys().collect();
        match text {
            None => assert!(kinds.is_empty() && counted.misses > 0, "{counted:?}"),
            Some(_) => assert_eq!(kinds, ["garbled"], "{counted:?}"),
        }
        let found = build(farm.on(&format!("next-{number}")), PLACES[0], &LARGE);
        found.hits_directly(1).same_as(&expected);
    }
}

/// After an edit of host code, the stages of device code come from the other machine.
#[test]
fn stages_travel() {
    let server = Server::redis(&[]);
    let mut farm = Farm::new(checkouts(), &server.url("redis", ""));
    // No pass for the device sees what is compiled for the host alone.
    let text = |host: &str| {
        format!(
            "__global__ void external(int *p) {{ *p = 1; }}\n\
             #ifndef __CUDA_ARCH__\nint host() {{ return {host}; }}\n#endif\n"
        )
    };
    let write = |farm: &Farm, host| {
        for place in PLACES {
            farm.ws.write(&format!("{place}/src/unit.cu"), text(host));
        }
    };
    write(&farm, "1");
    build(&mut farm, PLACES[0], &RELATIVE).misses(1);
    farm.flush();
    write(&farm, "2");
    farm.on("b");
    farm.ws.cd(&format!("{}/build", PLACES[0]));
    let build = staged(&farm.ws, || farm.ws.build(&RELATIVE));
    let ran = build.ran();
    assert!(
        ["cudafe", "host_compile"]
            .iter()
            .all(|stage| ran.contains(stage)),
        "{ran:?}"
    );
    // What takes no longer than an answer may end before it comes.
    let mut others = ran
        .iter()
        .filter(|stage| !["cudafe", "host_compile"].contains(*stage));
    assert!(others.all(|stage| *stage == "fatbinary"), "{ran:?}");
    build.outcome.misses(1).same_as(&farm.ws.kept(&RELATIVE));
}

/// Two machines that compile the same unit with other headers add to what a third one finds.
#[test]
fn machines_add_to_what_others_found() {
    let server = Server::redis(&[]);
    let args = ["-c", "../src/unit.cu", "-I../include", "-o", "unit.o"];
    for reverse in [false, true] {
        let namespace = if reverse { "one" } else { "two" };
        let url = format!("{} namespace={namespace}", server.url("redis", ""));
        let mut farm = Farm::new(checkouts(), &url);
        // Another header is read then, and so the list of files is another one.
        let states = [("a", "#define VALUE 1\n"), ("b", "#include \"more.h\"\n")];
        let mut made = Vec::new();
        farm.ws.write("one/include/more.h", "#define VALUE 5\n");
        for (machine, text) in states {
            farm.ws.write("one/include/value.h", text);
            build(farm.on(machine), PLACES[0], &args).misses(1);
            made.push(reference(&mut farm, PLACES[0], &args));
        }
        let mut order = ["a", "b"];
        if reverse {
            order.reverse();
        }
        for machine in order {
            farm.on(machine).flush();
        }
        for ((_, text), made) in states.into_iter().zip(&made) {
            farm.ws.write("one/include/value.h", text);
            let found = build(farm.on("c"), PLACES[0], &args);
            found.hits_directly(1).same_as(made);
        }
        for ((_, text), machine) in states.into_iter().zip(["b", "a"]) {
            farm.ws.write("one/include/value.h", text);
            build(farm.on(machine), PLACES[0], &args).hits_directly(1);
        }
    }
}
