//! A user brings a type of their own and has it checked.

use std::collections::BTreeMap;

use millpond::serializer::{Bytes, F64, List, Map, Msgpack, Opt, Str, Tuple2, Tuple4, U64, Window, conformance, fuzz};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Aircraft {
    flights: u64,
    #[serde(default)]
    minutes: i64,
    airports: BTreeMap<String, u32>,
    owner: Option<Box<Aircraft>>,
    status: Status,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Status {
    Flying { to: String, at: f64 },
    Parked(u8),
    Gone,
}

fn aircraft() -> impl Strategy<Value = Aircraft> {
    let status = prop_oneof![
        (any::<String>(), -1e9..1e9).prop_map(|(to, at)| Status::Flying { to, at }),
        any::<u8>().prop_map(Status::Parked),
        Just(Status::Gone),
    ];
    let airports = proptest::collection::btree_map("[A-Z]{3}", any::<u32>(), 0..3);
    let plain = (any::<u64>(), any::<i64>(), airports, status)
        .prop_map(|(flights, minutes, airports, status)| Aircraft { flights, minutes, airports, owner: None, status });
    plain.prop_recursive(2, 4, 1, |inner| {
        (inner.clone(), inner).prop_map(|(aircraft, owner)| Aircraft { owner: Some(Box::new(owner)), ..aircraft })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_value_of_a_serde_type_keeps_the_contract(first in aircraft(), second in aircraft()) {
        conformance::check(&Msgpack::<Aircraft>::new(), &[first.clone(), second.clone()]);
        let nested = Tuple2(Str, List::new(Msgpack::<Aircraft>::new()));
        conformance::check(&nested, &[(String::new(), vec![first]), ("a".to_owned(), vec![second])]);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        fuzz::fuzz_description(&bytes);
        fuzz::fuzz_value(&bytes);
        fuzz::fuzz_serializer(&Msgpack::<Aircraft>::new(), &bytes);
        fuzz::fuzz_serializer(&List::new(Opt::new(Map::new(Bytes, U64))), &bytes);
        fuzz::fuzz_serializer(&Tuple4(Str, Window, List::new(Str), Opt::new(F64)), &bytes);
    }
}

#[test]
fn damaged_descriptions_and_values_never_panic() {
    use millpond::codec::Writer;
    use millpond::serializer::Serializer;
    let serializer = Tuple2(Msgpack::<Aircraft>::new(), Map::new(Str, List::new(U64)));
    let aircraft = Aircraft {
        flights: 1,
        minutes: -1,
        airports: BTreeMap::from([("JFK".to_owned(), 3)]),
        owner: None,
        status: Status::Flying { to: "LGA".to_owned(), at: 0.5 },
    };
    let mut out = Writer::new();
    serializer.snapshot().encode(&mut out).unwrap();
    serializer.write(&(aircraft, BTreeMap::from([("k".to_owned(), vec![1, 2])])), &mut out).unwrap();
    let bytes = out.into_bytes();
    for position in 0..bytes.len() {
        for change in [1u8, 2, 4, 8, 16, 32, 64, 128, 255] {
            let mut damaged = bytes.clone();
            damaged[position] ^= change;
            fuzz::fuzz_description(&damaged);
            fuzz::fuzz_value(&damaged);
        }
        fuzz::fuzz_value(&bytes[..position]);
    }
}
