//! The state of the calling process, besides its environment, that influences a compile: the floating-point mode of
//! the calling thread, and the side effects of earlier compiles.
//!
//! NVRTC folds constants with the processor's own instructions, in the thread that called it; threads
//! that it starts for `--split-compile` inherit the mode. Found by compiling under each mode with 12.0 to 13.5:
//! the rounding mode in MXCSR changes results of all of them; rounding mode and precision of the x87 unit change those
//! of 12.0 and 12.4, which also refuse some programs under DAZ. The exception status flags change nothing.
//!
//! The side effects were found by compiling the same program before and after each option: since 12.4, remarks that
//! `--optimization-info` asked for are in the logs of all later compiles of the process; after `--split-compile`, 12.0
//! generates different code.

use super::program::Library;
use memchr::memmem;
use std::sync::atomic::{AtomicBool, Ordering};

/// Parts of the names of options that change later compiles.
const LEAKING: [&[u8]; 2] = [b"opt-info", b"optimization-info"];

/// Options of releases before 12.4 that change later compiles.
const LEAKING_EARLY: &[u8] = b"split-compile";

/// Whether a compile of this process has had options that change later compiles.
#[derive(Debug, Default)]
pub(super) struct SideEffects(AtomicBool);

impl SideEffects {
    /// Records the options of a compile that `library` is about to do.
    pub(super) fn observe(
        &self,
        library: Option<&Library>,
        options: &[Vec<u8>],
        appended: Option<&[u8]>,
    ) {
        let is_early = library.is_none_or(is_early);
        let leaks = |text: &[u8]| {
            let holds = |word: &[u8]| memmem::find(text, word).is_some();
            LEAKING.iter().any(|word| holds(word)) || is_early && holds(LEAKING_EARLY)
        };
        let mut texts = options.iter().map(Vec::as_slice).chain(appended);
        if texts.any(leaks) {
            self.note();
        }
    }

    /// Records that a compile has had such options.
    pub(super) fn note(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(super) fn any(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Whether a library is, or may be, older than 12.4, judged by the name of its builtins.
fn is_early(library: &Library) -> bool {
    let name = library.builtins.as_deref().and_then(|path| path.to_str());
    let version = name
        .and_then(|name| name.rsplit_once(".so."))
        .and_then(|(_, version)| {
            let mut parts = version.split('.').map(|part| part.parse::<u32>().ok());
            Some((parts.next()??, parts.next()??))
        });
    version.is_none_or(|version| version < (12, 4))
}

/// The control bits of the floating-point units of this thread, without the exception status flags.
#[cfg(target_arch = "x86_64")]
pub(super) fn floating_point_mode() -> String {
    /// Invalid, denormal, divide by zero, overflow, underflow, precision.
    const FLAGS: u32 = 0x3f;
    let (mut mxcsr, mut x87) = (0u32, 0u16);
    // SAFETY: each instruction writes one control register to the place that it is given.
    unsafe {
        std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut mxcsr, options(nostack, preserves_flags));
        std::arch::asm!("fnstcw [{}]", in(reg) &raw mut x87, options(nostack, preserves_flags));
    }
    format!("mxcsr {:04x}, x87 {x87:04x}", mxcsr & !FLAGS)
}

/// The control register of the floating-point unit of this thread; its flags are in another one.
#[cfg(target_arch = "aarch64")]
pub(super) fn floating_point_mode() -> String {
    let fpcr: u64;
    // SAFETY: reads a register.
    unsafe { std::arch::asm!("mrs {}, fpcr", out(reg) fpcr, options(nomem, nostack)) };
    format!("fpcr {fpcr:x}")
}

/// Empty: there is no NVRTC for other processors.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) fn floating_point_mode() -> String {
    String::new()
}

#[cfg(test)]
mod tests {
    use super::{SideEffects, is_early};
    use crate::nvrtc::program::Library;

    fn library(builtins: Option<&str>) -> Library {
        Library {
            path: "/lib/libnvrtc.so.12".into(),
            builtins: builtins.map(Into::into),
        }
    }

    #[test]
    fn early_releases_are_told_by_their_builtins() {
        for (builtins, expected) in [
            (Some("/lib/libnvrtc-builtins.so.12.0"), true),
            (Some("/lib/libnvrtc-builtins.so.12.3.107"), true),
            (Some("/lib/libnvrtc-builtins.so.12.4"), false),
            (Some("/lib/libnvrtc-builtins.alt.so.13.0"), false),
            (Some("/lib/libnvrtc-builtins.so.13.2"), false),
            (Some("/lib/builtins"), true),
            (None, true),
        ] {
            assert_eq!(is_early(&library(builtins)), expected, "{builtins:?}");
        }
    }

    #[test]
    fn options_that_leak_are_noticed_wherever_they_are() {
        let new = library(Some("/lib/libnvrtc-builtins.so.13.2"));
        let old = library(Some("/lib/libnvrtc-builtins.so.12.0"));
        let leaks = |library, option: &str, appended: Option<&str>| {
            let leaks = SideEffects::default();
            let options = [option.as_bytes().to_vec()];
            leaks.observe(Some(library), &options, appended.map(str::as_bytes));
            leaks.any()
        };
        assert!(leaks(&new, "-opt-info=inline", None));
        assert!(leaks(&new, "--optimization-info=inline", None));
        assert!(leaks(&new, "-DX", Some("-DY -opt-info=inline")));
        assert!(!leaks(&new, "--split-compile=2", None));
        assert!(leaks(&old, "--split-compile=2", None));
        assert!(!leaks(&old, "-DX", None));
    }
}
