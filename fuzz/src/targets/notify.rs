//! Datagrams of `sd_notify(3)`.

use arje_native::Notification;

/// What any process of an Ente may send to PID 1.
pub fn check(input: &[u8]) {
    let Some(found) = crate::within(8192, || Notification::parse(input)) else {
        return;
    };
    if let Some(status) = &found.status {
        assert!(status.len() <= 1024 + 8, "{} bytes", status.len());
        assert!(!status.contains(char::is_control), "{status:?}");
    }
    assert!(found.main_pid.is_none_or(|pid| pid > 0));
}

/// Each line that is known, and all of them.
pub fn seeds() -> Vec<Vec<u8>> {
    const LINES: [&str; 10] = [
        "READY=1",
        "RELOADING=1\nMONOTONIC_USEC=12345",
        "STOPPING=1",
        "STATUS=loading \u{e4} \u{1f600}",
        "ERRNO=2",
        "MAINPID=4711",
        "WATCHDOG=1",
        "WATCHDOG=trigger\nWATCHDOG_USEC=20000000",
        "EXTEND_TIMEOUT_USEC=5000000",
        "FDSTORE=1\nFDNAME=socket",
    ];
    let one = LINES.iter().map(|line| line.as_bytes().to_vec());
    one.chain([LINES.join("\n").into_bytes(), b"BARRIER=1".to_vec()])
        .collect()
}
