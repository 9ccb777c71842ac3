use crate::codec::checksum::Crc32;
use crate::codec::{Reader, Writer};
use crate::error::{Error, Result};
use crate::format::{FormatId, preamble};
use crate::ids::OperatorId;
use crate::key_group::MaxParallelism;

/// Key of the row that holds the [`Identity`], in the default column family.
pub const IDENTITY_KEY: &[u8] = b"identity";

/// What a database says of itself: that it is one of ours, in which version, and whose.
///
/// ```text
/// identity = preamble (8), operator id (16), max parallelism u32, crc u32
/// ```
///
/// The `crc` is the CRC-32 of everything before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The operator whose state it is.
    pub operator: OperatorId,
    /// Number of key groups.
    pub max_parallelism: MaxParallelism,
}

impl Identity {
    /// The bytes that are stored.
    pub fn encode(&self) -> Vec<u8> {
        let Identity { operator, max_parallelism } = self;
        let mut out = Writer::new();
        preamble::write(FormatId::NativeRocksDb, &mut out);
        out.raw(&operator.0);
        out.u32(max_parallelism.get());
        let mut crc = Crc32::new();
        crc.update(out.as_slice());
        out.u32(crc.value());
        out.into_bytes()
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        Self::read(bytes).map_err(|error| error.in_format(FormatId::NativeRocksDb.v1()))
    }

    fn read(bytes: &[u8]) -> Result<Self> {
        let mut input = Reader::new(bytes);
        preamble::read(FormatId::NativeRocksDb, &mut input)?;
        let at = input.clone();
        let operator = <[u8; 16]>::try_from(input.raw(16, "operator id")?)
            .map_err(|error| at.corrupt("operator id", "is too short").because(error))?;
        let at = input.clone();
        let max_parallelism = input.u32("max parallelism")?;
        check_crc(bytes, &mut input)?;
        let max_parallelism =
            MaxParallelism::new(max_parallelism).map_err(|error| at.corrupt("max parallelism", error.message()))?;
        input.finish("identity")?;
        Ok(Identity { operator: OperatorId(operator), max_parallelism })
    }

    /// Checks that the database is the expected one.
    pub fn check(&self, expected: &Identity) -> Result<()> {
        if self == expected {
            return Ok(());
        }
        Err(Error::corrupt(format!(
            "the database holds operator {} at max parallelism {}, expected operator {} at {}",
            self.operator, self.max_parallelism, expected.operator, expected.max_parallelism
        ))
        .in_field("identity"))
    }
}

fn check_crc(bytes: &[u8], input: &mut Reader<'_>) -> Result<()> {
    let mut crc = Crc32::new();
    crc.update(bytes.get(..input.position()).unwrap_or_default());
    let (at, computed) = (input.clone(), crc.value());
    let stored = input.u32("crc")?;
    if stored == computed {
        return Ok(());
    }
    Err(at.corrupt("crc", format!("checksum is {stored:08x}, the bytes give {computed:08x}")))
}
