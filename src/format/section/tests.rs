use super::*;
use crate::codec::Compression;
use crate::error::ErrorKind;
use crate::format::Limits;
use crate::format::record::StateKind;

const ID: SectionId =
    SectionId { format: FormatId::NativeHeap, operator: OperatorId([7; 16]), owner: Owner::KeyGroup(KeyGroup(5)) };

fn writer(compression: Compression) -> SectionWriter<Vec<u8>> {
    SectionWriter::new(Vec::new(), ID.format, ID.operator, compression)
}

/// Two states with `count` numbered entries each.
fn section(compression: Compression, count: u32) -> (Vec<u8>, SectionSummary) {
    let mut writer = writer(compression);
    writer.begin(ID.owner).unwrap();
    writer.begin_state("a", StateKind::Value).unwrap();
    writer.begin_state("b", StateKind::List).unwrap();
    fill(&mut writer, count);
    writer.begin_state("c", StateKind::Map).unwrap();
    writer.begin_state("d", StateKind::Map).unwrap();
    fill(&mut writer, count);
    let summary = writer.finish().unwrap().unwrap();
    (writer.close().unwrap(), summary)
}

fn fill(writer: &mut SectionWriter<Vec<u8>>, count: u32) {
    for number in 0..count {
        writer
            .entry(|out| {
                out.u32(number);
                out.raw(&[b'x'; 20]);
                Ok(())
            })
            .unwrap();
    }
}

fn read(bytes: &[u8]) -> Result<Vec<(String, u32, Vec<u8>)>> {
    SectionReader::new(bytes, 1000, ID)?
        .map(|block| block.map(|block| (block.state.to_owned(), block.entries, block.payload.into_owned())))
        .collect()
}

#[test]
fn blocks_come_back_whole_and_states_without_entries_leave_no_trace() {
    for compression in [Compression::None, Compression::Lz4] {
        let (bytes, summary) = section(compression, 50_000);
        let blocks = read(&bytes).unwrap();
        assert_eq!(summary.length, u64::try_from(bytes.len()).unwrap());
        assert_eq!(summary.checksum, crate::codec::checksum::xxh3(&bytes));
        assert_eq!(summary.entries, 100_000);
        let names: Vec<&str> = summary.states.iter().map(|state| &*state.name).collect();
        assert_eq!(names, ["b", "d"]);
        assert_eq!(summary.states[0].bytes, 50_000 * 24);
        assert!(blocks.len() > 4, "{} blocks", blocks.len());
        let total: usize = blocks.iter().map(|(_, _, payload)| payload.len()).sum();
        assert_eq!(total, 2 * 50_000 * 24);
        let first: u32 = blocks.iter().filter(|(state, ..)| state == "b").map(|(_, entries, _)| entries).sum();
        assert_eq!(first, 50_000);
    }
}

#[test]
fn sections_follow_each_other_without_a_gap() {
    let mut writer = writer(Compression::None);
    let mut summaries = Vec::new();
    for group in [1u16, 2, 9] {
        writer.begin(Owner::KeyGroup(KeyGroup(group))).unwrap();
        writer.begin_state("s", StateKind::Value).unwrap();
        if group != 2 {
            fill(&mut writer, 20_000);
        }
        summaries.extend(writer.finish().unwrap());
    }
    let bytes = writer.close().unwrap();
    assert_eq!(summaries.len(), 2);
    assert_eq!(summaries[1].offset, summaries[0].length);
    for summary in &summaries {
        let (from, to) = (summary.offset, summary.offset + summary.length);
        let range = usize::try_from(from).unwrap()..usize::try_from(to).unwrap();
        let reader = SectionReader::new(&bytes[range], from, SectionId { owner: summary.owner, ..ID }).unwrap();
        let mut reader = reader.with_checksum(summary.checksum);
        assert!(reader.by_ref().all(|block| block.is_ok()));
        assert_eq!(reader.entries(), 20_000);
    }
}

#[test]
fn every_flipped_bit_is_found_with_key_group_and_offset() {
    for compression in [Compression::None, Compression::Lz4] {
        let (bytes, _) = section(compression, 12);
        assert!(read(&bytes).is_ok());
        let end = 1000 + u64::try_from(bytes.len()).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let error = read(&damaged).unwrap_err();
            let at = error.place().offset.unwrap();
            assert!((1000..=end).contains(&at), "bit {bit}: {error}");
            assert_eq!(error.place().key_group, Some(5), "bit {bit}: {error}");
        }
        for len in 0..bytes.len() {
            let error = read(&bytes[..len]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "cut at {len}");
        }
    }
}

/// Where the blocks of a section begin and end.
fn block_ranges(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let blocks = SectionReader::new(bytes, 0, ID).unwrap().map(Result::unwrap);
    blocks
        .map(|block| {
            let start = usize::try_from(block.offset).unwrap();
            start..start + BLOCK_HEADER_BYTES + block.payload.len() + 4
        })
        .collect()
}

