//! System calls of x86-64 Linux, one safe function per use, and the constants they need.
//!
//! Numbers: `arch/x86/entry/syscalls/syscall_64.tbl`; constants: the kernel's `include/uapi`. An error is the
//! positive `errno(3)`.

use core::arch::asm;
use core::ffi::CStr;
use core::ptr;
use core::slice;

use ente_spawn::{Resource, Rlimit};

pub(crate) mod file;
pub(crate) mod mount;
pub(crate) mod namespace;
pub(crate) mod privilege;
pub(crate) mod process;
pub(crate) mod socket;

pub(crate) const EPERM: i32 = 1;
pub(crate) const ENOENT: i32 = 2;
pub(crate) const ESRCH: i32 = 3;
pub(crate) const EIO: i32 = 5;
pub(crate) const EEXIST: i32 = 17;
pub(crate) const ENOTDIR: i32 = 20;
pub(crate) const EINVAL: i32 = 22;
pub(crate) const EMFILE: i32 = 24;
pub(crate) const EFBIG: i32 = 27;
pub(crate) const ENAMETOOLONG: i32 = 36;
pub(crate) const EBADMSG: i32 = 74;

pub(crate) const F_SEAL_SHRINK: usize = 0x2;
pub(crate) const F_SEAL_GROW: usize = 0x4;
pub(crate) const F_SEAL_WRITE: usize = 0x8;

const SYS_READ: usize = 0;
const SYS_WRITE: usize = 1;
const SYS_CLOSE: usize = 3;
const SYS_FSTAT: usize = 5;
const SYS_LSEEK: usize = 8;
const SYS_MMAP: usize = 9;
const SYS_RT_SIGACTION: usize = 13;
const SYS_RT_SIGPROCMASK: usize = 14;
const SYS_IOCTL: usize = 16;
const SYS_DUP2: usize = 33;
const SYS_EXECVE: usize = 59;
const SYS_FCNTL: usize = 72;
const SYS_CHDIR: usize = 80;
const SYS_UMASK: usize = 95;
const SYS_SETSID: usize = 112;
const SYS_EXIT_GROUP: usize = 231;
const SYS_OPENAT: usize = 257;
const SYS_DUP3: usize = 292;
const SYS_PRLIMIT64: usize = 302;
const SYS_CLOSE_RANGE: usize = 436;

/// "The working directory" as a folder; not used, since every path is absolute.
const AT_FDCWD: usize = -100isize as usize;

pub(crate) const O_RDONLY: usize = 0;
pub(crate) const O_WRONLY: usize = 1;
pub(crate) const O_PATH: usize = 0o10_000_000;
pub(crate) const O_CLOEXEC: usize = 0o2_000_000;

const F_DUPFD_CLOEXEC: usize = 1030;
const F_GET_SEALS: usize = 1034;
const SEEK_END: usize = 2;
const PROT_READ: usize = 1;
const PROT_WRITE: usize = 2;
const MAP_PRIVATE: usize = 0x2;
const MAP_ANONYMOUS: usize = 0x20;
const SIG_SETMASK: usize = 2;
const TCGETS: usize = 0x5401;
const TCSETS: usize = 0x5402;
const TIOCSCTTY: usize = 0x540e;

/// `IUTF8` of `termios(3)`: erasing takes a whole character.
const IUTF8: u32 = 0o40_000;
/// A fresh terminal's input flags: `ICRNL | IXON` (`tty_std_termios`, `drivers/tty/tty_io.c`).
const INPUT_FLAGS: u32 = 0o400 | 0o2_000;
/// Its output flags: `OPOST | ONLCR`.
const OUTPUT_FLAGS: u32 = 0o1 | 0o4;
/// Its local flags: `ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN`.
const LOCAL_FLAGS: u32 = 0o1 | 0o2 | 0o10 | 0o20 | 0o40 | 0o1_000 | 0o4_000 | 0o100_000;

/// Length in bytes of the kernel's signal set, 64 signals.
const SIGSET_BYTES: usize = 8;

/// The system call instruction. The kernel answers with -4095..=-1 for an error.
///
/// # Safety
/// The arguments must be what the call of that number expects; pointers among them must be valid for what it reads
/// and writes.
unsafe fn syscall(number: usize, args: [usize; 6]) -> Result<usize, i32> {
    let [a, b, c, d, e, f] = args;
    let result: isize;
    // SAFETY: the caller vouches for the arguments; the instruction clobbers rcx and r11 only.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a,
            in("rsi") b,
            in("rdx") c,
            in("r10") d,
            in("r8") e,
            in("r9") f,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    if (-4095..0).contains(&result) {
        Err(-result as i32)
    } else {
        Ok(result as usize)
    }
}

/// A system call that takes no pointers, so it cannot touch this program's memory.
fn plain(number: usize, a: usize, b: usize, c: usize) -> Result<usize, i32> {
    // SAFETY: called below only with calls whose arguments are numbers.
    unsafe { syscall(number, [a, b, c, 0, 0, 0]) }
}

