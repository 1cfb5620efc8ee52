//! The types of WindFlow's HTTP API: requests, answers, errors and live messages. No handlers and no store.
//!
//! The controller serves them, the CLI and the web UI speak them; nouns of `windflow-model` are wrapped, never copied.
//! Requests refuse unknown fields; answers may gain fields, so readers must ignore what they do not know.
#![forbid(unsafe_code)]

pub mod agent;
pub mod alert;
pub mod audit;
pub mod channel;
pub mod deployment;
pub mod error;
pub mod event;
pub mod files;
pub mod live;
pub mod metrics;
pub mod page;
pub mod recording;
pub mod rollout;
pub mod session;
pub mod stack;
pub mod system;
pub mod terminal;
pub mod token;

pub use agent::{Agent, AgentPatch, HostContainers};
pub use alert::{
    AlertAcknowledge, AlertQuery, AlertView, RulePreview, RuleSight, RuleTry, RuleView, SilenceCreate,
    SilenceView,
};
pub use audit::{AuditEntry, AuditHead, AuditMove, AuditProblem, AuditProblemKind, AuditQuery, AuditVerdict};
pub use channel::{
    ChannelPreview, ChannelPreviewRequest, ChannelSave, ChannelTest, ChannelTested, ChannelView, NoticeQuery,
    NoticeView,
};
pub use deployment::{
    AgentPin, AgentPlan, DeployRequest, DeploymentQuery, DeploymentView, PlanRequest, RemoveRequest,
    RollbackRequest, StackPreview,
};
pub use error::ApiError;
pub use event::EventParams;
pub use files::FileParams;
pub use live::{LogFrame, LogParams};
pub use metrics::{HostMetrics, MetricsHistory, MetricsHistoryQuery, MetricsQuery, MetricsSeries};
pub use page::{Page, PageQuery};
pub use recording::{RecordingQuery, RecordingState, RecordingVerdict, RecordingView};
pub use rollout::{
    GroupCreate, GroupView, RolloutCancel, RolloutCreate, RolloutHost, RolloutHostQuery, RolloutMember,
    RolloutPreview, RolloutQuery, RolloutView, RolloutWaves,
};
pub use session::{LoginRequest, Me, Session, SetupRequest, SetupStatus};
pub use stack::{Problem, Severity, StackCreate, StackUpdate, StackView, ValidateRequest, Validation};
pub use system::{Info, Readiness};
pub use terminal::{TerminalAction, TerminalCreate, TerminalEvent, TerminalParams, TerminalView};
pub use token::{EnrolmentToken, EnrolmentTokenCreate, EnrolmentTokenCreated};
