//! Reads the dynamic section of a loaded object: its symbols, found through either kind of
//! hash table, and the addresses of its imported functions. Reads memory that ld.so has mapped.
//! The format is the System V ABI's; `DT_GNU_HASH` is glibc's.

use libc::{Elf64_Ehdr, Elf64_Phdr, Elf64_Sym};
use rustix::param::page_size;
use std::ffi::{CStr, c_char, c_int};
use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{sleep, yield_now};
use std::time::Duration;

const DT_NULL: i64 = 0;
const DT_PLTRELSZ: i64 = 2;
const DT_HASH: i64 = 4;
const DT_STRTAB: i64 = 5;
const DT_SYMTAB: i64 = 6;
const DT_RELA: i64 = 7;
const DT_RELASZ: i64 = 8;
const DT_RPATH: i64 = 15;
const DT_JMPREL: i64 = 23;
const DT_RUNPATH: i64 = 29;
const DT_GNU_HASH: i64 = 0x6fff_fef5;

/// Types of relocations that hold the plain address of a symbol: for a call, and for a call without a PLT (`-fno-plt`).
#[cfg(target_arch = "x86_64")]
const ADDRESSES: [u32; 2] = [7, 6];
#[cfg(target_arch = "aarch64")]
const ADDRESSES: [u32; 2] = [1026, 1025];

#[repr(C)]
struct Dynamic {
    tag: i64,
    value: usize,
}

#[repr(C)]
struct Relocation {
    offset: usize,
    info: u64,
    addend: i64,
}

/// A loaded object.
#[derive(Clone, Copy)]
pub(super) struct Object {
    base: usize,
    symbols: *mut Elf64_Sym,
    strings: *const c_char,
    hash: *const u32,
    gnu_hash: *const u32,
    /// Address and size in bytes of its two lists of relocations.
    relocations: [(usize, usize); 2],
    has_rpath: bool,
    has_runpath: bool,
}

impl Object {
    /// The object at `base` with this dynamic section; `None` if it has no symbols that can be looked up.
    ///
    /// # Safety
    /// Both are of one object that stays mapped while the result is used.
    pub(super) unsafe fn new(base: usize, dynamic: *const u8) -> Option<Self> {
        let mut object = Self {
            base,
            symbols: ptr::null_mut(),
            strings: ptr::null(),
            hash: ptr::null(),
            gnu_hash: ptr::null(),
            relocations: [(0, 0); 2],
            has_rpath: false,
            has_runpath: false,
        };
        // ld.so relocates these values in place, unless the section is read-only.
        let address = |value: usize| if value < base { base + value } else { value };
        let mut entry = dynamic.cast::<Dynamic>();
        loop {
            // SAFETY: the section ends with DT_NULL, and no step goes beyond that.
            let Dynamic { tag, value } = unsafe { entry.read() };
            match tag {
                DT_NULL => break,
                DT_HASH => object.hash = address(value) as *const u32,
                DT_GNU_HASH => object.gnu_hash = address(value) as *const u32,
                DT_SYMTAB => object.symbols = address(value) as *mut Elf64_Sym,
                DT_STRTAB => object.strings = address(value) as *const c_char,
                DT_RELA => object.relocations[0].0 = address(value),
                DT_RELASZ => object.relocations[0].1 = value,
                DT_JMPREL => object.relocations[1].0 = address(value),
                DT_PLTRELSZ => object.relocations[1].1 = value,
                DT_RPATH => object.has_rpath = true,
                DT_RUNPATH => object.has_runpath = true,
                _ => {}
            }
            // SAFETY: this was not the last one.
            entry = unsafe { entry.add(1) };
        }
        let is_whole = !object.symbols.is_null() && !object.strings.is_null();
        (is_whole && !(object.hash.is_null() && object.gnu_hash.is_null())).then_some(object)
    }

    /// The object's base address, to which its symbols' values are relative.
    pub(super) fn base(&self) -> usize {
        self.base
    }

    /// Whether its own search path comes before `LD_LIBRARY_PATH`.
    pub(super) fn searches_itself_first(&self) -> bool {
        self.has_rpath && !self.has_runpath
    }

    /// The symbol called `name`, if this object defines it.
    pub(super) fn symbol(&self, name: &CStr) -> Option<*mut Elf64_Sym> {
        // SAFETY: the tables are the object's own, by the promise of `new`.
        let index = unsafe {
            if self.gnu_hash.is_null() {
                self.by_hash(name)
            } else {
                self.by_gnu_hash(name)
            }
        }?;
        // SAFETY: an index from a hash table is one of the symbol table.
        let symbol = unsafe { self.symbols.add(index as usize) };
        // SAFETY: as above.
        let is_defined = unsafe { (*symbol).st_shndx != 0 && (*symbol).st_value != 0 };
        is_defined.then_some(symbol)
    }

