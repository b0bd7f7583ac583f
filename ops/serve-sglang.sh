#!/bin/sh
# Serves a model by SGLang, on a machine with an NVIDIA GPU: serve-sglang.sh MODEL NAME PORT. MODEL (or MODEL_ID) is a
# folder, or the name of a model on a hub (then it is fetched, with HF_TOKEN where that is set). SGLANG_PYTHON is the
# Python that has SGLang; HEALTH_URL is where it is said to be ready. Ends with the engine.
set -eu

model=${1:-${MODEL_ID:-}}
if [ -z "$model" ]; then
    echo "serve-sglang: say which model: make serve-sglang MODEL=path/to/checkpoint, or MODEL_ID=..." >&2
    exit 2
fi
name=${2:-$(basename "$model")}
port=${3:-30000}
python=${SGLANG_PYTHON:-python3}
health=${HEALTH_URL:-http://127.0.0.1:$port/health}

if ! "$python" -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("sglang") is None)'; then
    echo "serve-sglang: $python has no sglang: install it where there is a GPU, and say SGLANG_PYTHON=path/to/python" >&2
    exit 1
fi
if [ -d "$model" ]; then
    export HF_HUB_OFFLINE=1
fi
echo "serve-sglang: $model as $name on http://127.0.0.1:$port, ready when $health says 200" >&2
exec "$python" -m sglang.launch_server --model-path "$model" --served-model-name "$name" \
    --host 127.0.0.1 --port "$port" --context-length "${MAX_MODEL_LEN:-4096}" --enable-metrics \
    --stream-response-default-include-usage --enable-cache-report
