//! The sandbox from inside: a copy of this program enters it and tries one thing; the parent looks
//! at how it ended.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::fs;
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitCode, Stdio};

use arje_store::compiler::protocol::Limits;
use ente_compile::sandbox::{ALLOWED, enter};

/// Something to try, by name.
type Probe = (&'static str, fn());

const LIMITS: Limits = Limits {
    memory_bytes: 256 << 20,
    cpu_seconds: 7,
};

/// What must end the process with SIGSYS.
const FORBIDDEN: &[Probe] = &[
    ("open a file", || drop(fs::File::open("/etc/passwd"))),
    ("make a file", || {
        drop(fs::File::create("/tmp/ente-compile-probe"))
    }),
    ("look at a file", || drop(fs::metadata("/"))),
    ("list a folder", || drop(fs::read_dir("/"))),
    ("remove a file", || {
        drop(fs::remove_file("/tmp/ente-compile-probe"))
    }),
    ("connect", || {
        drop(std::net::TcpStream::connect("127.0.0.1:9"))
    }),
    ("bind", || drop(UdpSocket::bind("127.0.0.1:0"))),
    ("start a thread", || {
        drop(std::thread::Builder::new().spawn(|| ()))
    }),
    ("start a program", || {
        drop(Command::new("/bin/true").spawn())
    }),
    ("fork", || syscall(libc::SYS_fork, [0; 3])),
    ("exec", || {
        syscall(libc::SYS_execve, [c"/bin/true".as_ptr() as usize, 0, 0]);
    }),
    ("kill the parent", || {
        syscall(
            libc::SYS_kill,
            [std::os::unix::process::parent_id() as usize, 0, 0],
        );
    }),
    ("signal itself otherwise than by abort", || {
        let own = std::process::id() as usize;
        syscall(libc::SYS_tgkill, [own, own, libc::SIGUSR1 as usize]);
    }),
    ("abort another process", || {
        let parent = std::os::unix::process::parent_id() as usize;
        syscall(libc::SYS_tgkill, [parent, parent, libc::SIGABRT as usize]);
    }),
    ("trace", || syscall(libc::SYS_ptrace, [0; 3])),
    ("load code into the kernel", || {
        syscall(libc::SYS_bpf, [0; 3])
    }),
    ("lift a limit", || syscall(libc::SYS_prlimit64, [0; 3])),
    ("change the user", || syscall(libc::SYS_setuid, [0; 3])),
    ("mount", || syscall(libc::SYS_mount, [0; 3])),
    ("make a pipe", || syscall(libc::SYS_pipe2, [0; 3])),
    ("make a memory file", || {
        syscall(libc::SYS_memfd_create, [0; 3])
    }),
    ("pass the filter by io_uring", || {
        syscall(libc::SYS_io_uring_setup, [0; 3])
    }),
    ("use the 32-bit numbers of x32", || {
        syscall(0x4000_0000 + libc::SYS_getpid, [0; 3])
    }),
    ("read another descriptor", || {
        syscall(libc::SYS_read, [1, 0, 0])
    }),
    ("write to the input", || syscall(libc::SYS_write, [0, 0, 0])),
    ("make memory executable", || {
        syscall(libc::SYS_mprotect, [0, 0, libc::PROT_EXEC as usize]);
    }),
    ("map executable memory", || {
        let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as usize;
        map(libc::PROT_READ as usize | libc::PROT_EXEC as usize, flags);
    }),
    ("map a file", || {
        map(libc::PROT_READ as usize, libc::MAP_PRIVATE as usize)
    }),
];

/// What must go on working.
const PERMITTED: &[Probe] = &[
    ("nothing", || ()),
    ("allocate", || {
        let block = vec![1_u8; 64 << 20];
        assert_eq!(
            block.iter().map(|byte| u64::from(*byte)).sum::<u64>(),
            64 << 20
        );
    }),
    ("seed a hash map", || {
        let map: std::collections::HashMap<_, _> = (0..100).map(|n| (n, n)).collect();
        assert_eq!(map.len(), 100);
    }),
    ("read the clock", || {
        assert!(std::time::Instant::now().elapsed().as_secs() < 3600)
    }),
    ("catch a panic", || {
        std::panic::set_hook(Box::new(|_| ()));
        assert!(std::panic::catch_unwind(|| panic!("a probe")).is_err());
    }),
    ("copy input to output", || {
        let mut input = Vec::new();
        std::io::stdin().read_to_end(&mut input).unwrap();
        std::io::stdout().write_all(&input).unwrap();
    }),
];

/// What must end the process by the named signal, which tells the caller what happened.
const LETHAL: &[(&str, fn(), i32)] = &[
    (
        "exhaust memory",
        || drop(std::hint::black_box(vec![1_u8; 512 << 20])),
        libc::SIGABRT,
    ),
    ("abort", || std::process::abort(), libc::SIGABRT),
    (
        "exhaust time",
        || loop {
            std::hint::black_box(0);
        },
        libc::SIGXCPU,
    ),
];

fn syscall(number: libc::c_long, arguments: [usize; 3]) {
    // SAFETY: the filter ends the process before the kernel looks at the arguments; where it does
    // not, the test has failed, and these arguments name no memory that is in use.
    unsafe { libc::syscall(number, arguments[0], arguments[1], arguments[2]) };
}

fn map(protection: usize, flags: usize) {
    // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
    unsafe { libc::syscall(libc::SYS_mmap, 0, 4096, protection, flags, 0, 0) };
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, mode, name] = arguments.as_slice()
        && mode == "probe"
    {
        return probe(name);
    }
    let mut checks = 0;
    for (name, _) in FORBIDDEN {
        assert_eq!(signal_of(name), Some(libc::SIGSYS), "{name}");
        checks += 1;
    }
    for (name, _, signal) in LETHAL {
        assert_eq!(signal_of(name), Some(*signal), "{name}");
        checks += 1;
    }
    for (name, _) in PERMITTED {
        let status = start(name).wait().unwrap();
        assert!(status.success(), "{name}: {status}");
        checks += 1;
    }
    seen_from_outside();
    table_is_sorted_out();
    println!("sandbox: {checks} probes, all as expected");
    ExitCode::SUCCESS
}

