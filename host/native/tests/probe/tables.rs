//! What the probe tries in more than one place: here, and in the virtual machine on another kernel.
#![allow(
    dead_code,
    reason = "each test program compiles this file and uses its own part of it"
)]

/// Ways out of a confinement, each with what a confined process is answered.
pub const WAYS_OUT: [(&str, &str); 24] = [
    ("mount:/tmp", "EPERM"),
    ("umount:/proc", "EPERM"),
    ("remount:/", "EPERM"),
    ("unshare:0x10000000", "EPERM"),
    ("unshare:0x20000", "EPERM"),
    ("unshare:0x80", "EPERM"),
    ("clone-user", "EPERM"),
    ("clone3", "ENOSYS"),
    ("settime", "EPERM"),
    ("reboot", "EPERM"),
    ("bpf", "EPERM"),
    ("keyctl", "EPERM"),
    ("io_uring", "EPERM"),
    ("perf", "EPERM"),
    ("userfaultfd", "EPERM"),
    ("module", "EPERM"),
    ("kexec", "EPERM"),
    ("swapon", "EPERM"),
    ("handle:/dev/null", "EPERM"),
    ("tiocsti", "EPERM"),
    ("x32", "ENOSYS"),
    ("sethostname:x", "EPERM"),
    ("ptrace:1", "EPERM"),
    ("peek:1", "EPERM"),
];

/// The calls that are refused, whatever their arguments. Written down a second time: a call that goes missing
/// there is missed here.
#[rustfmt::skip]
pub const REFUSED: [i64; 49] = [
    libc::SYS_acct, libc::SYS_add_key, libc::SYS_adjtimex, libc::SYS_bpf, libc::SYS_clock_adjtime,
    libc::SYS_clock_settime, libc::SYS_delete_module, libc::SYS_finit_module, libc::SYS_fsconfig,
    libc::SYS_fsmount, libc::SYS_fsopen, libc::SYS_fspick, libc::SYS_init_module, libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register, libc::SYS_io_uring_setup, libc::SYS_ioperm, libc::SYS_iopl, libc::SYS_kcmp,
    libc::SYS_kexec_file_load, libc::SYS_kexec_load, libc::SYS_keyctl, libc::SYS_lookup_dcookie, libc::SYS_mount,
    libc::SYS_mount_setattr, libc::SYS_move_mount, libc::SYS_open_by_handle_at, libc::SYS_open_tree,
    libc::SYS_perf_event_open, libc::SYS_pidfd_getfd, libc::SYS_pivot_root, libc::SYS_process_madvise,
    libc::SYS_process_vm_readv, libc::SYS_process_vm_writev, libc::SYS_ptrace, libc::SYS_quotactl,
    libc::SYS_quotactl_fd, libc::SYS_reboot, libc::SYS_request_key, libc::SYS_setdomainname,
    libc::SYS_sethostname, libc::SYS_setns, libc::SYS_settimeofday, libc::SYS_swapoff, libc::SYS_swapon,
    libc::SYS_syslog, libc::SYS_umount2, libc::SYS_userfaultfd, libc::SYS_vhangup,
];

/// What `outbound` forbids: the attempt, which succeeds without confinement, and its answer.
pub const NOT_OUTBOUND: [(&str, &str); 6] = [
    ("bind:tcp:127.0.0.1:4001", "EPERM"),
    ("bind:udp:127.0.0.1:4001", "EPERM"),
    ("bind:tcp:any6:4001", "EPERM"),
    ("bind:udp:any6:4001", "EPERM"),
    ("listen:127.0.0.1:0", "EPERM"),
    ("socket:inet:raw:1", "EPERM"),
];

/// What `outbound` allows, besides connecting.
pub const OUTBOUND: [&str; 3] = ["bind:udp:127.0.0.1:0", "bind:tcp:any6:0", "bind:udp:any6:0"];
