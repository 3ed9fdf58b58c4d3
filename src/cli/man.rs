//! `pcache man`: manual pages, from the definitions that parse the command line and from the table of
//! settings.

use super::context::Status;
use super::screen::{Screen, say_text};
use crate::config::{CHECKOUT_FILE, SETTINGS};
use anyhow::{Context as _, Error};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};
use std::fs;
use std::io;
use std::path::PathBuf;

/// What `pcache man` takes.
#[derive(Debug, clap::Args)]
pub(super) struct ManArguments {
    /// Write every page to this directory: pcache.1, pcache-list.1 and so on, and pcache-nvcc.1
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

pub(super) fn run(
    arguments: &ManArguments,
    command: clap::Command,
    out: &mut Screen<'_>,
) -> Result<Status, Error> {
    let Some(directory) = &arguments.directory else {
        let mut page = Vec::new();
        Man::new(command)
            .render(&mut page)
            .context("cannot make the page")?;
        let page = String::from_utf8(page).context("the page is no text")?;
        say_text(out, &page)?;
        return Ok(Status::Fine);
    };
    fs::create_dir_all(directory).with_context(|| format!("cannot make {directory:?}"))?;
    for (name, page) in pages(command).context("cannot make the pages")? {
        let path = directory.join(name);
        fs::write(&path, page).with_context(|| format!("cannot write {path:?}"))?;
    }
    Ok(Status::Fine)
}

/// The pages by their file names: one for each command, and that of `pcache-nvcc`.
fn pages(mut top: clap::Command) -> io::Result<Vec<(String, Vec<u8>)>> {
    top.build();
    let mut pages = Vec::new();
    let mut left = vec![top];
    while let Some(command) = left.pop() {
        left.extend(command.get_subcommands().cloned());
        let man = Man::new(command);
        let mut page = Vec::new();
        man.render(&mut page)?;
        pages.push((man.get_filename(), page));
    }
    let mut page = Vec::new();
    wrapper().to_writer(&mut page)?;
    pages.push(("pcache-nvcc.1".into(), page));
    Ok(pages)
}

/// The page of `pcache-nvcc`, which has no arguments of its own.
fn wrapper() -> Roff {
    let mut page = Roff::new();
    let version = env!("CARGO_PKG_VERSION");
    page.control(
        "TH",
        ["pcache-nvcc", "1", "", &format!("pcache-nvcc {version}")],
    );
    page.control("SH", ["NAME"]);
    page.text([roman("pcache-nvcc - a compile cache in front of nvcc")]);
    page.control("SH", ["SYNOPSIS"]);
    page.text([bold("pcache-nvcc"), roman(" [nvcc's arguments]")]);
    page.control("br", []);
    page.text([
        bold("pcache-nvcc"),
        roman(" /path/to/nvcc [nvcc's arguments]"),
    ]);
    page.control("SH", ["DESCRIPTION"]);
    page.text([roman(env!("CARGO_PKG_DESCRIPTION"))]);
    page.text([roman(
        "It takes nvcc's arguments and nothing else. As a link called nvcc it stands in for nvcc on \
         PATH; with the path of an nvcc first it is a launcher. Whatever it does not understand \
         goes to the real nvcc unchanged.",
    )]);
    page.control("SH", ["ENVIRONMENT"]);
    for setting in SETTINGS {
        page.control("TP", []);
        page.text([
            bold(setting.variable),
            roman(" ("),
            italic(setting.key),
            roman(" in config.toml)"),
        ]);
        let plain = |text: &str| text.replace('`', "");
        let (help, kind, default) = (setting.help, plain(setting.kind), plain(setting.default));
        page.text([roman(format!(
            "{}: {kind}. Default: {default}.",
            plain(help)
        ))]);
    }
    page.control("SH", ["FILES"]);
    page.control("TP", []);
    page.text([italic("$XDG_CONFIG_HOME/pcache/config.toml")]);
    page.text([roman("The settings; a variable overrides its key.")]);
    page.control("TP", []);
    page.text([italic(CHECKOUT_FILE)]);
    page.text([roman(
        "In the working directory, and above it up to PCACHE_BASE_DIR: settings of a checkout, which override the \
         user's. Only those that can do no harm count.",
    )]);
    page.control("TP", []);
    page.text([italic("/etc/pcache/config.toml")]);
    page.text([roman(
        "The settings of all users, which every other source overrides.",
    )]);
    page.control("SH", ["EXIT STATUS"]);
    page.text([roman("That of nvcc; 1 if no nvcc is found.")]);
    page.control("SH", ["SEE ALSO"]);
    page.text([bold("pcache"), roman("(1)")]);
    page
}
