//! The index: which artifact belongs to which module under which engine.
//!
//! A text file of records of equal width, sorted, so that the same set of artifacts gives the same
//! bytes. Every record carries its own check, and its place follows from its number alone: a
//! flipped bit damages exactly the record it lies in, be it in a newline. The check guards against
//! damage, not against malice; against that the file's owner and mode are checked when it is read
//! (`Store::index`).

use std::collections::BTreeMap;
use std::fmt;

use crate::sha256::Sha256;

/// Opens every record and names the layout.
const TAG: &[u8] = b"aot1 ";
/// Digits of the size. Ten hold more than [`crate::MAX_ARTIFACT_BYTES`] ever will.
const SIZE_DIGITS: usize = 10;
/// Bytes of a record that its check covers, the space before the check included.
const CHECKED: usize = TAG.len() + 3 * (Sha256::HEX_LEN + 1) + SIZE_DIGITS + 1;

/// Bytes of one record, its newline included.
pub const RECORD_BYTES: usize = CHECKED + Sha256::HEX_LEN + 1;

/// One artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The sha256 of the `.wasm` file that was compiled.
    pub module: Sha256,
    /// The sha256 of the artifact, which is also its file name.
    pub artifact: Sha256,
    /// The fingerprint of the engine it was compiled for.
    pub engine: Sha256,
    /// The artifact's size in bytes.
    pub bytes: u64,
}

/// A record that cannot be used. The others can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// The record's number, from 1: it begins at byte `(number - 1) * RECORD_BYTES`.
    pub number: usize,
    /// What is wrong with it.
    pub damage: Damage,
}

/// What is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The check in the record is not the sha256 of what it covers.
    Check {
        /// The check as it stands in the record.
        expected: String,
        /// The sha256 of the bytes that are there.
        found: Sha256,
    },
    /// The record does not end with a newline but with this byte.
    Newline(u8),
    /// The check is right, and yet the fields are not those of this layout.
    Layout,
    /// The file ends this many bytes into the record.
    Torn(usize),
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {}: ", self.number)?;
        match &self.damage {
            Damage::Check { expected, found } => {
                write!(
                    f,
                    "damaged: expected sha256 {expected}, found sha256 {found}"
                )
            }
            Damage::Newline(found) => {
                write!(
                    f,
                    "damaged: expected byte 0x0a at its end, found {found:#04x}"
                )
            }
            Damage::Layout => {
                write!(
                    f,
                    "written by another version of arje: expected the tag \"aot1\""
                )
            }
            Damage::Torn(bytes) => write!(
                f,
                "torn: expected {RECORD_BYTES} bytes, found {bytes} at the end of the file"
            ),
        }
    }
}

/// The records of one store, and those that were damaged when it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    records: BTreeMap<(Sha256, Sha256), Record>,
    damaged: Vec<Damaged>,
}

impl Index {
    /// Reads an index file. Damage never fails the whole: see [`damaged`](Self::damaged).
    #[must_use]
    pub fn parse(file: &[u8]) -> Self {
        let mut index = Self::default();
        for (position, record) in file.chunks(RECORD_BYTES).enumerate() {
            match parse_record(record) {
                Ok(record) => {
                    index.insert(record);
                }
                Err(damage) => index.damaged.push(Damaged {
                    number: position + 1,
                    damage,
                }),
            }
        }
        index
    }

    /// The bytes of the index file. Damaged records are not part of it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut file = Vec::with_capacity(self.records.len() * RECORD_BYTES);
        for record in self.records.values() {
            let checked = written(record);
            let check = Sha256::of(checked.as_bytes());
            file.extend_from_slice(format!("{checked}{check}\n").as_bytes());
        }
        file
    }

    /// The artifact of `module` for `engine`.
    #[must_use]
    pub fn get(&self, module: Sha256, engine: Sha256) -> Option<&Record> {
        self.records.get(&(module, engine))
    }

    /// Adds a record, in place of the one for the same module and engine, which is returned.
    pub fn insert(&mut self, record: Record) -> Option<Record> {
        self.records.insert((record.module, record.engine), record)
    }

    /// The usable records, in the order of the file.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.values()
    }

    /// How many usable records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is no usable record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The records that could not be used.
    #[must_use]
    pub fn damaged(&self) -> &[Damaged] {
        &self.damaged
    }

    /// The engines that an artifact of `module` exists for.
    pub fn engines(&self, module: Sha256) -> impl Iterator<Item = Sha256> {
        self.records
            .range((module, Sha256::from([0; 32]))..=(module, Sha256::from([0xff; 32])))
            .map(|((_, engine), _)| *engine)
    }
}

/// The fields of a record, as they are in the file.
fn written(record: &Record) -> String {
    format!(
        "aot1 {} {} {} {:0SIZE_DIGITS$} ",
        record.module, record.artifact, record.engine, record.bytes
    )
}

fn parse_record(record: &[u8]) -> Result<Record, Damage> {
    let [checked @ .., newline] = record else {
        return Err(Damage::Torn(0));
    };
    if record.len() != RECORD_BYTES {
        return Err(Damage::Torn(record.len()));
    }
    let (checked, check) = checked.split_at(CHECKED);
    let found = Sha256::of(checked);
    // As text: the value alone would let a flipped bit turn a digit into its upper case.
    if found.to_string().as_bytes() != check {
        return Err(Damage::Check {
            expected: check.escape_ascii().to_string(),
            found,
        });
    }
    if *newline != b'\n' {
        return Err(Damage::Newline(*newline));
    }
    parse_fields(checked).ok_or(Damage::Layout)
}

