#!/bin/sh
# Makes .venv from one hash-locked requirements file and installs the project into it, editable.
#
#   sh tools/venv.sh requirements.txt        (from the top of the checkout; PYTHON names another interpreter)
#
# uv does it where there is one, else venv and pip. Nothing outside the lock is downloaded and nothing is built from
# source: every package must be a wheel whose hash the lock knows. An existing .venv is brought up to date.
set -eu

lock=$1
python=${PYTHON:-python3}
inside=.venv/bin/python
is_new_enough='import sys; sys.exit(sys.version_info < (3, 11))'

fail() {
    echo "$*" >&2
    exit 2
}

command -v "$python" >/dev/null 2>&1 ||
    fail "appgov needs Python 3.11 or newer and finds no '$python': install it, or name yours: make PYTHON=/path/to/python3.12 ..."
"$python" -c "$is_new_enough" ||
    fail "appgov needs Python 3.11 or newer, but '$python' is $("$python" -V 2>&1): install a newer one and name it: make PYTHON=python3.12 ..."

if command -v uv >/dev/null 2>&1 && uv --version >/dev/null 2>&1; then
    uv() { command uv "$@"; }
elif "$python" -m uv --version >/dev/null 2>&1; then
    uv() { "$python" -m uv "$@"; }
else
    uv() { return 1; }
fi

with_uv() {
    uv --version >/dev/null 2>&1 &&
        uv pip install --quiet --python "$inside" --no-deps --require-hashes --only-binary :all: -r "$lock" &&
        uv pip install --quiet --python "$inside" --no-deps --no-build-isolation --offline -e .
}

# --no-compile: Python compiles what is imported; compiling all of it (msgraph-sdk alone has 17,000 files) takes minutes.
with_pip() {
    "$inside" -m pip --version >/dev/null 2>&1 || "$inside" -m ensurepip >/dev/null 2>&1 ||
        fail "This Python comes without pip (on Debian and Ubuntu: install python3-venv); then run this again."
    set -- "$inside" -m pip install --quiet --quiet --disable-pip-version-check --no-compile --no-deps
    "$@" --require-hashes --only-binary :all: -r "$lock" &&
        "$@" --no-build-isolation --no-index -e .
}

"$inside" -c "$is_new_enough" >/dev/null 2>&1 || {
    rm -rf .venv
    "$python" -m venv --without-pip .venv
}

echo "Installing $(grep -c '^[A-Za-z0-9]' "$lock") locked packages into .venv; the first time this takes a minute." >&2
if uv --version >/dev/null 2>&1; then
    with_uv && exit 0
    echo "uv could not install them; trying pip." >&2
fi
with_pip || fail "The packages of $lock could not be installed; the lines above say why. Running the same command again goes on from here."
