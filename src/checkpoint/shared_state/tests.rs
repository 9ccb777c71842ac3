use proptest::prelude::*;

use super::*;
use crate::ErrorKind;
use crate::format::manifest::ObjectScope;

fn object(name: u8, content: u8) -> ObjectRef {
    let digest = Digest([content; 32]);
    ObjectRef { scope: ObjectScope::Shared, name: format!("object-{name}"), length: u64::from(content), digest }
}

fn id(id: u64) -> CheckpointId {
    CheckpointId(id)
}

#[test]
fn two_contents_under_one_name_are_refused_whole() {
    let mut registry = SharedStateRegistry::new(View::Complete);
    registry.register(id(1), &[object(1, 1)]).unwrap();
    let error = registry.register(id(2), &[object(2, 2), object(1, 9)]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.message().contains("object-1") && error.message().contains("01010101"), "{error}");
    assert!(registry.register(id(2), &[object(3, 3), object(3, 4)]).is_err());
    assert_eq!((registry.len(), registry.holders("object-2").count()), (1, 0), "nothing of it was recorded");
}

#[test]
fn a_partial_view_never_says_that_something_is_unused() {
    let mut registry = SharedStateRegistry::new(View::Partial);
    registry.register(id(1), &[object(1, 1)]).unwrap();
    assert_eq!(registry.only_of(id(1)).unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(registry.holds(id(1), &object(1, 1)));
}

#[test]
fn holding_means_the_same_content() {
    let mut registry = SharedStateRegistry::new(View::Complete);
    registry.register(id(1), &[object(1, 1)]).unwrap();
    assert!(!registry.holds(id(1), &object(1, 2)));
    assert!(!registry.holds(id(2), &object(1, 1)));
    assert_eq!(registry.only_of(id(1)).unwrap(), [("object-1", 1)]);
    registry.register(id(2), &[object(1, 1)]).unwrap();
    assert_eq!(registry.only_of(id(1)).unwrap(), []);
    assert_eq!(registry.holders("object-1").collect::<Vec<_>>(), [id(1), id(2)]);
}

#[derive(Debug, Clone)]
enum Op {
    Register(u64, Vec<u8>),
    Forget(u64),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        2 => (1u64..6, prop::collection::vec(0u8..8, 0..5)).prop_map(|(id, names)| Op::Register(id, names)),
        1 => (1u64..6).prop_map(Op::Forget),
    ];
    prop::collection::vec(op, 0..40)
}

proptest! {
    /// Late, duplicate and unknown events leave the registry equal to a plain set of pairs.
    #[test]
    fn the_registry_is_a_set_of_pairs(ops in ops()) {
        let mut registry = SharedStateRegistry::new(View::Complete);
        let mut model: BTreeSet<(u64, u8)> = BTreeSet::new();
        for op in ops {
            match op {
                Op::Register(checkpoint, names) => {
                    let objects: Vec<ObjectRef> = names.iter().map(|name| object(*name, *name)).collect();
                    registry.register(id(checkpoint), &objects).unwrap();
                    registry.register(id(checkpoint), &objects).unwrap();
                    model.extend(names.iter().map(|name| (checkpoint, *name)));
                }
                Op::Forget(checkpoint) => {
                    registry.forget(id(checkpoint));
                    registry.forget(id(checkpoint));
                    model.retain(|(held, _)| *held != checkpoint);
                }
            }
            for name in 0..8u8 {
                let holders: Vec<u64> = registry.holders(&object(name, name).name).map(|id| id.0).collect();
                let expected: Vec<u64> = model.iter().filter(|(_, held)| *held == name).map(|(id, _)| *id).collect();
                prop_assert_eq!(&holders, &expected);
                for checkpoint in 1..6 {
                    let only = registry.only_of(id(checkpoint)).unwrap();
                    let alone = expected == [checkpoint];
                    prop_assert_eq!(only.iter().any(|(only, _)| *only == object(name, name).name), alone);
                }
            }
            prop_assert_eq!(registry.is_empty(), model.is_empty());
        }
    }
}
