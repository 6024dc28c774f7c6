//! Memory for the few moments in which a holder needs any; then the kernel gets it back.
//!
//! A holder builds its walls once and sleeps for the life of its pod, so what an ordinary allocator would keep (12 of
//! 72 KiB) would be kept for every pod of the node. Here what is allocated comes from one piece of the program, in a
//! row, and is never reused; what does not fit comes from the libc.

#![allow(unsafe_code, reason = "an allocator, and madvise")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Pages that are never touched cost nothing.
const SIZE: usize = 256 << 10;

#[global_allocator]
static ROW: Row = Row { bytes: UnsafeCell::new(MaybeUninit::uninit()), taken: AtomicUsize::new(0) };

struct Row {
    bytes: UnsafeCell<MaybeUninit<[u8; SIZE]>>,
    taken: AtomicUsize,
}

// SAFETY: each byte is handed out once, by one atomic step.
unsafe impl Sync for Row {}

impl Row {
    fn start(&self) -> *mut u8 {
        self.bytes.get().cast()
    }

    /// Takes room for `layout`, and says where in the row it is.
    fn take(&self, layout: Layout) -> Option<usize> {
        let place = |taken: usize| {
            let free = self.start().addr() + taken;
            let at = free.checked_next_multiple_of(layout.align())? - self.start().addr();
            let end = at.checked_add(layout.size()).filter(|end| *end <= SIZE)?;
            Some((at, end))
        };
        let before =
            self.taken.try_update(Ordering::Relaxed, Ordering::Relaxed, |taken| Some(place(taken)?.1));
        Some(place(before.ok()?)?.0)
    }
}

// SAFETY: a pointer from here leads to bytes that nobody else was given, in the row or of the system's allocator, and
// goes back to where it came from.
unsafe impl GlobalAlloc for Row {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match self.take(layout) {
            // SAFETY: it is within the row, with all its bytes.
            Some(at) => unsafe { self.start().add(at) },
            // SAFETY: what is asked of us.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let row = self.start().addr()..self.start().addr() + SIZE;
        if !row.contains(&pointer.addr()) {
            // SAFETY: it is not of the row, so it is the system's.
            unsafe { System.dealloc(pointer, layout) }
        }
    }
}

/// Gives the row's pages back; from here on they read as zeros, so nothing in them may be used any more.
pub(crate) fn give_back() {
    let before = ROW.start().addr().next_multiple_of(PAGE) - ROW.start().addr();
    let length = (SIZE - before) / PAGE * PAGE;
    // SAFETY: the range is whole pages of the row, and the only caller sleeps for ever after it.
    unsafe { libc::madvise(ROW.start().add(before).cast(), length, libc::MADV_DONTNEED) };
}

/// The usual one. Where pages are larger the kernel may refuse, and the memory stays.
const PAGE: usize = 4096;
