//! The names of stages in statistics, in the journal and in reports.

use crate::plan::{Piece, Stage, Tool};
use crate::stats::StageKind;

/// The name of the stage: that of its counter in the statistics, if it has one.
pub(crate) fn name(stage: &Stage) -> &'static str {
    match stage.tool {
        Tool::HostPreprocess => "host_preprocess",
        Tool::StubCompile => "stub_compile",
        Tool::EmptyFatbinary => "empty_fatbinary",
        Tool::Assemble => "assemble",
        Tool::HostLink => "host_link",
        Tool::Archive => "archive",
        Tool::Remove => "remove",
        tool => kind(tool).map_or("other", StageKind::code),
    }
}

/// The architecture that the stage compiles for, as its flags spell it.
pub(crate) fn arch(stage: &Stage) -> Option<String> {
    let mut words = stage.args.iter().map(|argument| match &argument.0[..] {
        [Piece::Text(text)] => text.to_str().unwrap_or_default(),
        _ => "",
    });
    match stage.tool {
        Tool::Preprocess => {
            let number = words.find_map(|word| word.strip_prefix("-D__CUDA_ARCH__="))?;
            let number = number.strip_suffix('0').unwrap_or(number);
            Some(format!("compute_{number}"))
        }
        Tool::Cicc | Tool::Ptxas | Tool::Nvlink => {
            let flag = words.find(|word| word.trim_start_matches('-').starts_with("arch"))?;
            let joined = flag.split_once('=').map(|(_, arch)| arch.to_owned());
            joined.or_else(|| words.next().map(str::to_owned))
        }
        _ => None,
    }
}

/// The kind under which statistics count a stage of `tool`; `None` if they do not.
pub(crate) fn kind(tool: Tool) -> Option<StageKind> {
    match tool {
        Tool::Preprocess | Tool::HostPreprocess => Some(StageKind::Preprocess),
        Tool::Cudafe => Some(StageKind::Cudafe),
        Tool::Cicc => Some(StageKind::Cicc),
        Tool::Ptxas => Some(StageKind::Ptxas),
        Tool::Fatbinary => Some(StageKind::Fatbinary),
        Tool::Nvlink => Some(StageKind::Nvlink),
        Tool::HostCompile | Tool::StubCompile => Some(StageKind::HostCompile),
        Tool::EmptyFatbinary | Tool::Assemble | Tool::HostLink | Tool::Archive | Tool::Remove => {
            None
        }
    }
}
