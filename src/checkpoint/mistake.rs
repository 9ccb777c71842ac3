//! Mistakes that tests plant, one at a time, to see that they are found.
//!
//! Each inverts or leaves out one check, or repeats what another system did wrong. A mistake is part of the configuration
//! that is passed in, which has a place for it only with the feature `test-util`; without that, every question whether one
//! was planted is answered when the crate is compiled.

/// One mistake, named after what is done wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(not(feature = "test-util"), allow(unreachable_pub, reason = "the module is public for tests only"))]
pub enum Mistake {
    /// A subtask may take over any shared object (S-03).
    ReusesAnything,
    /// An object may have the name of one that is registered with another content (S-05).
    AcceptsTwoContents,
    /// An object may have the name of one that was acknowledged with another content (S-05).
    AcceptsTwoPendingContents,
    /// A savepoint may name shared objects.
    SavepointShares,
    /// An object may lie elsewhere than it is said to.
    ScopeUnchecked,
    /// Checkpoints are retired although an outcome is unknown (S-09).
    RetiresWhileUncertain,
    /// What a pending checkpoint builds on is retired (S-02).
    RetiresBases,
    /// A savepoint counts as a checkpoint (S-02).
    SavepointSubsumes,
    /// A job restarts although an outcome is unknown (S-09).
    RecoversUndecided,
    /// A report of an earlier step counts as that of the one under way.
    BelievesLateReports,
    /// An unknown outcome counts as a failure (S-09).
    UnknownIsFailure,
    /// A checkpoint that was passed over counts (S-14).
    PassedOverIsCommitted,
    /// A refused create counts as a failure without a look (S-17).
    RefusalIsFinal,
    /// Somebody else's manifest counts as one's own (S-17).
    ForeignIsOurs,
    /// A seal counts as the manifest.
    SealedIsOurs,
    /// A slot that cannot be read counts as empty (S-10).
    UnreadableIsAbsent,
    /// A checkpoint is given up although an attempt to store it may arrive (S-09).
    GivesUpUnsealed,
    /// Going away counts as the end of the job (S-11).
    SuspensionDiscards,
    /// Objects of one name count as one object (S-05).
    HoldsByName,
    /// Forgetting a checkpoint forgets what others share with it (S-01, S-12).
    ForgetsForAll,
    /// The collector ignores the boundary (S-15).
    CollectsUndecided,
    /// The collector ignores what is kept (S-01).
    CollectsKept,
    /// The collector ignores leases (S-16).
    CollectsLeased,
    /// The collector honours leases that are over.
    LeasesNeverEnd,
    /// The collector deletes seals.
    CollectsSeals,
    /// The collector deletes what a dead checkpoint shares with a live one (S-01).
    CollectsShared,
    /// The collector ignores that another coordinator has taken over (S-01).
    CollectsFenced,
    /// A manifest that was not read names nothing (S-10).
    UnreadIsEmpty,
    /// A manifest that cannot be read names nothing (S-10).
    UnreadableIsEmpty,
    /// A kept checkpoint may have no manifest (S-10).
    KeptMayBeMissing,
    /// Orphans are deleted although a pending checkpoint may name them (S-15).
    CollectsUploads,
    /// Orphans are deleted without grace (S-08).
    GraceIgnored,
    /// Orphans in the directory of a pending checkpoint are deleted (S-15).
    CollectsPendingDirectory,
    /// The collector deletes names that are not ours (S-13).
    CollectsForeign,
    /// The collector deletes what the tasks own (S-13).
    CollectsTaskOwned,
    /// The collector never deletes an orphan (S-08).
    OrphansStay,
    /// A manifest is stored without a look at what it names (S-15).
    PublishesUnchecked,
    /// The chain of records is not read after a manifest was stored (S-14).
    ChainUnreadAfterPublishing,
    /// The chain of records is not read after one's own manifest was found (S-14).
    ChainUnreadAfterLooking,
    /// A manifest that is found counts before it is durable (S-18).
    SlotNotPersisted,
    /// A slot is not compared with what was to be stored (S-17).
    FoundBytesAreOurs,
    /// A slot is not sealed, only read.
    SealNotWritten,
    /// Objects are deleted before a record says what counts.
    DeletesBeforeRecord,
    /// Leases are not read again before deleting (S-16).
    LeasesReadOnce,
    /// Objects are deleted before the manifests that name them.
    ObjectsBeforeManifests,
    /// The collector works although checkpoints could not be read (S-10).
    CollectsPartialView,
    /// The collector works while a manifest may be on its way.
    CollectsWhilePublishing,
    /// Leases end by the collector's clock alone (S-16).
    SkewIgnored,
    /// What the job was started from is deleted while it is needed (S-04).
    OriginTooSoon,
    /// A borrowed snapshot counts as claimed (S-04).
    BorrowedIsOwned,
    /// A manifest that is found on taking over is relied on before it is durable (S-18).
    TakeoverNotPersisted,
    /// Taking over does not say which checkpoints count (S-14).
    TakeoverNotRecorded,
    /// Whatever manifest is found counts, recorded or not (S-14).
    CountsEverything,
    /// A damaged checkpoint is passed over in silence (S-10).
    SkipsDamaged,
    /// A checkpoint that cannot be read now is passed over (S-10).
    SkipsUnavailable,
    /// Ids may be given again after a takeover (S-14).
    ForgetsUsedIds,
    /// That a snapshot was claimed is forgotten with the coordinator (S-04).
    ClaimNotRecorded,
    /// The coordinator of a claimed checkpoint's job is not passed over (S-04).
    ClaimNotAnnounced,
    /// Whoever holds the chain of records counts as oneself (S-14).
    NeverPassedOver,
    /// A record that is found counts before it is durable (S-18).
    RecordNotPersisted,
    /// Ids are used before they are reserved (S-14).
    IdsNotReserved,
    /// A claimed snapshot counts as deleted before its deletion is durable.
    OriginForgottenTooSoon,
}