fn parse_fields(checked: &[u8]) -> Option<Record> {
    let text = str::from_utf8(checked.strip_prefix(TAG)?).ok()?;
    let mut fields = text.trim_end().split(' ');
    let record = Record {
        module: fields.next()?.parse().ok()?,
        artifact: fields.next()?.parse().ok()?,
        engine: fields.next()?.parse().ok()?,
        bytes: fields.next()?.parse().ok()?,
    };
    // Only as it is written: a number may have a sign, or a digit more in place of the space, and would not come out of
    // this program as long as all others are.
    (written(&record).as_bytes() == checked).then_some(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(count: u8) -> Index {
        let mut index = Index::default();
        for number in 0..count {
            index.insert(Record {
                module: Sha256::of(&[number]),
                artifact: Sha256::of(&[number, 1]),
                engine: Sha256::of(b"engine"),
                bytes: u64::from(number) * 1_000_000,
            });
        }
        index
    }

    #[test]
    fn parse_reads_what_encode_wrote() {
        for count in [0, 1, 2, 100] {
            let index = sample(count);
            let file = index.encode();
            assert_eq!(file.len(), usize::from(count) * RECORD_BYTES);
            assert_eq!(Index::parse(&file), index);
        }
    }

    #[test]
    fn a_record_that_is_not_as_it_is_written_is_of_another_version() {
        let file = sample(1).encode();
        let at = CHECKED - SIZE_DIGITS - 1;
        for size in ["20000001024", "+000001024 ", "1024       ", "000000102  "] {
            let mut other = file.clone();
            other[at..CHECKED].copy_from_slice(size.as_bytes());
            let check = Sha256::of(&other[..CHECKED]).to_string();
            other[CHECKED..][..Sha256::HEX_LEN].copy_from_slice(check.as_bytes());
            let index = Index::parse(&other);
            assert!(index.is_empty(), "{size:?}");
            assert_eq!(index.damaged()[0].damage, Damage::Layout, "{size:?}");
        }
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let mut index = Index::default();
        index.insert(Record {
            module: Sha256::from([0x11; 32]),
            artifact: Sha256::from([0x22; 32]),
            engine: Sha256::from([0x33; 32]),
            bytes: 98_304,
        });
        let checked = format!(
            "aot1 {} {} {} 0000098304 ",
            "11".repeat(32),
            "22".repeat(32),
            "33".repeat(32)
        );
        let expected = format!("{checked}{}\n", Sha256::of(checked.as_bytes()));
        assert_eq!(String::from_utf8(index.encode()).unwrap(), expected);
        assert_eq!(RECORD_BYTES, 276);
    }

    #[test]
    fn order_of_insertion_does_not_show() {
        let forwards = sample(20);
        let mut backwards = Index::default();
        let mut records: Vec<_> = forwards.records().copied().collect();
        records.reverse();
        for record in records {
            backwards.insert(record);
        }
        assert_eq!(backwards.encode(), forwards.encode());
    }

    #[test]
    fn any_flipped_bit_damages_its_record_and_no_other() {
        let whole = sample(3);
        let file = whole.encode();
        for bit in 0..file.len() * 8 {
            let mut flipped = file.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let index = Index::parse(&flipped);
            let hit = bit / 8 / RECORD_BYTES;
            let numbers: Vec<_> = index.damaged().iter().map(|d| d.number).collect();
            assert_eq!(numbers, [hit + 1], "bit {bit}");
            let rest: Vec<_> = index.records().collect();
            let mut expected: Vec<_> = whole.records().collect();
            expected.remove(hit);
            assert_eq!(rest, expected, "bit {bit}");
        }
    }

    #[test]
    fn a_truncated_file_loses_its_last_record_only() {
        let file = sample(3).encode();
        for length in 2 * RECORD_BYTES + 1..3 * RECORD_BYTES {
            let index = Index::parse(&file[..length]);
            assert_eq!(index.len(), 2);
            assert_eq!(
                index.damaged(),
                [Damaged {
                    number: 3,
                    damage: Damage::Torn(length - 2 * RECORD_BYTES)
                }]
            );
        }
    }

    #[test]
    fn a_record_of_another_layout_is_named() {
        let mut checked = sample(1).encode()[..CHECKED].to_vec();
        checked[3] = b'2';
        let check = Sha256::of(&checked);
        checked.extend_from_slice(format!("{check}\n").as_bytes());
        let index = Index::parse(&checked);
        assert_eq!(index.damaged()[0].damage, Damage::Layout);
        assert!(index.damaged()[0].to_string().contains("another version"));
    }

    #[test]
    fn engines_are_those_of_the_module() {
        let mut index = sample(2);
        let record = *index.records().next().unwrap();
        let other = Record {
            engine: Sha256::of(b"other"),
            ..record
        };
        index.insert(other);
        let mut expected = [record.engine, other.engine];
        expected.sort();
        assert!(index.engines(record.module).eq(expected));
    }
}
