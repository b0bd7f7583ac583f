#!/bin/sh
# Argo CD is told where Git is, and followed until it has brought up what Git says.
# shellcheck source=ops/kind/steps.sh
. "$(dirname "$0")/steps.sh"
need kubectl

kube apply --server-side --force-conflicts -k "$clone/ops/kind/argocd"
for application in dev-namespace dev-gateway platform-mlflow platform-pipelines platform-workflows; do
    until quiet_kube -n argocd get application "$application" >/dev/null 2>&1; do
        say "waiting for Argo CD to make $application"
        sleep "${NEXUS_KIND_PAUSE:-5}"
    done
done
kube -n argocd wait application --all --for=jsonpath='{.status.sync.status}'=Synced --timeout=1800s
kube -n argocd wait application --all --for=jsonpath='{.status.health.status}'=Healthy --timeout=1800s
