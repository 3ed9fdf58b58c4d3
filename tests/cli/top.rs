//! `pcache top`, once and on a terminal.

use crate::home::Home;
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::Stdio;

/// What the view prints within minutes.
const MOST: usize = 20_000;

/// Two hits and a miss, one after the other.
fn note_build(home: &Home) {
    let store = home.store();
    // A direct hit has no units in its record.
    for (start, level, units) in [
        (1, "direct_hit", ""),
        (
            2,
            "miss",
            r#","units":[{"source":"2.cu","level":"miss","key":""}]"#,
        ),
        (3, "direct_hit", ""),
    ] {
        let at = 1_795_341_600_000_000u64 + start;
        let record = format!(
            r#"{{"v":1,"start":{at},"wall":5,"pid":9,"directory":"/","sources":["{start}.cu"],"level":"{level}","stored":4000{units}}}"#
        );
        store.note(&record).unwrap();
    }
}

fn terminal() -> (File, OwnedFd) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let terminal = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    (File::from(master), terminal)
}

#[test]
fn a_snapshot_is_printed_where_there_is_no_terminal() {
    let home = Home::new();
    let text = home.text(&["top"]);
    assert!(text.contains("the journal has no compile yet"), "{text}");
    assert!(!home.cache().exists(), "a request creates no cache");
    note_build(&home);
    let build = "build of 2026-11-22 10:00:00Z: 2 hits (66.7 %), 1 misses, 8.0 s saved";
    for arguments in [&["top"][..], &["top", "--once"]] {
        let text = home.text(arguments);
        assert!(text.contains(build), "{text}");
        assert!(!text.contains('\x1b'), "{text}");
    }
}

#[test]
fn keys_end_the_view_and_the_terminal_is_as_it_was() {
    for key in [b"q", b"\x03"] {
        let home = Home::new();
        note_build(&home);
        let (mut master, terminal) = terminal();
        let mut command = home.command(&["top"]);
        command
            .env("TERM", "xterm")
            .stdin(terminal.try_clone().unwrap())
            .stdout(terminal.try_clone().unwrap())
            .stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap();
        drop(command);
        let mut text = Vec::new();
        let mut chunk = [0; 4096];
        let mut has_shown = |wanted: &str, master: &mut File| {
            while !String::from_utf8_lossy(&text).contains(wanted) {
                assert!(text.len() < MOST, "no {wanted:?} in {text:?}");
                let count = master.read(&mut chunk).unwrap();
                text.extend(&chunk[..count]);
            }
        };
        has_shown("\x1b[?1049h", &mut master);
        has_shown("2 hits (66.7 %)", &mut master);
        let raw = tcgetattr(&terminal).unwrap().local_modes;
        assert!(!raw.contains(LocalModes::ICANON));
        master.write_all(key).unwrap();
        has_shown("\x1b[?1049l", &mut master);
        assert!(child.wait().unwrap().success());
        let after = tcgetattr(&terminal).unwrap().local_modes;
        assert!(after.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG));
    }
}
