//! Both ends of a connection in one process: this side as the engine sees it.

use fs_err as fs;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixListener,
};
use windflow_compose::model::Build;

use super::{
    super::{link::Link, proto::Fields},
    *,
};
use crate::targets::docker::build::context::Context;

/// The engine's end of a session that offers something.
fn engine(offer: Offer) -> (Link, Link) {
    let (here, there) = tokio::io::duplex(1 << 10);
    (Link::client(here), Link::server(there, offer.service()))
}

async fn ask(engine: &Link, path: &str, question: Writer) -> Result<Vec<u8>, Status> {
    let mut call = engine.call(path).await?;
    call.sender.send(&question.done()).await?;
    call.sender.close().await?;
    let answer = call.receiver.message().await?;
    assert_eq!(call.receiver.message().await?, None, "one answer");
    Ok(answer.map(|answer| answer.to_vec()).unwrap_or_default())
}

#[tokio::test]
async fn questions_and_answers() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "from a file").unwrap();
    // Longer than a window and than what may wait.
    let long = "x".repeat(600_000);
    let json = serde_json::json!({ "auths": {
        "https://index.docker.io/v1/": { "username": "me", "password": "pass" },
        "r.example.org:5000": { "identitytoken": "token" },
    } });
    let offer = Offer {
        secrets: BTreeMap::from([
            ("text".into(), Secret::Text("from a variable".into())),
            ("file".into(), Secret::File(dir.path().join("file"))),
            ("gone".into(), Secret::File(dir.path().join("gone"))),
            ("long".into(), Secret::Text(long.clone())),
        ]),
        config: serde_json::from_value(json).unwrap(),
        ..Offer::default()
    };
    assert!(offer.methods().contains(&SECRET) && !offer.methods().contains(&SSH));
    let (engine, _session) = engine(offer);
    let secret = async |id: &str| ask(&engine, SECRET, Writer::default().bytes(1, id)).await;
    let content = async |id: &str| field(&secret(id).await.unwrap(), 1).to_vec();
    assert_eq!(content("text").await, b"from a variable");
    assert_eq!(content("file").await, b"from a file");
    assert!(content("long").await == long.as_bytes());
    let gone = secret("gone").await.unwrap_err();
    assert!(gone.text.contains("gone"), "{gone}");
    assert_eq!(secret("other").await.unwrap_err().code, NOT_FOUND);
    let login = async |host: &str| {
        let found = ask(&engine, CREDENTIALS, Writer::default().bytes(1, host))
            .await
            .unwrap();
        let text = |number| String::from_utf8_lossy(field(&found, number)).into_owned();
        (text(1), text(2))
    };
    assert_eq!(login("registry-1.docker.io").await, ("me".into(), "pass".into()));
    assert_eq!(login("r.example.org:5000").await, (String::new(), "token".into()));
    assert_eq!(login("else.example.org").await, (String::new(), String::new()));
    let health = ask(&engine, HEALTH, Writer::default()).await.unwrap();
    assert_eq!(health, [8, 1]);
    let unknown = ask(&engine, "/moby.filesync.v1.Auth/FetchToken", Writer::default()).await;
    assert_eq!(unknown.unwrap_err().code, UNIMPLEMENTED);
}

/// What a builder gets that wants every file: paths with modes, contents, links.
async fn copy(engine: &Link) -> Result<BTreeMap<String, (u64, String)>, Status> {
    let mut call = engine.call(FILES).await?;
    let (mut entries, mut found) = (Vec::new(), BTreeMap::new());
    let (mut pending, mut listed) = (0_usize, false);
    loop {
        let packet = call.receiver.message().await?.expect("it is not over");
        let number = |wanted| {
            let field = Fields(&packet).find(|(field, _)| *field == wanted);
            field.map_or(0, |(_, value)| value.number())
        };
        match number(1) {
            0 => {
                let stat = field(&packet, 2);
                let (mut path, mut mode, mut link) = (String::new(), 0, String::new());
                for (field, value) in Fields(stat) {
                    match field {
                        1 => path = value.text(),
                        2 => mode = value.number(),
                        7 => link = value.text(),
                        _ => {}
                    }
                }
                if path.is_empty() {
                    listed = true;
                } else {
                    if mode >> 9 == 0 {
                        let id = u64::try_from(entries.len()).unwrap();
                        let question = Writer::default().number(1, 1).number(3, id);
                        call.sender.send(&question.done()).await?;
                        pending += 1;
                    }
                    entries.push(path.clone());
                    found.insert(path, (mode, link));
                }
            }
            2 => {
                let path = &entries[usize::try_from(number(3)).unwrap()];
                let piece = field(&packet, 4);
                if piece.is_empty() {
                    pending -= 1;
                } else {
                    found
                        .get_mut(path)
                        .unwrap()
                        .1
                        .push_str(std::str::from_utf8(piece).unwrap());
                }
            }
            3 => break,
            other => panic!("kind {other}: {}", String::from_utf8_lossy(field(&packet, 4))),
        }
        if listed && pending == 0 {
            call.sender.send(&Writer::default().number(1, 3).done()).await?;
        }
    }
    call.sender.close().await?;
    assert_eq!(call.receiver.message().await?, None);
    let order: Vec<String> = entries.iter().map(|path| path.replace('/', "\0")).collect();
    assert!(order.is_sorted(), "{entries:?}");
    Ok(found)
}

