//! The steps by name and number.

/// The steps. The number is the tag in the plan, the step in a [`Failure`](crate::Failure) and the rank in the order:
/// a plan whose tags do not ascend is refused, so there is one order and no plan can ask for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum StepKind {
    /// Reading and checking the plan itself. Never a record; only in a failure.
    Plan = 0x00,
    /// Placing the executor's descriptors and executing it. Never a record; only in a failure, which the child itself
    /// reports.
    Executor = 0x04,
    /// A session of its own.
    Session = 0x10,
    /// File mode creation mask.
    Umask = 0x20,
    /// Namespaces of its own, all but the two of processes and users.
    Namespaces = 0x28,
    /// The host name in its own UTS namespace.
    HostName = 0x2a,
    /// The loopback interface of its own network namespace.
    Loopback = 0x2c,
    /// Mounts in its own mount namespace.
    Mounts = 0x30,
    /// A user namespace of its own.
    UserNamespace = 0x34,
    /// The executor stays as the first process of its PID namespace; a child goes on.
    Init = 0x38,
    /// Standard input becomes the controlling terminal.
    Terminal = 0x3c,
    /// Working directory.
    WorkingDirectory = 0x40,
    /// Passed descriptors to their places, all others closed.
    Descriptors = 0x48,
    /// The CPUs it may run on.
    Affinity = 0x50,
    /// One resource limit; repeats, once per resource.
    Rlimit = 0x58,
    /// Nothing that it executes gives it more privileges.
    NoNewPrivileges = 0x60,
    /// What it may do to which files, and to whom it may talk.
    Landlock = 0x64,
    /// The capabilities that it, and what it executes, can ever have.
    Capabilities = 0x68,
    /// User, group and supplementary groups.
    Credentials = 0x6c,
    /// One filter of system calls; repeats.
    Seccomp = 0x70,
    /// Replace the executor by the program.
    Exec = 0x7f,
}

impl StepKind {
    /// Every step, in order.
    pub const ALL: [StepKind; 21] = [
        StepKind::Plan,
        StepKind::Executor,
        StepKind::Session,
        StepKind::Umask,
        StepKind::Namespaces,
        StepKind::HostName,
        StepKind::Loopback,
        StepKind::Mounts,
        StepKind::UserNamespace,
        StepKind::Init,
        StepKind::Terminal,
        StepKind::WorkingDirectory,
        StepKind::Descriptors,
        StepKind::Affinity,
        StepKind::Rlimit,
        StepKind::NoNewPrivileges,
        StepKind::Landlock,
        StepKind::Capabilities,
        StepKind::Credentials,
        StepKind::Seccomp,
        StepKind::Exec,
    ];

    /// The step with this tag, if there is one.
    #[must_use]
    pub fn from_tag(tag: u8) -> Option<StepKind> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == tag)
    }

    /// Name for messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            StepKind::Plan => "plan",
            StepKind::Executor => "executor",
            StepKind::Session => "session",
            StepKind::Umask => "umask",
            StepKind::Namespaces => "namespaces",
            StepKind::HostName => "host name",
            StepKind::Loopback => "loopback",
            StepKind::Mounts => "mounts",
            StepKind::UserNamespace => "user namespace",
            StepKind::Init => "init",
            StepKind::Terminal => "controlling terminal",
            StepKind::WorkingDirectory => "working directory",
            StepKind::Descriptors => "descriptors",
            StepKind::Affinity => "affinity",
            StepKind::Rlimit => "rlimit",
            StepKind::NoNewPrivileges => "no new privileges",
            StepKind::Landlock => "landlock",
            StepKind::Capabilities => "capabilities",
            StepKind::Credentials => "credentials",
            StepKind::Seccomp => "seccomp",
            StepKind::Exec => "exec",
        }
    }
}
