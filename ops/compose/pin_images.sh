#!/bin/sh
# Puts behind each tag of images.env the digest that its registry has for it now: NAME=image:tag@sha256:...
# Needs docker with buildx, and the registries. A file whose digests are true is left byte for byte.
set -eu

file=$(dirname "$0")/images.env
new=$(mktemp)
trap 'rm -f "$new"' EXIT

while IFS= read -r line; do
    case $line in
        '#'* | '') printf '%s\n' "$line" ;;
        *)
            image=${line#*=}
            tag=${image%@*}
            digest=$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$tag" </dev/null)
            case $digest in sha256:*) ;; *) echo "no digest of $tag: $digest" >&2 && exit 1 ;; esac
            printf '%s=%s@%s\n' "${line%%=*}" "$tag" "$digest"
            ;;
    esac
done <"$file" >"$new"
cat "$new" >"$file"
