-- Tables the builder fills before the first model, empty where it has nothing to say.

-- Every finished snapshot, and how each source ended in it.
CREATE OR REPLACE TABLE snapshots (snapshot_id VARCHAR, kind VARCHAR, started_at TIMESTAMP, finished_at TIMESTAMP);
CREATE OR REPLACE TABLE snapshot_sources (snapshot_id VARCHAR, source VARCHAR, status VARCHAR);

-- What pruning kept of raw files that are gone. Sums are whole days before raw_from of their log.
CREATE OR REPLACE TEMP TABLE kept_until (family VARCHAR, raw_from DATE);
CREATE OR REPLACE TEMP TABLE kept_sign_ins_daily (app_id VARCHAR, day DATE, sign_in_type VARCHAR, sign_ins BIGINT,
    failures BIGINT, users BIGINT, ip_addresses BIGINT, countries BIGINT);
CREATE OR REPLACE TEMP TABLE kept_app_activity_daily (app_id VARCHAR, day DATE, service VARCHAR, calls BIGINT,
    errors BIGINT, throttled BIGINT, bytes_returned BIGINT, bytes_unknown_calls BIGINT, users BIGINT, reads BIGINT,
    writes BIGINT);
CREATE OR REPLACE TEMP TABLE kept_app_resource_daily (app_id VARCHAR, day DATE, resource_type VARCHAR, calls BIGINT,
    bytes_returned BIGINT, bytes_unknown_calls BIGINT);
-- kind: 'sign_in', 'call' or 'credential' (the only one with a key_id)
CREATE OR REPLACE TEMP TABLE kept_last_uses (kind VARCHAR, app_id VARCHAR, key_id VARCHAR, last_at TIMESTAMP);
CREATE OR REPLACE TEMP TABLE kept_grants_seen (source VARCHAR, grant_id VARCHAR, service_principal_id VARCHAR,
    resource_id VARCHAR, consent_type VARCHAR, principal_id VARCHAR, app_role_id VARCHAR, scope VARCHAR,
    created_at TIMESTAMP, snapshots VARCHAR[]);
CREATE OR REPLACE TEMP TABLE kept_credentials_seen (source VARCHAR, credential_origin VARCHAR, object_id VARCHAR,
    app_id VARCHAR, key_id VARCHAR, credential_type VARCHAR, name VARCHAR, starts_at TIMESTAMP, ends_at TIMESTAMP,
    snapshots VARCHAR[]);
CREATE OR REPLACE TEMP TABLE kept_members_seen (source VARCHAR, object_id VARCHAR, member_id VARCHAR,
    assignment_id VARCHAR, scope VARCHAR, member_type VARCHAR, member_name VARCHAR, snapshots VARCHAR[]);
CREATE OR REPLACE TEMP TABLE kept_apps_seen (source VARCHAR, object_id VARCHAR, app_id VARCHAR, display_name VARCHAR,
    account_enabled BOOLEAN, is_disabled BOOLEAN, disabled_by_microsoft_status VARCHAR, publisher_name VARCHAR,
    verified_publisher VARCHAR, sign_in_audience VARCHAR, assignment_required BOOLEAN, reply_urls VARCHAR[],
    snapshots VARCHAR[]);
CREATE OR REPLACE TEMP TABLE kept_settings_seen (source VARCHAR, setting VARCHAR, value VARCHAR, snapshots VARCHAR[]);
