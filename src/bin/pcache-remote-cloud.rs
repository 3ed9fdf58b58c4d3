//! `pcache-remote-cloud`: talks to the servers of the shared level, those of clouds included.

fn main() -> std::process::ExitCode {
    pcache_nvcc::remote::helper::main("pcache-remote-cloud")
}
