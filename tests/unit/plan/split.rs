//! Host compiles in two steps, made from recorded dry runs (`scripts/record-dryruns`).

use pcache_nvcc::plan::{FileId, Piece, Plan, Split, Stage, Tool, Unit};
use std::ffi::OsString;
use std::fs;
use std::path::Path;

const VERSIONS: [&str; 4] = ["12.4", "13.0", "13.2", "13.5"];

/// Every unit of every recorded plan, with the plan's name.
fn units() -> Vec<(String, Plan, Unit)> {
    let mut units = Vec::new();
    for version in VERSIONS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/dryruns");
        for entry in fs::read_dir(folder.join(version)).expect("fixtures") {
            let path = entry.expect("an entry").path();
            let text = fs::read(&path).expect("fixtures can be read");
            let Ok(plan) = Plan::parse(&text, Path::new("W")) else {
                continue;
            };
            for unit in plan.units.clone() {
                units.push((path.display().to_string(), plan.clone(), unit));
            }
        }
    }
    units
}

fn stages<'p>(plan: &'p Plan, unit: &'p Unit) -> impl Iterator<Item = &'p Stage> {
    unit.stages.iter().map(|number| &plan.stages[*number])
}

fn one<'p>(plan: &'p Plan, unit: &'p Unit, tool: Tool) -> &'p Stage {
    let mut found = stages(plan, unit).filter(|stage| stage.tool == tool);
    let first = found.next().expect("a stage of the tool");
    assert!(found.next().is_none(), "only one");
    first
}

fn rendered(plan: &Plan, stage: &Stage) -> Vec<String> {
    let name = &mut |file: FileId| -> OsString { plan.file(file).path.clone() };
    let args = stage.args.iter();
    args.map(|arg| plan.render(arg, name).into_string().expect("UTF-8"))
        .collect()
}

fn mentions(stage: &Stage, file: FileId) -> bool {
    let mut pieces = stage.args.iter().flat_map(|arg| &arg.0);
    pieces.any(|piece| *piece == Piece::File(file))
}

#[test]
fn objects_of_cuda_sources_are_made_in_two_steps() {
    for version in VERSIONS {
        let of_version = format!("/{version}/");
        let split = units()
            .into_iter()
            .filter(|(name, plan, unit)| {
                name.contains(&of_version) && plan.split_host_compile(unit).is_some()
            })
            .count();
        assert!(split > 20, "{split} of {version}");
    }
}

#[test]
fn the_compile_reads_nothing_of_what_device_stages_pack() {
    for (name, plan, unit) in units() {
        let Some(split) = plan.split_host_compile(&unit) else {
            continue;
        };
        let Split {
            plan: new, unit, ..
        } = &split;
        let before = one(&plan, unit_of(&plan, unit), Tool::HostCompile);
        let compile = one(new, unit, Tool::HostCompile);
        let pack = one(new, unit, Tool::Fatbinary);
        let empty = one(new, unit, Tool::EmptyFatbinary);
        let assemble = one(new, unit, Tool::Assemble);
        assert_eq!(compile.reads, before.reads, "{name}");
        assert!(compile.reads.contains(&split.form), "{name}");
        assert!(empty.writes.contains(&split.form) && empty.reads.is_empty());
        assert!(pack.writes.contains(&split.fatbinary) && !pack.writes.contains(&split.form));
        assert_eq!(compile.writes, [split.assembly], "{name}");
        assert_eq!(assemble.reads, [split.assembly, split.fatbinary], "{name}");
        assert_eq!(assemble.writes, before.writes, "{name}");
        assert_eq!(assemble.output, before.output, "{name}");
        assert!(mentions(assemble, split.assembly) && !mentions(assemble, split.form));
        // Nothing else of the plan has changed.
        let same = |number: &usize| {
            let old = &plan.stages[*number];
            old == &new.stages[*number] || matches!(old.tool, Tool::HostCompile | Tool::Fatbinary)
        };
        assert!((0..plan.stages.len()).all(|number| same(&number)), "{name}");
        assert_eq!(new.files[..plan.files.len()], plan.files, "{name}");
    }
}

fn unit_of<'p>(plan: &'p Plan, unit: &Unit) -> &'p Unit {
    let same = |found: &&Unit| found.source == unit.source;
    plan.units.iter().find(same).expect("the unit")
}

#[test]
fn the_steps_have_the_flags_of_the_whole() {
    for (name, plan, unit) in units() {
        let Some(split) = plan.split_host_compile(&unit) else {
            continue;
        };
        let whole = rendered(&plan, one(&plan, &unit, Tool::HostCompile));
        for (tool, changes) in [
            (Tool::HostCompile, vec![("-c", "-S")]),
            (
                Tool::Assemble,
                vec![("c++", "assembler"), ("c", "assembler")],
            ),
        ] {
            let part = rendered(&split.plan, one(&split.plan, &split.unit, tool));
            assert_eq!(part.len(), whole.len(), "{name}");
            for (old, new) in whole.iter().zip(&part) {
                let file = new.ends_with(".s") || new.ends_with(".o") || new.ends_with(".obj");
                let known = changes.contains(&(old.as_str(), new.as_str()));
                assert!(old == new || known || file, "{name}: {old} became {new}");
            }
        }
    }
}

#[test]
fn flags_of_unknown_consequence_keep_the_compile_whole() {
    let (_, plan, unit) = units()
        .into_iter()
        .find(|(_, plan, unit)| plan.split_host_compile(unit).is_some())
        .expect("some can be split");
    let mut stages = unit.stages.iter().copied();
    let number = stages
        .find(|number| plan.stages[*number].tool == Tool::HostCompile)
        .expect("a host compile");
    for (flag, splits) in [
        ("-O3", true),
        ("-fPIC", true),
        ("-march=native", true),
        ("-Wall", true),
        ("-fno-exceptions", true),
        ("-g", false),
        ("-ggdb3", false),
        ("-pg", false),
        ("-p", false),
        ("-flto", false),
        ("-flto=auto", false),
        ("-fsanitize=address", false),
        ("-fprofile-generate", false),
        ("-frecord-gcc-switches", false),
        ("-fverbose-asm", false),
        ("-Wa,-a", false),
        ("-Wp,-DX", false),
        ("-Xassembler", false),
        ("-specs=x", false),
        ("-B.", false),
        ("@args", false),
        ("-fdiagnostics-format=sarif-file", false),
    ] {
        let mut plan = plan.clone();
        let argument = pcache_nvcc::plan::Argument(vec![Piece::Text(flag.into())]);
        plan.stages[number].args.insert(1, argument);
        let split = plan.split_host_compile(&unit);
        assert_eq!(split.is_some(), splits, "{flag}");
    }
}
