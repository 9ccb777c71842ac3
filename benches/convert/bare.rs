//! The same rows through the crate `rocksdb` with nothing around it, and the same bytes copied.

use std::path::Path;
use std::sync::Arc;

use millpond::codec::Writer;
use millpond::convert::Source;
use millpond::format::native_rocksdb::row_key;
use millpond::snapshot::SnapshotReader;
use millpond::snapshot::database::{database_options, state_options};
use millpond::storage::{ObjectPath, Storage};
use rocksdb::{DB, IngestExternalFileOptions, Options, ReadOptions, SstFileWriter};

use super::measure::timing::now;

/// A row as a database of ours has it.
type Row = (Vec<u8>, Vec<u8>);

/// Seconds that the crate `rocksdb` takes for what conversions to and from databases make it do, one time each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rocks {
    /// Rows to a table with the options of ours, and the table into a database.
    pub(crate) write_s: f64,
    /// All rows of that database, one after the other, blocks checked.
    pub(crate) read_s: f64,
}

impl Rocks {
    pub(crate) fn measure(storage: &Arc<dyn Storage>, source: &ObjectPath, scratch: &Path) -> Self {
        let rows = rows(storage, source);
        let options = state_options(millpond::format::record::StateKind::Value);
        let (table, database) = (scratch.join("bare.sst"), scratch.join("bare"));
        let start = now();
        write_table(&rows, &options, &table);
        let mut db_options = database_options();
        db_options.create_if_missing(true);
        let mut db = DB::open(&db_options, &database).expect("a database");
        db.create_cf("state", &options).expect("a column family");
        let family = db.cf_handle("state").expect("a column family");
        let mut ingestion = IngestExternalFileOptions::default();
        ingestion.set_move_files(true);
        db.ingest_external_file_cf_opts(family, &ingestion, vec![&table]).expect("an ingested table");
        let write_s = start.elapsed().as_secs_f64();
        let start = now();
        assert_eq!(count(&db), rows.len());
        let read_s = start.elapsed().as_secs_f64();
        drop(db);
        DB::destroy(&Options::default(), &database).expect("an end of the database");
        Rocks { write_s, read_s }
    }
}

fn rows(storage: &Arc<dyn Storage>, source: &ObjectPath) -> Vec<Row> {
    let reader = SnapshotReader::open(Arc::clone(storage), source.clone()).expect("a snapshot");
    let mut rows = Vec::new();
    for operator in &reader.manifest().operators {
        let visited = Source::keyed(&reader, operator.id, &mut |record| {
            let mut key = Writer::new();
            row_key(record.group, record.key, &mut key);
            rows.push((key.into_bytes(), record.value.to_vec()));
            Ok(())
        });
        visited.expect("records");
    }
    rows
}

fn write_table(rows: &[Row], options: &Options, path: &Path) {
    let mut writer = SstFileWriter::create(options);
    writer.open(path).expect("a table");
    rows.iter().for_each(|(key, value)| writer.put(key, value).expect("a row"));
    writer.finish().expect("a table");
}

fn count(db: &DB) -> usize {
    let mut options = ReadOptions::default();
    options.set_verify_checksums(true);
    options.fill_cache(false);
    options.set_readahead_size(2 << 20);
    let mut iterator = db.raw_iterator_cf_opt(db.cf_handle("state").expect("a column family"), options);
    iterator.seek_to_first();
    let mut count = 0;
    while let Some(row) = iterator.item() {
        std::hint::black_box(row);
        count += 1;
        iterator.next();
    }
    count
}

/// Bytes per second of reading every object of a snapshot and writing the same bytes to a file beside it.
pub(crate) fn copied_bytes_per_s(storage: &Arc<dyn Storage>, source: &ObjectPath) -> f64 {
    let objects = storage.list(Some(source)).expect("a list of objects");
    let (start, mut bytes) = (now(), 0);
    let copies = ObjectPath::parse("copies").expect("a path");
    for object in &objects {
        let mut writer = storage.create(&copies.join(object.path.file_name()).expect("a name")).expect("an object");
        let blob = storage.open(&object.path).expect("an object");
        blob.as_slice().chunks(1 << 20).for_each(|chunk| writer.write(chunk).expect("a write"));
        writer.finish().expect("an object");
        bytes += object.length;
    }
    let rate = bytes as f64 / start.elapsed().as_secs_f64();
    super::remove(storage, &copies);
    rate
}
