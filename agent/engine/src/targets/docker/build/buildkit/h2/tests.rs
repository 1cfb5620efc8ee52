use proptest::prelude::*;

use super::*;

/// Carries bytes between both ends until neither has any; gives what each saw.
fn talk(client: &mut Connection, server: &mut Connection) -> (Vec<Event>, Vec<Event>) {
    let (mut at_client, mut at_server) = (Vec::new(), Vec::new());
    loop {
        let (up, _) = client.output();
        let (down, _) = server.output();
        if up.is_empty() && down.is_empty() {
            return (at_client, at_server);
        }
        at_server.extend(server.receive(&up).unwrap());
        at_client.extend(client.receive(&down).unwrap());
    }
}

fn pair() -> (Connection, Connection) {
    let (mut client, mut server) = (Connection::new(true), Connection::new(false));
    assert_eq!(talk(&mut client, &mut server), (Vec::new(), Vec::new()));
    (client, server)
}

fn text(pairs: &[(&str, &str)]) -> Headers {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn a_call_and_its_answer() {
    let (mut client, mut server) = pair();
    let stream = client.request(&[(":path", "/x")]);
    client.send(stream, b"question");
    client.end(stream, None);
    let (_, seen) = talk(&mut client, &mut server);
    let headers = text(&[(":path", "/x")]);
    let bytes = Bytes::from_static(b"question");
    assert_eq!(
        seen,
        [
            Event::Headers {
                stream,
                headers,
                end: false
            },
            Event::Data {
                stream,
                bytes,
                end: true
            }
        ]
    );
    server.answer(stream, &[(":status", "200")]);
    server.send(stream, b"answer");
    server.end(stream, Some(&[("grpc-status", "0")]));
    let (seen, _) = talk(&mut client, &mut server);
    assert_eq!(seen.len(), 3, "{seen:?}");
    let headers = text(&[("grpc-status", "0")]);
    assert_eq!(
        seen[2],
        Event::Headers {
            stream,
            headers,
            end: true
        }
    );
    assert!(client.streams.is_empty() && server.streams.is_empty());
}

#[test]
fn the_windows_hold_data_back() {
    let (mut client, mut server) = pair();
    let stream = client.request(&[(":path", "/x")]);
    let sent = vec![7; 300_000];
    client.send(stream, &sent);
    client.end(stream, None);
    let mut got = 0;
    let mut rounds = 0;
    while got < sent.len() {
        let (_, seen) = talk(&mut client, &mut server);
        let here: usize = seen
            .iter()
            .map(|event| match event {
                Event::Data { bytes, .. } => bytes.len(),
                _ => 0,
            })
            .sum();
        assert!((1..=65_535).contains(&here), "{here}");
        got += here;
        rounds += 1;
        server.consumed(stream, here);
    }
    assert_eq!((got, rounds), (300_000, 5));
}

#[test]
fn large_headers_take_several_frames() {
    let (mut client, mut server) = pair();
    let long = "v".repeat(50_000);
    client.request(&[(":path", "/x"), ("long", &long)]);
    let (_, seen) = talk(&mut client, &mut server);
    assert!(matches!(&seen[..], [Event::Headers { headers, .. }] if headers[1].1 == long));
}

#[test]
fn a_stream_can_be_given_up() {
    let (mut client, mut server) = pair();
    let stream = client.request(&[(":path", "/x")]);
    talk(&mut client, &mut server);
    client.reset(stream);
    let (_, seen) = talk(&mut client, &mut server);
    assert_eq!(seen, [Event::Reset { stream, code: CANCEL }]);
    // What comes late has no effect.
    server.send(stream, b"late");
    server.end(stream, None);
    assert_eq!(talk(&mut client, &mut server), (Vec::new(), Vec::new()));
}

#[test]
fn too_many_streams_are_refused() {
    let (mut client, mut server) = pair();
    for _ in 0..=STREAMS {
        client.request(&[(":path", "/x")]);
    }
    let (seen, _) = talk(&mut client, &mut server);
    let stream = u32::try_from(2 * STREAMS + 1).unwrap();
    assert_eq!(
        seen,
        [Event::Reset {
            stream,
            code: REFUSED
        }]
    );
}

#[test]
fn what_breaks_a_connection() {
    let check = |kind: u8, flags: u8, stream: u32, payload: &[u8], word: &str| {
        let (mut client, mut server) = pair();
        client.request(&[(":path", "/x")]);
        talk(&mut client, &mut server);
        let mut bytes = BytesMut::new();
        frame::write(&mut bytes, kind, flags, stream, payload);
        let error = server.receive(&bytes).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    };
    check(Kind::DATA, 0, 1, &[0; FRAME + 1], "frame of 16385 bytes");
    check(Kind::DATA, 8, 1, &[9, 1], "padding");
    check(Kind::HEADERS, 8 | 4, 3, &[], "padding");
    check(Kind::HEADERS, 32 | 4, 3, &[0; 4], "padding");
    check(Kind::HEADERS, 4, 2, &[], "begins that cannot");
    check(Kind::HEADERS, 4, 3, &[0x80], "cannot be read");
    check(Kind::CONTINUATION, 4, 1, &[], "never began");
    check(Kind::RESET, 0, 1, &[0], "too short");
    check(Kind::WINDOW, 0, 0, &[0x7f, 255, 255, 255], "too far");
    check(Kind::SETTINGS, 0, 0, &[0, 4, 255, 255, 255, 255], "too far");
    check(Kind::GOAWAY, 0, 0, b"\0\0\0\0\0\0\0\0enough", "enough");
    check(Kind::PUSH, 0, 1, &[], "pushes");
    let greeted = Connection::new(false).receive(b"GET / HTTP/1.1").unwrap_err();
    assert!(greeted.to_string().contains("begin"), "{greeted}");
}

proptest! {
    #[test]
    fn any_frames_are_survived(
        frames in proptest::collection::vec(
            (0_u8..12, any::<u8>(), 0_u32..6, proptest::collection::vec(any::<u8>(), 0..40)), 0..40)
    ) {
        let (mut client, mut server) = pair();
        client.request(&[(":path", "/x")]);
        talk(&mut client, &mut server);
        for (kind, flags, stream, payload) in frames {
            let mut bytes = BytesMut::new();
            frame::write(&mut bytes, kind, flags, stream, &payload);
            let (one, other) = (client.receive(&bytes), server.receive(&bytes));
            client.output();
            server.output();
            if one.is_err() && other.is_err() {
                break;
            }
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Connection::new(true).receive(&bytes);
        let _ = Connection::new(false).receive(&[PREFACE, &bytes].concat());
    }
}
