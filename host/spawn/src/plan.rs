//! Maps the plan and checks that nobody can change it any more.

use ente_spawn::{MAX_PLAN_BYTES, PLAN_FD, Plan};

use crate::sys;

/// Seals without which the mapping could change, or vanish, after it was checked.
const SEALS: usize = sys::F_SEAL_SHRINK | sys::F_SEAL_GROW | sys::F_SEAL_WRITE;

/// The plan on [`PLAN_FD`].
///
/// Errors: `EPERM` not sealed, `EFBIG` too long, `EBADMSG` malformed, else what the kernel said.
pub(crate) fn load() -> Result<Plan<'static>, i32> {
    // EINVAL: something that cannot be sealed at all, such as an ordinary file.
    let seals = sys::seals(PLAN_FD).map_err(|errno| match errno {
        sys::EINVAL => sys::EPERM,
        other => other,
    })?;
    if seals & SEALS != SEALS {
        return Err(sys::EPERM);
    }
    let length = sys::length(PLAN_FD)?;
    if length > MAX_PLAN_BYTES {
        return Err(sys::EFBIG);
    }
    if length == 0 {
        return Err(sys::EBADMSG);
    }
    Plan::parse(sys::map_sealed(PLAN_FD, length)?).map_err(|_| sys::EBADMSG)
}
