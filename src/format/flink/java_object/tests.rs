use super::stream::Stream;
use super::*;
use crate::error::ErrorKind;

/// The type BIGINT, as Flink 1.20 and 2.3 write it.
const BIGINT: &str = "aced00057372002f6f72672e6170616368652e666c696e6b2e7461626c652e74797065732e6c6f676963616c2e426967\
    496e74547970650000000000000001020000787200306f72672e6170616368652e666c696e6b2e7461626c652e747970\
    65732e6c6f676963616c2e4c6f676963616c5479706500000000000000010200025a000a69734e756c6c61626c654c00\
    0874797065526f6f747400364c6f72672f6170616368652f666c696e6b2f7461626c652f74797065732f6c6f67696361\
    6c2f4c6f676963616c54797065526f6f743b7870017e7200346f72672e6170616368652e666c696e6b2e7461626c652e\
    74797065732e6c6f676963616c2e4c6f676963616c54797065526f6f7400000000000000001200007872000e6a617661\
    2e6c616e672e456e756d00000000000000001200007870740006424947494e54";

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[test]
fn a_logical_type_is_read_and_nothing_behind_it() {
    let mut bytes = unhex(BIGINT);
    bytes.push(0xFF);
    let mut input = Reader::new(&bytes);
    assert_eq!(LogicalType::read(&mut input).unwrap(), LogicalType { nullable: true, kind: LogicalKind::BigInt });
    assert_eq!(input.rest(), [0xFF]);
}

#[test]
fn every_truncation_and_flip_ends() {
    let bytes = unhex(BIGINT);
    for length in 0..bytes.len() {
        let error = LogicalType::read(&mut Reader::new(&bytes[..length])).unwrap_err();
        assert!(error.place().offset.is_some(), "{length}: {error}");
    }
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        if let Err(error) = LogicalType::read(&mut Reader::new(&damaged)) {
            assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Incompatible), "{bit}: {error}");
        }
    }
}

#[test]
fn a_class_cannot_be_its_own_ancestor() {
    // Class "C" without fields, whose super class is a reference to itself.
    let bytes = unhex("aced0005 73 72 0001 43 0000000000000001 02 0000 78 71 007e0000");
    let error = Stream::read(&mut Reader::new(&bytes)).unwrap_err();
    assert!(error.message().contains("no complete class"), "{error}");
}

#[test]
fn deep_nesting_and_wrong_handles_are_refused() {
    let mut deep = unhex("aced0005");
    for _ in 0..1000 {
        deep.extend(unhex("73 72 0001 43 0000000000000001 03 0000"));
    }
    assert!(Stream::read(&mut Reader::new(&deep)).unwrap_err().message().contains("deep"));
    let dangling = unhex("aced0005 71 007e0000");
    assert!(Stream::read(&mut Reader::new(&dangling)).unwrap_err().message().contains("not assigned"));
    let externalizable = unhex("aced0005 73 72 0001 43 0000000000000001 04 0000 78 70");
    assert_eq!(Stream::read(&mut Reader::new(&externalizable)).unwrap_err().kind(), ErrorKind::Incompatible);
}
