//! What `native` stands for on this machine: the processor for host code, the GPUs for device code.

use crate::compile::request::facts::RequestFacts;
use crate::toolchain::{Toolchain, look_up};
use std::fs;
use std::process::{Command, Stdio};

/// The program by which nvcc finds out what `-arch=native` stands for.
const GPU_QUERY: &str = "__nvcc_device_query";

/// The options whose value `native` stands for the GPUs of the machine.
const GPU_OPTIONS: [&str; 3] = ["generate-code", "gpu-architecture", "gpu-code"];

/// The description of each part of the machine that an option of the invocation asks for. `None` if one is unknown.
pub(crate) fn descriptions(facts: &RequestFacts, toolchain: &Toolchain) -> Option<Vec<Vec<u8>>> {
    let mut descriptions = Vec::new();
    if has_value(facts, &["compiler-options"], b"=native") {
        descriptions.push(processor());
    }
    if asks_for_gpus(facts) {
        descriptions.push(gpus(toolchain)?);
    }
    Some(descriptions)
}

/// Whether nvcc chooses an architecture by the GPUs of the machine.
pub(crate) fn asks_for_gpus(facts: &RequestFacts) -> bool {
    has_value(facts, &GPU_OPTIONS, b"native")
}

/// Whether a value of one of `options` contains `text`.
fn has_value(facts: &RequestFacts, options: &[&str], text: &[u8]) -> bool {
    let fields = facts.job.iter().filter(|(name, _)| options.contains(name));
    let mut values = fields.flat_map(|(_, values)| values);
    // Not memchr: its first call takes longer than a hit may.
    values.any(|value| value.windows(text.len()).any(|part| part == text))
}

/// Whether a word of a command asks for the processor: `-march=native`.
pub(crate) fn asks_for_processor(word: &[u8]) -> bool {
    word.windows(7).any(|part| part == b"=native")
}

/// What `-march=native` stands for: the descriptions of the processors, without the fields that vary over time, such
/// as the frequency, and their caches, whose sizes GCC uses as parameters.
pub(crate) fn processor() -> Vec<u8> {
    const IDENTIFYING: &[&str] = &[
        "CPU architecture",
        "CPU implementer",
        "CPU part",
        "CPU revision",
        "CPU variant",
        "Features",
        "cache size",
        "clflush size",
        "cpu family",
        "flags",
        "isa",
        "model",
        "stepping",
        "vendor_id",
    ];
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let identifying = cpuinfo.lines().filter(|line| {
        let name = line.split(':').next().unwrap_or_default().trim();
        IDENTIFYING.contains(&name)
    });
    let mut description: Vec<_> = identifying.map(str::to_owned).collect();
    for index in 0..4 {
        for file in ["level", "type", "size", "coherency_line_size"] {
            let path = format!("/sys/devices/system/cpu/cpu0/cache/index{index}/{file}");
            description.extend(fs::read_to_string(path));
        }
    }
    // Processors of one kind count once.
    description.sort();
    description.dedup();
    description.join("\n").into_bytes()
}

/// What nvcc's own program says about the GPUs that this process may use. `None` if it cannot be run.
fn gpus(toolchain: &Toolchain) -> Option<Vec<u8>> {
    let program = look_up(GPU_QUERY.as_ref(), &toolchain.search)?;
    let mut query = Command::new(program);
    query.arg("--silent").stdin(Stdio::null());
    let output = query.stderr(Stdio::null()).output().ok()?;
    let code = output.status.code()?;
    Some([code.to_string().as_bytes(), b"\n", &output.stdout].concat())
}
