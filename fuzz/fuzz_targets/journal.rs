#![no_main]

use discovery::journal::entry::{Entry, put_delete, put_set, read};

// Whatever the disk has: it is read to the end, and what was found can be written and found again.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (mut again, mut entries) = (Vec::new(), 0);
    let found = read(bytes, |entry| {
        match entry {
            Entry::Set(cluster, record) => put_set(&mut again, cluster, &record),
            Entry::Delete(cluster, affiliate) => put_delete(&mut again, cluster, affiliate),
            Entry::End(_) => {}
        }
        entries += 1;
    });
    assert!(found.is_ok_and(|found| found.entries == entries));
    let found = read(&*again, |_| {});
    assert!(found.is_ok_and(|found| found.entries == entries && found.damaged == 0 && found.cut == 0));
});
