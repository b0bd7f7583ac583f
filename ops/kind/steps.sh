# Sourced by each step: where things are, and how what is done is told. Paths can be moved by the variables named here.
# shellcheck shell=sh disable=SC2034
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
state=${NEXUS_KIND_STATE:-$root/.nexus/kind}
clone=$state/clone
registry=localhost:5001
mkdir -p "$state/manifests" "$state/nexus"

# shellcheck source=ops/kind/versions.env
. "$here/versions.env"

say() { printf 'kind: %s\n' "$*" >&2; }

# Says a command and runs it. Not for one that has a password in it.
run() {
    say "$*"
    "$@"
}

kube() { run kubectl --context kind-nexus "$@"; }

# The same without a word, for what is only looked at and for what is secret.
quiet_kube() { kubectl --context kind-nexus "$@"; }

need() {
    for tool in "$@"; do
        command -v "$tool" >/dev/null || { say "$tool is not here: docs/how-to/run-on-kind.md says what is needed"; exit 1; }
    done
}

# Prints the path of the manifest $1 from the address $2, proved by its SHA-256 $3 or, where that is unknown, by what the
# first use has got. Called as `manifest=$(fetched …)`: only there does a refusal end the script.
fetched() {
    file=$state/manifests/$1.yaml
    sums=$state/checksums
    [ -s "$file" ] || {
        run curl --fail --silent --show-error --location --retry 3 --output "$file.part" "$2"
        mv "$file.part" "$file"
    }
    found=$(sha256sum "$file" | cut -d ' ' -f 1)
    wanted=$3
    if [ "$wanted" = unknown ]; then
        touch "$sums"
        wanted=$(sed -n "s|^\([0-9a-f]*\)  $2\$|\1|p" "$sums")
        if [ -z "$wanted" ]; then
            printf '%s  %s\n' "$found" "$2" >>"$sums"
            say "$1 was not known; from now on it is $found"
            wanted=$found
        fi
    fi
    if [ "$found" != "$wanted" ]; then
        rm -f "$file"
        say "$2 is $found and should be $wanted: nothing of it is applied"
        exit 1
    fi
    printf '%s\n' "$file"
}

# Waits until every Deployment of the namespace $1 is available.
available() { kube -n "$1" wait --for=condition=Available deployment --all --timeout=900s; }
