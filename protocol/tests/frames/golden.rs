//! One example of every variant of every frame, and its bytes. A line of `golden.txt` may be added, never changed: hosts
//! with an older agent are out there.

use std::collections::BTreeMap;

use windflow_model::{AgentId, Code, DeploymentId, Doc, Timestamp};
use windflow_protocol::{
    AgentFrame, AgentHello, ControllerFrame, ControllerHello, EnrollReply, EnrollRequest, FileInput,
    FileItem, Frame, LogLine, StreamItem, StreamOpen, TerminalInput, TerminalItem, Version, VersionRange,
    control::Denial, encode, metrics::Batch, stream::StreamFailure,
};

/// An envelope as it travels; what is inside evolves by its own rules.
fn doc<T: windflow_model::Document>() -> Doc<T> {
    postcard::from_bytes(&[1, 2, b'{', b'}']).unwrap()
}

fn deployment() -> DeploymentId {
    "dep_01h455vb4pex5vsknk084sn02q".parse().unwrap()
}

fn agent() -> AgentId {
    "agt_01h455vb4pex5vsknk084sn02q".parse().unwrap()
}

fn denial() -> Denial {
    Denial::new(Code::AgentRemoved, "gone", 60_000)
}

fn versions() -> VersionRange {
    VersionRange {
        min: Version(1),
        max: Version(300),
    }
}

fn agent_frames() -> Vec<AgentFrame> {
    vec![
        AgentFrame::Hello(AgentHello {
            versions: versions(),
            features: vec!["f".to_owned()],
            build: "0.1.0".to_owned(),
            boot_id: [7; 16],
            wall_ms: 1_795_000_000_000,
        }),
        AgentFrame::Resume {
            held: doc(),
            acked_report: 300,
        },
        AgentFrame::Report {
            seq: 301,
            report: doc(),
        },
        AgentFrame::Refused { report: doc() },
        AgentFrame::Progress {
            deployment: deployment(),
            progress: doc(),
        },
        AgentFrame::Inventory(doc()),
        AgentFrame::Containers(doc()),
        AgentFrame::Ping { nonce: 300 },
        AgentFrame::Pong { nonce: 1 },
        AgentFrame::Renew { csr: vec![1, 2, 3] },
        AgentFrame::Bye {
            reason: "x".to_owned(),
        },
        AgentFrame::Samples(Batch {
            format: 1,
            body: vec![0, 1, 2],
        }),
        AgentFrame::Events {
            life: 300,
            events: doc(),
        },
        AgentFrame::EngineProof {
            age_ms: 300,
            took_us: 70_000,
            problem: Some("x".to_owned()),
        },
    ]
}

fn controller_frames() -> Vec<ControllerFrame> {
    vec![
        ControllerFrame::Hello(ControllerHello {
            version: Version(1),
            features: Vec::new(),
            build: "0.1.0".to_owned(),
            controller_epoch: 3,
            session_epoch: 300,
            acked_report: 0,
            wall_ms: -1,
        }),
        ControllerFrame::Refused(denial()),
        ControllerFrame::ReportAck { upto: 300 },
        ControllerFrame::Assign(doc()),
        ControllerFrame::Withdraw(doc()),
        ControllerFrame::Ping { nonce: 300 },
        ControllerFrame::Pong { nonce: 1 },
        ControllerFrame::Renewed {
            certificate: vec![1, 2, 3],
        },
        ControllerFrame::RenewRefused(denial()),
        ControllerFrame::Bye {
            reason: "x".to_owned(),
            retry_after_ms: 1_000,
        },
        ControllerFrame::Pace {
            every_ms: 1_000,
            for_ms: 30_000,
        },
        ControllerFrame::EventsAck { life: 300, upto: 7 },
    ]
}

fn stream_items() -> Vec<StreamItem> {
    let line = LogLine {
        service: "web".to_owned(),
        container: "web-1".to_owned(),
        stderr: true,
        at: Some(Timestamp::from_millis(1_795_000_000_000)),
        text: "hé".to_owned(),
    };
    vec![
        StreamItem::Lines {
            first: 300,
            lines: vec![line.clone(), LogLine { at: None, ..line }],
        },
        StreamItem::Gap {
            from: 302,
            lost: 5,
            reason: "slow".to_owned(),
        },
        StreamItem::End {
            reason: "over".to_owned(),
        },
        StreamItem::Plan(doc()),
        StreamItem::Failed(StreamFailure {
            code: "WF-2005".to_owned(),
            message: "m".to_owned(),
            hint: "h".to_owned(),
        }),
        StreamItem::Searched(doc()),
    ]
}

