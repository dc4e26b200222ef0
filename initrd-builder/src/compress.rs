//! Compression of the packed image, with bytes that depend on the input alone.

use std::io::Write as _;

use flate2::{Compression as GzipLevel, GzBuilder};

use crate::error::Error;

/// zstd level: the highest. An image is packed once and unpacked at every boot, at the same speed for all
/// levels; 22 gives 6 % less than 19 for some seconds more.
const ZSTD_LEVEL: i32 = 22;

/// Base-2 logarithm of the largest window: 16 MiB, which covers most images whole. The kernel takes up to 128
/// MiB, but must find the memory while it unpacks.
const ZSTD_WINDOW_LOG: u32 = 24;

/// How the image is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// zstd, in one thread, with a checksum and the content size in the frame header; for kernels with
    /// `CONFIG_RD_ZSTD` (5.9 and later).
    #[default]
    Zstd,
    /// gzip, for kernels without zstd: no file name, modification time 0.
    Gzip,
}

impl Compression {
    /// Compresses `data`.
    ///
    /// # Errors
    /// [`Error::Compress`] when the encoder fails, which happens only for lack of memory.
    pub fn compress(self, data: &[u8]) -> Result<Vec<u8>, Error> {
        match self {
            Self::Zstd => zstd_frame(data),
            Self::Gzip => gzip_member(data),
        }
        .map_err(Error::Compress)
    }

    /// The name for messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }
}

fn zstd_frame(data: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = zstd::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
    encoder.window_log(ZSTD_WINDOW_LOG)?;
    encoder.include_checksum(true)?;
    encoder.set_pledged_src_size(Some(data.len() as u64))?;
    encoder.write_all(data)?;
    encoder.finish()
}

fn gzip_member(data: &[u8]) -> std::io::Result<Vec<u8>> {
    // Operating system 255 is "unknown" (RFC 1952): nothing of the building machine gets in.
    let mut encoder = GzBuilder::new()
        .mtime(0)
        .operating_system(255)
        .write(Vec::new(), GzipLevel::best());
    encoder.write_all(data)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn both_forms_come_back_and_are_repeatable() {
        let data: Vec<u8> = (0..200_000u32)
            .flat_map(|n| (n / 7).to_le_bytes())
            .collect();
        for form in [Compression::Zstd, Compression::Gzip] {
            let packed = form.compress(&data).unwrap();
            assert_eq!(packed, form.compress(&data).unwrap(), "{}", form.name());
            let mut back = Vec::new();
            match form {
                Compression::Zstd => back = zstd::decode_all(packed.as_slice()).unwrap(),
                Compression::Gzip => {
                    flate2::read::GzDecoder::new(packed.as_slice())
                        .read_to_end(&mut back)
                        .unwrap();
                }
            }
            assert_eq!(back, data, "{}", form.name());
        }
    }

    #[test]
    fn gzip_header_carries_nothing_of_the_machine() {
        let packed = Compression::Gzip.compress(b"x").unwrap();
        // Magic, deflate, no flags (so no name), mtime 0, best compression, system unknown.
        assert_eq!(packed[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255]);
    }

    #[test]
    fn zstd_starts_with_the_magic_the_kernel_looks_for() {
        let packed = Compression::Zstd.compress(&[7; 1 << 20]).unwrap();
        assert_eq!(packed[..4], [0x28, 0xb5, 0x2f, 0xfd]);
    }
}
