//! Inputs: what follows from a seed and a number, and from nothing else.

/// Changes of one input, at most.
const CHANGES: usize = 8;

/// Numbers at which lengths and counts tend to be wrong.
const EDGES: [u64; 12] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0xffff,
    0x10_0000,
    0x7fff_ffff,
    0xffff_ffff,
    u64::MAX,
];

/// xorshift64* (Vigna 2016): fast, and the same everywhere.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn new(seed: u64, number: u64) -> Self {
        // Neighbouring numbers are to have nothing to do with each other; never 0, from which nothing follows.
        let mut random = Self((seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1);
        random.next();
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Below `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        (self.next() >> 16) as usize % end
    }
}

/// The input with this number, of at most so many bytes: one of the corpus with some changes, or rarely nothing but
/// random bytes.
#[must_use]
pub fn input(corpus: &[Vec<u8>], longest: usize, seed: u64, number: u64) -> Vec<u8> {
    let mut random = Random::new(seed, number);
    let mut input = match corpus {
        [] => Vec::new(),
        some if random.below(16) > 0 => some[random.below(some.len())].clone(),
        _ => {
            let length = random.below(200);
            (0..length).map(|_| random.next() as u8).collect()
        }
    };
    for _ in 0..=random.below(CHANGES) {
        change(&mut input, corpus, &mut random);
        input.truncate(longest);
    }
    input
}

fn change(input: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) {
    let at = random.below(input.len() + 1);
    let length = random.below((input.len() - at).min(64) + 1);
    let range = at..at + length;
    match random.below(10) {
        0 | 1 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        2 => {
            if let Some(byte) = input.get_mut(at) {
                *byte = random.next() as u8;
            }
        }
        3 => number(input, at, random),
        4 => drop(input.drain(range)),
        5 => {
            let again = input[range].to_vec();
            insert(input, at, again);
        }
        6 => {
            let length = random.below(16);
            let some: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
            insert(input, at, some);
        }
        7 => input.truncate(at),
        // A part of another input, here or at the end.
        choice => {
            let Some(other) = corpus.get(random.below(corpus.len().max(1))) else {
                return;
            };
            let from = random.below(other.len() + 1);
            let length = random.below(other.len() - from + 1);
            let at = if choice == 8 { at } else { input.len() };
            insert(input, at, other[from..from + length].to_vec());
        }
    }
}

/// Puts a number of 1, 2, 4 or 8 bytes somewhere, in either order.
fn number(input: &mut [u8], at: usize, random: &mut Random) {
    let width = 1 << random.below(4);
    let number = EDGES[random.below(EDGES.len())];
    let bytes = match random.below(2) {
        0 => number.to_le_bytes()[..width].to_vec(),
        _ => number.to_be_bytes()[8 - width..].to_vec(),
    };
    if let Some(place) = input.get_mut(at..at + width) {
        place.copy_from_slice(&bytes);
    }
}

fn insert(input: &mut Vec<u8>, at: usize, some: Vec<u8>) {
    drop(input.splice(at..at, some));
}
