//! How the keys of a log are serialized, which the log itself says only by the way.

use super::Changelog;
use crate::error::Result;
use crate::format::flink::changelog::{NetChanges, Trial};
use crate::format::flink::header::{KeyedHeader, StateType};
use crate::format::flink::serializer::{Simple, Snapshot};

/// Key types of which the hash code tells whether the key is one of them. `Double`, `Float` and dates are stored and hashed
/// like numbers of their length and count as such.
const KEY_TYPES: [Simple; 12] = [
    Simple::String,
    Simple::Long,
    Simple::Int,
    Simple::Short,
    Simple::Byte,
    Simple::Boolean,
    Simple::BigInt,
    Simple::BigDec,
    Simple::Instant,
    Simple::LocalDate,
    Simple::LocalTime,
    Simple::LocalDateTime,
];

/// So many changes are enough evidence of how keys are serialized.
const EVIDENCE: usize = 4096;

/// Gives logs that do not say how keys are serialized the serializer of keys: that of other subtasks of the operator or, where
/// none is stored, the one that explains every change and every key group. A log whose keys nothing explains, or more than one
/// serializer, is left without.
pub(in crate::flink) fn settle_keys(known: Option<&Snapshot>, logs: &mut [&mut Changelog<'_>]) -> Result<()> {
    if logs.iter().all(|log| log.header.key.is_some()) {
        return Ok(());
    }
    let stored = known.cloned().or_else(|| logs.iter().find_map(|log| log.header.key.clone()));
    let (key, inferred) = match stored {
        Some(key) => (Some(key), false),
        None => (infer_key(logs)?, true),
    };
    for log in logs.iter_mut().filter(|log| log.header.key.is_none()) {
        log.set_key(key.as_ref(), inferred);
    }
    Ok(())
}

/// The only serializer of keys that explains the changes.
fn infer_key(logs: &[&mut Changelog<'_>]) -> Result<Option<Snapshot>> {
    let mut candidates = Vec::new();
    for simple in KEY_TYPES {
        candidates.push(Snapshot::simple(simple)?);
    }
    let mut seen = 0usize;
    for log in logs {
        let of = |key: &Snapshot| KeyedHeader { key: Some(key.clone()), ..log.header.clone() };
        let mut headers: Vec<KeyedHeader> = candidates.iter().map(of).collect();
        for group in log.range.iter() {
            if headers.is_empty() || (seen >= EVIDENCE && headers.len() == 1) {
                break;
            }
            log.visit_changes(group, &mut |state, change, merges| {
                let info = log.header.state(state);
                let keyed = info.is_some_and(|info| info.state_type == StateType::KeyValue && info.value().is_some());
                if keyed && !merges {
                    seen = seen.saturating_add(1);
                    headers.retain(|header| {
                        let mut net = NetChanges::new(header, group, log.max, Trial::Yes);
                        net.apply(state, change.clone()).is_ok()
                    });
                }
                Ok(())
            })?;
        }
        candidates = headers.into_iter().filter_map(|header| header.key).collect();
    }
    Ok(if seen > 0 && candidates.len() == 1 { candidates.pop() } else { None })
}
