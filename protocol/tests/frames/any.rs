//! Any frame.

use std::fmt::Debug;

use proptest::{collection, option, prelude::*};
use windflow_model::{AgentId, DeploymentId, Doc, Timestamp};
use windflow_protocol::{
    AgentFrame, AgentHello, ControllerFrame, ControllerHello, EnrollReply, EnrollRequest, FileInput,
    FileItem, LogLine, StreamItem, StreamOpen, TerminalInput, TerminalItem, Version, VersionRange,
    control::Denial, metrics::Batch, stream::StreamFailure,
};

pub(crate) use proptest::prelude::any;

/// Some of them, one behind the other.
pub(crate) fn several<S: Strategy>(one: S) -> impl Strategy<Value = Vec<S::Value>> {
    collection::vec(one, 0..4)
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    collection::vec(any::<u8>(), 0..40)
}

fn text() -> impl Strategy<Value = String> {
    ".{0,12}"
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    collection::vec(text(), 0..3)
}

/// Any envelope, whatever it holds: opening it is the reader's business.
fn doc<T: windflow_model::Document + Debug>() -> impl Strategy<Value = Doc<T>> {
    (any::<u16>(), bytes())
        .prop_map(|parts| postcard::from_bytes(&postcard::to_allocvec(&parts).unwrap()).unwrap())
}

fn deployment() -> impl Strategy<Value = DeploymentId> {
    any::<[u8; 16]>().prop_map(|bytes| postcard::from_bytes(&bytes).unwrap())
}

fn agent() -> impl Strategy<Value = AgentId> {
    any::<[u8; 16]>().prop_map(|bytes| postcard::from_bytes(&bytes).unwrap())
}

fn versions() -> impl Strategy<Value = VersionRange> {
    (any::<u16>(), any::<u16>()).prop_map(|(min, max)| VersionRange {
        min: Version(min),
        max: Version(max),
    })
}

fn denial() -> impl Strategy<Value = Denial> {
    (text(), text(), any::<u32>()).prop_map(|(code, message, retry_after_ms)| Denial {
        code,
        message,
        retry_after_ms,
    })
}

pub(crate) fn agent_frame() -> impl Strategy<Value = AgentFrame> {
    let hello = (versions(), texts(), text(), any::<[u8; 16]>(), any::<i64>());
    prop_oneof![
        hello.prop_map(
            |(versions, features, build, boot_id, wall_ms)| AgentFrame::Hello(AgentHello {
                versions,
                features,
                build,
                boot_id,
                wall_ms
            })
        ),
        (doc(), any::<u64>()).prop_map(|(held, acked_report)| AgentFrame::Resume { held, acked_report }),
        (any::<u64>(), doc()).prop_map(|(seq, report)| AgentFrame::Report { seq, report }),
        doc().prop_map(|report| AgentFrame::Refused { report }),
        (deployment(), doc())
            .prop_map(|(deployment, progress)| AgentFrame::Progress { deployment, progress }),
        doc().prop_map(AgentFrame::Inventory),
        doc().prop_map(AgentFrame::Containers),
        any::<u64>().prop_map(|nonce| AgentFrame::Ping { nonce }),
        any::<u64>().prop_map(|nonce| AgentFrame::Pong { nonce }),
        bytes().prop_map(|csr| AgentFrame::Renew { csr }),
        text().prop_map(|reason| AgentFrame::Bye { reason }),
        (any::<u8>(), bytes()).prop_map(|(format, body)| AgentFrame::Samples(Batch { format, body })),
        (any::<u64>(), doc()).prop_map(|(life, events)| AgentFrame::Events { life, events }),
        (any::<u32>(), any::<u64>(), proptest::option::of(text())).prop_map(|(age_ms, took_us, problem)| {
            AgentFrame::EngineProof {
                age_ms,
                took_us,
                problem,
            }
        }),
    ]
}

pub(crate) fn controller_frame() -> impl Strategy<Value = ControllerFrame> {
    let hello = (
        any::<u16>(),
        texts(),
        text(),
        any::<u64>(),
        any::<u64>(),
        any::<u64>(),
        any::<i64>(),
    );
    prop_oneof![
        hello.prop_map(|parts| {
            let (version, features, build, controller_epoch, session_epoch, acked_report, wall_ms) = parts;
            ControllerFrame::Hello(ControllerHello {
                version: Version(version),
                features,
                build,
                controller_epoch,
                session_epoch,
                acked_report,
                wall_ms,
            })
        }),
        denial().prop_map(ControllerFrame::Refused),
        any::<u64>().prop_map(|upto| ControllerFrame::ReportAck { upto }),
        doc().prop_map(ControllerFrame::Assign),
        doc().prop_map(ControllerFrame::Withdraw),
        any::<u64>().prop_map(|nonce| ControllerFrame::Ping { nonce }),
        any::<u64>().prop_map(|nonce| ControllerFrame::Pong { nonce }),
        bytes().prop_map(|certificate| ControllerFrame::Renewed { certificate }),
        denial().prop_map(ControllerFrame::RenewRefused),
        (text(), any::<u32>()).prop_map(|(reason, retry_after_ms)| ControllerFrame::Bye {
            reason,
            retry_after_ms
        }),
        (any::<u32>(), any::<u32>())
            .prop_map(|(every_ms, for_ms)| ControllerFrame::Pace { every_ms, for_ms }),
        (any::<u64>(), any::<u64>()).prop_map(|(life, upto)| ControllerFrame::EventsAck { life, upto }),
    ]
}

