//! A slot for each loaded libnvrtc. A hook is a plain C function that does not learn for which library it is
//! called; so there is one copy of each hook per slot, and each copy knows its slot.
//!
//! Through this memory, the copy of this library that ld.so loads as auditor tells the preloaded copy the addresses of
//! the real functions: the auditor finds it by its exported name and fills it in.

use super::functions::{COUNT, Function, MARK};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// How many loaded libnvrtc can be cached at a time in one process; calls of further ones are not intercepted.
pub(super) const SLOTS: usize = 8;

/// One loaded libnvrtc.
#[repr(C)]
pub(super) struct HookSlot {
    /// Incremented when a library gets the slot and when it is unloaded.
    generation: AtomicU32,
    /// Addresses of the real functions; zero for those that the library does not have.
    real: [AtomicUsize; COUNT],
    /// Addresses of the library and of its dynamic section.
    base: AtomicUsize,
    dynamic: AtomicUsize,
}

/// All slots of a process.
#[repr(C)]
pub(super) struct HookSlots([HookSlot; SLOTS]);

/// The slots of this copy. A static, because C calls the hooks without any context.
// SAFETY: nothing else has this name, and who finds it by name only looks at its address.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
pub(super) static pcache_nvcc_slots: HookSlots = HookSlots([const { HookSlot::empty() }; SLOTS]);

/// The exported name of the slots.
pub(super) const NAME: &std::ffi::CStr = c"pcache_nvcc_slots";

/// The slots of this copy.
pub(super) fn own() -> &'static HookSlots {
    &pcache_nvcc_slots
}

impl HookSlots {
    /// The slot with this number.
    pub(super) fn get(&self, number: usize) -> &HookSlot {
        &self.0[number]
    }

    /// The slot of the library at `base`.
    pub(super) fn of(&self, base: usize) -> Option<usize> {
        let is_its = |slot: &HookSlot| slot.real(MARK).is_some() && slot.place().0 == base;
        self.0.iter().position(is_its)
    }

    /// An unused slot, and its number.
    pub(super) fn free(&self) -> Option<(usize, &HookSlot)> {
        let mut slots = self.0.iter().enumerate();
        slots.find(|(_, slot)| slot.real(MARK).is_none())
    }
}

impl HookSlot {
    /// A slot without a library.
    const fn empty() -> Self {
        Self {
            generation: AtomicU32::new(0),
            real: [const { AtomicUsize::new(0) }; COUNT],
            base: AtomicUsize::new(0),
            dynamic: AtomicUsize::new(0),
        }
    }

    /// The address of a real function of this slot's library.
    pub(super) fn real(&self, function: Function) -> Option<usize> {
        let address = self.real[function.index()].load(Ordering::Relaxed);
        (address != 0).then_some(address)
    }

    /// The number of changes of the slot's library so far; identifies the current one.
    pub(super) fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }

    /// The addresses of the library and of its dynamic section.
    pub(super) fn place(&self) -> (usize, usize) {
        let load = |value: &AtomicUsize| value.load(Ordering::Acquire);
        (load(&self.base), load(&self.dynamic))
    }

    /// Gives the slot to the library at `base`.
    pub(super) fn take(&self, base: usize, dynamic: usize, real: &[usize; COUNT]) {
        for (place, address) in self.real.iter().zip(real) {
            place.store(*address, Ordering::Relaxed);
        }
        self.base.store(base, Ordering::Relaxed);
        self.dynamic.store(dynamic, Ordering::Relaxed);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Frees the slot, because the library is being unloaded.
    pub(super) fn release(&self) {
        self.generation.fetch_add(1, Ordering::Release);
        for place in &self.real {
            place.store(0, Ordering::Relaxed);
        }
    }
}
