//! Bodies of the fuzz targets: what must hold for any bytes. Feature `test-util`.
//!
//! Real files and parts of them are the corpus. Every decoder has to end without a panic, has to name the place of what
//! it refuses, and has to consume no more than it was given.

use std::collections::BTreeMap;

use super::changelog::{self, Announcement, ChangeSet, NetChanges, Trial};
use super::channel::{self, Elements};
use super::header::{KeyedHeader, OperatorHeader};
use super::java_object::{self, CheckpointProperties, LogicalType};
use super::metadata::{Channel, Distribution, Metadata, PartitionOffsets, Version};
use super::serializer::{Simple, Snapshot};
use super::timer::RawTimers;
use super::{Value, heap, keyed, operator};
use crate::codec::{Reader, Writer};
use crate::error::{Error, ErrorKind, Result};
use crate::key_group::{KeyGroup, MaxParallelism};

/// Damage is damage or something unknown, and nothing else.
fn judge(error: &Error) {
    let kind = error.kind();
    assert!(matches!(kind, ErrorKind::Corrupt | ErrorKind::Incompatible), "{error}");
}

/// Any bytes as a `_metadata` file: what is read has no bytes to spare.
pub fn fuzz_flink_metadata(bytes: &[u8]) {
    match Metadata::decode(bytes) {
        Err(error) => judge(&error),
        Ok(metadata) => {
            if let Err(error) = metadata.checkpoint_properties() {
                judge(&error);
            }
            let shorter = bytes.get(..bytes.len().saturating_sub(1)).unwrap_or_default();
            let opaque_tail =
                metadata.properties.as_ref().is_some_and(|tail| java_object::skip(&mut Reader::new(tail)).is_err());
            assert!(opaque_tail || Metadata::decode(shorter).is_err(), "the last byte means nothing");
            // Encoding compares what decoding gives back.
            let written = metadata.encode();
            assert!(metadata.version == Version::V2 || written.is_ok(), "{:?}", written.err());
        }
    }
}

/// Any bytes as a serializer snapshot and, behind it, a value.
pub fn fuzz_flink_serializer(bytes: &[u8]) {
    let mut input = Reader::new(bytes);
    match Snapshot::read(&mut input) {
        Err(error) => judge(&error),
        Ok(snapshot) => {
            assert_eq!(bytes.get(..input.position()), Some(snapshot.bytes.as_slice()));
            assert_eq!(Snapshot::read(&mut Reader::new(&snapshot.bytes)).ok().as_ref(), Some(&snapshot));
            fuzz_flink_value(&snapshot, input.rest());
        }
    }
}

/// Any bytes as a value of a serializer: read on its own or as the whole, it is the same.
pub fn fuzz_flink_value(snapshot: &Snapshot, bytes: &[u8]) {
    let mut input = Reader::new(bytes);
    match snapshot.read_value(&mut input) {
        Err(error) => judge(&error),
        Ok(value) => {
            let mut exact = Reader::new(bytes.get(..input.position()).unwrap_or_default());
            let whole = snapshot.read_whole(&mut exact);
            // Compared as text, because a float that is no number differs from itself.
            assert_eq!(whole.map(|whole| format!("{whole:?}")).ok(), Some(format!("{value:?}")));
            rewrite(snapshot, &value);
            let _shown = crate::serializer::Value::from(value);
        }
    }
}

/// A value is written as it was, or refused because its type cannot hold it.
fn rewrite(snapshot: &Snapshot, value: &Value) {
    let mut out = Writer::new();
    match snapshot.write_value(value, &mut out) {
        Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}"),
        Ok(()) => {
            let again = snapshot.read_value(&mut Reader::new(out.as_slice()));
            assert_eq!(again.map(|again| format!("{again:?}")).ok(), Some(format!("{value:?}")));
        }
    }
}

/// Any bytes as a Java object stream.
pub fn fuzz_flink_java_object(bytes: &[u8]) {
    let mut input = Reader::new(bytes);
    match java_object::skip(&mut input) {
        Err(error) => judge(&error),
        Ok(()) => {
            for read in [
                |input: &mut Reader<'_>| LogicalType::read(input).map(|_| ()),
                |input: &mut Reader<'_>| CheckpointProperties::read(input).map(|_| ()),
            ] {
                if let Err(error) = read(&mut Reader::new(bytes)) {
                    judge(&error);
                }
            }
        }
    }
}