#[cfg(feature = "test-util")]
impl Mistake {
    /// Every mistake.
    pub const ALL: [Mistake; 62] = [
        Mistake::ReusesAnything,
        Mistake::AcceptsTwoContents,
        Mistake::AcceptsTwoPendingContents,
        Mistake::SavepointShares,
        Mistake::ScopeUnchecked,
        Mistake::RetiresWhileUncertain,
        Mistake::RetiresBases,
        Mistake::SavepointSubsumes,
        Mistake::RecoversUndecided,
        Mistake::BelievesLateReports,
        Mistake::UnknownIsFailure,
        Mistake::PassedOverIsCommitted,
        Mistake::RefusalIsFinal,
        Mistake::ForeignIsOurs,
        Mistake::SealedIsOurs,
        Mistake::UnreadableIsAbsent,
        Mistake::GivesUpUnsealed,
        Mistake::SuspensionDiscards,
        Mistake::HoldsByName,
        Mistake::ForgetsForAll,
        Mistake::CollectsUndecided,
        Mistake::CollectsKept,
        Mistake::CollectsLeased,
        Mistake::LeasesNeverEnd,
        Mistake::CollectsSeals,
        Mistake::CollectsShared,
        Mistake::CollectsFenced,
        Mistake::UnreadIsEmpty,
        Mistake::UnreadableIsEmpty,
        Mistake::KeptMayBeMissing,
        Mistake::CollectsUploads,
        Mistake::GraceIgnored,
        Mistake::CollectsPendingDirectory,
        Mistake::CollectsForeign,
        Mistake::CollectsTaskOwned,
        Mistake::OrphansStay,
        Mistake::PublishesUnchecked,
        Mistake::ChainUnreadAfterPublishing,
        Mistake::ChainUnreadAfterLooking,
        Mistake::SlotNotPersisted,
        Mistake::FoundBytesAreOurs,
        Mistake::SealNotWritten,
        Mistake::DeletesBeforeRecord,
        Mistake::LeasesReadOnce,
        Mistake::ObjectsBeforeManifests,
        Mistake::CollectsPartialView,
        Mistake::CollectsWhilePublishing,
        Mistake::SkewIgnored,
        Mistake::OriginTooSoon,
        Mistake::BorrowedIsOwned,
        Mistake::TakeoverNotPersisted,
        Mistake::TakeoverNotRecorded,
        Mistake::CountsEverything,
        Mistake::SkipsDamaged,
        Mistake::SkipsUnavailable,
        Mistake::ForgetsUsedIds,
        Mistake::ClaimNotRecorded,
        Mistake::ClaimNotAnnounced,
        Mistake::NeverPassedOver,
        Mistake::RecordNotPersisted,
        Mistake::IdsNotReserved,
        Mistake::OriginForgottenTooSoon,
    ];
}
