//! Finds the differences between two compiles of the same sources. Leaves out consequences of other differences:
//! a changed command line of a stage, changed text after preprocessing, a header that is read
//! because another one includes it now.

use super::difference::{Difference, DifferenceKind, short};
use super::facts::{DependencyReport, Fields, ToolFacts, values};
use super::files;
use std::collections::{BTreeMap, BTreeSet};

/// All differences between two reports that are causes, without secrets.
pub fn differences(old: &DependencyReport, new: &DependencyReport) -> Vec<Difference> {
    let causes = causes(old, new).into_iter();
    causes.map(Difference::without_digests).collect()
}

fn causes(old: &DependencyReport, new: &DependencyReport) -> Vec<Difference> {
    let mut causes = flags(old, new);
    causes.extend(environment(old, new));
    causes.extend(version(old, new));
    for (kind, name) in [
        (DifferenceKind::Driver, "driver"),
        (DifferenceKind::Release, "release"),
        (DifferenceKind::Directory, "directory"),
        (DifferenceKind::Diagnostics, "diagnostics"),
        (DifferenceKind::Source, "source"),
    ] {
        causes.extend(field(kind, name, old, new));
    }
    causes.extend(program(old, new));
    let choice = if causes.iter().any(chooses_tools) {
        ToolChoice::Changed
    } else {
        ToolChoice::Same
    };
    causes.extend(tools(old, new, choice));
    causes.extend(machine(old, new));
    causes.extend(files::links(old, new));
    causes.extend(output_names(old, new));
    causes.extend(files::files(old, new));
    // These are usually consequences, so they are shown only if no cause was found.
    if causes.is_empty() {
        causes.extend(files::strays(old, new));
    }
    if causes.is_empty() {
        causes.extend(derived(old, new));
    }
    causes
}

/// The difference of a field of the request that is shown by one value.
fn field(
    kind: DifferenceKind,
    name: &str,
    old: &DependencyReport,
    new: &DependencyReport,
) -> Option<Difference> {
    let (was, is) = (old.request(name), new.request(name));
    (was != is).then(|| {
        // A directory has two spellings: shows the one that differs.
        let at = was.iter().zip(is).position(|(was, is)| was != is);
        let value = |values: &[String]| values.get(at.unwrap_or(0)).cloned();
        Difference {
            kind,
            name: name.to_owned(),
            old: value(was),
            new: value(is),
            note: None,
        }
    })
}

/// Differences of the arguments of a program compiled at run time, other than its text and its options.
fn program(old: &DependencyReport, new: &DependencyReport) -> Vec<Difference> {
    let (was, is) = (old.request("name"), new.request("name"));
    let mut differences = value_changes(DifferenceKind::Source, "name", was, is);
    let (was, is) = (old.request("expressions"), new.request("expressions"));
    differences.extend(value_changes(
        DifferenceKind::Flag,
        "name expression",
        was,
        is,
    ));
    // The field holds names and digests alternately.
    let headers = |facts: &DependencyReport| -> BTreeMap<String, String> {
        let pairs = facts.request("headers").chunks_exact(2);
        pairs
            .map(|pair| (pair[0].clone(), pair[1].clone()))
            .collect()
    };
    let (was, is) = (headers(old), headers(new));
    let names: BTreeSet<_> = was.keys().chain(is.keys()).collect();
    for name in names {
        let (was, is) = (was.get(name), is.get(name));
        if was != is {
            let digest = |digest: Option<&String>| digest.map(|digest| short(digest).to_owned());
            let (was, is) = (digest(was), digest(is));
            let changed =
                Difference::new(DifferenceKind::Header, name, was.as_deref(), is.as_deref());
            differences.push(changed.noting(Some("passed in memory".to_owned())));
        }
    }
    differences
}

