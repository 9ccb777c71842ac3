use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::{Value, conformance};
use super::*;
use crate::error::ErrorKind;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Profile {
    flights: u64,
    last: Option<String>,
    delays: Vec<i32>,
    by_airport: BTreeMap<String, (u8, f64)>,
    status: Status,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Status {
    New,
    Seen(u64),
    Pair(u8, u8),
    Gone { at: i64 },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Tree {
    Leaf,
    Not(Box<Tree>),
}

fn profile(status: Status) -> Profile {
    Profile {
        flights: 300,
        last: Some("JFK".to_owned()),
        delays: vec![-5, 0, 70_000],
        by_airport: BTreeMap::from([("LGA".to_owned(), (1, 0.5))]),
        status,
    }
}

fn encode<T>(value: T) -> Result<Vec<u8>>
where
    T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    let mut out = Writer::new();
    Msgpack::new().write(&value, &mut out)?;
    Ok(out.into_bytes())
}

#[test]
fn serde_types_keep_the_contract() {
    let all = [Status::New, Status::Seen(9), Status::Pair(1, 2), Status::Gone { at: -1 }].map(profile);
    conformance::check(&Msgpack::<Profile>::new(), &all);
    conformance::check(&Msgpack::<Vec<Option<u8>>>::new(), &[vec![], vec![None, Some(255)]]);
    conformance::check(&Msgpack::<()>::new(), &[()]);
    conformance::check(&Msgpack::<u128>::new(), &[0, u128::MAX]);
}

#[test]
fn fields_and_variants_are_stored_by_name() {
    let bytes = encode(profile(Status::Gone { at: 5 })).unwrap();
    let description = Msgpack::<Profile>::new().snapshot();
    let value = Value::read(&description, &mut Reader::new(&bytes)).unwrap();
    assert_eq!(
        value.to_string(),
        "{flights: 300, last: \"JFK\", delays: [-5, 0, 70000], by_airport: {LGA: [1, 0.5]}, status: {Gone: {at: 5}}}"
    );
}

fn nested(depth: usize) -> Tree {
    (0..depth).fold(Tree::Leaf, |tree, _| Tree::Not(Box::new(tree)))
}

#[test]
fn a_recursive_type_cannot_exhaust_the_stack() {
    let deepest = nested(item::MAX_DEPTH);
    let bytes = encode(deepest.clone()).unwrap();
    assert_eq!(Msgpack::<Tree>::new().read(&mut Reader::new(&bytes)).unwrap(), deepest);
    let error = encode(nested(item::MAX_DEPTH + 1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let hostile = [[0x81, 0xA3].as_slice(), b"Not"].concat().repeat(100_000);
    let mut out = Writer::new();
    out.bytes(&[hostile, vec![0xC0]].concat());
    let error = Msgpack::<Tree>::new().read(&mut Reader::new(out.as_slice())).unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Corrupt, "nests more than 128 levels deep"));
}

#[test]
fn damage_is_told_from_another_type() {
    let read = |bytes: &[u8]| Msgpack::<Status>::new().read(&mut Reader::new(bytes)).unwrap_err();
    let error = read(&[1, 0xC1]);
    assert_eq!((error.place().offset, error.place().field), (Some(1), Some("MessagePack marker")));
    let error = read(&[2, 0xA1, b'x']);
    assert!(error.message().starts_with("is MessagePack, but no "), "{error}");
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("unknown variant"));
    let error = read(&[5, 0xA3, b'N', b'e', b'w', 0xC0]);
    assert_eq!(error.message(), "1 unexpected bytes follow");
}

#[test]
fn a_value_that_serde_cannot_write_is_refused() {
    #[derive(Clone, Deserialize)]
    struct Broken;
    impl Serialize for Broken {
        fn serialize<S: serde::Serializer>(&self, _: S) -> std::result::Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("not today"))
        }
    }
    let error = encode(Broken).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "not today");
}
