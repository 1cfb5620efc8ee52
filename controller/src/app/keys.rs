//! Where each record lives. The organisation is the first segment of everything that belongs to one.
//!
//! ```text
//! ORG/stack/STK             the stack                 ORG/stack-name/NAME       → its id
//! ORG/rev/STK/REV           one revision              ORG/place/STK/AGT         newest revision of a stack on a host
//! ORG/dep/~DEP              one deployment            ORG/active/AGT/DEP        not final yet
//! ORG/stack-dep/STK/~DEP    deployments of a stack    ORG/agent-dep/AGT/~DEP    deployments of a host
//! ORG/fanout/OP             hosts of a deploy that are still to be queued
//! ORG/rollout/~ROL          one rollout               ORG/rollout-of/STK        → the one that holds the stack
//! ORG/order/ROL/N           its hosts by their turns  ORG/turn/ROL/N            a host whose turn came
//! ORG/group/GRP             a group of hosts          ORG/group-name/NAME       → its id
//! ORG/channel/CHN           where notifications go    ORG/channel-name/NAME     → its id
//! ORG/notice/~NTC           one notification          ORG/notice-open/CHN/NTC   not sent and not given up yet
//! ORG/channel-notice/CHN/~NTC                         notifications of a channel
//! ORG/agent/AGT             the host                  ORG/agent-name/NAME       → its id
//! ORG/agent-key/AGT         key and generation        ORG/agent-gone/AGT        tombstone, kept for ever
//! ORG/token/TOK             enrolment token           ORG/idem/USR/HASH         answer to an Idempotency-Key
//! ORG/heard/N               when the hosts of a shard were last heard
//! ORG/rule/RUL              a rule of alerts          ORG/rule-name/NAME        → its id
//! ORG/silence/SIL           a silence                 ORG/rules-made            WindFlow's own rules were made
//! ORG/alert/~ALR            one alert                 ORG/alert-open/ALR        pending or firing
//! ORG/told/CHN/HASH         what a channel was told of a group of alerts
//! ORG/user/USR              a user with its password  ORG/user-name/NAME        → its id
//! ORG/audit/TIME-UUID       audit record              ORG/audit-open/TIME-UUID  not under a seal yet
//! ORG/audit-seal/N          seal over records         ORG/audit-head            the newest seal
//! sys/key/SPKI              public key → host         sys/cred/HASH             session or API token
//! sys/epoch                 controller_epoch          sys/setup                 the first user exists
//! ```
//! `~DEP` is the inverted id: a scan gives the newest first.

use windflow_model::{
    AgentId, AlertId, ChannelId, DeploymentId, GroupId, NoticeId, OpId, OrgId, Rev, RolloutId, RuleId,
    SilenceId, StackId, StackName, TokenId, UserId,
};
use windflow_store::{Key, Prefix};

fn key(org: OrgId, segments: &[&str]) -> Key {
    segments
        .iter()
        .fold(Key::new([org.to_string()]), |key, segment| key.push(segment))
}

fn prefix(org: OrgId, segments: &[&str]) -> Prefix {
    Prefix::below(&key(org, segments))
}

fn newest_first(id: uuid::Uuid) -> String {
    format!("{:032x}", !id.as_u128())
}

fn inverted(id: DeploymentId) -> String {
    newest_first(id.uuid())
}

/// The notification whose inverted id is the last segment of a key.
pub(crate) fn notice_of(key: &Key) -> Option<NoticeId> {
    let value = u128::from_str_radix(&key.last(), 16).ok()?;
    Some(NoticeId::from_uuid(uuid::Uuid::from_u128(!value)))
}

/// The deployment whose inverted id is the last segment of a key.
pub(crate) fn deployment_of(key: &Key) -> Option<DeploymentId> {
    let value = u128::from_str_radix(&key.last(), 16).ok()?;
    Some(DeploymentId::from_uuid(uuid::Uuid::from_u128(!value)))
}

