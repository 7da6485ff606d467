#!/usr/bin/env bash
# Resolve what the packages and the developer's tools need, newest versions first, and write constraints.txt.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${1:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$python" -m venv "$work/venv"
pip=("$work/venv/bin/python" -m pip)
"${pip[@]}" install --quiet --quiet --upgrade 'pip>=25.1'
"${pip[@]}" install --quiet --quiet --group dev --group parity -e 'packages/core[compile,plot,tensorboard]' -e packages/vision -e packages/audio -e packages/text -e packages/rl
{
    echo "# Exact versions for development and CI (used as: pip install -c constraints.txt). Written by \`make lock\`, not by hand."
    "${pip[@]}" freeze --exclude-editable
} >"$work/constraints.txt"
mv "$work/constraints.txt" constraints.txt
echo "constraints.txt: $(grep -c == constraints.txt) pins"
