//! `checkpoints`, `du`, `gc`, `relocate` and `savepoint dispose`, on what a driver has stored.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millpond::checkpoint::config::Termination;
use millpond::checkpoint::driver::Setup;
use millpond::checkpoint::pending::Kind;
use millpond::random::SystemRandom;
use millpond::snapshot::TaskOwned;
use millpond::storage::{LocalStorage, ObjectPath, Storage};
use serde_json::{Value, json};

use super::{millpond, sample};
use crate::checkpoint::driver::world::{JOB, State, World, checkpoint_of, read_at, setup};
use crate::format::flink::fixtures;

/// A directory in which a job has left two checkpoints that share an object, one that it did not finish, and a savepoint.
struct Left {
    base: tempfile::TempDir,
    savepoint: PathBuf,
    state: State,
}

fn leave() -> Left {
    let (left, mut world) = leave_running();
    world.driver.terminate(world.now_ms, Termination::Suspended, &mut world.told).unwrap();
    left
}

/// The same, with the coordinator that has not ended.
fn leave_running() -> (Left, World) {
    let base = tempfile::tempdir().unwrap();
    let storage: Arc<dyn Storage> = Arc::new(LocalStorage::create(base.path()).unwrap());
    let mut world = World::open(Setup { grace_ms: u64::MAX, ..setup(&storage, JOB, 1, 2) }, 0).unwrap();
    world.put(1, "shared by both");
    world.put(2, "old");
    world.checkpoint();
    world.put(2, "new one");
    world.checkpoint();
    let state = world.state.clone();
    let savepoint = base.path().join(world.savepoint("", None).directory.as_str());
    world.put(1, "never published");
    let id = world.trigger(Kind::Checkpoint);
    world.acknowledge_one(id, 0);
    fs::write(base.path().join("notes.txt"), "mine").unwrap();
    (Left { base, savepoint, state }, world)
}

impl Left {
    fn path(&self) -> &str {
        self.base.path().to_str().unwrap()
    }

    fn checkpoint(&self, id: u64) -> PathBuf {
        self.base.path().join(checkpoint_of(JOB, id).as_str())
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut directories = vec![self.base.path().to_path_buf()];
        while let Some(directory) = directories.pop() {
            for path in sample::files(&directory) {
                if path.is_dir() { directories.push(path) } else { found.push(path) }
            }
        }
        found.sort();
        found
    }
}

