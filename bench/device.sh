#!/usr/bin/env bash
# bench/device.sh [BUNDLE.tar.xz] [GROUP...]: all that a machine with one GPU can tell, in under ten minutes: builds the cuda preset
# (or takes the programs out of a bundle of scripts/bundle cuda), runs the contract suites, bare and under compute-sanitizer, holds
# ids against the CPU's and digests against each other, and measures. NCCL and cuBLASLt, a yardstick, are taken from where the loader
# finds libnccl.so.2 and the libcublasLt.so of the CUDA version built with. One line a result, KEY <tab> VALUE <tab> UNIT <tab>
# SHARE, in $OUT/device.tsv (default: build/device); logs beside it. What did not run leaves no line; bench/device_table.py shows it
# empty.
# GROUP: of suites, speed, ids, whole, sanitizers; all in this order where none is given. MODEL=folder: a model of one's own, for
# the ids. MOST=seconds: of all (580).
set -uo pipefail
cd "$(dirname "$0")/.."
out=${OUT:-build/device}
mkdir -p "$out"
results=$out/device.tsv
bundle=
if [[ ${1:-} == *.tar.xz ]]; then
  bundle=$1
  [ -f "$bundle" ] || { echo "device.sh: $bundle: no such file" >&2; exit 2; }
  shift
fi
[ $# -gt 0 ] || set -- suites speed ids whole sanitizers
for group; do
  case $group in
    suites | speed | ids | whole | sanitizers) ;;
    *) echo "device.sh: $group is neither a bundle (.tar.xz) nor one of suites, speed, ids, whole, sanitizers" >&2; exit 2 ;;
  esac
done
# Without a GPU every test would be skipped, and that would read as passed.
nvidia-smi -L 2>/dev/null | grep -q GPU || { echo "device.sh: nvidia-smi shows no GPU here" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
[ $# -lt 5 ] || : >"$results"  # groups add to what is there
begin=$SECONDS most=${MOST:-580}

# part NAME SECONDS COMMAND: output to NAME.log; a line of how it went. No part can take what the others need.
part() {
  local name=$1 limit=$2 start=$SECONDS status=ok
  shift 2
  local left=$((most - start + begin))
  [ $left -gt 5 ] || return 1
  [ $left -gt "$limit" ] || limit=$left
  timeout -k 5 "$limit" "$@" >"$out/$name.log" 2>&1 || status="failed ($?)"
  printf 'part.%s\t%s\t%s s\t\n' "$name" "$status" $((SECONDS - start)) | tee -a "$results"
  [ "$status" = ok ]
}
keep() { grep -P '^[^\t ]+\t[^\t]*\t[^\t]*\t' "$out/$1.log" >>"$results"; }

if [ -n "$bundle" ]; then
  mkdir "$work/bundle"
  tar -C "$work/bundle" --strip-components 1 -xf "$bundle"
  octet=$work/bundle/bin/octet bench=$work/bundle/bin/octet_device_bench suite=$work/bundle/bin/backend_contract_test
  comm_suite=$work/bundle/bin/comm_device_test mpirun=$work/bundle/bin/mpirun
else
  part build 240 scripts/build cuda octet octet_device_bench backend_contract_test comm_device_test || exit 1
  octet=build/cuda/launcher/octet bench=build/cuda/bench/device/octet_device_bench
  suite=build/cuda/tests/kernels/backend_contract_test comm_suite=build/cuda/tests/comm/comm_device_test
  mpirun=mpirun
fi
nvidia-smi >"$out/nvidia-smi.log" 2>&1
printf 'machine\t%s\t\t\n' "$(nvidia-smi --query-gpu=name,driver_version,clocks.max.sm --format=csv,noheader | head -1)" >>"$results"

suites() {
  part contract 60 "$suite" '--gtest_filter=*cuda*'
  for ranks in 1 2 4; do
    part comm_$ranks 60 "$mpirun" --allow-run-as-root --oversubscribe -n $ranks "$comm_suite"
  done
}

speed() {
  part bench_linear 90 "$bench" linear && keep bench_linear
  part bench_attention 40 "$bench" attention && keep bench_attention
  part bench_step 90 "$bench" step && keep bench_step
  part bench_yardstick 40 "$bench" yardstick
  keep bench_yardstick
}

# Greedy ids, this machine's CPU against its GPU.
for i in 1 2 3 4 5 6 7; do seq -s, $((i * 11)) $((i * 17 + 20)) | sed 's/^/[/; s/$/]/'; done >"$work/ids.jsonl"
ids_of() { "$octet" generate "$2" --prompt-ids-file "$work/ids.jsonl" --max-tokens 24 --ignore-eos --json --device "$1" "${@:3}"; }
same_ids() {
  local key=$1
  shift
  timeout 30 bash -c "$(declare -f ids_of); octet=$octet work=$work; ids_of cpu $*" >"$work/cpu.jsonl" 2>>"$out/ids.log"
  timeout 30 bash -c "$(declare -f ids_of); octet=$octet work=$work; ids_of cuda $*" >"$work/cuda.jsonl" 2>>"$out/ids.log"
  bench/compare_ids.py "$key" "$work/cpu.jsonl" "$work/cuda.jsonl" >>"$results"
}
ids() {
  same_ids ids.tinystories tests/data/tinystories
  [ -n "${MODEL:-}" ] && same_ids ids.model "$MODEL"
  while read -r config; do
    family=$(sed 's/.*"model_type": "\([^"]*\)".*/\1/' <<<"$config")
    mkdir -p "$work/$family"
    echo "$config" >"$work/$family/config.json"
    same_ids "ids.$family" "$work/$family" --load-format dummy --max-model-len 512
  done <bench/families.jsonl

  # One digest, whatever the number of ranks and the batch.
  for tp in 1 2 4; do
    for batch in 1 7; do
      digest=$(timeout 60 "$octet" generate "$work/llama" --load-format dummy --prompt-ids-file "$work/ids.jsonl" --max-tokens 24 \
        --ignore-eos --digest --device cuda --tp $tp --max-num-seqs $batch 2>>"$out/digest.log" | awk '/^digest/ { print $2 }')
      [ -n "$digest" ] && printf 'digest.tp%s.batch%s\t%s\t\t\n' $tp $batch "$digest" >>"$results"
    done
  done
}

# The largest preset that fits whole.
whole() {
  for batch in 1 32; do
    head -n 1 "$work/ids.jsonl" | awk -v n=$batch '{ for (i = 0; i < n; i++) print }' >"$work/batch.jsonl"
    part "opt66b_$batch" 100 "$octet" generate opt-66b --load-format dummy --prompt-ids-file "$work/batch.jsonl" --max-tokens 64 \
      --ignore-eos --stats --device cuda --max-num-seqs $batch --max-model-len 512 &&
      sed -n "s|.*: \([0-9.]*\) tokens/s.*|opt66b.b$batch\t\1\ttokens/s\t|p" "$out/opt66b_$batch.log" >>"$results"
  done
}

sanitizers() {
  sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null)
  if [ -n "$sanitizer" ]; then
    for tool in memcheck racecheck initcheck; do
      part "sanitizer_$tool" 90 "$sanitizer" --tool $tool --error-exitcode 9 "$suite" '--gtest_filter=*cuda*:-*RowsBeside*' &
    done
    wait
  fi
}

for group; do $group; done
printf 'seconds\t%s\ts\t\n' $((SECONDS - begin)) >>"$results"
column -t -s $'\t' "$results" 2>/dev/null || cat "$results"  # not every machine has it