pub(crate) fn stack(org: OrgId, id: StackId) -> Key {
    key(org, &["stack", &id.to_string()])
}
pub(crate) fn stacks(org: OrgId) -> Prefix {
    prefix(org, &["stack"])
}
pub(crate) fn stack_name(org: OrgId, name: &StackName) -> Key {
    key(org, &["stack-name", name.as_str()])
}
pub(crate) fn revision(org: OrgId, stack: StackId, rev: Rev) -> Key {
    key(org, &["rev", &stack.to_string()]).push_u64(rev.0)
}
pub(crate) fn revisions(org: OrgId, stack: StackId) -> Prefix {
    prefix(org, &["rev", &stack.to_string()])
}
pub(crate) fn placement(org: OrgId, stack: StackId, agent: AgentId) -> Key {
    key(org, &["place", &stack.to_string(), &agent.to_string()])
}
pub(crate) fn placements(org: OrgId, stack: StackId) -> Prefix {
    prefix(org, &["place", &stack.to_string()])
}
pub(crate) fn all_placements(org: OrgId) -> Prefix {
    prefix(org, &["place"])
}
pub(crate) fn deployment(org: OrgId, id: DeploymentId) -> Key {
    key(org, &["dep", &inverted(id)])
}
pub(crate) fn deployments(org: OrgId) -> Prefix {
    prefix(org, &["dep"])
}
pub(crate) fn active(org: OrgId, agent: AgentId, id: DeploymentId) -> Key {
    key(org, &["active", &agent.to_string(), &id.to_string()])
}
pub(crate) fn active_of(org: OrgId, agent: AgentId) -> Prefix {
    prefix(org, &["active", &agent.to_string()])
}
pub(crate) fn all_active(org: OrgId) -> Prefix {
    prefix(org, &["active"])
}
pub(crate) fn stack_deployment(org: OrgId, stack: StackId, id: DeploymentId) -> Key {
    key(org, &["stack-dep", &stack.to_string(), &inverted(id)])
}
pub(crate) fn stack_deployments(org: OrgId, stack: StackId) -> Prefix {
    prefix(org, &["stack-dep", &stack.to_string()])
}
pub(crate) fn agent_deployment(org: OrgId, agent: AgentId, id: DeploymentId) -> Key {
    key(org, &["agent-dep", &agent.to_string(), &inverted(id)])
}
pub(crate) fn agent_deployments(org: OrgId, agent: AgentId) -> Prefix {
    prefix(org, &["agent-dep", &agent.to_string()])
}
pub(crate) fn fanout(org: OrgId, op: OpId) -> Key {
    key(org, &["fanout", &op.to_string()])
}
pub(crate) fn fanouts(org: OrgId) -> Prefix {
    prefix(org, &["fanout"])
}
pub(crate) fn rollout(org: OrgId, id: RolloutId) -> Key {
    key(org, &["rollout", &newest_first(id.uuid())])
}
pub(crate) fn rollouts(org: OrgId) -> Prefix {
    prefix(org, &["rollout"])
}
pub(crate) fn rollout_of(org: OrgId, stack: StackId) -> Key {
    key(org, &["rollout-of", &stack.to_string()])
}
pub(crate) fn open_rollouts(org: OrgId) -> Prefix {
    prefix(org, &["rollout-of"])
}
pub(crate) fn order(org: OrgId, id: RolloutId, page: u64) -> Key {
    key(org, &["order", &id.to_string()]).push_u64(page)
}
pub(crate) fn orders(org: OrgId, id: RolloutId) -> Prefix {
    prefix(org, &["order", &id.to_string()])
}
pub(crate) fn turn(org: OrgId, id: RolloutId, index: u32) -> Key {
    key(org, &["turn", &id.to_string()]).push_u64(index.into())
}
pub(crate) fn turns(org: OrgId, id: RolloutId) -> Prefix {
    prefix(org, &["turn", &id.to_string()])
}
pub(crate) fn group(org: OrgId, id: GroupId) -> Key {
    key(org, &["group", &id.to_string()])
}
pub(crate) fn groups(org: OrgId) -> Prefix {
    prefix(org, &["group"])
}
pub(crate) fn group_name(org: OrgId, name: &str) -> Key {
    key(org, &["group-name", name])
}
pub(crate) fn channel(org: OrgId, id: ChannelId) -> Key {
    key(org, &["channel", &id.to_string()])
}
pub(crate) fn channels(org: OrgId) -> Prefix {
    prefix(org, &["channel"])
}
pub(crate) fn channel_name(org: OrgId, name: &str) -> Key {
    key(org, &["channel-name", name])
}
pub(crate) fn notice(org: OrgId, id: NoticeId) -> Key {
    key(org, &["notice", &newest_first(id.uuid())])
}
pub(crate) fn notices(org: OrgId) -> Prefix {
    prefix(org, &["notice"])
}
pub(crate) fn notice_open(org: OrgId, channel: ChannelId, id: NoticeId) -> Key {
    key(org, &["notice-open", &channel.to_string(), &id.to_string()])
}
pub(crate) fn notices_open_of(org: OrgId, channel: ChannelId) -> Prefix {
    prefix(org, &["notice-open", &channel.to_string()])
}
pub(crate) fn channel_notice(org: OrgId, channel: ChannelId, id: NoticeId) -> Key {
    key(
        org,
        &["channel-notice", &channel.to_string(), &newest_first(id.uuid())],
    )
}
pub(crate) fn channel_notices(org: OrgId, channel: ChannelId) -> Prefix {
    prefix(org, &["channel-notice", &channel.to_string()])
}
pub(crate) fn notices_open(org: OrgId) -> Prefix {
    prefix(org, &["notice-open"])
}
pub(crate) fn rule(org: OrgId, id: RuleId) -> Key {
    key(org, &["rule", &id.to_string()])
}
pub(crate) fn rules(org: OrgId) -> Prefix {
    prefix(org, &["rule"])
}
pub(crate) fn rule_name(org: OrgId, name: &str) -> Key {
    key(org, &["rule-name", name])
}
pub(crate) fn rules_made(org: OrgId) -> Key {
    key(org, &["rules-made"])
}
pub(crate) fn silence(org: OrgId, id: SilenceId) -> Key {
    key(org, &["silence", &id.to_string()])
}
pub(crate) fn silences(org: OrgId) -> Prefix {
    prefix(org, &["silence"])
}
pub(crate) fn alert(org: OrgId, id: AlertId) -> Key {
    key(org, &["alert", &newest_first(id.uuid())])
}
/// The alert whose inverted id is the last segment of a key.
pub(crate) fn alert_of(key: &Key) -> Option<AlertId> {
    let value = u128::from_str_radix(&key.last(), 16).ok()?;
    Some(AlertId::from_uuid(uuid::Uuid::from_u128(!value)))
}
pub(crate) fn alerts(org: OrgId) -> Prefix {
    prefix(org, &["alert"])
}
pub(crate) fn alert_open(org: OrgId, id: AlertId) -> Key {
    key(org, &["alert-open", &id.to_string()])
}
pub(crate) fn alerts_open(org: OrgId) -> Prefix {
    prefix(org, &["alert-open"])
}
pub(crate) fn told(org: OrgId, channel: ChannelId, group: &str) -> Key {
    key(org, &["told", &channel.to_string(), group])
}
pub(crate) fn all_told(org: OrgId) -> Prefix {
    prefix(org, &["told"])
}
pub(crate) fn agent(org: OrgId, id: AgentId) -> Key {
    key(org, &["agent", &id.to_string()])
}
pub(crate) fn agents(org: OrgId) -> Prefix {
    prefix(org, &["agent"])
}
pub(crate) fn agent_name(org: OrgId, name: &str) -> Key {
    key(org, &["agent-name", name])
}
pub(crate) fn agent_keys(org: OrgId) -> Prefix {
    prefix(org, &["agent-key"])
}
pub(crate) fn agent_key(org: OrgId, id: AgentId) -> Key {
    key(org, &["agent-key", &id.to_string()])
}
pub(crate) fn agent_gone(org: OrgId, id: AgentId) -> Key {
    key(org, &["agent-gone", &id.to_string()])
}
pub(crate) fn agents_gone(org: OrgId) -> Prefix {
    prefix(org, &["agent-gone"])
}
pub(crate) fn heard(org: OrgId, shard: u8) -> Key {
    key(org, &["heard"]).push_u64(shard.into())
}
pub(crate) fn all_heard(org: OrgId) -> Prefix {
    prefix(org, &["heard"])
}
pub(crate) fn token(org: OrgId, id: TokenId) -> Key {
    key(org, &["token", &id.to_string()])
}
pub(crate) fn tokens(org: OrgId) -> Prefix {
    prefix(org, &["token"])
}
pub(crate) fn idempotent(org: OrgId, user: UserId, hash: &str) -> Key {
    key(org, &["idem", &user.to_string(), hash])
}
pub(crate) fn idempotents(org: OrgId) -> Prefix {
    prefix(org, &["idem"])
}
pub(crate) fn user(org: OrgId, id: UserId) -> Key {
    key(org, &["user", &id.to_string()])
}
pub(crate) fn user_name(org: OrgId, name: &str) -> Key {
    key(org, &["user-name", name])
}
pub(crate) fn audit(org: OrgId, id: &str) -> Key {
    key(org, &["audit", id])
}
pub(crate) fn audits(org: OrgId) -> Prefix {
    prefix(org, &["audit"])
}
pub(crate) fn audit_open(org: OrgId, id: &str) -> Key {
    key(org, &["audit-open", id])
}
pub(crate) fn audits_open(org: OrgId) -> Prefix {
    prefix(org, &["audit-open"])
}
pub(crate) fn audit_seal(org: OrgId, number: u64) -> Key {
    key(org, &["audit-seal"]).push_u64(number)
}
pub(crate) fn audit_seals(org: OrgId) -> Prefix {
    prefix(org, &["audit-seal"])
}
pub(crate) fn audit_head(org: OrgId) -> Key {
    key(org, &["audit-head"])
}
pub(crate) fn public_key(spki: &str) -> Key {
    Key::new(["sys", "key", spki])
}
pub(crate) fn credential(hash: &str) -> Key {
    Key::new(["sys", "cred", hash])
}
pub(crate) fn credentials() -> Prefix {
    Prefix::of(["sys", "cred"])
}
pub(crate) fn epoch() -> Key {
    Key::new(["sys", "epoch"])
}
pub(crate) fn setup_done() -> Key {
    Key::new(["sys", "setup"])
}