/// `write(2)`.
pub(crate) fn write(fd: i32, bytes: &[u8]) -> Result<usize, i32> {
    // SAFETY: pointer and length are those of a live slice, which the call only reads.
    unsafe {
        syscall(
            SYS_WRITE,
            [fd as usize, bytes.as_ptr() as usize, bytes.len(), 0, 0, 0],
        )
    }
}

/// `read(2)`: how many bytes came.
pub(crate) fn read(fd: i32, bytes: &mut [u8]) -> Result<usize, i32> {
    // SAFETY: pointer and length are those of a live slice, which nobody else looks at meanwhile.
    unsafe {
        syscall(
            SYS_READ,
            [
                fd as usize,
                bytes.as_mut_ptr() as usize,
                bytes.len(),
                0,
                0,
                0,
            ],
        )
    }
}

/// `close(2)`.
pub(crate) fn close(fd: i32) {
    // Nothing here is written through descriptors that report late, and nothing could be done about it.
    let _ = plain(SYS_CLOSE, fd as usize, 0, 0);
}

/// `openat(2)` of a path, which is absolute or below the folder `at`.
pub(crate) fn open(at: Option<i32>, path: &CStr, flags: usize) -> Result<i32, i32> {
    let at = at.map_or(AT_FDCWD, |fd| fd as usize);
    let args = [at, path.as_ptr() as usize, flags | O_CLOEXEC, 0, 0, 0];
    // SAFETY: the call reads one NUL-terminated string.
    unsafe { syscall(SYS_OPENAT, args) }.map(|fd| fd as i32)
}

/// Whether an open file is a folder: `st_mode` of `fstat(2)`.
pub(crate) fn is_folder(fd: i32) -> Result<bool, i32> {
    // The kernel's `struct stat` has 144 bytes; `st_mode` is at 24.
    let mut stat = [0u32; 36];
    let args = [fd as usize, stat.as_mut_ptr() as usize, 0, 0, 0, 0];
    // SAFETY: the call writes one such structure.
    unsafe { syscall(SYS_FSTAT, args) }?;
    Ok(stat[6] & 0o170_000 == 0o040_000)
}

/// `exit_group(2)`.
pub(crate) fn exit(code: i32) -> ! {
    loop {
        // Never returns; the loop says so to the compiler.
        let _ = plain(SYS_EXIT_GROUP, code as usize, 0, 0);
    }
}

/// Length of a file, by `lseek(2)` to its end.
pub(crate) fn length(fd: i32) -> Result<usize, i32> {
    plain(SYS_LSEEK, fd as usize, 0, SEEK_END)
}

/// `F_GET_SEALS` of `fcntl(2)`.
pub(crate) fn seals(fd: i32) -> Result<usize, i32> {
    plain(SYS_FCNTL, fd as usize, F_GET_SEALS, 0)
}

/// `F_DUPFD_CLOEXEC` of `fcntl(2)`: a copy at `lowest` or above.
pub(crate) fn duplicate_cloexec(fd: i32, lowest: i32) -> Result<i32, i32> {
    plain(SYS_FCNTL, fd as usize, F_DUPFD_CLOEXEC, lowest as usize).map(|fd| fd as i32)
}

/// `dup2(2)`: `to` becomes `from`, open across `execve`.
pub(crate) fn move_to(from: i32, to: i32) -> Result<(), i32> {
    plain(SYS_DUP2, from as usize, to as usize, 0).map(drop)
}

/// `dup3(2)`: `to` becomes `from`, closed at exec.
pub(crate) fn duplicate_to(from: i32, to: i32) -> Result<(), i32> {
    plain(SYS_DUP3, from as usize, to as usize, O_CLOEXEC).map(drop)
}

/// `close_range(2)`, both ends included; an empty range is nothing to do.
pub(crate) fn close_range(first: u32, last: u32) -> Result<(), i32> {
    if first > last {
        return Ok(());
    }
    plain(SYS_CLOSE_RANGE, first as usize, last as usize, 0).map(drop)
}

/// A read-only private mapping of a sealed file.
pub(crate) fn map_sealed(fd: i32, length: usize) -> Result<&'static [u8], i32> {
    let args = [0, length, PROT_READ, MAP_PRIVATE, fd as usize, 0];
    // SAFETY: a mapping at an address of the kernel's choice overlaps nothing.
    let address = unsafe { syscall(SYS_MMAP, args) }?;
    // SAFETY: `length` bytes are mapped there until the end of the process, and the caller has seen the seals that
    // keep the file from shrinking or being written.
    Ok(unsafe { slice::from_raw_parts(address as *const u8, length) })
}

/// Fresh memory for `slots` pointers, all null.
pub(crate) fn pointer_table(slots: usize) -> Result<&'static mut [*const i8], i32> {
    let address = map(slots * size_of::<*const i8>())?;
    // SAFETY: page-aligned, zeroed, writable, mapped until the end of the process, and known to nobody else.
    Ok(unsafe { slice::from_raw_parts_mut(address as *mut *const i8, slots) })
}

/// Zeroed memory.
pub(crate) fn memory(length: usize) -> Result<&'static mut [u8], i32> {
    let address = map(length)?;
    // SAFETY: zeroed, writable, mapped until the end of the process, and known to nobody else.
    Ok(unsafe { slice::from_raw_parts_mut(address as *mut u8, length) })
}

