#!/bin/sh
# The environment dev in a clone that may be thrown away: our images' digests, a signing key, the cluster's own remote.
# Rendered, committed and pushed: from here on everything comes of Git.
# shellcheck source=ops/kind/steps.sh
. "$(dirname "$0")/steps.sh"
need git openssl kubectl curl

inside=http://git.nexus-git.svc.cluster.local/nexus.git
nexus=${NEXUS_BIN:-$root/.venv/bin/nexus}
hera=${NEXUS_HERA_PYTHON:-$root/.venv-hera/bin/python}
kfp=${NEXUS_KFP_PYTHON:-$root/.venv-kfp/bin/python}

# Sets `where`: NEXUS_KIND_REMOTE, or the cluster's own through a tunnel that ends with this script.
remote() {
    where=${NEXUS_KIND_REMOTE:-}
    [ -z "$where" ] || return 0
    quiet_kube -n nexus-git port-forward service/git 5002:80 >/dev/null &
    forward=$!
    trap 'kill "$forward"' EXIT
    run curl --silent --output /dev/null --retry 30 --retry-connrefused --retry-delay 1 http://127.0.0.1:5002/
    where=http://127.0.0.1:5002/nexus.git
}

signing_key() {
    [ -s "$state/signing.pem" ] || (umask 077 && openssl ecparam -name prime256v1 -genkey -noout -out "$state/signing.pem")
    mkdir -p "$clone/environments/keys"
    openssl ec -in "$state/signing.pem" -pubout -out "$clone/environments/keys/kind.pem" 2>/dev/null
}

settings() {
    cp "$here/environment.yaml" "$clone/environments/dev/settings.yaml"
    while read -r name reference; do
        key=$(printf '%s_IMAGE' "$name" | tr '[:lower:]' '[:upper:]')
        sed -i "s|$key|$reference|" "$clone/environments/dev/settings.yaml"
    done <"$state/images"
    sed -i "s|^  url: .*|  url: $inside|" "$clone/gitops/argocd/repository.yaml"
}

# The environment, the workflows and the pipeline, which all name our images.
rendered() (
    cd "$clone"
    run "$nexus" render dev
    run "$hera" workflows/release_hera.py dev
    run "$kfp" pipelines/release_kfp.py compile --kubernetes >"$state/pipeline.yaml"
    mv "$state/pipeline.yaml" pipelines/release_kfp_kubernetes.yaml
)

[ -d "$clone" ] || run git clone --quiet "$root" "$clone"
remote
# First what has landed since, so that it is rendered with what is new.
if git -C "$clone" fetch --quiet "$where" main 2>/dev/null; then
    run git -C "$clone" -c user.name=kind -c user.email=kind@localhost rebase --quiet --autostash FETCH_HEAD
fi
signing_key
settings
rendered
git -C "$clone" add --all
git -C "$clone" diff --cached --quiet ||
    run git -C "$clone" -c user.name=kind -c user.email=kind@localhost commit --quiet --message "Bring up dev on kind"
run git -C "$clone" push --quiet "$where" HEAD:main