/// The child's part.
fn probe(name: &str) -> ExitCode {
    let forbidden = FORBIDDEN.iter().chain(PERMITTED).copied();
    let lethal = LETHAL.iter().map(|(name, action, _)| (*name, *action));
    let Some((_, action)) = forbidden.chain(lethal).find(|probe| probe.0 == name) else {
        return ExitCode::from(99);
    };
    // A descriptor that leaked from the caller.
    let leaked = fs::File::open("/dev/null").unwrap();
    std::mem::forget(leaked);
    let limits = match name {
        "exhaust time" => Limits {
            cpu_seconds: 1,
            ..LIMITS
        },
        _ => LIMITS,
    };
    if let Err(error) = enter(&limits) {
        eprintln!("{error}");
        return ExitCode::from(3);
    }
    action();
    ExitCode::SUCCESS
}

fn start(name: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["probe", name])
        // With it std would open files where it reports a failure.
        .env("RUST_BACKTRACE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn signal_of(name: &str) -> Option<i32> {
    start(name).wait().unwrap().signal()
}

/// What `/proc` says about a process that is in the sandbox and waits for its input.
fn seen_from_outside() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["probe", "copy input to output"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    // More than a pipe holds: once all of it is in, the child has begun to read, so it is inside.
    let input = vec![b'x'; 1 << 20];
    stdin.write_all(&input).unwrap();

    let pid = child.id();
    let file = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap();
    let status = file("status");
    for line in ["Seccomp:\t2", "NoNewPrivs:\t1", "Threads:\t1"] {
        assert!(status.contains(line), "{line:?} is not in\n{status}");
    }
    assert_eq!(file("oom_score_adj").trim(), "1000");
    let limits = file("limits");
    for (name, soft, hard) in [
        ("Max address space", "268435456", "268435456"),
        ("Max cpu time", "7", "8"),
        ("Max file size", "268435456", "268435456"),
        ("Max stack size", "8388608", "8388608"),
        ("Max open files", "3", "3"),
        ("Max processes", "0", "0"),
        ("Max locked memory", "0", "0"),
        ("Max core file size", "0", "0"),
    ] {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        let values: Vec<_> = line[name.len()..].split_whitespace().take(2).collect();
        assert_eq!(values, [soft, hard], "{name}");
    }
    // Not dumpable: the folder belongs to root, so only root can count.
    if let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) {
        let mut open: Vec<_> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        open.sort();
        assert_eq!(open, ["0", "1", "2"]);
    }
    drop(stdin);
    let mut output = Vec::new();
    stdout.read_to_end(&mut output).unwrap();
    assert!(output == input, "the input came back changed");
    assert!(child.wait().unwrap().success());
}

/// Two lines for one system call would overwrite each other silently.
fn table_is_sorted_out() {
    let mut numbers: Vec<_> = ALLOWED.iter().map(|allowed| allowed.number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(
        numbers.len(),
        ALLOWED.len(),
        "a system call is listed twice"
    );
}
