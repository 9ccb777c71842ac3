use std::ops::ControlFlow;

use super::super::reader::{KeyedPart, OperatorReader};
use super::section::decodes;
use super::{Check, Place, Totals, count};
use crate::error::{Error, Result};
use crate::format::FormatId;
use crate::format::manifest::KeyedHandle;
use crate::format::native_rocksdb::{FileName, check_current};
use crate::format::record::StateMeta;
use crate::format::schema::Schema;
use crate::ids::SubtaskIndex;
use crate::key_group::KeyGroup;
use crate::serializer::SerializerSnapshot;

impl Check<'_> {
    /// Checks a database: first its files, then, if they are as they should be and trusted, its rows.
    pub(super) fn database(
        &mut self,
        operator: &OperatorReader<'_>,
        subtask: SubtaskIndex,
        handle: &KeyedHandle,
    ) -> Result<()> {
        let before = self.findings();
        self.files(operator, subtask, handle)?;
        let part = KeyedPart { operator: *operator, subtask, handle, groups: handle.range };
        let place = Place { operator, subtask, file: part.label() };
        let mut totals = Totals::new();
        for state in operator.states().iter().filter(|state| state.kind.is_keyed()) {
            if self.findings() != before {
                break;
            }
            self.rows(&place, &part, state, &mut totals)?;
        }
        if self.findings() == before {
            self.tally.databases = self.tally.databases.saturating_add(1);
        } else {
            self.tally.incomplete_databases = self.tally.incomplete_databases.saturating_add(1);
        }
        self.totals(&place, &handle.states, &totals, before)
    }

    fn files(&mut self, operator: &OperatorReader<'_>, subtask: SubtaskIndex, handle: &KeyedHandle) -> Result<()> {
        let manifest = handle.files.get(1).copied().unwrap_or(FileName::Current);
        for (name, object) in handle.database_files() {
            let place = Place { operator, subtask, file: self.snapshot.object_path(object)?.to_string() };
            let before = self.findings();
            let Some(opened) = self.open(&place, object)? else { continue };
            self.advance(object.length)?;
            if name == FileName::Current
                && let Err(error) = check_current(opened.bytes(), manifest)
            {
                self.found(&place, error)?;
            }
            self.explain_digest(&place, object, &opened, before)?;
        }
        Ok(())
    }

    /// Checks the rows of a state, to the first one that is wrong.
    fn rows(&mut self, place: &Place<'_>, part: &KeyedPart<'_>, state: &StateMeta, totals: &mut Totals) -> Result<()> {
        let key = part.operator.key().unwrap_or(&SerializerSnapshot::Unit);
        let schema = Schema { key, state };
        let (mut entries, mut bytes) = (0_u64, 0_u64);
        let walked = part.rows(state, &mut |group, key, value| {
            check_row(&part.operator, &schema, group, key, value)
                .map_err(|error| error.in_key_group(group.0).in_format(FormatId::NativeRocksDb.v1()))?;
            entries = entries.saturating_add(1);
            bytes = bytes.saturating_add(count(key.len())).saturating_add(count(value.len()));
            Ok(ControlFlow::Continue(()))
        });
        self.tally.entries = self.tally.entries.saturating_add(entries);
        if entries > 0 {
            totals.insert(state.name.clone(), (entries, bytes));
        }
        match walked {
            Ok(_) => Ok(()),
            Err(error) => self.found(place, error.in_state(&state.name)),
        }
    }
}

fn check_row(
    operator: &OperatorReader<'_>,
    schema: &Schema<'_>,
    group: KeyGroup,
    key: &[u8],
    value: &[u8],
) -> Result<(), Error> {
    schema.check_parts(key, value)?;
    schema.check_group(key, group, &operator.description().assignment, operator.max_parallelism())?;
    decodes(schema, key, value)
}