/// Differences of the job's options and inputs.
fn flags(old: &DependencyReport, new: &DependencyReport) -> Vec<Difference> {
    let mut names: Vec<&String> = old
        .job
        .iter()
        .chain(&new.job)
        .map(|(name, _)| name)
        .collect();
    names.sort();
    names.dedup();
    let mut differences = Vec::new();
    for name in names {
        let has = |job: &Fields| job.iter().any(|(known, _)| known == name);
        let (was, is) = (values(&old.job, name), values(&new.job, name));
        let kind = if name == "input" {
            DifferenceKind::Source
        } else {
            DifferenceKind::Flag
        };
        let shown = if name == "input" {
            name.clone()
        } else {
            format!("--{name}")
        };
        match (has(&old.job), has(&new.job)) {
            (true, false) if was.is_empty() => {
                differences.push(Difference::new(kind, &shown, Some("set"), None));
            }
            (false, true) if is.is_empty() => {
                differences.push(Difference::new(kind, &shown, None, Some("set")));
            }
            _ => differences.extend(value_changes(kind, &shown, was, is)),
        }
    }
    // The variable is found by the values in the key's spelling, so before they are converted.
    for difference in &mut differences {
        let is_reordered = difference.note.is_some();
        let from = folded_from(difference, old, new);
        difference.note = from.or(difference.note.take());
        if is_reordered {
            continue;
        }
        for value in [&mut difference.old, &mut difference.new] {
            *value = value.take().map(|value| spelled(&difference.name, &value));
        }
    }
    differences
}

/// A value as on a command line: keys have `DX=1` for `-DX=1`, and `X` or `F` before an option that was
/// passed on to the host compiler.
fn spelled(name: &str, value: &str) -> String {
    match name {
        "--define-macro" => format!("-{value}"),
        "--compiler-options" => value.strip_prefix(['X', 'F']).unwrap_or(value).to_owned(),
        _ => value.to_owned(),
    }
}

/// The values that were removed from a list and added to it, or only the changed order.
fn value_changes(
    kind: DifferenceKind,
    name: &str,
    was: &[String],
    is: &[String],
) -> Vec<Difference> {
    let (mut removed, mut added) = (without(was, is), without(is, was));
    if removed.is_empty() && added.is_empty() {
        let line = |values: &[String]| {
            let words = values.iter().map(|value| spelled(name, value));
            words.collect::<Vec<_>>().join(" ")
        };
        let reordered = Difference::new(kind, name, Some(&line(was)), Some(&line(is)));
        let reordered = reordered.noting(Some("in another order".to_owned()));
        return (was != is).then_some(reordered).into_iter().collect();
    }
    let mut differences = Vec::new();
    // An old and a new value of the same thing, such as one macro, are one change.
    removed.retain(|old| {
        let same_subject = added.iter().position(|new| subject(new) == subject(old));
        let new = same_subject.map(|at| added.remove(at));
        if let Some(new) = &new {
            differences.push(Difference::new(kind, name, Some(old), Some(new)));
        }
        new.is_none()
    });
    // So are the only two values that are left.
    if let ([old], [new]) = (&removed[..], &added[..]) {
        differences.push(Difference::new(kind, name, Some(old), Some(new)));
        return differences;
    }
    let removed = removed
        .iter()
        .map(|old| Difference::new(kind, name, Some(old), None));
    differences.extend(removed);
    let added = added
        .iter()
        .map(|new| Difference::new(kind, name, None, Some(new)));
    differences.extend(added);
    differences
}

/// The thing that has a value: a macro, an architecture.
fn subject(value: &str) -> &str {
    let value = value.strip_prefix(['X', 'F']).unwrap_or(value);
    let end = value.find(['=', ',']).unwrap_or(value.len());
    &value[..end]
}

/// The values of `all`, minus those of `others`, each as often as it occurs there.
fn without(all: &[String], others: &[String]) -> Vec<String> {
    let mut others: Vec<&String> = others.iter().collect();
    let mut remaining = all.to_vec();
    remaining.retain(|value| {
        let equal = others.iter().position(|other| *other == value);
        equal.map(|at| others.remove(at)).is_none()
    });
    remaining
}

