//! The nouns of WindFlow: ids, specs, states and the transitions between them.
//!
//! This crate is vocabulary. It does no IO, knows no runtime and no clock: time and ids are passed in.
//! Everything that evolves (specs, inventories, plans, reports) is plain serde data that travels and rests as
//! JSON inside [`Doc`]; see `ARCHITECTURE.md`, "Versions".
#![forbid(unsafe_code)]

pub mod agent;
pub mod alert;
pub mod code;
pub mod container;
pub mod deployment;
pub mod doc;
pub mod event;
pub mod files;
pub mod host_event;
pub mod id;
pub mod logs;
pub mod metrics;
pub mod org;
pub mod plan;
pub mod progress;
pub mod revision;
pub mod rollout;
pub mod stack;
pub mod target;
pub mod terminal;
pub mod time;

pub use agent::{Absence, AgentRecord, Capability, EngineInfo, EngineKind, Inventory, Presence};
pub use alert::{Alert, AlertRule, AlertState, Severity, Silence};
pub use code::{CheckKind, Code, FailedCheck, Failure};
pub use container::{ContainerState, ContainerSummary, Health, PortBinding};
pub use deployment::{Deployment, DeploymentEvent, DeploymentState, IllegalTransition};
pub use doc::{Doc, DocError, Document};
pub use event::{EventId, EventIdError, FleetEvent, FleetEventKind};
pub use files::{
    FileEntry, FileKind, FileListing, FilePath, FilePathError, FilePlace, FileQuery, FilesWritten,
    VolumeList, VolumeSummary,
};
pub use host_event::{
    ContainerAction, EngineProof, EventContainer, HostEvent, HostEventKind, HostEventList, ImageAction,
    ResourceAction,
};
pub use id::{
    AgentId, AlertId, ChannelId, DeploymentId, GroupId, IdError, NoticeId, OpId, OrgId, RolloutId, RuleId,
    SessionId, SilenceId, StackId, TerminalId, TokenId, UserId,
};
pub use logs::{
    FieldOperator, FieldTest, FieldTestError, LogEvent, LogLevel, LogMatcher, LogQuery, LogSearch,
    LogSearchError, LogSearched, LogSource, SearchBound, printable, printable_lines,
};
pub use plan::{
    Action, Change, Interruption, Pin, Plan, PlanSummary, Reason, ResourceKind, ResourcePlan, ResourceRef,
    Step, StepId, Tone,
};
pub use progress::{Layer, Progress, StepState, StepView, Steps, Waiting};
pub use revision::{Rev, Revision, SpecDigest, Want};
pub use rollout::{Group, HostState, Rollout, RolloutPlan, RolloutState, Selector, Summary, Targets};
pub use stack::{
    DeployPolicy, ReplaceOrder, RollbackPolicy, SpecFile, Stack, StackName, StackNameError, StackSpec,
};
pub use target::TargetKind;
pub use terminal::{
    TerminalAttach, TerminalCause, TerminalEnd, TerminalOpened, TerminalPlace, TerminalQuery, TerminalSize,
};
pub use time::Timestamp;
