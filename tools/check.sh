#!/bin/sh
# The one definition of clean. Runs every check whatever the others say, then tells how many failed.
# `make check`, .ci/run and the pre-commit hook all come here.

python=.venv/bin/python
failed=""
count=0

check() {
    name=$1
    shift
    count=$((count + 1))
    echo "== $name"
    "$@" || failed="$failed $name,"
}

check format $python -m ruff format --check .
check lint $python -m ruff check .
check types $python -m mypy
check docstrings $python -m interrogate -vv --omit-covered-files appgov_lib tools
check docs $python tools/make_docs.py --check
check tests "${MAKE:-make}" --no-print-directory test

if [ -n "$failed" ]; then
    echo "make check:${failed%,} not clean (of $count checks)."
    exit 1
fi
echo "make check: all $count checks are clean."
