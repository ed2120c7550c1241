#!/bin/sh
# Make .parity-venv in the repository root: sgdml 1.0.3 with a numpy it still works with (2.3; it calls np.in1d, gone in 2.4).
# Does nothing when the environment is already right.  torch first and pinned: left to sgdml's requirement, pip takes the
# newest build, which may be several GB of CUDA.
set -eu
cd "$(dirname "$0")/../.."
venv=.parity-venv
if [ -x "$venv/bin/python" ] && "$venv/bin/python" - <<'PY' 2>/dev/null
from importlib.metadata import version
assert version("sgdml") == "1.0.3" and version("numpy").startswith("2.3.")
PY
then
    echo "$venv is ready"
    exit 0
fi
rm -rf "$venv"
"${PYTHON:-python3}" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet "torch==2.13.0"
"$venv/bin/python" -m pip install --quiet "numpy==2.3.*" "sgdml==1.0.3"
echo "$venv is ready"
