//! What of the calling process reaches a compile besides its environment: the mode in which the calling thread
//! computes. NVRTC folds constants with the processor's own instructions, in the thread that called it; threads
//! that it starts for `--split-compile` inherit the mode. Found by compiling under each mode with 12.0 to 13.5:
//! the rounding of MXCSR changes results of all of them, that of the x87 unit and its precision those of 12.0 and
//! 12.4, which with DAZ refuse some programs. The flags that tell what has happened change nothing.

/// The control bits of the floating-point units of this thread, without the flags that operations leave.
#[cfg(target_arch = "x86_64")]
pub fn floating_point_mode() -> String {
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
pub fn floating_point_mode() -> String {
    let fpcr: u64;
    // SAFETY: reads a register.
    unsafe { std::arch::asm!("mrs {}, fpcr", out(reg) fpcr, options(nomem, nostack)) };
    format!("fpcr {fpcr:x}")
}

/// There is no NVRTC for other processors.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub fn floating_point_mode() -> String {
    String::new()
}
