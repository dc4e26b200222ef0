//! How an Ente is started, watched, restarted and stopped.

use schemars::JsonSchema;
use serde::Serialize;

/// What happens when an Ente ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub enum Supervision {
    /// It is started again, at the earliest after a delay that begins with the last start and doubles from
    /// `initial` to `max`.
    Restart {
        /// The first delay, milliseconds, at least 1.
        #[schemars(range(min = 1))]
        initial: u64,
        /// The longest delay, milliseconds; a life of this length resets the delay.
        #[schemars(range(min = 1))]
        max: u64,
    },
    /// It runs once.
    #[default]
    OneShot,
    /// Somebody else decides: the Ente that holds `Spawn`.
    Delegate,
}

/// What kind of life the Ente leads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Lifecycle {
    /// Lives until it is stopped.
    #[default]
    Daemon,
    /// Does one thing and ends.
    Oneshot,
    /// Comes and goes with its user.
    Widget,
}

/// Which provider is asked first.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Priority {
    /// After the others.
    Low,
    /// The default.
    #[default]
    Normal,
    /// Before the others.
    High,
    /// Before all others.
    Critical,
}

/// When an Ente counts as Ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Readiness {
    /// When it is started: exec succeeded, or the component's `start` returned ok.
    #[default]
    Started,
    /// When it sends `READY=1` (sd_notify(3)).
    Notify,
    /// When it announces its capabilities on the bus.
    Announce,
    /// When it exits with 0.
    Exit,
}

/// Which ends lead to a restart, where supervision restarts at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RestartOn {
    /// Every end.
    #[default]
    Always,
    /// Every end but exit 0.
    Failure,
}

/// How many starts in how much time are a crash loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StartLimit {
    /// Starts, at least 1.
    #[schemars(range(min = 1))]
    pub burst: u32,
    /// Milliseconds, at least 1.
    #[schemars(range(min = 1))]
    pub interval_ms: u64,
}

impl Default for StartLimit {
    fn default() -> Self {
        Self {
            burst: 5,
            interval_ms: 10_000,
        }
    }
}
