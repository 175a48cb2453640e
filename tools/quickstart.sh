#!/usr/bin/env bash
# Sets up what is missing, then runs the whole method on real data that ships in a package (scikit-learn's digits): learn without
# labels, train the linear classifier, search under a MACs limit, fine-tune, detect and segment in composed scenes with the found subnet as
# backbone, and print the tables. Extra arguments go to tools/pinas.py.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash tools/setup.sh
stages=(configs/quickstart/{learn,linear,search,finetune}.py)
.venv/bin/python tools/digit_scenes.py data/digit_scenes
.venv/bin/python tools/pinas.py "${stages[@]}" --random 4 --transfer configs/quickstart/{detect,segment}.py \
    --work-dir "work_dirs/quickstart-$(date +%Y%m%d-%H%M%S)" "$@"
