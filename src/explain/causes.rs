//! What differs between two compiles of the same thing. What only follows from something else that is
//! named (another command line for a stage, other text after preprocessing, a header that is read
//! because another one includes it now) is not named itself.

use super::difference::{Difference, DifferenceKind, short};
use super::facts::{DependencyReport, Fields, ToolFacts, values};
use super::files;
use std::collections::{BTreeMap, BTreeSet};

/// Everything that differs, causes alone.
pub fn differences(old: &DependencyReport, new: &DependencyReport) -> Vec<Difference> {
    let found = causes(old, new).into_iter();
    found.map(Difference::without_digests).collect()
}

fn causes(old: &DependencyReport, new: &DependencyReport) -> Vec<Difference> {
    let mut found = flags(old, new);
    found.extend(environment(old, new));
    found.extend(version(old, new));
    for (kind, name) in [
        (DifferenceKind::Driver, "driver"),
        (DifferenceKind::Release, "release"),
        (DifferenceKind::Directory, "directory"),
        (DifferenceKind::Diagnostics, "diagnostics"),
        (DifferenceKind::Source, "source"),
    ] {
        found.extend(field(kind, name, old, new));
    }
    found.extend(program(old, new));
    let chosen = found.iter().any(chooses_tools);
    found.extend(tools(old, new, chosen));
    found.extend(machine(old, new));
    found.extend(files::links(old, new));
    found.extend(output_names(old, new));
    found.extend(files::files(old, new));
    if found.is_empty() {
        found.extend(files::strays(old, new));
    }
    if found.is_empty() {
        found.extend(derived(old, new));
    }
    found
}

/// A field of the request with one telling value.
fn field(
    kind: DifferenceKind,
    name: &str,
    old: &DependencyReport,
    new: &DependencyReport,
) -> Option<Difference> {
    let (was, is) = (old.request(name), new.request(name));
    (was != is).then(|| {
        // Of the two spellings of a directory, the one that differs.
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

/// What a program compiled at run time was given besides its text and its options.
fn program(old: &DependencyReport, new: &DependencyReport) -> Vec<Difference> {
    let (was, is) = (old.request("name"), new.request("name"));
    let mut found = value_changes(DifferenceKind::Source, "name", was, is);
    let (was, is) = (old.request("expressions"), new.request("expressions"));
    found.extend(value_changes(
        DifferenceKind::Flag,
        "name expression",
        was,
        is,
    ));
    // Names and digests by turns.
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
            found.push(changed.noting(Some("passed in memory".to_owned())));
        }
    }
    found
}

fn flags(old: &DependencyReport, new: &DependencyReport) -> Vec<Difference> {
    let mut names: Vec<&String> = old
        .job
        .iter()
        .chain(&new.job)
        .map(|(name, _)| name)
        .collect();
    names.sort();
    names.dedup();
    let mut found = Vec::new();
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
                found.push(Difference::new(kind, &shown, Some("set"), None));
            }
            (false, true) if is.is_empty() => {
                found.push(Difference::new(kind, &shown, None, Some("set")));
            }
            _ => found.extend(value_changes(kind, &shown, was, is)),
        }
    }
    for difference in &mut found {
        let from = folded_from(difference, old, new);
        difference.note = from.or(difference.note.take());
        for value in [&mut difference.old, &mut difference.new] {
            *value = value.take().map(|value| spelled(&difference.name, &value));
        }
    }
    found
}

