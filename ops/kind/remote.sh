#!/bin/sh
# A Git remote in the cluster, which Argo CD follows and the steps push to.
# shellcheck source=ops/kind/steps.sh
. "$(dirname "$0")/steps.sh"
need kubectl

release_image=$(sed -n 's/^release //p' "$state/images")
sed "s|RELEASE_IMAGE|$release_image|" "$here/git.yaml" >"$state/git.yaml"
quiet_kube get namespace nexus-git >/dev/null 2>&1 || kube create namespace nexus-git
quiet_kube -n nexus-git create configmap git-server --from-file "$here/git_server.py" --dry-run=client --output yaml |
    kube apply --server-side -f -
kube apply --server-side -f "$state/git.yaml"
available nexus-git
