//! Documents that only the controller knows: they never leave it.

use std::{collections::BTreeMap, fmt, net::SocketAddr};

use serde::{Deserialize, Serialize};
use windflow_model::{
    AgentId, ChannelId, DeploymentId, Document, GroupId, NoticeId, OpId, OrgId, Rev, RolloutId, RuleId,
    SessionId, SilenceId, StackId, Timestamp, TokenId, UserId, Want,
    alert::{Delivery, Templates, notice::Told},
    org::User,
    rollout::{Before, Skip},
};

macro_rules! documents {
    ($($type:ty = $name:literal;)*) => {$(
        impl Document for $type {
            const NAME: &'static str = $name;
            const SCHEMA: u16 = 1;
        }
    )*};
}

documents! {
    NameHolder = "name";
    ChannelRecord = "channel";
    Placement = "placement";
    Fanout = "list of hosts to queue";
    Order = "order of hosts";
    Turn = "host of a rollout";
    AgentKey = "host key";
    KeyBinding = "key binding";
    AgentGone = "removed host";
    Heard = "hosts last heard";
    EnrolToken = "enrolment token";
    Credential = "credential";
    UserRecord = "user";
    Idempotent = "remembered answer";
    AuditRecord = "audit record";
    AuditSeal = "audit seal";
    SealHead = "newest audit seal";
    Epoch = "controller epoch";
    ToldGroup = "group of alerts";
    RulesMade = "rules made";
}

/// Who holds a unique name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NameHolder {
    pub(crate) id: String,
}

/// A channel as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChannelRecord {
    pub(crate) id: ChannelId,
    pub(crate) name: String,
    pub(crate) kind: String,
    /// Host and port, for people.
    pub(crate) place: String,
    /// Its settings as JSON, sealed for `channel/ID`, in base64.
    pub(crate) sealed: String,
    pub(crate) delivery: Delivery,
    pub(crate) templates: Templates,
    pub(crate) standard: bool,
    pub(crate) enabled: bool,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) updated_by: UserId,
}

/// The newest revision of one stack for one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Placement {
    pub(crate) stack: StackId,
    pub(crate) agent: AgentId,
    pub(crate) rev: Rev,
    pub(crate) deployment: DeploymentId,
    pub(crate) want: Want,
    /// The host had a revision of this stack in its journal at some time.
    pub(crate) reached: bool,
    /// The stack is known not to be on the host: removed, or never delivered.
    pub(crate) gone: bool,
}

/// The hosts of one deploy that did not fit into its first transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fanout {
    pub(crate) op: OpId,
    pub(crate) stack: StackId,
    pub(crate) rev: Rev,
    pub(crate) by: UserId,
    pub(crate) at: Timestamp,
    pub(crate) rest: Vec<(AgentId, DeploymentId)>,
}

/// Some of the hosts of a rollout, in the order of their turns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) agents: Vec<AgentId>,
}

/// A host of a rollout whose turn came: written in the transaction that gave it its turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Turn {
    pub(crate) agent: AgentId,
    pub(crate) name: String,
    /// Its deployment; absent if it was passed over.
    pub(crate) deployment: Option<DeploymentId>,
    /// The deployment was there already: not this rollout's to take back.
    pub(crate) adopted: bool,
    pub(crate) skip: Option<Skip>,
    pub(crate) before: Before,
    /// What did not stay well at the gate.
    pub(crate) unwell: Option<String>,
    /// The deployment that takes it back.
    pub(crate) revert: Option<DeploymentId>,
    /// It is to be taken back, and there is nothing to go back to.
    pub(crate) no_way_back: bool,
}

/// When some of the hosts were last heard.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Heard {
    pub(crate) hosts: BTreeMap<AgentId, Timestamp>,
}

