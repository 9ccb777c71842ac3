use std::fs;

use serde_json::json;

use super::{millpond, sample};

fn verify_json(directory: &std::path::Path) -> (i32, serde_json::Value) {
    let ran = millpond(&["verify", directory.to_str().unwrap(), "--json"]);
    assert_eq!(ran.stderr, "");
    (ran.code, ran.json())
}

#[test]
fn an_intact_snapshot_of_any_format_is_found_intact() {
    for written in [sample::CANONICAL, sample::NATIVE, sample::COMPRESSED] {
        let base = tempfile::tempdir().unwrap();
        let directory = sample::write(base.path(), 1, written);
        let output = millpond(&["verify", directory.to_str().unwrap()]).output();
        assert!(output.starts_with("intact\nchecked ") && output.contains("/s"), "{output}");
        let (code, report) = verify_json(&directory);
        assert_eq!((code, &report["intact"], &report["findings"]), (0, &json!(true), &json!([])), "{written:?}");
        let mut files = sample::files(&directory);
        files.retain(|file| !file.ends_with("_metadata"));
        let stored: u64 = files.iter().map(|file| fs::metadata(file).unwrap().len()).sum();
        assert_eq!((&report["bytes"], &report["objects"]), (&json!(stored), &json!(files.len())));
        let inspected = millpond(&["inspect", directory.to_str().unwrap(), "--json"]).json();
        let states = inspected["operators"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|operator| operator["states"].as_array().unwrap());
        let entries: u64 = states.map(|state| state["entries"].as_u64().unwrap()).sum();
        assert_eq!(report["entries"], json!(entries));
    }
}

#[test]
fn a_flipped_bit_is_located() {
    for written in [sample::CANONICAL, sample::NATIVE, sample::COMPRESSED] {
        let base = tempfile::tempdir().unwrap();
        let directory = sample::write(base.path(), 1, written);
        let block = sample::first_block(&directory, "flights", "hourly");
        sample::flip(&block.file, block.offset + 16);
        let (code, report) = verify_json(&directory);
        assert_eq!((code, &report["damaged"]), (1, &json!(1)), "{report}");
        let finding = &report["findings"][0];
        assert_eq!(finding["severity"], "damaged");
        assert_eq!(finding["file"], json!(block.file));
        assert_eq!((&finding["operator"], &finding["state"]), (&json!("flights"), &json!("hourly")));
        assert_eq!((&finding["key_group"], &finding["subtask"]), (&json!(block.group), &json!(0)));
        let offset = finding["offset"].as_u64().unwrap();
        assert!(offset >= block.offset && offset < block.offset + 400, "{offset} {block:?}");
        let ran = millpond(&["verify", directory.to_str().unwrap()]);
        assert_eq!((ran.code, ran.stderr.as_str()), (1, ""));
        let head = format!("damaged  {} at offset {offset}\n", block.file.display());
        let place = format!("  operator flights, subtask 0, state hourly, key group {}, format", block.group);
        for part in [head.as_str(), place.as_str(), "\ndamaged in 1 place\n", "not checked to the end: 1 section"] {
            assert!(ran.stdout.contains(part), "{part} is not in\n{}", ran.stdout);
        }
    }
}

#[test]
fn damage_in_several_places_is_all_reported() {
    let base = tempfile::tempdir().unwrap();
    let directory = sample::write(base.path(), 1, sample::CANONICAL);
    let flights = sample::first_block(&directory, "flights", "worst");
    let routes = sample::first_block(&directory, "routes", "route");
    sample::flip(&flights.file, flights.offset + 15);
    sample::flip(&routes.file, routes.offset + 15);
    let (code, report) = verify_json(&directory);
    let mut found: Vec<String> =
        report["findings"].as_array().unwrap().iter().map(|finding| finding["state"].to_string()).collect();
    found.sort();
    assert_eq!((code, found), (1, vec!["\"route\"".to_owned(), "\"worst\"".to_owned()]));
}

#[test]
fn every_file_counts_whatever_happens_to_it() {
    let base = tempfile::tempdir().unwrap();
    let directory = sample::write(base.path(), 1, sample::CANONICAL);
    for file in sample::files(&directory).into_iter().filter(|file| !file.ends_with("_metadata")) {
        let bytes = fs::read(&file).unwrap();
        for offset in [0, bytes.len() / 2, bytes.len() - 1] {
            sample::flip(&file, offset as u64);
            let (code, report) = verify_json(&directory);
            assert_eq!((code, &report["findings"][0]["file"]), (1, &json!(file)), "flipped at {offset}: {report}");
            fs::write(&file, &bytes).unwrap();
        }
        for length in [0, 1, bytes.len() / 2, bytes.len() - 1] {
            fs::write(&file, &bytes[..length]).unwrap();
            let (code, report) = verify_json(&directory);
            let finding = &report["findings"][0];
            assert_eq!((code, &finding["file"]), (1, &json!(file)), "cut at {length}: {report}");
            assert!(finding["message"].as_str().unwrap().contains(&format!("{length} bytes")), "{finding}");
            assert!(report["incomplete_sections"].as_u64().unwrap() > 0, "{report}");
        }
        let longer = [bytes.as_slice(), b"x"].concat();
        fs::write(&file, longer).unwrap();
        assert_eq!(verify_json(&directory).0, 1);
        fs::remove_file(&file).unwrap();
        let (code, report) = verify_json(&directory);
        assert_eq!((code, &report["findings"][0]["file"], &report["damaged"]), (1, &json!(file), &json!(1)));
        fs::write(&file, &bytes).unwrap();
    }
    assert_eq!(verify_json(&directory).0, 0);
}

#[test]
fn a_damaged_manifest_is_damage() {
    let base = tempfile::tempdir().unwrap();
    let directory = sample::write(base.path(), 1, sample::CANONICAL);
    let manifest = directory.join("_metadata");
    let bytes = fs::read(&manifest).unwrap();
    // The two bytes of the version are judged before the digest: it may be a later one.
    for offset in (0..6).chain((8..bytes.len()).step_by(7)) {
        sample::flip(&manifest, offset as u64);
        let (code, report) = verify_json(&directory);
        assert_eq!((code, &report["findings"][0]["file"]), (1, &json!(manifest)), "{report}");
        fs::write(&manifest, &bytes).unwrap();
    }
    for length in [0, 3, 8, bytes.len() - 1] {
        fs::write(&manifest, &bytes[..length]).unwrap();
        assert_eq!(verify_json(&directory).0, 1, "{length}");
    }
}
