//! Data sections: what the samples contain, whatever they are stored as.

use millpond::Result;
use millpond::codec::Compression;
use millpond::format::manifest::KeyGroupAssignment;
use millpond::format::record::StateMeta;
use millpond::format::schema::Schema;
use millpond::format::section::{Block, Owner, SectionId, SectionReader};
use millpond::format::{FormatId, canonical, native_heap};
use millpond::ids::SubtaskIndex;
use millpond::serializer::SerializerSnapshot as S;

use super::samples;

/// Name of a state and its neutral entries.
pub(super) type StateContents = (String, Vec<(Vec<u8>, Vec<u8>)>);

/// The states of a section.
pub(super) type Contents = Vec<StateContents>;

/// Reads a section of any format into neutral entries, checking everything that can be checked.
pub(super) fn contents(bytes: &[u8], id: SectionId, states: &[StateMeta]) -> Result<Contents> {
    let mut order = canonical::PairReader::new();
    let mut all: Contents = Vec::new();
    for block in SectionReader::new(bytes, 0, id)? {
        let block = block?;
        let key = if id.format == FormatId::Operator { &S::Unit } else { &S::String };
        let schema = Schema::find(key, states, block.state, block.kind).map_err(|error| block.locate(error))?;
        if block.is_first {
            all.push((block.state.to_owned(), Vec::new()));
        }
        let entries = &mut all.last_mut().unwrap().1;
        read_block(&block, schema, &mut order, entries)?;
    }
    Ok(all)
}

fn read_block(
    block: &Block<'_>,
    schema: Schema<'_>,
    order: &mut canonical::PairReader,
    entries: &mut Vec<(Vec<u8>, Vec<u8>)>,
) -> Result<()> {
    let check = canonical::EntryCheck { groups: Some((&KeyGroupAssignment::Xxh3, samples::max())) };
    let mut keep = |key: &[u8], value: &[u8]| {
        entries.push((key.to_vec(), value.to_vec()));
        check.check(&schema, block, key, value)
    };
    if block.section.format == FormatId::NativeHeap {
        let mut typed = native_heap::Entries::new(block, schema);
        while let Some((key, value)) = typed.next_pair()? {
            keep(key, value)?;
        }
        return Ok(());
    }
    order.pairs(block).try_for_each(|pair| pair.and_then(|(key, value)| keep(key, value)))
}

pub(super) fn id(format: FormatId) -> SectionId {
    let owner = match format {
        FormatId::Operator => Owner::Subtask(SubtaskIndex(1)),
        _ => Owner::KeyGroup(samples::GROUP),
    };
    SectionId { format, operator: samples::aircraft(), owner }
}

fn expected(states: &[StateMeta], pairs: Vec<Vec<(Vec<u8>, Vec<u8>)>>) -> Contents {
    states.iter().map(|state| state.name.clone()).zip(pairs).collect()
}

#[test]
fn both_keyed_formats_give_the_same_entries() {
    let states = samples::keyed_states();
    let expected = expected(&states, samples::keyed_pairs());
    let (canonical, _) = samples::canonical_section(Compression::None);
    assert_eq!(contents(&canonical, id(FormatId::Canonical), &states).unwrap(), expected);
    let (native, _) = samples::native_section();
    assert_eq!(contents(&native, id(FormatId::NativeHeap), &states).unwrap(), expected);
}

#[test]
fn operator_state_keeps_the_order_of_its_elements() {
    let states = samples::operator_states();
    let (section, summary) = samples::operator_section();
    let expected = expected(&states, samples::operator_pairs());
    assert_eq!(contents(&section, id(FormatId::Operator), &states).unwrap(), expected);
    assert_eq!(summary.entries, 5);
}

#[test]
fn a_compressed_section_is_shorter_and_has_the_same_entries() {
    let states = samples::keyed_states();
    let (plain, _) = samples::compressible_section(Compression::None);
    let expected = contents(&plain, id(FormatId::Canonical), &states).unwrap();
    let mut codecs = vec![Compression::Lz4];
    if cfg!(feature = "zstd") {
        codecs.push(Compression::Zstd);
    }
    for codec in codecs {
        let (section, _) = samples::compressible_section(codec);
        assert!(section.len() < plain.len(), "{}: {} bytes", codec.name(), section.len());
        assert_eq!(contents(&section, id(FormatId::Canonical), &states).unwrap(), expected);
    }
}

#[test]
fn a_state_that_the_manifest_does_not_describe_is_refused() {
    let (section, _) = samples::canonical_section(Compression::None);
    let mut states = samples::keyed_states();
    states.remove(0);
    let error = contents(&section, id(FormatId::Canonical), &states).unwrap_err();
    assert_eq!(error.place().state.as_deref(), Some("delays"));
    let mut states = samples::keyed_states();
    states[0].kind = millpond::format::record::StateKind::Value;
    let error = contents(&section, id(FormatId::Canonical), &states).unwrap_err();
    assert!(error.message().contains("list") && error.message().contains("value"), "{error}");
}