/// Any bytes as a canonical file with one key group: the one its first key says.
pub fn fuzz_flink_keyed(bytes: &[u8]) {
    let mut input = Reader::new(bytes);
    let header = match KeyedHeader::read(&mut input) {
        Ok(header) => header,
        Err(error) => return judge(&error),
    };
    let Ok(max) = MaxParallelism::new(128) else { return };
    let number = input.rest().get(6).map_or(0, |byte| u16::from(byte & 0x7F));
    match keyed::Block::open(&header, KeyGroup(number), max, input.rest(), input.offset()) {
        Err(error) => judge(&error),
        Ok(block) => {
            for entry in block.entries(&header) {
                match entry.and_then(|entry| entry.decode(&header)) {
                    Ok(entry) => assert!(!entry.flatten().is_empty() || bytes.len() > 8),
                    Err(error) => judge(&error),
                }
            }
        }
    }
}

/// Any bytes as a native heap file with one key group: the one it says.
pub fn fuzz_flink_heap(bytes: &[u8]) {
    let mut input = Reader::new(bytes);
    let header = match KeyedHeader::read(&mut input) {
        Ok(header) => header,
        Err(error) => return judge(&error),
    };
    let Ok(max) = MaxParallelism::new(128) else { return };
    let number = input.rest().get(3).map_or(0, |byte| u16::from(byte & 0x7F));
    match heap::Block::open(&header, KeyGroup(number), max, input.rest(), input.offset()) {
        Err(error) => judge(&error),
        Ok(block) => block.entries(&header).filter_map(Result::err).for_each(|error| judge(&error)),
    }
}

/// Any bytes as a log with one change set and keys of two types: what its changes come to are entries.
pub fn fuzz_flink_changelog(bytes: &[u8]) {
    for key in [Simple::Long, Simple::String] {
        if let Err(error) = net_entries(bytes, key) {
            judge(&error);
        }
    }
}

fn net_entries(bytes: &[u8], key: Simple) -> Result<()> {
    let (log, base) = changelog::expand(bytes)?;
    let mut header = KeyedHeader { key: Some(Snapshot::simple(key)?), ..KeyedHeader::empty() };
    let mut numbers = BTreeMap::new();
    let mut set = ChangeSet::open(&log, base, 0)?;
    let max = MaxParallelism::new(128)?;
    while let Some(run) = set.next_run()? {
        let Some(group) = run.group else {
            for change in run.changes {
                let announced = Announcement::read(change?)?;
                numbers.insert(announced.number, u16::try_from(header.states.len()).unwrap_or(u16::MAX));
                header.states.push(announced.state);
            }
            header.state_count = header.states.len();
            continue;
        };
        let mut net = NetChanges::new(&header, group, max, Trial::No);
        for change in run.changes {
            let change = change?;
            let (number, merges) = changelog::head(&change)?;
            let Some(state) = numbers.get(&number) else { continue };
            if merges {
                net.set_loaded(*state);
            }
            net.apply(*state, change)?;
        }
        net.rest(&mut |state, key, value| {
            let entry = keyed::Entry::of_pair(state, group, max, key, value).decode(&header);
            entry.err().iter().for_each(judge);
            Ok(())
        })?;
    }
    Ok(())
}

/// Any bytes as operator state, with an element of every state at every third position behind the header.
pub fn fuzz_flink_operator(bytes: &[u8]) {
    let mut input = Reader::new(bytes);
    let header = match OperatorHeader::read(&mut input) {
        Ok(header) => header,
        Err(error) => return judge(&error),
    };
    let offsets = |first: u64| (0..8).map(|step| first.saturating_add(step * 3)).collect();
    let states: Vec<PartitionOffsets> = header
        .lists
        .iter()
        .map(|state| (state, Distribution::Split))
        .chain(header.broadcasts.iter().map(|state| (state, Distribution::Broadcast)))
        .map(|(state, distribution)| PartitionOffsets {
            name: state.name.clone(),
            distribution,
            offsets: offsets(input.offset()),
        })
        .collect();
    operator::elements(&header, &states, bytes).filter_map(Result::err).for_each(|error| judge(&error));
}

/// Any bytes as the raw timers of key group 0.
pub fn fuzz_flink_timer(bytes: &[u8]) {
    let Ok(max) = MaxParallelism::new(1) else { return };
    match RawTimers::open(KeyGroup(0), max, bytes, 0) {
        Err(error) => judge(&error),
        Ok(timers) => timers.filter_map(Result::err).for_each(|error| judge(&error)),
    }
}

/// Any bytes as channel state with one chunk, and as elements of a stream.
pub fn fuzz_flink_channel(bytes: &[u8]) {
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX).saturating_sub(4);
    let channel = Channel { group: 0, index: 0, size, offsets: vec![4] };
    match channel::bytes(&channel, bytes) {
        Err(error) => judge(&error),
        Ok(stream) => assert_eq!(stream.len().saturating_add(8), bytes.len()),
    }
    let mut elements = Elements::new(bytes);
    elements.by_ref().filter_map(Result::err).for_each(|error| judge(&error));
    assert!(elements.rest().len() <= bytes.len());
}
