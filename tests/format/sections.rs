//! Data sections: what the samples contain, whatever they are stored as.

use millpond::Result;
use millpond::codec::{Compression, Writer};
use millpond::format::manifest::KeyGroupAssignment;
use millpond::format::record::{StateKind, StateMeta};
use millpond::format::schema::Schema;
use millpond::format::section::{Block, Owner, SectionId, SectionReader};
use millpond::format::{FormatId, canonical, native_heap};
use millpond::ids::SubtaskIndex;
use millpond::serializer::SerializerSnapshot as S;

use super::forge::Forge;
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

/// Values of no bytes, at the end of a section and of its blocks and some bytes to either side: the values around them are
/// drawn out until the border moves past them. A block ends with the entry that makes it as long as blocks are.
#[test]
fn s_32_empty_values_stand_at_every_border() {
    let mut codecs = vec![Compression::None, Compression::Lz4];
    if cfg!(feature = "zstd") {
        codecs.push(Compression::Zstd);
    }
    let states = |kind| {
        let (name, value) = ("s".to_owned(), S::Bytes);
        [StateMeta { name, kind, namespace: S::Unit, user_key: S::Unit, value, timed: false }]
    };
    let keys = keys();
    for (codec, short) in codecs.into_iter().flat_map(|codec| (0..45).map(move |short| (codec, short))) {
        for (format, block_bytes) in
            [(FormatId::Canonical, 64 << 10), (FormatId::NativeHeap, 256 << 10), (FormatId::Operator, 64 << 10)]
        {
            let long = vec![7; block_bytes - short];
            let values = [&long[..], &[], &[], &long, &[]].map(neutral);
            let is_list = format == FormatId::Operator;
            let key = |number: usize| if is_list { Vec::new() } else { keys[number].clone() };
            let pairs: Vec<_> = values.into_iter().enumerate().map(|(number, value)| (key(number), value)).collect();
            let states = states(if is_list { StateKind::OperatorList } else { StateKind::Value });
            let bytes = section(format, codec, &states[0], &pairs);
            let read = contents(&bytes, id(format), &states).unwrap();
            assert_eq!(read, [("s".to_owned(), pairs)], "{format}, {codec:?}, {short} bytes short of a block");
        }
    }
}

/// A section of one state.
fn section(format: FormatId, codec: Compression, state: &StateMeta, pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let SectionId { operator, owner, .. } = id(format);
    if format == FormatId::NativeHeap {
        let mut out = native_heap::writer(Vec::new(), operator, codec);
        out.begin(owner).unwrap();
        out.begin_state(&state.name, state.kind).unwrap();
        let schema = Schema { key: &S::String, state };
        for (key, value) in pairs {
            out.entry(|out| native_heap::write_pair(&schema, key, value, out)).unwrap();
        }
        out.finish().unwrap();
        return out.close().unwrap();
    }
    let mut out = match format {
        FormatId::Operator => millpond::format::operator::writer(Vec::new(), operator, codec),
        _ => canonical::writer(Vec::new(), operator, codec),
    };
    out.begin(owner).unwrap();
    out.begin_state(&state.name, state.kind).unwrap();
    pairs.iter().for_each(|(key, value)| out.pair(key, value).unwrap());
    out.finish().unwrap();
    out.close().unwrap()
}

/// Serialized keys of the key group of the samples, ascending.
fn keys() -> Vec<Vec<u8>> {
    let all = (0..).map(|number: u32| neutral(format!("{number:05}").as_bytes()));
    all.filter(|key| samples::max().group_of_key(key) == samples::GROUP).take(5).collect()
}

/// A compressed block that declares another size than it has, or one that no block may have: refused whatever the codec, and
/// before more is reserved than a block of so few bytes may become.
#[test]
fn s_39_a_block_that_declares_another_size_is_refused() {
    let mut codecs = vec![Compression::Lz4];
    if cfg!(feature = "zstd") {
        codecs.push(Compression::Zstd);
    }
    let states = samples::keyed_states();
    for codec in codecs {
        let good = Forge::new(FormatId::Canonical, &samples::compressible_section(codec).0);
        let number = |name| u32::from_be_bytes(good.get(name, 0).try_into().unwrap());
        let (raw, stored) = (number("raw length"), number("stored length"));
        for declared in [0, 1, stored, raw - 1, raw + 1, 2 * raw, 64 << 20, (64 << 20) + 1, 1 << 30, u32::MAX] {
            let mut forge = good.clone();
            forge.set("raw length", 0, &declared.to_be_bytes());
            forge.seal();
            let bytes = forge.unsealed();
            let mut refused = None;
            let read = || refused = contents(&bytes, id(FormatId::Canonical), &states).err();
            let peak = allocation_counter::measure(read).bytes_max;
            let error = refused.unwrap_or_else(|| panic!("{codec:?}: {declared} of {raw} is believed"));
            assert_eq!(error.kind(), millpond::ErrorKind::Corrupt, "{error}");
            assert!(matches!(error.place().field, Some("raw length" | "payload" | "entries")), "{error}");
            let most = 1_000 * (u64::from(stored) + 128);
            assert!(peak <= most.min(u64::from(declared)) + (64 << 10), "{codec:?}: {peak} bytes for {declared}");
        }
    }
}

/// Bytes as a value.
fn neutral(bytes: &[u8]) -> Vec<u8> {
    let mut out = Writer::new();
    out.bytes(bytes);
    out.into_bytes()
}
