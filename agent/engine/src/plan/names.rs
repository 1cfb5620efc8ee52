//! The names of containers while one makes way for another.

use windflow_model::Rev;

/// As much of an id as engines print.
const ID: usize = 12;

fn short(id: &str) -> &str {
    id.get(..ID).unwrap_or(id)
}

/// What the new container is called until it takes over.
pub(super) fn temporary(old: &str, name: &str) -> String {
    format!("{}_{name}", short(old))
}

/// The same, where an earlier revision has left one of that name.
pub(super) fn temporary_too(rev: Rev, temporary: &str) -> String {
    format!("r{rev}_{temporary}")
}

/// What the old one is called from then on: by its own id, and unlike what is created to replace it.
pub(crate) fn away(old: &str, name: &str) -> String {
    format!("{}_old_{name}", short(old))
}

/// The name behind one of those above; `None` if it is not one of them.
pub(crate) fn lasting(name: &str) -> Option<&str> {
    behind(name).map(|rest| rest.strip_prefix("old_").unwrap_or(rest))
}

/// Whether it is the name of one that has not taken over.
pub(super) fn is_temporary(name: &str) -> bool {
    behind(name).is_some_and(|rest| !rest.starts_with("old_"))
}

fn behind(name: &str) -> Option<&str> {
    let rest = name
        .strip_prefix('r')
        .and_then(|rest| rest.split_once('_'))
        .filter(|(rev, _)| !rev.is_empty() && rev.bytes().all(|byte| byte.is_ascii_digit()))
        .map_or(name, |(_, rest)| rest);
    let (id, rest) = rest.split_at_checked(ID)?;
    let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    rest.strip_prefix('_')
        .filter(|rest| id.bytes().all(hex) && !rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_temporary_tells_its_lasting_name() {
        let id = "0123456789abcdef0123";
        let temporary = temporary(id, "web-a-1");
        let check = |name: &str, expected: Option<&str>| assert_eq!(lasting(name), expected, "{name}");
        check(&temporary, Some("web-a-1"));
        check(&temporary_too(Rev(12), &temporary), Some("web-a-1"));
        check(&away(id, "web-a-1"), Some("web-a-1"));
        check("web-a-1", None);
        check("r1_web", None);
        check("0123456789ab", None);
        check("0123456789ab_", None);
        check("0123456789xy_web-a-1", None);
        check("", None);
        check("é23456789abcd_web", None);
        assert!(is_temporary(&temporary));
        assert!(!is_temporary(&away(id, "web-a-1")));
        assert!(!is_temporary("web-a-1"));
    }
}
