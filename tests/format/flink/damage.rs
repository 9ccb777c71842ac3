//! Damaged parts of real files: whatever is changed, decoding ends, and says where it stopped.

use millpond::codec::Reader;
use millpond::error::{ErrorKind, Result};
use millpond::format::flink::header::{KeyedHeader, OperatorHeader};
use millpond::format::flink::metadata::{
    KeyGroupsBody, KeyGroupsHandle, KeyedHandle, Metadata, Operator, OperatorStateHandle,
};
use millpond::format::flink::{heap, keyed, operator};

use super::files::Files;
use super::fixtures;

/// Larger files would take minutes.
const LARGEST: usize = 3_500;

/// Decodes a whole stream and counts its entries.
type Decode = Box<dyn Fn(&[u8]) -> Result<usize>>;

/// A stream of state, and how to read it.
struct Sample {
    name: String,
    bytes: Vec<u8>,
    reader: Decode,
}

fn keyed_sample(operator: &Operator, handle: &KeyGroupsHandle) -> Decode {
    let (max, handle) = (operator.max_parallelism, handle.clone());
    Box::new(move |bytes: &[u8]| {
        let header = KeyedHeader::read(&mut Reader::new(bytes))?;
        let mut count = 0;
        for (group, start, end) in handle.offsets.extents(handle.stream.size()) {
            let range = usize::try_from(start).unwrap()..usize::try_from(end).unwrap().min(bytes.len());
            let block = bytes.get(range).unwrap_or_default();
            if handle.body == KeyGroupsBody::Native {
                for entry in heap::Block::open(&header, group, max, block, start)?.entries(&header) {
                    entry?;
                    count += 1;
                }
            } else {
                for entry in keyed::Block::open(&header, group, max, block, start)?.entries(&header) {
                    entry?.decode(&header)?;
                    count += 1;
                }
            }
        }
        Ok(count)
    })
}

fn operator_sample(handle: &OperatorStateHandle) -> Decode {
    let states = handle.states.clone();
    Box::new(move |bytes: &[u8]| {
        let header = OperatorHeader::read(&mut Reader::new(bytes))?;
        operator::elements(&header, &states, bytes).try_fold(0, |count, element| element.map(|_| count + 1))
    })
}

/// The first small stream of each kind of body in the repository's fixtures.
fn samples() -> Vec<Sample> {
    let mut samples: Vec<Sample> = Vec::new();
    let mut taken = std::collections::BTreeSet::new();
    for fixture in fixtures::committed() {
        let metadata = Metadata::decode(&fixture.metadata_bytes()).unwrap();
        let files = Files::of(&fixture);
        for operator in &metadata.operators {
            let states = operator.subtasks().iter().filter_map(|subtask| subtask.state.as_deref());
            for state in states {
                let mut add = |kind: String, bytes: Vec<u8>, reader: Decode| {
                    if bytes.len() <= LARGEST && taken.insert(kind.clone()) {
                        samples.push(Sample { name: format!("{} {kind}", fixture.name), bytes, reader });
                    }
                };
                if let Some(KeyedHandle::KeyGroups(handle)) = &state.managed_keyed {
                    let kind = format!("{:?}", handle.body);
                    add(kind, files.read(&handle.stream), keyed_sample(operator, handle));
                }
                if let Some(handle) = &state.managed_operator {
                    add("operator".to_owned(), files.read(&handle.stream), operator_sample(handle));
                }
            }
        }
    }
    samples
}

#[test]
fn truncated_and_flipped_state_ends_with_an_error_or_a_decode() {
    let samples = samples();
    let kinds: Vec<&str> = samples.iter().map(|sample| sample.name.rsplit_once(' ').unwrap().1).collect();
    for kind in ["Canonical", "Native", "operator"] {
        assert!(kinds.contains(&kind), "no sample of {kind}: {kinds:?}");
    }
    for Sample { name, bytes, reader } in samples {
        let complete = reader(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        for length in 0..bytes.len() {
            let error = match reader(&bytes[..length]) {
                Err(error) => error,
                Ok(_) => {
                    // Only where there is no entry at all can the end of the file go unnoticed.
                    assert_eq!(complete, 0, "{name} cut at {length}");
                    continue;
                }
            };
            assert!(error.place().offset.is_some(), "{name} cut at {length}: {error}");
        }
        let mut damaged = bytes.clone();
        for bit in 0..bytes.len() * 8 {
            damaged[bit / 8] ^= 1 << (bit % 8);
            if let Err(error) = reader(&damaged) {
                let expected = matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Incompatible);
                assert!(expected, "{name} bit {bit}: {error}");
            }
            damaged[bit / 8] ^= 1 << (bit % 8);
        }
    }
}
