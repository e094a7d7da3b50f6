#!/usr/bin/env bash
# The checks that need a GPU, in less than 8 minutes: parity with the CPU, speed beside cuDNN, training and prediction.
#
# Usage: scripts/gpu_check.sh OUTPUT [WHEELS]
#
# OUTPUT   a folder for logs and JSON. summary.json has the exit status (124: out of time), the seconds and the last line
#          of each check.
# WHEELS   a folder with wheels for a machine without network: that of this package (`pip wheel --no-deps .`) and those
#          that the machine lacks. They are installed into a temporary folder, without what they depend on.
#
# TRANSFORMER=FOLDER also trains configs/transformer.cfg. LSTM_NER_DATA=FOLDER takes CoNLL-2003 from there.
# DRY_RUN=1 needs no GPU: g++ compiles the kernels, and the CPU takes the place of the GPU in the benchmarks.
set -uo pipefail
[ $# -ge 1 ] || { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; exit 2; }
mkdir -p "$1" && OUT=$(cd "$1" && pwd) || exit
[ $# -lt 2 ] || WHEELS=$(cd "$2" && pwd) || exit
cd "$(dirname "$0")/.." || exit
PYTHON=${PYTHON:-python3}
SITE=$(mktemp -d)
trap 'rm -rf "$SITE"' EXIT
if [ -n "${WHEELS-}" ]; then
  "$PYTHON" -m pip install --quiet --no-index --no-deps --no-compile --target "$SITE" "$WHEELS"/*.whl || exit
fi
export PYTHONPATH="$SITE:$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1

rm -f "$OUT/summary.jsonl" "$OUT/layers.json"
failed=0
# check NAME SECONDS COMMAND...
check() {
  local name=$1 limit=$2 start=$SECONDS
  shift 2
  timeout -k 5 "$limit" "$PYTHON" "$@" >"$OUT/$name.log" 2>&1
  status=$?
  [ $status = 0 ] || failed=1
  "$PYTHON" - "$name" $status $((SECONDS - start)) "$OUT/$name.log" <<'END' | tee -a "$OUT/summary.jsonl"
import json, sys
name, status, seconds, log = sys.argv[1:]
lines = open(log, errors="replace").read().split("\n")
last = next((line for line in reversed(lines) if line.strip()), "")
print(json.dumps({"check": name, "status": int(status), "seconds": int(seconds), "last line": last.strip()}))
END
}

if [ -n "${DRY_RUN-}" ]; then
  check parity 150 -m pytest tests/layers/rnn/test_gpu_kernels.py
  check layers 150 benchmarks/layers.py --gpu --trial --quick --repetitions 1 --seconds 0.1
  check training 170 benchmarks/gpu.py --trial --steps 20 --tokens 20000 --output "$OUT/training.json"
else
  check device 20 -c "from thinc.api import require_gpu; require_gpu()"
  check parity 140 -m pytest -rs tests/layers/rnn/test_gpu.py
  check layers 140 benchmarks/layers.py --gpu --repetitions 5 --seconds 0.5
  [ $status != 0 ] || cp benchmarks/results/layers_gpu.json "$OUT/layers.json"
  check training 170 benchmarks/gpu.py ${TRANSFORMER:+--transformer "$TRANSFORMER"} --output "$OUT/training.json"
fi
"$PYTHON" -c 'import json, sys; print(json.dumps([json.loads(line) for line in open(sys.argv[1])], indent=1))' \
  "$OUT/summary.jsonl" >"$OUT/summary.json"
rm "$OUT/summary.jsonl"
exit $failed
