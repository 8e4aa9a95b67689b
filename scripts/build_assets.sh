#!/usr/bin/env bash
# Builds the data and browser code that ship in the wheel from node_modules; --check: is all of it there?
set -euo pipefail
cd "$(dirname "$0")/.."

sketch=src/safelight/providers/local/sketch/data
vendor=src/safelight/web/static/vendor

if [[ ${1:-} == --check ]]; then
  [[ -n $(ls -A "$sketch" 2>/dev/null) && -f $vendor/model-viewer.min.js && -f $vendor/swagger-ui.css ]]
  exit
fi

mkdir -p "$sketch" "$vendor"
.venv/bin/python scripts/build_sketch_data.py node_modules "$sketch"

cp node_modules/@google/model-viewer/dist/model-viewer.min.js "$vendor/"
# model-viewer.min.js holds these packages; each licence asks that its notice goes along.
for package in @google/model-viewer three lit lit-html lit-element @lit/reactive-element @monogrid/gainmap-js; do
  cp "node_modules/$package/LICENSE" "$vendor/LICENSE.$(basename "$package").txt"
done

cp node_modules/swagger-ui-dist/{swagger-ui-bundle.js,swagger-ui.css} "$vendor/"
cp node_modules/swagger-ui-dist/LICENSE "$vendor/LICENSE.swagger-ui.txt"
