//! A tar archive of any bytes is read or refused; it neither panics nor takes memory for what it
//! only claims. Checksums are put right first, or no mutation would ever get past them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sg::volume::Archive;
use std::io::{self, Read};

fuzz_target!(|data: &[u8]| {
    let mut bytes = data.to_vec();
    for block in bytes.chunks_exact_mut(512) {
        if block[257..262] == *b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
            block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        }
    }
    let mut archive = Archive::new(bytes.as_slice());
    let mut end = 0;
    while let Ok(Some(entry)) = archive.next_entry() {
        assert!(archive.start() >= end);
        end = archive.end_of_entry();
        let head = archive.head().len() as u64;
        let Ok(read) = io::copy(&mut archive.content().take(1 << 20), &mut io::sink()) else {
            break;
        };
        assert!(head + read <= entry.stored().max(1 << 20));
    }
});
