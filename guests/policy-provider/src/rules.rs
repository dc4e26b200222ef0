//! The rules, and how they decide.
//!
//! ```json
//! {"rules": [
//!     {"name": "root may", "actions": ["*"], "uids": [0], "verdict": "allow"},
//!     {"name": "users may suspend", "actions": ["org.freedesktop.login1.suspend*"], "callers": ["compat-polkit"],
//!      "uids": [1000, 1001], "verdict": "allow"}
//! ]}
//! ```
//!
//! A rule matches when each of its conditions does: `actions` (the action), `callers` (label of the Ente that asks),
//! `labels` (label of the subject), `uids` (user of the subject). A condition that is left out matches everything; one
//! of a label or a user that is not known matches nothing. In `actions`, `callers` and `labels` a final `*` stands for
//! any end. A key that is not known, a name given twice and an empty list are errors: each would be a rule that
//! decides something else than its author meant.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// May it be done?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Allow,
    Deny,
}

/// Who wants to do something, as the asker has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// Label of its Ente.
    pub label: Option<String>,
    /// Its user.
    pub uid: Option<u32>,
    /// Its process; decides nothing, and is logged.
    pub pid: Option<u32>,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = self.label.as_ref().map(|label| format!("label={label}"));
        let uid = self.uid.map(|uid| format!("uid={uid}"));
        let pid = self.pid.map(|pid| format!("pid={pid}"));
        let known: Vec<String> = [label, uid, pid].into_iter().flatten().collect();
        f.write_str(if known.is_empty() { "unknown" } else { "" })?;
        f.write_str(&known.join(" "))
    }
}

/// What is asked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    pub action: String,
    pub subject: Subject,
}

/// What is answered.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Answer<'a> {
    pub verdict: Verdict,
    /// Name of the rule that decided; none did where nothing matched.
    pub rule: Option<&'a str>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    name: String,
    actions: Vec<String>,
    callers: Option<Vec<String>>,
    labels: Option<Vec<String>>,
    uids: Option<Vec<u32>>,
    verdict: Verdict,
}

/// All rules, in order.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    rules: Vec<Rule>,
}

impl Rules {
    /// Reads rules.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rules: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let mut names = BTreeSet::new();
        for Rule { name, .. } in &rules.rules {
            if !names.insert(name) {
                return Err(format!(
                    "two rules have the name {name:?}; the log names rules by it"
                ));
            }
        }
        match rules.rules.iter().find_map(Rule::empty_list) {
            Some(why) => Err(why),
            None => Ok(rules),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// The first rule that matches decides; else it is denied.
    pub fn decide(&self, question: &Question, caller: Option<&str>) -> Answer<'_> {
        let found = self
            .rules
            .iter()
            .find(|rule| rule.matches(question, caller));
        Answer {
            verdict: found.map_or(Verdict::Deny, |rule| rule.verdict),
            rule: found.map(|rule| rule.name.as_str()),
        }
    }
}

impl Rule {
    fn matches(&self, question: &Question, caller: Option<&str>) -> bool {
        let Question { action, subject } = question;
        any(&self.actions, Some(action))
            && self.callers.as_ref().is_none_or(|known| any(known, caller))
            && self
                .labels
                .as_ref()
                .is_none_or(|known| any(known, subject.label.as_deref()))
            && self
                .uids
                .as_ref()
                .is_none_or(|known| subject.uid.is_some_and(|uid| known.contains(&uid)))
    }

    /// The first list of conditions that nothing can match.
    fn empty_list(&self) -> Option<String> {
        let is_empty = |list: &Option<Vec<String>>| list.as_ref().is_some_and(Vec::is_empty);
        let lists = [
            ("actions", self.actions.is_empty()),
            ("callers", is_empty(&self.callers)),
            ("labels", is_empty(&self.labels)),
            ("uids", self.uids.as_ref().is_some_and(Vec::is_empty)),
        ];
        let (key, _) = lists.into_iter().find(|(_, is_empty)| *is_empty)?;
        Some(format!(
            "rule {:?}: {key} is empty, so the rule would never match; leave the key out, or the rule",
            self.name
        ))
    }
}

