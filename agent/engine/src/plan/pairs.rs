//! Several containers with one number: a replacement that a crash cut short, or a foreign hand.

use crate::targets::ObservedContainer;

/// The containers of one number.
pub(super) struct Group<'o> {
    /// The one to build on.
    pub(super) keeper: &'o ObservedContainer,
    /// Why it is not as it should be, if it is not.
    pub(super) diverged: Option<String>,
    /// The one it replaces: stopped, renamed away and kept until the keeper is good.
    pub(super) old: Option<&'o ObservedContainer>,
    /// Left over.
    pub(super) rest: Vec<&'o ObservedContainer>,
}

/// Chooses. One that is as it should be wins over any other, then the one with the final name, then one that runs,
/// then the newest. Never by name alone: a name proves nothing.
pub(super) fn choose<'o>(
    mut containers: Vec<&'o ObservedContainer>,
    final_name: &str,
    diverged: &dyn Fn(&ObservedContainer) -> Option<String>,
) -> Option<Group<'o>> {
    containers.sort_by_key(|container| {
        (
            diverged(container).is_none(),
            container.name == final_name,
            container.is_up(),
            container.created,
            container.id.clone(),
        )
    });
    let keeper = containers.pop()?;
    let why = diverged(keeper);
    let mut group = Group {
        keeper,
        diverged: why,
        old: None,
        rest: containers,
    };
    if group.diverged.is_none() && !group.rest.is_empty() {
        // The one that serves, or did: it goes only after the keeper is good.
        let index = group.rest.iter().rposition(|other| other.is_up());
        let index = index.or_else(|| group.rest.iter().rposition(|other| other.name == final_name));
        let index = index.unwrap_or(group.rest.len() - 1);
        group.old = Some(group.rest.remove(index));
    }
    Some(group)
}
