//! Landlock: what of the file system, and of other processes, is left.

use core::ffi::CStr;

use ente_spawn::{PathRule, PathRules};

use super::{Fault, about};
use crate::sys::{self, privilege};

/// The rights that apply to files (`landlock(7)`): execute, write, read, truncate, ioctl on devices. The kernel
/// refuses the others for anything but a folder.
const FILE_RIGHTS: u64 = 1 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15;

/// Longest first line of a script that the kernel reads (`BINPRM_BUF_SIZE`).
const SCRIPT_BYTES: usize = 256;

/// How often an interpreter may be a script itself (`BINPRM_MAX_RECURSION` is 5 in `fs/exec.c`).
const MAX_INTERPRETERS: usize = 5;

/// Nothing that is handled remains but what these paths allow.
pub(crate) fn restrict<'a>(handled: [u64; 3], paths: PathRules<'a>) -> Result<(), Fault<'a>> {
    let [files, network, scoped] = handled;
    let rules = privilege::landlock_rules(files, network, scoped)?;
    for rule in paths.iter() {
        allow(rules, &rule).map_err(about(rule.path))?;
    }
    let result = privilege::landlock_restrict(rules);
    sys::close(rules);
    Ok(result?)
}

fn allow(rules: i32, rule: &PathRule<&CStr>) -> Result<(), i32> {
    match allow_path(rules, rule.path, rule.access) {
        Err(sys::ENOENT) if rule.optional => return Ok(()),
        result => result?,
    }
    if rule.program {
        allow_interpreters(rules, rule)?;
    }
    Ok(())
}

fn allow_path(rules: i32, path: &CStr, access: u64) -> Result<(), i32> {
    let place = sys::open(None, path, sys::O_PATH)?;
    let result = sys::is_folder(place).and_then(|folder| {
        let rights = if folder { access } else { access & FILE_RIGHTS };
        privilege::landlock_allow(rules, place, rights)
    });
    sys::close(place);
    result
}

/// A script cannot run without the program named in its first line.
fn allow_interpreters(rules: i32, rule: &PathRule<&CStr>) -> Result<(), i32> {
    let mut line = first_line(rule.path)?;
    for _ in 0..MAX_INTERPRETERS {
        let Some(interpreter) = interpreter(&mut line) else {
            return Ok(());
        };
        match allow_path(rules, interpreter, rule.access) {
            // The exec will say so, and by the program's name.
            Err(sys::ENOENT) => return Ok(()),
            result => result?,
        }
        line = first_line(interpreter)?;
    }
    Ok(())
}

fn first_line(path: &CStr) -> Result<[u8; SCRIPT_BYTES], i32> {
    let mut line = [0; SCRIPT_BYTES];
    // Readable or not, it may be executable; a script that is not readable is of no use to its interpreter.
    if let Ok(file) = sys::open(None, path, sys::O_RDONLY) {
        let result = sys::read(file, &mut line);
        sys::close(file);
        result?;
    }
    Ok(line)
}

/// The path after `#!`, terminated in place.
fn interpreter(line: &mut [u8; SCRIPT_BYTES]) -> Option<&CStr> {
    let rest = line.strip_prefix(b"#!")?;
    let start = 2 + rest.iter().position(|byte| !matches!(byte, b' ' | b'\t'))?;
    let rest = line.get_mut(start..)?;
    let end = rest
        .iter()
        .position(|byte| matches!(byte, b' ' | b'\t' | b'\n' | 0))?;
    *rest.get_mut(end)? = 0;
    let path = CStr::from_bytes_until_nul(rest).ok()?;
    path.to_bytes().starts_with(b"/").then_some(path)
}
