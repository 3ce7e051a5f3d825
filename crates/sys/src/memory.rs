//! The C library's allocator, for programs that hold much for long.

/// Has all threads allocate from one arena, which grows in steps of a MiB. With an arena for each thread, what one frees
/// the others cannot use, and arenas beside the first one ask the kernel for every few pages.
///
/// To be called before there are threads.
pub fn use_one_arena() {
    // SAFETY: mallopt sets two numbers of the allocator, under its own lock.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_TOP_PAD, 1 << 20);
    }
}

/// Gives unused memory back to the kernel, also from between what is used. Takes milliseconds for a hundred MiB, in
/// which other threads may have to wait for memory.
pub fn give_back() {
    // SAFETY: malloc_trim releases only what nobody has allocated, under the allocator's own lock.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn memory_is_given_back() {
        let resident = || -> u64 {
            let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
            pages.split(' ').nth(1).unwrap().parse().unwrap()
        };
        super::use_one_arena();
        let mut all: Vec<Box<[u8; 1024]>> = (0..40_000).map(|_| Box::new([1; 1024])).collect();
        // Something at the end stays, so that the rest cannot go by itself.
        all.drain(..39_990);
        let before = resident();
        super::give_back();
        assert!(resident() + 5000 < before, "{} of {before} pages", resident());
    }
}
