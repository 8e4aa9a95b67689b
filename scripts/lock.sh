#!/usr/bin/env bash
# Writes the lock files anew from pyproject.toml and package.json; UPGRADE=1 takes newer versions.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh tools
export PATH="$PWD/.tools/bin:$PATH"

compile() { # LOCK ARGUMENT…: versions and hashes for every system, no addresses
  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
    ${UPGRADE:+--upgrade} --output-file "$@"
}

compile requirements.lock pyproject.toml
compile requirements-dev.lock pyproject.toml --extra redis --extra nats --extra sqs --extra sagemaker --extra cloudfront --extra onnx --group test --group lint --group peers \
  --constraints requirements.lock
compile requirements-build.lock --group build --constraints requirements-dev.lock
compile requirements-clients.lock --group clients
if [[ -n ${UPGRADE:-} ]]; then
  rm package-lock.json
fi
npm install --package-lock-only --loglevel=error >/dev/null