/// Whether one of the patterns is this text.
fn any(patterns: &[String], text: Option<&str>) -> bool {
    text.is_some_and(|text| {
        patterns
            .iter()
            .any(|pattern| match pattern.strip_suffix('*') {
                Some(beginning) => text.starts_with(beginning),
                None => text == pattern,
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(action: &str, label: Option<&str>, uid: Option<u32>) -> Question {
        Question {
            action: action.to_owned(),
            subject: Subject {
                label: label.map(str::to_owned),
                uid,
                pid: None,
            },
        }
    }

    /// Name of the rule that decides, and whether it allows.
    fn decided(rules: &str, question: &Question, caller: Option<&str>) -> (Option<String>, bool) {
        let rules = Rules::parse(rules).unwrap();
        let answer = rules.decide(question, caller);
        (
            answer.rule.map(str::to_owned),
            answer.verdict == Verdict::Allow,
        )
    }

    #[test]
    fn without_a_rule_that_matches_it_is_denied() {
        let root = question("a", Some("x"), Some(0));
        assert_eq!(decided(r#"{"rules": []}"#, &root, Some("x")), (None, false));
    }

    #[test]
    fn the_first_that_matches_decides() {
        let rules = r#"{"rules": [
            {"name": "not this", "actions": ["power.off"], "verdict": "deny"},
            {"name": "the others", "actions": ["power.*"], "verdict": "allow"}
        ]}"#;
        let decide = |action| decided(rules, &question(action, None, None), None);
        assert_eq!(decide("power.off"), (Some("not this".into()), false));
        assert_eq!(decide("power.offline"), (Some("the others".into()), true));
        assert_eq!(decide("power"), (None, false));
    }

    #[test]
    fn each_condition_must_match_and_what_is_unknown_matches_none() {
        let rules = r#"{"rules": [{"name": "r", "actions": ["a"], "callers": ["shim-*"], "labels": ["web"],
            "uids": [0, 7], "verdict": "allow"}]}"#;
        let cases = [
            ("a", Some("shim-1"), Some("web"), Some(0), true),
            ("a", Some("shim-1"), Some("web"), Some(7), true),
            ("b", Some("shim-1"), Some("web"), Some(7), false),
            ("a", Some("shim"), Some("web"), Some(7), false),
            ("a", None, Some("web"), Some(7), false),
            ("a", Some("shim-1"), Some("web2"), Some(7), false),
            ("a", Some("shim-1"), None, Some(7), false),
            ("a", Some("shim-1"), Some("web"), Some(1), false),
            ("a", Some("shim-1"), Some("web"), None, false),
        ];
        for (action, caller, label, uid, allowed) in cases {
            let question = question(action, label, uid);
            let got = decided(rules, &question, caller).1;
            assert_eq!(got, allowed, "{action} {caller:?} {label:?} {uid:?}");
        }
    }

    #[test]
    fn rules_that_mean_something_else_than_they_say_are_refused() {
        let rule =
            |rest: &str| format!(r#"{{"rules": [{{"name": "r", "verdict": "allow", {rest}}}]}}"#);
        let cases = [
            (rule(r#""uids": [0]"#), "missing field `actions`"),
            (
                rule(r#""actions": ["*"], "uid": [0]"#),
                "unknown field `uid`",
            ),
            (rule(r#""actions": []"#), "actions is empty"),
            (rule(r#""actions": ["a"], "uids": []"#), "uids is empty"),
            (rule(r#""actions": ["a"], "labels": []"#), "labels is empty"),
            (rule(r#""actions": ["a"], "uids": [-1]"#), "invalid value"),
            (
                r#"{"rules": [], "default": "allow"}"#.to_owned(),
                "unknown field `default`",
            ),
            (String::new(), "EOF"),
        ];
        for (text, expected) in cases {
            let error = Rules::parse(&text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let twice = r#"{"rules": [
            {"name": "r", "actions": ["a"], "verdict": "deny"},
            {"name": "r", "actions": ["b"], "verdict": "allow"}
        ]}"#;
        assert!(Rules::parse(twice).unwrap_err().contains("two rules"));
    }

    #[test]
    fn a_subject_of_whom_nothing_is_known_is_called_so() {
        assert_eq!(question("a", None, None).subject.to_string(), "unknown");
        let known = question("a", Some("x"), Some(0));
        assert_eq!(known.subject.to_string(), "label=x uid=0");
    }
}
