#!/usr/bin/env bash
# A night of simulation and fuzzing, bounded in time. See --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tests/need.sh

target=${CARGO_TARGET_DIR:-target}
failures=()

usage() {
  cat <<END
Usage: tests/soak.sh [TIME [FIRST_SEED]]

Runs for TIME, a number with s, m or h (8h by default), and the builds before that. Half of it is the simulation in
release, with seeds that no run had before, or from FIRST_SEED on; 10,000,000 turns of it take a few minutes. The other
half is each fuzz target in turn, with AddressSanitizer, from its corpus and from what earlier runs found.

What fails is listed at the end, with a command that repeats it: for a seed
  SWIO_SEED=n cargo test --release --all-features --lib every_seed
and for an input of a fuzz target
  RUSTC_BOOTSTRAP=1 cargo fuzz run TARGET fuzz/artifacts/TARGET/FILE
END
}

main() {
  local time=${1:-8h} seconds first
  case $time in
    -h | --help) usage; exit ;;
    *[0-9]s) seconds=${time%s} ;;
    *[0-9]m) seconds=$((${time%m} * 60)) ;;
    *[0-9]h) seconds=$((${time%h} * 3600)) ;;
    *) usage >&2; exit 2 ;;
  esac
  first=${2:-$(($(date +%s) * 1000000))}
  mkdir -p "$target/soak"
  simulate $((seconds / 2)) "$first"
  fuzz $((seconds / 2))
  if [ ${#failures[@]} -gt 0 ]; then
    printf '\n%d failed; to repeat them:\n' ${#failures[@]}
    printf '  %s\n' "${failures[@]}"
    exit 1
  fi
  echo 'nothing failed'
}

# simulate SECONDS FIRST_SEED
simulate() {
  local first=$2 count=5000 log=$target/soak/seeds.log turns=0 seed until
  cargo test --release --all-features --lib --no-run
  until=$((SECONDS + $1))
  while [ $SECONDS -lt $until ]; do
    printf 'seeds %d to %d: ' "$first" $((first + count - 1))
    if SWIO_FIRST_SEED=$first SWIO_SEEDS=$count \
      cargo test --release --all-features --lib -- --nocapture every_seed >"$log" 2>&1; then
      echo passed
    else
      echo FAILED
      tail -n 40 "$log"
      cp "$log" "$target/soak/seeds-from-$first.log"
      failures+=("SWIO_FIRST_SEED=$first SWIO_SEEDS=$count cargo test --release --all-features --lib every_seed")
      for seed in $(sed -nE 's/^seed ([0-9]+) failed.*/\1/p' "$log"); do
        failures+=("SWIO_SEED=$seed cargo test --release --all-features --lib every_seed")
      done
    fi
    seed=$(sed -nE 's/.*Totals \{ turns: ([0-9]+),.*/\1/p' "$log" | head -n 1)
    turns=$((turns + ${seed:-0}))
    first=$((first + count))
  done
  echo "$turns turns"
}

# fuzz SECONDS, for all targets together.
fuzz() {
  local names=(fuzz/fuzz_targets/*.rs) name grown each artifact
  need c++ g++
  if ! cargo fuzz --version >/dev/null 2>&1; then cargo install cargo-fuzz --locked; fi
  export RUSTC_BOOTSTRAP=1
  cargo fuzz build --target-dir "$target/soak-fuzz"
  # 0 would have no end.
  each=$(($1 / ${#names[@]} + 1))
  for name in "${names[@]}"; do
    name=$(basename "$name" .rs)
    # New inputs go to the first folder: the committed ones stay as they are.
    grown=$target/fuzz/grown/$name
    mkdir -p "$grown"
    if cargo fuzz run --target-dir "$target/soak-fuzz" "$name" "$grown" "fuzz/corpus/$name" -- \
      -max_total_time="$each" -max_len=4096 -timeout=10 >"$grown.log" 2>&1; then
      echo "$name: $(grep '^Done ' "$grown.log")"
    else
      echo "$name: FAILED"
      tail -n 60 "$grown.log"
      artifact=$(sed -nE 's|.*(fuzz/artifacts/[^ ]+)$|\1|p' "$grown.log" | head -n 1)
      failures+=("RUSTC_BOOTSTRAP=1 cargo fuzz run $name $artifact")
    fi
  done
  unset RUSTC_BOOTSTRAP
}

main "$@"
