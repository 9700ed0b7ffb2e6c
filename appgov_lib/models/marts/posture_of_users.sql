-- grain: setting of the authorization policy that is no more than a word or a switch
-- source: stg_authorization_policy
WITH policy AS (
    SELECT * FROM stg_authorization_policy ORDER BY policy_id LIMIT 1
),

roles AS (
    SELECT * FROM (VALUES
        ('a0b1b346-4d3e-4e8b-98f8-753987be4970', 'like members', 'risky',
            'Guests see as much of the directory as members.'),
        ('10dae51f-b6af-4016-8d66-8c2a99b929b3', 'limited', 'weak',
            'Guests see properties and group memberships of some objects that are not their own.'),
        ('2af84b1e-32c8-42b7-82bc-daa82404023b', 'restricted', 'safe', 'Guests see only their own objects.')
    ) AS t (role_id, name, verdict, reason)
),

inviters AS (
    SELECT * FROM (VALUES
        ('none', 'safe', 'Nobody may invite guests.'),
        ('adminsandguestinviters', 'safe', 'Only administrators and guest inviters may invite guests.'),
        ('adminsguestinvitersandallmembers', 'weak', 'All members may invite guests.'),
        ('everyone', 'risky', 'Everyone may invite guests, guests included.')
    ) AS t (who, verdict, reason)
)

SELECT
    'risky_app_consent' AS setting_id,
    CASE users_may_consent_to_risky_apps WHEN true THEN 'yes' WHEN false THEN 'no' END AS value,
    CASE users_may_consent_to_risky_apps WHEN true THEN 'risky' WHEN false THEN 'safe' ELSE 'unknown' END AS verdict,
    CASE users_may_consent_to_risky_apps
        WHEN true THEN 'Users may consent to apps that Microsoft holds to be risky.'
        WHEN false THEN 'Consent to an app that Microsoft holds to be risky needs an administrator.'
        ELSE 'The authorization policy does not say it.'
    END AS reason
FROM policy
UNION ALL
SELECT
    'app_registration',
    CASE users_may_register_apps WHEN true THEN 'yes' WHEN false THEN 'no' END,
    CASE users_may_register_apps WHEN true THEN 'weak' WHEN false THEN 'safe' ELSE 'unknown' END,
    CASE users_may_register_apps
        WHEN true THEN 'Every user may register apps, and answers for their secrets.'
        WHEN false THEN 'Only administrators may register apps.'
        ELSE 'The authorization policy does not say it.'
    END
FROM policy
UNION ALL
SELECT
    'tenant_creation',
    CASE users_may_create_tenants WHEN true THEN 'yes' WHEN false THEN 'no' END,
    CASE users_may_create_tenants WHEN true THEN 'weak' WHEN false THEN 'safe' ELSE 'unknown' END,
    CASE users_may_create_tenants
        WHEN true THEN 'Every user may create a tenant that nobody here oversees.'
        WHEN false THEN 'Users may not create tenants.'
        ELSE 'The authorization policy does not say it.'
    END
FROM policy
UNION ALL
SELECT
    'joining_by_email',
    CASE email_users_may_join WHEN true THEN 'yes' WHEN false THEN 'no' END,
    CASE email_users_may_join WHEN true THEN 'weak' WHEN false THEN 'safe' ELSE 'unknown' END,
    CASE email_users_may_join
        WHEN true THEN 'Anybody with an e-mail address of a domain of the tenant may join by themselves.'
        WHEN false THEN 'Nobody joins without an invitation or an account.'
        ELSE 'The authorization policy does not say it.'
    END
FROM policy
UNION ALL
SELECT
    'guest_access',
    coalesce(r.name, p.guest_role_id),
    coalesce(r.verdict, 'unknown'),
    coalesce(r.reason, 'No known level of guest access: ' || p.guest_role_id || '.',
        'The authorization policy does not say it.')
FROM policy AS p
LEFT JOIN roles AS r ON r.role_id = p.guest_role_id
UNION ALL
SELECT
    'guest_invitations',
    p.invites_from,
    coalesce(i.verdict, 'unknown'),
    coalesce(i.reason, 'No known choice: ' || p.invites_from || '.', 'The authorization policy does not say it.')
FROM policy AS p
LEFT JOIN inviters AS i ON i.who = lower(p.invites_from)
ORDER BY setting_id
