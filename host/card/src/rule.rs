//! [`Rule`]: the stable names of everything that can be wrong with a Card.

use std::fmt;

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// What a Card can do wrong. The codes are a stable interface: they are added to, never changed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Rule {
            $($(#[$doc])* $name,)*
        }

        impl Rule {
            /// Every rule.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The name in kebab-case.
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }
        }
    };
}

rules! {
    /// The file is not JSON, or not TOML.
    Syntax = "syntax",
    /// The file is larger than 4 MiB.
    TooLarge = "too-large",
    /// The file holds more values than a Card of 4 MiB can need.
    TooManyValues = "too-many-values",
    /// A key stands twice in one object.
    DuplicateKey = "duplicate-key",
    /// A value of another type than the key asks for.
    WrongType = "wrong-type",
    /// A word that is not among those the key knows.
    UnknownWord = "unknown-word",
    /// A key nobody knows, in an object below a Card.
    UnknownKey = "unknown-key",
    /// A required key is absent.
    MissingKey = "missing-key",
    /// A text of the right type that does not have the form asked for (ULID, sha256, UUID, address, interface).
    Malformed = "malformed",
    /// `schema_version` is not 1.
    SchemaVersion = "schema-version",
    /// `label` is blank or longer than 256 bytes.
    LabelLength = "label-length",
    /// `label` has a control character.
    LabelControl = "label-control",
    /// Two Cards have the same label.
    LabelDuplicate = "label-duplicate",
    /// `id` or another identity is all zeros.
    IdNil = "id-nil",
    /// Two Cards have the same identity.
    IdDuplicate = "id-duplicate",
    /// Cards are nested more than 32 deep.
    Depth = "depth",
    /// More than 65,536 Cards.
    CardCount = "card-count",
    /// A key in `extensions` has the name of a field.
    ExtensionName = "extension-name",
    /// A Card requires what it provides.
    ProvidesRequires = "provides-requires",
    /// A Card conflicts with what it provides.
    ConflictsProvides = "conflicts-provides",
    /// `Any` is empty.
    AnyEmpty = "any-empty",
    /// `at_least` is not between 1 and the size of `of`.
    Quorum = "quorum",
    /// `exec` is blank or not absolute.
    ExecPath = "exec-path",
    /// `module_sha256` is all zeros.
    PinZero = "pin-zero",
    /// `entry` is blank.
    EntryBlank = "entry-blank",
    /// `entry: http` without a socket to listen on.
    EntryListen = "entry-listen",
    /// A text handed to a program has a NUL byte.
    Nul = "nul",
    /// The name of an environment variable is empty or has `=`.
    EnvName = "env-name",
    /// An environment variable stands twice.
    EnvDuplicate = "env-duplicate",
    /// A path is not absolute, or climbs with `..`.
    PathAbsolute = "path-absolute",
    /// A preopened folder needs more `permissions.filesystem`.
    PreopenPermission = "preopen-permission",
    /// A preopened folder or a mount appears where another one does.
    TargetDuplicate = "target-duplicate",
    /// A resource limit out of range.
    Rlimit = "rlimit",
    /// A setting of the cgroup out of range.
    CgroupValue = "cgroup-value",
    /// The cgroup's path is absolute, blank, or climbs with `..`.
    CgroupPath = "cgroup-path",
    /// `cpu_affinity` names no CPU.
    CpuAffinity = "cpu-affinity",
    /// `mounts` without a mount namespace.
    MountsNamespace = "mounts-namespace",
    /// The delays of `Restart` are 0, or the first is longer than the longest.
    Backoff = "backoff",
    /// A time or a count that must be above 0, or below a cap.
    Range = "range",
    /// The name of a flow is blank.
    FlowName = "flow-name",
    /// Two flows of one direction have the same name.
    FlowDuplicate = "flow-duplicate",
    /// Not a well-known name of D-Bus.
    DbusName = "dbus-name",
    /// The name of a listening socket is not one `LISTEN_FDNAMES` can carry.
    ListenName = "listen-name",
    /// Two listening sockets have the same name.
    ListenDuplicate = "listen-duplicate",
    /// A listening socket needs more `permissions.networking`.
    ListenPermission = "listen-permission",
    /// The name of a credential is not a plain file name.
    CredentialName = "credential-name",
    /// Two credentials have the same name.
    CredentialDuplicate = "credential-duplicate",
    /// The running machine cannot enforce what the Card asks for. Never found here: for the init, which
    /// knows the machine and adds it to a report.
    Unenforceable = "unenforceable",
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
