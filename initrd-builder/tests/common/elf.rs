//! A writer of small ELF files: what a dynamic loader reads of them, and nothing else.

/// What a small ELF file says of itself.
#[derive(Debug, Default, Clone, Copy)]
pub struct Elf<'a> {
    pub interpreter: Option<&'a str>,
    pub needed: &'a [&'a str],
    pub rpath: Option<&'a str>,
    pub runpath: Option<&'a str>,
    /// 0 means x86-64.
    pub machine: u16,
}

/// Writes an ELF64 file with one loaded segment over everything, and what a loader reads.
pub fn elf(what: &Elf<'_>) -> Vec<u8> {
    const HEADER: usize = 64;
    const SEGMENT: usize = 56;
    const BASE: u64 = 0x40_0000;
    let mut strings = vec![0u8];
    let mut string = |text: &str| {
        let at = strings.len() as u64;
        strings.extend_from_slice(text.as_bytes());
        strings.push(0);
        at
    };
    let mut dynamic: Vec<(u64, u64)> = what.needed.iter().map(|name| (1, string(name))).collect();
    dynamic.extend(what.rpath.map(|path| (15, string(path))));
    dynamic.extend(what.runpath.map(|path| (29, string(path))));
    let count = 2 + usize::from(what.interpreter.is_some());
    let strings_at = HEADER + count * SEGMENT;
    let dynamic_at = (strings_at + strings.len()).next_multiple_of(8);
    dynamic.push((5, BASE + strings_at as u64));
    dynamic.push((10, strings.len() as u64));
    dynamic.push((0, 0));
    let interpreter_at = dynamic_at + dynamic.len() * 16;
    let interpreter = what.interpreter.map(|path| format!("{path}\0"));
    let end = interpreter_at + interpreter.as_ref().map_or(0, String::len);

    let mut out = b"\x7fELF\x02\x01\x01".to_vec();
    out.resize(16, 0);
    let machine = if what.machine == 0 { 62 } else { what.machine };
    out.extend(3u16.to_le_bytes()); // ET_DYN
    out.extend(machine.to_le_bytes());
    out.extend(1u32.to_le_bytes());
    out.extend([0; 8]); // entry
    out.extend((HEADER as u64).to_le_bytes());
    out.extend([0; 8]); // no sections
    out.extend([0; 4]);
    for half in [HEADER, SEGMENT, count, 64, 0, 0] {
        out.extend((half as u16).to_le_bytes());
    }
    let mut segment = |kind: u32, at: usize, size: usize| {
        out.extend(kind.to_le_bytes());
        out.extend(4u32.to_le_bytes());
        for value in [
            at as u64,
            BASE + at as u64,
            BASE + at as u64,
            size as u64,
            size as u64,
            8,
        ] {
            out.extend(value.to_le_bytes());
        }
    };
    segment(1, 0, end);
    segment(2, dynamic_at, dynamic.len() * 16);
    if interpreter.is_some() {
        segment(3, interpreter_at, end - interpreter_at);
    }
    out.extend(&strings);
    out.resize(dynamic_at, 0);
    for (tag, value) in dynamic {
        out.extend(tag.to_le_bytes());
        out.extend(value.to_le_bytes());
    }
    out.extend(interpreter.unwrap_or_default().bytes());
    out
}
