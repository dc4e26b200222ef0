//! D-Bus, as far as a call and its answer need it (D-Bus Specification, "Message Protocol"), and two programs that are such a bus.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::processes::at_once;
use crate::error::Error;
use crate::places::Places;
use crate::stats::Samples;

/// Starts a bus that listens at this path, in this folder.
pub type Start = fn(folder: &Path, socket: &Path) -> Result<Child, Error>;

/// How long a bus may take to listen.
const PATIENCE: Duration = Duration::from_secs(10);

const CALL: u8 = 1;
const ANSWER: u8 = 2;

/// Calls from so many clients of a bus to another one and back; a sample is the mean of `row` of each.
///
/// # Errors
/// The bus cannot be started, or does something else than a bus does.
pub fn round_trips(
    places: &Places,
    start: Start,
    size: usize,
    callers: usize,
    rounds: usize,
    row: u32,
) -> Result<Samples, Error> {
    let folder = places.work.join("dbus");
    let _ = std::fs::remove_dir_all(&folder); // of an earlier run
    std::fs::create_dir_all(&folder).map_err(Error::io("make", &folder))?;
    let socket = folder.join("bus");
    let mut bus = Running(start(&folder, &socket)?);
    let mut server = Client::connect(&socket, &mut bus)?;
    let name = server.name.clone();
    let answering = thread::spawn(move || while server.answer().is_ok() {});
    let clients = (0..callers).map(|_| Client::connect(&socket, &mut bus));
    let clients = clients.collect::<Result<Vec<_>, _>>()?;
    let payload = vec![7; size];
    let samples = at_once(clients, rounds, row, &|client, _| {
        (0..row).try_for_each(|_| client.call(&name, &payload))
    })?;
    drop(bus); // which ends the one that answers
    let _ = answering.join();
    Ok(samples)
}

/// A bus that ends with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// dbus-daemon, without a policy.
pub fn daemon(folder: &Path, socket: &Path) -> Result<Child, Error> {
    let config = write_config(folder, socket)?;
    let mut command = Command::new("dbus-daemon");
    command
        .arg("--nofork")
        .arg("--config-file")
        .arg(config)
        .stdin(Stdio::null());
    quiet(command, "dbus-daemon")
}

/// dbus-broker. Its launcher wants a journal to log to and a user's bus with a service manager on it; it gets a socket that nobody
/// reads, and a dbus-daemon, in a mount namespace of its own.
pub fn broker(folder: &Path, socket: &Path) -> Result<Child, Error> {
    let config = write_config(folder, socket)?;
    let listener = UnixListener::bind(socket).map_err(Error::io("listen at", socket))?;
    let script = "exec 3<&0 0</dev/null && mount -t tmpfs none /run && mkdir -p /run/systemd/journal && \
                  mount --bind \"$JOURNAL\" /run/systemd/journal && \
                  export DBUS_SESSION_BUS_ADDRESS=unix:path=/run/helper && \
                  dbus-daemon --session --address=$DBUS_SESSION_BUS_ADDRESS --fork 3>&- && \
                  LISTEN_FDS=1 LISTEN_PID=$$ exec dbus-broker-launch --scope user --config-file \"$CONFIG\"";
    let journal = folder.join("journal");
    std::fs::create_dir_all(&journal).map_err(Error::io("make", &journal))?;
    // Bound for as long as this process lives; what comes is dropped by the kernel when its queue is full.
    let log = std::os::unix::net::UnixDatagram::bind(journal.join("socket"));
    std::mem::forget(log.map_err(Error::tree)?);
    let mut command = Command::new("unshare");
    command
        .args([
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "sh",
            "-c",
            script,
        ])
        .env("CONFIG", config)
        .env("JOURNAL", journal);
    // As the descriptor 0, which the script hands over as 3 (sd_listen_fds(3)).
    command.stdin(OwnedFd::from(listener));
    quiet(command, "dbus-broker-launch")
}

fn quiet(mut command: Command, name: &str) -> Result<Child, Error> {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| Error::program(name, error))
}

fn write_config(folder: &Path, socket: &Path) -> Result<PathBuf, Error> {
    let path = folder.join("bus.conf");
    let text = format!(
        "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\"\n \
         \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n<busconfig><type>session</type>\
         <listen>unix:path={}</listen><policy context=\"default\"><allow send_destination=\"*\" eavesdrop=\"true\"/>\
         <allow eavesdrop=\"true\"/><allow own=\"*\"/></policy></busconfig>\n",
        socket.display()
    );
    std::fs::write(&path, text).map_err(Error::io("write", &path))?;
    Ok(path)
}

/// A client that makes and answers one kind of call.
struct Client {
    stream: UnixStream,
    serial: u32,
    name: String,
}

/// What of a message matters here.
struct Message {
    kind: u8,
    serial: u32,
    sender: String,
    body: Vec<u8>,
}

impl Client {
    fn connect(socket: &Path, bus: &mut Running) -> Result<Self, Error> {
        let end = Instant::now() + PATIENCE;
        let stream = loop {
            match UnixStream::connect(socket) {
                Ok(stream) => break stream,
                Err(error) if Instant::now() > end => return Err(Error::tree(error)),
                Err(_) => thread::sleep(Duration::from_millis(5)),
            }
            if let Ok(Some(status)) = bus.0.try_wait() {
                return Err(Error::Tree(format!("it ended: {status}")));
            }
        };
        stream
            .set_read_timeout(Some(PATIENCE))
            .map_err(Error::tree)?;
        let mut client = Self {
            stream,
            serial: 0,
            name: String::new(),
        };
        client.authenticate().map_err(Error::tree)?;
        client.send(CALL, "org.freedesktop.DBus", 0, "Hello", None)?;
        let hello = client.receive(ANSWER)?;
        // A string: its length and its bytes.
        let name = hello
            .body
            .get(4..)
            .map(|bytes| bytes.split(|byte| *byte == 0));
        let name = name.and_then(|mut parts| parts.next()).unwrap_or_default();
        client.name = String::from_utf8_lossy(name).into_owned();
        Ok(client)
    }

