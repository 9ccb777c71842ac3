use super::*;
use crate::ErrorKind;

fn role(name: &str) -> Option<Role> {
    let (directory, rest) = name.split_once('/')?;
    let id = || directory.strip_prefix("chk-").and_then(|id| id.parse().ok()).map(CheckpointId);
    match (directory, rest) {
        ("shared", _) => Some(Role::Shared),
        ("taskowned", _) => Some(Role::TaskOwned),
        ("savepoint", _) => Some(Role::Savepoint),
        (_, "_metadata") => id().map(Role::Manifest),
        _ => id().map(Role::Exclusive),
    }
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_string()).collect()
}

fn id(id: u64) -> CheckpointId {
    CheckpointId(id)
}

/// Checkpoints 1 (retired) and 2 (kept), 3 in the making, orphans of 0 and of who knows.
fn view() -> View<String> {
    let listing = [
        "chk-1/_metadata",
        "chk-1/a",
        "chk-2/_metadata",
        "chk-2/b",
        "chk-3/c",
        "shared/both",
        "shared/only-1",
        "shared/orphan",
        "taskowned/log",
        "savepoint/_metadata",
        "readme",
        "notes/readme",
    ];
    let one = Content::Names(names(&["chk-1/a", "shared/both", "shared/only-1"]));
    let two = Content::Names(names(&["chk-2/b", "shared/both"]));
    View {
        listing: Some(names(&listing)),
        next_id: id(4),
        boundary: id(3),
        kept: [id(2)].into(),
        manifests: [(id(1), one), (id(2), two)].into(),
        leases: Vec::new(),
        epoch: 7,
        highest_epoch: 7,
        seen: BTreeMap::new(),
        now_ms: 1_000,
        grace_ms: 100,
        #[cfg(feature = "test-util")]
        planted: None,
    }
}

fn refused(change: impl FnOnce(&mut View<String>)) -> Error {
    let mut view = view();
    change(&mut view);
    plan(&view, |name| role(name)).unwrap_err()
}

#[test]
fn a_retired_checkpoint_goes_with_what_only_it_names() {
    let plan = plan(&view(), |name| role(name)).unwrap();
    let boundary = Boundary { epoch: 7, below: id(3) };
    assert_eq!(plan.boundary, boundary);
    assert!(boundary.admits(7, id(3)) && boundary.admits(8, id(4)));
    assert!(!boundary.admits(7, id(2)) && !boundary.admits(6, id(9)));
    assert_eq!(plan.manifests, ["chk-1/_metadata"]);
    assert_eq!(plan.objects, ["chk-1/a", "shared/only-1"]);
    let seen = Seen { since_ms: 1_000, next_id: id(4) };
    assert_eq!(plan.seen, [("chk-3/c".to_string(), seen), ("shared/orphan".to_string(), seen)].into());
    assert_eq!(plan.foreign, 2);
}

#[test]
fn an_orphan_goes_once_every_checkpoint_it_could_belong_to_is_decided_and_the_grace_is_over() {
    let collects = |boundary: u64, now_ms: i64, since_ms: i64| {
        let mut view = view();
        view.seen.insert("shared/orphan".into(), Seen { since_ms, next_id: id(4) });
        (view.boundary, view.next_id, view.now_ms) = (id(boundary), id(9), now_ms);
        plan(&view, |name| role(name)).unwrap().objects.contains(&"shared/orphan".to_string())
    };
    assert!(collects(4, 1_100, 1_000));
    assert!(!collects(3, 999_999, 1_000), "checkpoint 3 may still name it, however old it is");
    assert!(!collects(4, 1_099, 1_000), "the grace is not over");
    assert!(!collects(4, 1_000, 999_999), "the clock went back");
}

#[test]
fn exclusive_objects_of_a_checkpoint_in_the_making_stay() {
    let mut view = view();
    view.seen.insert("chk-3/c".into(), Seen { since_ms: 0, next_id: id(1) });
    assert!(!plan(&view, |name| role(name)).unwrap().objects.contains(&"chk-3/c".to_string()));
    (view.boundary, view.next_id) = (id(4), id(4));
    assert!(plan(&view, |name| role(name)).unwrap().objects.contains(&"chk-3/c".to_string()));
}

#[test]
fn an_incomplete_view_disables_the_collector() {
    let unreadable = || Content::Unreadable { reason: "timeout".into() };
    let error = refused(|view| view.listing = None);
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(refused(|view| drop(view.manifests.remove(&id(2)))).message().contains("was not read"));
    assert!(refused(|view| drop(view.manifests.insert(id(2), unreadable()))).message().contains("timeout"));
    assert!(refused(|view| drop(view.manifests.insert(id(3), unreadable()))).message().contains("checkpoint 3"));
    assert!(refused(|view| view.kept.extend([id(0)])).message().contains("has no manifest"));
    assert!(refused(|view| drop(view.manifests.insert(id(2), Content::Sealed))).message().contains("no manifest"));
    let fenced = refused(|view| view.highest_epoch = 8);
    assert_eq!(fenced.kind(), ErrorKind::Aborted);
}

#[test]
fn a_damaged_manifest_that_nobody_keeps_goes_alone() {
    let mut view = view();
    view.manifests.insert(id(1), Content::Unreadable { reason: "bad digest".into() });
    let plan = plan(&view, |name| role(name)).unwrap();
    assert_eq!(plan.manifests, ["chk-1/_metadata"]);
    assert_eq!(plan.objects, Vec::<String>::new(), "what it named is an orphan now, and waits");
    assert!(plan.seen.contains_key("shared/only-1") && plan.seen.contains_key("chk-1/a"));
}

#[test]
fn a_lease_keeps_a_retired_checkpoint_until_it_expires() {
    let mut view = view();
    view.leases.push(Lease { id: id(1), expires_ms: 1_001 });
    assert!(plan(&view, |name| role(name)).unwrap().is_empty());
    view.now_ms = 1_001;
    assert_eq!(plan(&view, |name| role(name)).unwrap().manifests, ["chk-1/_metadata"]);
}

#[test]
fn seals_stay_and_newer_manifests_are_in_use() {
    let mut view = view();
    let listing = view.listing.as_mut().unwrap();
    listing.extend(names(&["chk-0/_metadata", "chk-5/_metadata", "shared/five"]));
    view.manifests.insert(id(0), Content::Sealed);
    view.manifests.insert(id(5), Content::Names(names(&["shared/five"])));
    let plan = plan(&view, |name| role(name)).unwrap();
    assert_eq!(plan.manifests, ["chk-1/_metadata"]);
    assert!(!plan.seen.contains_key("shared/five"));
}

#[test]
fn a_savepoint_is_disposed_of_alone() {
    let inside = |name: &String| name.starts_with("savepoint/");
    let manifest = || "savepoint/_metadata".to_string();
    let (first, rest) = plan_disposal(manifest(), &names(&["savepoint/b", "savepoint/a"]), inside).unwrap();
    assert_eq!((first.as_str(), rest), ("savepoint/_metadata", vec!["savepoint/a".to_string(), "savepoint/b".into()]));
    let error = plan_disposal(manifest(), &names(&["shared/x"]), inside).unwrap_err();
    assert!(error.message().contains("shared/x"), "{error}");
}
