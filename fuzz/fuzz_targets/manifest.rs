//! A manifest of any bytes is read or refused, and what is read can be written.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sg::manifest::Manifest;

fuzz_target!(|data: &[u8]| {
    if let Ok(manifest) = Manifest::decode(data) {
        let _ = manifest.encode();
    }
});
