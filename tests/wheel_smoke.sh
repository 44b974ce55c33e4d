#!/usr/bin/env bash
# Builds the wheel and uses it as a stranger would: in an empty environment, with the required dependencies only.
# Usage: tests/wheel_smoke.sh [PYTHON], where PYTHON has `build` installed.
set -euo pipefail
unset DATABASE_URL DJANGO_SETTINGS_MODULE PYTHONPATH

cd "$(dirname "$0")/.."
python=$(realpath --no-symlinks "${1:-.venv/bin/python}")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

echo "Building the wheel, by way of the source distribution"
"$python" -m build --outdir "$folder/dist" . > "$folder/build.log" 2>&1 || { cat "$folder/build.log"; exit 1; }

find django_workflows -type f -not -name '*.pyc' | sort > "$folder/expected"
"$python" -c 'import sys, zipfile; print(*zipfile.ZipFile(sys.argv[1]).namelist(), sep="\n")' "$folder"/dist/*.whl |
    grep '^django_workflows/' | sort > "$folder/found"
diff "$folder/expected" "$folder/found" || { echo "The wheel (>) is not the package (<)."; exit 1; }

echo "Installing it into an empty environment"
"$python" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check "$folder"/dist/*.whl

echo "Running a workflow there"
cp -r tests/minimal_project "$folder/project"
cd "$folder/project"
manage() { "$folder/venv/bin/python" manage.py "$@"; }
shell() { manage shell --verbosity 0 --command "$1"; }

manage check --fail-level WARNING
manage migrate --verbosity 0
shell 'from orders.workflows import fulfil; fulfil.start(order_id=42)'
manage runworkflows --drain
output=$(shell 'from django_workflows.models import Execution; e = Execution.objects.get(); print(e.status, e.output)')
if [ "$output" != "completed {'charge': 'charge-42'}" ]; then
    echo "The execution is: $output"
    exit 1
fi
echo "$output"