    /// # Safety
    /// The object is mapped and `gnu_hash` is its table.
    unsafe fn by_gnu_hash(&self, name: &CStr) -> Option<u32> {
        let hash = gnu_hash(name.to_bytes());
        let table = self.gnu_hash;
        // SAFETY: buckets, first symbol, words of the filter and shift come first, then the filter of
        // 64-bit words, the buckets, and a chain for each symbol from the first, which ends at an odd hash.
        unsafe {
            let [buckets, first, words, shift] = [0, 1, 2, 3].map(|at| table.add(at).read());
            if buckets == 0 || words == 0 {
                return None;
            }
            let filter = table.add(4).cast::<u64>();
            let word = filter.add((hash / 64 % words) as usize).read_unaligned();
            if word >> (hash % 64) & word >> ((hash >> shift) % 64) & 1 == 0 {
                return None;
            }
            let bucket = table.add(4 + 2 * words as usize);
            let chain = bucket.add(buckets as usize);
            let mut index = bucket.add((hash % buckets) as usize).read();
            if index < first {
                return None;
            }
            loop {
                let chained = chain.add((index - first) as usize).read();
                if chained | 1 == hash | 1 && self.is_named(index, name) {
                    return Some(index);
                }
                if chained & 1 == 1 {
                    return None;
                }
                index += 1;
            }
        }
    }

    /// # Safety
    /// The object is mapped and `hash` is its table.
    unsafe fn by_hash(&self, name: &CStr) -> Option<u32> {
        // SAFETY: the numbers of buckets and of chains come first, then both; zero ends a chain.
        unsafe {
            let buckets = self.hash.read();
            if buckets == 0 {
                return None;
            }
            let bucket = self.hash.add(2);
            let chain = bucket.add(buckets as usize);
            let mut index = bucket
                .add((hash(name.to_bytes()) % buckets) as usize)
                .read();
            while index != 0 {
                if self.is_named(index, name) {
                    return Some(index);
                }
                index = chain.add(index as usize).read();
            }
            None
        }
    }

    /// # Safety
    /// The object is mapped and has a symbol with this index.
    unsafe fn is_named(&self, index: u32, name: &CStr) -> bool {
        // SAFETY: names are strings of the string table.
        unsafe {
            let at = (*self.symbols.add(index as usize)).st_name;
            CStr::from_ptr(self.strings.add(at as usize)) == name
        }
    }

    /// Every word of the object that holds the address of an imported symbol, with the symbol's name.
    pub(super) fn imports(&self) -> impl Iterator<Item = (*mut usize, &CStr)> {
        let lists = self.relocations.iter().filter(|(at, _)| *at != 0);
        let relocations = lists.flat_map(|&(at, bytes)| {
            // SAFETY: ld.so has just worked through the same list.
            unsafe {
                slice::from_raw_parts(at as *const Relocation, bytes / size_of::<Relocation>())
            }
        });
        relocations
            .filter(|relocation| ADDRESSES.contains(&(relocation.info as u32)))
            .map(|relocation| {
                // SAFETY: a relocation names a symbol of the table.
                let name = unsafe {
                    let symbol = self.symbols.add((relocation.info >> 32) as usize);
                    CStr::from_ptr(self.strings.add((*symbol).st_name as usize))
                };
                ((self.base + relocation.offset) as *mut usize, name)
            })
    }

    /// Writes `value` at `place`, also in a read-only page, whose protection is the same afterwards.
    ///
    /// # Safety
    /// `place` is in the object and holds a word that may change.
    pub(super) unsafe fn write(&self, place: *mut usize, value: usize) -> Option<()> {
        let before = self.protection(place as usize)?;
        // SAFETY: the promise of this function, and `before` is what its page has.
        unsafe { write_protected(place, value, before) }
    }

