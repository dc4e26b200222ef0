//! What the broker matches: data flows between Entes, references, facets of data Cards.

use schemars::JsonSchema;
use serde::Serialize;

use crate::default::is_default;
use crate::id::Id;

/// The flows of a Card.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Flows {
    /// What comes in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub input: Vec<Flow>,
    /// What goes out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub output: Vec<Flow>,
}

/// A typed flow of data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Flow {
    /// Its name, unique in its direction.
    pub name: String,
    /// What flows.
    #[serde(rename = "type")]
    pub ty: FlowType,
    /// Label of the only Ente it is to be matched with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin_to: Option<String>,
}

/// The type of a flow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum FlowType {
    /// A type known by its name alone.
    Primitive {
        /// The name.
        name: String,
    },
    /// A type declared in a WIT package.
    Wit {
        /// The package, `namespace:package`, with or without a version.
        package: String,
        /// The interface that declares it, if it is not declared in a world.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        interface: Option<String>,
        /// The type's name.
        name: String,
    },
}

/// A tie to another Card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// Which tie.
    pub kind: ReferenceKind,
    /// The other Card's identity.
    pub target_id: Id,
    /// The other Card's label, for people.
    pub target_label: String,
}

/// How a Card is tied to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReferenceKind {
    /// This Card owns the other.
    Owns,
    /// The other owns this one.
    OwnedBy,
    /// This one processes the other's data.
    Processes,
    /// The other processes this one's data.
    ProcessedBy,
    /// Both belong together.
    Sibling,
}

/// Whether a Card describes something that runs or something that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CardKind {
    /// Something that runs.
    #[default]
    Ente,
    /// Something that is known.
    Data,
}

/// What a data Card says of its data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DataFacet {
    /// In a sentence.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// In words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
    /// The middle of its members in the space of embeddings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub centroid: Vec<f64>,
    /// How many members.
    #[serde(skip_serializing_if = "is_default")]
    pub member_count: u64,
    /// How far the members lie from the centroid.
    #[serde(skip_serializing_if = "is_default")]
    pub dispersion: f64,
    /// How to show it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presentation_hint: Option<String>,
}

/// What changes in a broker context of a given name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PriorityContext {
    /// Label of the only Ente this Card's inputs are matched with in the context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pin_to: Option<String>,
    /// Added to the priority in the context.
    #[serde(skip_serializing_if = "is_default")]
    pub priority_offset: i8,
}
