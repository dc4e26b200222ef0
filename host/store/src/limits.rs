//! What the store refuses to read or write, so that no file can exhaust the memory of PID 1.

/// The largest `.wasm` file, in bytes.
///
/// 64 MiB: a language runtime compiled whole (CPython, a JavaScript engine) is 10-30 MiB, and the
/// reader holds the whole file in memory while it hashes it.
pub const MAX_MODULE_BYTES: u64 = 64 << 20;

/// The largest ahead-of-time artifact, in bytes.
///
/// 256 MiB: measured artifacts are 0.7 to 4.5 times their module, and the high factors belong to
/// the small modules.
pub const MAX_ARTIFACT_BYTES: u64 = 256 << 20;

/// The largest number of records in the index.
///
/// 65,536 is the number of Cards a seed may hold; the index is then 18 MB.
pub const MAX_RECORDS: usize = 65_536;
