//! A file of any bytes is split into members and decompressed, or refused.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sg::stream::member::Members;
use sg::stream::reader::Layout;
use sg::stream::{Codec, Decompressor, MEMBER_MAX};

fuzz_target!(|data: &[u8]| {
    let codec = match Layout::detect(data) {
        Layout::Members(codec) | Layout::Foreign(codec) => codec,
    };
    let Ok(mut decompressor) = Decompressor::new() else {
        return;
    };
    for codec in [codec, Codec::Gzip, Codec::Zstd] {
        for member in Members::new(data, codec, 0) {
            let Ok(member) = member else { break };
            let _ = member.role();
            let _ = member.content_bytes();
            if let Ok(content) = decompressor.content(&member) {
                assert!(content.len() <= MEMBER_MAX);
            }
        }
    }
});
