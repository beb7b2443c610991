#!/usr/bin/env bash
# One command on a bare machine: sets up, builds, and lets separate processes train a small language model
# together, on this machine's loopback. One of them is killed in the middle, another joins later.
# Ends with a table, and with exit code 0 only if all finishers hold the same weights and have learned.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
export LC_ALL=C

steps=100         # outer steps, the same for everybody
kill_at=30        # peer-2 dies at this step
join_at=45        # peer-4 starts at this step
report_every=5    # steps between two lines of a peer
training_limit_s=150

build_dir=build/release
master=$build_dir/tools/pccl-master
train_bytes=$build_dir/examples/cpp/train_bytes
logs=$(mktemp -d)
declare -A pid_of=()

cleanup() {
  for name in "${!pid_of[@]}"; do
    disown "${pid_of[$name]}" 2>/dev/null || true
    kill -KILL "${pid_of[$name]}" 2>/dev/null || true
  done
  rm -rf "$logs"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf '\n=== %s\n' "$*"; }

fail() {
  say "FAILED: $*"
  exit 1
}

is_running() { kill -0 "${pid_of[$1]}" 2>/dev/null; }

forget() { unset "pid_of[$1]"; }  # its pid may belong to somebody else soon

# Each process writes its own log, and what it says appears here as it is said.
start() {
  local name=$1
  shift
  : >"$logs/$name"
  "$@" > >(tee -a "$logs/$name") 2>&1 &
  pid_of[$name]=$!
}

is_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

start_master() {
  local attempt
  for attempt in {1..20}; do
    port=$((20000 + RANDOM % 12000))
    is_open "$port" && continue
    start master "$master" --listen "127.0.0.1:$port"
    while is_running master && ((SECONDS < deadline)); do
      is_open "$port" && return
      sleep 0.1
    done
    is_running master && break
  done
  fail "no master after $attempt attempts"
}

start_peer() {
  local name=$1
  shift
  start "$name" "$train_bytes" --master "127.0.0.1:$port" --name "$name" --seed "${name#peer-}" \
    --steps "$steps" --report-every "$report_every" "$@"
}

last_step() { grep -oE 'step [0-9]+/' "$logs/$1" | tail -n 1 | tr -dc 0-9 || true; }

wait_for_step() {
  local name=$1 step=$2 now
  while now=$(last_step "$name") && ((${now:-0} < step)); do
    is_running "$name" || fail "$name ended before step $step"
    ((SECONDS < deadline)) || fail "no step $step of $name in $training_limit_s s"
    sleep 0.1
  done
}

wait_for_end() {
  local name=$1
  while is_running "$name"; do
    ((SECONDS < deadline)) || fail "$name did not finish in $training_limit_s s"
    sleep 0.2
  done
  wait "${pid_of[$name]}" || fail "$name ended with exit code $?"
  forget "$name"
  local attempt
  for attempt in {1..20}; do  # tee may be a moment behind
    grep -q '^RESULT ' "$logs/$name" && return
    sleep 0.1
  done
  fail "$name gave no result after $attempt looks"
}

# result NAME KEY: one value of the line with which a peer ends.
result() { sed -nE "s/^RESULT .*\b$2=([^ ]+).*/\1/p" "$logs/$1"; }
first_loss() { sed -nE 's/.*joined at .* loss ([0-9.]+).*/\1/p' "$logs/$1" | head -n 1; }
is_less() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a < b) }'; }

say "setting up"
scripts/setup.sh

say "building"
cmake --preset release >"$logs/configure" || { cat "$logs/configure"; fail "cmake --preset release"; }
cmake --build "$build_dir" --parallel --target pccl-master train_bytes

say "training with three peers, $steps steps"
started=$SECONDS
deadline=$((SECONDS + training_limit_s))
start_master
for name in peer-1 peer-2 peer-3; do start_peer "$name" --start-peers 3; done

wait_for_step peer-2 "$kill_at"
say "killing peer-2 (kill -9)"
disown "${pid_of[peer-2]}"  # else bash reports the death as well
kill -KILL "${pid_of[peer-2]}"
forget peer-2

wait_for_step peer-1 "$join_at"
say "starting peer-4"
start_peer peer-4

for name in peer-1 peer-3 peer-4; do wait_for_end "$name"; done

say "the result, after $((SECONDS - started)) s of training (loss in nats per byte, on held-out text)"
row='%-8s  %13s  %11s  %5s  %10s  %-16s\n'
printf "$row" peer 'loss at start' 'loss at end' steps 'peers seen' 'hash of the weights'
for name in peer-1 peer-3 peer-4; do
  printf "$row" "$name" "$(first_loss "$name")" "$(result "$name" last_loss)" "$(result "$name" steps)" \
    "$(result "$name" peers_seen)" "$(result "$name" hash)"
done
printf "$row" peer-2 "$(first_loss peer-2)" killed "$(last_step peer-2)" - -

hashes=$(for name in peer-1 peer-3 peer-4; do result "$name" hash; done | sort -u | wc -l)
((hashes == 1)) || fail "the finishers hold different weights"
for name in peer-1 peer-3 peer-4; do
  is_less "$(result "$name" last_loss)" "$(first_loss peer-1)" || fail "the loss of $name did not fall"
done
say "all three finishers hold identical weights, and the loss fell"