pub(crate) fn stream_open() -> impl Strategy<Value = StreamOpen> {
    prop_oneof![
        doc().prop_map(StreamOpen::Logs),
        doc().prop_map(StreamOpen::Plan),
        doc().prop_map(StreamOpen::Terminal),
        doc().prop_map(StreamOpen::TerminalAttach),
        doc().prop_map(StreamOpen::Files),
    ]
}

fn line() -> impl Strategy<Value = LogLine> {
    let at = option::of(any::<i64>().prop_map(Timestamp::from_millis));
    (text(), text(), any::<bool>(), at, text()).prop_map(|(service, container, stderr, at, text)| LogLine {
        service,
        container,
        stderr,
        at,
        text,
    })
}

pub(crate) fn stream_item() -> impl Strategy<Value = StreamItem> {
    prop_oneof![
        (any::<u64>(), collection::vec(line(), 0..4))
            .prop_map(|(first, lines)| StreamItem::Lines { first, lines }),
        (any::<u64>(), any::<u64>(), text()).prop_map(|(from, lost, reason)| StreamItem::Gap {
            from,
            lost,
            reason
        }),
        text().prop_map(|reason| StreamItem::End { reason }),
        doc().prop_map(StreamItem::Plan),
        doc().prop_map(StreamItem::Searched),
        (text(), text(), text()).prop_map(|(code, message, hint)| StreamItem::Failed(StreamFailure {
            code,
            message,
            hint
        })),
    ]
}

pub(crate) fn terminal_item() -> impl Strategy<Value = TerminalItem> {
    prop_oneof![
        doc().prop_map(TerminalItem::Opened),
        (any::<u64>(), any::<bool>(), bytes()).prop_map(|(from, stderr, bytes)| TerminalItem::Output {
            from,
            stderr,
            bytes
        }),
        (any::<u64>(), any::<u64>()).prop_map(|(from, lost)| TerminalItem::Gap { from, lost }),
        doc().prop_map(TerminalItem::Ended),
        (text(), text(), text()).prop_map(|(code, message, hint)| TerminalItem::Failed(StreamFailure {
            code,
            message,
            hint
        })),
        any::<u64>().prop_map(|input| TerminalItem::Taken { input }),
    ]
}

pub(crate) fn terminal_input() -> impl Strategy<Value = TerminalInput> {
    prop_oneof![
        bytes().prop_map(TerminalInput::Input),
        Just(TerminalInput::EndOfInput),
        (any::<u16>(), any::<u16>()).prop_map(|(columns, rows)| TerminalInput::Resize { columns, rows }),
        Just(TerminalInput::Close),
        any::<u64>().prop_map(|position| TerminalInput::Seen { position }),
    ]
}

pub(crate) fn file_item() -> impl Strategy<Value = FileItem> {
    prop_oneof![
        doc().prop_map(FileItem::Volumes),
        doc().prop_map(FileItem::Listing),
        bytes().prop_map(FileItem::Data),
        Just(FileItem::End),
        (text(), text(), text()).prop_map(|(code, message, hint)| FileItem::Failed(StreamFailure {
            code,
            message,
            hint
        })),
        Just(FileItem::Ready),
        doc().prop_map(FileItem::Written),
    ]
}

pub(crate) fn file_input() -> impl Strategy<Value = FileInput> {
    prop_oneof![bytes().prop_map(FileInput::Data), Just(FileInput::End)]
}

pub(crate) fn enroll_request() -> impl Strategy<Value = EnrollRequest> {
    let labels = collection::btree_map(text(), text(), 0..3);
    let join = (
        versions(),
        text(),
        bytes(),
        text(),
        option::of(text()),
        labels,
        any::<i64>(),
    );
    prop_oneof![
        join.prop_map(|parts| {
            let (versions, token, csr, hostname, name, labels, wall_ms) = parts;
            EnrollRequest::Join {
                versions,
                token,
                csr,
                hostname,
                name,
                labels,
                wall_ms,
            }
        }),
        (bytes(), bytes(), any::<i64>()).prop_map(|(csr, certificate, wall_ms)| EnrollRequest::Reattest {
            csr,
            certificate,
            wall_ms
        }),
        (bytes(), bytes()).prop_map(|(csr, certificate)| EnrollRequest::Leave { csr, certificate }),
    ]
}

pub(crate) fn enroll_reply() -> impl Strategy<Value = EnrollReply> {
    let granted = (agent(), bytes(), bytes(), text(), any::<i64>());
    prop_oneof![
        granted.prop_map(
            |(agent, certificate, ca, server_name, wall_ms)| EnrollReply::Granted {
                agent,
                certificate,
                ca,
                server_name,
                wall_ms
            }
        ),
        (denial(), any::<i64>()).prop_map(|(denial, wall_ms)| EnrollReply::Refused { denial, wall_ms }),
        Just(EnrollReply::Left),
    ]
}
