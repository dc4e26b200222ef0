//! What the threads of PID 1 say of themselves to the kernel's scheduler.

/// The calling thread does not take the processor from another one when it is woken (SCHED_BATCH,
/// sched(7)): for a thread whose work is never urgent but is given to it by one whose work is. Its share
/// of the processor stays the same. Allowed to every process; where it fails, nothing is lost but that.
pub fn never_preempt() {
    // SAFETY: zero is a valid value for every field, and the priority must be 0 for this policy.
    let parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    // SAFETY: reads the structure; 0 is the calling thread.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const parameters) };
}
