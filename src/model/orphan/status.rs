//! What an `Orphan` object says of how far it has come. The daemon reads back what it wrote, so these types are both.

use jiff::Timestamp;
use rust_decimal::Decimal;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// How far an orphan has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OrphanPhase {
    /// It is recorded, and nothing more: no policy is known for it, or the policy is in audit mode.
    Marked,
    /// It has to stay an orphan for a while.
    Soaking,
    /// Something speaks against judging it, or somebody vetoed it.
    Held,
    /// It may go, once its absence of an owner has been proved anew.
    Due,
    /// Its deletion was asked for, or is about to be.
    Deleting,
    /// It is gone. The object is kept for a while, as history.
    Deleted,
}

impl OrphanPhase {
    /// The word, as in the object's status.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Marked => "Marked",
            Self::Soaking => "Soaking",
            Self::Held => "Held",
            Self::Due => "Due",
            Self::Deleting => "Deleting",
            Self::Deleted => "Deleted",
        }
    }
}

/// What the daemon knows of an orphan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrphanStatus {
    /// How far it has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<OrphanPhase>,
    /// Why it is an orphan, or why it is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<StatusReason>,
    /// When it was first seen to be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "moment")]
    pub first_seen: Option<Timestamp>,
    /// When it was last seen to be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "moment")]
    pub last_seen: Option<Timestamp>,
    /// How often it was seen to be one, in all.
    #[serde(default)]
    #[schemars(schema_with = "count")]
    pub observations: u32,
    /// The soak that runs now. It starts anew when audit becomes enforce, and when this CRD was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soak: Option<Soak>,
    /// When it goes if nothing happens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "moment")]
    pub deletes_at: Option<Timestamp>,
    /// When it was found to be gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "moment")]
    pub deleted_at: Option<Timestamp>,
    /// What it costs, in USD an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "money")]
    pub cost_per_hour: Option<Decimal>,
    /// The final snapshot, if one was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_snapshot: Option<FinalSnapshot>,
    /// What the verdict stands on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["source"]))]
    pub evidence: Vec<StatusEvidence>,
    /// Conditions: Due, Held, Snapshotted, Refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// The condition that its end was asked for again and again, and refused.
const REFUSED: &str = "Refused";

impl OrphanStatus {
    /// The words of whoever refuses its end, if it says that somebody does.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        let refused = self.conditions.iter().find(|condition| condition.r#type == REFUSED);
        refused.filter(|condition| condition.status == ConditionStatus::True).map(|condition| condition.message.as_str())
    }

    /// Says that its end is refused, in these words, or not any more. Returns whether that is news.
    pub fn refuse(&mut self, words: Option<&str>, now: Timestamp) -> bool {
        if self.refusal() == words {
            return false;
        }
        let turns = self.refusal().is_some() != words.is_some();
        let mut refused = match self.conditions.iter().position(|condition| condition.r#type == REFUSED) {
            Some(place) => self.conditions.remove(place),
            None => Condition {
                r#type: REFUSED.to_owned(),
                status: ConditionStatus::False,
                reason: String::new(),
                message: String::new(),
                last_transition_time: None,
                observed_generation: None,
            },
        };
        (refused.status, refused.reason) = match words {
            Some(_) => (ConditionStatus::True, REFUSED.to_owned()),
            None => (ConditionStatus::False, "NotRefused".to_owned()),
        };
        refused.message = words.unwrap_or_default().to_owned();
        if turns {
            refused.last_transition_time = Some(now);
        }
        self.conditions.push(refused);
        true
    }
}

/// How long something has been an orphan without a break, against how long it must have been one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Soak {
    /// Since when it counts.
    #[schemars(schema_with = "moment")]
    pub since: Timestamp,
    /// How often it was seen since then.
    #[schemars(schema_with = "count")]
    pub observations: u32,
    /// How long it must last, such as 1h; as the policy says.
    pub duration: String,
    /// How often it must have been seen; as the policy says.
    #[schemars(schema_with = "count")]
    pub observations_needed: u32,
}

/// The snapshot that was taken before a database went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FinalSnapshot {
    /// Its identifier in AWS.
    pub id: String,
    /// The identifier of what it is taken of.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub of: String,
    /// When it goes itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "moment")]
    pub expires_at: Option<Timestamp>,
}

/// A reason code with its sentence.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatusReason {
    /// The code, in CamelCase.
    pub code: String,
    /// The sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// How well one source was known when it was last looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusEvidence {
    /// The source, such as clones or rds/us-east-1.
    pub source: String,
    /// Whether everything that is there was seen.
    pub complete: bool,
    /// When it was seen.
    #[schemars(schema_with = "moment")]
    pub observed_at: Timestamp,
    /// Why it is not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A condition, as everywhere in Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Its type.
    #[schemars(length(min = 1, max = 316))]
    pub r#type: String,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why, in CamelCase.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Since when it has this status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "moment")]
    pub last_transition_time: Option<Timestamp>,
    /// The generation of the object that it was judged by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It does.
    True,
    /// It does not.
    False,
    /// It is not known.
    Unknown,
}

/// A moment, RFC 3339.
pub(crate) fn moment(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time"})
}

/// USD as a decimal string; a correction may be negative.
pub(crate) fn money(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "maxLength": 40, "pattern": r"^-?[0-9]+(\.[0-9]+)?$"})
}

/// A count. Kubernetes knows no unsigned formats.
pub(crate) fn count(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "format": "int64", "minimum": 0})
}
