#!/bin/sh
# `make kind`: each step is a script beside this one, says what it does, and may be run again by itself.
# shellcheck source=ops/kind/steps.sh
. "$(dirname "$0")/steps.sh"

for step in cluster addons images remote environment secrets follow release; do
    say "== $step"
    sh "$here/$step.sh"
done
say "Argo CD:    kubectl --context kind-nexus -n argocd port-forward service/argocd-server 8443:443"
say "Kubeflow:   kubectl --context kind-nexus -n kubeflow port-forward service/ml-pipeline-ui 8081:80"
say "MLflow:     kubectl --context kind-nexus -n nexus-mlflow port-forward service/mlflow 5000:5000, as admin with $state/mlflow.password"
say "take it down: make kind-down"
