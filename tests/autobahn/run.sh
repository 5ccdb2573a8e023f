#!/usr/bin/env bash
# Runs Autobahn|Testsuite, as fuzzing client, against the echo example, or against the server at SWIO_AUTOBAHN_URL if
# that is set; then, as fuzzing server, against the autobahn_client example. Build both first:
# cargo build --release --example echo --example autobahn_client.
# The reports to look at: target/autobahn/index.html, target/autobahn/client/index.html.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source tests/need.sh

suite=autobahntestsuite==25.10.1
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
environment=$target/autobahn-env
out=$target/autobahn
log=$out/echo.log
client_out=$out/client
server=

main() {
  need python3 python3
  rm -rf "$out"
  mkdir -p "$out"
  suite_command
  trap stop_server EXIT
  if [ -z "${SWIO_AUTOBAHN_URL:-}" ]; then test_client; fi
  test_server
}

test_server() {
  if [ -z "${SWIO_AUTOBAHN_URL:-}" ]; then start_server; fi
  sed -e "s|@OUT@|$out|" -e "s|@URL@|$SWIO_AUTOBAHN_URL|" tests/autobahn/fuzzingclient.json >"$out/fuzzingclient.json"
  echo "autobahn: testing $SWIO_AUTOBAHN_URL"
  # A good server takes 15 seconds. wstest exits 0 whatever it finds, so the report is what counts.
  if ! timeout 300 "${wstest[@]}" -m fuzzingclient -s "$out/fuzzingclient.json" >"$out/wstest.log" 2>&1 ||
    ! [ -f "$out/index.json" ]; then
    tail -n 20 "$out/wstest.log" >&2
    echo "autobahn: the suite itself failed, or took more than 300 seconds" >&2
    exit 1
  fi
  python3 tests/autobahn/check.py "$out/index.json"
}

# The suite is the server, and writes the report when the client asks for it.
test_client() {
  local port url deadline=$((SECONDS + 30))
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  url=ws://127.0.0.1:$port
  mkdir -p "$client_out"
  sed -e "s|@OUT@|$client_out|" -e "s|@URL@|$url|" tests/autobahn/fuzzingserver.json >"$client_out/fuzzingserver.json"
  "${wstest[@]}" -m fuzzingserver -w 0 -s "$client_out/fuzzingserver.json" >"$client_out/wstest.log" 2>&1 &
  server=$!
  until (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
    if ! kill -0 "$server" 2>/dev/null || ((SECONDS > deadline)); then
      tail -n 20 "$client_out/wstest.log" >&2
      echo "autobahn: the fuzzing server did not start" >&2
      exit 1
    fi
    sleep 0.1
  done
  echo "autobahn: testing the client"
  if ! timeout 300 "$target/release/examples/autobahn_client" "$url"; then
    tail -n 20 "$client_out/wstest.log" >&2
    echo "autobahn: the client failed, or took more than 300 seconds" >&2
    exit 1
  fi
  stop_server
  python3 tests/autobahn/check.py "$client_out/index.json"
}

# Sets wstest: the suite from PyPI in a Python 2.7 environment, the only Python it runs on, or else in its own container.
suite_command() {
  wstest=("$environment/bin/wstest")
  # Asks for the version, not only for the file: an environment that was moved with its target directory is broken.
  if "${wstest[@]}" -a 2>/dev/null | grep -qx "AutobahnTestSuite ${suite#*==}"; then return; fi
  local python2
  if python2=$(find_python2); then
    install_suite "$python2"
  elif command -v docker >/dev/null && docker info >/dev/null 2>&1; then
    # Same path inside and outside, so that one configuration serves both.
    wstest=(docker run --rm --network host --user "$(id -u):$(id -g)" -v "$out:$out"
      crossbario/autobahn-testsuite:25.10.1 wstest)
  else
    did_not_run
  fi
}

find_python2() {
  local python2 candidates=(python2.7 "${PYENV_ROOT:-${HOME:-}/.pyenv}"/versions/2.7*/bin/python2.7)
  # Debian 11 was the last to have the package.
  if apt-cache show python2.7-dev >/dev/null 2>&1; then candidates+=(/usr/bin/python2.7); fi
  for python2 in "${candidates[@]}"; do
    if [ "$python2" = /usr/bin/python2.7 ]; then need "$python2" python2.7-dev gcc libc6-dev >&2 || continue; fi
    # Runs it: a pyenv shim is on PATH even where no such version is selected.
    "$python2" -c 'import sys; print(sys.executable)' 2>/dev/null && return
  done
  return 1
}

# install_suite PYTHON2: in two steps, for virtualenv 20.21 is the last that makes environments for Python 2.7.
install_suite() {
  echo "autobahn: installing $suite for $1"
  rm -rf "$environment"
  python3 -c 'import ensurepip' 2>/dev/null || debian_install python3-venv
  python3 -m venv "$environment-maker"
  "$environment-maker/bin/pip" install -q --disable-pip-version-check virtualenv==20.21.1
  "$environment-maker/bin/virtualenv" -q -p "$1" "$environment"
  "$environment/bin/pip" install -q --no-python-version-warning --disable-pip-version-check "$suite"
}

start_server() {
  local address deadline=$((SECONDS + 10))
  "$target/release/examples/echo" --listen 127.0.0.1:0 >"$log" 2>&1 &
  server=$!
  # The example names its real address once it listens.
  until address=$(grep -om1 '127\.0\.0\.1:[0-9]*' "$log"); do
    if ! kill -0 "$server" 2>/dev/null || ((SECONDS > deadline)); then
      cat "$log" >&2
      echo "autobahn: the echo example did not start" >&2
      exit 1
    fi
    sleep 0.05
  done
  SWIO_AUTOBAHN_URL=ws://$address/
}

stop_server() {
  if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; fi
  server=
}

did_not_run() {
  cat >&2 <<'END'

  **********************************************************************
  *  Autobahn|Testsuite DID NOT RUN: it needs a python2.7 (on PATH or  *
  *  in pyenv) or a running Docker engine. Nothing has been tested.    *
  **********************************************************************

END
  # In continuous integration a suite that never runs, and never says so by failing, would be worse than none.
  if [ -n "${CI:-}" ]; then exit 1; fi
  exit 0
}

main
