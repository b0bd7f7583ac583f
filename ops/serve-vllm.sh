#!/bin/sh
# Serves a model by the vLLM of .venv-vllm, on the CPU: serve-vllm.sh MODEL NAME PORT. MODEL is a folder, or the name of a
# model on a hub (then it is fetched, with HF_TOKEN where that is set). Ends with the engine.
set -eu

model=${1:?"say which model: make serve-vllm MODEL=path/to/checkpoint"}
name=${2:-$(basename "$model")}
port=${3:-8001}
python=$(dirname "$0")/../.venv-vllm/bin/python

if [ ! -x "$python" ]; then
    echo "serve-vllm: $python is not there: run make setup-vllm" >&2
    exit 1
fi
if [ -d "$model" ]; then
    export HF_HUB_OFFLINE=1
fi
export VLLM_NO_USAGE_STATS=1
export VLLM_CPU_KVCACHE_SPACE="${VLLM_CPU_KVCACHE_SPACE:-1}" # GiB
export VLLM_CPU_OMP_THREADS_BIND=nobind
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
echo "serve-vllm: $model as $name on http://127.0.0.1:$port, ready when /health says 200" >&2
exec "$python" -m vllm.entrypoints.openai.api_server --model "$model" --served-model-name "$name" \
    --host 127.0.0.1 --port "$port" --max-model-len "${MAX_MODEL_LEN:-512}" --max-num-seqs 8 --enforce-eager \
    --enable-force-include-usage --enable-prompt-tokens-details
