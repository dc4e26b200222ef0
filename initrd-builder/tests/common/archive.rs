//! A reader of newc archives, written from the format's description and not from the writer's code.

/// One entry of an archive, as read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    pub name: String,
    pub ino: u32,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub nlink: u32,
    pub mtime: u32,
    pub rdev: (u32, u32),
    pub data: Vec<u8>,
}

/// Reads a whole archive.
pub fn read_cpio(bytes: &[u8]) -> Vec<Read> {
    let mut entries = Vec::new();
    let mut at = 0;
    loop {
        assert_eq!(&bytes[at..at + 6], b"070701", "magic at {at}");
        let header = at;
        let field = |n: usize| field(bytes, header, n);
        let (size, name_size) = (field(6) as usize, field(11) as usize);
        let name_at = at + 110;
        assert_eq!(bytes[name_at + name_size - 1], 0, "name ends in NUL");
        let name = String::from_utf8(bytes[name_at..name_at + name_size - 1].to_vec()).unwrap();
        let data_at = (name_at + name_size).next_multiple_of(4);
        at = (data_at + size).next_multiple_of(4);
        if name == "TRAILER!!!" {
            assert!(bytes[at..].iter().all(|b| *b == 0), "only padding follows");
            assert_eq!(bytes.len() % 512, 0);
            return entries;
        }
        entries.push(Read {
            name,
            ino: field(0),
            mode: field(1),
            uid: field(2),
            gid: field(3),
            nlink: field(4),
            mtime: field(5),
            rdev: (field(9), field(10)),
            data: bytes[data_at..data_at + size].to_vec(),
        });
    }
}

/// The n-th of a header's hexadecimal fields.
fn field(bytes: &[u8], header: usize, n: usize) -> u32 {
    let from = header + 6 + 8 * n;
    let text = std::str::from_utf8(&bytes[from..from + 8]).unwrap();
    u32::from_str_radix(text, 16).unwrap()
}
