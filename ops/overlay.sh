#!/bin/sh
# Prints gitops/overlays/$1 with the images of ours from the repository $2, by the tag $3. Nothing in gitops/ is changed.
#   ops/overlay.sh mock registry.example.com/nexus 1.2.0 | kubectl apply -f -
set -eu
cd "$(dirname "$0")/.."

name=${1:-mock} repository=${2:-} tag=${3:-local}
if [ ! -f "gitops/overlays/$name/kustomization.yaml" ]; then
    echo "overlay: NAME is '$name': give mock, gpu, gpu/sglang or bentoml" >&2
    exit 2
fi

mkdir -p .nexus
work=$(mktemp -d .nexus/overlay-XXXXXX)
trap 'rm -rf "$work"' EXIT
{
    printf 'resources: [../../gitops/overlays/%s]\nimages:\n' "$name"
    for image in nexus-gateway nexus-worker nexus-bentoml; do
        printf -- '- {name: %s, newName: "%s%s", newTag: "%s"}\n' "$image" "${repository:+$repository/}" "$image" "$tag"
    done
} > "$work/kustomization.yaml"

if command -v kustomize >/dev/null; then kustomize build "$work"; else kubectl kustomize "$work"; fi
