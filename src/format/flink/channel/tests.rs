use super::*;
use crate::error::ErrorKind;
use crate::format::flink::samples::unhex;

fn channel(size: u64, offsets: Vec<u64>) -> Channel {
    Channel { group: 0, index: 0, size, offsets }
}

#[test]
fn chunks_are_put_together_in_the_order_of_the_handle() {
    let file = unhex("00000000 00000002 AABB 00000001 CC");
    assert_eq!(bytes(&channel(11, vec![4, 10]), &file).unwrap(), [0xAA, 0xBB, 0xCC]);
    assert_eq!(bytes(&channel(5, vec![10]), &file).unwrap(), [0xCC]);
    for (size, offsets) in [(10, vec![4, 10]), (12, vec![4, 10]), (6, vec![5]), (4, vec![15]), (5, vec![0])] {
        let error = bytes(&channel(size, offsets), &file).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    }
    assert_eq!(bytes(&channel(0, Vec::new()), &unhex("00000001")).unwrap_err().kind(), ErrorKind::Incompatible);
}

#[test]
fn repeated_offsets_cannot_make_a_channel_larger_than_it_is() {
    let file = unhex("00000000 00000002 AABB");
    for (size, part) in [(6, "its handle says 6"), (600_000, "the file has 6 bytes")] {
        let error = bytes(&channel(size, vec![4; 100_000]), &file).unwrap_err();
        assert!(error.message().contains(part), "{error}");
    }
}

#[test]
fn elements_of_every_kind() {
    let stream = unhex(
        "0000000B 00 0000000000000005 AABB 00000002 01 CC 00000009 02 FFFFFFFFFFFFFFFF \
         0000001D 03 0000000000000007 00112233445566778899AABBCCDDEEFF 00000002 \
         00000005 04 00000000 00000002 05 01 0000000D 06 00000003 0000000000000008 00000009 02 00",
    );
    let mut elements = Elements::new(&stream);
    let found: Vec<StreamElement<'_>> = elements.by_ref().collect::<Result<_>>().unwrap();
    assert_eq!(
        found,
        [
            StreamElement::Record { timestamp: Some(5), payload: &[0xAA, 0xBB] },
            StreamElement::Record { timestamp: None, payload: &[0xCC] },
            StreamElement::Watermark { timestamp: -1 },
            StreamElement::LatencyMarker {
                marked: 7,
                operator: unhex("00112233445566778899AABBCCDDEEFF").try_into().unwrap(),
                subtask: 2
            },
            StreamElement::WatermarkStatus(0),
            StreamElement::Backlog(true),
            StreamElement::InternalWatermark { subpartition: 3, timestamp: 8 },
        ]
    );
    assert_eq!(elements.rest(), unhex("00000009 02 00"));
}

#[test]
fn elements_are_consumed_exactly() {
    for hex in ["00000000", "00000001 07", "0000000A 02 0000000000000000 00", "FFFFFFFF 00", "00000002 05 02"] {
        let bytes = unhex(hex);
        let mut elements = Elements::new(&bytes);
        let error = elements.next().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{hex}: {error}");
        assert!(elements.next().is_none());
    }
}
