#!/usr/bin/env bash
# Sets up everything pinas_mm needs in .venv at the top of the project. Can be run again: when all is there it ends in
# seconds. Needs Python 3.10 to 3.12 with venv, a C++17 compiler, a package index; never root.
#   PYTHON=python3.12 bash tools/setup.sh     another interpreter
#   MAX_JOBS=8 bash tools/setup.sh            compile jobs of the one-time mmcv build (default: one per core)
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$top"
venv="$top/.venv"
python="$venv/bin/python"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/pinas_mm"
started=$SECONDS

say() { printf '[setup %4ds] %s\n' "$((SECONDS - started))" "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }
pip_install() { "$python" -m pip install --disable-pip-version-check --progress-bar off -q "$@"; }
ops_work() { "$python" -c 'import mmcv.ops' >/dev/null 2>&1; }

stamp="$venv/.pinas_mm-$(cat requirements/*.txt pyproject.toml setup.py tools/setup.sh | cksum | tr -d ' ')"
if [ -e "$stamp" ] && ops_work; then
    say "all there: $venv"
    exit 0
fi

if [ ! -x "$python" ]; then
    base="${PYTHON:-python3}"
    command -v "$base" >/dev/null || die "no '$base' on PATH; name an interpreter: PYTHON=python3.11 bash tools/setup.sh"
    "$base" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' ||
        die "$("$base" --version) found, 3.10 to 3.12 expected; name one: PYTHON=python3.11 bash tools/setup.sh"
    say "making a virtual environment in .venv with $("$base" --version)"
    "$base" -m venv "$venv" || die "'$base -m venv' failed (on Debian and Ubuntu: the package python3-venv)"
fi

say "torch and the build tools (requirements/torch.txt; the largest download)"
pip_install -r requirements/torch.txt

# The ops of mmcv are compiled here, once per (mmcv, torch, Python): a wheel for them is kept in $cache. pip's own wheel
# cache is not asked, since it may hand back ops compiled against another torch.
install_mmcv() {
    local mmcv key wheels
    mmcv=$(grep '^onedl-mmcv==' requirements/mm.txt)
    key=$("$python" -c 'import platform, sys, torch; print(f"torch{torch.__version__}-cuda{torch.cuda.is_available()}-py{sys.version_info[0]}{sys.version_info[1]}-{platform.machine()}")')
    wheels="$cache/wheels/$mmcv-$key"
    if ! ls "$wheels"/*.whl >/dev/null 2>&1; then
        command -v g++ >/dev/null || command -v c++ >/dev/null || die "mmcv's ops need a C++17 compiler (on Debian and Ubuntu: the package g++)"
        build_mmcv "$mmcv" "$wheels"
    fi
    "$python" -m pip uninstall -q -y onedl-mmcv >/dev/null 2>&1 || true
    pip_install -r <(grep mmengine requirements/mm.txt) "$wheels"/*.whl
}

build_mmcv() {
    local mmcv=$1 wheels=$2 flags=()
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    if ! "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' && g++ --version 2>/dev/null | grep -q 'Free Software'; then
        # Nearly all of a CPU build is reading torch's headers again for each of 78 files: read them once (a precompiled
        # header), and write no debug information. g++ ignores the header by itself where the flags do not fit.
        say "precompiling torch's headers"
        local common="-DNDEBUG -O2 -g0 -w"
        echo '#include <torch/types.h>' > "$work/torch_types.h"
        g++ $common -fPIC -std=c++17 -I"$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')" \
            $("$python" -c 'from torch.utils.cpp_extension import include_paths; print(*("-I" + p for p in include_paths()))') \
            -x c++-header "$work/torch_types.h" -o "$work/torch_types.h.gch" || rm -f "$work/torch_types.h.gch"
        flags=(CFLAGS="$common -include $work/torch_types.h")
    fi
    say "compiling mmcv's ops, once; each line below is one source file"
    env "${flags[@]}" MMCV_WITH_OPS=1 MAX_JOBS="${MAX_JOBS:-$("$python" -c 'import os; print(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())')}" \
        PATH="$venv/bin:$PATH" "$python" -m pip wheel -v --disable-pip-version-check --no-deps --no-build-isolation --no-cache-dir --no-binary onedl-mmcv \
        -w "$work/wheel" "$mmcv" > "$work/log" 2>&1 &
    local pid=$! seen="" line
    while kill -0 "$pid" 2>/dev/null; do
        line=$(grep -oE '^ *\[[0-9]+/[0-9]+\]' "$work/log" 2>/dev/null | tail -n 1 || true)
        [ "$line" = "$seen" ] || say "mmcv $line"
        seen=$line
        sleep 5
    done
    wait "$pid" || { tail -n 40 "$work/log" >&2; die "the mmcv build failed (the end of its log is above)"; }
    mkdir -p "$wheels"
    mv "$work"/wheel/*.whl "$wheels/"
    rm -rf "$work"
}

if ! ops_work; then
    install_mmcv
    ops_work || { rm -rf "$cache/wheels"; install_mmcv; }
    "$python" -c 'import mmcv.ops' || die "mmcv's ops do not load (the error is above)"
fi
say "everything else those need, and pinas_mm itself"
pip_install --no-build-isolation -r requirements/mm.txt -e '.[dev]'
touch "$stamp"
say "done: $venv"
