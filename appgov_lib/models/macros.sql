-- Words the models share. Created as temporary macros before the first model, so the finished warehouse needs none of them.

-- A time as text to naive UTC. An offset is honoured (a plain cast to TIMESTAMP would drop it), one-digit hours too:
-- published examples hold '2021-04-01T21:36:48-8:00'. Anything that is not a time becomes NULL.
CREATE OR REPLACE TEMP MACRO to_utc(value) AS make_timestamp(epoch_us(coalesce(
    TRY_CAST(value AS TIMESTAMPTZ),
    TRY_CAST(regexp_replace(value, '([+-])(\d:\d\d)$', '\10\2') AS TIMESTAMPTZ)
)));

-- A GUID in one spelling; empty text and the all-zero GUID mean "none". Trimming looks at every letter, so only what is
-- not a plain GUID is trimmed: millions are read.
CREATE OR REPLACE TEMP MACRO guid(value) AS nullif(nullif(lower(
    CASE WHEN strlen(value) = 36 AND NOT contains(value, ' ') THEN value ELSE trim(value) END
), ''), '00000000-0000-0000-0000-000000000000');

-- Text where empty means "none". Names are kept as they came, blanks and look-alike letters included.
CREATE OR REPLACE TEMP MACRO filled(value) AS nullif(value, '');

-- A JSON array of texts as a list; anything else is an empty list.
CREATE OR REPLACE TEMP MACRO texts(value) AS coalesce(
    list_filter(TRY_CAST(CASE WHEN json_type(value) = 'ARRAY' THEN value END AS VARCHAR[]), lambda t: t IS NOT NULL),
    CAST([] AS VARCHAR[])
);

-- A JSON array as a list of JSON values; anything else is an empty list.
CREATE OR REPLACE TEMP MACRO items(value) AS coalesce(
    CAST(CASE WHEN json_type(value) = 'ARRAY' THEN value END AS JSON[]),
    CAST([] AS JSON[])
);

-- Which snapshot a raw file belongs to: <raw>/<snapshot>/<bucket>/<file>.
CREATE OR REPLACE TEMP MACRO snapshot_of(filename) AS parse_path(filename, 'both_slash')[-3];

-- A sorted list of readings as unbroken runs: [1, 2, 4] is [{first: 1, last: 2}, {first: 4, last: 4}].
-- Most lists have no gap, and a list with gaps costs the square of its length.
CREATE OR REPLACE TEMP MACRO runs(readings) AS CASE
    WHEN readings[-1] - readings[1] + 1 = len(readings) THEN [{'first': readings[1], 'last': readings[-1]}]
    ELSE list_transform(
        list_zip(
            list_filter(readings, lambda r: NOT list_contains(readings, r - 1)),
            list_filter(readings, lambda r: NOT list_contains(readings, r + 1))
        ),
        lambda run: {'first': run[1], 'last': run[2]}
    )
END;

-- A modified property of an audit event: some shapes write text as JSON ('"Mail.Read"'), some plainly.
CREATE OR REPLACE TEMP MACRO unquoted(value) AS CASE
    WHEN json_valid(value) THEN json_extract_string(value, '$') ELSE value
END;

-- An old or new value of a modified property so that logs compare: they indent and quote it differently, and write
-- "none" as nothing, as empty text or as an empty list.
CREATE OR REPLACE TEMP MACRO changed_value(value) AS nullif(nullif(trim(unquoted(value)), ''), '[]');

-- Text of an advanced hunting row, which writes an empty value as an empty object.
CREATE OR REPLACE TEMP MACRO hunted(value) AS nullif(nullif(value, ''), '{}');

-- A JSON array of texts as a list, NULL where there is no array: "none" and "nobody said" are told apart.
CREATE OR REPLACE TEMP MACRO texts_or_null(value) AS CASE WHEN json_type(value) = 'ARRAY' THEN texts(value) END;

-- The path of a Graph address: scheme and host, query and fragment, double and last slashes and the version go.
CREATE OR REPLACE TEMP MACRO api_path(address) AS '/' || trim(regexp_replace(
    regexp_replace(
        regexp_replace(address, '^[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*|[?#].*$', '', 'g'),
        '/{2,}', '/', 'g'
    ),
    '^/*(v1\.0|beta)(/|$)', '/', 'i'
), '/');

-- Whether a call reads or writes. POST is how some questions are asked: searches, exports and look-ups change nothing.
CREATE OR REPLACE TEMP MACRO api_access(method, endpoint) AS CASE
    WHEN method IN ('GET', 'HEAD', 'OPTIONS') THEN 'read'
    WHEN method = 'POST' AND regexp_matches(
        endpoint,
        '(?i)/(query|search|getByIds|getSchedule|findMeetingTimes|runHuntingQuery|validateProperties|'
        || 'checkMemberGroups|checkMemberObjects|getMemberGroups|getMemberObjects)$'
    ) THEN 'read'
    WHEN method IS NOT NULL THEN 'write'
END;

-- Whether a call was served: any 2xx; a download is answered by a redirect (302), an unchanged object by 304.
CREATE OR REPLACE TEMP MACRO api_served(status) AS coalesce(status BETWEEN 200 AND 299 OR status IN (302, 304), false);

