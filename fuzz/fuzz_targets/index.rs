//! An index of any bytes is read or refused.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sg::stream::index::IndexReader;

fuzz_target!(|data: &[u8]| {
    for record in IndexReader::new(data) {
        if record.is_err() {
            break;
        }
    }
});
