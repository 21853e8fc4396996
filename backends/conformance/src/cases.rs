//! The lists of cases, and the macros that make tests of them.

/// Runs one case on a runtime of its own.
///
/// # Panics
/// If the runtime cannot be made, or the case fails.
pub fn run(case: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(case);
}

/// One test for each case that every store must pass. Takes an expression that makes a
/// [`crate::Harness`].
#[macro_export]
macro_rules! conformance {
    ($harness:expr) => {
        $crate::cases! { $harness;
            exclusion {
                one_holds_at_a_time_and_tokens_grow
                shared_holders_share_the_limit
                a_repeated_acquire_gets_the_same_lease
                a_late_duplicate_is_told_how_its_lease_ended
                a_repeated_release_is_harmless
                only_the_holder_renews_and_releases
                an_unknown_lease_is_lost
                tokens_grow_over_batches_and_deletion
                a_batch_has_a_limit
            }
            caps {
                a_cap_on_locks_holds_for_a_crowd
                a_cap_on_waiters_holds_for_a_crowd
            }
            counters {
                nobody_is_refused_below_the_maximum
                no_more_are_granted_than_the_maximum
                a_repeated_acquire_is_counted_once
                an_expired_lease_makes_room
                several_locks_are_counted_together
                a_waiter_that_counts_too_much_is_passed_over
                a_refusal_is_a_denial_of_its_policy
            }
            queue {
                a_release_hands_over_in_the_same_write
                the_first_to_wait_is_the_first_to_hold
                a_waiter_finds_its_grant
                nobody_is_overtaken
                one_release_serves_all_that_fit
                a_waiter_that_leaves_is_passed_over
                a_waiter_between_polls_is_passed_over
                a_late_cancel_takes_nothing_from_who_asked_again
            }
            time {
                a_lease_does_not_end_early
                a_waiter_is_served_by_time_alone
                a_renewal_lengthens
                a_lock_cools_down_after_an_expiry_only
                a_release_with_a_cooldown_delays_the_next_grant
                a_wait_ends_by_time
                many_leases_end_each_in_its_time
            }
            taking {
                a_revocation_at_once_hands_over
                a_revocation_finds_whom_it_is_meant_for
                a_graceful_revocation_drains_and_then_takes
                a_transfer_reaches_its_successor
                a_transfer_waits_for_its_successor
            }
            batches {
                all_or_nothing_grants_all_or_none
                crossing_batches_never_hold_halves
                a_batch_of_renewals_answers_for_each
                notes_are_events_of_their_batch
                an_event_names_its_cause
                a_stale_expectation_changes_nothing
            }
            events {
                every_change_is_told_of_once
                a_stream_resumes_where_it_ended
                an_answered_command_has_its_event
                trimmed_events_are_gone_and_the_others_stay
                a_reader_ahead_of_the_trim_loses_nothing
                renewals_are_summed_up_in_the_end
                a_renewal_under_another_rule_is_told
            }
            reading {
                an_unused_lock_is_free
                a_read_shows_what_was_answered
                a_list_has_pages_and_filters
                usage_counts_leases
                a_request_is_known_by_its_lease
                health_counts
                a_closed_store_refuses
            }
            policies {
                a_lease_keeps_the_policy_versions_that_judged_it
            }
            governing {
                documents_are_compared_and_set
                one_of_many_writers_wins
                edits_are_all_or_none_with_their_events
                an_edit_without_a_change_makes_no_event
                a_collection_is_listed_in_order
                a_snapshot_tells_what_has_changed_since_another
                the_revision_is_that_of_the_last_write
                a_watcher_hears_of_the_last_change
                blobs_are_found_by_their_digest
            }
            ledger {
                a_store_knows_its_position_and_the_ledgers
            }
            moving {
                a_namespace_that_has_left_is_refused
                a_namespace_that_comes_keeps_what_it_had
            }
        }
    };
}

/// One test for each case that a store which keeps what it was told must pass besides. Takes an
/// expression that makes a [`crate::Durable`].
#[macro_export]
macro_rules! conformance_durable {
    ($harness:expr) => {
        $crate::cases! { $harness;
            restart {
                what_was_answered_is_there_after_a_restart
                a_late_duplicate_is_known_after_a_restart
                tokens_grow_over_restarts
                events_are_the_same_after_a_restart
                a_lease_does_not_end_early_by_a_restart
                a_holder_does_not_notice_a_restart
                much_work_survives_restarts
                a_stream_that_is_left_alone_holds_nobody_up
            }
            counters {
                counters_survive_a_restart
            }
            policies {
                policy_versions_survive_a_restart
            }
            ledger {
                what_is_kept_of_the_ledger_survives_a_restart
            }
        }
    };
}

/// One test for each of the named cases.
#[doc(hidden)]
#[macro_export]
macro_rules! cases {
    ($harness:expr; $($group:ident { $($case:ident)* })*) => {
        $($(
            #[test]
            fn $case() {
                $crate::run(async {
                    $crate::$group::$case(&$harness).await;
                });
            }
        )*)*
    };
}

#[cfg(test)]
mod tests {
    /// A case that is in no list would never be run.
    #[test]
    fn every_case_is_in_a_list() {
        let lists = include_str!("cases.rs");
        let groups = [
            include_str!("exclusion.rs"),
            include_str!("queue.rs"),
            include_str!("time.rs"),
            include_str!("taking.rs"),
            include_str!("batches.rs"),
            include_str!("caps.rs"),
            include_str!("counters.rs"),
            include_str!("events.rs"),
            include_str!("reading.rs"),
            include_str!("governing.rs"),
            include_str!("moving.rs"),
            include_str!("policies.rs"),
            include_str!("ledger.rs"),
            include_str!("restart.rs"),
        ];
        let mut cases = 0;
        for line in groups.iter().flat_map(|group| group.lines()) {
            let Some((name, _)) = line
                .strip_prefix("pub async fn ")
                .and_then(|rest| rest.split_once('('))
            else {
                continue;
            };
            let listed = lists.lines().any(|listed| listed.trim() == name);
            assert!(listed, "{name} is in no list");
            cases += 1;
        }
        assert!(cases > 40, "only {cases} cases were found");
    }
}
