//! The records of a PAX header of any bytes are split or refused, and what is split is all there.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(records) = sg::volume::pax::records(data) {
        let read: usize = records.iter().map(|(key, value)| key.len() + value.len()).sum();
        assert!(read <= data.len());
    }
});