    /// As this user (D-Bus Specification, "Authentication Protocol").
    fn authenticate(&mut self) -> std::io::Result<()> {
        let uid = nix::unistd::getuid().to_string();
        let hex: String = uid.bytes().map(|byte| format!("{byte:02x}")).collect();
        write!(self.stream, "\0AUTH EXTERNAL {hex}\r\n")?;
        let mut answer = [0; 1];
        while answer[0] != b'\n' {
            self.stream.read_exact(&mut answer)?;
        }
        self.stream.write_all(b"BEGIN\r\n")
    }

    fn call(&mut self, to: &str, payload: &[u8]) -> Result<(), Error> {
        self.send(CALL, to, 0, "Echo", Some(payload))?;
        let answer = self.receive(ANSWER)?;
        match answer.body.len() == payload.len() + 4 {
            true => Ok(()),
            false => Err(Error::Tree("another answer".to_owned())),
        }
    }

    fn answer(&mut self) -> Result<(), Error> {
        let call = self.receive(CALL)?;
        let payload = call.body.get(4..).unwrap_or_default().to_vec();
        self.send(ANSWER, &call.sender, call.serial, "", Some(&payload))
    }

    fn send(
        &mut self,
        kind: u8,
        to: &str,
        answers: u32,
        member: &str,
        payload: Option<&[u8]>,
    ) -> Result<(), Error> {
        self.serial += 1;
        let mut fields = Vec::new();
        if kind == CALL {
            field(&mut fields, 1, b'o', "/");
            field(
                &mut fields,
                2,
                b's',
                if payload.is_some() { "a.b" } else { to },
            );
            field(&mut fields, 3, b's', member);
        } else {
            pad(&mut fields, 8);
            fields.extend([5, 1, b'u', 0]);
            fields.extend(answers.to_le_bytes());
        }
        field(&mut fields, 6, b's', to);
        let mut body = Vec::new();
        if let Some(payload) = payload {
            pad(&mut fields, 8);
            fields.extend([8, 1, b'g', 0, 2, b'a', b'y', 0]);
            body.extend((payload.len() as u32).to_le_bytes());
            body.extend(payload);
        }
        let mut message = vec![b'l', kind, 0, 1];
        for number in [body.len() as u32, self.serial, fields.len() as u32] {
            message.extend(number.to_le_bytes());
        }
        message.extend(fields);
        pad(&mut message, 8);
        message.extend(body);
        self.stream.write_all(&message).map_err(Error::tree)
    }

    /// The next message of this kind; others (signals) are passed over.
    fn receive(&mut self, wanted: u8) -> Result<Message, Error> {
        loop {
            let message = self.next().map_err(Error::tree)?;
            if message.kind == wanted {
                return Ok(message);
            }
            if message.kind == 3 {
                let said = String::from_utf8_lossy(&message.body).into_owned();
                return Err(Error::Tree(format!("the bus says {said}")));
            }
        }
    }

    fn next(&mut self) -> std::io::Result<Message> {
        let mut head = [0; 16];
        self.stream.read_exact(&mut head)?;
        let number = |at: usize| {
            let bytes = [head[at], head[at + 1], head[at + 2], head[at + 3]];
            u32::from_le_bytes(bytes)
        };
        let fields_length = number(12) as usize;
        let mut fields = vec![0; fields_length.next_multiple_of(8)];
        self.stream.read_exact(&mut fields)?;
        let mut body = vec![0; number(4) as usize];
        self.stream.read_exact(&mut body)?;
        Ok(Message {
            kind: head[1],
            serial: number(8),
            sender: sender(&fields[..fields_length]),
            body,
        })
    }
}

/// A header field that is a string or a path.
fn field(fields: &mut Vec<u8>, code: u8, ty: u8, value: &str) {
    pad(fields, 8);
    fields.extend([code, 1, ty, 0]);
    fields.extend((value.len() as u32).to_le_bytes());
    fields.extend(value.as_bytes());
    fields.push(0);
}

fn pad(bytes: &mut Vec<u8>, to: usize) {
    bytes.resize(bytes.len().next_multiple_of(to), 0);
}

/// The field SENDER.
fn sender(fields: &[u8]) -> String {
    let mut at = 0usize;
    while let Some([code, _, ty, _]) = fields.get(at..at + 4) {
        let word = fields.get(at + 4..at + 8).unwrap_or(&[0; 4]);
        let length = match ty {
            b'g' => 0,
            _ => u32::from_le_bytes([word[0], word[1], word[2], word[3]]) as usize,
        };
        let end = match ty {
            b'u' => at + 8,
            b'g' => at + 4 + 1 + usize::from(word[0]) + 1,
            _ => at + 8 + length + 1,
        };
        if *code == 7 {
            let text = fields.get(at + 8..at + 8 + length).unwrap_or_default();
            return String::from_utf8_lossy(text).into_owned();
        }
        at = end.next_multiple_of(8);
    }
    String::new()
}
