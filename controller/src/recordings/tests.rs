//! Files of recordings: what was written comes back, and nothing else does.

use std::path::PathBuf;

use proptest::prelude::*;
use windflow_model::{TerminalSize, UserId};

use super::*;

struct World {
    dir: tempfile::TempDir,
    vault: Vault,
    random: Random,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            vault: Vault::passing(Random::system()).unwrap(),
            random: Random::system(),
            dir,
        }
    }

    fn head(&self, at: i64) -> Head {
        let clock = windflow_kit::Clock::system();
        Head {
            id: TerminalId::from_uuid(self.random.uuid_v7(&clock).unwrap()),
            org: OrgId::DEFAULT,
            agent: AgentId::from_uuid(self.random.uuid_v7(&clock).unwrap()),
            agent_name: "web1".to_owned(),
            container: String::new(),
            host_user: Some("deploy".to_owned()),
            command: vec!["/bin/sh".to_owned()],
            tty: true,
            size: Some(TerminalSize {
                columns: 80,
                rows: 24,
            }),
            user: UserId::from_uuid(self.random.uuid_v7(&clock).unwrap()),
            user_name: "admin".to_owned(),
            started_at: Timestamp::from_millis(at),
        }
    }

    fn shelf(&self, options: RecordingOptions) -> Recordings {
        let secrets = (self.vault.clone(), self.random.clone());
        Recordings::open(self.dir.path().to_owned(), OrgId::DEFAULT, secrets, options).unwrap()
    }

    /// A file with these chunks; ended, if `end`.
    fn written(&self, chunks: &[&str], end: bool) -> (Head, PathBuf, Option<[u8; 32]>) {
        let head = self.head(1_000);
        let path = self.dir.path().join(format!("{}.rec", head.id));
        let mut writer = Writer::create(path.clone(), &self.vault, &self.random, &head).unwrap();
        for chunk in chunks {
            writer.lines(chunk).unwrap();
        }
        let tail = Tail {
            ended_at: Timestamp::from_millis(9_000),
            complete: true,
        };
        let digest = end.then(|| writer.finish(&tail).unwrap());
        (head, path, digest)
    }

    /// Lines up to the end, and whether there is one.
    fn read(&self, head: &Head, path: &Path) -> Result<(String, bool), RecordingError> {
        let (found, mut reader) = Reader::open(path, &self.vault, head.org, head.id)?;
        assert_eq!(found, *head);
        let mut all = Vec::new();
        loop {
            match reader.next()? {
                Piece::Lines(lines) => all.extend(lines),
                Piece::Tail(_) => return Ok((String::from_utf8(all).unwrap(), true)),
                Piece::Torn => return Ok((String::from_utf8(all).unwrap(), false)),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    /// Any lines in any chunks come back; cut anywhere, whole chunks do, and it is not taken for an ended one.
    #[test]
    fn what_was_written_comes_back(chunks in proptest::collection::vec("[a-z\u{e9}\n]{0,200}", 0..6), cut in 0.0..1.0_f64) {
        let world = World::new();
        let pieces: Vec<_> = chunks.iter().map(String::as_str).collect();
        let (head, path, digest) = world.written(&pieces, true);
        prop_assert_eq!(world.read(&head, &path).unwrap(), (chunks.concat(), true));
        prop_assert_eq!(file::digest(&path).unwrap(), digest.unwrap());
        let whole = fs_err::read(&path).unwrap();
        let keep = (whole.len() as f64 * cut) as usize;
        fs_err::write(&path, &whole[..keep]).unwrap();
        if let Ok((text, ended)) = world.read(&head, &path) {
            prop_assert!(!ended && chunks.concat().starts_with(&text));
        }
    }
}

#[test]
fn what_was_changed_does_not_open() {
    let world = World::new();
    let (head, path, _) = world.written(&["one\n", "two\n", "six\n"], true);
    let whole = fs_err::read(&path).unwrap();
    for bit in (0..whole.len() * 8).step_by(3) {
        let mut bent = whole.clone();
        bent[bit / 8] ^= 1 << (bit % 8);
        fs_err::write(&path, &bent).unwrap();
        let read = world.read(&head, &path);
        assert!(!matches!(read, Ok((_, true))), "bit {bit}: {read:?}");
    }
    // Nothing of it can be read in the file.
    assert!(
        !whole
            .windows(4)
            .any(|bytes| bytes == b"one\n" || bytes == b"web1")
    );

    // Chunks of the same length, out of order, twice, or of another file.
    let chunk = 13 + 4 + 16;
    let begin = whole.len() - 3 * chunk - {
        let (_, torn, _) = world.written(&["one\n", "two\n", "six\n"], false);
        whole.len() - fs_err::read(torn).unwrap().len()
    };
    let piece = |from: &[u8], number: usize| from[begin + number * chunk..][..chunk].to_vec();
    let (_, other, _) = world.written(&["one\n", "two\n", "six\n"], true);
    let other = fs_err::read(other).unwrap();
    let rest = whole[begin + 3 * chunk..].to_vec();
    let foreign = piece(&other, 1);
    let [a, b, c] = [0, 1, 2].map(|number| piece(&whole, number));
    for (what, chunks) in [
        ("order", vec![&b, &a, &c]),
        ("twice", vec![&a, &a, &b, &c]),
        ("left out", vec![&a, &c]),
        ("another file", vec![&a, &foreign, &c]),
    ] {
        let bent = {
            let chunks: Vec<u8> = chunks.into_iter().flatten().copied().collect();
            [&whole[..begin], &chunks, &rest].concat()
        };
        fs_err::write(&path, bent).unwrap();
        let read = world.read(&head, &path);
        assert!(
            matches!(read, Err(RecordingError::Damaged { .. })),
            "{what}: {read:?}"
        );
    }
    fs_err::write(&path, [&whole[..], b"more"].concat()).unwrap();
    assert!(world.read(&head, &path).is_err());

    // Under another id it does not open at all.
    let stranger = world.head(1);
    fs_err::write(&path, &whole).unwrap();
    assert!(Reader::open(&path, &world.vault, head.org, stranger.id).is_err());
}

#[tokio::test]
async fn a_shelf_knows_what_a_kill_left_behind() {
    let world = World::new();
    let shelf = world.shelf(RecordingOptions::default());
    let (first, second) = (world.head(1_000), world.head(2_000));
    let mut done = Recorder::begin(shelf.clone(), first.clone()).await.unwrap();
    let at = |ms: i64| Timestamp::from_millis(1_000 + ms);
    done.output(at(10), false, b"h\xc3");
    done.output(at(20), false, b"\xa9 \xff");
    done.resized(
        at(30),
        TerminalSize {
            columns: 100,
            rows: 30,
        },
    );
    done.gap(at(40), 7);
    let outcome = done.finish(at(50)).await.unwrap();
    assert!(!outcome.complete);
    assert_eq!(shelf.digest(first.id).unwrap(), outcome.digest);

    let mut killed = Recorder::begin(shelf.clone(), second.clone()).await.unwrap();
    killed.output(at(1_005), false, b"kept\n");
    killed.write(at(1_006)).await.unwrap();
    killed.output(at(1_007), false, b"not written\n");
    assert!(shelf.entry(second.id).unwrap().running);
    drop(killed);

    // Another life of the controller.
    let shelf = world.shelf(RecordingOptions::default());
    let entries = shelf.list(None, 10, |_| true);
    assert_eq!(entries.len(), 2);
    assert!(entries.iter().all(|entry| !entry.running));
    assert_eq!(shelf.entry(second.id).unwrap().tail, None);
    let text = |id| {
        let mut play = shelf.read(id).unwrap();
        let mut all = Vec::new();
        while let Some(piece) = play.next().unwrap() {
            all.extend(piece);
        }
        String::from_utf8(all).unwrap()
    };
    let lines = text(first.id);
    let lines: Vec<_> = lines.lines().collect();
    assert!(
        lines[0].starts_with("{\"version\":2,\"width\":80,\"height\":24"),
        "{lines:?}"
    );
    assert_eq!(
        lines[1..],
        [
            "[0.010, \"o\", \"h\"]",
            "[0.020, \"o\", \"\u{e9} \u{fffd}\"]",
            "[0.030, \"r\", \"100x30\"]",
            "[0.040, \"m\", \"7 bytes of output are missing\"]"
        ]
    );
    assert!(text(second.id).ends_with("\"kept\\n\"]\n"));

    // The oldest go first: by age, then by room.
    let later = Timestamp::from_millis(i64::from(RecordingOptions::default().days) * DAY_MS + 1_500);
    assert_eq!(shelf.too_many(later), [first.id]);
    let small = world.shelf(RecordingOptions {
        bytes: shelf.entry(second.id).unwrap().bytes,
        ..RecordingOptions::default()
    });
    assert_eq!(small.too_many(at(0)), [first.id]);
    small.remove(first.id).unwrap();
    assert_eq!(small.too_many(at(0)), []);
    assert_eq!(
        world
            .shelf(RecordingOptions::default())
            .list(None, 10, |_| true)
            .len(),
        1
    );
}
