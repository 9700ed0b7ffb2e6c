"""The rules the code keeps to, read from the files themselves. CONTRIBUTING.md says them in words."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from checkout import files, text, tree

MAX_MODULE_LINES = 400
MAX_SQL_LINES = 120
POLICY_HEADINGS = [
    "What it finds",
    "Why it matters",
    "Evidence",
    "Known gaps and false positives",
    "Remediation",
    "References",
]

# Rooms of the package in the order data flows. A module may import from its own room and from those before it.
ROOMS = [
    [
        "",
        "errors",
        "settings",
        "formats",
        "lean",
        "least_privilege",
        "lock",
        "lookalikes",
        "period",
        "profiles",
        "progress",
        "terminal",
        "theme",
        "templating",
    ],
    ["extract"],
    ["as_of"],
    ["imports"],
    ["store"],
    ["anomalies"],
    ["detect"],
    ["actions"],
    ["store/build", "store/scores"],
    ["changes"],
    ["backtest"],
    ["privacy"],
    ["tables"],
    ["charts"],
    ["notebook"],
    ["runner"],
    ["cells", "excel"],
    ["exports"],
    ["workbook"],
    ["action_files"],
    ["report"],
    ["delivery"],
    ["weekly"],
    ["sample"],
    ["demo"],
    ["options", "output", "session"],
    ["actions_cli", "permissions_file", "policies_cli", "privacy_cli"],
    ["cli"],
    ["__main__"],
]
COMPOSERS = {"store/build", "store/scores"}  # a module that puts rooms together is a room of its own


def package() -> list[str]:
    """The Python modules of appgov_lib."""
    return files(r"appgov_lib/.*\.py")


def room(name: str) -> str:
    """The room of a module given by path: `extract` for appgov_lib/extract/run.py, '' for the package itself."""
    inside = str(Path(name).relative_to("appgov_lib")).removesuffix(".py")
    return inside if inside in COMPOSERS else inside.split("/")[0].replace("__init__", "")


def imports(name: str) -> Iterator[tuple[str, int]]:
    """Every module imported by a file, absolute, also inside functions, with its line; not those for types only."""
    typing_only = set()
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            typing_only |= {id(inner) for inner in ast.walk(node)}
    for node in ast.walk(tree(name)):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}:{node.lineno}: imports are absolute"
            module = node.module or ""
            yield module, node.lineno
            yield from ((f"{module}.{alias.name}", node.lineno) for alias in node.names)


def calls(name: str) -> Iterator[tuple[str, ast.Call]]:
    """Every call in a file, with the called name as written."""
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def literals(name: str) -> Iterator[tuple[str, int]]:
    """Every text constant in a file, with its line."""
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value, node.lineno


def bare_sql(name: str) -> str:
    """A SQL file without comments and without text constants."""
    return re.sub(r"'(?:[^']|'')*'", "''", re.sub(r"--.*|/\*.*?\*/", "", text(name)))


# Shape of the code


def test_there_is_something_to_check():
    assert len(package()) > 20
    assert len(files(r"appgov_lib/models/.*\.sql")) > 20


def test_modules_are_short():
    sizes = {name: text(name).count("\n") for name in [*package(), *files(r"(tests|tools)/.*\.py")]}
    assert {name: size for name, size in sizes.items() if size > MAX_MODULE_LINES} == {}


def test_no_module_is_a_drawer():
    assert files(r".*/(utils?|helpers?|misc|common)(\.py|/.*)") == []


def test_imports_go_one_way():
    rank = {name: number for number, names in enumerate(ROOMS) for name in names}
    assert sorted({room(name) for name in package()} - set(rank)) == [], "give the new room a place in ROOMS"
    upwards = [
        f"{name}:{line} imports {module}"
        for name in package()
        for module, line in imports(name)
        if module.startswith("appgov_lib.")
        and rank.get(module.split(".")[1], 0) > rank[room(name)]
        and module.split(".")[1] != room(name).split("/")[0]
        and name != "appgov_lib/__init__.py"
    ]
    assert upwards == []


def test_only_one_module_speaks_http_to_graph():
    speakers = {
        name
        for name in package()
        for module, _ in imports(name)
        if room(name) != "sample"  # the server, and the way to steer it
        if module.split(".")[0] in {"kiota_http", "kiota_abstractions", "httpx", "msgraph", "msgraph_core", "requests"}
        or module.startswith(("kiota_", "urllib.request", "http.client"))
    }
    assert speakers == {"appgov_lib/extract/graph.py"}


def test_requests_that_change_something_are_only_in_actions():
    found = [
        f"{name}:{line} {value}"
        for name in package()
        if room(name) not in {"actions", "sample"}
        for value, line in literals(name)
        if value in {"PATCH", "PUT", "DELETE"} or (value == "POST" and room(name) != "extract")
    ]
    found += [
        f"{name}:{call.lineno} {called}"
        for name in package()
        if room(name) not in {"actions", "sample"}
        for called, call in calls(name)
        if called.rsplit(".", 1)[-1] in {"post", "patch", "put", "delete"}
    ]
    found += [
        f"{name}:{node.lineno} {node.attr}"
        for name in package()
        if room(name) not in {"actions", "sample"}
        for node in ast.walk(tree(name))
        if isinstance(node, ast.Attribute) and node.attr in {"PATCH", "PUT", "DELETE"}
    ]
    assert found == []


def test_the_only_thing_extraction_posts_is_the_hunting_query():
    sources = tomllib.loads(text("appgov_lib/extract/sources.toml"))["source"]
    assert {s["path"] for s in sources if s["method"] == "hunting"} == {"/security/runHuntingQuery"}


def test_sending_is_for_deliveries_alone():
    """Reading is all the rest does: what sends mail or posts elsewhere is called from one module, and named in one."""
    senders = {
        name
        for name in package()
        for called, _ in calls(name)
        if called.rsplit(".", 1)[-1] in {"send_mail", "post_outside", "SMTP", "SMTP_SSL"}
    }
    assert senders == {"appgov_lib/delivery/channels.py"}
    named = {name for name in package() if "/sendMail" in text(name) and room(name) != "sample"}
    assert named == {"appgov_lib/extract/graph.py"}


def test_only_the_store_writes_duckdb_files():
    def writes(call: ast.Call) -> bool:
        """Whether this connect may write a file: neither read-only nor in memory."""
        target = [*call.args[:1], *(k.value for k in call.keywords if k.arg == "database")]
        read_only = any(k.arg == "read_only" and ast.unparse(k.value) == "True" for k in call.keywords)
        return not read_only and bool(target) and ast.unparse(target[0]) != "':memory:'"

    found = [
        f"{name}:{call.lineno}"
        for name in package()
        if not name.startswith("appgov_lib/store/")
        for called, call in calls(name)
        if called == "duckdb.connect" and writes(call)
    ]
    assert found == []


def test_pictures_ask_no_database():
    drawers = [name for name in package() if room(name) in {"charts", "theme", "templating"}]
    assert drawers
    assert [n for n in drawers for m, _ in imports(n) if m.split(".")[0] == "duckdb"] == []


# Time and chance come in as arguments

CLOCKS = re.compile(
    r"(datetime|dt)\.(now|utcnow|today)|(date|datetime\.date)\.today|time\.(time|time_ns|localtime|gmtime|ctime)"
    r"|(pd|pandas)\.Timestamp\.(now|today|utcnow)|datetime\.datetime\.(now|utcnow|today)"
)
SQL_CLOCKS = re.compile(
    r"\b(?:now|today|get_current_timestamp|get_current_time|transaction_timestamp)\s*\("
    r"|\b(?:current_date|current_time|current_timestamp|current_localtimestamp|localtimestamp)\b",
    re.IGNORECASE,
)


def test_only_the_command_line_reads_the_clock():
    found = [
        f"{name}:{call.lineno} {called}"
        for name in package()
        if name != "appgov_lib/cli.py"
        for called, call in calls(name)
        if CLOCKS.fullmatch(called)
    ]
    assert found == []


def test_no_sql_reads_the_clock():
    assert [name for name in files(r"appgov_lib/.*\.sql") if SQL_CLOCKS.search(bare_sql(name))] == []


# SQL


def select_files() -> list[str]:
    """Files that hold one SELECT each: models and policies."""
    return files(r"appgov_lib/(models/(staging|marts)|policies)/[^/]*\.sql")


def test_sql_files_say_grain_and_source_first():
    bad = [
        name
        for name in select_files()
        if [line[: line.find(":") + 2] for line in text(name).splitlines()[:2]] != ["-- grain: ", "-- source: "]
    ]
    assert bad == []


def test_sql_files_hold_one_select():
    bad = []
    for name in select_files():
        statements = [part for part in bare_sql(name).split(";") if part.strip()]
        if len(statements) != 1 or statements[0].split()[0].upper() not in {"SELECT", "WITH", "FROM"}:
            bad.append(name)
    assert bad == []


def test_sql_files_are_short():
    assert [name for name in select_files() if text(name).count("\n") > MAX_SQL_LINES] == []


def test_every_model_is_described_and_every_description_has_a_model():
    models = tomllib.loads(text("appgov_lib/models/models.toml"))["model"]
    described = [model["name"] for model in models]
    assert len(set(described)) == len(described)
    written = [Path(name).stem for name in files(r"appgov_lib/models/(staging|marts)/[^/]*\.sql")]
    assert sorted(described) == sorted(written)
    wanting = [m["name"] for m in models if not (m["description"] and m["grain"] and (m["key"] or m.get("temp")))]
    assert wanting == []


def test_marts_never_read_raw():
    marts = files(r"appgov_lib/(models/marts|policies)/[^/]*\.sql")
    assert [name for name in marts if re.search(r"\bread_(json|csv|parquet|text)", bare_sql(name))] == []


# Policies


def test_every_policy_is_a_pair_and_an_entry():
    entries = sorted(p["id"] for p in tomllib.loads(text("appgov_lib/policies/policies.toml"))["policy"])
    assert entries
    assert sorted(Path(n).stem for n in files(r"appgov_lib/policies/[^/]*\.sql")) == entries
    assert sorted(Path(n).stem for n in files(r"appgov_lib/policies/[^/]*\.md")) == entries
    assert [name for name in entries if not re.fullmatch(r"[a-z]+(-[a-z0-9]+)*", name)] == []


def test_policy_pages_have_the_fixed_headings():
    bad = {}
    for name in files(r"appgov_lib/policies/[^/]*\.md"):
        headings = re.findall(r"^## (.*?) *$", text(name), re.MULTILINE)
        if headings != POLICY_HEADINGS or re.search(r"^## .*\n+(?=## |\Z)", text(name), re.MULTILINE):
            bad[name] = headings
    assert bad == {}
