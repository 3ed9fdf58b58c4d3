//! Links for builds that look nvcc up: one called `nvcc` in a directory of its own, and a mirror of a whole toolkit for
//! builds that insist on `$CUDA_HOME/bin/nvcc`. Replaces no file but links that it has made.

use super::context::{Context, Status};
use super::installed_programs::InstalledPrograms;
use super::screen::say;
use crate::toolchain::{REAL_NVCC, look_up};
use anyhow::{Context as _, Error, bail};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf, absolute};

const NVCC: &str = "nvcc";
const BIN: &str = "bin";

/// Makes the link `nvcc` in `directory`.
pub(super) fn link(directory: &Path, context: &mut Context<'_>) -> Result<Status, Error> {
    let programs = InstalledPrograms::find(context)?;
    let directory = made(directory)?;
    let link = directory.join(NVCC);
    refuse_stranger(&link)?;
    lead(&link, &programs.wrapper)?;
    let InstalledPrograms { wrapper, nvcc } = &programs;
    let out = &mut context.out;
    say(out, format_args!("{link:?} leads to {wrapper:?}"))?;
    say(out, format_args!("which runs {nvcc:?}"))?;
    let path = (context.env.var)("PATH").unwrap_or_default();
    if look_up(NVCC.as_ref(), &path).is_some_and(|first| is_same_file(&first, &link)) {
        return say(
            out,
            format_args!("It is the first nvcc in PATH: builds that look nvcc up there use it"),
        )
        .map(|()| Status::Fine);
    }
    let shell = (context.env.var)("SHELL").unwrap_or_default();
    let (profile, line) = path_line(Path::new(&shell), &directory);
    say(
        out,
        format_args!("It is not the first nvcc in PATH. Put this line into {profile}:"),
    )?;
    say(out, format_args!("{line}"))?;
    Ok(Status::Fine)
}

/// Mirrors the toolkit of the real nvcc in `directory`.
pub(super) fn mirror(directory: &Path, context: &mut Context<'_>) -> Result<Status, Error> {
    let programs = InstalledPrograms::find(context)?;
    let toolkit = toolkit_of(&programs.nvcc)?;
    let directory = made(directory)?;
    let bin = directory.join(BIN);
    refuse_no_mirror(&directory)?;
    fs::create_dir_all(&bin).with_context(|| format!("cannot make {bin:?}"))?;
    // First, as a mirror is known by it: one that was cut off can be completed.
    lead(&bin.join(REAL_NVCC), &toolkit.join(BIN).join(NVCC))?;

    let mut tools = entries(&toolkit.join(BIN))?;
    tools.insert(NVCC.into(), programs.wrapper.clone());
    tools.insert(REAL_NVCC.into(), toolkit.join(BIN).join(NVCC));
    let mut tops = entries(&toolkit)?;
    tops.remove(OsStr::new(BIN));
    fill(&directory, &tops)?;
    fill(&bin, &tools)?;

    let out = &mut context.out;
    say(
        out,
        format_args!("{directory:?} mirrors {toolkit:?}, with pcache-nvcc in the place of nvcc"),
    )?;
    say(out, format_args!("Let builds find it:"))?;
    let word = shell_word(&directory);
    say(
        out,
        format_args!("export CUDA_HOME={word} CUDA_PATH={word}"),
    )?;
    Ok(Status::Fine)
}

/// The absolute path of a directory, which is made if it is not there.
fn made(directory: &Path) -> Result<PathBuf, Error> {
    let directory = absolute(directory).context("the directory has no name")?;
    fs::create_dir_all(&directory).with_context(|| format!("cannot make {directory:?}"))?;
    Ok(directory)
}

/// Fails if something other than a link to pcache-nvcc is at `link`. A link counts by its name too, since the program that
/// it led to may have been moved.
fn refuse_stranger(link: &Path) -> Result<(), Error> {
    match fs::read_link(link) {
        Ok(target) if target.file_name() == Some("pcache-nvcc".as_ref()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        _ => bail!("{link:?} is no link to pcache-nvcc; name another directory"),
    }
}

/// Fails if there is anything in `directory` but links and the directory `bin`, as in a mirror.
fn refuse_no_mirror(directory: &Path) -> Result<(), Error> {
    let listed = entries(directory)?;
    let bin = directory.join(BIN);
    let is_mirror = fs::read_link(bin.join(REAL_NVCC)).is_ok();
    if listed.is_empty() {
        return Ok(());
    }
    let tools = if bin.is_dir() {
        entries(&bin)?
    } else {
        BTreeMap::new()
    };
    let others = listed.values().filter(|path| **path != bin);
    let mut strangers = others
        .chain(tools.values())
        .filter(|path| !path.is_symlink());
    if let Some(stranger) = strangers.next() {
        bail!("{stranger:?} is no link, and so no part of a mirror; name another directory");
    }
    if !is_mirror {
        bail!("{directory:?} is not empty, and no mirror of a toolkit; name another directory");
    }
    Ok(())
}

/// The paths in a directory, by their names.
fn entries(directory: &Path) -> Result<BTreeMap<OsString, PathBuf>, Error> {
    let failed = || format!("cannot list {directory:?}");
    let mut entries = BTreeMap::new();
    for entry in fs::read_dir(directory).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        entries.insert(entry.file_name(), entry.path());
    }
    Ok(entries)
}

