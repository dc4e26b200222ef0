//! What peers cost that take and give nothing: memory of a whole `ente-zero`, as the kernel counts it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may panic; helpers outside of test functions, too"
)]

mod common;

use arje_bus::{
    Client, FrameReader, Hello, HelloAnswer, Invoke, ListEntes, Request, RequestFrame, decode,
    encode,
};
use common::{DEADLINE, Dev, folder};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::geteuid;
use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Of each owner; the most are 128.
const EACH: usize = 125;

/// Enough owners for a thousand connections. Only user 0 can be several; anybody else tries it with those of one.
const OWNERS: u32 = 8;

/// Bytes: what a connection that does nothing may cost. Measured: 0.7 kB.
const IDLE: u64 = 2 << 10;

/// What the system may need beside that meanwhile, whatever else it does.
const OTHER: u64 = 256 << 10;

/// What the connections of one owner may cost that read nothing: 32 KiB and an answer of as much for each, and half as
/// much again for the allocator. Measured: 1.9 MB.
const SLOW: u64 = EACH as u64 * (96 << 10);

/// What those of one owner may cost that began a frame of 1 MiB: 4 KiB each and 8 MiB in all, and as much again,
/// since a buffer that grows is there twice. Measured: 13 MB.
const HALF_OPEN: u64 = 2 * (EACH as u64 * (4 << 10) + (8 << 20));

struct Zero {
    dev: Dev,
    socket: PathBuf,
}

impl Zero {
    fn start() -> Zero {
        // It uses at most half of its descriptors for connections, and this program needs as many.
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, hard.min(8192), hard).unwrap();
        let folder = folder();
        let run = folder.path().join("run");
        let socket = run.join("ente-bus.sock");
        let mut dev = Dev::start(folder, &[], |command| {
            command.arg("--forever").arg("--run-dir").arg(&run);
        });
        dev.wait("bus interno escuchando");
        Zero { dev, socket }
    }

    /// Bytes of memory that nobody else has (proc_pid_smaps(5)).
    fn memory(&self) -> u64 {
        let path = format!("/proc/{}/smaps_rollup", self.dev.child.id());
        let text = fs::read_to_string(path).unwrap();
        let line = text.lines().find(|line| line.starts_with("Private_Dirty:"));
        let number = line.unwrap().split_whitespace().nth(1).unwrap();
        number.parse::<u64>().unwrap() << 10
    }

    fn descriptors(&self) -> usize {
        let path = format!("/proc/{}/fd", self.dev.child.id());
        fs::read_dir(path).unwrap().count()
    }

    /// Waits until connections that are over here are over there, too: they count among those of their owner so long.
    fn forgets(&self, at_most: usize) {
        let deadline = Instant::now() + DEADLINE;
        while self.descriptors() > at_most {
            assert!(Instant::now() < deadline, "{}", self.descriptors());
            std::thread::yield_now();
        }
    }

    /// What it needs more than before, once it has answered something after all of it.
    fn growth(&self, before: u64) -> u64 {
        Client::connect(&self.socket).unwrap().list().unwrap();
        self.memory().saturating_sub(before)
    }
}

/// A connection of this user that has said hello.
fn greeted(socket: &Path, uid: u32) -> UnixStream {
    let mut stream = connect_as(socket, uid);
    stream.write_all(&encode(&Hello::new()).unwrap()).unwrap();
    let mut reader = FrameReader::new();
    let mut chunk = [0; 256];
    loop {
        let count = stream.read(&mut chunk).unwrap();
        assert_ne!(count, 0, "refused");
        reader.push(&chunk[..count]);
        if let Some(body) = reader.take().unwrap() {
            let answer: HelloAnswer = decode(&body).unwrap();
            assert!(matches!(answer, HelloAnswer::Welcome(_)), "{answer:?}");
            return stream;
        }
    }
}

