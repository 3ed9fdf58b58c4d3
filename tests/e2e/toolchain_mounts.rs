//! Tools in file system images, whose files have the times that a tool wrote into the image: another image may
//! hold another content under the same inode, size and times. In a name space with mounts of its own.

use std::env;
use std::fs::{self, File, FileTimes};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use crate::support::toolkit::Toolkit;
use crate::support::workspace::{Workspace, make_executable};

const INSIDE: &str = "PCACHE_TEST_INSIDE";
const ARGS: [&str; 4] = ["-c", "unit.cu", "-o", "unit.o"];

#[track_caller]
fn run(command: &mut Command) {
    let status = command.stdout(Stdio::null()).status();
    let status = status.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}");
}

/// A file of a toolkit that differs between two images.
struct Member {
    /// Below the toolkit's `bin`, or below a directory of COMPILER_PATH.
    name: &'static str,
    in_toolkit: bool,
    /// Its content in the image of that number, a digit.
    content: fn(u32) -> String,
}

fn script(name: &str, arguments: &str) -> String {
    let real = match Toolkit::get().bin().join(name) {
        real if real.exists() => real,
        _ => PathBuf::from(format!("/usr/bin/{name}")),
    };
    format!("#!/bin/sh\nexec {} {arguments} \"$@\"\n", real.display())
}

const MEMBERS: [Member; 5] = [
    Member {
        name: "nvcc.profile",
        in_toolkit: true,
        content: |value| {
            let profile = Toolkit::get().bin().join("nvcc.profile");
            let mut text = fs::read_to_string(profile).expect("the toolkit's profile");
            text.push_str(&format!("\nINCLUDES += -DVALUE={value} $(_SPACE_)\n"));
            text
        },
    },
    Member {
        name: "ptxas",
        in_toolkit: true,
        content: |value| script("ptxas", &format!("-O{}", 3 * (value - 1))),
    },
    Member {
        name: "cudafe++",
        in_toolkit: true,
        content: |value| {
            let change =
                format!("for last; do :; done\nsed -i s/VALUE_OF_TOOL/{value}/ \"$last\"\nexec");
            script("cudafe++", "").replacen("exec", &change, 1)
        },
    },
    Member {
        name: "fatbinary",
        in_toolkit: true,
        content: |value| script("fatbinary", &format!("--ident=image-{value}")),
    },
    Member {
        name: "as",
        in_toolkit: false,
        content: |value| script("as", &format!("--defsym=image=0{value}")),
    },
];

/// A squashfs image of the `member` alone, all of whose times are equal.
fn image(root: &Path, member: &Member, value: u32) -> PathBuf {
    let (folder, image) = (
        root.join(format!("from-{value}")),
        root.join(format!("{value}.squashfs")),
    );
    fs::create_dir(&folder).expect("a folder");
    let path = folder.join(member.name);
    fs::write(&path, (member.content)(value)).expect("the file");
    make_executable(&path);
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let times = FileTimes::new().set_modified(long_ago);
    File::options()
        .write(true)
        .open(&path)
        .and_then(|file| file.set_times(times))
        .expect("its time");
    run(Command::new("mksquashfs")
        .args([&folder, &image])
        .args(["-quiet", "-no-progress"]));
    image
}

/// A toolkit of links, whose file of the name `member` leads into `mounted`.
fn toolkit(root: &Path, member: &str, mounted: &Path) -> PathBuf {
    let theirs = Toolkit::get();
    let ours = root.join("toolkit");
    fs::create_dir_all(ours.join("bin")).expect("a folder");
    for entry in fs::read_dir(theirs.root()).expect("the toolkit").flatten() {
        if entry.file_name() != "bin" {
            symlink(entry.path(), ours.join(entry.file_name())).expect("a link");
        }
    }
    for entry in fs::read_dir(theirs.bin())
        .expect("the toolkit's programs")
        .flatten()
    {
        let place = ours.join("bin").join(entry.file_name());
        match entry.file_name().to_str() {
            Some(name) if name == member => symlink(mounted.join(name), place).expect("a link"),
            // nvcc looks for its profile beside its own file.
            Some("nvcc") => drop(fs::copy(entry.path(), place).expect("copy nvcc")),
            _ => symlink(entry.path(), place).expect("a link"),
        }
    }
    ours.join("bin/nvcc")
}

#[test]
fn tool_on_another_image_of_the_same_size_and_times_is_another() {
    const NAME: &str =
        "toolchain_mounts::tool_on_another_image_of_the_same_size_and_times_is_another";
    if env::var_os(INSIDE).is_none() {
        let mut command = Command::new("unshare");
        if !rustix::process::geteuid().is_root() {
            command.arg("--map-root-user");
        }
        command
            .arg("--mount")
            .arg(env::current_exe().expect("this program"));
        return run(command
            .args(["--exact", NAME, "--nocapture", "--include-ignored"])
            .env(INSIDE, "1"));
    }
    for member in &MEMBERS {
        eprintln!("{}", member.name);
        images_are_told_apart(member);
    }
}

fn images_are_told_apart(member: &Member) {
    let mut ws = Workspace::with(
        "unit.cu",
        "#ifndef VALUE\n#define VALUE 3\n#endif\n\
         __global__ void external(int *p) { for (int i = 0; i < p[0]; i++) p[i] += VALUE * p[i + 1]; }\n\
         int host() { return VALUE; }\nconst char *tool() { return \"VALUE_OF_TOOL\"; }\n",
    );
    let mounted = ws.side("mounted");
    let images = [1, 2].map(|value| image(ws.root(), member, value));
    if member.in_toolkit {
        let nvcc = toolkit(ws.root(), member.name, &mounted);
        ws.use_nvcc(nvcc);
    } else {
        ws.set_env("COMPILER_PATH", &mounted);
    }
    let build = |image: &Path| {
        run(Command::new("mount")
            .args(["-o", "loop,ro"])
            .args([image, &mounted]));
        let built = ws.build(&ARGS);
        built.succeeds().same_as(&ws.kept(&ARGS));
        let again = ws.build(&ARGS);
        again.same_as(&built);
        if member.in_toolkit {
            again.hits(1);
        }
        run(Command::new("umount").arg(&mounted));
        built
    };
    let first = build(&images[0]);
    build(&images[1]).differs_from(&first);
    build(&images[0]).same_as(&first);
}
