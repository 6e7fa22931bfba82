//! The allocator of a guest: small blocks from free lists, the rest from the system's.
//!
//! An observation crosses into a guest as a dozen small strings and lists, and all of them are gone
//! when it is judged. The system's allocator joins neighbours at each of those, which costs about as
//! much as reading the body. Here a small block is one of 32 sizes and goes back to the list of its
//! size; it never becomes part of another, so memory for small blocks is bounded by their peak.

#![expect(unsafe_code, reason = "an allocator hands out raw memory")]

use core::cell::UnsafeCell;
use core::ptr::null_mut;
use std::alloc::{GlobalAlloc, Layout, System};

/// Step of the sizes, and the alignment that each block has.
const STEP: usize = 16;
/// Largest small block.
const SMALL_MAX: usize = 512;
/// Bytes that small blocks are cut from at a time.
const CHUNK: usize = 8 * 1024;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator(UnsafeCell::new(Blocks {
    free: [null_mut(); CLASSES],
    next: 0,
    end: CHUNK,
    first: First([0; CHUNK]),
}));

const CLASSES: usize = SMALL_MAX / STEP;

struct Allocator(UnsafeCell<Blocks>);

// A guest has one thread: the contract has no other, and the target none to start.
unsafe impl Sync for Allocator {}

/// A free block holds the address of the next one of its size.
struct Block {
    next: *mut Block,
}

struct Blocks {
    free: [*mut Block; CLASSES],
    /// What is left of the chunk: addresses of the next block and of its end; of the first chunk,
    /// places in it.
    next: usize,
    end: usize,
    /// Part of the memory that every instance has, so that a new one asks for no more.
    first: First,
}

#[repr(align(16))]
struct First(#[expect(dead_code, reason = "only its address is used")] [u8; CHUNK]);

/// The list of a layout; none for what the system keeps. A zero size never comes here.
#[inline(always)]
fn class(layout: Layout) -> Option<usize> {
    let class = layout.size().wrapping_sub(1) / STEP;
    (class < CLASSES && layout.align() <= STEP).then_some(class)
}

impl Blocks {
    /// A block from the chunk, or from a new one; null when there is no memory.
    #[cold]
    fn cut(&mut self, class: usize) -> *mut u8 {
        let size = (class + 1) * STEP;
        if self.end == CHUNK {
            // An address is never that low: the stack is there.
            let first = (&raw mut self.first) as usize;
            (self.next, self.end) = (first, first + CHUNK);
        }
        if self.end - self.next < size {
            // What is left of the old chunk is smaller than this block and is given up.
            let Ok(layout) = Layout::from_size_align(CHUNK, STEP) else { return null_mut() };
            // SAFETY: the size is not zero.
            let chunk = unsafe { System.alloc(layout) };
            if chunk.is_null() {
                return null_mut();
            }
            (self.next, self.end) = (chunk as usize, chunk as usize + CHUNK);
        }
        let block = self.next as *mut u8;
        self.next += size;
        block
    }
}

// SAFETY: blocks of a class are at least as large and as aligned as each layout of that class, are
// handed out once until they come back, and come back by the same class, which the layout decides.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(class) = class(layout) else {
            // SAFETY: the caller's promise.
            return unsafe { System.alloc(layout) };
        };
        // SAFETY: one thread, and nothing below allocates through here again.
        let blocks = unsafe { &mut *self.0.get() };
        let block = blocks.free[class];
        if block.is_null() {
            return blocks.cut(class);
        }
        // SAFETY: a block on a list is free, and its first word is the next one.
        blocks.free[class] = unsafe { (*block).next };
        block.cast()
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(class) = class(layout) else {
            // SAFETY: the caller's promise.
            return unsafe { System.dealloc(block, layout) };
        };
        // SAFETY: as above; the block is the caller's no more and holds at least one word.
        unsafe {
            let blocks = &mut *self.0.get();
            let block: *mut Block = block.cast();
            (*block).next = blocks.free[class];
            blocks.free[class] = block;
        }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise: not zero, and not past the largest layout.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (class(layout), class(wanted)) {
            // SAFETY: the system gave it.
            (None, None) => unsafe { System.realloc(block, layout, size) },
            (old, new) if old == new => block,
            _ => {
                // SAFETY: both layouts are valid, and the new block is another one.
                unsafe {
                    let moved = self.alloc(wanted);
                    if !moved.is_null() {
                        core::ptr::copy_nonoverlapping(block, moved, layout.size().min(size));
                        self.dealloc(block, layout);
                    }
                    moved
                }
            }
        }
    }
}

/// What the host calls for each string and list that it hands over. The bindings bring one of their
/// own, which gives way to this: theirs goes through four calls, each of which pays for fuel.
///
/// # Safety
/// The canonical ABI's: `old` is null with an `old_len` of 0, or came from here with `old_len` and
/// `align`, which is a power of two.
#[unsafe(no_mangle)]
unsafe extern "C" fn cabi_realloc(old: *mut u8, old_len: usize, align: usize, new_len: usize) -> *mut u8 {
    // SAFETY: the caller's promise; a size of zero goes to neither.
    let block = unsafe {
        let layout = |size| Layout::from_size_align_unchecked(size, align);
        match (old_len, new_len) {
            (0, 0) => return core::ptr::without_provenance_mut(align),
            (0, _) => ALLOCATOR.alloc(layout(new_len)),
            _ => ALLOCATOR.realloc(old, layout(old_len), new_len),
        }
    };
    if block.is_null() {
        core::arch::wasm32::unreachable();
    }
    block
}
