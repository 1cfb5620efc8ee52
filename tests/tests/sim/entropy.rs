//! What the standard library draws for itself — the order of hash maps, the branch that `select!` tries first — comes
//! from the seed on a thread of a simulation, and from the kernel on all others.
//!
//! Without it two runs of one seed part ways at the first `HashMap`. The function takes the place of libc's at link
//! time; the standard library calls it by that name. Cryptography draws by the system call's number instead.
#![expect(
    unsafe_code,
    reason = "a symbol that libc has too, and a buffer that comes as a pointer: there is no safe way to be called by std"
)]

use std::{
    cell::Cell,
    ffi::{c_char, c_long, c_void},
    sync::atomic::{AtomicPtr, Ordering},
};

thread_local! {
    static STATE: Cell<Option<u64>> = const { Cell::new(None) };
}

/// From now on this thread draws from `seed`.
pub(crate) fn seed(seed: u64) {
    STATE.set(Some(seed));
}

fn next(state: u64) -> (u64, u64) {
    // SplitMix64 (Steele, Lea, Flood 2014).
    let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (state, z ^ (z >> 31))
}

/// Fills from the seed; `false` on a thread that has none.
fn drawn(out: &mut [u8]) -> bool {
    let Some(mut state) = STATE.try_with(Cell::get).ok().flatten() else {
        return false;
    };
    for chunk in out.chunks_mut(8) {
        let (after, drawn) = next(state);
        state = after;
        chunk.copy_from_slice(&drawn.to_le_bytes()[..chunk.len()]);
    }
    STATE.set(Some(state));
    true
}

/// getrandom(2), as the standard library calls it.
///
/// # Safety
/// `buffer` points to `length` bytes that may be written.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn getrandom(buffer: *mut u8, length: usize, _flags: u32) -> isize {
    // SAFETY: the caller's promise; a length of 0 may come with any pointer that is not null.
    let out = unsafe { std::slice::from_raw_parts_mut(buffer, length) };
    if !drawn(out) {
        let mut done = 0;
        while done < out.len() {
            match rustix::rand::getrandom(&mut out[done..], rustix::rand::GetRandomFlags::empty()) {
                Ok(read) => done += read,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return -1,
            }
        }
    }
    isize::try_from(length).unwrap_or(-1)
}

/// Number of getrandom(2).
#[cfg(target_arch = "x86_64")]
const GETRANDOM: c_long = 318;
#[cfg(not(target_arch = "x86_64"))]
const GETRANDOM: c_long = 278;

type Syscall = unsafe extern "C" fn(c_long, usize, usize, usize, usize, usize, usize) -> c_long;

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
}

/// The next one of that name: dlfcn.h.
const RTLD_NEXT: *mut c_void = usize::MAX as *mut c_void;

/// syscall(2): the cryptography library draws its keys and signatures through it. A signature is a byte or two longer or
/// shorter by chance, and a datagram more or less is another history.
///
/// # Safety
/// As the system call asks. Arguments that it does not have are whatever is in their place, and are not looked at.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn syscall(
    number: c_long,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> c_long {
    // No lock: it would wait by this very call.
    static REAL: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
    if number == GETRANDOM && STATE.try_with(Cell::get).ok().flatten().is_some() {
        // SAFETY: getrandom's first two arguments are a buffer and its length.
        let out = unsafe { std::slice::from_raw_parts_mut(a as *mut u8, b) };
        drawn(out);
        return c_long::try_from(b).unwrap_or(-1);
    }
    let mut real = REAL.load(Ordering::Relaxed);
    if real.is_null() {
        // SAFETY: the name ends with a nul.
        real = unsafe { dlsym(RTLD_NEXT, c"syscall".as_ptr()) };
        REAL.store(real, Ordering::Relaxed);
    }
    if real.is_null() {
        return -1;
    }
    // SAFETY: it is libc's function of that name, which has this signature; the caller's promise is passed on.
    unsafe { std::mem::transmute::<*mut c_void, Syscall>(real)(number, a, b, c, d, e, f) }
}
