#!/usr/bin/env bash
# A night of simulation and fuzzing, bounded in time. See --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<END
Usage: tests/soak.sh [TIME [FIRST_SEED]]

Runs for TIME, which is a number and s, m or h (8h by default): half of it the simulation in release, with seeds that
no run had before (from FIRST_SEED on, if it is given), and half of it each fuzz target in turn, with AddressSanitizer,
from its corpus and from what earlier runs found. 8 hours are some 10,000,000 turns many times over.

Failures are listed at the end, with the command that repeats each. A seed is repeated by
  SWIO_SEED=n cargo test --release --all-features --lib every_seed
and an input of a fuzz target by
  RUSTC_BOOTSTRAP=1 cargo fuzz run TARGET fuzz/artifacts/TARGET/FILE
END
}

time=${1:-8h}
case $time in
  *[0-9]s) seconds=${time%s} ;;
  *[0-9]m) seconds=$((${time%m} * 60)) ;;
  *[0-9]h) seconds=$((${time%h} * 3600)) ;;
  *) usage; exit 2 ;;
esac
# Each second has its own thousand times a thousand seeds.
first=${2:-$(($(date +%s) * 1000000))}
target=${CARGO_TARGET_DIR:-target}
failures=()

simulate() {
  local until=$((SECONDS + $1)) count=20000 log=$target/soak/seeds.log turns
  turns=0
  cargo test --release --all-features --lib --no-run
  while [ $SECONDS -lt $until ]; do
    echo "seeds $first to $((first + count - 1))"
    if ! SWIO_FIRST_SEED=$first SWIO_SEEDS=$count \
      cargo test --release --all-features --lib -- --nocapture every_seed >"$log" 2>&1; then
      grep -E '^seed [0-9]+ failed' "$log" || tail -n 40 "$log"
      while read -r seed; do
        failures+=("SWIO_SEED=$seed cargo test --release --all-features --lib every_seed")
      done < <(sed -nE 's/^seed ([0-9]+) failed.*/\1/p' "$log")
      if ! grep -qE '^seed [0-9]+ failed' "$log"; then failures+=("see $log"); return; fi
    fi
    turns=$((turns + $(sed -nE 's/.*turns: ([0-9]+).*/\1/p' "$log" | tail -n 1)))
    first=$((first + count))
  done
  echo "$turns turns"
}

fuzz() {
  local names=(fuzz/fuzz_targets/*.rs) name grown each
  export RUSTC_BOOTSTRAP=1
  if ! cargo fuzz --version >/dev/null 2>&1; then cargo install cargo-fuzz --locked; fi
  cargo fuzz build --target-dir "$target/soak-fuzz"
  each=$(($1 / ${#names[@]}))
  for name in "${names[@]}"; do
    name=$(basename "$name" .rs)
    # New inputs go to the first folder: the committed ones stay as they are.
    grown=$target/fuzz/grown/$name
    mkdir -p "$grown"
    echo "$name for $each s"
    if ! cargo fuzz run --target-dir "$target/soak-fuzz" "$name" "$grown" "fuzz/corpus/$name" -- \
      -max_total_time="$each" -max_len=4096 -timeout=10 >"$grown.log" 2>&1; then
      tail -n 60 "$grown.log"
      failures+=("RUSTC_BOOTSTRAP=1 cargo fuzz run $(sed -nE "s|.*Test unit written to .*(fuzz/artifacts/.*)|$name \1|p" "$grown.log")")
    fi
    grep '^Done ' "$grown.log" || true
  done
  unset RUSTC_BOOTSTRAP
}

mkdir -p "$target/soak"
simulate $((seconds / 2))
fuzz $((seconds / 2))
if [ ${#failures[@]} -gt 0 ]; then
  printf '\n%d failed; to repeat:\n' ${#failures[@]}
  printf '  %s\n' "${failures[@]}"
  exit 1
fi
echo "nothing failed"