    /// The protection of the page at `address`, according to the object's own headers.
    fn protection(&self, address: usize) -> Option<c_int> {
        let mut resident = 0u8;
        // SAFETY: asks about a page; the answer goes to the one byte that it needs.
        let mapped = unsafe { libc::mincore(self.base as *mut libc::c_void, 1, &mut resident) };
        if mapped != 0 {
            return None;
        }
        // SAFETY: the page is mapped, and where an object starts with its header, it is looked at below.
        let header = unsafe { (self.base as *const Elf64_Ehdr).read_unaligned() };
        if header.e_ident[..4] != *b"\x7fELF" {
            return None;
        }
        let at = (self.base + header.e_phoff as usize) as *const Elf64_Phdr;
        // SAFETY: the program headers lie in the first segment of every object that ld.so loads.
        let segments = unsafe { slice::from_raw_parts(at, header.e_phnum as usize) };
        let holds = |segment: &&Elf64_Phdr| {
            let start = (self.base + segment.p_vaddr as usize) & !(page_size() - 1);
            let end = self.base + (segment.p_vaddr + segment.p_memsz) as usize;
            (start..end).contains(&address)
        };
        let of_kind = |kind| {
            segments
                .iter()
                .filter(move |segment| segment.p_type == kind)
        };
        if of_kind(libc::PT_GNU_RELRO).any(|segment| holds(&segment)) {
            return Some(libc::PROT_READ);
        }
        let segment = of_kind(libc::PT_LOAD).find(holds)?;
        let flag = |of: u32, means: c_int| match segment.p_flags & of {
            0 => 0,
            _ => means,
        };
        Some(
            flag(libc::PF_R, libc::PROT_READ)
                | flag(libc::PF_W, libc::PROT_WRITE)
                | flag(libc::PF_X, libc::PROT_EXEC),
        )
    }
}

/// Whether a thread has a page open for writing.
static IS_WRITING: AtomicBool = AtomicBool::new(false);

/// How often a thread tries to take its turn: the first [`AT_ONCE`] times without a pause, then a millisecond apart.
const ATTEMPTS: u32 = 1000;
const AT_ONCE: u32 = 100;

/// One thread's turn to write. If two threads had the same page open, the first to protect it again would make the
/// other fault.
struct Writing;

impl Writing {
    /// Takes the turn. `None` if another thread does not end its own: after a fork, that thread may not exist.
    fn begin() -> Option<Self> {
        for attempt in 0..ATTEMPTS {
            let (acquire, relaxed) = (Ordering::Acquire, Ordering::Relaxed);
            let taken = IS_WRITING.compare_exchange(false, true, acquire, relaxed);
            match taken {
                Ok(_) => return Some(Self),
                Err(_) if attempt < AT_ONCE => yield_now(),
                // A thread that was preempted needs some time slices for its few calls.
                Err(_) => sleep(Duration::from_millis(1)),
            }
        }
        None
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        IS_WRITING.store(false, Ordering::Release);
    }
}

/// Writes `value` at `place`, whose page has the protection `before`, also afterwards.
///
/// # Safety
/// `place` is a word that may change, in a page of that protection.
unsafe fn write_protected(place: *mut usize, value: usize, before: c_int) -> Option<()> {
    let _turn = Writing::begin()?;
    let size = page_size();
    let page = (place as usize & !(size - 1)) as *mut libc::c_void;
    if before & libc::PROT_WRITE == 0 {
        // SAFETY: the promise of this function.
        let opened = unsafe { libc::mprotect(page, size, libc::PROT_READ | libc::PROT_WRITE) };
        if opened != 0 {
            return None;
        }
    }
    // SAFETY: the page can be written now; an aligned word changes at once for all threads.
    unsafe { place.write_volatile(value) };
    if before & libc::PROT_WRITE == 0 {
        // SAFETY: as above.
        unsafe { libc::mprotect(page, size, before) };
    }
    Some(())
}

fn gnu_hash(name: &[u8]) -> u32 {
    let step = |hash: u32, &byte: &u8| hash.wrapping_mul(33).wrapping_add(byte.into());
    name.iter().fold(5381, step)
}

fn hash(name: &[u8]) -> u32 {
    name.iter().fold(0, |hash, &byte| {
        let hash = (hash << 4).wrapping_add(byte.into());
        let high = hash & 0xf000_0000;
        (hash ^ high >> 24) & !high
    })
}

#[cfg(test)]
mod tests {
    use super::{gnu_hash, hash, write_protected};
    use std::ptr::null_mut;
    use std::thread;

    #[test]
    fn threads_that_write_to_one_protected_page_do_not_fault() {
        let (size, kind) = (4096, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: the kernel picks a free range.
        let page = unsafe { libc::mmap(null_mut(), size, libc::PROT_READ, kind, -1, 0) };
        assert_ne!(page, libc::MAP_FAILED);
        let first = page as usize;
        thread::scope(|scope| {
            for at in 0..8 {
                scope.spawn(move || {
                    let place = (first + 8 * at) as *mut usize;
                    for value in 0..5000 {
                        // SAFETY: a word of the page, which is open for reading.
                        unsafe {
                            write_protected(place, value, libc::PROT_READ).unwrap();
                            assert_eq!(place.read_volatile(), value);
                        }
                    }
                });
            }
        });
    }

    /// The values are those of `readelf` and of the ABI's own text.
    #[test]
    fn hashes_are_the_linkers() {
        assert_eq!(gnu_hash(b"printf"), 0x156b_2bb8);
        assert_eq!(gnu_hash(b""), 5381);
        assert_eq!(hash(b"printf"), 0x077905a6);
    }
}
