#!/bin/sh
# A built wheel, installed with the constraints into an empty environment, runs a part of the demo
# suite in an empty folder. Usage: tests/wheel.sh PYTHON, a Python that has `build`, `hatchling` and pip.
set -eu

cd "$(dirname "$0")/.."
python=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset PYTHONPATH

# Through the source distribution: what it lacks, the wheel lacks.
"$python" -m build --no-isolation --outdir "$work/dist" . >"$work/log" 2>&1 || {
    cat "$work/log"
    exit 1
}
"$python" -m venv --without-pip "$work/venv"
"$python" -m pip --python "$work/venv/bin/python" install --quiet --no-compile \
    --constraint constraints.txt "$work"/dist/*.whl

mkdir "$work/empty"
cd "$work/empty"
# On the data that the wheel itself makes, and without the hub.
VIPBENCH_CACHE="$work/cache" HF_HUB_OFFLINE=1 "$work/venv/bin/vipbench" run --limit 20 </dev/null
test -s "$(echo results/runs/*/summary.json)"
"$work/venv/bin/vipbench" report results/runs/* -o site </dev/null
test -s site/report.html

# All data files came along, and no module beside the package.
"$work/venv/bin/python" -I -c '
import importlib.util, sys
from importlib.resources import files
lacking = [n for n in ("_tasks", "_reference", "py.typed") if not files("vipbench").joinpath(n).exists()]
strays = [n for n in ("tasks", "tests", "results") if importlib.util.find_spec(n)]
if lacking or strays:
    sys.exit(f"wheel: lacks {lacking}; brings {strays}")'
echo "wheel: ok"
