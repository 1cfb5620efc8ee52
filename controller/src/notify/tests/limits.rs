//! Whatever is said, it fits into what the receiver takes.

use proptest::prelude::*;

use super::*;

fn long(piece: &str, alerts: usize) -> Notification {
    let alerts = (0..alerts).map(|number| {
        let mut alert = alert(number as u128, piece, piece, piece);
        (alert.summary, alert.note) = (piece.repeat(20), piece.repeat(20));
        alert
    });
    notification(NoticeStatus::Firing, alerts.collect())
}

fn fits(notification: &Notification) {
    for settings in kinds() {
        let words = Words::of(&settings, &Templates::default(), notification);
        let Some(outgoing) = outgoing(&settings, &words, notification, NOW) else {
            email::message(&settings, &words, notification, NOW).unwrap();
            continue;
        };
        let body: serde_json::Value = serde_json::from_str(&outgoing.body).unwrap();
        let text = |pointer: &str| body.pointer(pointer).unwrap().as_str().unwrap();
        let units = |text: &str| text.encode_utf16().count();
        match settings.kind() {
            "slack" => {
                assert!(text("/attachments/0/text").chars().count() <= 38_000);
                assert!(outgoing.body.chars().count() <= 400_000);
            }
            "discord" => {
                let (title, description) = (text("/embeds/0/title"), text("/embeds/0/description"));
                assert!(units(title) <= 256 && units(description) <= 4_096);
                assert!(units(title) + units(description) <= 6_000);
            }
            "teams" => assert!(outgoing.body.len() <= 28_000, "{}", outgoing.body.len()),
            "telegram" => {
                let shown = text("/text")
                    .replace("<b>", "")
                    .replace("</b>", "")
                    .replace("&lt;", "<")
                    .replace("&gt;", ">")
                    .replace("&amp;", "&");
                assert!(units(&shown) <= 4_096, "{}", units(&shown));
            }
            "ntfy" => assert!(text("/message").len() <= 4_096 && text("/title").len() <= 1_024),
            "gotify" => assert!(text("/message").chars().count() <= 16_000),
            _ => assert!(outgoing.body.len() <= 1 << 20),
        }
    }
}

#[test]
fn much_of_anything_fits_and_says_that_it_was_cut() {
    for piece in ["x", "&", "<", "@", "\"", "\\", "-", "é", "😀", "a\nb", "\u{1}"] {
        for alerts in [0, 1, 50] {
            fits(&long(&piece.repeat(40), alerts));
        }
    }
    let (settings, long) = (kinds().remove(3), long("word ", 50));
    let words = Words::of(&settings, &Templates::default(), &long);
    let sent = outgoing(&settings, &words, &long, NOW).unwrap();
    assert!(sent.body.contains("cut; WindFlow shows all of it"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn anything_fits(piece in "\\PC{0,200}", alerts in 0_usize..50) {
        fits(&long(&piece, alerts));
    }
}
