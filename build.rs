//! How the programs are linked, and what pcache carries.

use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-check-cfg=cfg(library_inside)");
    if let Some(library) = library() {
        println!("cargo:rustc-env=PCACHE_LIBRARY={}", library.display());
        println!("cargo:rustc-cfg=library_inside");
    }
    let target = |part: &str| std::env::var(format!("CARGO_CFG_TARGET_{part}"));
    if target("OS").as_deref() == Ok("linux") && target("ENV").as_deref() == Ok("gnu") {
        // At a fixed address nothing has to be relocated at each start, and functions of libc are
        // looked up when they are first called: together 7 % of a small hit. Libraries, heap and stack
        // are at random addresses all the same.
        for argument in ["-no-pie", "-Wl,-z,lazy"] {
            for program in ["pcache-nvcc", "pcache"] {
                println!("cargo:rustc-link-arg-bin={program}={argument}");
            }
        }
        // What unwinds after a panic becomes a part of programs and library: ld.so need not look for libgcc_s
        // at each start, in each namespace.
        if has_static_unwinder() {
            println!("cargo:rustc-link-lib=gcc_eh");
        }
    }
}

/// Whether the C compiler, which links, comes with libgcc_eh. GCC does; without, libgcc_s does the same.
fn has_static_unwinder() -> bool {
    let linker = std::env::var("RUSTC_LINKER").unwrap_or_else(|_| "cc".into());
    let mut question = std::process::Command::new(linker);
    let answer = question.arg("-print-file-name=libgcc_eh.a").output();
    // A name alone is what is not found.
    answer.is_ok_and(|found| found.status.success() && found.stdout.contains(&b'/'))
}

/// Where cargo puts the package's library, in builds for users: `cargo install` installs programs alone, so that pcache
/// brings it along for `pcache run`. `None` in other builds, or if cargo's directories have another layout.
fn library() -> Option<PathBuf> {
    if std::env::var("PROFILE").as_deref() != Ok("release") {
        return None;
    }
    // PROFILE/build/PACKAGE-HASH/out
    let out = std::env::var_os("OUT_DIR")?;
    let profile = Path::new(&out).ancestors().nth(3)?;
    let directory = profile.join("deps");
    let is_plain = |path: &Path| {
        let text = path.to_str();
        text.is_some_and(|text| !text.contains(['"', '\\', '\n']))
    };
    (directory.is_dir() && is_plain(&directory)).then(|| directory.join("libpcache_nvcc.so"))
}
