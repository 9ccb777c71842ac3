//! List state.

use super::{FORMATS, cluster, single};
use crate::backend::BackendConfig;
use crate::serializer::{Bytes, U64, Unit};
use crate::state::{ListDescriptor, ListState};

const LIST: ListDescriptor<U64> = ListDescriptor::new("list", U64);
const BYTES: ListDescriptor<Bytes> = ListDescriptor::new("bytes", Bytes);
const UNITS: ListDescriptor<Unit> = ListDescriptor::new("units", Unit);

pub(super) fn a_list_keeps_its_order(config: &BackendConfig) {
    let mut backend = single(config);
    let handle = backend.register_list(&LIST).unwrap();
    let key = "key".to_owned();
    let mut context = backend.key(&key).unwrap();
    let mut list = context.list(&handle).unwrap();
    assert_eq!(*list.get().unwrap(), [0; 0]);
    list.add(3).unwrap();
    list.add_all([1, 2]).unwrap();
    list.add_all([]).unwrap();
    list.add(3).unwrap();
    assert_eq!(*list.get().unwrap(), [3, 1, 2, 3]);
    list.set(vec![9, 8]).unwrap();
    list.add(7).unwrap();
    assert_eq!(*context.list(&handle).unwrap().get().unwrap(), [9, 8, 7]);
    context.list(&handle).unwrap().clear().unwrap();
    assert_eq!(*context.list(&handle).unwrap().get().unwrap(), [0; 0]);
}

pub(super) fn an_empty_list_is_no_list(config: &BackendConfig) {
    let mut backend = single(config);
    let handle = backend.register_list(&LIST).unwrap();
    let key = "key".to_owned();
    let mut list = backend.key(&key).unwrap();
    let mut list = list.list(&handle).unwrap();
    list.add_all([]).unwrap();
    list.set(Vec::new()).unwrap();
    list.add(1).unwrap();
    list.set(Vec::new()).unwrap();
    let mut keys = 0;
    backend.for_each_key(&handle, |_, ()| keys += 1).unwrap();
    assert_eq!(keys, 0);
    assert_eq!(backend.statistics("list").unwrap().unwrap().entries, 0);
}

/// Around the counts and lengths at which encodings change, with elements of no bytes and of more than a block.
pub(super) fn lists_of_many_sizes_survive(config: &BackendConfig) {
    let sizes = [0, 1, 2, 127, 128, 129, 1000];
    let element = |number: usize| vec![number as u8; [0, 1, 127, 128, 300][number % 5]];
    for format in FORMATS {
        let mut cluster = cluster(config, 2);
        let bytes = cluster.register(|backend| backend.register_list(&BYTES)).unwrap();
        let units = cluster.register(|backend| backend.register_list(&UNITS)).unwrap();
        for size in sizes {
            let key = size.to_string();
            let (at, backend) = cluster.backend(&key).unwrap();
            let mut context = backend.key(&key).unwrap();
            context.list(&bytes[at]).unwrap().add_all((0..size).map(element)).unwrap();
            context.list(&units[at]).unwrap().add_all((0..size).map(|_| ())).unwrap();
        }
        let large = "large".to_owned();
        let (at, backend) = cluster.backend(&large).unwrap();
        backend.key(&large).unwrap().list(&bytes[at]).unwrap().set(vec![vec![7; 200_000], vec![]]).unwrap();
        let mut restored = cluster.restart(format, 3).unwrap();
        let bytes = restored.register(|backend| backend.register_list(&BYTES)).unwrap();
        let units = restored.register(|backend| backend.register_list(&UNITS)).unwrap();
        for size in sizes {
            let key = size.to_string();
            let (at, backend) = restored.backend(&key).unwrap();
            let mut context = backend.key(&key).unwrap();
            let expected: Vec<Vec<u8>> = (0..size).map(element).collect();
            assert_eq!(*context.list(&bytes[at]).unwrap().get().unwrap(), expected, "{format:?}");
            assert_eq!(context.list(&units[at]).unwrap().get().unwrap().len(), size, "{format:?}");
        }
        let (at, backend) = restored.backend(&large).unwrap();
        let mut context = backend.key(&large).unwrap();
        let mut found = context.list(&bytes[at]).unwrap();
        assert!(*found.get().unwrap() == [vec![7; 200_000], vec![]], "{format:?}");
    }
}
