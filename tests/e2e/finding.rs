//! Which nvcc is run: by PCACHE_NVCC, launcher, link, PATH, CUDA_HOME; never ourselves; and what is
//! said when there is none.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::poll;
use crate::support::toolkit::Toolkit;
use crate::support::workspace::{Workspace, make_executable, program};

const ARGS: &[&str] = &["-c", "k.cu", "-o", "k.o"];

fn kernel() -> Workspace {
    Workspace::with("k.cu", "__global__ void k(int *p) { *p = 1; }\n")
}

/// A folder with a link called nvcc to pcache-nvcc.
fn link_to_us(ws: &Workspace) -> PathBuf {
    let dir = ws.side("links");
    symlink(program("pcache-nvcc"), dir.join("nvcc")).expect("a link");
    dir
}

#[test]
fn launcher_and_link_and_plain_name_share_one_cache() {
    let mut ws = kernel();
    let first = ws.build(ARGS);
    first.misses(1);
    let mut launched = ws.command(program("pcache-nvcc"));
    launched.arg(ws.real_nvcc()).args(ARGS);
    ws.try_run(launched).hits(1).same_as(&first);
    let links = link_to_us(&ws);
    ws.set_path(&[&links, &Toolkit::get().bin()]);
    let mut linked = ws.command(links.join("nvcc"));
    linked.args(ARGS);
    ws.try_run(linked).hits(1).same_as(&first);
    let mut by_name = ws.command("sh");
    by_name.args(["-c", "nvcc \"$@\"", "sh"]).args(ARGS);
    ws.try_run(by_name).hits(1).same_as(&first);
}

#[test]
fn launcher_of_a_link_to_us_compiles_with_the_nvcc_behind_the_link() {
    let mut ws = kernel();
    let links = link_to_us(&ws);
    let launched = |ws: &Workspace| {
        let mut command = ws.command(program("pcache-nvcc"));
        command.arg(links.join("nvcc")).args(ARGS);
        ws.try_run(command)
    };
    ws.set_path(&[&links, &Toolkit::get().bin()]);
    launched(&ws).misses(1).same_as(&ws.kept(ARGS));
    ws.set_path(&[&links]);
    ws.set_env("CUDA_HOME", Toolkit::get().root());
    launched(&ws).succeeds().same_as(&ws.kept(ARGS));
}

#[test]
fn setting_that_names_a_toolkit_or_its_bin_finds_the_nvcc() {
    let mut ws = kernel();
    ws.set_path(&[]);
    let (root, bin) = (Toolkit::get().root(), Toolkit::get().bin());
    ws.set_env("PCACHE_NVCC", root);
    ws.build(ARGS).misses(1).same_as(&ws.kept(ARGS));
    ws.set_env("PCACHE_NVCC", &bin);
    ws.build(ARGS).hits(1);
    let empty = ws.side("empty");
    ws.set_env("PCACHE_NVCC", &empty);
    let ours = ws.build(ARGS);
    assert_eq!(ours.status, 1);
    for place in [
        "empty/nvcc): no such program",
        "empty/bin/nvcc): no such program",
    ] {
        assert!(ours.err().contains(place), "{}", ours.err());
    }
}

#[test]
fn setting_names_the_nvcc() {
    let mut ws = kernel();
    let nvcc = ws.real_nvcc().to_path_buf();
    ws.set_path(&[]);
    ws.set_env("PCACHE_NVCC", &nvcc);
    ws.build(ARGS).misses(1).same_as(&ws.kept(ARGS));
}

#[test]
fn cuda_home_names_the_toolkit() {
    let mut ws = kernel();
    ws.set_path(&[]);
    ws.set_env("CUDA_HOME", Toolkit::get().root());
    ws.build(ARGS).misses(1).same_as(&ws.kept(ARGS));
}

#[test]
fn setting_outranks_path() {
    let mut ws = kernel();
    let dir = ws.side("false");
    fs::write(dir.join("nvcc"), "#!/bin/sh\nexit 77\n").expect("a script");
    make_executable(&dir.join("nvcc"));
    ws.set_path(&[&dir]);
    let nvcc = ws.real_nvcc().to_path_buf();
    ws.set_env("PCACHE_NVCC", nvcc);
    ws.build(ARGS).misses(1);
}

