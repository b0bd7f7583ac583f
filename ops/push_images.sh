#!/bin/sh
# Builds our four images and pushes them, so that they have digests: push_images.sh PREFIX TAG, such as
# registry.example.com/nexus- 1.2.0. Prints a line for each: its name, and its reference by tag and digest.
# NEXUS_BASE is another base than the one that the Dockerfiles pin. BOM_FOLDER gets what each image says that it holds.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
prefix=$1 tag=$2
revision=$(git -C "$root" rev-parse HEAD)

run() {
    printf 'images: %s\n' "$*" >&2
    "$@" >&2
}

# $1 image, $2 Dockerfile, $3 target
image() {
    name=$prefix$1:$tag
    run docker build --file "$root/$2" --target "$3" --tag "$name" \
        --label "org.opencontainers.image.revision=$revision" ${NEXUS_BASE:+--build-arg "BASE=$NEXUS_BASE"} "$root"
    if [ -n "${BOM_FOLDER:-}" ]; then
        docker run --rm --entrypoint cat "$name" /opt/nexus/bom.cdx.json >"$BOM_FOLDER/$1.cdx.json"
    fi
    run docker push --quiet "$name"
    digest=$(docker image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$name" |
        sed -n "s|^$prefix$1@||p" | head -n 1)
    [ -n "$digest" ] || { echo "images: Docker names no digest of $name" >&2 && exit 1; }
    printf '%s %s@%s\n' "$1" "$name" "$digest"
}

image gateway gateway/Dockerfile gateway
image worker serving/worker/Dockerfile worker
image release pipelines/Dockerfile release
image train pipelines/Dockerfile train
