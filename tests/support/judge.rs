//! The judge of byte equality. It runs the very lines that `nvcc --dryrun --keep` prints, with
//! the module id that pcache-nvcc chose already in its place, so that nothing is left to differ.
//! A build of pcache-nvcc must agree with it byte for byte.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use super::outcome::Outcome;
use super::tree::{Node, Tree};
use super::workspace::Workspace;

/// Module id files by name, as nvcc calls them in a keep folder: `a.module_id`.
pub type ModuleIds = BTreeMap<OsString, Vec<u8>>;

/// What nvcc's own lines give for `args` when the module ids are `ids`. Lines that would write a
/// given id read it instead; with no ids the lines run unmodified.
#[track_caller]
pub fn judge(ws: &Workspace, args: &[&str], ids: &ModuleIds) -> Outcome {
    let dir = ws.fresh("judge");
    for (name, id) in ids {
        fs::write(dir.join(name), id).expect("place a module id");
    }
    let mut dryrun = ws.theirs(&without_threads(args));
    dryrun.args(["--dryrun", "--keep", "--keep-dir"]).arg(&dir);
    let dryrun = ws.try_run(dryrun);
    dryrun.succeeds();
    let before = Tree::read(&ws.work());
    let plan = Plan::parse(&dryrun.stderr);
    let output = plan.run(ws, ids);
    let outputs = Tree::read(&ws.work()).since(&before);
    before.restore(&ws.work());
    Outcome::new(output, outputs, super::counters::Counters::default())
}

/// The module ids that pcache-nvcc gives this job, read from the files that it keeps.
#[track_caller]
pub fn module_ids(ws: &Workspace, args: &[&str]) -> ModuleIds {
    let dir = ws.fresh("ids");
    let mut command = ws.ours(args);
    command.arg("--keep").arg("--keep-dir").arg(&dir);
    ws.try_run(command).succeeds();
    ids_in(&dir)
}

/// The module ids that stand in `outputs` in plain text, by the shape that ours have:
/// `_<16 hex>_<length>_<file name>_<16 hex>`. For PTX: nvcc keeps no id file for it.
pub fn ids_in_text(args: &[&str], outputs: &Tree) -> ModuleIds {
    let sources = args
        .iter()
        .filter(|arg| arg.ends_with(".cu"))
        .map(Path::new);
    sources
        .filter_map(|source| {
            let name = source
                .file_name()?
                .to_str()?
                .replace(|c: char| !c.is_alphanumeric(), "_");
            let middle = format!("_{}_{name}_", name.len());
            let texts = outputs.0.values().filter_map(|node| match node {
                Node::File { bytes, .. } => Some(String::from_utf8_lossy(bytes)),
                Node::Link(_) | Node::Dir => None,
            });
            let id = texts.filter_map(|text| id_around(&text, &middle)).next()?;
            let file = Path::new(source.file_name()?).with_extension("module_id");
            Some((file.into_os_string(), id.into_bytes()))
        })
        .collect()
}

fn id_around(text: &str, middle: &str) -> Option<String> {
    const DIGITS: usize = 16;
    let is_hex = |part: &&str| part.bytes().all(|b| b.is_ascii_hexdigit());
    text.match_indices(middle).find_map(|(at, _)| {
        let before = text.get(at.checked_sub(DIGITS)?..at).filter(is_hex)?;
        let end = at + middle.len();
        let after = text.get(end..end + DIGITS).filter(is_hex)?;
        Some(format!("_{before}{middle}{after}"))
    })
}

/// The module ids in a keep folder.
pub fn ids_in(dir: &Path) -> ModuleIds {
    let entries = fs::read_dir(dir)
        .expect("a keep folder")
        .map(|e| e.expect("an entry"));
    entries
        .filter(|e| e.path().extension().is_some_and(|e| e == "module_id"))
        .map(|e| (e.file_name(), fs::read(e.path()).expect("a module id")))
        .collect()
}

/// `args` without `-t N`: with it the dryrun prints redirections and random names.
fn without_threads<'a>(args: &[&'a str]) -> Vec<&'a str> {
    let mut kept = Vec::new();
    let mut rest = args.iter();
    while let Some(&arg) = rest.next() {
        match arg {
            "-t" | "--threads" | "-split-compile" | "--split-compile" => drop(rest.next()),
            _ if arg.starts_with("-t=") || arg.starts_with("--threads=") => {}
            _ if arg
                .strip_prefix("-t")
                .is_some_and(|n| n.parse::<u32>().is_ok()) => {}
            _ => kept.push(arg),
        }
    }
    kept
}

/// The variables and the commands of one dryrun.
struct Plan {
    env: Vec<(String, String)>,
    lines: Vec<String>,
}

impl Plan {
    fn parse(stderr: &[u8]) -> Self {
        let text = String::from_utf8(stderr.to_vec()).expect("a dryrun in UTF-8");
        let mut plan = Self {
            env: Vec::new(),
            lines: Vec::new(),
        };
        for line in text.lines().filter_map(|line| line.strip_prefix("#$ ")) {
            match line.split_once('=') {
                Some((name, value)) if is_name(name) => {
                    plan.env.push((name.to_owned(), value.to_owned()));
                }
                _ => plan.lines.push(line.to_owned()),
            }
        }
        plan
    }

    fn run(&self, ws: &Workspace, ids: &ModuleIds) -> Output {
        let mut all = ok("true");
        for line in &self.lines {
            // nvcc does this one itself; depfiles are compared with nvcc's own.
            if line.starts_with("-- Filter Dependencies --") {
                continue;
            }
            let given = ids.keys().any(|id| line.contains(&*id.to_string_lossy()));
            let line = if given {
                line.replace("--gen_module_id_file ", "")
            } else {
                line.clone()
            };
            let mut sh = ws.command("sh");
            sh.envs(self.env.iter().map(|(n, v)| (n, v)))
                .arg("-c")
                .arg(&line);
            let output = sh.output().expect("run sh");
            all.stdout.extend(output.stdout);
            all.stderr.extend(output.stderr);
            // `rm W/x.reg.c` fails when there is nothing to remove; nvcc takes no notice.
            if !output.status.success() && !line.starts_with("rm ") {
                all.status = output.status;
                break;
            }
        }
        all
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
}

fn ok(program: &str) -> Output {
    Command::new(program)
        .output()
        .unwrap_or_else(|e| panic!("{program}: {e}"))
}