fn read_directory(directory: &Path) -> State {
    let storage: Arc<dyn Storage> = Arc::new(LocalStorage::open(directory.parent().unwrap()).unwrap());
    read_at(&storage, &ObjectPath::parse(directory.file_name().unwrap().to_str().unwrap()).unwrap()).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn checkpoints_are_listed_with_what_they_share_and_whether_they_can_be_restored() {
    let left = leave();
    let report = millpond(&["checkpoints", left.path(), "--json"]).json();
    let job = &report["jobs"][0];
    assert_eq!((&job["id"], &job["epoch"]), (&json!(JOB.to_string()), &json!(1)));
    let lines = job["checkpoints"].as_array().unwrap();
    let cells = |line: &Value| (line["name"].clone(), line["condition"].clone(), line["restorable"].clone());
    assert_eq!(cells(&lines[0]), (json!("chk-1"), json!("restorable"), json!(true)));
    assert_eq!(cells(&lines[1]), (json!("chk-2"), json!("restorable"), json!(true)));
    let (size, alone) = (lines[1]["bytes"].as_u64().unwrap(), lines[1]["exclusive_bytes"].as_u64().unwrap());
    assert_eq!((size, alone), (69 + 14 + 69 + 7, 69 + 7), "one of two objects is shared");
    assert_eq!(job["unreferenced_objects"], json!(1), "what the unfinished checkpoint stored");
    assert_eq!(report["savepoints"][0]["path"], json!(left.savepoint));
    assert_eq!(report["foreign"], json!(1));
    let output = millpond(&["checkpoints", left.path()]).output();
    for part in ["chk-1", "chk-2", "restorable", "ALONE", "that no checkpoint names", "savepoints\n", "1 file with"] {
        assert!(output.contains(part), "{part}: {output}");
    }
    // One job alone, by its directory.
    let of_job = millpond(&["checkpoints", text(left.checkpoint(1).parent().unwrap()), "--json"]).json();
    assert_eq!((of_job["jobs"].as_array().unwrap().len(), &of_job["savepoints"]), (1, &json!([])));
}

#[test]
fn what_cannot_be_restored_says_why() {
    let left = leave();
    let shared = left.files().into_iter().find(|file| text(file).contains("/shared/")).unwrap();
    fs::remove_file(&shared).unwrap();
    sample::flip(&left.savepoint.join("_metadata"), 30);
    let report = millpond(&["checkpoints", left.path(), "--json"]).json();
    let lines = report["jobs"][0]["checkpoints"].as_array().unwrap();
    let broken: Vec<&Value> = lines.iter().filter(|line| line["restorable"] == json!(false)).collect();
    assert!(!broken.is_empty(), "{report}");
    for line in broken {
        assert_eq!((&line["condition"], &line["missing"]), (&json!("missing files"), &json!([shared])), "{line}");
    }
    assert_eq!(report["savepoints"][0]["condition"], json!("damaged"));
    assert!(report["savepoints"][0]["reason"].as_str().unwrap().contains("digest"), "{report}");
    let output = millpond(&["checkpoints", left.path()]).output();
    assert!(output.contains("missing 1 file") && output.contains("damaged: "), "{output}");
    let line = millpond(&["checkpoints", &format!("{}/nowhere", left.path())]).error(3);
    assert!(line.contains("there is nothing at"), "{line}");
}

#[test]
fn gc_deletes_what_is_old_and_named_by_nobody() {
    let left = leave();
    let storage = LocalStorage::open(left.base.path()).unwrap();
    // A writer that died: its temporary file stays.
    let mut writer = storage.create(&ObjectPath::parse(&format!("{JOB}/shared/{}", "0".repeat(32))).unwrap()).unwrap();
    writer.write(b"abc").unwrap();
    std::mem::forget(writer);
    let before = left.files();
    let dry = millpond(&["gc", left.path(), "--dry-run", "--json"]).json();
    assert_eq!((&dry["deleted"], dry["leftovers"].as_array().unwrap().len()), (&json!(false), 1), "{dry}");
    assert_eq!(left.files(), before);
    let young = millpond(&["gc", left.path(), "--older-than", "1h"]).output();
    assert!(young.contains("deleted 0 files") && young.contains("are too young"), "{young}");
    assert_eq!(left.files(), before);
    let output = millpond(&["gc", left.path(), "--older-than", "0s"]).output();
    assert!(output.contains("leftover of a writer") && output.contains("file that no checkpoint names"), "{output}");
    let planned = ["objects", "leftovers", "manifests"].map(|kind| dry[kind].as_array().unwrap().clone()).concat();
    // Beside what was planned, old records of the job go.
    let gone = before.iter().filter(|file| !file.exists() && !text(file).contains("/control/"));
    let gone: Vec<PathBuf> = gone.cloned().collect();
    assert_eq!(gone.len(), planned.len());
    assert!(planned.iter().all(|item| gone.contains(&PathBuf::from(item["path"].as_str().unwrap()))), "{dry}");
    assert_eq!(read_directory(&left.checkpoint(2)), left.state);
    assert_eq!(read_directory(&left.checkpoint(1))[&2], "old");
    assert_eq!(read_directory(&left.savepoint), left.state);
    assert!(left.base.path().join("notes.txt").exists());
    let again = millpond(&["gc", left.path(), "--older-than", "0s", "--json"]).json();
    assert_eq!((&again["bytes"], &again["objects"]), (&json!(0), &json!([])));
}

/// A coordinator that may live is left alone; one that lives although it has been silent for long is passed over before
/// anything is deleted, and nothing that counts is lost (S-11, S-14).
#[test]
fn gc_leaves_a_running_job_alone_or_passes_it_over() {
    let (left, mut world) = leave_running();
    let before = left.files();
    let ran = millpond(&["gc", left.path(), "--older-than", "1h"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (3, ""), "{ran:?}");
    for part in ["left alone  job", "it may be running: its coordinator (epoch 1)", "deleted 0 files"] {
        assert!(ran.stdout.contains(part), "{part}: {ran:?}");
    }
    assert_eq!(left.files(), before);

    let output = millpond(&["gc", left.path(), "--older-than", "0s"]).output();
    assert!(output.contains("deleted 1 file,"), "{output}");
    world.put(3, "in vain");
    let id = world.trigger(Kind::Checkpoint);
    world.acknowledge_one(id, 0);
    world.acknowledge_one(id, 1);
    world.settle();
    assert!(world.driver.is_passed_over());
    assert!(world.told.failures[0].contains("another coordinator"), "{:?}", world.told.failures);
    assert_eq!(world.told.completed, [1, 2]);
    let storage: Arc<dyn Storage> = Arc::new(LocalStorage::open(left.base.path()).unwrap());
    let next = World::open(setup(&storage, JOB, 2, 2), 10).unwrap();
    assert_eq!(next.state, left.state);
    // The id that was used in vain is not given again.
    assert!(next.driver.coordinator().next_id().0 > id);
}

#[test]
fn gc_leaves_a_job_alone_whose_manifests_it_cannot_read() {
    let left = leave();
    sample::flip(&left.checkpoint(2).join("_metadata"), 30);
    let before = left.files();
    let ran = millpond(&["gc", left.path(), "--older-than", "0s"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (3, ""), "{ran:?}");
    assert!(ran.stdout.contains("left alone  job") && ran.stdout.contains("chk-2 names is not known"), "{ran:?}");
    assert_eq!(left.files(), before);
}

#[test]
fn gc_says_what_is_wrong_with_its_arguments() {
    let left = leave();
    assert!(millpond(&["gc", left.path()]).error(2).contains("--older-than"));
    assert!(millpond(&["gc", left.path(), "--older-than", "soon"]).error(2).contains("90s, 30m, 12h or 7d"));
    let job = left.base.path().join(JOB.to_string());
    assert!(millpond(&["gc", text(&job), "--dry-run"]).error(2).contains("not that of one job"));
}

#[test]
fn du_says_what_takes_up_the_space_and_who_shares_it() {
    let left = leave();
    let report = millpond(&["du", text(&left.checkpoint(2)), "--json"]).json();
    assert_eq!((&report["alone_bytes"], &report["shared_bytes"]), (&json!(76), &json!(83)));
    assert_eq!(report["shared_with"], json!(["chk-1"]));
    let operator = &report["operators"][0];
    assert_eq!((&operator["uid"], &operator["stored_bytes"]), (&json!("words"), &json!(159)));
    let group = |group, bytes| json!({"key_group": group, "entries": 1, "bytes": bytes});
    assert_eq!(operator["key_groups"], json!([group(1, 83), group(2, 76)]));
    assert_eq!(operator["states"], json!([{"name": "word", "kind": "value", "entries": null, "bytes": null}]));
    let output = millpond(&["du", text(&left.checkpoint(2))]).output();
    for part in ["76 B alone, 83 B shared", "chk-1", "operator words", "KEY GROUP"] {
        assert!(output.contains(part), "{part}: {output}");
    }
    // With counted state and operator state.
    let base = tempfile::tempdir().unwrap();
    let directory = sample::write(base.path(), 1, sample::CANONICAL);
    let report = millpond(&["du", text(&directory), "--key-groups", "--json"]).json();
    let inspected = millpond(&["inspect", text(&directory), "--json"]).json();
    assert_eq!(report["stored_bytes"], inspected["objects"]["bytes"]);
    let bytes = |report: &Value| -> u64 {
        let operators = report["operators"].as_array().unwrap().iter();
        let states = operators.flat_map(|operator| operator["states"].as_array().unwrap());
        states.map(|state| state["bytes"].as_u64().unwrap()).sum()
    };
    assert_eq!(bytes(&report), bytes(&inspected));
    let per_operator = report["operators"].as_array().unwrap().iter().map(|own| own["stored_bytes"].as_u64().unwrap());
    assert_eq!(json!(per_operator.sum::<u64>()), report["stored_bytes"]);
}

/// A copy stands alone: it is restored wherever it is moved, whatever becomes of the source (S-07).
#[test]
fn s_07_a_relocated_checkpoint_stands_alone() {
    let left = leave();
    let copies = tempfile::tempdir().unwrap();
    let copy = copies.path().join("deep/down/before-upgrade");
    let output = millpond(&["relocate", text(&left.checkpoint(2)), text(&copy)]).output();
    assert!(output.starts_with("copied 159 B in 2 files to "), "{output}");
    fs::remove_dir_all(left.base.path().join(JOB.to_string())).unwrap();
    let moved = copies.path().join("moved");
    fs::rename(&copy, &moved).unwrap();
    assert_eq!(read_directory(&moved), left.state);
    let inspected = millpond(&["inspect", text(&moved), "--json"]).json();
    assert_eq!((&inspected["kind"], &inspected["objects"]["shared_count"]), (&json!("savepoint"), &json!(0)));
    assert!(millpond(&["relocate", text(&left.savepoint), text(&moved)]).error(2).contains("has files in it already"));
}

#[test]
fn a_relocated_snapshot_of_real_state_is_intact() {
    for written in [sample::CANONICAL, sample::NATIVE] {
        let base = tempfile::tempdir().unwrap();
        let directory = sample::write(base.path(), 1, written);
        let copy = base.path().join("copy");
        let report = millpond(&["relocate", text(&directory), text(&copy), "--json"]).json();
        assert_eq!(report["moved"], json!(false));
        assert!(millpond(&["verify", text(&copy)]).output().starts_with("intact\n"));
        assert!(millpond(&["verify", text(&directory)]).output().starts_with("intact\n"), "the source is as it was");
    }
}

#[test]
fn a_savepoint_is_moved_or_disposed_of_and_a_checkpoint_is_not() {
    let left = leave();
    let chk = left.checkpoint(2);
    let to = left.base.path().join("elsewhere/savepoint");
    assert!(millpond(&["relocate", "--move", text(&chk), text(&to)]).error(2).contains("belongs to its job"));
    let line = millpond(&["savepoint", "dispose", text(&chk)]).error(2);
    assert!(line.contains("this is a checkpoint, not a savepoint"), "{line}");
    assert_eq!(read_directory(&chk), left.state);

    fs::write(left.savepoint.join("notes.txt"), "mine").unwrap();
    millpond(&["relocate", "--move", text(&left.savepoint), text(&to)]).output();
    assert_eq!(sample::files(&left.savepoint), [left.savepoint.join("notes.txt")]);
    assert_eq!(read_directory(&to), left.state);

    let report = millpond(&["savepoint", "dispose", text(&to), "--json"]).json();
    assert_eq!(report["deleted"].as_array().unwrap().len(), 3, "{report}");
    assert!(!to.exists(), "its directory is empty and goes, too");
    assert!(millpond(&["savepoint", "dispose", text(&to)]).error(3).contains("there is nothing at"));
}

#[test]
fn a_snapshot_with_missing_files_is_not_copied() {
    let left = leave();
    let gone: Vec<PathBuf> = left.files().into_iter().filter(|file| text(file).contains("/shared/")).collect();
    gone.iter().for_each(|file| fs::remove_file(file).unwrap());
    let to = left.base.path().join("copy");
    let line = millpond(&["relocate", text(&left.checkpoint(2)), text(&to)]).error(1);
    assert!(line.contains("2 of the objects that the snapshot names are missing"), "{line}");
    let named = gone.iter().filter(|file| line.contains(file.file_name().unwrap().to_str().unwrap()));
    assert_eq!(named.count(), 2, "{line}");
    assert!(!to.exists(), "nothing was written");
}

#[test]
fn help_teaches() {
    for (command, part) in [
        (&["checkpoints"][..], "restorable"),
        (&["gc"], "longer than any checkpoint may take"),
        (&["du"], "ALONE"),
        (&["relocate"], "stands alone"),
        (&["savepoint", "dispose"], "Deletes the manifest first"),
    ] {
        let help = millpond(&[command, &["--help"]].concat()).output();
        assert!(help.contains(part) && help.contains("Exit codes:") && help.contains("Example"), "{command:?}: {help}");
    }
}

#[test]
fn what_tasks_own_is_reported_and_left_alone() {
    let left = leave();
    let storage: Arc<dyn Storage> = Arc::new(LocalStorage::open(left.base.path()).unwrap());
    let owned = TaskOwned::new(Arc::clone(&storage), JOB, Arc::new(SystemRandom));
    let objects = [owned.write(&[1; 1000]).unwrap(), owned.write(&[2; 24]).unwrap()];
    let job = &millpond(&["checkpoints", left.path(), "--json"]).json()["jobs"][0];
    assert_eq!((&job["task_owned_objects"], &job["task_owned_bytes"]), (&json!(2), &json!(1024)));
    assert_eq!(job["unreferenced_objects"], json!(1), "what the unfinished checkpoint stored");
    let output = millpond(&["checkpoints", left.path()]).output();
    assert!(output.contains("1.0 KiB in 2 files that tasks own"), "{output}");
    let output = millpond(&["gc", left.path(), "--older-than", "0s"]).output();
    assert!(output.contains("left alone  1.0 KiB in 2 files that tasks own"), "{output}");
    let report = millpond(&["du", text(&left.checkpoint(2)), "--json"]).json();
    assert_eq!(report["task_owned_bytes"], json!(1024));
    assert!(millpond(&["du", text(&left.checkpoint(2))]).output().contains("tasks own 1.0 KiB"));
    assert_eq!(millpond(&["du", text(&left.savepoint), "--json"]).json()["task_owned_bytes"], json!(0));
    millpond(&["savepoint", "dispose", text(&left.savepoint)]).output();
    objects.iter().for_each(|object| drop(owned.read(object).unwrap()));
}

/// A job of Flink's with one whole checkpoint, one of which a file is missing, one that is damaged, one that was never completed, and
/// a file that nobody names.
fn leave_flink() -> (tempfile::TempDir, PathBuf) {
    let fixture =
        fixtures::committed().into_iter().find(|fixture| fixture.name.ends_with("incr-rocksdb.chk-2")).unwrap();
    let base = tempfile::tempdir().unwrap();
    let from = fixture.snapshot().parent().unwrap().to_path_buf();
    let job = base.path().join(from.file_name().unwrap());
    for directory in ["chk-2", "chk-3", "chk-4", "chk-5", "shared"] {
        fs::create_dir_all(job.join(directory)).unwrap();
    }
    for path in sample::files(&from.join("shared")) {
        fs::copy(&path, job.join("shared").join(path.file_name().unwrap())).unwrap();
    }
    let metadata = fs::read(from.join("chk-2/_metadata")).unwrap();
    fs::write(job.join("chk-2/_metadata"), &metadata).unwrap();
    // The name of one of its files, to one that is not there.
    let shared = sample::files(&job.join("shared"))[0].file_name().unwrap().to_str().unwrap().to_owned();
    let text = String::from_utf8_lossy(&metadata).find(&shared).map(|_| shared.replace(&shared[..4], "zzzz")).unwrap();
    let at = metadata.windows(shared.len()).position(|window| window == shared.as_bytes()).unwrap();
    let mut other = metadata.clone();
    other[at..at + text.len()].copy_from_slice(text.as_bytes());
    fs::write(job.join("chk-3/_metadata"), &other).unwrap();
    fs::write(job.join("chk-4/_metadata"), &metadata[..metadata.len() / 2]).unwrap();
    fs::write(job.join("chk-5").join(&shared), "begun").unwrap();
    fs::write(job.join("shared/left-behind"), "nobody names it").unwrap();
    (base, job)
}

#[test]
fn jobs_of_flink_are_listed_and_left_alone() {
    let (base, job) = leave_flink();
    let report = millpond(&["checkpoints", text(base.path()), "--json"]).json();
    let found = &report["jobs"][0];
    assert_eq!((&found["system"], &report["foreign"]), (&json!("Apache Flink"), &json!(0)));
    let lines = found["checkpoints"].as_array().unwrap();
    let conditions: Vec<&str> = lines.iter().map(|line| line["condition"].as_str().unwrap()).collect();
    assert_eq!(conditions, ["restorable", "missing files", "damaged", "incomplete"]);
    assert_eq!((&lines[0]["restorable"], &lines[1]["restorable"]), (&json!(true), &json!(false)));
    assert!(lines[1]["missing"].to_string().contains("/shared/zzzz"), "{}", lines[1]);
    let shared: u64 = sample::files(&job.join("shared")).iter().map(|path| path.metadata().unwrap().len()).sum();
    let whole = shared - "nobody names it".len() as u64 + job.join("chk-2/_metadata").metadata().unwrap().len();
    assert_eq!(lines[0]["bytes"], json!(whole));
    let unnamed = "nobody names it".len() + "begun".len();
    assert_eq!((&found["unreferenced_objects"], &found["unreferenced_bytes"]), (&json!(2), &json!(unnamed)));
    let output = millpond(&["checkpoints", text(&job)]).output();
    assert!(output.contains("of Apache Flink") && output.contains("missing 1 file"), "{output}");
    let before = sample::files(&job.join("shared")).len();
    let swept = millpond(&["gc", text(base.path()), "--older-than", "0s", "--json"]);
    assert!(swept.stdout.contains("it is a job of Apache Flink"), "{}{}", swept.stdout, swept.stderr);
    assert_eq!(sample::files(&job.join("shared")).len(), before);
    assert!(job.join("chk-5").is_dir() && sample::files(&job.join("chk-5")).len() == 1);
}

#[test]
fn a_savepoint_of_flink_is_listed_with_the_savepoints() {
    let fixture =
        fixtures::committed().into_iter().find(|own| own.name.ends_with("core-rocksdb-lz-canonical")).unwrap();
    let report = millpond(&["checkpoints", text(fixture.snapshot().parent().unwrap()), "--json"]).json();
    let found = &report["savepoints"][0];
    assert_eq!((&found["system"], &found["condition"]), (&json!("Apache Flink"), &json!("restorable")));
    assert!(found["bytes"].as_u64().unwrap() > 10_000, "{found}");
    let savepoint = fixture.snapshot();
    for refused in [&["savepoint", "dispose", text(&savepoint)][..], &["relocate", text(&savepoint), "copy"]] {
        let line = millpond(refused).error(3);
        assert!(line.contains("Apache Flink") && line.contains("convert --to flink"), "{line}");
    }
}
