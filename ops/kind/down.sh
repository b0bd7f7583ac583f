#!/bin/sh
# `make kind-down`: the cluster, the registry and the clone go; the store, keys and passwords under .nexus/kind stay.
# shellcheck source=ops/kind/steps.sh
. "$(dirname "$0")/steps.sh"
need docker kind

run kind delete cluster --name nexus
if docker container inspect nexus-registry >/dev/null 2>&1; then run docker rm --force --volumes nexus-registry; fi
rm -rf "$clone"
say "what is left is under $state"
