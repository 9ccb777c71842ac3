use super::*;
use crate::codec::Writer;
use crate::error::ErrorKind;
use crate::format::flink::JavaString;
use crate::format::flink::key_group::of_hash;
use crate::format::flink::samples::{max, unhex};

fn utf(out: &mut Writer, text: &str) {
    out.u16(text.len().try_into().unwrap());
    out.raw(text.as_bytes());
}

fn file() -> Vec<u8> {
    let mut out = Writer::new();
    out.raw(&MARKER);
    [2, 1].into_iter().for_each(|word| out.u32(word));
    utf(&mut out, "user-timers");
    utf(&mut out, "org.apache.flink.api.common.typeutils.base.StringSerializer$StringSerializerSnapshot");
    out.u32(3);
    utf(&mut out, "org.apache.flink.runtime.state.VoidNamespaceSerializer$VoidNamespaceSerializerSnapshot");
    out.u32(3);
    out.u32(1);
    // A timer that Flink wrote: key "k1", no namespace, 4102444800004.
    out.raw(&unhex("036B31 00 000003BB2CC3D804"));
    out.u32(0);
    out.into_bytes()
}

fn group() -> KeyGroup {
    of_hash(JavaString::Text("k1".into()).java_hash(), max(128))
}

fn walk(group: KeyGroup, bytes: &[u8]) -> Result<Vec<RawTimer>> {
    RawTimers::open(group, max(128), bytes, 0)?.collect()
}

#[test]
fn timers_have_the_key_first_and_a_plain_timestamp() {
    let timers = walk(group(), &file()).unwrap();
    assert_eq!(
        timers,
        [RawTimer {
            service: "user-timers".into(),
            domain: Domain::Event,
            timestamp: 4_102_444_800_004,
            key: Value::String(JavaString::Text("k1".into())),
            namespace: Value::Null,
        }]
    );
}

#[test]
fn damage_is_noticed() {
    let bytes = file();
    for length in 0..bytes.len() {
        let error = walk(group(), &bytes[..length]).unwrap_err();
        assert!(error.place().offset.is_some() && error.place().key_group.is_some(), "{length}: {error}");
    }
    assert!(walk(group(), &[bytes.as_slice(), &[0]].concat()).unwrap_err().message().contains("unexpected bytes"));
    let elsewhere = walk(KeyGroup(group().0 ^ 1), &bytes).unwrap_err();
    assert!(elsewhere.message().contains("belongs to key group"), "{elsewhere}");
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        if let Err(error) = walk(group(), &damaged) {
            assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Incompatible), "{bit}: {error}");
        }
    }
}

#[test]
fn other_raw_state_is_not_taken_for_timers() {
    assert_eq!(walk(group(), b"anything").unwrap_err().kind(), ErrorKind::Incompatible);
    assert_eq!(walk(group(), &unhex("F1CD859F 00000001")).unwrap_err().kind(), ErrorKind::Incompatible);
}