/// The variable (`NVCC_APPEND_FLAGS` or the like) that added or removed an option, as a note.
fn folded_from(
    difference: &Difference,
    old: &DependencyReport,
    new: &DependencyReport,
) -> Option<String> {
    let names = old.folded.keys().chain(new.folded.keys());
    let mut changed = names.filter(|name| old.folded.get(*name) != new.folded.get(*name));
    let bare = |value: &Option<String>| {
        let value = value.as_deref()?;
        let bare = value
            .strip_prefix(['D', 'U', 'X', 'F', 'I'])
            .unwrap_or(value);
        Some(match value {
            "set" => difference.name.trim_start_matches('-').to_owned(),
            _ => bare.to_owned(),
        })
    };
    let (was, is) = (bare(&difference.old), bare(&difference.new));
    changed
        .find(|name| {
            let holds = |facts: &DependencyReport, value: &Option<String>| {
                let flags = facts.folded.get(*name).zip(value.as_ref());
                flags.is_some_and(|(flags, value)| flags.contains(value.as_str()))
            };
            holds(old, &was) || holds(new, &is)
        })
        .map(|name| format!("from {name}"))
}

fn environment(old: &DependencyReport, new: &DependencyReport) -> Vec<Difference> {
    let split = |facts: &DependencyReport| -> Vec<(String, String)> {
        facts
            .variables()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    };
    let (was, is) = (split(old), split(new));
    let mut names: Vec<_> = was
        .iter()
        .chain(&is)
        .map(|(name, _)| name.clone())
        .collect();
    names.sort();
    names.dedup();
    let value = |variables: &[(String, String)], name: &str| {
        let variable = variables.iter().find(|(known, _)| known == name);
        variable.map(|(_, value)| value.clone())
    };
    let differing = names.into_iter().filter_map(|name| {
        let (old, new) = (value(&was, &name), value(&is, &name));
        (old != new).then_some(Difference {
            kind: DifferenceKind::Environment,
            name,
            old,
            new,
            note: None,
        })
    });
    differing.collect()
}

/// Whether an option or variable that differs chooses the tools.
fn chooses_tools(difference: &Difference) -> bool {
    const CHOOSING: [&str; 5] = [
        "--compiler-bindir",
        "CICC_PATH",
        "COMPILER_PATH",
        "GCC_EXEC_PREFIX",
        "NVCC_CCBIN",
    ];
    CHOOSING.contains(&difference.name.as_str())
}

/// Whether the options and variables that choose the tools are the same.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ToolChoice {
    Same,
    Changed,
}

/// Differences of tools, by their roles; if no tool differs, differences of the places where they were found. With a
/// changed `choice`, only tools that are in the same place as before.
fn tools(old: &DependencyReport, new: &DependencyReport, choice: ToolChoice) -> Vec<Difference> {
    let of = |facts: &DependencyReport, role: &str| -> Vec<ToolFacts> {
        let tools = facts.tools.iter().filter(|tool| tool.role == role);
        tools.cloned().collect()
    };
    let mut roles: Vec<_> = old
        .tools
        .iter()
        .chain(&new.tools)
        .map(|tool| &tool.role)
        .collect();
    roles.sort();
    roles.dedup();
    let mut differences = Vec::new();
    for role in roles {
        let (was, is) = (of(old, role), of(new, role));
        for at in 0..was.len().max(is.len()) {
            let (was, is) = (was.get(at), is.get(at));
            let moved = was.map(|tool| &tool.path) != is.map(|tool| &tool.path);
            let differs = was.map(|tool| &tool.sha256) != is.map(|tool| &tool.sha256);
            if differs && !(moved && choice == ToolChoice::Changed) {
                let shown = |tool: &ToolFacts| format!("{} ({})", tool.path, short(&tool.sha256));
                differences.push(Difference {
                    kind: DifferenceKind::Tool,
                    name: role.clone(),
                    old: was.map(shown),
                    new: is.map(shown),
                    note: None,
                });
            }
        }
    }
    // Other places are a consequence if a tool or the choice of tools has changed.
    if !differences.is_empty() || choice == ToolChoice::Changed {
        return differences;
    }
    if old.one("toolchain") != new.one("toolchain") {
        let note = "targets/ beside nvcc, which names its folders of headers, has changed";
        let changed = Difference::new(DifferenceKind::Toolkit, "targets", None, None);
        differences.push(changed.noting(Some(note.to_owned())));
    }
    let (was, is) = (old.request("programs"), new.request("programs"));
    differences.extend(value_changes(DifferenceKind::Toolkit, "programs", was, is));
    differences
}

