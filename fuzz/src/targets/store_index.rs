//! The index of the store.

use arje_store::{Index, RECORD_BYTES, Record, Sha256};

/// Bytes of a record that its check covers, as docs/store.md has it: all but 64 digits and a newline.
const CHECKED: usize = RECORD_BYTES - 65;

/// The bytes as they are, and the same with checks that are right, so that the fields are reached.
pub fn check(input: &[u8]) {
    read(input);
    let mut resealed = input.to_vec();
    for record in resealed.chunks_exact_mut(RECORD_BYTES) {
        let check = Sha256::of(&record[..CHECKED]).to_string();
        record[CHECKED..][..64].copy_from_slice(check.as_bytes());
        record[RECORD_BYTES - 1] = b'\n';
    }
    read(&resealed);
}

fn read(file: &[u8]) {
    let memory = 16_384 + 16 * file.len();
    let index = crate::within(memory, || Index::parse(file));
    let whole = file.len() / RECORD_BYTES;
    assert!(index.len() <= whole, "a record of nothing");
    assert!(index.damaged().len() <= whole + 1);
    for damaged in index.damaged() {
        assert!(!damaged.to_string().is_empty());
    }
    let again = Index::parse(&index.encode());
    assert!(again.damaged().is_empty());
    assert!(again.records().eq(index.records()));
    for record in index.records() {
        assert_eq!(index.get(record.module, record.engine), Some(record));
    }
}

/// Indexes of none to three artifacts.
pub fn seeds() -> Vec<Vec<u8>> {
    let with = |count: u8| {
        let mut index = Index::default();
        for number in 0..count {
            index.insert(Record {
                module: Sha256::of(&[number]),
                artifact: Sha256::of(&[number, 1]),
                engine: Sha256::of(&[2]),
                bytes: 1 << (10 * number),
            });
        }
        index.encode()
    };
    (0..4).map(with).collect()
}
