//! Every frame on the wire: golden bytes that may never change, round trips of anything that fits, and bytes that are no
//! frames.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail like tests"
)]

#[path = "frames/any.rs"]
mod any;
#[path = "frames/golden.rs"]
mod golden;

use proptest::prelude::*;
use windflow_protocol::{
    AgentFrame, ControllerFrame, Decoded, Decoder, EnrollReply, EnrollRequest, FileInput, FileItem, Frame,
    StreamItem, StreamOpen, TerminalInput, TerminalItem, codec::decode, encode,
};

/// Encodes frames, cuts the bytes anywhere, decodes them.
fn round_trip<F: Frame + PartialEq + std::fmt::Debug>(frames: &[F], piece: usize) {
    let mut bytes = Vec::new();
    for frame in frames {
        encode(frame, &mut bytes).unwrap();
    }
    let (mut decoder, mut found) = (Decoder::default(), Vec::new());
    for piece in bytes.chunks(piece) {
        decoder.push(piece);
        while let Some(decoded) = decoder.next_frame::<F>().unwrap() {
            match decoded {
                Decoded::Frame(frame) => found.push(frame),
                Decoded::Unknown { variant, .. } => panic!("{} {variant} is unknown", F::KIND),
            }
        }
    }
    assert_eq!(found, frames);
    assert!(decoder.is_empty());
}

/// Anything but a panic: an error, an unknown frame, or a frame that is written as it was read.
fn survives<F: Frame + PartialEq + std::fmt::Debug>(body: &[u8]) {
    if let Ok(Decoded::Frame(frame)) = decode::<F>(body) {
        round_trip(&[frame], 7);
    }
}

fn all_survive(body: &[u8]) {
    survives::<AgentFrame>(body);
    survives::<ControllerFrame>(body);
    survives::<StreamOpen>(body);
    survives::<StreamItem>(body);
    survives::<EnrollRequest>(body);
    survives::<EnrollReply>(body);
    survives::<TerminalItem>(body);
    survives::<TerminalInput>(body);
    survives::<FileItem>(body);
    survives::<FileInput>(body);
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        agent in any::several(any::agent_frame()),
        controller in any::several(any::controller_frame()),
        opens in any::several(any::stream_open()),
        items in any::several(any::stream_item()),
        requests in any::several(any::enroll_request()),
        replies in any::several(any::enroll_reply()),
        shown in any::several(any::terminal_item()),
        typed in any::several(any::terminal_input()),
        files in any::several(any::file_item()),
        sent in any::several(any::file_input()),
        piece in 1_usize..100,
    ) {
        round_trip(&agent, piece);
        round_trip(&controller, piece);
        round_trip(&opens, piece);
        round_trip(&items, piece);
        round_trip(&requests, piece);
        round_trip(&replies, piece);
        round_trip(&shown, piece);
        round_trip(&typed, piece);
        round_trip(&files, piece);
        round_trip(&sent, piece);
    }

    #[test]
    fn noise_is_survived(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        all_survive(&body);
    }
}

#[test]
fn golden_frames_survive_every_cut_and_every_flipped_bit() {
    for (_, bytes) in golden::all() {
        let body = &bytes[4..];
        for at in 0..body.len() {
            all_survive(&body[..at]);
            for bit in 0..8 {
                let mut flipped = body.to_vec();
                flipped[at] ^= 1 << bit;
                all_survive(&flipped);
            }
        }
    }
}
