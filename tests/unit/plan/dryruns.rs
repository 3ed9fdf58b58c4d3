//! Plans of recorded dry runs (`scripts/record-dryruns`): their graphs, what they have in common across
//! CUDA versions, and that damaged ones are errors and not panics.

mod damage;

use pcache_nvcc::plan::{
    Argument, FileId, FileKind, Plan, PlanError, Resolve, RulesTarget, Tool, Unit,
};
use pcache_nvcc::shell::{ShellError, plain_words, program_and_arguments, quote};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

fn fixtures(version: &str) -> BTreeMap<String, Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/dryruns")
        .join(version);
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let path: PathBuf = entry.expect("the folder can be listed").path();
        let name = path
            .file_stem()
            .expect("fixtures have names")
            .to_string_lossy()
            .into_owned();
        (name, std::fs::read(&path).expect("fixtures can be read"))
    };
    std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("cannot list {}: {error}", folder.display()))
        .map(read)
        .collect()
}

fn parse(text: &[u8]) -> Result<Plan, PlanError> {
    Plan::parse(text, Path::new("W"))
}

#[track_caller]
fn plan(case: &str) -> Plan {
    let fixtures = fixtures("13.2");
    parse(&fixtures[case]).unwrap_or_else(|error| panic!("{case}: {error}"))
}

/// A file as nvcc spells it, given that the keep directory is `W`.
fn spelled(plan: &Plan, id: FileId) -> OsString {
    let file = plan.file(id);
    match file.kind {
        FileKind::Temp => Path::new("W").join(&file.path).into_os_string(),
        FileKind::Output | FileKind::Input => file.path.clone(),
    }
}

fn rendered(plan: &Plan, args: &[Argument]) -> Vec<Vec<u8>> {
    let path_of = &mut |id| spelled(plan, id);
    args.iter()
        .map(|arg| plan.render(arg, path_of).as_bytes().to_vec())
        .collect()
}

fn names(plan: &Plan, ids: &[FileId]) -> String {
    let name = |id: &FileId| spelled(plan, *id).to_string_lossy().into_owned();
    ids.iter().map(name).collect::<Vec<_>>().join(" ")
}

/// The path of the unit's depfile.
fn depfile(unit: &Unit) -> OsString {
    match &unit.rules {
        Some(RulesTarget::File(path)) => path.clone(),
        Some(RulesTarget::Stdout) => "standard output".into(),
        None => OsString::new(),
    }
}

/// The graph, one stage a line.
fn graph(plan: &Plan) -> String {
    let mut text = String::new();
    let stage = |text: &mut String, index: usize| {
        let stage = &plan.stages[index];
        let (reads, writes) = (names(plan, &stage.reads), names(plan, &stage.writes));
        writeln!(text, "  {index:2} {:?}: {reads} -> {writes}", stage.tool).expect("text grows");
    };
    for unit in &plan.units {
        writeln!(
            text,
            "unit {}: passes {:?}, results {:?}, module id {:?}, depfile {:?}",
            names(plan, &[unit.source]),
            unit.passes,
            names(plan, &unit.results),
            unit.module_id
                .map(|id| names(plan, &[id]))
                .unwrap_or_default(),
            depfile(unit),
        )
        .expect("text grows");
        unit.stages
            .iter()
            .for_each(|&index| stage(&mut text, index));
    }
    if !plan.link.is_empty() {
        text.push_str("link\n");
    }
    plan.link.iter().for_each(|&index| stage(&mut text, index));
    text
}

#[test]
fn graphs_of_every_kind_of_compile() {
    let mut text = String::new();
    for (case, dryrun) in fixtures("13.2") {
        match parse(&dryrun) {
            Ok(plan) => write!(text, "== {case}\n{}", graph(&plan)),
            Err(error) => writeln!(text, "== {case}\nerror: {:.120}", error.to_string()),
        }
        .expect("text grows");
    }
    insta::assert_snapshot!(text);
}

#[test]
fn other_versions_have_the_same_graphs() {
    // Without an arch on the command line the version decides. 12.4 takes -ltoir for no mode, and
    // links; nor does it have ptxas check the PTX of an arch that is PTX only.
    let by_version = [
        "object-default-arch",
        "object-native",
        "object-all-major",
        "object-ptx-only",
        "object-two-archs-one-ptx-only",
        "ltoir",
    ];
    let expected = fixtures("13.2");
    for version in ["12.4", "13.0", "13.5"] {
        for (case, dryrun) in fixtures(version) {
            let refused = case.starts_with("refused-") || case == "object-same-name";
            let plan = match parse(&dryrun) {
                Err(error) => {
                    assert!(refused, "{version} {case}: {error}");
                    continue;
                }
                Ok(plan) => plan,
            };
            assert!(!refused, "{version} {case} is understood");
            if !by_version.contains(&case.as_str()) {
                let other = parse(&expected[&case]).expect("13.2 is understood");
                assert_eq!(graph(&plan), graph(&other), "{version} {case}");
            }
        }
    }
}

