"""The documentation against the code: commands, exit codes, policies, links, make targets, glossary."""

from __future__ import annotations

import importlib.util
import re
import sys
import tomllib
from functools import cache
from types import ModuleType

import click
import pytest
from checkout import ROOT, files, text

from appgov_lib.cli import cli
from appgov_lib.errors import ExitCode
from appgov_lib.extract.sources import load_sources

COMMON_OPTIONS = {"--tenant", "--json", "--quiet", "--help"}


@cache
def make_docs() -> ModuleType:
    """tools/make_docs.py as a module."""
    spec = importlib.util.spec_from_file_location("make_docs", ROOT / "tools" / "make_docs.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_docs"] = module
    spec.loader.exec_module(module)
    return module


def verbs(group: click.Group = cli, before: str = "") -> dict[str, click.Command]:
    """Every command by its words: `extract`, `policies list`."""
    found = {}
    for name, command in group.commands.items():
        found[before + name] = command
        if isinstance(command, click.Group):
            found |= verbs(command, f"{before}{name} ")
    return found


def options(command: click.Command) -> set[str]:
    """The long options of a command."""
    names = {option for parameter in command.params for option in parameter.opts + parameter.secondary_opts}
    return {name for name in names if name.startswith("--")} | {"--help"}


def prose() -> list[str]:
    """Markdown pages people write or read here, besides policy pages."""
    return files(r"(docs/.*|data/|reports/)?[^/]*\.md")


def code_of(name: str) -> list[str]:
    """The code in a page: spans, and the lines of fenced and indented blocks."""
    content = text(name)
    fenced = [line for block in re.findall(r"^```.*?\n(.*?)^```", content, re.M | re.S) for line in block.splitlines()]
    rest = re.sub(r"^```.*?^```", "", content, flags=re.M | re.S)
    return fenced + re.findall(r"`([^`\n]+)`", rest) + re.findall(r"^ {4}(.+)$", rest, re.M)


def mentions(name: str) -> list[tuple[str, list[str]]]:
    """Each `appgov ...` in a page's code: the words of the command, and what follows them."""
    found = []
    for code in code_of(name):
        for match in re.finditer(r"(?:^|[/ ])appgov ([a-z][^`;|#&]*)", code):
            words = match[1].split()
            two = " ".join(words[:2])
            found.append((two, words[2:]) if two in verbs() else (words[0], words[1:]))
    return found


# Commands


@pytest.mark.parametrize("name", sorted(verbs()))
def test_every_command_has_help_and_is_in_the_reference(name):
    command = verbs()[name]
    assert command.help
    assert command.help.strip().endswith(".")
    assert f"\n## appgov {name}\n" in text("docs/reference/commands.md")


@pytest.mark.parametrize("name", sorted(n for n, c in verbs().items() if not isinstance(c, click.Group)))
def test_every_command_has_the_options_all_have_and_explains_the_rest(name):
    command = verbs()[name]
    assert options(command) >= COMMON_OPTIONS
    assert [p.name for p in command.params if isinstance(p, click.Option) and not p.help] == []


def test_readme_names_every_command():
    named = {words.split()[0] for words, _ in mentions("README.md")}
    assert set(cli.commands) - named == set()


def test_pages_name_only_commands_and_options_that_exist():
    wrong = []
    for name in prose():
        for words, rest in mentions(name):
            command = verbs().get(words)
            if command is None:
                wrong.append(f"{name}: appgov {words}")
            elif isinstance(command, click.Group):
                wrong += [f"{name}: appgov {words} {word}" for word in rest[:1] if re.fullmatch(r"[a-z]+", word)]
            else:
                used = {re.sub(r"[=\]].*", "", word) for word in rest if word.startswith("--")}
                wrong += [f"{name}: appgov {words} {option}" for option in sorted(used - options(command))]
    assert wrong == []


def test_pages_name_only_make_targets_that_exist():
    targets = set(re.findall(r"^([a-z]+):", text("Makefile"), re.MULTILINE))
    wrong = [
        f"{name}: make {target}"
        for name in prose()
        for code in code_of(name)
        if (match := re.match(r"(?:\$ )?make ([a-z]+)\b", code)) and (target := match[1]) not in targets
    ]
    assert wrong == []


