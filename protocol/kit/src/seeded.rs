//! Deliberate bugs, to test the tests: with the feature `seeded-bugs` a thread can be given one, and the fault suite must
//! find it. Without the feature, [`is`] is `false` when it is compiled, and nothing of a bug is in a product.

/// A bug that the fault suite has to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// The store acknowledges a commit before it is synced.
    AckBeforeSync,
    /// A host takes an order that it has carried out already once more.
    OrderTakenTwice,
    /// A request with a known `Idempotency-Key` makes new deployments.
    NoIdempotency,
    /// A revision that a host has had is used again for another wish.
    RevisionReused,
    /// A failed deploy claims to be rolled back, and is not.
    LostRollback,
    /// A host forgets its reports when they are sent, not when they are acknowledged.
    ReportForgotten,
    /// The controller acknowledges a report before it is stored.
    ReportAckedEarly,
    /// An offer is sent once; after a reconnect it is not sent again.
    OfferedOnce,
    /// A deployment that a newer one replaces in the queue is never ended.
    SupersededWithoutEnd,
    /// Success is said without looking whether the services are healthy.
    SuccessUnverified,
    /// Nobody looks whether containers still run.
    DriftIgnored,
    /// Containers of services that a revision no longer has are left.
    OrphansLeft,
    /// A cancelled operation is confirmed as cancelled, and carried out.
    CancelledGoesOn,
    /// A deployment moves without an audit record.
    MoveUnaudited,
    /// The controller starts with the epoch of its last start.
    EpochReused,
    /// A session gets the number of the first session.
    SessionEpochReused,
    /// A commit whose end is unknown is taken for one that has happened.
    UnknownIsDone,
    /// The next wave of a rollout begins while hosts of the one before are at work.
    WaveUnsettled,
    /// A rollout goes on whatever number of hosts has failed.
    FailuresIgnored,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::AckBeforeSync,
        Self::OrderTakenTwice,
        Self::NoIdempotency,
        Self::RevisionReused,
        Self::LostRollback,
        Self::ReportForgotten,
        Self::ReportAckedEarly,
        Self::OfferedOnce,
        Self::SupersededWithoutEnd,
        Self::SuccessUnverified,
        Self::DriftIgnored,
        Self::OrphansLeft,
        Self::CancelledGoesOn,
        Self::MoveUnaudited,
        Self::EpochReused,
        Self::SessionEpochReused,
        Self::UnknownIsDone,
        Self::WaveUnsettled,
        Self::FailuresIgnored,
    ];
}

/// Whether the code has this bug.
#[cfg(not(feature = "seeded-bugs"))]
#[must_use]
pub const fn is(_bug: Bug) -> bool {
    false
}

#[cfg(feature = "seeded-bugs")]
pub use planted::{is, plant};

#[cfg(feature = "seeded-bugs")]
mod planted {
    use std::cell::Cell;

    use super::Bug;

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Gives this thread a bug, or takes it away.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.set(bug);
    }

    /// Whether the code has this bug, on this thread.
    #[must_use]
    pub fn is(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }
}
