//! What every keyed backend has to do, as functions that fail by panicking.
//!
//! [`run`] gives each case of [`CASES`] the backend's configuration. The cases see backends through
//! [`KeyedBackend`] alone, most of them as a [`Cluster`]: all subtasks of an operator in one thread, with
//! checkpoints and restarts at other parallelisms. What random operations find is the business of [`model`](super::model).
//!
//! ```
//! use millpond::backend::{BackendConfig, conformance};
//!
//! conformance::run(&BackendConfig::new("heap".parse()?));
//! # Ok::<(), millpond::Error>(())
//! ```

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod carried;
mod cluster;
mod fold;
mod incremental;
mod iteration;
mod list;
mod map;
mod namespace;
mod registration;
mod rescale;
mod schema;
mod snapshot;
mod timer;
mod ttl;
mod value;

pub use incremental::chain;

pub use cluster::{Cluster, Dump, MAX_PARALLELISM, Plan, Subtask, Taken, UID};

use super::{BackendConfig, KeyedBackend, KeyedSnapshotFormat};
use crate::serializer::Str;

/// A case: it takes the configuration of a backend and panics if that does not do what it has to.
pub type Case = fn(&BackendConfig);

/// Every case, with its name.
pub const CASES: &[(&str, Case)] = &[
    ("a_value_is_what_was_last_set", value::a_value_is_what_was_last_set),
    ("values_of_keys_that_begin_alike_stay_apart", value::values_of_keys_that_begin_alike_stay_apart),
    ("s_31_absent_values_inside_values_survive", value::s_31_absent_values_inside_values_survive),
    ("a_list_keeps_its_order", list::a_list_keeps_its_order),
    ("an_empty_list_is_no_list", list::an_empty_list_is_no_list),
    ("lists_of_many_sizes_survive", list::lists_of_many_sizes_survive),
    ("s_29_a_map_is_a_btree_map_while_it_changes", map::s_29_a_map_is_a_btree_map_while_it_changes),
    ("s_29_maps_of_keys_that_begin_alike_stay_apart", map::s_29_maps_of_keys_that_begin_alike_stay_apart),
    ("an_empty_map_is_no_map", map::an_empty_map_is_no_map),
    ("reducing_folds_in_order", fold::reducing_folds_in_order),
    ("aggregating_folds_from_nothing", fold::aggregating_folds_from_nothing),
    ("s_34_timers_fire_in_order_at_the_borders_of_time", timer::s_34_timers_fire_in_order_at_the_borders_of_time),
    ("s_34_a_restart_in_the_middle_of_firing", timer::s_34_a_restart_in_the_middle_of_firing),
    ("a_timer_is_set_once", timer::a_timer_is_set_once),
    ("deleted_timers_never_fire", timer::deleted_timers_never_fire),
    ("deleted_timers_stay_deleted_over_restarts", timer::deleted_timers_stay_deleted_over_restarts),
    ("namespaces_stay_apart", namespace::namespaces_stay_apart),
    ("s_29_keys_and_namespaces_never_run_together", namespace::s_29_keys_and_namespaces_never_run_together),
    ("s_33_changes_of_time_to_live", ttl::s_33_changes_of_time_to_live),
    ("s_33_a_clock_that_goes_backwards", ttl::s_33_a_clock_that_goes_backwards),
    ("reads_touch_where_they_should", ttl::reads_touch_where_they_should),
    ("expired_values_show_only_where_they_should", ttl::expired_values_show_only_where_they_should),
    ("expired_values_are_removed_in_the_end", ttl::expired_values_are_removed_in_the_end),
    ("elements_and_entries_expire_one_by_one", ttl::elements_and_entries_expire_one_by_one),
    ("visits_show_what_is_live_and_touch_nothing", iteration::visits_show_what_is_live_and_touch_nothing),
    ("visits_are_complete_while_snapshots_overlap", iteration::visits_are_complete_while_snapshots_overlap),
    ("registering_twice_is_registering_once", registration::registering_twice_is_registering_once),
    ("a_name_means_one_state", registration::a_name_means_one_state),
    ("foreign_handles_are_refused", registration::foreign_handles_are_refused),
    ("keys_of_other_subtasks_are_refused", registration::keys_of_other_subtasks_are_refused),
    ("s_36_odd_state_names", registration::s_36_odd_state_names),
    ("s_22_operators_with_like_names_in_one_process", registration::s_22_operators_with_like_names_in_one_process),
    ("s_30_overlapping_snapshots_never_change", snapshot::s_30_overlapping_snapshots_never_change),
    (
        "s_37_snapshots_are_written_while_the_state_changes",
        snapshot::s_37_snapshots_are_written_while_the_state_changes,
    ),
    ("changes_during_a_snapshot_read_back", snapshot::changes_during_a_snapshot_read_back),
    ("finished_and_aborted_snapshots_hold_nothing", snapshot::finished_and_aborted_snapshots_hold_nothing),
    ("a_snapshot_of_nothing", snapshot::a_snapshot_of_nothing),
    ("any_number_of_snapshots_may_overlap", snapshot::any_number_of_snapshots_may_overlap),
    (
        "incremental_snapshots_refer_to_what_did_not_change",
        incremental::incremental_snapshots_refer_to_what_did_not_change,
    ),
    ("s_03_nothing_refers_to_what_is_not_confirmed", incremental::s_03_nothing_refers_to_what_is_not_confirmed),
    (
        "a_chain_of_incremental_snapshots_restores_at_every_link",
        incremental::a_chain_of_incremental_snapshots_restores_at_every_link,
    ),
    ("a_base_counts_in_its_own_storage_only", incremental::a_base_counts_in_its_own_storage_only),
    ("a_savepoint_is_never_incremental", incremental::a_savepoint_is_never_incremental),
    ("s_23_states_are_told_apart_by_name_alone", rescale::s_23_states_are_told_apart_by_name_alone),
    ("s_26_every_entry_is_in_the_group_of_its_key", rescale::s_26_every_entry_is_in_the_group_of_its_key),
    ("s_27_another_max_parallelism_names_both", rescale::s_27_another_max_parallelism_names_both),
    ("s_25_operator_state_is_redistributed", rescale::s_25_operator_state_is_redistributed),
    ("s_25_operator_lists_stay_at_unchanged_parallelism", rescale::s_25_operator_lists_stay_at_unchanged_parallelism),
    ("s_25_operator_state_nobody_registers_is_cut_anew", rescale::s_25_operator_state_nobody_registers_is_cut_anew),
    ("fields_may_come_go_and_move", schema::fields_may_come_go_and_move),
    ("types_that_do_not_fit_are_refused_with_both", schema::types_that_do_not_fit_are_refused_with_both),
    ("keys_and_namespaces_stay_as_they_are", schema::keys_and_namespaces_stay_as_they_are),
    ("kinds_stay_as_they_are", schema::kinds_stay_as_they_are),
    ("operator_state_changes_its_types_alike", schema::operator_state_changes_its_types_alike),
    ("s_24_unregistered_state_survives_byte_for_byte", carried::s_24_unregistered_state_survives_byte_for_byte),
    ("s_24_unregistered_state_can_be_registered_later", carried::s_24_unregistered_state_can_be_registered_later),
];