#[test]
fn no_nvcc_is_a_clear_error() {
    let mut ws = kernel();
    ws.set_path(&[]);
    ws.set_env("CUDA_HOME", "/no/such/cuda");
    let ours = ws.build(ARGS);
    if Path::new("/usr/local/cuda/bin/nvcc").exists() {
        ours.succeeds();
        return;
    }
    assert_eq!(ours.status, 1);
    assert!(ours.stdout.is_empty());
    let said = ours.err();
    assert!(
        said.lines().all(|line| line.starts_with("pcache-nvcc: ")),
        "{said}"
    );
    for place in ["PCACHE_NVCC", "PATH", "/no/such/cuda", "/usr/local/cuda"] {
        assert!(
            said.contains(place),
            "{place} is not among the places:\n{said}"
        );
    }
}

#[test]
fn a_setting_that_names_no_program_is_a_clear_error() {
    let mut ws = kernel();
    ws.set_env("PCACHE_NVCC", "/no/such/nvcc");
    let ours = ws.build(ARGS);
    assert_ne!(ours.status, 0);
    let said = ours.err();
    assert!(
        said.contains("pcache-nvcc: ") && said.contains("/no/such/nvcc"),
        "{said}"
    );
}

/// Ends for sure, and has either compiled or said in our voice why not.
#[track_caller]
fn ends_without_going_in_circles(ws: &Workspace, mut command: Command) {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let mut child = command.spawn().expect("start it");
    let group = rustix::process::Pid::from_child(&child);
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        poll::until("the end of a compile", || child.try_wait().expect("wait"))
    }));
    if ended.is_err() {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let status = ended.expect("ran in circles");
    let output = child.wait_with_output().expect("its words");
    let said = String::from_utf8_lossy(&output.stderr);
    if status.success() {
        assert!(ws.path("k.o").exists());
    } else {
        assert!(
            said.starts_with("pcache-nvcc: "),
            "status {status}, saying:\n{said}"
        );
    }
}

#[test]
fn a_link_to_us_alone_in_path_is_not_nvcc() {
    let mut ws = kernel();
    let links = link_to_us(&ws);
    ws.set_path(&[&links]);
    let mut command = ws.command(links.join("nvcc"));
    command.args(ARGS);
    ends_without_going_in_circles(&ws, command);
}

#[test]
fn a_script_called_nvcc_that_runs_us_does_not_recurse() {
    let mut ws = kernel();
    let dir = ws.side("scripts");
    let text = format!(
        "#!/bin/sh\nexec {} \"$@\"\n",
        program("pcache-nvcc").display()
    );
    fs::write(dir.join("nvcc"), text).expect("a script");
    make_executable(&dir.join("nvcc"));
    ws.set_path(&[&dir, &Toolkit::get().bin()]);
    for args in [
        ARGS,
        &["--version", "-o", "k.o"],
        &["-c", "k.cu", "--no-such-option"],
    ] {
        ws.write("k.o", "");
        let mut command = ws.command(dir.join("nvcc"));
        command.args(args);
        ends_without_going_in_circles(&ws, command);
    }
}

#[test]
fn a_copy_of_us_called_nvcc_does_not_recurse() {
    let mut ws = kernel();
    let dir = ws.side("copies");
    fs::copy(program("pcache-nvcc"), dir.join("nvcc")).expect("a copy");
    ws.set_path(&[&dir, &Toolkit::get().bin()]);
    ends_without_going_in_circles(&ws, ws.ours(ARGS));
}

#[test]
fn a_setting_that_names_ourselves_does_not_recurse() {
    let mut ws = kernel();
    ws.set_env("PCACHE_NVCC", program("pcache-nvcc"));
    ends_without_going_in_circles(&ws, ws.ours(ARGS));
}

#[test]
fn a_script_around_the_real_nvcc_works() {
    let mut ws = kernel();
    let dir = ws.side("scripts");
    let text = format!("#!/bin/sh\nexec {} \"$@\"\n", ws.real_nvcc().display());
    fs::write(dir.join("nvcc"), text).expect("a script");
    make_executable(&dir.join("nvcc"));
    ws.use_nvcc(dir.join("nvcc"));
    for _ in 0..2 {
        ws.build(ARGS).succeeds().same_as(&ws.kept(ARGS));
    }
}