#[test]
fn arguments_are_what_the_shell_would_pass_but_for_the_module_id() {
    for version in ["12.4", "13.0", "13.2", "13.5"] {
        for (case, dryrun) in fixtures(version) {
            let Ok(plan) = parse(&dryrun) else { continue };
            let variable = |name: &[u8]| {
                let set = plan
                    .env
                    .iter()
                    .rev()
                    .find(|(set, _)| set.as_bytes() == name);
                set.map(|(_, value)| value.as_bytes())
            };
            let lines = dryrun.split(|&byte| byte == b'\n').filter_map(|line| {
                let line = line.strip_prefix(b"#$ ")?;
                let variable = line
                    .iter()
                    .take_while(|b| !b" ".contains(b))
                    .any(|b| *b == b'=');
                (!variable && !line.starts_with(b"-- ")).then_some(line)
            });
            for (stage, line) in plan.stages.iter().zip(lines) {
                if stage.resolve != Resolve::Named {
                    continue;
                }
                let (program, arguments) =
                    program_and_arguments(line, &variable).expect("the line was understood");
                let mut expected = vec![program];
                expected.extend(arguments);
                expected.retain(|word| word != b"--gen_module_id_file");
                let mut found = vec![stage.program.as_bytes().to_vec()];
                found.extend(rendered(&plan, &stage.args));
                assert_eq!(found, expected, "{version} {case}");
                assert_eq!(plain_words(&quote(&found)), Ok(found), "{version} {case}");
            }
        }
    }
}

#[test]
fn notices_are_nvccs_own_words() {
    assert_eq!(plan("object").notices, b"");
    assert_eq!(
        String::from_utf8_lossy(&plan("object-native").notices),
        "nvcc warning : Cannot find valid GPU for '-arch=native', default arch is used\n"
    );
}

#[test]
fn the_environment_is_kept_in_order() {
    let plan = plan("object");
    let last = plan
        .env
        .iter()
        .rev()
        .find(|(name, _)| name == "_TARGET_SIZE_");
    assert_eq!(
        last.map(|(_, value)| value.as_os_str()),
        Some(OsStr::new("64"))
    );
    let cicc = plan.stages.iter().find(|stage| stage.tool == Tool::Cicc);
    let program = cicc.map(|stage| stage.program.as_os_str());
    assert_eq!(program, Some(OsStr::new("/opt/cuda/bin/../nvvm/bin/cicc")));
}

#[test]
fn the_archiver_is_asked_of_the_compiler() {
    let plan = plan("library-ccbin");
    let stage = &plan.stages[*plan.link.last().expect("it archives")];
    assert_eq!(stage.resolve, Resolve::PrintProgName("ar".into()));
    assert_eq!(stage.program, "/usr/bin/g++");
}

#[test]
fn temporary_files_may_lie_anywhere() {
    let text = fixtures("13.2")["program"].clone();
    let text = String::from_utf8(text)
        .expect("fixtures are text")
        .replace("W/", "/k e$e\"p/d/");
    // As nvcc would print that directory: only the quote is escaped, so a dollar cannot be.
    assert!(matches!(
        Plan::parse(text.as_bytes(), Path::new("/k e$e\"p/d")),
        Err(PlanError::Shell { .. })
    ));
    let text = text.replace("/k e$e\"p/d/", "/k eep/d/");
    let moved = Plan::parse(text.as_bytes(), Path::new("/k eep/d//"));
    let moved = moved
        .map(|plan| graph(&plan))
        .unwrap_or_else(|error| error.to_string());
    // The unquoted `rm` is the one command that cannot name such a directory.
    assert_eq!(moved, graph(&plan("program")));
}

#[track_caller]
fn refused(text: &str) -> PlanError {
    parse(text.as_bytes()).expect_err("the plan is not sound")
}

#[test]
fn a_file_that_nothing_writes_is_an_error() {
    let error = refused("#$ ptxas \"W/a.ptx\" -o \"a.cubin\"\n");
    assert_eq!(
        error,
        PlanError::NoWriter {
            path: "a.ptx".into()
        }
    );
}

#[test]
fn two_writers_are_an_error() {
    let error = refused("#$ ptxas \"a.ptx\" -o W/x\n#$ ptxas \"b.ptx\" -o W/x\n");
    assert_eq!(error, PlanError::TwoWriters { path: "x".into() });
}

#[test]
fn stages_that_wait_for_each_other_are_an_error() {
    let error = refused("#$ ptxas \"W/a\" -o W/b\n#$ ptxas \"W/b\" -o W/a\n");
    assert_eq!(error, PlanError::Cycle);
}