fn terminal_items() -> Vec<TerminalItem> {
    vec![
        TerminalItem::Opened(doc()),
        TerminalItem::Output {
            from: 300,
            stderr: true,
            bytes: vec![b'h', 0xc3],
        },
        TerminalItem::Gap { from: 302, lost: 5 },
        TerminalItem::Ended(doc()),
        TerminalItem::Failed(StreamFailure {
            code: "WF-2009".to_owned(),
            message: "m".to_owned(),
            hint: "h".to_owned(),
        }),
        TerminalItem::Taken { input: 300 },
    ]
}

fn terminal_inputs() -> Vec<TerminalInput> {
    vec![
        TerminalInput::Input(vec![0xa9, 13]),
        TerminalInput::EndOfInput,
        TerminalInput::Resize {
            columns: 300,
            rows: 24,
        },
        TerminalInput::Close,
        TerminalInput::Seen { position: 300 },
    ]
}

fn file_items() -> Vec<FileItem> {
    vec![
        FileItem::Volumes(doc()),
        FileItem::Listing(doc()),
        FileItem::Data(vec![b'h', 0xc3]),
        FileItem::End,
        FileItem::Failed(StreamFailure {
            code: "WF-2009".to_owned(),
            message: "m".to_owned(),
            hint: "h".to_owned(),
        }),
        FileItem::Ready,
        FileItem::Written(doc()),
    ]
}

fn file_inputs() -> Vec<FileInput> {
    vec![FileInput::Data(vec![0xa9, 13]), FileInput::End]
}

fn enroll_requests() -> Vec<EnrollRequest> {
    vec![
        EnrollRequest::Join {
            versions: versions(),
            token: "wfj_a_b".to_owned(),
            csr: vec![1, 2, 3],
            hostname: "box".to_owned(),
            name: Some("web1".to_owned()),
            labels: BTreeMap::from([("site".to_owned(), "paris".to_owned())]),
            wall_ms: 1_795_000_000_000,
        },
        EnrollRequest::Reattest {
            csr: vec![1],
            certificate: vec![2],
            wall_ms: 0,
        },
        EnrollRequest::Leave {
            csr: vec![1],
            certificate: vec![2],
        },
    ]
}

fn enroll_replies() -> Vec<EnrollReply> {
    vec![
        EnrollReply::Granted {
            agent: agent(),
            certificate: vec![1],
            ca: vec![2],
            server_name: "controller.x.windflow".to_owned(),
            wall_ms: 1_795_000_000_000,
        },
        EnrollReply::Refused {
            denial: denial(),
            wall_ms: 5,
        },
        EnrollReply::Left,
    ]
}

fn lines<F: Frame>(frames: &[F]) -> Vec<(String, Vec<u8>)> {
    assert_eq!(
        frames.len(),
        usize::try_from(F::VARIANTS).unwrap(),
        "an example of every {}",
        F::KIND
    );
    let mut lines = Vec::new();
    for (variant, frame) in frames.iter().enumerate() {
        let mut bytes = Vec::new();
        encode(frame, &mut bytes).unwrap();
        // The first byte behind the length is the variant: enums are append-only.
        assert_eq!(
            bytes.get(4).map(|byte| usize::from(*byte)),
            Some(variant),
            "{}",
            F::KIND
        );
        lines.push((format!("{} {variant}", F::KIND), bytes));
    }
    lines
}

/// Name and bytes of every example.
pub(crate) fn all() -> Vec<(String, Vec<u8>)> {
    let opens = [
        StreamOpen::Logs(doc()),
        StreamOpen::Plan(doc()),
        StreamOpen::Terminal(doc()),
        StreamOpen::TerminalAttach(doc()),
        StreamOpen::Files(doc()),
    ];
    [
        lines(&agent_frames()),
        lines(&controller_frames()),
        lines(&opens),
        lines(&stream_items()),
        lines(&enroll_requests()),
        lines(&enroll_replies()),
        lines(&terminal_items()),
        lines(&terminal_inputs()),
        lines(&file_items()),
        lines(&file_inputs()),
    ]
    .concat()
}

/// An agent of before terminals or files says `Failed` as an item of logs: it is read as what it is.
#[test]
fn a_refusal_reads_the_same_as_any_item() {
    let failure = StreamFailure {
        code: "WF-2015".to_owned(),
        message: "no such stream".to_owned(),
        hint: String::new(),
    };
    let (mut old, mut terminal, mut file) = (Vec::new(), Vec::new(), Vec::new());
    encode(&StreamItem::Failed(failure.clone()), &mut old).unwrap();
    encode(&TerminalItem::Failed(failure.clone()), &mut terminal).unwrap();
    encode(&FileItem::Failed(failure), &mut file).unwrap();
    assert_eq!((&old, &old), (&terminal, &file));
}

#[test]
fn every_variant_has_the_bytes_it_always_had() {
    let found: Vec<_> = all()
        .into_iter()
        .map(|(name, bytes)| format!("{name}: {}", hex::encode(bytes)))
        .collect();
    let golden: Vec<_> = include_str!("golden.txt").lines().collect();
    assert_eq!(found, golden, "\n{}\n", found.join("\n"));
}
