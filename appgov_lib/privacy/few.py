"""The small counts rule: a group of fewer users than a tenant's least number is shown as that, never as its number.

In the copy that a report reads, a number of users that is too small is the least number with a minus before it: numbers
stay numbers, so that tables can be sorted, and every writer of them says `fewer than 5` (`formats.users`).
"""

from __future__ import annotations

import json
import re
from typing import Any

from appgov_lib import formats

_SAID = re.compile(
    r"(?<![\w.,:-])((?:[Aa]t least )?)(\d[\d,]*)"
    r"( (?:other |more |of these )?(?:users?|people|persons?|mailbox(?:es)?)\b)"
)
_FROM_TO = re.compile(r"(?<=[Uu]sers who consented went from )(\d[\d,]*) to (\d[\d,]*)")
_MANY = {" user": " users", " person": " people", " mailbox": " mailboxes"}


def hidden_sql(column: str, least: int) -> str:
    """A number of users in SQL: the least number with a minus before it, where it is smaller and not 0."""
    return f"CASE WHEN {column} BETWEEN 1 AND {least - 1} THEN -{least} ELSE {column} END"


def is_few(value: object, least: int) -> bool:
    """Whether a value is a number of users that is not shown."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < least


def hidden_text(text: str, least: int, names: frozenset[str], is_json: bool) -> str:
    """A text without small numbers of users."""
    if is_json:
        values = json.loads(text)
        hidden = _values(values, least, names)
        return text if hidden == values else json.dumps(hidden, ensure_ascii=False)
    if not any(character.isdigit() for character in text):
        return text

    def said(match: re.Match[str]) -> str:
        """One number with its noun."""
        if not is_few(_number(match[2]), least):
            return match[0]
        noun = next((match[3].replace(one, many) for one, many in _MANY.items() if match[3].endswith(one)), match[3])
        begin = formats.fewer(least)
        return (begin.capitalize() if match[1].startswith("A") else begin) + noun

    def both(match: re.Match[str]) -> str:
        """From one number to another."""
        return " to ".join(
            formats.fewer(least) if is_few(_number(number), least) else number for number in (match[1], match[2])
        )

    return _FROM_TO.sub(both, _SAID.sub(said, text))


def _values(value: Any, least: int, names: frozenset[str]) -> Any:
    """A JSON value without small numbers of users."""
    if isinstance(value, dict):
        return {
            key: formats.fewer(least) if key in names and is_few(item, least) else _values(item, least, names)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_values(item, least, names) for item in value]
    return hidden_text(value, least, names, False) if isinstance(value, str) else value


def _number(text: str) -> int:
    """A number with its thousands separated."""
    return int(text.replace(",", ""))


def merge_small_groups(con: Any, columns: dict[str, list[tuple[str, str]]], least: int) -> None:
    """Make one row of the rows about single users, for every app and grant that fewer users than `least` share."""
    said = f"'{formats.fewer(least)} users'"
    if "app_top_users" in columns:
        names = dict(columns["app_top_users"])
        sums = ", ".join(
            f"CAST(sum({name}) AS {kind}) AS {name}"
            if name not in ("app_id", "user_id", "user_principal_name")
            else f"{said} AS {name}"
            if name != "app_id"
            else name
            for name, kind in names.items()
        )
        _merge(
            con,
            "app_top_users",
            "app_id",
            "count(DISTINCT user_id)",
            "true",
            f"SELECT {sums}",
            "GROUP BY app_id",
            least,
        )
    if "anomaly_contributors" in columns:
        kept = "app_id, metric, day"
        merged = ", ".join(
            {
                "place": "1 AS place",
                "value": f"{said} AS value",
                "dimension": "'user' AS dimension",
                "reason": "'' AS reason",
            }.get(name, name if name in kept.split(", ") else f"sum({name}) AS {name}")
            for name, _ in columns["anomaly_contributors"]
        )
        _merge(
            con,
            "anomaly_contributors",
            kept,
            "count(DISTINCT value)",
            "dimension = 'user' AND value IS NOT NULL",
            f"SELECT {merged}",
            f"GROUP BY {kept}",
            least,
        )
    if "findings" in columns:
        _hide_measures(con, least)
    for table in ("stg_delegated_grants", "risky_grants"):
        if table in columns:
            con.execute(
                f"UPDATE {table} SET principal_id = {said} WHERE principal_id IS NOT NULL AND service_principal_id IN "
                f"(SELECT service_principal_id FROM {table} WHERE principal_id IS NOT NULL "
                f"GROUP BY service_principal_id HAVING count(DISTINCT principal_id) < {least})"
            )


def _hide_measures(con: Any, least: int) -> None:
    """Hide what a policy measured, where that is a number of users its evidence hides."""
    rows = con.execute(
        f"SELECT finding_id, CAST(evidence AS VARCHAR) FROM findings WHERE measure BETWEEN 1 AND {least - 1}"
    )
    said = formats.fewer(least)
    for finding, evidence in rows.fetchall():
        if f'"{said}"' in (evidence or ""):
            con.execute(f"UPDATE findings SET measure = -{least} WHERE finding_id = ?", [finding])


def _merge(con: Any, table: str, group: str, users: str, rows: str, select: str, grouped: str, least: int) -> None:
    """Put one row in place of the rows of each small group."""
    few = f"SELECT {group} FROM {table} WHERE {rows} GROUP BY {group} HAVING {users} < {least}"
    con.execute(f"CREATE TEMP TABLE small AS {few}")
    con.execute(
        f"CREATE TEMP TABLE merged AS {select} FROM {table} SEMI JOIN small USING ({group}) WHERE {rows} {grouped}"
    )
    con.execute(f"DELETE FROM {table} WHERE {rows} AND ({group}) IN (SELECT ({group}) FROM small)")
    con.execute(f"INSERT INTO {table} BY NAME FROM merged ORDER BY ALL")
    con.execute("DROP TABLE small; DROP TABLE merged")