/// Runs every case on backends of this configuration; panics with all that failed.
pub fn run(config: &BackendConfig) {
    let mut failures = Vec::new();
    for (name, case) in CASES {
        let passed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| case(config)));
        if let Err(reason) = passed {
            let text = reason.downcast_ref::<String>().map(String::as_str).or(reason.downcast_ref().copied());
            failures.push(format!("{name}, on {}: {}", config.kind, text.unwrap_or("panicked")));
        }
    }
    assert!(failures.is_empty(), "{} cases failed:\n{}", failures.len(), failures.join("\n"));
}

const FORMATS: [KeyedSnapshotFormat; 2] = [KeyedSnapshotFormat::Canonical, KeyedSnapshotFormat::Native];

/// One backend that holds every key.
fn single(config: &BackendConfig) -> KeyedBackend<Str> {
    cluster(config, 1).subtasks.remove(0).keyed
}

fn cluster(config: &BackendConfig, parallelism: u32) -> Cluster<Str> {
    Cluster::new(Plan::new(config), Str, parallelism).unwrap()
}

/// Keys of which some are prefixes of others, and enough of them for every key group.
fn keys() -> Vec<String> {
    let odd = ["", "a", "aa", "ab", "b", "\0", "a\0", "\u{10FFFF}"];
    odd.into_iter().map(str::to_owned).chain((0..60).map(|number| format!("key-{number}"))).collect()
}