-- One spelling of an endpoint, for matching: lower case, /me is a user, what stands between two words of a large
-- collection is an id, the root of a drive and an address in it are items, a folder by its well-known name is a
-- folder, names of types go.
CREATE OR REPLACE TEMP MACRO endpoint_key(endpoint) AS rtrim(
    regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(
        replace(replace(replace(
            regexp_replace(lower(endpoint), '^/me(/|$)', '/users/{id}\1'),
            '({id})', '/{id}'), '()', ''), '/microsoft.graph.', '/'),
        '^/sites/(root$|[^/]+:/[^/]+)', '/sites/{id}'),
        '^/(users|groups|sites|drives|teams|chats|applications|serviceprincipals|devices)/[^/]+/', '/\1/{id}/'),
        '/(root|items/\{id\}|special/[^/]+):/[^/]+', '/items/{id}', 'g'),
        '(/drive|/drives/\{id\})/root(/|$)', '\1/items/{id}\2'),
        '/(mailfolders|childfolders)/(inbox|sentitems|drafts|deleteditems|archive|junkemail|outbox|msgfolderroot)(/|$)',
        '/\1/{id}\3', 'g'),
        '/items/\{id\}:(/|$)', '/items/{id}\1', 'g'),
    '/'
);
-- The first three of a list of names in alphabetical order, and how many more there are.
CREATE OR REPLACE TEMP MACRO some_of(names) AS array_to_string(list_sort(list_distinct(names))[1:3], ', ')
    || CASE WHEN len(list_distinct(names)) > 3 THEN ' and ' || (len(list_distinct(names)) - 3) || ' more' ELSE '' END;

-- Endpoints of one kind: a collection and what is asked of one of its members. '/me/messages' and
-- '/users/{id}/messages/{id}/attachments' are both '/users/{id}/messages'.
CREATE OR REPLACE TEMP MACRO endpoint_family(endpoint) AS regexp_extract(
    regexp_replace(endpoint, '^/me(/|$)', '/users/{id}\1', 'i'), '^/[^/({]+(/\{id\})?(/[^/({]+)?'
);

-- What kind of program calls: the browser behind "Mozilla", else the first word before a slash or a blank.
CREATE OR REPLACE TEMP MACRO agent_family(user_agent) AS CASE
    WHEN trim(user_agent) = '' THEN NULL
    -- a browser names those it descends from too: the last descendant is looked for first
    WHEN starts_with(user_agent, 'Mozilla/') THEN coalesce(
        nullif(regexp_extract(user_agent, '(Edg|OPR|Teams|Firefox)[A-Za-z]*/', 1), ''),
        nullif(regexp_extract(user_agent, '(Chrome|Trident|Safari)/', 1), ''),
        'Mozilla'
    )
    ELSE regexp_extract(trim(user_agent), '^[^/\s]{1,60}')
END;

-- The block an address is in: /24 of IPv4, /48 of IPv6. Hosts of one office or provider share it.
CREATE OR REPLACE TEMP MACRO address_block(address) AS CASE
    WHEN contains(address, '.') AND NOT contains(address, ':')
        THEN regexp_extract(address, '^(\d+\.\d+\.\d+)\.', 1) || '.0/24'
    WHEN contains(address, ':')
        THEN rtrim(regexp_extract(lower(address), '^[0-9a-f]{0,4}:[0-9a-f]{0,4}:[0-9a-f]{0,4}'), ':') || '::/48'
END;

-- How many messages or files an activity record is about. A mailbox that was synchronised says nothing of how many
-- messages it was; every record of another kind is about one thing.
CREATE OR REPLACE TEMP MACRO office_items(operation, listed, affected, counted, properties) AS CASE
    WHEN len(listed) > 0 THEN len(listed)
    WHEN len(affected) > 0 THEN len(affected)
    WHEN operation <> 'MailItemsAccessed' THEN 1
    WHEN NOT coalesce(contains(CAST(properties AS VARCHAR), 'Sync'), false) THEN TRY_CAST(counted AS BIGINT)
END;

-- The value of a named property in a list of them, as audit records write it; which of the two comes first varies.
CREATE OR REPLACE TEMP MACRO audit_property(properties, name) AS json_extract_string(
    list_filter(items(TRY_CAST(properties AS JSON)), lambda p: json_extract_string(p, '$.Name') = name)[1], '$.Value'
);

-- Whether Exchange stopped logging reads of the mailbox one by one, which it does after a thousand in a day.
CREATE OR REPLACE TEMP MACRO office_throttled(operation, properties) AS CASE
    WHEN starts_with(operation, 'MailItemsAccessed') THEN lower(audit_property(properties, 'IsThrottled')) = 'true'
END;

-- Whom a rule or a mailbox sends mail on to: by PowerShell, the web and Graph, or by a mail program.
CREATE OR REPLACE TEMP MACRO office_forwards(operation, parameters, properties) AS CASE
    WHEN operation IN ('New-InboxRule', 'Set-InboxRule', 'Set-Mailbox') THEN regexp_replace(coalesce(
        filled(audit_property(parameters, 'ForwardTo')),
        filled(audit_property(parameters, 'RedirectTo')),
        filled(audit_property(parameters, 'ForwardAsAttachmentTo')),
        filled(audit_property(parameters, 'ForwardingSmtpAddress')),
        filled(audit_property(parameters, 'ForwardingAddress'))
    ), '^smtp:', '', 'i')
    WHEN operation = 'UpdateInboxRules'
        AND regexp_matches(audit_property(properties, 'RuleActions'), '(?i)"ActionType"\s*:\s*"(Forward|Redirect)')
        THEN coalesce(
            filled(regexp_extract(
                audit_property(properties, 'RuleActions'), '[^\s"<>:;,\[\]\\]+@[^\s"<>:;,\[\]\\]+'
            )),
            'not named'
        )
END;

-- The risk of a sign-in: what was seen at once, else what was learned later. 'none' at once does not outweigh the later.
CREATE OR REPLACE TEMP MACRO risk_of(at_once, later) AS coalesce(
    CASE WHEN filled(at_once) NOT IN ('none', 'hidden') THEN at_once END, filled(later), filled(at_once)
);
