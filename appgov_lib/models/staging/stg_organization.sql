-- grain: the tenant
-- source: Graph /organization
SELECT
    guid(id) AS tenant_id,
    filled("displayName") AS display_name,
    list_filter(
        items("verifiedDomains"),
        lambda d: json_extract_string(d, '$.isDefault') = 'true'
    )[1] ->> '$.name' AS default_domain,
    list_transform(items("verifiedDomains"), lambda d: lower(json_extract_string(d, '$.name'))) AS verified_domains,
    -- Plan ids, not names: the licences a source may need are told apart by id.
    list_sort(list_transform(
        list_filter(items("assignedPlans"), lambda p: json_extract_string(p, '$.capabilityStatus') = 'Enabled'),
        lambda p: json_extract_string(p, '$.servicePlanId')
    )) AS plans,
    to_utc("createdDateTime") AS created_at
FROM read_json($organization,
    format = 'newline_delimited', records = true, ignore_errors = true, columns = {
    id: 'VARCHAR',
    "displayName": 'VARCHAR',
    "verifiedDomains": 'JSON',
    "assignedPlans": 'JSON',
    "createdDateTime": 'VARCHAR'
})
WHERE guid(id) IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY guid(id) ORDER BY "displayName") = 1
ORDER BY tenant_id
