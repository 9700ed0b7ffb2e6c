"""The Dockerfile without an engine: its package, user, environment and command in a root that cannot be written.

Bubblewrap makes what `docker run --read-only --tmpfs /tmp -v ...:/data` makes: a root of its own that is read-only, a
user who is nobody, no capabilities, and two places to write. Where there is none, `unshare` gives most of it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkout import ROOT
from weekly_home import copy_of

from appgov_lib.sample import SampleTenant, running

PYTHON = Path(sys.base_prefix).resolve()
VENV = Path(sys.prefix)
INSIDE = Path("/opt/appgov/site")
HOST = ("/usr", "/lib", "/lib64", "/bin", "/etc/alternatives", "/etc/fonts", "/etc/ld.so.cache", "/etc/nsswitch.conf")
PROBE = """
id -u; grep CapEff /proc/self/status
for place in / /opt /usr /etc "$1"; do touch "$place/x" 2>/dev/null && echo "wrote $place"; done
touch "$APPGOV_HOME/x" "$TMPDIR/x" && rm "$APPGOV_HOME/x" "$TMPDIR/x" && echo both
"""
NAMESPACE = """
set -e
mount --bind "$1" "$2"
mount -t tmpfs tmpfs /tmp
mount -o remount,bind,ro /
cd "$2"
shift 2
exec env -i "$@"
"""


@pytest.fixture(scope="module")
def tenant() -> Iterator[SampleTenant]:
    """A small tenant."""
    with running(service_principals=140, activity=0.2) as started:
        yield started


def dockerfile() -> tuple[dict[str, str], str, list[str]]:
    """Environment, user and command of the last stage."""
    content = re.sub(r"\\\n", " ", (ROOT / "deploy" / "Dockerfile").read_text())
    final = content[content.rindex("\nFROM ") :].splitlines()
    env = dict(re.findall(r"(\w+)=(\S+)", next(line for line in final if line.startswith("ENV"))))
    user = next(line.split()[1] for line in final if line.startswith("USER"))
    entry, command = (json.loads(next(x for x in final if x.startswith(w)).split(maxsplit=1)[1])
                      for w in ("ENTRYPOINT", "CMD"))  # fmt: skip
    assert entry == ["appgov"]
    return env, user, command


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as the Dockerfile installs it: from a wheel, with byte code made beforehand."""
    folder = tmp_path_factory.mktemp("image")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(folder / "site")
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(folder / "site")], check=True)
    return folder / "site"


def bubble(site: Path, data: Path, more: list[str]) -> list[str]:
    """The beginning of a command that runs in the sandbox, as the Dockerfile's user and with its environment."""
    env, user, _ = dockerfile()
    uid, gid = user.split(":")
    binds = [place for place in HOST if Path(place).exists()]
    env |= {"PATH": f"{VENV}/bin:/usr/bin:/bin", "PYTHONPATH": str(INSIDE)}
    env |= dict(pair.split("=", 1) for pair in more)
    command = ["bwrap", "--die-with-parent", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--clearenv"]
    for folder in dict.fromkeys(p for place in (PYTHON, VENV, INSIDE) for p in reversed(place.parents)):
        command += ["--perms", "0755", "--dir", str(folder)]
    for place in [*binds, str(PYTHON), str(VENV)]:
        command += ["--ro-bind", place, place]
    command += ["--ro-bind", str(site), str(INSIDE), "--ro-bind", str(ROOT / "tests/clocked.py"), "/opt/clocked.py"]
    command += ["--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--tmpfs", "/tmp"]
    command += ["--bind", str(data), "/data", "--remount-ro", "/"]
    for name, value in env.items():
        command += ["--setenv", name, value]
    command += ["--chdir", "/data"]
    if os.geteuid() == 0:  # a user of its own, for real
        for capability in ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"):
            command += ["--cap-add", capability]
        command += ["--", "setpriv", "--reuid", uid, "--regid", gid, "--clear-groups"]
        command += ["--no-new-privs", "--bounding-set=-all"]
        return command
    return [*command, "--unshare-user", "--uid", uid, "--gid", gid, "--"]


def given_to_user(folder: Path) -> Path:
    """A volume that belongs to the Dockerfile's user."""
    uid, gid = map(int, dockerfile()[1].split(":"))
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, uid, gid, follow_symlinks=False)
    return folder