#[tokio::test]
async fn a_context_arrives_as_the_patterns_say() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let big = "y".repeat(400_000);
    write("Dockerfile", "FROM scratch");
    write(
        ".dockerignore",
        "Dockerfile\n.dockerignore\nhidden\n!hidden/deep/kept\n",
    );
    write("a/b", "below");
    write("a.txt", &big);
    write("hidden/deep/kept", "kept");
    write("hidden/gone", "gone");
    std::os::unix::fs::symlink("a.txt", dir.path().join("link")).unwrap();
    let build = Build {
        context: Some(dir.path().to_string_lossy().into_owned()),
        ..Build::default()
    };
    let context = Context::open(&build).unwrap();
    assert_eq!(context.dockerfile().unwrap(), b"FROM scratch");
    let offer = Offer {
        directories: BTreeMap::from([(String::new(), Source::Directory(Arc::new(context)))]),
        ..Offer::default()
    };
    let (engine, _session) = engine(offer);
    let found = copy(&engine).await.unwrap();
    let names: Vec<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "a",
            "a.txt",
            "a/b",
            "hidden",
            "hidden/deep",
            "hidden/deep/kept",
            "link"
        ]
    );
    assert!(found["a.txt"].1 == big);
    assert_eq!(found["a/b"].1, "below");
    assert_eq!(found["a"].0 >> 31, 1, "a directory");
    assert_eq!(
        (found["link"].0 >> 27 & 1, found["link"].1.as_str()),
        (1, "a.txt")
    );
}

#[tokio::test]
async fn what_is_not_offered_is_not_read() {
    let offer = Offer {
        directories: BTreeMap::from([("context".into(), Source::Nothing)]),
        ..Offer::default()
    };
    let (engine, _session) = engine(offer);
    assert_eq!(copy(&engine).await.unwrap_err().code, NOT_FOUND);
}

#[tokio::test]
async fn an_agent_is_lent() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent");
    let listener = UnixListener::bind(&path).unwrap();
    let offer = Offer {
        agents: BTreeMap::from([("default".into(), path)]),
        ..Offer::default()
    };
    let (engine, _session) = engine(offer);
    let id = |id: &str| Writer::default().bytes(1, id);
    ask(&engine, SSH_CHECK, id("")).await.unwrap();
    assert_eq!(
        ask(&engine, SSH_CHECK, id("other")).await.unwrap_err().code,
        NOT_FOUND
    );
    let agent = async {
        let (mut wire, _) = listener.accept().await.unwrap();
        let mut question = [0; 4];
        wire.read_exact(&mut question).await.unwrap();
        wire.write_all(&question.map(|byte| byte + 1)).await.unwrap();
    };
    let step = async {
        let mut call = engine.call(SSH).await.unwrap();
        call.sender
            .send(&Writer::default().bytes(1, [1, 2, 3, 4]).done())
            .await
            .unwrap();
        let answer = call.receiver.message().await.unwrap().unwrap();
        assert_eq!(field(&answer, 1), [2, 3, 4, 5]);
    };
    tokio::join!(agent, step);
}

#[tokio::test]
async fn a_lost_connection_ends_calls() {
    let (engine, session) = engine(Offer::default());
    let mut call = engine.call(HEALTH).await.unwrap();
    drop(session);
    let error = call.receiver.message().await.unwrap_err();
    assert!(error.text.contains("closed"), "{error}");
    assert!(ask(&engine, HEALTH, Writer::default()).await.is_err());
}

/// A server that has heard enough answers, and then wants no more.
#[tokio::test]
async fn an_answer_before_the_end_of_the_question_counts() {
    use super::super::h2::{Connection, Event};

    let (here, mut there) = tokio::io::duplex(1 << 10);
    let engine = Link::client(here);
    let server = async {
        let mut server = Connection::new(false);
        let mut bytes = vec![0; 1 << 10];
        loop {
            let length = there.read(&mut bytes).await.unwrap();
            for event in server.receive(&bytes[..length]).unwrap() {
                if let Event::Headers { stream, .. } = event {
                    server.answer(stream, &[(":status", "200")]);
                    server.end(stream, Some(&[("grpc-status", "7"), ("grpc-message", "no")]));
                    let (mut output, _) = server.output();
                    output.extend_from_slice(&[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
                    there.write_all(&output).await.unwrap();
                }
            }
        }
    };
    let client = async {
        let mut call = engine.call(HEALTH).await.unwrap();
        call.receiver.message().await.unwrap_err()
    };
    tokio::select! {
        () = server => {}
        status = client => assert_eq!(status, Status::new(7, "no")),
    }
}
