#!/bin/sh
# Our images, built and pushed to the registry beside the cluster, so that they have digests; .nexus/kind/images names
# them. NEXUS_BASE is another base than the one that the Dockerfiles pin.
# shellcheck source=ops/kind/steps.sh
. "$(dirname "$0")/steps.sh"
need docker git

tag=$(git -C "$root" rev-parse --short=12 HEAD)
run "$root/ops/push_images.sh" "$registry/nexus/" "$tag" >"$state/images.part"
mv "$state/images.part" "$state/images"
