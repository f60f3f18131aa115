#!/bin/sh
# A built wheel, installed with the constraints into an empty environment, runs the demo suite in
# an empty folder. Reads PYTHON (makes the environment) and BUILD (the build tool).
set -eu

repo=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset PYTHONPATH

cd "$repo"
# Through the source distribution: what it lacks, the wheel lacks.
${BUILD:-python3 -m build} --no-isolation --outdir "$work/dist" . >"$work/build.log" 2>&1 || {
    cat "$work/build.log"
    exit 1
}
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --constraint constraints.txt "$work"/dist/*.whl

mkdir "$work/empty"
cd "$work/empty"
HF_HUB_OFFLINE=1 "$work/venv/bin/vipbench" run
test -s "$(echo results/runs/*/summary.json)"
# The package and nothing else: no module `tasks` or `tests` came along.
"$work/venv/bin/python" -I -c '
import importlib.util, sys
strays = [name for name in ("tasks", "tests", "results") if importlib.util.find_spec(name)]
sys.exit(f"the wheel installs {strays} beside vipbench" if strays else 0)'
echo "wheel: ok"
