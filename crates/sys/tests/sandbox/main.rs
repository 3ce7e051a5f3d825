//! Sandboxes as they are: real namespaces, mounts and privileges. Needs root; says so and passes without.
//!
//! The program under test is this test itself: executed again as the launcher, and once more (a static file bound into
//! the new root) as the target, which prints what it sees.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod kernel;
mod sandboxes;
mod streams;
mod target;

macro_rules! tests {
    ($($module:ident::$name:ident),* $(,)?) => {
        &[$((stringify!($name), $module::$name)),*]
    };
}

const TESTS: &[(&str, fn())] = tests![
    sandboxes::a_target_sees_its_own_namespaces_root_and_devices,
    sandboxes::an_exit_code_and_a_signal_come_back_through_the_launcher,
    sandboxes::a_signal_reaches_pid_1_of_the_sandbox,
    sandboxes::killing_the_launcher_kills_the_target,
    sandboxes::what_goes_wrong_names_the_step_and_the_path,
    sandboxes::a_service_has_no_privileges,
    sandboxes::a_kept_capability_survives_the_change_of_user,
    sandboxes::limits_the_host_refuses_are_warnings,
    streams::what_is_written_to_a_target_is_read_to_its_end,
    streams::a_target_with_a_terminal_knows_its_size_and_hears_of_another,
    streams::what_a_target_writes_to_a_scratch_root_is_gone_with_it,
    kernel::a_sandbox_is_inside_its_control_group,
    kernel::a_group_of_version_2_is_joined_killed_and_removed,
    kernel::a_shared_bind_brings_mounts_back_to_the_host,
    kernel::links_addresses_and_routes_are_made_and_read,
    kernel::the_reaper_takes_orphans_and_leaves_children,
];

fn main() {
    sys::sandbox::run_if_requested();
    if let Ok(role) = std::env::var("PROBE") {
        std::process::exit(target::probe(&role));
    }
    if let Err(error) = sys::caps::require_root("test sandboxes") {
        println!("skipped: {error}");
        return;
    }
    let filter: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let mut failed = 0;
    for (name, test) in TESTS
        .iter()
        .filter(|(name, _)| filter.is_empty() || filter.iter().any(|part| name.contains(part.as_str())))
    {
        let passed = std::panic::catch_unwind(test).is_ok();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        failed += i32::from(!passed);
    }
    std::process::exit(failed.min(1));
}
