#!/bin/sh
# The loop of `make demo`, on the cluster: a dataset, a release as an Argo workflow, its commit, and an answer.
# shellcheck source=ops/kind/steps.sh
. "$(dirname "$0")/steps.sh"
need kubectl curl

python=${NEXUS_PYTHON:-$root/.venv/bin/python}
nexus=${NEXUS_BIN:-$root/.venv/bin/nexus}
key=$(sed -n 's/^# the key.*: //p' "$state/keys.yaml")
asked='{"model": "pydoc-chat", "messages": [{"role": "user", "content": "What does os.path.join do?"}], "max_tokens": 40}'

dataset() {
    [ -s "$state/nexus/data/pydoc-1.jsonl" ] || run "$python" -c \
        'import pathlib, sys; from nexus_release.demo.corpus import build; print(build(pathlib.Path(sys.argv[1]), 1))' \
        "$state/nexus/data/pydoc-1.jsonl" >&2
}

# Prints the name of the workflow that it submits.
submitted() {
    parameters=$(cd "$clone" && NEXUS_REMOTE=$clone NEXUS_WORK=$state/work "$nexus" params pipelines/specs/pydoc-chat.yaml --env dev \
        --dataset file:///var/nexus/data/pydoc-1.jsonl | sed "s/'/''/g")
    cat >"$state/workflow.yaml" <<YAML
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata:
  generateName: nexus-release-
  namespace: nexus-release
spec:
  workflowTemplateRef:
    name: nexus-release
  arguments:
    parameters:
      - name: params
        value: '$parameters'
YAML
    kube create --output name -f "$state/workflow.yaml"
}

dataset
workflow=$(submitted)
say "$workflow runs: kubectl --context kind-nexus -n nexus-release get pods"
kube -n nexus-release wait "$workflow" --for=jsonpath='{.status.phase}'=Succeeded --timeout=7200s

until quiet_kube -n argocd get application dev-pydoc-chat >/dev/null 2>&1; do
    say "waiting for Argo CD to see the release's commit"
    sleep "${NEXUS_KIND_PAUSE:-5}"
done
kube -n argocd wait application dev-pydoc-chat dev-gateway --for=jsonpath='{.status.health.status}'=Healthy --timeout=1800s

say "asking http://gateway.local:8080"
curl --fail-with-body --silent --show-error --include --retry 30 --retry-all-errors --retry-delay 2 \
    --resolve gateway.local:8080:127.0.0.1 http://gateway.local:8080/v1/chat/completions \
    --header "Authorization: Bearer $key" --header 'content-type: application/json' --data "$asked"