/// Makes the links in `directory` lead where `targets` says, and removes other links.
fn fill(directory: &Path, targets: &BTreeMap<OsString, PathBuf>) -> Result<(), Error> {
    for (name, path) in entries(directory)? {
        if path.is_symlink() && !targets.contains_key(&name) {
            fs::remove_file(&path).with_context(|| format!("cannot remove {path:?}"))?;
        }
    }
    for (name, target) in targets {
        lead(&directory.join(name), target)?;
    }
    Ok(())
}

/// Makes `link` lead to `target`. A link that is there is replaced at once, so that builds always find one.
fn lead(link: &Path, target: &Path) -> Result<(), Error> {
    if fs::read_link(link).is_ok_and(|there| there == target) {
        return Ok(());
    }
    let mut name = OsString::from(".");
    name.push(link.file_name().unwrap_or_default());
    name.push(format!(".{}", std::process::id()));
    let new = link.with_file_name(name);
    let placed = symlink(target, &new).and_then(|()| fs::rename(&new, link));
    placed.with_context(|| {
        let _ = fs::remove_file(&new);
        format!("cannot make the link {link:?}")
    })
}

/// The root of the toolkit of `nvcc`, by the path at which it was found if its profile is there: a link such as
/// `/usr/local/cuda` may lead to another release one day.
pub(super) fn toolkit_of(nvcc: &Path) -> Result<PathBuf, Error> {
    let real = fs::canonicalize(nvcc).with_context(|| format!("cannot follow {nvcc:?}"))?;
    let toolkits = [nvcc, &real].into_iter().filter_map(|nvcc| {
        let bin = nvcc.parent()?;
        let is_whole = nvcc.file_name()? == NVCC && bin.join("nvcc.profile").is_file();
        (is_whole && bin.file_name()? == BIN).then(|| bin.parent())?
    });
    let toolkit = toolkits.map(Path::to_owned).next();
    toolkit.with_context(|| {
        format!("cannot tell the toolkit of {nvcc:?}, which is not beside an nvcc.profile in a directory called bin; set PCACHE_NVCC to the toolkit's directory")
    })
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| {
        Some((
            fs::canonicalize(path.parent()?).ok()?,
            path.file_name()?.to_owned(),
        ))
    };
    place(one).is_some_and(|one| place(other) == Some(one))
}

/// The profile of a shell, and the line in it that puts `directory` first in PATH.
fn path_line(shell: &Path, directory: &Path) -> (&'static str, String) {
    let word = shell_word(directory);
    let name = shell.file_name().and_then(OsStr::to_str);
    let export = || format!("export PATH={word}:\"$PATH\"");
    match name.unwrap_or_default() {
        "fish" => (
            "~/.config/fish/config.fish",
            format!("set -gx PATH {word} $PATH"),
        ),
        "csh" | "tcsh" => ("~/.cshrc", format!("setenv PATH {word}:\"$PATH\"")),
        "zsh" => ("~/.zshrc", export()),
        "bash" => ("~/.bashrc", export()),
        _ => ("~/.profile", export()),
    }
}

/// A path as one word of any shell.
fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._+-".contains(c);
    if text.chars().all(is_plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::{lead, path_line, refuse_stranger, shell_word, toolkit_of};
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    #[test]
    fn line_is_in_the_language_of_the_shell() {
        for (shell, expected) in [
            ("/bin/bash", "~/.bashrc: export PATH=/a/b:\"$PATH\""),
            ("/bin/zsh", "~/.zshrc: export PATH=/a/b:\"$PATH\""),
            ("/bin/tcsh", "~/.cshrc: setenv PATH /a/b:\"$PATH\""),
            (
                "/usr/bin/fish",
                "~/.config/fish/config.fish: set -gx PATH /a/b $PATH",
            ),
            ("", "~/.profile: export PATH=/a/b:\"$PATH\""),
        ] {
            let (profile, line) = path_line(Path::new(shell), Path::new("/a/b"));
            assert_eq!(format!("{profile}: {line}"), expected);
        }
        assert_eq!(shell_word(Path::new("/it's $here")), r"'/it'\''s $here'");
    }

    #[test]
    fn only_links_to_pcache_nvcc_are_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("nvcc");
        refuse_stranger(&link).unwrap();
        symlink("/gone/pcache-nvcc", &link).unwrap();
        refuse_stranger(&link).unwrap();
        lead(&link, Path::new("/new/pcache-nvcc")).unwrap();
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("/new/pcache-nvcc"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        fs::remove_file(&link).unwrap();
        symlink("/usr/local/cuda/bin/nvcc", &link).unwrap();
        refuse_stranger(&link).unwrap_err();
        fs::remove_file(&link).unwrap();
        fs::write(&link, "a program").unwrap();
        refuse_stranger(&link).unwrap_err();
    }

    #[test]
    fn toolkit_is_named_as_it_was_found_if_its_profile_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let bin = root.join("cuda-1/bin");
        fs::create_dir_all(&bin).unwrap();
        fs::write(bin.join("nvcc"), "").unwrap();
        toolkit_of(&bin.join("nvcc")).unwrap_err();
        fs::write(bin.join("nvcc.profile"), "").unwrap();
        symlink("cuda-1", root.join("cuda")).unwrap();
        let named = root.join("cuda");
        assert_eq!(toolkit_of(&named.join("bin/nvcc")).unwrap(), named);
        let alias = root.join("nvcc");
        symlink(bin.join("nvcc"), &alias).unwrap();
        assert_eq!(toolkit_of(&alias).unwrap(), root.join("cuda-1"));
    }
}
