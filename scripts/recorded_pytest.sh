#!/usr/bin/env bash
# Run pytest, and record in a folder how it ended and which tests failed: for scripts/failed_tests.py.
#
#     recorded_pytest.sh FOLDER ARGUMENT...
set -euo pipefail

folder=$1
shift
mkdir -p "$folder"
status=0
.venv/bin/python -m pytest -o cache_dir="$folder/cache" "$@" || status=$?
echo "$status" >"$folder/status"
exit "$status"
