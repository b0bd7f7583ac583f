#!/bin/sh
# Our images, built and pushed to the registry beside the cluster, so that they have digests; .nexus/kind/images names
# them. NEXUS_BASE is another base than the one that the Dockerfiles pin.
# shellcheck source=ops/kind/steps.sh
. "$(dirname "$0")/steps.sh"
need docker git

tag=$(git -C "$root" rev-parse --short=12 HEAD)

# $1 image, $2 Dockerfile, $3 target
image() {
    name=$registry/nexus/$1:$tag
    run docker build --file "$root/$2" --target "$3" --tag "$name" ${NEXUS_BASE:+--build-arg "BASE=$NEXUS_BASE"} "$root"
    run docker push --quiet "$name"
    digest=$(docker image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$name" |
        sed -n "s|^$registry/nexus/$1@||p" | head -n 1)
    [ -n "$digest" ] || { say "Docker names no digest of $name"; exit 1; }
    printf '%s %s@%s\n' "$1" "$name" "$digest" >>"$state/images.part"
}

: >"$state/images.part"
image gateway gateway/Dockerfile gateway
image worker serving/worker/Dockerfile worker
image release pipelines/Dockerfile release
image train pipelines/Dockerfile train
mv "$state/images.part" "$state/images"