@pytest.mark.timeout(400)  # on a busy machine; alone half a minute at most
def test_a_whole_run_as_nobody_on_a_read_only_root(
    prepared_week: Path, tmp_path: Path, tenant: SampleTenant, site: Path
) -> None:
    """Every stage anew, read from the tenant to the delivery, and the notebooks with real kernels."""
    if not shutil.which("bwrap"):
        pytest.skip("no bubblewrap here")
    home = copy_of(
        prepared_week, tmp_path / "home", tenant, '[[tenant.contoso.deliver]]\nkind = "folder"\npath = "out"'
    )
    data = given_to_user(home.path)
    inside = bubble(site, data, [f"LOOPBACK={tenant.token}"])
    probe = subprocess.run([*inside, "sh", "-c", PROBE, "sh", str(VENV)], capture_output=True, text=True)
    if probe.returncode:
        pytest.skip(f"no right to make a sandbox here: {probe.stderr.strip()[-200:]}")
    assert probe.stdout.splitlines() == ["10001", "CapEff:\t0000000000000000", "both"]
    weekly = dockerfile()[2]
    python = [f"{VENV}/bin/python", "/opt/clocked.py", "2026-11-16T09:00:00"]
    done = subprocess.run([*inside, *python, *weekly, "--again"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    (line,) = json.loads(done.stdout)["tenants"]
    assert [(s["stage"], s["status"]) for s in line["stages"]] == [
        ("extract", "done"), ("build", "done"), ("report", "done"),
    ]  # fmt: skip
    assert (line["failed"], line["unread"], line["delivered"]) == ([], {}, {"folder-1": "delivered"})
    assert line["report"] == "/data/reports/contoso/2026-11-15/index.html"
    assert (home.path / "reports" / "index.html").is_file()
    where = subprocess.run([*inside, f"{VENV}/bin/python", "-c", "import appgov_lib; print(appgov_lib.__file__)"],
                           capture_output=True, text=True)  # fmt: skip
    assert where.stdout.strip() == str(INSIDE / "appgov_lib" / "__init__.py"), "the installed package, not the checkout"
    owners = {path.lstat().st_uid for path in data.rglob("*")}
    assert owners == ({10001} if os.geteuid() == 0 else {os.geteuid()})
    open_to_others = [path for path in data.rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o077]
    assert [
        path for path in open_to_others if path.parts[-1] not in ("appgov.toml", "suite", "suite.toml", "01_one.ipynb")
    ] == []


@pytest.mark.timeout(400)  # on a busy machine; alone half a minute at most
def test_a_run_writes_nothing_outside_data_and_tmp(prepared_week: Path, tmp_path: Path) -> None:
    """The same with `unshare` alone, for machines without bubblewrap."""
    if shutil.which("bwrap"):
        pytest.skip("bubblewrap is here, and proves more")
    place = next((folder for folder in ("/mnt", "/media", "/srv") if Path(folder).is_dir()), "")
    inside = ["unshare", "-m", "--propagation", "private", "sh", "-c"]
    if not place or subprocess.run([*inside, "mount -o remount,bind,ro /"], capture_output=True).returncode:
        pytest.skip("no right to mount a read-only root")
    home = tmp_path / "home"
    shutil.copytree(prepared_week, home)
    env, _, weekly = dockerfile()
    env |= {"APPGOV_HOME": place, "PATH": "/usr/bin:/bin", "LOOPBACK": "unused"}
    python = [sys.executable, str(ROOT / "tests" / "clocked.py"), "2026-11-16T09:00:00"]
    done = subprocess.run(
        [*inside, NAMESPACE, "sh", str(home), place, *(f"{k}={v}" for k, v in env.items()), *python, *weekly],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (line,) = json.loads(done.stdout)["tenants"]
    # the report is somewhere else than the record says, so it is made anew, with kernels and all
    assert [stage["status"] for stage in line["stages"]] == ["nothing to do", "nothing to do", "done"]
    assert line["failed"] == []
    assert (home / "reports" / "index.html").is_file()
