//! The tables as Diesel sees them. Kept by hand: every integer is a `BigInt` (a smaller type truncates
//! silently), and a test compares this file with what the migrations really make.

diesel::table! {
    hosts (id) {
        id -> BigInt,
        hostname -> Text,
        reach -> Text,
        spool -> Nullable<Text>,
        run_as -> Nullable<Text>,
        tags -> Text,
        automatic -> Bool,
        created_at -> Timestamp,
        updated_at -> Timestamp,
        removed_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    definitions (sha256) {
        sha256 -> Text,
        text -> Text,
        created_at -> Timestamp,
    }
}

diesel::table! {
    pipelines (id) {
        id -> Text,
        name -> Text,
        hosts -> Text,
        current_stage -> BigInt,
        status -> Text,
        created_at -> Timestamp,
        finished_at -> Nullable<Timestamp>,
        actor -> Text,
        reason -> Nullable<Text>,
        plan -> Nullable<Text>,
        hold_reason -> Nullable<Text>,
        cancel_mode -> Nullable<Text>,
        cancel_by -> Nullable<Text>,
        cancel_at -> Nullable<Timestamp>,
        retry_of -> Nullable<Text>,
        passed -> Text,
        at_wait -> Nullable<Text>,
        evidence -> Nullable<Text>,
        cancel_note -> Nullable<Text>,
        kept_by -> Nullable<Text>,
        kept_at -> Nullable<Timestamp>,
        kept_reason -> Nullable<Text>,
    }
}

diesel::table! {
    pipeline_hosts (pipeline_id, host_id) {
        pipeline_id -> Text,
        host_id -> BigInt,
        reserved_at -> Timestamp,
        released_at -> Nullable<Timestamp>,
        waiting_since -> Nullable<Timestamp>,
    }
}

diesel::table! {
    commands (id) {
        id -> Text,
        host_id -> BigInt,
        op -> Text,
        pipeline_id -> Nullable<Text>,
        stage -> Nullable<BigInt>,
        status -> Text,
        created_at -> Timestamp,
        started_at -> Nullable<Timestamp>,
        launched_at -> Nullable<Timestamp>,
        finished_at -> Nullable<Timestamp>,
        settled_at -> Nullable<Timestamp>,
        exit_code -> Nullable<BigInt>,
        error -> Nullable<Text>,
        refusal -> Nullable<Text>,
        output_file -> Nullable<Text>,
        output_bytes -> Nullable<BigInt>,
        output_sha256 -> Nullable<Text>,
        output_cut -> Bool,
        actor -> Text,
        reason -> Nullable<Text>,
        evidence -> Nullable<Text>,
        definition -> Text,
        retry_of -> Nullable<Text>,
        deadline -> Nullable<Timestamp>,
        stop_reason -> Nullable<Text>,
        stop_by -> Nullable<Text>,
        stop_at -> Nullable<Timestamp>,
        stop_note -> Nullable<Text>,
        boot_id -> Nullable<Text>,
        machine_id -> Nullable<Text>,
        spool -> Nullable<Text>,
        launches -> BigInt,
        warned_at -> Nullable<Timestamp>,
        overdue_at -> Nullable<Timestamp>,
        resolved_by -> Nullable<Text>,
        late_word -> Nullable<Text>,
        late_at -> Nullable<Timestamp>,
        acknowledged_by -> Nullable<Text>,
        acknowledged_at -> Nullable<Timestamp>,
        acknowledged_note -> Nullable<Text>,
        repeat_of -> Nullable<Text>,
        kept_by -> Nullable<Text>,
        kept_at -> Nullable<Timestamp>,
        kept_reason -> Nullable<Text>,
    }
}

diesel::table! {
    event_log (id) {
        id -> BigInt,
        timestamp -> Timestamp,
        category -> Text,
        level -> Text,
        actor -> Text,
        host_id -> Nullable<BigInt>,
        action -> Text,
        message -> Text,
        details -> Nullable<Text>,
        command_id -> Nullable<Text>,
        pipeline_id -> Nullable<Text>,
        link -> Binary,
    }
}

diesel::table! {
    state_version (id) {
        id -> BigInt,
        version -> BigInt,
        groups -> BigInt,
    }
}

diesel::table! {
    host_facts (host_id) {
        host_id -> BigInt,
        reachable -> Nullable<Bool>,
        since -> Nullable<Timestamp>,
        problem -> Nullable<Text>,
        probed_at -> Nullable<Timestamp>,
        kernel -> Text,
        os -> Text,
        boot_id -> Text,
        machine_id -> Text,
        uptime_s -> BigInt,
        clock_s -> BigInt,
        user -> Text,
        disk_used_percent -> Nullable<BigInt>,
        reboot_needed -> Bool,
    }
}

diesel::table! {
    instance (id) {
        id -> BigInt,
        dashboard_id -> Text,
        start_id -> Nullable<Text>,
        program -> Nullable<Text>,
        started_at -> Nullable<Timestamp>,
        stopped_at -> Nullable<Timestamp>,
        restored_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    users (id) {
        id -> BigInt,
        name -> Text,
        password -> Text,
        grants -> Text,
        totp_secret -> Nullable<Text>,
        totp_step -> BigInt,
        created_at -> Timestamp,
        password_at -> Timestamp,
        disabled_at -> Nullable<Timestamp>,
        era -> BigInt,
    }
}

diesel::table! {
    recovery_codes (hash) {
        hash -> Text,
        user_id -> BigInt,
    }
}

diesel::table! {
    tokens (id) {
        id -> BigInt,
        name -> Text,
        hash -> Text,
        grants -> Text,
        created_by -> Text,
        created_at -> Timestamp,
        expires_at -> Nullable<Timestamp>,
        last_used_at -> Nullable<Timestamp>,
        revoked_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    sessions (id) {
        id -> BigInt,
        hash -> Text,
        actor -> Text,
        user_id -> Nullable<BigInt>,
        address -> Nullable<Text>,
        agent -> Nullable<Text>,
        factor -> Nullable<Text>,
        proved_at -> Nullable<Timestamp>,
        created_at -> Timestamp,
        last_seen_at -> Timestamp,
        expires_at -> Timestamp,
    }
}

diesel::table! {
    login_attempts (what) {
        what -> Text,
        failures -> BigInt,
        last_at -> Timestamp,
    }
}

diesel::table! {
    known_places (user_id, place) {
        user_id -> BigInt,
        place -> Text,
        last_at -> Timestamp,
    }
}

diesel::table! {
    once (actor, key) {
        actor -> Text,
        key -> Text,
        request -> Text,
        command_id -> Nullable<Text>,
        pipeline_id -> Nullable<Text>,
        created_at -> Timestamp,
    }
}

diesel::table! {
    sweeps (id) {
        id -> BigInt,
        swept_at -> Timestamp,
        events_before -> Nullable<Timestamp>,
        commands_before -> Nullable<Timestamp>,
        audit_before -> Nullable<Timestamp>,
        gone_until -> Nullable<Timestamp>,
        archive_before -> Nullable<Timestamp>,
    }
}

diesel::table! {
    reports (id) {
        id -> BigInt,
        number -> Text,
        made_at -> Timestamp,
        made_by -> Text,
        address -> Nullable<Text>,
        parameters -> Text,
        paper -> Text,
        covers -> BigInt,
        summary -> Nullable<Text>,
        digest -> Nullable<Text>,
        content_bytes -> Nullable<BigInt>,
        event_id -> Nullable<BigInt>,
        stamp -> Nullable<Text>,
        checkpoint_id -> Nullable<BigInt>,
    }
}

diesel::table! {
    report_contents (report_id) {
        report_id -> BigInt,
        made_at -> Timestamp,
        gzip -> Binary,
    }
}

diesel::table! {
    reviews (id) {
        id -> BigInt,
        report_id -> BigInt,
        up_to -> BigInt,
        reviewed_by -> Text,
        reviewed_at -> Timestamp,
        note -> Nullable<Text>,
    }
}

diesel::table! {
    cursors (kind, name) {
        kind -> Text,
        name -> Text,
        target -> Text,
        active -> Bool,
        position -> BigInt,
        gap_to -> BigInt,
        succeeded_at -> Nullable<Timestamp>,
        failing_since -> Nullable<Timestamp>,
        failed_from -> Nullable<BigInt>,
        failed_at -> Nullable<Timestamp>,
        failure -> Nullable<Text>,
        announced -> Bool,
        announced_at -> Nullable<Timestamp>,
    }
}

diesel::table! {
    witnesses (id) {
        id -> BigInt,
        name -> Text,
        checkpoint_id -> BigInt,
        event_id -> BigInt,
        at -> Timestamp,
    }
}

diesel::joinable!(sessions -> users (user_id));
diesel::allow_tables_to_appear_in_same_query!(sessions, users);
diesel::joinable!(reviews -> reports (report_id));
diesel::allow_tables_to_appear_in_same_query!(reviews, reports);
diesel::joinable!(commands -> hosts (host_id));
diesel::table! {
    swept_events (id) {
        id -> BigInt,
        row_hash -> Binary,
        link -> Binary,
        piece -> Nullable<BigInt>,
    }
}

diesel::table! {
    sweep_pieces (id) {
        id -> BigInt,
        line -> Text,
    }
}

diesel::table! {
    checkpoint_keys (fingerprint) {
        fingerprint -> Text,
        public -> Text,
        made_at -> Timestamp,
    }
}

diesel::table! {
    checkpoints (id) {
        id -> BigInt,
        made_at -> Timestamp,
        kind -> Text,
        event_id -> BigInt,
        events -> BigInt,
        link -> Binary,
        details -> Nullable<Text>,
        key -> Text,
        signature -> Text,
    }
}

diesel::table! {
    sealed (id) {
        id -> BigInt,
        what -> Text,
        digest -> Text,
        checkpoint_id -> Nullable<BigInt>,
        event_id -> Nullable<BigInt>,
    }
}

diesel::table! {
    holds (id) {
        id -> BigInt,
        from_at -> Timestamp,
        until_at -> Nullable<Timestamp>,
        reason -> Text,
        placed_by -> Text,
        placed_at -> Timestamp,
        released_by -> Nullable<Text>,
        released_at -> Nullable<Timestamp>,
        release_reason -> Nullable<Text>,
    }
}

diesel::joinable!(checkpoints -> checkpoint_keys (key));
diesel::joinable!(event_log -> hosts (host_id));
diesel::joinable!(pipeline_hosts -> pipelines (pipeline_id));
diesel::allow_tables_to_appear_in_same_query!(checkpoints, checkpoint_keys);
diesel::allow_tables_to_appear_in_same_query!(commands, hosts, event_log, pipelines, pipeline_hosts, definitions);

diesel::table! {
    event_index (id) {
        id -> BigInt,
        event_id -> BigInt,
    }
}
