//! What the standard library draws for itself — the order of hash maps, the branch that `select!` tries first — comes
//! from the seed on a thread of a simulation, and from the kernel on all others.
//!
//! Without it two runs of one seed part ways at the first `HashMap`. The function takes the place of libc's at link
//! time; the standard library calls it by that name.
#![expect(
    unsafe_code,
    reason = "a symbol that libc has too, and a buffer that comes as a pointer: there is no safe way to be called by std"
)]

use std::cell::Cell;

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

/// getrandom(2).
///
/// # Safety
/// `buffer` points to `length` bytes that may be written.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn getrandom(buffer: *mut u8, length: usize, _flags: u32) -> isize {
    // SAFETY: the caller's promise; a length of 0 may come with any pointer that is not null.
    let out = unsafe { std::slice::from_raw_parts_mut(buffer, length) };
    let seeded = STATE.try_with(Cell::get).ok().flatten();
    match seeded {
        Some(mut state) => {
            for chunk in out.chunks_mut(8) {
                let (after, drawn) = next(state);
                state = after;
                chunk.copy_from_slice(&drawn.to_le_bytes()[..chunk.len()]);
            }
            STATE.set(Some(state));
        }
        None => {
            let mut done = 0;
            while done < out.len() {
                match rustix::rand::getrandom(&mut out[done..], rustix::rand::GetRandomFlags::empty()) {
                    Ok(read) => done += read,
                    Err(rustix::io::Errno::INTR) => {}
                    Err(_) => return -1,
                }
            }
        }
    }
    isize::try_from(length).unwrap_or(-1)
}