/// The key of a host and how far its certificates got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AgentKey {
    pub(crate) spki: String,
    /// Newest generation that was granted.
    pub(crate) generation: u64,
    /// Highest generation that was shown. Anything lower is a copy.
    pub(crate) used: u64,
    /// Number of the newest session.
    pub(crate) session_epoch: u64,
    /// Where it came from.
    #[serde(default)]
    pub(crate) remote: Option<SocketAddr>,
    /// End of the newest certificate that was granted or shown.
    #[serde(default)]
    pub(crate) certificate_until: Option<Timestamp>,
}

/// Which host a public key belongs to; stays when the host is removed, so that the key stays banned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyBinding {
    pub(crate) org: OrgId,
    pub(crate) agent: AgentId,
    pub(crate) banned: bool,
}

/// A removed host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AgentGone {
    pub(crate) name: String,
    pub(crate) at: Timestamp,
    /// Its placements and open deployments are cleaned up.
    pub(crate) cleaned: bool,
}

/// An enrolment token; the secret is stored as its SHA-256 only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EnrolToken {
    pub(crate) id: TokenId,
    pub(crate) secret_sha256: String,
    pub(crate) note: String,
    pub(crate) created_at: Timestamp,
    pub(crate) created_by: UserId,
    pub(crate) expires_at: Timestamp,
    /// The key that used it, and when.
    pub(crate) used_by: Option<(String, AgentId, Timestamp)>,
}

/// How a credential is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Carrier {
    /// In the cookie of a browser.
    Cookie,
    /// As a bearer token.
    Bearer,
}

/// A session or an API token; its key in the store is the SHA-256 of the secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Credential {
    pub(crate) id: SessionId,
    pub(crate) org: OrgId,
    pub(crate) user: UserId,
    pub(crate) user_name: String,
    pub(crate) carrier: Carrier,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

/// A user with the password's argon2id hash (PHC text).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UserRecord {
    #[serde(flatten)]
    pub(crate) user: User,
    pub(crate) password: String,
}

impl fmt::Debug for UserRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserRecord")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// What a request with an `Idempotency-Key` made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Idempotent {
    /// SHA-256 of operation and body: the same key with another request is refused.
    pub(crate) request_sha256: String,
    pub(crate) made: Made,
    pub(crate) at: Timestamp,
}

/// The objects that a request made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Made {
    Stack(StackId),
    Deployments(Vec<DeploymentId>),
    Rollout(RolloutId),
    Group(GroupId),
    Channel(ChannelId),
    Rule(RuleId),
    Silence(SilenceId),
}

/// Who did what to which object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AuditRecord {
    pub(crate) at: Timestamp,
    pub(crate) user: UserId,
    pub(crate) user_name: String,
    /// The operation, e.g. `stack_create`.
    pub(crate) action: String,
    /// The object's id.
    pub(crate) object: String,
    /// What else is worth knowing, one line.
    pub(crate) detail: String,
    pub(crate) request: String,
    pub(crate) remote: String,
    /// Deployments that it moved, in this transaction.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) transitions: Vec<Transition>,
}

/// A deployment went from one state to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Transition {
    pub(crate) deployment: DeploymentId,
    /// `None`: it was made.
    pub(crate) from: Option<String>,
    pub(crate) to: String,
}

/// A link of the chain over all audit records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AuditSeal {
    /// From 1, without gaps.
    pub(crate) number: u64,
    /// Hash of the seal before.
    pub(crate) previous: String,
    pub(crate) at: Timestamp,
    /// Id and SHA-256 of each record.
    pub(crate) records: Vec<(String, String)>,
}

/// The newest seal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SealHead {
    pub(crate) number: u64,
    pub(crate) hash: String,
}

/// The rules that WindFlow brings along were made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RulesMade {
    pub(crate) at: Timestamp,
}

/// What the receivers of a channel were told of one group of alerts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ToldGroup {
    pub(crate) channel: ChannelId,
    /// What its alerts have in common.
    pub(crate) name: BTreeMap<String, String>,
    pub(crate) told: Told,
    /// The newest notification: another one waits until it has arrived or was given up.
    pub(crate) notice: Option<NoticeId>,
}

/// Number of this start of the controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Epoch {
    pub(crate) epoch: u64,
}
