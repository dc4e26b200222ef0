//! The policy provider: answers whether somebody may do something, by rules. Its Card provides
//! `{"Endpoint": {"interface": "b0b0b0b0-b0b0-b0b0-b0b0-b0b0b0b0b0b0", "version": 1}}`.
//!
//! It is asked with JSON and answers with JSON:
//!
//! ```json
//! {"action": "org.freedesktop.login1.reboot", "subject": {"label": "shell", "uid": 1000}}
//! {"verdict": "deny", "rule": null}
//! ```
//!
//! The rules are read once, when it starts ([`rules`] has their form): from the file that the Card's first argument
//! names, in one of its preopens, else from the variable `RULES`. Without rules that can be read it does not start.
//! The first rule that matches decides; where none does, the verdict is `deny` and `rule` is null. Every question is
//! logged: who asked, as the host knows it, about which subject, as the asker has it, and the verdict.

mod rules;

use arje_sdk::bus::{Caller, HandlerError, Origin};
use arje_sdk::{Capability, CardInfo, Endpoint, Handler, Service, info, service, warn};
use rules::{Answer, Question, Rules, Verdict};

/// The interface id reserved for policy decisions: one byte, 16 times.
const POLICY: u64 = 0xb0b0_b0b0_b0b0_b0b0;
/// The one version there is.
const VERSION: u16 = 1;
/// Where the rules are when no file is named.
const VARIABLE: &str = "RULES";

/// The service.
#[derive(Debug)]
pub struct PolicyProvider {
    rules: Rules,
}

impl Service for PolicyProvider {
    fn start(_card: &CardInfo) -> Result<Self, String> {
        let rules = match (std::env::args().nth(1), std::env::var(VARIABLE)) {
            (Some(path), _) => {
                let text = std::fs::read_to_string(&path);
                let text = text.map_err(|error| format!("{path}: cannot be read: {error}"))?;
                Rules::parse(&text).map_err(|why| format!("{path}: {why}"))?
            }
            (None, Ok(text)) => Rules::parse(&text).map_err(|why| format!("{VARIABLE}: {why}"))?,
            (None, Err(_)) => {
                return Err(format!(
                    "there are no rules; name a file in a preopen as the first argument, or set {VARIABLE}"
                ));
            }
        };
        info!("deciding by rules"; rules = rules.len());
        Ok(Self { rules })
    }
}

impl Handler for PolicyProvider {
    fn handle(
        &mut self,
        caller: Caller,
        capability: Capability,
        payload: Vec<u8>,
    ) -> Result<Vec<u8>, HandlerError> {
        let policy = Endpoint {
            high: POLICY,
            low: POLICY,
            version: VERSION,
        };
        if capability != Capability::Endpoint(policy) {
            return Err(HandlerError::Unsupported);
        }
        let question: Question = serde_json::from_slice(&payload).map_err(|error| {
            warn!("policy question not understood"; caller = name(&caller), why = error);
            HandlerError::BadRequest(error.to_string())
        })?;
        let answer = self.rules.decide(&question, caller.label.as_deref());
        log(&caller, &question, &answer);
        serde_json::to_vec(&answer).map_err(|error| HandlerError::Failed(error.to_string()))
    }
}

/// The caller as people read it.
fn name(caller: &Caller) -> String {
    match (&caller.label, &caller.origin) {
        (Some(label), _) => label.clone(),
        (None, Origin::Process(process)) => {
            format!("process {} of user {}", process.pid, process.uid)
        }
        (None, Origin::Component) => "a component".to_owned(),
    }
}

fn log(caller: &Caller, question: &Question, answer: &Answer<'_>) {
    let verdict = match answer.verdict {
        Verdict::Allow => "allow",
        Verdict::Deny => "deny",
    };
    info!(
        "policy decision";
        caller = name(caller),
        action = question.action,
        subject = question.subject,
        verdict = verdict,
        rule = answer.rule.unwrap_or("none matched"),
    );
}

service!(PolicyProvider, handler);

#[cfg(test)]
mod tests {
    use super::*;
    use arje_sdk::bus::Process;
    use arje_sdk::fake::Host;

    const RULES: &str = r#"{"rules": [
        {"name": "root", "actions": ["*"], "uids": [0], "verdict": "allow"}
    ]}"#;

    fn policy(version: u16) -> Capability {
        Capability::Endpoint(Endpoint {
            high: POLICY,
            low: POLICY,
            version,
        })
    }

    fn provider() -> PolicyProvider {
        PolicyProvider {
            rules: Rules::parse(RULES).unwrap(),
        }
    }

    fn ask(host: &Host, payload: &str) -> Result<String, HandlerError> {
        let answer = provider().handle(host.caller("shim"), policy(1), payload.into());
        answer.map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn questions_and_answers_are_json() {
        let host = Host::new();
        let root = ask(&host, r#"{"action": "reboot", "subject": {"uid": 0}}"#);
        assert_eq!(root.unwrap(), r#"{"verdict":"allow","rule":"root"}"#);
        let other = ask(&host, r#"{"action": "reboot", "subject": {"uid": 7}}"#);
        assert_eq!(other.unwrap(), r#"{"verdict":"deny","rule":null}"#);
    }

    #[test]
    fn every_decision_is_logged() {
        let host = Host::new();
        ask(
            &host,
            r#"{"action": "a", "subject": {"label": "sh", "uid": 7}}"#,
        )
        .unwrap();
        let line = &host.lines()[0];
        assert_eq!(line.message, "policy decision");
        let expected = [
            ("caller", "shim"),
            ("action", "a"),
            ("subject", "label=sh uid=7"),
            ("verdict", "deny"),
            ("rule", "none matched"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(line.fields, expected);
    }

    #[test]
    fn what_is_no_question_is_refused_and_logged() {
        let host = Host::new();
        let cases = [
            "",
            "[]",
            r#"{"action": "a"}"#,
            r#"{"action": "a", "subject": {"user": 0}}"#,
            r#"{"action": "a", "subject": {"uid": -1}}"#,
            r#"{"action": "a", "subject": {}, "force": true}"#,
        ];
        for payload in cases {
            let refused = ask(&host, payload);
            assert!(
                matches!(refused, Err(HandlerError::BadRequest(_))),
                "{payload}"
            );
        }
        assert_eq!(host.messages(), ["policy question not understood"; 6]);
    }

    #[test]
    fn only_its_own_interface_is_answered() {
        let host = Host::new();
        let payload = || br#"{"action": "a", "subject": {"uid": 0}}"#.to_vec();
        for capability in [policy(2), Capability::Journal] {
            let answer = provider().handle(host.caller("x"), capability, payload());
            assert_eq!(answer, Err(HandlerError::Unsupported));
        }
        assert_eq!(host.lines(), []);
    }

    #[test]
    fn callers_are_named_as_the_host_knows_them() {
        let host = Host::new();
        let mut caller = host.caller("shim");
        assert_eq!(name(&caller), "shim");
        caller.label = None;
        assert_eq!(name(&caller), "a component");
        caller.origin = Origin::Process(Process {
            pid: 12,
            uid: 1000,
            gid: 100,
        });
        assert_eq!(name(&caller), "process 12 of user 1000");
    }
}
