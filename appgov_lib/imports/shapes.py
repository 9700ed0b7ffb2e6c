"""Which log a record belongs to, told by its fields and never by the name of its file.

A record is decoded only as far as the fields that tell shapes apart (`Probe`); the rest of it is checked for
syntax and kept as received.
"""

from __future__ import annotations

from typing import Any

import msgspec

from appgov_lib.imports import times
from appgov_lib.imports.reasons import Reason, Refusal, plain

ABSENT = msgspec.Raw(b"")
"""Stands for a field the record does not have; a field that is null holds `null`."""

DIAGNOSTIC_CATEGORIES = {
    "auditlogs": "directory_audits_diagnostic",
    "signinlogs": "sign_ins_diagnostic",
    "noninteractiveusersigninlogs": "sign_ins_diagnostic",
    "serviceprincipalsigninlogs": "sign_ins_diagnostic",
    "managedidentitysigninlogs": "sign_ins_diagnostic",
    "microsoftgraphactivitylogs": "api_activity_diagnostic",
}
"""Diagnostic-settings category (lower case) to bucket."""

WORKSPACE_TABLES = {
    "auditlogs": "directory_audits_log_analytics",
    "signinlogs": "sign_ins_log_analytics",
    "aadnoninteractiveusersigninlogs": "sign_ins_log_analytics",
    "aadserviceprincipalsigninlogs": "sign_ins_log_analytics",
    "aadmanagedidentitysigninlogs": "sign_ins_log_analytics",
    "microsoftgraphactivitylogs": "api_activity_log_analytics",
    "officeactivity": "office_activity_log_analytics",
    "securityalert": "security_alerts_log_analytics",
}
"""Log Analytics table name (lower case) to bucket."""

_SIGN_IN_RECORD_TYPES = {"9", "15", "azureactivedirectoryaccountlogon", "azureactivedirectorystslogon"}


class Properties(msgspec.Struct):
    """The fields of a diagnostic record's `properties` that decide its time and, for odd categories, its kind."""

    createdDateTime: Any = None
    activityDateTime: Any = None
    timeGenerated: Any = None
    activityDisplayName: msgspec.Raw = ABSENT
    loggedByService: msgspec.Raw = ABSENT


class Probe(msgspec.Struct):
    """The fields that tell shapes apart. `Raw` fields only say whether they are there."""

    # diagnostic settings
    category: Any = None
    properties: Properties | None = None
    resourceId: Any = None
    time: Any = None
    # Graph objects
    id: Any = None
    appId: Any = None
    userId: Any = None
    servicePrincipalId: Any = None
    createdDateTime: Any = None
    activityDateTime: Any = None
    isInteractive: msgspec.Raw = ABSENT
    conditionalAccessStatus: msgspec.Raw = ABSENT
    signInEventTypes: msgspec.Raw = ABSENT
    activityDisplayName: msgspec.Raw = ABSENT
    initiatedBy: msgspec.Raw = ABSENT
    targetResources: msgspec.Raw = ABSENT
    title: msgspec.Raw = ABSENT
    severity: msgspec.Raw = ABSENT
    serviceSource: msgspec.Raw = ABSENT
    detectionSource: msgspec.Raw = ABSENT
    signInAudience: msgspec.Raw = ABSENT
    servicePrincipalType: msgspec.Raw = ABSENT
    consentType: msgspec.Raw = ABSENT
    appRoleId: msgspec.Raw = ABSENT
    lastSignInActivity: msgspec.Raw = ABSENT
    accountEnabled: msgspec.Raw = ABSENT
    # unified audit log
    CreationTime: Any = None
    Operation: Any = None
    RecordType: Any = None
    Workload: Any = None
    # Log Analytics and advanced hunting
    Type: Any = None
    TimeGenerated: Any = None
    TimeGeneratedUtc: Any = msgspec.field(name="TimeGenerated [UTC]", default=None)
    CreatedDateTime: Any = None
    CreatedDateTimeUtc: Any = msgspec.field(name="CreatedDateTime [UTC]", default=None)
    StartTimeUtc: Any = None
    Timestamp: Any = None
    AppId: msgspec.Raw = ABSENT
    ApplicationId: msgspec.Raw = ABSENT
    ResultType: msgspec.Raw = ABSENT
    ResourceIdentity: msgspec.Raw = ABSENT
    UserPrincipalName: msgspec.Raw = ABSENT
    ActivityDisplayName: msgspec.Raw = ABSENT
    TargetResources: msgspec.Raw = ABSENT
    RequestUri: msgspec.Raw = ABSENT
    OfficeWorkload: msgspec.Raw = ABSENT
    OfficeId: msgspec.Raw = ABSENT
    SystemAlertId: msgspec.Raw = ABSENT
    AlertName: msgspec.Raw = ABSENT
    # other products that look alike
    saasId: msgspec.Raw = ABSENT
    eventTypeName: msgspec.Raw = ABSENT


probe = msgspec.json.Decoder(Probe).decode
"""Decode one record into a `Probe`.

Raises `msgspec.ValidationError` where `properties` is no object, another `msgspec.DecodeError` for what is no JSON
object at all, and `RecursionError` for absurd nesting.
"""

Placed = tuple[str, str | None]
"""Bucket of a record and its time as text that sorts (None: the record names none)."""


