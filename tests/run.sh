#!/usr/bin/env bash
# One command that proves everything, on a Debian-like machine that has Rust and nothing else. See --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tests/need.sh

all_steps=(fmt clippy test doc examples bench fuzz autobahn browser)
target=${CARGO_TARGET_DIR:-target}
report=()
passed=0
current=

usage() {
  cat <<END
Usage: tests/run.sh [STEP...]

Runs the steps named, or all of them in this order, and stops at the first that fails:
  fmt        the code is formatted
  clippy     no warnings, in any target
  test       unit tests, tests over real sockets, examples in the documentation
  doc        the documentation builds without warnings
  examples   build of the examples that the last steps run, optimised
  bench      the benchmarks run, a little of each and unoptimised
  fuzz       the fuzz targets build, and each runs for a while (SWIO_FUZZ_SECONDS, 15 by default), as many at a time as
             there are processors; tests/soak.sh runs them for a night
  autobahn   Autobahn|Testsuite against examples/echo and examples/autobahn_client.rs
             (reports: target/autobahn/index.html, target/autobahn/client/index.html)
  browser    the examples chat and sse, and the script for pages, in headless Chromium (screenshots: target/browser/)

What the last three need is installed where it is missing: Debian packages through apt-get (as root or with sudo),
Python and npm packages under target/, cargo-fuzz by cargo install. Without a Python 2.7 or Docker, autobahn cannot
run: that is said, and is a failure only where CI is set.
END
}

main() {
  local step steps=("${all_steps[@]}")
  case ${1:-} in -h | --help) usage; exit ;; esac
  if [ $# -gt 0 ]; then steps=("$@"); fi
  for step in "${steps[@]}"; do
    if ! declare -F "step_$step" >/dev/null; then
      echo "tests/run.sh: there is no step $step" >&2
      usage >&2
      exit 2
    fi
  done
  # A trap and not an 'if', which would switch off 'set -e' inside the steps.
  trap summary EXIT
  current=setup started=$SECONDS
  need cc gcc libc6-dev
  for step in "${steps[@]}"; do
    printf '\n==== %s ====\n' "$step"
    current=$step started=$SECONDS outcome=passed
    "step_$step"
    report+=("$(line "$outcome")")
    if [ "$outcome" = passed ]; then passed=$((passed + 1)); fi
    current=
  done
}

step_fmt() {
  component rustfmt fmt
  cargo fmt --all --check
}

step_clippy() {
  component clippy clippy
  cargo clippy --workspace --all-targets --all-features -- -D warnings
}

step_test() {
  # For the network namespaces of tests/half_open.rs.
  need ip iproute2
  need unshare util-linux
  cargo test --all-features
}

step_doc() { RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --all-features; }

# All others are built by the step test, without the time that an optimised build takes.
step_examples() {
  local examples=(echo autobahn_client chat sse browser_server)
  cargo build --release --all-features "${examples[@]/#/--example=}"
}

step_bench() { cargo test -p swio-benches --benches; }

# Of its own workspace, and without a nightly toolchain. What it finds is in fuzz/artifacts/.
step_fuzz() {
  local names=(fuzz/fuzz_targets/*.rs)
  need c++ g++
  if ! cargo fuzz --version >/dev/null 2>&1; then cargo install cargo-fuzz --locked; fi
  cargo fmt --manifest-path fuzz/Cargo.toml --check
  export RUSTC_BOOTSTRAP=1
  # The crate has no unsafe code of its own; without the sanitizer this takes half the time. By hand it is on.
  cargo fuzz build --sanitizer none --target-dir "$target/fuzz"
  names=("${names[@]##*/}")
  export -f fuzz_one
  export target
  printf '%s\n' "${names[@]%.rs}" | xargs -P "$(nproc)" -I '{}' bash -c 'fuzz_one {}'
  unset RUSTC_BOOTSTRAP
}

# fuzz_one TARGET: what it finds is said, and ends the others too.
fuzz_one() {
  local grown=$target/fuzz/grown/$1
  # New inputs go to the first folder: the committed ones stay as they are.
  mkdir -p "$grown"
  if ! cargo fuzz run --sanitizer none --target-dir "$target/fuzz" "$1" "$grown" "fuzz/corpus/$1" -- \
    -max_total_time="${SWIO_FUZZ_SECONDS:-15}" -max_len=4096 -timeout=10 >"$grown.log" 2>&1; then
    tail -n 60 "$grown.log"
    return 255
  fi
  echo "$1: $(grep '^Done ' "$grown.log")"
}

step_autobahn() {
  # So that it can be run by itself, and never judges an old build.
  step_examples
  tests/autobahn/run.sh
  # No report and yet no failure: a suite that could not run is not a suite that passed.
  if ! [ -f "$target/autobahn/index.json" ]; then outcome='DID NOT RUN'; fi
}

step_browser() {
  step_examples
  tests/browser/run.sh
}

# component NAME SUBCOMMAND: rustup puts the commands of missing components on PATH too, so it has to be run to know.
component() {
  if cargo "$2" --version >/dev/null 2>&1; then return; fi
  if command -v rustup >/dev/null; then rustup component add "$1"; fi
}

line() { printf '%-10s %-12s %4d s' "$current" "$1" $((SECONDS - started)); }

summary() {
  local status=$? failed=0
  if [ -n "$current" ]; then
    report+=("$(line FAILED)")
    failed=1
  fi
  printf '\n==== summary ====\n'
  if [ ${#report[@]} -gt 0 ]; then printf '%s\n' "${report[@]}"; fi
  if [ "$failed" = 1 ]; then printf 'stopped at %s\n' "$current"; fi
  printf '%d passed, %d failed\n' "$passed" "$failed"
  exit "$status"
}

main "$@"