/// A value as people write it: keys have `DX=1` for `-DX=1`, and `X` or `F` before an option of the
/// host compiler that was passed on.
fn spelled(name: &str, value: &str) -> String {
    let words = value.split(' ').map(|word| match name {
        "--define-macro" => format!("-{word}"),
        "--compiler-options" => word.strip_prefix(['X', 'F']).unwrap_or(word).to_owned(),
        _ => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// What was taken from a list and added to it; its order, where that is all.
fn value_changes(
    kind: DifferenceKind,
    name: &str,
    was: &[String],
    is: &[String],
) -> Vec<Difference> {
    let (mut gone, mut come) = (without(was, is), without(is, was));
    if gone.is_empty() && come.is_empty() {
        let reordered = Difference::new(kind, name, Some(&was.join(" ")), Some(&is.join(" ")));
        let reordered = reordered.noting(Some("in another order".to_owned()));
        return (was != is).then_some(reordered).into_iter().collect();
    }
    let mut found = Vec::new();
    // Two values of the same thing, such as a macro's, are one change.
    gone.retain(|old| {
        let alike = come.iter().position(|new| subject(new) == subject(old));
        let new = alike.map(|at| come.remove(at));
        if let Some(new) = &new {
            found.push(Difference::new(kind, name, Some(old), Some(new)));
        }
        new.is_none()
    });
    if let ([old], [new]) = (&gone[..], &come[..]) {
        found.push(Difference::new(kind, name, Some(old), Some(new)));
        return found;
    }
    let gone = gone
        .iter()
        .map(|old| Difference::new(kind, name, Some(old), None));
    found.extend(gone);
    let come = come
        .iter()
        .map(|new| Difference::new(kind, name, None, Some(new)));
    found.extend(come);
    found
}

/// What a value is of: a macro, an architecture.
fn subject(value: &str) -> &str {
    let value = value.strip_prefix(['X', 'F']).unwrap_or(value);
    let end = value.find(['=', ',']).unwrap_or(value.len());
    &value[..end]
}

/// The values of `all` without as many of each as `others` hold.
fn without(all: &[String], others: &[String]) -> Vec<String> {
    let mut others: Vec<&String> = others.iter().collect();
    let mut left = all.to_vec();
    left.retain(|value| {
        let known = others.iter().position(|other| *other == value);
        known.map(|at| others.remove(at)).is_none()
    });
    left
}

/// The variable that an option has come from or gone with.
fn folded_from(
    difference: &Difference,
    old: &DependencyReport,
    new: &DependencyReport,
) -> Option<String> {
    let names = old.folded.keys().chain(new.folded.keys());
    let mut changed = names.filter(|name| old.folded.get(*name) != new.folded.get(*name));
    let told = |value: &Option<String>| {
        let value = value.as_deref()?;
        let bare = value
            .strip_prefix(['D', 'U', 'X', 'F', 'I'])
            .unwrap_or(value);
        Some(match value {
            "set" => difference.name.trim_start_matches('-').to_owned(),
            _ => bare.to_owned(),
        })
    };
    let (was, is) = (told(&difference.old), told(&difference.new));
    changed
        .find(|name| {
            let holds = |facts: &DependencyReport, value: &Option<String>| {
                let text = facts.folded.get(*name);
                let both = text.zip(value.as_ref());
                both.is_some_and(|(text, value)| text.contains(value.as_str()))
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
    let value = |set: &[(String, String)], name: &str| {
        let found = set.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone())
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

/// Whether what differs says which tools are used.
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

/// Tools by their roles; where no tool differs, the places where they were found. Where others were
/// `chosen`, only those count that are where they were.
fn tools(old: &DependencyReport, new: &DependencyReport, chosen: bool) -> Vec<Difference> {
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
    let mut found = Vec::new();
    for role in roles {
        let (was, is) = (of(old, role), of(new, role));
        for at in 0..was.len().max(is.len()) {
            let (was, is) = (was.get(at), is.get(at));
            let moved = was.map(|tool| &tool.path) != is.map(|tool| &tool.path);
            let differs = was.map(|tool| &tool.sha256) != is.map(|tool| &tool.sha256);
            if differs && !(moved && chosen) {
                let shown = |tool: &ToolFacts| format!("{} ({})", tool.path, short(&tool.sha256));
                found.push(Difference {
                    kind: DifferenceKind::Tool,
                    name: role.clone(),
                    old: was.map(shown),
                    new: is.map(shown),
                    note: None,
                });
            }
        }
    }
    if !found.is_empty() || chosen {
        return found;
    }
    if old.one("toolchain") != new.one("toolchain") {
        let note = "targets/ beside nvcc, which names its folders of headers, has changed";
        let changed = Difference::new(DifferenceKind::Toolkit, "targets", None, None);
        found.push(changed.noting(Some(note.to_owned())));
    }
    let (was, is) = (old.request("programs"), new.request("programs"));
    found.extend(value_changes(DifferenceKind::Toolkit, "programs", was, is));
    found
}

/// Another version of pcache-nvcc, as far as it makes other keys.
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
    let asked = |facts: &DependencyReport| {
        let mut units = facts.units.iter();
        units.find_map(|unit| values(&unit.fields, "machine").first().cloned())
    };
    let (was, is) = (
        asked(old).unwrap_or_default(),
        asked(new).unwrap_or_default(),
    );
    // Without `native` there is none, and the flag says so.
    let told = was != is && !was.is_empty() && !is.is_empty();
    let model = |text: &str| {
        let mut lines = text.lines();
        let line = lines.find(|line| line.starts_with("model") || line.starts_with("CPU part"));
        line.unwrap_or("another").to_owned()
    };
    told.then(|| {
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
    let mut found = value_changes(DifferenceKind::Output, "outputs", was, is);
    // `output-file=a.o`, and of a flag `keep=`.
    for difference in &mut found {
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
    found
}

/// What follows from everything else, where nothing else differs, and fields that nothing else names.
fn derived(old: &DependencyReport, new: &DependencyReport) -> Vec<Difference> {
    let mut found = others(&old.request, &new.request);
    for (was, is) in old.units.iter().zip(&new.units) {
        let (left, right) = (
            values(&was.fields, "commands"),
            values(&is.fields, "commands"),
        );
        found.extend(value_changes(
            DifferenceKind::Command,
            "commands",
            left,
            right,
        ));
        found.extend(others(&was.fields, &is.fields));
    }
    found
}

/// The fields that differ, by their names alone.
fn others(old: &Fields, new: &Fields) -> Vec<Difference> {
    let fields = new.iter().filter(|(name, _)| name != "commands");
    let differing = fields.filter(|(name, is)| values(old, name) != is);
    let named = differing.map(|(name, _)| {
        let note = match name.as_str() {
            "passes" => "the text after preprocessing differs, though no file does",
            "printed" => "what the preprocessor prints differs",
            "keep" => "where --keep leaves files differs",
            "output" => "each output of this source is a module of its own",
            "host" => "the host compiler would run other commands",
            "host_headers" => "headers of the host compile differ",
            _ => "differs",
        };
        Difference::new(DifferenceKind::Text, name, None, None).noting(Some(note.to_owned()))
    });
    named.collect()
}