#[test]
fn swapped_repeated_missing_and_zeroed_blocks_are_found() {
    let (bytes, _) = section(Compression::None, 50_000);
    let ranges = block_ranges(&bytes);
    let (first, second) = (ranges[0].clone(), ranges[1].clone());
    assert_eq!(first.len(), second.len(), "blocks of equal length, so that nothing but their checksums tells");
    let joined = |parts: &[&[u8]]| parts.concat();
    let (head, tail) = (&bytes[..first.start], &bytes[second.end..]);
    let (a, b) = (&bytes[first.clone()], &bytes[second.clone()]);
    let zeroed = vec![0; a.len()];
    let damaged = [
        joined(&[head, b, a, tail]),
        joined(&[head, a, a, tail]),
        joined(&[head, b, tail]),
        joined(&[head, a, tail]),
        joined(&[head, a, b, b, tail]),
        joined(&[head, a, &zeroed, tail]),
    ];
    for (case, damaged) in damaged.iter().enumerate() {
        let error = read(damaged).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "case {case}");
        assert_eq!((error.place().state.as_deref(), error.place().key_group), (Some("b"), Some(5)), "case {case}");
    }
}

#[test]
fn a_block_of_another_group_in_the_same_place_is_found() {
    let (mine, _) = section(Compression::None, 10);
    let mut writer = writer(Compression::None);
    writer.begin(Owner::KeyGroup(KeyGroup(6))).unwrap();
    writer.begin_state("b", StateKind::List).unwrap();
    fill(&mut writer, 10);
    writer.finish().unwrap();
    let other = writer.close().unwrap();
    let range = block_ranges(&mine)[0].clone();
    let mut damaged = mine.clone();
    damaged[range.clone()].copy_from_slice(&other[range]);
    assert_ne!(damaged, mine);
    assert_eq!(read(&damaged).unwrap_err().place().field, Some("crc"));
}

#[test]
fn a_section_of_somebody_else_is_refused() {
    let (bytes, _) = section(Compression::None, 3);
    let others = [
        SectionId { operator: OperatorId([8; 16]), ..ID },
        SectionId { owner: Owner::KeyGroup(KeyGroup(6)), ..ID },
        SectionId { format: FormatId::Canonical, ..ID },
    ];
    for (other, field) in others.into_iter().zip(["operator id", "owner", "format"]) {
        let error = SectionReader::new(&bytes, 0, other).err().unwrap();
        assert_eq!((error.kind(), error.place().field), (ErrorKind::Corrupt, Some(field)), "{error}");
    }
    let subtask = SectionId { owner: Owner::Subtask(SubtaskIndex(0)), ..ID };
    assert_eq!(SectionReader::new(&bytes, 0, subtask).err().unwrap().kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_wrong_checksum_of_the_whole_and_trailing_bytes_are_refused() {
    let (mut bytes, summary) = section(Compression::None, 3);
    let reader = SectionReader::new(&bytes, 0, ID).unwrap().with_checksum(summary.checksum ^ 1);
    let error = reader.filter_map(Result::err).next().unwrap();
    assert_eq!(error.place().field, Some("section checksum"));
    bytes.push(0);
    assert_eq!(read(&bytes).unwrap_err().place().field, Some("section"));
}

#[test]
fn a_block_that_would_expand_too_far_is_refused_before_memory_is_taken() {
    let (bytes, _) = section(Compression::Lz4, 400);
    let limits = Limits { compressed_block_bytes: 1000, ..Limits::SAFE };
    let error = SectionReader::new(&bytes, 0, ID).unwrap().with_limits(limits).filter_map(Result::err).next().unwrap();
    assert_eq!(error.place().field, Some("raw length"));
    assert_eq!(error.place().state.as_deref(), Some("b"));
}

#[test]
fn calls_out_of_order_are_refused_and_an_error_is_final() {
    let mut unopened = writer(Compression::None);
    assert_eq!(unopened.begin_state("s", StateKind::Value).unwrap_err().kind(), ErrorKind::Internal);
    let mut stateless = writer(Compression::None);
    stateless.begin(ID.owner).unwrap();
    assert!(stateless.entry(|_| Ok(())).is_err());
    let mut descending = writer(Compression::None);
    descending.begin(ID.owner).unwrap();
    descending.begin_state("b", StateKind::Value).unwrap();
    assert!(descending.begin_state("a", StateKind::Value).is_err());
    let mut operator = writer(Compression::None);
    operator.begin(ID.owner).unwrap();
    assert!(operator.begin_state("a", StateKind::Broadcast).is_err());
    let mut failed = writer(Compression::None);
    failed.begin(ID.owner).unwrap();
    failed.begin_state("s", StateKind::Value).unwrap();
    let error = failed.entry(|_| Err(Error::invalid_input("no"))).unwrap_err();
    assert_eq!(error.place().state.as_deref(), Some("s"));
    assert_eq!(failed.finish().unwrap_err().kind(), ErrorKind::Internal);
}
