//! The simulated disk: what a crash may leave, and nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;

use millpond::random::SeededRandom;
use millpond::storage::fault::{Disk, Moment};
use millpond::storage::{FileSystem, LocalStorage, conformance};

/// Everything on a disk: paths, and the content of files.
fn content(disk: &Disk) -> String {
    let mut lines = Vec::new();
    let mut directories = vec![String::new()];
    while let Some(directory) = directories.pop() {
        for name in disk.read_directory(&directory).unwrap() {
            let path = if directory.is_empty() { name } else { format!("{directory}/{name}") };
            match disk.read_file(&path) {
                Ok(bytes) => lines.push(format!("{path}={}", String::from_utf8_lossy(&bytes).replace('\0', "0"))),
                Err(_) => {
                    lines.push(format!("{path}/"));
                    directories.push(path);
                }
            }
        }
    }
    lines.sort();
    lines.join(" ")
}

fn now(disk: &Disk) -> Moment {
    disk.moments().pop().unwrap()
}

fn images(disk: &Disk) -> BTreeSet<String> {
    now(disk).images(usize::MAX, 0).map(|image| content(&image)).collect()
}

fn write(disk: &Disk, path: &str, text: &str) -> Box<dyn millpond::storage::File> {
    let mut file = disk.create_file(path).unwrap();
    file.write(text.as_bytes()).unwrap();
    file
}

#[test]
fn what_is_synced_stays_and_nothing_else_has_to() {
    let disk = Disk::new();
    let mut file = write(&disk, "a", "four");
    let torn = ["", "a=", "a=fo", "a=fou", "a=0000", "a=fo00", "a=four"].map(String::from);
    assert_eq!(images(&disk), BTreeSet::from(torn));
    file.sync().unwrap();
    assert_eq!(images(&disk), BTreeSet::from(["", "a=four"].map(String::from)));
    disk.sync_directory("").unwrap();
    assert_eq!(images(&disk), BTreeSet::from(["a=four".to_owned()]));
    file.write(b"!!").unwrap();
    let torn = ["a=four", "a=four!", "a=four00", "a=four!0", "a=four!!"].map(String::from);
    assert_eq!(images(&disk), BTreeSet::from(torn));
    assert_eq!(content(&now(&disk).killed()), "a=four!!");
}

#[test]
fn a_new_directory_may_be_missing_with_all_that_is_in_it() {
    let disk = Disk::new();
    disk.create_directory("d").unwrap();
    write(&disk, "d/a", "x").sync().unwrap();
    disk.sync_directory("d").unwrap();
    assert_eq!(images(&disk), BTreeSet::from(["", "d/ d/a=x"].map(String::from)));
    disk.sync_directory("").unwrap();
    assert_eq!(images(&disk), BTreeSet::from(["d/ d/a=x".to_owned()]));
}

#[test]
fn removals_are_undone_and_links_lost_in_any_combination() {
    let disk = Disk::new();
    for name in ["a", "b"] {
        write(&disk, name, name).sync().unwrap();
    }
    disk.sync_directory("").unwrap();
    disk.link("a", "c").unwrap();
    disk.remove_file("a").unwrap();
    disk.remove_file("b").unwrap();
    let expected = ["", "a=a", "b=b", "a=a b=b", "c=a", "a=a c=a", "b=b c=a", "a=a b=b c=a"].map(String::from);
    assert_eq!(images(&disk), BTreeSet::from(expected));
    assert_eq!(now(&disk).count_images(), 8);
    disk.create_directory("a").unwrap();
    let entries = images(&disk);
    assert_eq!(entries.len(), 12, "{entries:?}");
    assert!(entries.contains("a/ b=b"), "{entries:?}");
    disk.sync_directory("").unwrap();
    assert_eq!(images(&disk), BTreeSet::from(["a/ c=a".to_owned()]));
}

#[test]
fn a_killed_process_leaves_work_that_is_still_not_durable() {
    let disk = Disk::new();
    disk.create_directory("d").unwrap();
    let next = now(&disk).killed();
    assert_eq!(content(&next), "d/");
    write(&next, "d/a", "").sync().unwrap();
    next.sync_directory("d").unwrap();
    assert_eq!(images(&next), BTreeSet::from(["", "d/ d/a="].map(String::from)));
    assert_eq!(content(&disk), "d/", "the disk of the dead process is another one");
}

#[test]
fn a_skipped_sync_is_reported_as_done() {
    let disk = Disk::new().skipping_sync(1);
    write(&disk, "a", "x").sync().unwrap();
    disk.sync_directory("").unwrap();
    assert_eq!((disk.syncs(), disk.operations()), (2, 4));
    assert_eq!(images(&disk), BTreeSet::from(["", "a=x"].map(String::from)));
    disk.sync_directory("").unwrap();
    assert_eq!(images(&disk), BTreeSet::from(["a=x".to_owned()]));
}

#[test]
fn a_sample_depends_on_the_seed_alone() {
    let disk = Disk::new();
    for number in 0..12 {
        write(&disk, &format!("f{number:02}"), "text");
    }
    let sample = |seed| now(&disk).images(100, seed).map(|image| content(&image)).collect::<Vec<_>>();
    assert!(now(&disk).count_images() > 1 << 40);
    assert_eq!(sample(1), sample(1));
    assert_ne!(sample(1), sample(2));
    assert_eq!(sample(1).len(), 100);
    let different: BTreeSet<String> = sample(1).into_iter().collect();
    assert!(different.len() > 70, "{}", different.len());
    let all: Vec<String> = (0..12).map(|number| format!("f{number:02}=text")).collect();
    assert!(different.contains("") && different.contains(&all.join(" ")), "the extremes are in every sample");
    let ordered = (0..12).any(|last| (1..12).any(|_| different.contains(&all[..last].join(" ")) && last > 0));
    assert!(ordered, "some in which everything took effect in order are in it, too");
}

/// It is a file system like any other.
#[test]
fn local_storage_works_on_it() {
    conformance::run(|_| LocalStorage::over(Arc::new(Disk::new()), Arc::new(SeededRandom::new(1))));
}
