-- grain: permission that somebody holds, or that would allow a call seen (resource app x permission x type)
-- source: consent_grants, called_endpoints; reference/permission_levels.csv; reference/permission_families.csv
-- A permission in our reviewed table has the level given there. For any other name the rules below decide, in this
-- order; the reason says so:
--   1. not Microsoft Graph: medium, or low for a delegated read; what an unlisted API gives away is not known here
--   2. limited to chosen objects (Selected, OwnedBy, AppFolder, one team or chat): low for reads, medium for writes
--   3. application, control of identities, rights or devices, write: high
--   4. application, content people write (mail, files, chats, sites, meetings, notes): high
--   5. application, any other write to all objects: medium; read of directory or security data: medium; else low
--   6. delegated, write or all content of others (.All, .Shared): medium; else low: it never exceeds its user
WITH held AS (
    SELECT resource_app_id, permission, permission_type FROM consent_grants
    UNION
    SELECT '00000003-0000-0000-c000-000000000000' AS resource_app_id, unnest(permissions), permission_type
    FROM called_endpoints
),

named AS (
    SELECT
        *,
        coalesce(resource_app_id = '00000003-0000-0000-c000-000000000000', false) AS is_graph,
        split_part(permission, '.', 1) AS noun,
        -- after the noun: RoleManagement.Read and Policy.Read.B2BManagementPolicy change nothing
        split_part(permission, '.', 2) NOT IN ('Read', 'ReadBasic') AND regexp_matches(
            CASE WHEN contains(permission, '.') THEN substr(permission, instr(permission, '.')) ELSE permission END,
            'Write|Manage|Send|Create|Delete|Update|Invite|Execute|FullControl|Privileged|Upload|Initiate|Join|Approve|'
            || 'AccessAsUser|full_access|impersonation|Import|Enable|Disable|Revoke|Remove|Restore|Migrate'
        ) AS is_write,
        regexp_matches(
            permission,
            '\.(Selected|OwnedBy|CreatedByApp|AppFolder|Group|Chat|OwnedGroup)(\.|$)|'
            || 'ForTeam|ForChat|ForUser|Selected|WhereInstalled'
        ) AS is_limited,
        regexp_matches(permission, '\.(All|Shared|AllAccessible)$') AS reaches_others,
        -- Graph and SharePoint: nothing but what was chosen, created, owned or installed into
        resource_app_id IN ('00000003-0000-0000-c000-000000000000', '00000003-0000-0ff1-ce00-000000000000')
            AND regexp_matches(
                permission,
                '.\.(OwnedBy|ManagedBy|CreatedByApp|AppFolder|WhereInstalled|IdentityParentedBy|Group|Chat|OwnedGroup)'
                || '(\.|$)|Selected|SelfFor'
            ) AS is_scope_limited,
        CASE
            WHEN permission_type <> 'application' THEN NULL
            WHEN resource_app_id IN ('00000003-0000-0000-c000-000000000000', '00000002-0000-0ff1-ce00-000000000000')
                AND regexp_matches(
                    permission,
                    '^((Mail|Mail-Advanced|Calendars|Contacts|MailboxSettings|SMTP)\.|full_access_as_app$)'
                ) THEN 'exchange_application_access'
            WHEN resource_app_id = '00000002-0000-0ff1-ce00-000000000000'
                AND regexp_matches(permission, '^(IMAP|POP)\.') THEN 'exchange_mailbox_permissions'
            WHEN resource_app_id = '00000003-0000-0000-c000-000000000000'
                AND regexp_matches(permission, '^OnlineMeeting') THEN 'teams_application_access'
        END AS may_be_limited_by
    FROM held
),

grouped AS (
    SELECT
        n.*,
        coalesce(f.service, 'Other') AS family_service,
        coalesce(f.resource_types, '') AS family_resource_types,
        -- names and times without the content itself
        CASE WHEN contains(n.permission, '.ReadBasic') THEN 'other' ELSE coalesce(f.kind, 'other') END AS kind
    FROM named AS n
    LEFT JOIN ref_permission_families AS f ON n.is_graph AND f.noun = n.noun
),

judged AS (
    SELECT
        *,
        CASE
            WHEN NOT is_graph AND permission_type = 'delegated' AND NOT is_write THEN 'low'
            WHEN NOT is_graph THEN 'medium'
            WHEN is_limited THEN CASE WHEN is_write THEN 'medium' ELSE 'low' END
            WHEN permission_type = 'application' AND kind = 'control' AND is_write THEN 'high'
            WHEN permission_type = 'application' AND kind = 'content' THEN 'high'
            WHEN permission_type = 'application' AND (is_write OR kind = 'control') THEN 'medium'
            WHEN permission_type = 'delegated' AND is_write THEN 'medium'
            WHEN permission_type = 'delegated' AND kind = 'content' AND reaches_others THEN 'medium'
            ELSE 'low'
        END AS rule_level,
        CASE
            WHEN NOT is_graph THEN 'rule: not a Microsoft Graph permission and not in the reviewed table'
            WHEN is_limited THEN 'rule: limited to chosen objects'
            WHEN permission_type = 'application' AND kind = 'control' AND is_write
                THEN 'rule: changes identities, rights or devices without a user'
            WHEN permission_type = 'application' AND kind = 'content' THEN 'rule: content of everybody without a user'
            WHEN permission_type = 'application' AND is_write THEN 'rule: writes without a user'
            WHEN permission_type = 'application' AND kind = 'control'
                THEN 'rule: reads directory or security data without a user'
            WHEN permission_type = 'delegated' AND is_write THEN 'rule: writes, within the rights of the signed-in user'
            WHEN permission_type = 'delegated' AND kind = 'content' AND reaches_others
                THEN 'rule: content of others, within the rights of the signed-in user'
            ELSE 'rule: reads little'
        END AS rule_reason
    FROM grouped
)

SELECT
    j.resource_app_id,
    j.permission,
    j.permission_type,
    coalesce(r.level, j.rule_level) AS privilege_level,
    coalesce(r.reason, j.rule_reason) AS level_reason,
    coalesce(r.service, j.family_service) AS service,
    list_filter(string_split(coalesce(r.resource_types, j.family_resource_types), ' '), lambda t: t <> '')
        AS resource_types,
    coalesce(r.access, CASE WHEN j.is_write THEN 'write' ELSE 'read' END) AS access,
    r.permission IS NOT NULL AS is_reviewed,
    coalesce(j.is_scope_limited, false) AS is_scope_limited,
    j.may_be_limited_by
FROM judged AS j
LEFT JOIN ref_permission_levels AS r USING (resource_app_id, permission, permission_type)
ORDER BY j.resource_app_id, j.permission_type, j.permission