def place(record: Probe) -> Placed | Refusal:
    """Name the bucket `record` belongs to and its time, or why it cannot be used.

    `Reason.UNKNOWN_SHAPE` means that the fields say nothing; the caller may then look inside a wrapper.
    """
    if record.properties is not None and (record.category is not None or record.resourceId is not None):
        return _diagnostic(record, record.properties)
    if record.CreationTime is not None and record.Operation is not None:
        return _unified_audit(record)
    if isinstance(record.Type, str) and record.Type and _has_workspace_time(record):
        bucket = WORKSPACE_TABLES.get(record.Type.lower())
        if bucket is None:
            return Refusal(Reason.UNUSED_CATEGORY, plain(record.Type))
    else:
        bucket = _workspace_by_columns(record)
    if bucket is not None:
        return _timed(
            bucket,
            record.CreatedDateTimeUtc,
            record.CreatedDateTime,
            record.TimeGeneratedUtc,
            record.TimeGenerated,
            record.StartTimeUtc,
        )
    if record.RequestUri is not ABSENT and record.ApplicationId is not ABSENT:
        return _timed("api_activity_hunting", record.Timestamp)
    return _graph(record) or _foreign(record)


def _timed(bucket: str, *times_written: Any) -> Placed | Refusal:
    """Check the first time that is there; a record without any is kept, its time stays unknown."""
    for value in times_written:
        if value is not None and value != "":
            moment = times.stamp(value)
            return Refusal(Reason.BAD_TIME) if moment is None else (bucket, moment)
    return bucket, None


def _diagnostic(record: Probe, inner: Properties) -> Placed | Refusal:
    """Place an Event Hub or storage account record by its category."""
    if isinstance(record.resourceId, str) and record.resourceId[:15].lower() == "/subscriptions/":
        return Refusal(Reason.OTHER_PRODUCT, "Azure resource log")
    bucket = DIAGNOSTIC_CATEGORIES.get(str(record.category).lower())
    if bucket is None:
        # Some pipelines put the audit record's own category (Policy, UserManagement, ...) into the envelope.
        if inner.activityDisplayName is ABSENT or inner.loggedByService is ABSENT:
            return Refusal(Reason.UNUSED_CATEGORY, plain(record.category))
        bucket = "directory_audits_diagnostic"
    return _timed(bucket, inner.createdDateTime, inner.activityDateTime, inner.timeGenerated, record.time)


def _unified_audit(record: Probe) -> Placed | Refusal:
    """Place a unified audit log record: sign-ins and directory changes are told from activity in the services."""
    if str(record.Workload).lower() != "azureactivedirectory":
        bucket = "office_activity_unified_audit"
    elif str(record.RecordType).lower() in _SIGN_IN_RECORD_TYPES or record.Operation in {
        "UserLoggedIn",
        "UserLoginFailed",
    }:
        bucket = "sign_ins_unified_audit"
    else:
        bucket = "directory_audits_unified_audit"
    return _timed(bucket, record.CreationTime)


def _has_workspace_time(record: Probe) -> bool:
    """Whether the record has one of the time columns of Log Analytics, so that `Type` is the name of a table."""
    return not (
        record.TimeGenerated is None
        and record.TimeGeneratedUtc is None
        and record.CreatedDateTime is None
        and record.CreatedDateTimeUtc is None
    )


def _workspace_by_columns(record: Probe) -> str | None:
    """Bucket of a Log Analytics row whose table name was not exported, by the columns only that table has."""
    if record.OfficeWorkload is not ABSENT or record.OfficeId is not ABSENT:
        return "office_activity_log_analytics"
    if record.AppId is not ABSENT:
        if record.RequestUri is not ABSENT:
            return "api_activity_log_analytics"
        if record.ResultType is not ABSENT and (
            record.ResourceIdentity is not ABSENT or record.UserPrincipalName is not ABSENT
        ):
            return "sign_ins_log_analytics"
    if record.ActivityDisplayName is not ABSENT and record.TargetResources is not ABSENT:
        return "directory_audits_log_analytics"
    if record.SystemAlertId is not ABSENT and record.AlertName is not ABSENT:
        return "security_alerts_log_analytics"
    return None


def _graph(record: Probe) -> Placed | Refusal | None:
    """Place a bare Graph object; None where it is none."""
    if (
        record.isInteractive is not ABSENT
        or record.conditionalAccessStatus is not ABSENT
        or record.signInEventTypes is not ABSENT
    ):
        if not any((record.id, record.appId, record.userId, record.servicePrincipalId)):
            return Refusal(Reason.PLACEHOLDER)
        return _timed("sign_ins_graph", record.createdDateTime)
    if record.activityDisplayName is not ABSENT and (
        record.initiatedBy is not ABSENT or record.targetResources is not ABSENT
    ):
        if not record.id and not record.activityDateTime:
            return Refusal(Reason.PLACEHOLDER)
        return _timed("directory_audits_graph", record.activityDateTime)
    if (
        record.title is not ABSENT
        and record.severity is not ABSENT
        and (record.serviceSource is not ABSENT or record.detectionSource is not ABSENT)
    ):
        return _timed("security_alerts_graph", record.createdDateTime)
    return None


def _foreign(record: Probe) -> Refusal:
    """Name what kind of record this is, where it is one that is known and of no use here."""
    directory = (
        record.signInAudience,
        record.servicePrincipalType,
        record.consentType,
        record.appRoleId,
        record.lastSignInActivity,
        record.accountEnabled,
    )
    if any(field is not ABSENT for field in directory):
        return Refusal(Reason.NOT_A_LOG)
    if record.saasId is not ABSENT and record.eventTypeName is not ABSENT:
        return Refusal(Reason.OTHER_PRODUCT, "Defender for Cloud Apps activity")
    if isinstance(record.resourceId, str) and record.resourceId.lower().startswith("/subscriptions/"):
        return Refusal(Reason.OTHER_PRODUCT, "Azure activity log")
    return Refusal(Reason.UNKNOWN_SHAPE)
