//! Tools in file system images, whose files have the times that a tool wrote into the image: another image may
//! hold another content under the same inode, size and times. In a name space with mounts of its own.

use std::env;
use std::fs::{self, File, FileTimes};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use crate::support::toolkit::Toolkit;
use crate::support::workspace::Workspace;

const INSIDE: &str = "PCACHE_TEST_INSIDE";
const ARGS: [&str; 4] = ["-c", "unit.cu", "-o", "unit.o"];

#[track_caller]
fn run(command: &mut Command) {
    let status = command.stdout(Stdio::null()).status();
    let status = status.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}");
}

/// A squashfs image of one `nvcc.profile` that defines `VALUE`, a digit, all of whose times are equal.
fn image(root: &Path, value: u32) -> PathBuf {
    let (folder, image) = (
        root.join(format!("from-{value}")),
        root.join(format!("{value}.squashfs")),
    );
    fs::create_dir(&folder).expect("a folder");
    let profile = Toolkit::get().bin().join("nvcc.profile");
    let mut text = fs::read_to_string(profile).expect("the toolkit's profile");
    text.push_str(&format!("\nINCLUDES += -DVALUE={value} $(_SPACE_)\n"));
    let path = folder.join("nvcc.profile");
    fs::write(&path, text).expect("a profile");
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

/// A toolkit of links, whose profile leads into `mounted`.
fn toolkit(root: &Path, mounted: &Path) -> PathBuf {
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
            Some("nvcc.profile") => symlink(mounted.join("nvcc.profile"), place).expect("a link"),
            // nvcc looks for its profile beside its own file.
            Some("nvcc") => drop(fs::copy(entry.path(), place).expect("copy nvcc")),
            _ => symlink(entry.path(), place).expect("a link"),
        }
    }
    ours.join("bin/nvcc")
}

#[test]
fn profile_on_another_image_of_the_same_size_and_times_is_another() {
    const NAME: &str =
        "toolchain_mounts::profile_on_another_image_of_the_same_size_and_times_is_another";
    if env::var_os(INSIDE).is_none() {
        let mut command = Command::new("unshare");
        if !rustix::process::geteuid().is_root() {
            command.arg("--map-root-user");
        }
        command
            .arg("--mount")
            .arg(env::current_exe().expect("this program"));
        return run(command
            .args(["--exact", NAME, "--nocapture"])
            .env(INSIDE, "1"));
    }
    let mut ws = Workspace::with(
        "unit.cu",
        "__global__ void external(int *p) { *p = VALUE; }\nint host() { return VALUE; }\n",
    );
    let mounted = ws.side("mounted");
    let images = [1, 2].map(|value| image(ws.root(), value));
    let nvcc = toolkit(ws.root(), &mounted);
    ws.use_nvcc(nvcc);
    let build = |image: &Path| {
        run(Command::new("mount")
            .args(["-o", "loop,ro"])
            .args([image, &mounted]));
        let built = ws.build(&ARGS);
        built.succeeds().same_as(&ws.kept(&ARGS));
        let again = ws.build(&ARGS);
        again.hits(1).same_as(&built);
        run(Command::new("umount").arg(&mounted));
        built
    };
    let first = build(&images[0]);
    build(&images[1]).differs_from(&first);
    build(&images[0]).same_as(&first);
}
