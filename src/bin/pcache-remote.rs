//! `pcache-remote`: talks to the servers of the shared level.

fn main() -> std::process::ExitCode {
    pcache_nvcc::remote::helper::main("pcache-remote")
}
