//! How the programs are linked.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let target = |part: &str| std::env::var(format!("CARGO_CFG_TARGET_{part}"));
    if target("OS").as_deref() == Ok("linux") && target("ENV").as_deref() == Ok("gnu") {
        // At a fixed address nothing has to be relocated at each start, and functions of libc are
        // looked up when they are first called: together 7 % of a small hit. Libraries, heap and stack
        // are at random addresses all the same.
        for argument in ["-no-pie", "-Wl,-z,lazy"] {
            println!("cargo:rustc-link-arg-bin=pcache-nvcc={argument}");
        }
    }
}