/// `mmap(2)` of zeroed, private memory; its address.
fn map(length: usize) -> Result<usize, i32> {
    let args = [
        0,
        length,
        PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS,
        usize::MAX, // No file.
        0,
    ];
    // SAFETY: a mapping at an address of the kernel's choice overlaps nothing.
    unsafe { syscall(SYS_MMAP, args) }
}

/// `rt_sigaction(2)` with `SIG_DFL`.
pub(crate) fn default_disposition(signal: i32) -> Result<(), i32> {
    // The kernel's `struct sigaction`: handler (SIG_DFL is 0), flags, restorer, mask.
    let action = [0u64; 4];
    let args = [
        signal as usize,
        action.as_ptr() as usize,
        0,
        SIGSET_BYTES,
        0,
        0,
    ];
    // SAFETY: the call reads one such structure and writes nothing, as the third argument is null.
    unsafe { syscall(SYS_RT_SIGACTION, args) }.map(drop)
}

/// `rt_sigprocmask(2)` with an empty mask.
pub(crate) fn unblock_all_signals() -> Result<(), i32> {
    let mask = 0u64;
    let args = [
        SIG_SETMASK,
        ptr::from_ref(&mask) as usize,
        0,
        SIGSET_BYTES,
        0,
        0,
    ];
    // SAFETY: the call reads one signal set and writes nothing, as the third argument is null.
    unsafe { syscall(SYS_RT_SIGPROCMASK, args) }.map(drop)
}

/// `setsid(2)`.
pub(crate) fn setsid() -> Result<(), i32> {
    plain(SYS_SETSID, 0, 0, 0).map(drop)
}

/// `TIOCSCTTY` of `ioctl(2)`, without taking the terminal from another session.
pub(crate) fn take_terminal(fd: i32) -> Result<(), i32> {
    plain(SYS_IOCTL, fd as usize, TIOCSCTTY, 0).map(drop)
}

/// The kernel's `struct termios` (`asm-generic/termbits.h`).
#[repr(C)]
#[derive(Default)]
struct Termios {
    input: u32,
    output: u32,
    control: u32,
    local: u32,
    line: u8,
    characters: [u8; 19],
}

/// `TCGETS` and `TCSETS` of `ioctl(2)`: the modes of a fresh terminal. Speed, control characters and the character
/// set stay as they are.
pub(crate) fn reset_terminal(fd: i32) -> Result<(), i32> {
    let mut termios = Termios::default();
    let place = ptr::from_mut(&mut termios) as usize;
    // SAFETY: the call writes one such structure.
    unsafe { syscall(SYS_IOCTL, [fd as usize, TCGETS, place, 0, 0, 0]) }?;
    termios.input = termios.input & IUTF8 | INPUT_FLAGS;
    termios.output = OUTPUT_FLAGS;
    termios.local = LOCAL_FLAGS;
    let place = ptr::from_ref(&termios) as usize;
    // SAFETY: the call reads one such structure.
    unsafe { syscall(SYS_IOCTL, [fd as usize, TCSETS, place, 0, 0, 0]) }.map(drop)
}

/// `umask(2)`.
pub(crate) fn umask(mask: u32) -> Result<(), i32> {
    plain(SYS_UMASK, mask as usize, 0, 0).map(drop)
}

/// `chdir(2)`.
pub(crate) fn chdir(path: &CStr) -> Result<(), i32> {
    // SAFETY: the call reads one NUL-terminated string.
    unsafe { syscall(SYS_CHDIR, [path.as_ptr() as usize, 0, 0, 0, 0, 0]) }.map(drop)
}

/// `prlimit(2)` on this process, soft and hard limit.
pub(crate) fn set_limit(rlimit: Rlimit) -> Result<(), i32> {
    set_limits(rlimit.resource, [rlimit.limit; 2])
}

/// `prlimit(2)`: the soft and the hard limit of descriptors.
pub(crate) fn limit_files(soft: u64, hard: u64) -> Result<(), i32> {
    set_limits(Resource::Files, [soft, hard])
}

fn set_limits(resource: Resource, limits: [u64; 2]) -> Result<(), i32> {
    let args = [
        0, // This process.
        resource as usize,
        limits.as_ptr() as usize,
        0,
        0,
        0,
    ];
    // SAFETY: the call reads one pair of limits and writes nothing, as the fourth argument is null.
    unsafe { syscall(SYS_PRLIMIT64, args) }.map(drop)
}

/// `execve(2)`. Returns only on failure.
///
/// # Safety
/// Both lists end in a null pointer, and the pointers before it are those of live NUL-terminated strings.
pub(crate) unsafe fn execve(
    program: &CStr,
    argv: &[*const i8],
    envp: &[*const i8],
) -> Result<(), i32> {
    let args = [
        program.as_ptr() as usize,
        argv.as_ptr() as usize,
        envp.as_ptr() as usize,
        0,
        0,
        0,
    ];
    // SAFETY: a NUL-terminated path, and two lists for which the caller vouches.
    unsafe { syscall(SYS_EXECVE, args) }.map(drop)
}
