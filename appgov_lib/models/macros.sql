-- Words the models share. Created as temporary macros before the first model, so the finished warehouse needs none of them.

-- A time as text to naive UTC. An offset is honoured (a plain cast to TIMESTAMP would drop it), one-digit hours too:
-- published examples hold '2021-04-01T21:36:48-8:00'. Anything that is not a time becomes NULL.
CREATE OR REPLACE TEMP MACRO to_utc(value) AS make_timestamp(epoch_us(coalesce(
    TRY_CAST(value AS TIMESTAMPTZ),
    TRY_CAST(regexp_replace(value, '([+-])(\d:\d\d)$', '\10\2') AS TIMESTAMPTZ)
)));

-- A GUID in one spelling; empty text and the all-zero GUID mean "none".
CREATE OR REPLACE TEMP MACRO guid(value) AS nullif(nullif(lower(trim(value)), ''), '00000000-0000-0000-0000-000000000000');

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
