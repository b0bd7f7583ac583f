#!/bin/sh
# Our images of the commit that is checked out, built, pushed and, with ENV, proposed:
#   IMAGE_REPO=registry.example.com/nexus [IMAGE_TAG=1.2.0] [ENV=dev] ops/images.sh
# The proposal is one commit on the branch images/ENV/TAG: their digests in the environment's settings, and what follows from
# them. Nothing that is checked out is changed, and no branch is pushed.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
state=$root/.nexus/images
bin=${NEXUS_BIN_FOLDER:-$root/.venv/bin}

say() { printf 'images: %s\n' "$*" >&2; }

refuse() {
    say "$*"
    exit 2
}

cd "$root"
[ -n "${IMAGE_REPO:-}" ] || refuse "say where: make images IMAGE_REPO=registry.example.com/nexus"
[ -z "$(git status --porcelain)" ] || refuse "what is checked out is no commit: commit or put away what git status lists"
environment=${ENV:-}
[ -z "$environment" ] || [ -f "environments/$environment/settings.yaml" ] || refuse "no environment is called '$environment'"
tag=${IMAGE_TAG:-$(git rev-parse --short=12 HEAD)}

mkdir -p "$state"
BOM_FOLDER=$state ops/push_images.sh "$IMAGE_REPO/nexus-" "$tag" >"$state/pushed"
cat "$state/pushed"
say "what they hold: $state/*.cdx.json"
[ -n "$environment" ] || exit 0

branch=images/$environment/$tag
git show-ref --verify --quiet "refs/heads/$branch" && refuse "the branch $branch is there already: give another IMAGE_TAG, or remove it"
work=$(mktemp -d "$state/work-XXXXXX")
git worktree add --quiet --detach "$work"
trap 'git worktree remove --force "$work"' EXIT
"$bin/python" ops/name_images.py "$work" "$environment" <"$state/pushed"
"$bin/nexus" render "$environment" --root "$work" >&2
# The workflows and the pipeline name the images of the environment that they are rendered for.
if [ -d "$work/workflows/$environment" ]; then
    "${NEXUS_HERA_PYTHON:-$root/.venv-hera/bin/python}" "$work/workflows/release_hera.py" "$environment"
    "${NEXUS_KFP_PYTHON:-$root/.venv-kfp/bin/python}" "$work/pipelines/release_kfp.py" compile --kubernetes \
        >"$state/pipeline.yaml"
    mv "$state/pipeline.yaml" "$work/pipelines/release_kfp_kubernetes.yaml"
fi
git -C "$work" add --all
git -C "$work" commit --quiet --message "Run the images of $tag in $environment"
git branch "$branch" "$(git -C "$work" rev-parse HEAD)"
say "proposed: git push origin $branch"