/// The users that connect; one of them does everything but to be one of several.
fn users() -> Vec<u32> {
    match geteuid() {
        user if user.is_root() => (1..=OWNERS).collect(),
        user => vec![user.as_raw()],
    }
}

/// The kernel tells the effective user of the thread that connects.
fn connect_as(socket: &Path, uid: u32) -> UnixStream {
    if !geteuid().is_root() {
        return UnixStream::connect(socket).unwrap(); // as the only one of them
    }
    let become_user = |uid: u32| {
        let keep = u32::MAX; // setresuid(2): -1 changes nothing
        // SAFETY: numbers only; the call itself, and not libc's, concerns this thread alone.
        let done = unsafe { libc::syscall(libc::SYS_setresuid, keep, uid, keep) };
        assert_eq!(done, 0, "user {uid}");
    };
    become_user(uid);
    let stream = UnixStream::connect(socket).unwrap();
    become_user(0);
    stream
}

/// Sends until nothing is taken any more; at most so much.
fn fill(stream: &mut UnixStream, bytes: &[u8], most: usize) {
    stream.set_nonblocking(true).unwrap();
    let mut sent = 0;
    while sent < most {
        match stream.write(bytes) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(_) => return, // closed, which is an answer, too
        }
    }
}

#[test]
fn idle_connections_slow_readers_and_half_open_ones_cost_bounded_memory() {
    let zero = Zero::start();
    fs::set_permissions(&zero.socket, fs::Permissions::from_mode(0o666)).unwrap();
    for folder in zero.socket.ancestors().skip(1) {
        let mode = fs::metadata(folder).unwrap().permissions().mode();
        if mode & 0o1 == 0 {
            fs::set_permissions(folder, fs::Permissions::from_mode(mode | 0o1)).unwrap();
        }
    }
    let users = users();
    let first = users[0];
    drop(greeted(&zero.socket, first));
    zero.growth(0);
    let open = zero.descriptors();

    let before = zero.memory();
    let idle: Vec<UnixStream> = users
        .iter()
        .flat_map(|uid| (0..EACH).map(move |_| *uid))
        .map(|uid| greeted(&zero.socket, uid))
        .collect();
    let cost = zero.growth(before);
    println!("{} idle connections: {} KiB", idle.len(), cost >> 10);
    assert!(cost <= OTHER + IDLE * idle.len() as u64, "{cost}");
    drop(idle);
    zero.forgets(open);

    // They ask for lists, and read none.
    let list = RequestFrame {
        serial: 1,
        request: Request::ListEntes(ListEntes { after: None }),
    };
    let lists = encode(&list).unwrap().repeat(1000);
    let before = zero.memory();
    let mut slow: Vec<UnixStream> = (0..EACH).map(|_| greeted(&zero.socket, first)).collect();
    for stream in &mut slow {
        fill(stream, &lists, 4 << 20);
    }
    let cost = zero.growth(before);
    println!("{EACH} slow readers: {} KiB", cost >> 10);
    assert!(cost <= SLOW, "{cost}");
    drop(slow);
    zero.forgets(open);

    // They begin the largest frame there is, and never end it.
    let invoke = RequestFrame {
        serial: 1,
        request: Request::Invoke(Invoke {
            capability: arje_card::Capability::Journal,
            payload: vec![7; (1 << 20) - 4096],
            deadline_ms: 0,
        }),
    };
    let frame = encode(&invoke).unwrap();
    let begun = &frame[..frame.len() - 1];
    let before = zero.memory();
    let mut half: Vec<UnixStream> = (0..EACH).map(|_| greeted(&zero.socket, first)).collect();
    for stream in &mut half {
        fill(stream, begun, begun.len());
    }
    let cost = zero.growth(before);
    println!("{EACH} half-open connections: {} KiB", cost >> 10);
    assert!(cost <= HALF_OPEN, "{cost}");
    drop(half);

    let mut dev = zero.dev;
    assert!(dev.child.try_wait().unwrap().is_none(), "it lives");
    dev.stop();
}
