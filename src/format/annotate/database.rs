use super::Notes;
use crate::error::Result;

/// Notes the fields of the identity of a database.
pub(super) fn annotate(notes: &mut Notes<'_>) -> Result<()> {
    notes.preamble()?;
    notes.opaque("operator id", 16, "the operator")?;
    notes.u32("max parallelism")?;
    notes.opaque("crc", 4, "CRC-32")?;
    Ok(())
}