#[test]
fn an_output_may_be_checked_and_not_translated() {
    let cicc = "#$ cicc --orig_src_file_name a.cu \"W/a.ii\" -o \"a.ptx\"\n";
    let text = format!("#$ gcc -E -x c++ \"a.cu\" -o \"W/a.ii\"\n{cicc}#$ ptxas -m64 \"a.ptx\"\n");
    let plan = parse(text.as_bytes()).expect("a check is understood");
    let unit = &plan.units[0];
    assert_eq!((plan.units.len(), &unit.stages[..]), (1, &[0, 1, 2][..]));
    assert_eq!(names(&plan, &unit.results), "a.ptx");
    assert_eq!(names(&plan, &plan.stages[2].reads), "a.ptx");
    let error = refused(&text.replace("-m64", "-o a.cubin"));
    assert_eq!(
        error,
        PlanError::OutsideKeepDir {
            path: "a.ptx".into()
        }
    );
}

#[test]
fn order_does_not_matter() {
    let text = fixtures("13.2")["object-two-archs"].clone();
    let mut lines: Vec<&[u8]> = text.split_inclusive(|&byte| byte == b'\n').collect();
    let commands = lines
        .iter()
        .position(|line| line.starts_with(b"#$ gcc"))
        .expect("it compiles");
    lines[commands..].reverse();
    let plan = parse(&lines.concat()).expect("the graph is the same");
    assert_eq!(plan.units.len(), 1);
    assert_eq!(plan.units[0].stages.len(), plan.stages.len());
}

#[test]
fn an_unknown_flag_with_a_path_below_the_keep_directory_is_an_error() {
    let text = "#$ ptxas --trace=W/x \"a.ptx\" -o W/b\n";
    assert!(matches!(
        refused(text),
        PlanError::UnaccountedPath {
            tool: Tool::Ptxas,
            ..
        }
    ));
    let text = "#$ cicc --orig_src_file_name a.cup --tile_bc_file_name W/x a.cup -o W/b\n";
    assert!(matches!(
        refused(text),
        PlanError::NotOne {
            tool: Tool::Cicc,
            ..
        }
    ));
}

#[test]
fn an_unknown_tool_is_an_error() {
    for text in [
        "#$ tileiras -arch=sm_100 \"W/a\" -o \"W/b\"\n",
        "#$ mv W/a b\n",
        "#$ gcc -v\n",
    ] {
        assert!(
            matches!(refused(text), PlanError::UnknownTool { .. }),
            "{text}"
        );
    }
}

#[test]
fn redirections_are_for_a_shell() {
    let text = "#$ ptxas a.ptx -o W/b > /tmp/x\n";
    let PlanError::Shell { reason, .. } = refused(text) else {
        panic!("the shell has its say first");
    };
    assert_eq!(reason, ShellError::Special('>'));
}

#[track_caller]
fn changed(before: &Plan, stage: usize, after: &[Argument], plan: &Plan) -> String {
    let before = rendered(before, &before.stages[stage].args);
    let after = rendered(plan, after);
    assert_eq!(before.len(), after.len());
    let pairs = before
        .iter()
        .zip(&after)
        .filter(|(before, after)| before != after);
    let show = |(before, after): (&Vec<u8>, &Vec<u8>)| {
        format!(
            "{} => {}",
            String::from_utf8_lossy(before),
            String::from_utf8_lossy(after)
        )
    };
    pairs.map(show).collect::<Vec<_>>().join(", ")
}

#[test]
fn a_host_source_has_a_preprocessing_pass_made_from_its_compile() {
    let original = plan("host");
    let mut plan = original.clone();
    assert!(plan.units[0].passes.is_empty());
    let pass = plan
        .preprocess_variant(0, OsStr::new("c.pass.ii"))
        .expect("it compiles c.cpp");
    assert_eq!(pass.tool, Tool::Preprocess);
    assert_eq!(names(&plan, &pass.reads), "c.cpp");
    assert_eq!(names(&plan, &pass.writes), "W/c.pass.ii");
    assert_eq!(
        changed(&original, 0, &pass.args, &plan),
        "-c => -E, c.o => W/c.pass.ii"
    );
    let taken = plan.preprocess_variant(0, OsStr::new("c.pass.ii"));
    assert_eq!(taken, Err(PlanError::NoVariant { stage: 0 }));
}

#[test]
fn the_host_runtime_has_a_pass_made_from_the_compile_that_includes_it() {
    let original = plan("object");
    let mut plan = original.clone();
    let pass = plan
        .host_runtime_pass(6, OsStr::new("runtime.cpp"), OsStr::new("runtime.ii"))
        .expect("stage 6 compiles what cudafe++ wrote");
    assert_eq!(names(&plan, &pass.reads), "W/runtime.cpp");
    assert_eq!(
        changed(&original, 6, &pass.args, &plan),
        "-c => -E, W/a.cudafe1.cpp => W/runtime.cpp, a.o => W/runtime.ii"
    );
    let other = plan.host_runtime_pass(0, OsStr::new("x"), OsStr::new("y"));
    assert_eq!(other, Err(PlanError::NoVariant { stage: 0 }));
    let other = plan.preprocess_variant(6, OsStr::new("z"));
    assert_eq!(other, Err(PlanError::NoVariant { stage: 6 }));
}
