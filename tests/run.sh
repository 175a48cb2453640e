#!/usr/bin/env bash
# Sets up what is missing, checks format, lint and types, then runs the tests.
#   bash tests/run.sh            everything, as CI does
#   bash tests/run.sh --quick    at every save: without the tests marked slow or distributed
# Further arguments go to pytest, such as tests/searching or -k pareto.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash tools/setup.sh
tests=()
if [ "${1:-}" = --quick ]; then
    shift
    tests=(-m 'not slow and not distributed')
fi
.venv/bin/python -m ruff check .
.venv/bin/python -m ruff format --check .
.venv/bin/python -m mypy
# One thread each: the workers use the cores.
export OMP_NUM_THREADS=1
# By module: fixtures of a module are made once, not once per worker. tests/conftest.py orders them.
.venv/bin/python -m pytest -q -n auto --dist loadscope --no-loadscope-reorder "${tests[@]}" "$@"
