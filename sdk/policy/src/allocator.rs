//! An allocator for one decision: it hands out a static arena from its beginning to its end, and
//! takes back only the newest block. The instance is thrown away after the call, so nothing else
//! needs to be given back; and as long as the arena lasts, memory never grows, which would cost the
//! gateway a system call that all its threads wait for.

/// How much a decision may allocate before memory grows. Usual ones take some KiB; and the gateway
/// looks at each page of the memory after the call, also at those that were not used.
#[cfg(target_arch = "wasm32")]
const ARENA_BYTES: usize = 96 * 1_024;

/// How many pages of 64 KiB memory grows by at least, so that a large decision grows it seldom.
#[cfg(target_arch = "wasm32")]
const GROWTH_PAGES_MIN: usize = 8;

/// Where the next block begins and where the room ends, as addresses. All zero at first, so that it
/// needs no place in the module.
#[derive(Debug, Clone, Copy, Default)]
#[cfg_attr(
    not(target_arch = "wasm32"),
    allow(dead_code, reason = "installed in WebAssembly only; tested everywhere")
)]
struct Bump {
    next: usize,
    end: usize,
}

#[cfg_attr(
    not(target_arch = "wasm32"),
    allow(dead_code, reason = "installed in WebAssembly only; tested everywhere")
)]
impl Bump {
    /// The address of a new block, after asking `more` for room if there is too little. `more`
    /// answers a range of at least that many bytes.
    fn take(
        &mut self,
        bytes: usize,
        align: usize,
        more: impl FnOnce(usize) -> Option<(usize, usize)>,
    ) -> Option<usize> {
        if let Some(start) = self.fit(bytes, align) {
            return Some(start);
        }
        let (start, end) = more(bytes.checked_add(align)?)?;
        // Room that follows what there was lengthens it; else the old rest is given up.
        if start != self.end {
            self.next = start;
        }
        self.end = end;
        self.fit(bytes, align)
    }

    fn fit(&mut self, bytes: usize, align: usize) -> Option<usize> {
        let start = self.next.checked_next_multiple_of(align)?;
        let next = start.checked_add(bytes)?;
        if next > self.end || start == 0 {
            return None;
        }
        self.next = next;
        Some(start)
    }

    /// Lengthens or shortens a block where it stands, if it is the newest and there is room.
    fn resize(&mut self, start: usize, old: usize, new: usize) -> bool {
        let newest = start + old == self.next;
        match start.checked_add(new) {
            Some(next) if newest && next <= self.end => {
                self.next = next;
                true
            }
            _ => new <= old,
        }
    }

    /// Takes a block back, if it is the newest.
    fn give_back(&mut self, start: usize, bytes: usize) {
        if start + bytes == self.next {
            self.next = start;
        }
    }
}

#[cfg(target_arch = "wasm32")]
pub use arena::Arena;

/// The allocator; it exists in WebAssembly only.
#[cfg(not(target_arch = "wasm32"))]
#[derive(Debug)]
pub struct Arena;

#[cfg(target_arch = "wasm32")]
#[expect(unsafe_code, reason = "an allocator hands out raw memory")]
mod arena {
    use std::alloc::GlobalAlloc;
    use std::alloc::Layout;
    use std::cell::UnsafeCell;

    use super::ARENA_BYTES;
    use super::Bump;
    use super::GROWTH_PAGES_MIN;

    const PAGE_BYTES: usize = 65_536;

    #[repr(C, align(16))]
    struct Room(UnsafeCell<[u8; ARENA_BYTES]>);

    // SAFETY: a policy's instance has one thread; the world has no way to make another.
    unsafe impl Sync for Room {}

    static ROOM: Room = Room(UnsafeCell::new([0; ARENA_BYTES]));

    /// The allocator, installed by `export_policy!`.
    #[derive(Debug)]
    pub struct Arena(UnsafeCell<Bump>);

    // SAFETY: as for `Room`.
    unsafe impl Sync for Arena {}

    impl Arena {
        /// An arena of which nothing is used.
        #[must_use]
        #[allow(
            clippy::new_without_default,
            reason = "a static needs a const function"
        )]
        pub const fn new() -> Self {
            Self(UnsafeCell::new(Bump { next: 0, end: 0 }))
        }

        #[expect(
            clippy::mut_from_ref,
            reason = "one thread, and no call is made while it lives"
        )]
        fn bump(&self) -> &mut Bump {
            // SAFETY: there is one thread, and no reference outlives the call that took it.
            unsafe { &mut *self.0.get() }
        }
    }

    /// The static room first, then new pages; none when the host refuses them.
    fn more(first: bool, bytes: usize) -> Option<(usize, usize)> {
        if first && bytes <= ARENA_BYTES {
            let start = ROOM.0.get() as usize;
            return Some((start, start + ARENA_BYTES));
        }
        let pages = bytes.div_ceil(PAGE_BYTES).max(GROWTH_PAGES_MIN);
        let before = core::arch::wasm32::memory_grow(0, pages);
        let start = before.checked_mul(PAGE_BYTES)?;
        Some((start, start.checked_add(pages * PAGE_BYTES)?))
    }

    // SAFETY: blocks never overlap, for `next` only moves past what was handed out, back over the
    // newest block alone; and alignment is by `fit`.
    unsafe impl GlobalAlloc for Arena {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            let bump = self.bump();
            let first = bump.end == 0;
            let start = bump.take(layout.size(), layout.align(), |bytes| more(first, bytes));
            start.map_or(core::ptr::null_mut(), |start| start as *mut u8)
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            self.bump().give_back(block as usize, layout.size());
        }

        unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            if self.bump().resize(block as usize, layout.size(), size) {
                return block;
            }
            // SAFETY: the caller vouches for `layout`, and `size` is not zero.
            unsafe {
                let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
                if !new.is_null() {
                    core::ptr::copy_nonoverlapping(block, new, layout.size().min(size));
                }
                new
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none(_: usize) -> Option<(usize, usize)> {
        None
    }

    #[test]
    fn blocks_are_aligned_apart_and_inside_the_room() {
        let mut bump = Bump::default();
        let room = |_| Some((1_000, 1_100));
        assert_eq!(bump.take(3, 1, room), Some(1_000));
        assert_eq!(bump.take(8, 8, none), Some(1_008));
        assert_eq!(bump.take(84, 4, none), Some(1_016));
        assert_eq!(bump.take(1, 1, none), None);
        assert_eq!(bump.take(usize::MAX, 8, none), None);
    }

    #[test]
    fn only_the_newest_block_is_taken_back_or_lengthened() {
        let mut bump = Bump {
            next: 1_000,
            end: 1_100,
        };
        let a = bump.take(10, 1, none).unwrap();
        let b = bump.take(10, 1, none).unwrap();
        bump.give_back(a, 10);
        assert_eq!(bump.next, 1_020);
        assert!(!bump.resize(a, 10, 11));
        assert!(bump.resize(a, 10, 9));
        assert!(bump.resize(b, 10, 90));
        assert!(!bump.resize(b, 90, 91));
        bump.give_back(b, 90);
        assert_eq!(bump.next, b);
    }

    #[test]
    fn room_that_follows_is_joined_and_other_room_is_changed_to() {
        let mut bump = Bump {
            next: 1_090,
            end: 1_100,
        };
        assert_eq!(bump.take(20, 1, |_| Some((1_100, 1_200))), Some(1_090));
        assert_eq!(bump.take(100, 1, |_| Some((5_000, 5_200))), Some(5_000));
    }
}
