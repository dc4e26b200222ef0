//! Rules on how an Ente lives and on what the host holds for it.

use super::Findings;
use crate::path::Path;
use crate::report::{Finding, quoted};
use crate::rule::Rule;
use crate::{Card, Credential, Dbus, Limits, Listen, ListenOn, Networking, Supervision};

/// The longest mailbox of a component. A full one holds that many calls' arguments in memory.
const MAX_MAILBOX: u64 = 65_536;

/// The longest name the D-Bus specification allows, and the longest file name.
const MAX_NAME_BYTES: usize = 255;

pub(super) fn check(card: &Card, at: &Path<'_>, findings: &mut Findings) {
    check_supervision(card.supervision, &at.key("supervision"), findings);
    let start_limit = at.key("start_limit");
    let positive = [
        (at.key("liveness_ms"), card.liveness_ms.unwrap_or(1)),
        (at.key("stop_timeout_ms"), card.stop_timeout_ms),
        (start_limit.key("burst"), u64::from(card.start_limit.burst)),
        (start_limit.key("interval_ms"), card.start_limit.interval_ms),
    ];
    for (at, value) in positive {
        findings.range(Rule::Range, &at, value, 1..=u64::MAX);
    }
    check_limits(&card.limits, &at.key("limits"), findings);
    check_listen(card, at, findings);
    if let Some(dbus) = &card.dbus {
        check_dbus(dbus, &at.key("dbus"), findings);
    }
    check_credentials(&card.credentials, &at.key("credentials"), findings);
}

fn check_supervision(supervision: Supervision, at: &Path<'_>, findings: &mut Findings) {
    let Supervision::Restart { initial, max } = supervision else {
        return;
    };
    let at = at.key("Restart");
    findings.range(Rule::Backoff, &at.key("initial"), initial, 1..=u64::MAX);
    findings.range(Rule::Backoff, &at.key("max"), max, 1..=u64::MAX);
    let both_read = findings.is_sound(&at.key("initial")) && findings.is_sound(&at.key("max"));
    if initial > max && both_read {
        let found = format!("initial {initial} ms above max {max} ms");
        let remedy = "the delay doubles from initial to max: correct one of the two";
        findings.add(
            &at,
            Finding::new(Rule::Backoff, found, "initial at most max", remedy),
        );
    }
}

fn check_limits(limits: &Limits, at: &Path<'_>, findings: &mut Findings) {
    findings.range(
        Rule::Range,
        &at.key("memory_bytes"),
        limits.memory_bytes,
        1..=u64::MAX,
    );
    findings.range(
        Rule::Range,
        &at.key("call_ms"),
        limits.call_ms,
        1..=u64::MAX,
    );
    findings.range(
        Rule::Range,
        &at.key("mailbox"),
        u64::from(limits.mailbox),
        1..=MAX_MAILBOX,
    );
}

fn check_listen(card: &Card, card_at: &Path<'_>, findings: &mut Findings) {
    let list = card_at.key("listen");
    for (index, listen) in card.listen.iter().enumerate() {
        let at = list.index(index);
        check_listen_name(&listen.name, &at.key("name"), findings);
        if let ListenOn::Unix(path) | ListenOn::UnixDatagram(path) = &listen.on {
            findings.absolute(&at.key(listen.on.key()), path);
        }
        check_listen_permission(card, listen, card_at, &at, findings);
    }
    let names = card.listen.iter().map(|listen| listen.name.as_str());
    findings.distinct(Rule::ListenDuplicate, &list, "name", names);
}

/// sd_listen_fds(3): ASCII without control characters and colons, at most 255 bytes.
fn check_listen_name(name: &str, at: &Path<'_>, findings: &mut Findings) {
    let printable = name
        .bytes()
        .all(|b| (b' '..=b'~').contains(&b) && b != b':');
    if name.trim().is_empty() || name.len() > MAX_NAME_BYTES || !printable {
        let expected = "1 to 255 printable ASCII characters, no colon";
        let remedy = "give the socket such a name: LISTEN_FDNAMES carries it";
        findings.add(
            at,
            Finding::new(Rule::ListenName, quoted(name), expected, remedy),
        );
    }
}

fn check_listen_permission(
    card: &Card,
    listen: &Listen,
    card_at: &Path<'_>,
    at: &Path<'_>,
    findings: &mut Findings,
) {
    let (ListenOn::Tcp(address) | ListenOn::Udp(address)) = &listen.on else {
        return;
    };
    let needed = if address.ip().is_loopback() {
        Networking::Loopback
    } else {
        Networking::Full
    };
    let granted = card.permissions.networking;
    if granted < needed && findings.is_granted(card_at, "networking") {
        let finding = Finding::new(
            Rule::ListenPermission,
            format!(
                "{address} with permissions.networking = {:?}",
                granted.as_str()
            ),
            format!("at least {:?}", needed.as_str()),
            "grant it, or listen on a unix socket",
        );
        findings.add(&at.key(listen.on.key()), finding);
    }
}

fn check_dbus(dbus: &Dbus, at: &Path<'_>, findings: &mut Findings) {
    let own = at.key("own");
    for (index, name) in dbus
        .own
        .iter()
        .enumerate()
        .filter(|(_, name)| !is_bus_name(name))
    {
        let finding = Finding::new(
            Rule::DbusName,
            quoted(name),
            "a well-known bus name, as in org.example.Name1",
            "two or more words of A-Z a-z 0-9 _ - joined by dots, none beginning with a digit",
        );
        findings.add(&own.index(index), finding);
    }
}

/// A well-known name by the D-Bus specification ("Bus names").
fn is_bus_name(name: &str) -> bool {
    let word = |word: &str| {
        !word.is_empty()
            && !word.starts_with(|c: char| c.is_ascii_digit())
            && word
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    };
    name.len() <= MAX_NAME_BYTES && name.contains('.') && name.split('.').all(word)
}

fn check_credentials(credentials: &[Credential], at: &Path<'_>, findings: &mut Findings) {
    for (index, credential) in credentials.iter().enumerate() {
        let at = at.index(index);
        let name = &credential.name;
        let plain = !matches!(name.as_str(), "" | "." | "..")
            && name.len() <= MAX_NAME_BYTES
            && !name.contains('/')
            && !name.contains(char::is_control);
        if !plain {
            let expected = "a plain file name of at most 255 bytes";
            let remedy = "rename it: it becomes a file in $CREDENTIALS_DIRECTORY";
            let finding = Finding::new(Rule::CredentialName, quoted(name), expected, remedy);
            findings.add(&at.key("name"), finding);
        }
        findings.absolute(&at.key("source"), &credential.source);
    }
    let names = credentials
        .iter()
        .map(|credential| credential.name.as_str());
    findings.distinct(Rule::CredentialDuplicate, at, "name", names);
}
