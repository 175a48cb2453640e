#!/usr/bin/env bash
# Sets up what is missing, then runs the linter and the whole test suite. Extra arguments go to pytest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash tools/setup.sh
.venv/bin/python -m ruff check .
.venv/bin/python -m pytest -q -n auto "$@"