/// The difference between versions of pcache-nvcc whose keys have other schemas.
fn version(old: &DependencyReport, new: &DependencyReport) -> Option<Difference> {
    let of = |facts: &DependencyReport| {
        let units = facts.units.iter().take(1);
        let schemas = units.flat_map(|unit| values(&unit.fields, "schema"));
        let schemas = facts.request("schema").iter().chain(schemas);
        schemas.cloned().collect::<Vec<_>>().join(", ")
    };
    let (was, is) = (of(old), of(new));
    (was != is).then(|| Difference::new(DifferenceKind::Version, "keys", Some(&was), Some(&is)))
}

fn machine(old: &DependencyReport, new: &DependencyReport) -> Option<Difference> {
    let processor = |facts: &DependencyReport| {
        let mut units = facts.units.iter();
        let machine = units.find_map(|unit| values(&unit.fields, "machine").first());
        // The processor, or else the GPUs.
        let machine = machine.filter(|text| !text.is_empty());
        let machine = machine.or(facts.request("machine").first());
        machine.cloned().unwrap_or_default()
    };
    let (was, is) = (processor(old), processor(new));
    // Without `native` the field is empty, and the difference is that of the flag.
    let differs = was != is && !was.is_empty() && !is.is_empty();
    let model = |text: &str| {
        let mut lines = text.lines();
        let line = lines.find(|line| line.starts_with("model") || line.starts_with("CPU part"));
        line.unwrap_or("another").to_owned()
    };
    differs.then(|| {
        Difference::new(
            DifferenceKind::Machine,
            "processor",
            Some(&model(&was)),
            Some(&model(&is)),
        )
    })
}

fn output_names(old: &DependencyReport, new: &DependencyReport) -> Vec<Difference> {
    let (was, is) = (old.request("outputs"), new.request("outputs"));
    let mut differences = value_changes(DifferenceKind::Output, "outputs", was, is);
    // Values are `output-file=a.o`, or `keep=` for a flag.
    for difference in &mut differences {
        let mut name = None;
        for value in [&mut difference.old, &mut difference.new] {
            let split = value.as_deref().and_then(|value| value.split_once('='));
            let Some((option, text)) = split else {
                continue;
            };
            name = Some(format!("--{option}"));
            let text = if text.is_empty() { "set" } else { text };
            *value = Some(text.to_owned());
        }
        difference.name = name.unwrap_or_default();
    }
    differences
}

/// Differences that normally follow from others, and fields that no other function compares. For when nothing else
/// differs.
fn derived(old: &DependencyReport, new: &DependencyReport) -> Vec<Difference> {
    let mut differences = others(&old.request, &new.request);
    for (was, is) in old.units.iter().zip(&new.units) {
        let (left, right) = (
            values(&was.fields, "commands"),
            values(&is.fields, "commands"),
        );
        differences.extend(value_changes(
            DifferenceKind::Command,
            "commands",
            left,
            right,
        ));
        differences.extend(others(&was.fields, &is.fields));
    }
    differences
}

/// The fields that differ, by name without values.
fn others(old: &Fields, new: &Fields) -> Vec<Difference> {
    let fields = new.iter().filter(|(name, _)| name != "commands");
    let differing = fields.filter(|(name, is)| values(old, name) != is);
    let differences = differing.map(|(name, _)| {
        let note = match name.as_str() {
            "passes" => "the text after preprocessing differs, though no file does",
            "printed" => "what the preprocessor prints differs",
            "keep" => "where --keep leaves files differs",
            "output" => "each output of this source is a module of its own",
            "module" => "the source lies elsewhere",
            "host" => "the host compiler would run other commands",
            "host_headers" => "headers of the host compile differ",
            "machine" => "what `native` stands for differs",
            "places" => "where the named directories are differs",
            _ => "differs",
        };
        Difference::new(DifferenceKind::Text, name, None, None).noting(Some(note.to_owned()))
    });
    differences.collect()
}
