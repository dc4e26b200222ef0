//! The first frame and the descriptors that come with it (unix(7), `SCM_RIGHTS`).

use super::{Command, Frames, MAX_COMMAND, MAX_SOCKETS, Malformed};
use nix::cmsg_space;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, RecvMsg, UnixAddr, recvmsg, sendmsg,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use tokio::io::{AsyncWriteExt, Interest};

/// The artifact and the sockets.
const MAX_DESCRIPTORS: usize = 1 + MAX_SOCKETS;

/// Sends the first frame, and with its first byte the descriptors.
///
/// # Errors
///
/// What sendmsg(2) says; the worker may have ended.
pub async fn send_start(
    socket: &mut tokio::net::UnixStream,
    start: &Command,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let frame = start.encode();
    let numbers: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let sent = socket
        .async_io(Interest::WRITABLE, || {
            let sent = sendmsg::<UnixAddr>(
                socket.as_raw_fd(),
                &[IoSlice::new(&frame)],
                &[ControlMessage::ScmRights(&numbers)],
                MsgFlags::MSG_NOSIGNAL,
                None,
            );
            Ok(sent?)
        })
        .await?;
    socket.write_all(&frame[sent..]).await
}

/// Reads the first frame and the descriptors that came with it.
///
/// # Errors
///
/// What recvmsg(2) says; `UnexpectedEof` when PID 1 gave up; `InvalidData` for anything else than a
/// start.
pub fn receive_start(
    socket: &UnixStream,
    frames: &mut Frames,
) -> io::Result<(u64, String, Vec<OwnedFd>)> {
    let mut descriptors = Vec::new();
    loop {
        if let Some(frame) = frames.next_frame().map_err(invalid)? {
            return match Command::decode(frame).map_err(invalid)? {
                Command::Start { incarnation, card } => Ok((incarnation, card, descriptors)),
                _ => Err(invalid(Malformed("another command before the start"))),
            };
        }
        let mut bytes = vec![0; frames.wanted().min(MAX_COMMAND)];
        let read = receive(socket, &mut bytes, &mut descriptors)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        frames.push(&bytes[..read]);
    }
}

/// Reads once; what came along is added to `descriptors`.
fn receive(
    socket: &UnixStream,
    bytes: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut control = cmsg_space!([RawFd; MAX_DESCRIPTORS]);
    let mut parts = [IoSliceMut::new(bytes)];
    let message: RecvMsg<'_, '_, UnixAddr> = recvmsg(
        socket.as_fd().as_raw_fd(),
        &mut parts,
        Some(&mut control),
        MsgFlags::MSG_CMSG_CLOEXEC,
    )?;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = control {
            // SAFETY: the kernel has just made these descriptors for this process, and the message
            // is dropped here, so nobody else knows them.
            descriptors.extend(
                numbers
                    .into_iter()
                    .map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }),
            );
        }
    }
    Ok(message.bytes)
}

fn invalid(malformed: Malformed) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Read;

    #[test]
    fn the_first_frame_brings_its_descriptors() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let start = Command::Start {
            incarnation: 3,
            card: "x".repeat(1 << 20), // more than the socket takes at once
        };
        let receiver = std::thread::spawn(move || {
            receive_start(&theirs, &mut Frames::new(MAX_COMMAND)).unwrap()
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let file = File::open("/proc/self/comm").unwrap();
        runtime.block_on(async {
            ours.set_nonblocking(true).unwrap();
            let mut ours = tokio::net::UnixStream::from_std(ours).unwrap();
            send_start(&mut ours, &start, &[file.as_fd(), file.as_fd()])
                .await
                .unwrap();
        });
        let (incarnation, card, mut descriptors) = receiver.join().unwrap();
        assert_eq!(
            (incarnation, card.len(), descriptors.len()),
            (3, 1 << 20, 2)
        );
        let mut text = String::new();
        File::from(descriptors.remove(0))
            .read_to_string(&mut text)
            .unwrap();
        assert!(!text.is_empty());
    }

    #[test]
    fn anything_else_than_a_start_is_refused() {
        use std::io::Write;
        for frame in [
            Command::Stop(crate::StopReason::Requested).encode(),
            vec![0xff; 4],
            Vec::new(),
        ] {
            let (mut ours, theirs) = UnixStream::pair().unwrap();
            ours.write_all(&frame).unwrap();
            drop(ours);
            assert!(receive_start(&theirs, &mut Frames::new(MAX_COMMAND)).is_err());
        }
    }
}
