//! Damage to a file: whatever happens to its bytes, what comes out is an error or the content as it
//! was, never other content and never less of it.

use super::{CONTENT, file};
use crate::support::scratch;
use sg::stream::contents::contents_of;
use std::io::{Cursor, Read};

const OURS: [&str; 2] = ["gzip:5", "zstd:3"];

fn read(bytes: Vec<u8>) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    contents_of(Cursor::new(bytes), 2)
        .map_err(std::io::Error::from)?
        .read_to_end(&mut content)?;
    Ok(content)
}

fn bytes(compression: &str) -> Vec<u8> {
    let directory = scratch();
    std::fs::read(file(directory.path(), compression)).unwrap()
}

#[test]
fn a_flipped_bit_never_changes_the_content() {
    for compression in OURS {
        let sound = bytes(compression);
        let mut dice = fastrand::Rng::with_seed(1);
        let mut found = 0;
        for _ in 0..150 {
            let mut bytes = sound.clone();
            let at = dice.usize(..bytes.len());
            bytes[at] ^= 1 << dice.u8(..8);
            match read(bytes) {
                Ok(read) => assert!(read == *CONTENT, "{compression}, byte {at}"),
                Err(_) => found += 1,
            }
        }
        // The rest hit the index, which plain reading does not need.
        assert!(found > 75, "{compression}: {found}");
    }
}

#[test]
fn a_file_that_was_cut_off_is_never_whole() {
    // Of fewer bytes than a magic number has, nobody can say what they were.
    for compression in OURS {
        let sound = bytes(compression);
        let mut dice = fastrand::Rng::with_seed(2);
        let ends = (4..40).chain((0..100).map(|_| dice.usize(1..sound.len())));
        // Just before the footer, too.
        for length in ends.chain(sound.len() - 90..sound.len()) {
            assert!(
                read(sound[..length].to_vec()).is_err(),
                "{compression} cut to {length} of {}",
                sound.len()
            );
        }
    }
}

#[test]
fn what_was_appended_is_found() {
    for compression in OURS {
        let sound = bytes(compression);
        for tail in [&b"x"[..], &[0; 512], &sound] {
            let bytes = [&sound, tail].concat();
            assert!(read(bytes).is_err(), "{compression}, {} bytes", tail.len());
        }
    }
}

#[test]
fn a_missing_member_is_found() {
    let sound = bytes("gzip:5");
    let members: Vec<_> =
        sg::stream::member::Members::new(Cursor::new(&sound), sg::stream::Codec::Gzip, 0)
            .map(|member| member.unwrap())
            .collect();
    for without in 0..members.len() {
        let mut bytes = Vec::new();
        for (number, member) in members.iter().enumerate() {
            if number != without {
                bytes.extend_from_slice(&member.bytes);
            }
        }
        assert!(read(bytes).is_err(), "without member {without}");
    }
}
