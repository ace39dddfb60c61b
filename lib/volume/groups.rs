//! The index of an archive, read as extracting needs it: what is wanted of the entries that begin in the same
//! member, one member after the other.

use super::entry::BLOCK;
use super::select::Select;
use crate::error::{Error, Kind, Result};
use crate::stream::{Footer, Item, Reader, Record};

/// More records than this never begin in one member.
const RECORDS_MAX: usize = 1 << 16;
/// With more wanted records than this the index is read again rather than kept: paths may be long.
const KEPT_MAX: usize = 1 << 12;
/// The two blocks that end an archive.
const END: u64 = 2 * BLOCK as u64;

/// Wanted records that begin in the same member.
#[derive(Clone)]
pub(super) struct Group {
    pub(super) records: Vec<Record>,
    /// Where the member of the next records begins.
    pub(super) end: u64,
}

/// All groups of an archive.
pub(super) struct Groups {
    footer: Footer,
    /// Those with something wanted, if that is little: then the index is not read again.
    wanted: Option<Vec<Group>>,
}

impl Groups {
    /// Reads all of the index, so that no damage is met half-way, and shows `select` what there is; `None` if
    /// the archive has no index.
    ///
    /// # Errors
    /// It is lost or damaged.
    pub(super) fn read(reader: &Reader, select: &Select) -> Result<Option<Self>> {
        let Some(footer) = reader.footer()? else {
            return Ok(None);
        };
        let mut wanted = (!select.is_all()).then(Vec::new);
        let mut held = 0;
        each(reader, &footer, select, |group| {
            held += group.records.len();
            if held > KEPT_MAX {
                wanted = None;
            }
            if let Some(wanted) = &mut wanted {
                wanted.push(group);
            }
            Ok(())
        })?;
        Ok(Some(Self { footer, wanted }))
    }

    /// Length of the archive's content in bytes.
    pub(super) fn content_bytes(&self) -> u64 {
        self.footer.content_bytes
    }

    /// Hands out the groups with something wanted.
    pub(super) fn give_out(
        &self,
        reader: &Reader,
        select: &Select,
        take: impl FnMut(Group) -> Result<()>,
    ) -> Result<()> {
        match &self.wanted {
            Some(wanted) => wanted.iter().cloned().try_for_each(take),
            None => each(reader, &self.footer, select, take),
        }
    }
}

/// The records of an archive that has an index.
pub(super) fn records(reader: &Reader) -> Result<impl Iterator<Item = Result<Record>> + use<>> {
    reader
        .index()?
        .ok_or_else(|| Error::new(Kind::Failed, "the archive has no index"))
}

/// Hands out each group with something wanted, and makes sure that no byte of the content is missing in the
/// index.
fn each(
    reader: &Reader,
    footer: &Footer,
    select: &Select,
    mut take: impl FnMut(Group) -> Result<()>,
) -> Result<()> {
    let mut hand_out = |records: &mut Vec<Record>, end| {
        if records.is_empty() {
            return Ok(());
        }
        let records = std::mem::take(records);
        take(Group { records, end })
    };
    let mut wanted = Vec::new();
    let (mut member, mut begun) = (0, 0);
    let mut covered = 0u64;
    for record in records(reader)? {
        let record = record?;
        if record.place.member != member {
            if record.place.member < member || record.place.member > footer.index_offset {
                return Err(Error::damaged("the index is out of order"));
            }
            hand_out(&mut wanted, record.place.member)?;
            (member, begun) = (record.place.member, 0);
        }
        begun += 1;
        if begun > RECORDS_MAX {
            return Err(Error::damaged(
                "the index has too many entries in one member",
            ));
        }
        covered = covered.saturating_add(record.place.length);
        if matches!(&record.item, Item::Entry { path, .. } if select.wants(path)) {
            wanted.push(record);
        }
    }
    if covered.saturating_add(END) != footer.content_bytes {
        return Err(Error::damaged("the index does not list all of the archive")
            .with_hint("sg-verify tells more."));
    }
    hand_out(&mut wanted, footer.index_offset)
}
