#!/usr/bin/env bash
# Full v2 on one card, meant for 6 minutes of an H100 (its parts have run on one, not yet in one go): the CUDA tests; step times, memory and block times, ours and the release's;
# then, all at once, two trainings with their evaluations and the first steps of four seeds. One table at the end.
#
#   tests/bench/gpu.sh DATA SCORER OUT [WHEELS] [RELEASE_PYTHON] [RELEASE_FILE]
#
# DATA: a folder of tabla strokes; SCORER: as in tests/bench/tabla.py; OUT: for logs, figures and sounds. From unpacked
# sources: WHEELS is a folder of wheels that this machine's Python lacks, or -; RELEASE_PYTHON has acids-rave 2.3.1 (see
# tests/bench/steps.py), or -; RELEASE_FILE is its export (see tests/bench/live.py). TRAININGS: what to train, each a
# precision with settings, as in "bf16-mixed 32-true bf16-mixed,seed=1,augmentation=light"; the first two by default.
# SKIP: a pattern of parts to leave out, as in "first steps|record=false". DEVICE=cpu QUICK=1 tries the script itself with
# small models.
set -uo pipefail
cd "$(dirname "$0")/../.."
data=$(realpath "$1") scorer=$(realpath "$2") wheels=${4:--} release=${5:--} release_file=${6:-}
mkdir -p "$3" && out=$(realpath "$3")
device=${DEVICE:-cuda} python=${PYTHON:-python3}
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} OMP_NUM_THREADS=${OMP_NUM_THREADS:-4} PYTHONWARNINGS=ignore
if [ "$wheels" != - ]; then
    "$python" -m pip install --quiet --no-index --no-deps --target "$out/site" "$wheels"/*.whl
    export PYTHONPATH=$PYTHONPATH:$out/site
fi
if [ -n "${QUICK:-}" ]; then
    size=(model.capacity=4 data.batch_size=2 data.window=16384) steps=(phase1.steps=20 phase2.steps=12) minute=100
    first=(steps=15 batch=2 window=16384 capacities=4 seeds=0,1) timed=(capacity=4 batch=2 window=16384 steps=6)
else
    size=(memory_limit=8) steps=(phase1.steps=2000 phase2.steps=600) minute=20672
    first=(steps=60 batch=8 window=131072 seeds=0,1,2,3) timed=(capacity=96 batch=8 window=131072 steps=64)
fi
held_out=tabla_ghe4,tabla_ke2,tabla_na_s,tabla_tas2,tabla_te2,tabla_tun2
accelerator=$([ "$device" = cuda ] && echo gpu || echo cpu)
mkdir -p "$out/logs" "$out/references"
for stem in ${held_out//,/ }; do cp "$data/$stem".* "$out/references/"; done

run() {  # NAME PATTERN COMMAND...: its output to logs/NAME.log, what matches PATTERN and the time to logs/NAME.md
    local name=$1 pattern=$2 start=$SECONDS log=$out/logs/$1.log
    shift 2
    [[ -n ${SKIP:-} && $name =~ $SKIP ]] && return
    "$@" > "$log" 2>&1 && status=done || status="FAILED ($?): $(tail -n 3 "$log")"
    { printf '\n## %s: %s in %d s\n\n' "$name" "$status" $((SECONDS - start)); grep -E "$pattern" "$log"; } > "$out/logs/$name.md"
    cat "$out/logs/$name.md"
}

learn() {  # A training, its evaluation and scores: PRECISION[,SETTING...]
    local name=$1 folder=$out/$1 settings=(${1//,/ })
    run "training $name" 's/step|phase 2, step' "$python" -m rave_lite train trainer=rtx3070 "${size[@]}" "${steps[@]}" \
        runner.precision="${settings[0]}" "${settings[@]:1}" trainer.accelerator=$accelerator data.root="$data" \
        "data.held_out=[$held_out]" out="$folder" logger=csv trainer.val_check_interval=500 data.workers=4
    run "evaluation $name" '^memorised' "$python" -m rave_lite evaluate ckpt="$folder/checkpoints/last.ckpt" out="$folder/evaluation"
    run "scores $name" '^(file|mean)' "$python" "$scorer" "$out/references" "$folder/evaluation/wav"
}

run tests 'passed|failed|skipped|FAILED' "$python" -m pytest tests/training/test_cuda.py tests/live/test_cuda.py
for precision in 32-true bf16-mixed; do
    for record in true false; do
        run "steps $precision, record=$record" '^phase' "$python" tests/bench/steps.py ours device="$device" \
            precision=$precision record=$record "${timed[@]}"
    done
done
[ "$release" = - ] || run "steps of the release" '^phase' "$release" tests/bench/steps.py release device="$device" "${timed[@]}"
run blocks 'ms|v2|low|release' "$python" tests/bench/live.py "$out/live" SECONDS=0 DEVICE="$device" \
    PRECISIONS=float32,float16 ${release_file:+RELEASE="$release_file"}
run "a minute of low_latency" 'ms|low' "$python" tests/bench/live.py "$out/live" SECONDS=0 DEVICE="$device" \
    MODELS=low_latency PRECISIONS=float32 COUNT=$minute
for precision in 32-true bf16-mixed; do
    run "first steps $precision" '^\|' "$python" -m tests.bench.stability "$data" models=v2 latents=wasserstein rates=1 \
        jobs=2 precision=$precision device="$device" out="$out/stability-$precision.jsonl" "${first[@]}" &
done
for training in ${TRAININGS:-bf16-mixed 32-true}; do learn "$training" & done
wait
cat "$out"/logs/*.md > "$out/table.md"
echo "all: $SECONDS s" | tee -a "$out/table.md"
