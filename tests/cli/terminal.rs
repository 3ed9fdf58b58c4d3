//! What `pcache` prints on a terminal: colours unless they are unwanted, and nothing that a short
//! request does not need. The terminal is a real one, of the kernel's pseudo-terminals.

use crate::home::Home;
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::File;
use std::io::Read;
use std::process::Stdio;

/// What a request prints when both streams are a terminal, with these variables.
fn shown(home: &Home, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let terminal = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    let mut command = home.command(arguments);
    command.envs(variables.iter().copied()).stdin(Stdio::null());
    command
        .stdout(terminal.try_clone().unwrap())
        .stderr(terminal);
    let mut child = command.spawn().unwrap();
    // Its copies of the terminal, without which the end is never reached.
    drop(command);
    let (mut text, mut chunk) = (Vec::new(), [0; 4096]);
    let mut master = File::from(master);
    // The end of a terminal is an error.
    while let Ok(count) = master.read(&mut chunk) {
        text.extend(&chunk[..count]);
        if count == 0 {
            break;
        }
    }
    child.wait().unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn colours_are_shown_on_a_terminal_and_nowhere_else() {
    let home = Home::new();
    home.store().put(b"key", b"value").unwrap();
    let coloured = shown(&home, &["list"], &[("TERM", "xterm")]);
    assert!(coloured.contains("\x1b[1mclass"), "{coloured}");
    assert!(!home.text(&["list"]).contains('\x1b'));
    let json = shown(&home, &["list", "--json"], &[("TERM", "xterm")]);
    assert!(!json.contains('\x1b'), "{json}");
}

#[test]
fn variables_decide_on_colours_as_for_cargo() {
    let home = Home::new();
    home.store().put(b"key", b"value").unwrap();
    for (variables, is_coloured) in [
        (&[("TERM", "xterm"), ("NO_COLOR", "1")][..], false),
        (&[("TERM", "xterm"), ("NO_COLOR", "")], true),
        (&[("TERM", "xterm"), ("CLICOLOR", "0")], false),
        (&[("TERM", "xterm"), ("CLICOLOR", "1")], true),
        (&[("TERM", "dumb")], false),
        (&[("TERM", "dumb"), ("CLICOLOR_FORCE", "1")], true),
        (&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], false),
    ] {
        let text = shown(&home, &["list"], variables);
        assert!(text.contains("class"), "{text}");
        assert_eq!(text.contains('\x1b'), is_coloured, "{variables:?}: {text}");
    }
    let mut forced = home.command(&["list"]);
    let forced = forced.env("CLICOLOR_FORCE", "1").output().unwrap();
    assert!(forced.stdout.contains(&0x1b), "{forced:?}");
}

#[test]
fn damage_is_red_on_a_terminal() {
    let home = Home::new();
    home.store().put_record(b"key", b"value").unwrap();
    let records = home.cache().join("manifests/results");
    let shard = std::fs::read_dir(records).unwrap().next().unwrap().unwrap();
    let record = std::fs::read_dir(shard.path())
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    std::fs::write(record.path(), "nonsense").unwrap();
    let text = shown(&home, &["verify"], &[("TERM", "xterm")]);
    assert!(text.contains("\x1b[31mdamaged record "), "{text}");
}