# Exit codes


@pytest.mark.parametrize("name", ["README.md", "docs/how-to/schedule.md"])
def test_exit_code_table_is_the_enumeration(name):
    rows = dict(re.findall(r"^\| *`?(\d+)`? *\| *([^|]+?) *\|", text(name), re.MULTILINE))
    assert sorted(int(number) for number in rows) == sorted(ExitCode)
    words = {1: "findings", 2: "usage", 3: "sign-in", 4: "part", 5: "internal", 6: "another run"}
    assert {number: rows[str(number)] for number, word in words.items() if word not in rows[str(number)].lower()} == {}


# Policies


def test_every_policy_is_in_the_reference_and_the_readme_leads_there():
    listed = re.findall(r"^## (.+)$", text("docs/reference/policies.md"), re.MULTILINE)
    entries = [p["id"] for p in tomllib.loads(text("appgov_lib/policies/policies.toml"))["policy"]]
    assert listed == entries
    assert "docs/reference/policies.md" in text("README.md")


def test_policies_require_sources_of_the_catalogue():
    sources = {s["name"] for s in tomllib.loads(text("appgov_lib/extract/sources.toml"))["source"]}
    wrong = {
        policy["id"]: unknown
        for policy in tomllib.loads(text("appgov_lib/policies/policies.toml"))["policy"]
        for key in ("requires", "requires_complete", "requires_any")
        if (unknown := set(policy.get(key, [])) - sources)
    }
    assert wrong == {}


# Reference pages


def test_reference_pages_are_fresh():
    assert make_docs().stale() == [], "run `make docs`"


def test_a_stale_missing_or_extra_page_is_noticed(tmp_path):
    docs = make_docs()
    for name, content in docs.pages().items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    assert docs.stale(tmp_path) == []
    (tmp_path / "models.md").write_text("edited by hand", encoding="utf-8")
    (tmp_path / "sources.md").unlink()
    (tmp_path / "stray.md").write_text("", encoding="utf-8")
    assert docs.stale(tmp_path) == ["models.md", "sources.md", "stray.md"]


def test_sources_read_only_when_named_are_marked():
    lines = [line for line in make_docs().sources().splitlines() if line.startswith("| `")]
    marked = {line.split("`")[1] for line in lines if "| only when named |" in line}
    assert len(lines) == len(load_sources())
    assert marked == {name for name, source in load_sources().items() if not source.default} != set()


def test_cells_cannot_break_a_table():
    assert make_docs().table(["a"], [["x|y\nz"]]) == "| a |\n| --- |\n| x\\|y z |"


# Words and links


def test_glossary_names_exist_in_the_code():
    names = re.findall(r"`([a-z_]+)` \|$", text("docs/glossary.md"), re.MULTILINE)
    assert len(names) > 25
    code = "\n".join(text(name) for name in files(r"appgov_lib/.*\.(py|sql|toml)"))
    assert [name for name in names if not re.search(rf"\b{name}\b", code)] == []


def test_glossary_is_in_order():
    terms = re.findall(r"^\| ([^|]+?) \| [^|]+ \| `", text("docs/glossary.md"), re.MULTILINE)
    assert terms == sorted(terms, key=str.lower)


def anchors(name: str) -> set[str]:
    """The places in a page a link can lead to."""
    headings = re.findall(r"^#+ (.+)$", text(name), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_lead_somewhere():
    broken = []
    for name in files(r".*\.md"):
        bare = re.sub(r"^```.*?^```", "", text(name), flags=re.MULTILINE | re.DOTALL)
        for link in re.findall(r"\]\(([^)\s]+)\)", bare):
            if re.match(r"[a-z]+:", link):
                continue
            path, _, anchor = link.partition("#")
            target = ((ROOT / name).parent / path).resolve() if path else ROOT / name
            if not target.exists() or (anchor and anchor not in anchors(str(target.relative_to(ROOT)))):
                broken.append(f"{name}: {link}")
    assert broken == []


def test_every_decision_is_listed():
    listed = re.findall(r"\]\((\d{4}-[a-z0-9-]+\.md)\)", text("docs/decisions/README.md"))
    assert listed == sorted(name.rsplit("/", 1)[1] for name in files(r"docs/decisions/\d.*\.md"))
