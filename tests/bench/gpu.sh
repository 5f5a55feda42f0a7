#!/usr/bin/env bash
# Full v2 on one card, meant for 6 minutes of an H100 (not tried on one yet): the CUDA tests, the first steps of four seeds, a training and its evaluation,
# step times and memory, block times of the exports; one table at the end.
#
#   tests/bench/gpu.sh DATA SCORER OUT [WHEELS] [RELEASE_PYTHON]
#
# DATA: a folder of tabla strokes; SCORER: as in tests/bench/tabla.py; OUT: for the log, figures and sounds. From unpacked
# sources: WHEELS is a folder of wheels that this machine's Python lacks, or -; RELEASE_PYTHON has acids-rave 2.3.1 (see
# tests/bench/steps.py). TRAININGS="bf16-mixed 32-true" trains in float32, too, which takes three minutes more.
# DEVICE=cpu QUICK=1 tries the script itself with small models.
set -uo pipefail
cd "$(dirname "$0")/../.."
data=$(realpath "$1") scorer=$(realpath "$2") wheels=${4:--} release=${5:-}
mkdir -p "$3" && out=$(realpath "$3")
device=${DEVICE:-cuda} python=${PYTHON:-python3}
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} OMP_NUM_THREADS=${OMP_NUM_THREADS:-4}
if [ "$wheels" != - ]; then
    "$python" -m pip install --quiet --no-index --no-deps --target "$out/site" "$wheels"/*.whl
    export PYTHONPATH=$PYTHONPATH:$out/site
fi
if [ -n "${QUICK:-}" ]; then
    size=(model.capacity=4 data.batch_size=2 data.window=16384) steps=(phase1.steps=20 phase2.steps=12)
    first=(steps=15 batch=2 window=16384 capacities=4 seeds=0,1) timed=(capacity=4 batch=2 window=16384 steps=6)
else
    size=(memory_limit=8) steps=(phase1.steps=2000 phase2.steps=600)
    first=(steps=60 batch=8 window=131072 seeds=0,1,2,3) timed=(capacity=96 batch=8 window=131072 memory_limit=8)
fi
held_out=tabla_ghe4,tabla_ke2,tabla_na_s,tabla_tas2,tabla_te2,tabla_tun2
accelerator=$([ "$device" = cuda ] && echo gpu || echo cpu)
table=$out/table.md
: > "$table"

run() {  # TITLE COMMAND...: its output to the log, its time to the table; a failure is noted, and the rest goes on
    local title=$1 start=$SECONDS
    shift
    echo "== $title: $*"
    "$@" > "$out/step.log" 2>&1 && status=done || status="FAILED ($?)"
    tail -n 40 "$out/step.log"
    printf '\n## %s: %s in %d s\n\n' "$title" "$status" $((SECONDS - start)) >> "$table"
}

figures() { grep -E "$1" "$out/step.log" >> "$table"; }

run "CUDA tests" "$python" -m pytest tests/training/test_cuda.py tests/live/test_cuda.py
figures 'passed|failed|skipped'
for precision in 32-true bf16-mixed; do
    run "first steps, $precision" "$python" -m tests.bench.stability "$data" models=v2 latents=wasserstein rates=1 jobs=2 \
        precision=$precision device="$device" out="$out/stability.jsonl" "${first[@]}"
    figures '^\|'
done
for precision in ${TRAININGS:-bf16-mixed}; do
    run "training, $precision" "$python" -m rave_lite train trainer=rtx3070 runner.precision=$precision \
        trainer.accelerator=$accelerator data.root="$data" "data.held_out=[$held_out]" out="$out/$precision" logger=csv \
        trainer.val_check_interval=500 data.workers=4 "${size[@]}" "${steps[@]}"
    run "evaluation, $precision" "$python" -m rave_lite evaluate ckpt="$out/$precision/checkpoints/last.ckpt" \
        out="$out/$precision/evaluation"
    mkdir -p "$out/references"
    for stem in ${held_out//,/ }; do cp "$data/$stem".* "$out/references/"; done
    run "scores, $precision" "$python" "$scorer" "$out/references" "$out/$precision/evaluation/wav"
    figures '^(file|mean)'
done
for precision in 32-true bf16-mixed; do
    run "steps, $precision" "$python" tests/bench/steps.py ours device="$device" precision=$precision "${timed[@]}"
    figures '^phase'
done
if [ -n "$release" ]; then
    run "steps, release" "$release" tests/bench/steps.py release device="$device" "${timed[@]}"
    figures '^phase'
fi
run "blocks" "$python" tests/bench/live.py "$out/live" SECONDS=0 DEVICE="$device" PRECISIONS=float32,float16
figures 'ms|v2|low'
echo "all: $SECONDS s" | tee -a "$table"
cat "$table"
