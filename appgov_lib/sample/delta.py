"""Delta queries: all objects first, then a link that tells what changed since."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from appgov_lib.sample import odata
from appgov_lib.sample.answers import Answer, Request
from appgov_lib.sample.changes import PATHS, Changes
from appgov_lib.sample.collections import Plain
from appgov_lib.sample.fixed import fixed_list
from appgov_lib.sample.odata import GraphError
from appgov_lib.sample.paging import Pager, context, names_in

_encode = msgspec.json.Encoder().encode
_PAGE = 200
_EVERYTHING = -1


def delta_of(path: str) -> str:
    """The list whose delta a path is, or nothing."""
    base, _, word = path.rpartition("/")
    return base if word in ("delta", "delta()") and base in PATHS else ""


def answer(request: Request, path: str, changes: Changes, pager: Pager, lists: Callable[[str], Plain]) -> Answer:
    """Answer a delta query; `lists` gives the list of a path as at the start, without any change.

    The link at the end counts from the version at which the walk began, so that nothing that happens meanwhile is
    missed. An empty delta token starts over. Raises GraphError 400 for options that delta queries do not have.
    """
    query = odata.parse_query(request.query)
    for name in ("$top", "$orderby", "$expand", "$filter"):
        if name in query:
            raise odata.unsupported(f"{name} is not supported in a delta query.")
    base = delta_of(path)
    token, since = query.get("$skiptoken"), query.get("$deltatoken", "")
    anchor, version, upto = 0, _EVERYTHING, changes.version
    if token is not None:
        anchor, version, upto = _state(token, query, path, 3)
    elif since == "latest":
        version = upto
    elif since:
        (version,) = _state(since, query, path, 1)
    whole = lists(base)
    if version == _EVERYTHING:
        found = changes.over(base, whole).briefly(names_in(query))
    else:
        found = fixed_list(changes.since(base, version, upto, names_in(query), whole))
    start = found.place(anchor)
    stop = min(start + _PAGE, len(found))
    rows = found.rows(start, stop)
    head = [b'{"@odata.context":' + _encode(context(request, base, query))]
    if stop < len(found):
        state = odata.make_token(f"{found.anchor(stop)}.{version}.{upto}", query, path)
        head.append(b'"@odata.nextLink":' + _encode(odata.link(request.root, path, query, skiptoken=state)))
    else:
        state = odata.make_token(str(upto), query, path)
        head.append(b'"@odata.deltaLink":' + _encode(odata.link(request.root, path, query, deltatoken=state)))
    names = names_in(query)
    chosen = {"$select": ",".join({"id": "", **dict.fromkeys(names)})} if names else {}
    shaped = pager.shaped(rows, list(range(start, stop)), chosen, found)
    return Answer(200, b",".join([*head, b'"value":[' + b",".join(shaped) + b"]}"]))


def _state(token: str, query: dict[str, str], path: str, many: int) -> list[int]:
    """The numbers in a token. Raises GraphError 400."""
    parts = odata.read_token(token, query, path).split(".")
    if len(parts) != many:
        raise GraphError(400, "Request_BadRequest", "The token belongs to another kind of link.")
    return [int(part) for part in parts]
