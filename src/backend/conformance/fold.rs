//! Reducing and aggregating state.

use super::{FORMATS, cluster, single};
use crate::backend::BackendConfig;
use crate::serializer::{I64, Str, Tuple2, U64};
use crate::state::{Aggregate, AggregatingDescriptor, AggregatingState, ReducingDescriptor, ReducingState};

const JOINED: ReducingDescriptor<Str> = ReducingDescriptor::new("joined", Str, |joined, text| joined.push_str(&text));
const MEAN: AggregatingDescriptor<Mean, Tuple2<I64, U64>> = AggregatingDescriptor::new("mean", Tuple2(I64, U64));

struct Mean;

impl Aggregate for Mean {
    type Input = i64;
    type Accumulator = (i64, u64);
    type Output = f64;

    fn create() -> (i64, u64) {
        (0, 0)
    }

    fn add(accumulator: &mut (i64, u64), input: i64) {
        accumulator.0 += input;
        accumulator.1 += 1;
    }

    fn result(accumulator: &(i64, u64)) -> f64 {
        accumulator.0 as f64 / accumulator.1 as f64
    }
}

/// A function that does not commute shows the order, and that the first value is kept as it is.
pub(super) fn reducing_folds_in_order(config: &BackendConfig) {
    let mut backend = single(config);
    let handle = backend.register_reducing(&JOINED).unwrap();
    let key = "key".to_owned();
    let mut context = backend.key(&key).unwrap();
    let mut joined = context.reducing(&handle).unwrap();
    assert_eq!(joined.get().unwrap(), None);
    for text in ["c", "a", "", "b"] {
        joined.add(text.to_owned()).unwrap();
    }
    assert_eq!(joined.get().unwrap().as_deref().map(String::as_str), Some("cab"));
    joined.clear().unwrap();
    assert_eq!(joined.get().unwrap(), None);
    joined.add("again".to_owned()).unwrap();
    assert_eq!(joined.get().unwrap().as_deref().map(String::as_str), Some("again"));
}

pub(super) fn aggregating_folds_from_nothing(config: &BackendConfig) {
    for format in FORMATS {
        let mut cluster = cluster(config, 1);
        let key = "key".to_owned();
        let handle = cluster.subtasks[0].keyed.register_aggregating(&MEAN).unwrap();
        let mut context = cluster.subtasks[0].keyed.key(&key).unwrap();
        let mut mean = context.aggregating(&handle).unwrap();
        assert_eq!(mean.get().unwrap(), None);
        for input in [1, 2, -9] {
            mean.add(input).unwrap();
        }
        assert_eq!(mean.get().unwrap(), Some(-2.0));
        let mut restored = cluster.restart(format, 1).unwrap();
        let handle = restored.subtasks[0].keyed.register_aggregating(&MEAN).unwrap();
        let mut context = restored.subtasks[0].keyed.key(&key).unwrap();
        let mut mean = context.aggregating(&handle).unwrap();
        mean.add(10).unwrap();
        assert_eq!(mean.get().unwrap(), Some(1.0));
        mean.clear().unwrap();
        assert_eq!(mean.get().unwrap(), None);
    }
}
