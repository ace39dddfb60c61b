//! A footer of any bytes is read or refused.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sg::stream::Footer;

fuzz_target!(|data: &[u8]| {
    let _ = Footer::decode(data);
});
