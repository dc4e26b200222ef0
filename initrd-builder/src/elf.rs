//! What the builder needs to know about a program: its interpreter and the libraries it names. It reads
//! the program headers, so stripped files without sections work too, and it executes nothing.

use object::elf::{
    DT_NEEDED, DT_RPATH, DT_RUNPATH, DT_STRSZ, DT_STRTAB, EM_X86_64, FileHeader64, PT_DYNAMIC,
    PT_LOAD,
};
use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _};
use object::{LittleEndian, read::StringTable};

type Header = FileHeader64<LittleEndian>;
const ENDIAN: LittleEndian = LittleEndian;

/// `DT_NEEDED` entries of one object; the largest programs have about a hundred.
const MAX_NEEDED: usize = 1024;

/// A program or library, as its loader sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ElfInfo {
    /// `PT_INTERP`: the dynamic loader. `None` for static programs and most libraries.
    pub interpreter: Option<String>,
    /// `DT_NEEDED` names, in order.
    pub needed: Vec<String>,
    /// `DT_RPATH` folders, unexpanded; ignored by the loader when there is a `DT_RUNPATH`.
    pub rpath: Vec<String>,
    /// `DT_RUNPATH` folders, unexpanded; `None` when the entry is absent.
    pub runpath: Option<Vec<String>>,
}

/// Why a file is not an x86-64 ELF object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ElfProblem {
    /// Something else entirely.
    NotElf,
    /// An ELF object for another machine or word size; a loader skips it and looks on.
    OtherMachine,
    /// An x86-64 ELF object with broken tables, and what is broken.
    Malformed(String),
}

impl std::fmt::Display for ElfProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotElf => f.write_str("not an ELF file"),
            Self::OtherMachine => f.write_str("an ELF file for another machine than x86-64"),
            Self::Malformed(what) => write!(f, "a broken ELF file: {what}"),
        }
    }
}

/// The interpreter of a `#!` script, if `data` is one. The kernel reads the first 256 bytes
/// (`BINPRM_BUF_SIZE`); so does this.
#[must_use]
pub fn script_interpreter(data: &[u8]) -> Option<String> {
    let head = &data[..data.len().min(256)];
    let line = head.strip_prefix(b"#!")?.split(|b| *b == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?;
    line.split_ascii_whitespace().next().map(str::to_owned)
}

/// Reads an x86-64 ELF program or library.
///
/// # Errors
/// [`ElfProblem`]; nothing is guessed from a file that does not parse.
pub fn parse(data: &[u8]) -> Result<ElfInfo, ElfProblem> {
    if !data.starts_with(b"\x7fELF") {
        return Err(ElfProblem::NotElf);
    }
    // Class 2: 64 bit. Data 1: little endian.
    if data.get(4) != Some(&2) || data.get(5) != Some(&1) {
        return Err(ElfProblem::OtherMachine);
    }
    let header = Header::parse(data).map_err(malformed)?;
    if header.e_machine(ENDIAN) != EM_X86_64 {
        return Err(ElfProblem::OtherMachine);
    }
    let segments = header.program_headers(ENDIAN, data).map_err(malformed)?;
    let mut info = ElfInfo::default();
    for segment in segments {
        if let Some(path) = segment.interpreter(ENDIAN, data).map_err(malformed)? {
            info.interpreter = Some(text(path)?);
        }
        if segment.p_type(ENDIAN) == PT_DYNAMIC {
            read_dynamic(data, segments, segment, &mut info)?;
        }
    }
    Ok(info)
}

type Segment = <Header as object::read::elf::FileHeader>::ProgramHeader;

fn read_dynamic(
    data: &[u8],
    segments: &[Segment],
    segment: &Segment,
    info: &mut ElfInfo,
) -> Result<(), ElfProblem> {
    let Some(entries) = segment.dynamic(ENDIAN, data).map_err(malformed)? else {
        return Ok(());
    };
    let entries: Vec<(i64, u64)> = entries
        .iter()
        .map(|entry| (entry.tag(ENDIAN), entry.val(ENDIAN)))
        .take_while(|(tag, _)| *tag != 0)
        .collect();
    let value = |wanted| entries.iter().find(|(tag, _)| *tag == wanted).map(|e| e.1);
    let (Some(address), Some(size)) = (value(DT_STRTAB), value(DT_STRSZ)) else {
        return Ok(()); // a static-pie program has a dynamic segment but may name no strings
    };
    let table = load(data, segments, address, size)?;
    let strings = StringTable::new(table, 0, table.len() as u64);
    let string = |offset: u64| {
        let offset = u32::try_from(offset).map_err(|_| broken("string offset over 4 GiB"))?;
        let bytes = strings
            .get(offset)
            .map_err(|()| broken("string outside its table"))?;
        text(bytes)
    };
    for (tag, offset) in &entries {
        match *tag {
            DT_NEEDED => info.needed.push(string(*offset)?),
            DT_RPATH => info.rpath = split_path(&string(*offset)?),
            DT_RUNPATH => info.runpath = Some(split_path(&string(*offset)?)),
            _ => {}
        }
    }
    if info.needed.len() > MAX_NEEDED {
        return Err(broken("more than 1024 DT_NEEDED entries"));
    }
    Ok(())
}

/// The bytes that a loader would see at `address`.
fn load<'a>(
    data: &'a [u8],
    segments: &[Segment],
    address: u64,
    size: u64,
) -> Result<&'a [u8], ElfProblem> {
    for segment in segments.iter().filter(|s| s.p_type(ENDIAN) == PT_LOAD) {
        let found = segment
            .data_range(ENDIAN, data, address, size)
            .map_err(|()| broken("segment outside the file"))?;
        if let Some(bytes) = found {
            return Ok(bytes);
        }
    }
    Err(broken("the string table is in no loaded segment"))
}

fn split_path(list: &str) -> Vec<String> {
    list.split(':')
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

fn text(bytes: &[u8]) -> Result<String, ElfProblem> {
    String::from_utf8(bytes.to_vec()).map_err(|_| broken("a name that is not UTF-8"))
}

fn malformed(error: object::read::Error) -> ElfProblem {
    ElfProblem::Malformed(error.to_string())
}

fn broken(what: &str) -> ElfProblem {
    ElfProblem::Malformed(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_files_are_told_apart() {
        let mut wrong_class = b"\x7fELF\x01\x01".to_vec();
        wrong_class.resize(64, 0);
        let mut wrong_machine = b"\x7fELF\x02\x01\x01".to_vec();
        wrong_machine.resize(64, 0);
        wrong_machine[18] = 183; // EM_AARCH64
        for (data, problem) in [
            (&b""[..], ElfProblem::NotElf),
            (b"#!/bin/sh\n", ElfProblem::NotElf),
            (&wrong_class, ElfProblem::OtherMachine),
            (&wrong_machine, ElfProblem::OtherMachine),
        ] {
            assert_eq!(parse(data), Err(problem));
        }
        let truncated = b"\x7fELF\x02\x01\x01";
        assert!(matches!(parse(truncated), Err(ElfProblem::Malformed(_))));
    }

    #[test]
    fn scripts_name_their_interpreter() {
        for (data, wanted) in [
            (&b"#!/bin/sh\necho"[..], Some("/bin/sh")),
            (b"#! /usr/bin/env python3\n", Some("/usr/bin/env")),
            (b"#!/bin/sh", Some("/bin/sh")),
            (b"#!\n", None),
            (b"echo", None),
            (b"", None),
        ] {
            assert_eq!(script_interpreter(data).as_deref(), wanted);
        }
    }
}
