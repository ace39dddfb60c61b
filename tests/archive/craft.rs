//! Archives made byte by byte, as no tool would.

/// One entry: a header of ustar, and content.
pub(super) struct Craft {
    pub(super) header: [u8; 512],
    pub(super) content: Vec<u8>,
}

impl Craft {
    /// A file, or whatever `kind` says.
    pub(super) fn new(name: &[u8], kind: u8, content: &[u8]) -> Self {
        let mut header = [0; 512];
        header[..name.len()].copy_from_slice(name);
        header[100..107].copy_from_slice(b"0000666");
        header[108..115].copy_from_slice(b"0000000");
        header[116..123].copy_from_slice(b"0000000");
        header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        header[136..147].copy_from_slice(b"14000000000");
        header[156] = kind;
        header[257..265].copy_from_slice(b"ustar\x0000");
        Self {
            header,
            content: content.to_vec(),
        }
    }

    pub(super) fn file(name: &str, content: &str) -> Self {
        Self::new(name.as_bytes(), b'0', content.as_bytes())
    }

    pub(super) fn directory(name: &str) -> Self {
        Self::new(name.as_bytes(), b'5', b"")
    }

    /// A symbolic or hard link.
    pub(super) fn link(name: &str, kind: u8, target: &str) -> Self {
        let mut this = Self::new(name.as_bytes(), kind, b"");
        this.header[157..157 + target.len()].copy_from_slice(target.as_bytes());
        this
    }

    /// A PAX header with these bytes.
    pub(super) fn pax(content: &[u8]) -> Self {
        Self::new(b"pax", b'x', content)
    }

    /// The size that the header claims.
    pub(super) fn claims(mut self, size: &[u8; 12]) -> Self {
        self.header[124..136].copy_from_slice(size);
        self
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.header.to_vec();
        bytes[148..156].fill(b' ');
        let sum: u32 = bytes.iter().map(|&byte| u32::from(byte)).sum();
        bytes[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        bytes.extend_from_slice(&self.content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }
}

/// An archive of these entries.
pub(super) fn archive(entries: &[Craft]) -> Vec<u8> {
    let mut bytes: Vec<u8> = entries.iter().flat_map(Craft::bytes).collect();
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// One PAX record.
pub(super) fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let body = key.len() + value.len() + 3;
    let mut length = body + 1;
    while length != body + length.to_string().len() {
        length = body + length.to_string().len();
    }
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}
