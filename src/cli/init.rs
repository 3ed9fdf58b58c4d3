//! `pcache init`: makes a cache, for this user alone or for a group, with the key by which its results are signed;
//! or such a key alone. Its other options set builds up: with links, or with lines to paste.

use super::context::{Context, Status};
use super::links;
use super::recipes::{self, BuildSystem};
use super::screen::say;
use crate::store::{KEY_DIRECTORY, KEY_FILE, SigningKey};
use anyhow::{Context as _, Error, bail};
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What `pcache init` takes.
#[derive(Debug, clap::Args)]
pub(super) struct InitArguments {
    /// Make a cache that the members of this group share
    #[arg(long, value_name = "GROUP")]
    shared: Option<String>,
    /// Let only members of this group sign results and use signed ones; others use only what they compiled
    #[arg(long, value_name = "GROUP", requires = "shared")]
    signers: Option<String>,
    /// Only write a new key for PCACHE_KEY to this file, and make no cache
    #[arg(long, value_name = "FILE", conflicts_with = "shared")]
    key: Option<PathBuf>,
    /// Only make a link called nvcc that leads to pcache-nvcc in this directory
    #[arg(long, value_name = "DIR", conflicts_with_all = ["shared", "key"])]
    link: Option<PathBuf>,
    /// Only mirror the toolkit in this directory by links, with pcache-nvcc as its bin/nvcc
    #[arg(long, value_name = "DIR", conflicts_with_all = ["shared", "key", "link"])]
    cuda_home: Option<PathBuf>,
    /// Only print the lines that tell a build system of pcache-nvcc
    #[arg(long, value_name = "BUILD_SYSTEM", conflicts_with_all = ["shared", "key", "link", "cuda_home"])]
    print: Option<BuildSystem>,
}

/// Rights of a cache that a group shares: its members write, and what is made there is the group's.
const SHARED: u32 = 0o2770;

pub(super) fn run(arguments: &InitArguments, context: &mut Context<'_>) -> Result<Status, Error> {
    if let Some(directory) = &arguments.link {
        return links::link(directory, context);
    }
    if let Some(directory) = &arguments.cuda_home {
        return links::mirror(directory, context);
    }
    if let Some(system) = arguments.print {
        return recipes::print(system, context);
    }
    make_cache(arguments, context)
}

fn make_cache(arguments: &InitArguments, context: &mut Context<'_>) -> Result<Status, Error> {
    if let Some(path) = &arguments.key {
        write_key(path)?;
        say(
            &mut context.out,
            format_args!("made the key {path:?}; set PCACHE_KEY to its full path"),
        )?;
        return Ok(Status::Fine);
    }
    let root = context.root().to_owned();
    // Before anything is made, so that a wrong name leaves nothing behind.
    let group = arguments.shared.as_deref().map(number_of).transpose()?;
    let signers = arguments.signers.as_deref().map(number_of).transpose()?;
    if let Some(group) = group {
        refuse_closed_parents(&root, group)?;
    }
    let was_there = root.exists();
    make(&root)?;
    let Some(group) = group else {
        say(
            &mut context.out,
            format_args!("made {root:?}, for you alone"),
        )?;
        return Ok(Status::Fine);
    };
    if let Err(error) = share(&root, group, signers.unwrap_or(group)) {
        if !was_there {
            // `remove_dir` removes it only if nothing else is in it.
            let _ = fs::remove_dir_all(root.join(KEY_DIRECTORY));
            let _ = fs::remove_dir(&root);
        }
        return Err(error);
    }
    let name = arguments.shared.as_deref().unwrap_or_default();
    let signed_by = arguments.signers.as_deref().unwrap_or(name);
    say(
        &mut context.out,
        format_args!(
            "made {root:?}, which the group {name} shares; members of {signed_by} sign results"
        ),
    )?;
    say(
        &mut context.out,
        format_args!(
            "Each member sets PCACHE_DIR={} and runs pcache doctor",
            root.display()
        ),
    )?;
    Ok(Status::Fine)
}

/// Gives the new cache in `root` to `group`, with a key that `signers` can read.
fn share(root: &Path, group: u32, signers: u32) -> Result<(), Error> {
    let denied = || format!("cannot give {root:?} to the group; are you a member of it?");
    chown(root, None, Some(group)).with_context(denied)?;
    // Before others can write there.
    write_shared_key(&root.join(KEY_DIRECTORY), signers)?;
    // After `chown`, which clears the set-group-ID bit.
    fs::set_permissions(root, Permissions::from_mode(SHARED)).with_context(denied)
}

/// A cache below a directory that members may not enter is of no use to them.
fn refuse_closed_parents(root: &Path, group: u32) -> Result<(), Error> {
    for parent in root.ancestors().skip(1) {
        let Ok(found) = fs::metadata(parent) else {
            continue;
        };
        let (mode, is_groups) = (found.mode(), found.gid() == group);
        if mode & 0o001 == 0 && !(is_groups && mode & 0o010 != 0) {
            let mode = mode & 0o7777;
            bail!(
                "the group could not reach {root:?}: {parent:?} has mode {mode:o}; name another place with PCACHE_DIR"
            );
        }
    }
    Ok(())
}

/// Makes the directory. One that exists must be empty, since another user could have put files into it.
fn make(root: &Path) -> Result<(), Error> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(root);
    made.with_context(|| format!("cannot make {root:?}"))?;
    refuse_what_is_there(root)?;
    // If it existed, other users may have been able to write there until now; so it is checked a second time.
    let closed = fs::set_permissions(root, Permissions::from_mode(0o700));
    closed.with_context(|| format!("cannot set the mode of {root:?}"))?;
    refuse_what_is_there(root)
}

fn refuse_what_is_there(root: &Path) -> Result<(), Error> {
    let mut found = fs::read_dir(root).with_context(|| format!("cannot list {root:?}"))?;
    if found.next().is_some() {
        bail!(
            "{root:?} is not empty; name a new directory with PCACHE_DIR, or remove what is there"
        );
    }
    Ok(())
}

/// Makes the directory of the key, in which only its owner can write, and writes a key that the group can read.
fn write_shared_key(directory: &Path, group: u32) -> Result<(), Error> {
    let path = directory.join(KEY_FILE);
    let failed = || format!("cannot write the key {path:?}");
    let made = DirBuilder::new().mode(0o700).create(directory);
    made.with_context(failed)?;
    write_key(&path)?;
    for (place, mode) in [(path.as_path(), 0o640), (directory, 0o750)] {
        chown(place, None, Some(group)).with_context(failed)?;
        fs::set_permissions(place, Permissions::from_mode(mode)).with_context(failed)?;
    }
    Ok(())
}

/// Writes a new key to a new file that only this user can read.
fn write_key(path: &Path) -> Result<(), Error> {
    let failed = || format!("cannot write the key {path:?}");
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(failed)?;
    file.write_all(&SigningKey::generate().context("cannot make a key")?)
        .with_context(failed)
}

/// The number of a group, as the system knows it, wherever that keeps its groups.
fn number_of(name: &str) -> Result<u32, Error> {
    // To `chown`, the largest number means that the group stays.
    if let Some(number) = name.parse().ok().filter(|number| *number != u32::MAX) {
        return Ok(number);
    }
    let asked = Command::new("getent")
        .args(["group", "--", name])
        .stderr(Stdio::null())
        .output();
    let output = asked.context("cannot run getent, which knows the groups")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = text
        .split(':')
        .nth(2)
        .and_then(|text| text.trim().parse().ok());
    number.with_context(|| format!("there is no group {name:?}; make it, or name another one"))
}
