#!/bin/sh
# Installs the system tools that tests use and a user may lack, from Debian's packages. Needs root, changes no
# apt source of the machine: kustomize is in Debian since 13, so on an older Debian it is taken from there alone.
set -eu

have_kustomize() {
    kustomize version >/dev/null 2>&1 || kubectl kustomize --help >/dev/null 2>&1
}

say() { printf 'services: %s\n' "$*"; }

if ! command -v apt-get >/dev/null; then
    say "no apt-get here: install git and kustomize (or kubectl) by your system's packages"
    exit 1
fi

if ! command -v git >/dev/null; then
    apt-get update -qq
    apt-get install -y --no-install-recommends git
fi
say "git: $(git --version)"

if ! command -v redis-server >/dev/null; then
    apt-get update -qq
    # Tests start servers of their own; one that the package starts would only be in the way.
    apt-get install -y --no-install-recommends -o Dpkg::Options::=--force-confold redis-server
fi
say "redis: $(redis-server --version)"

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    apt-get update -qq
    apt-get install -y --no-install-recommends nodejs npm
fi
say "node: $(node --version), npm $(npm --version)"

if ! have_kustomize; then
    apt-get update -qq
    if ! apt-get install -y --no-install-recommends kustomize 2>/dev/null; then
        work=$(mktemp -d)
        trap 'rm -rf "$work"' EXIT
        mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
        mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | head -n 1)
        keyring=/usr/share/keyrings/debian-archive-keyring.gpg
        echo "deb [signed-by=$keyring] $mirror trixie main" > "$work/trixie.list"
        set -- -o "Dir::Etc::sourcelist=$work/trixie.list" -o "Dir::Etc::sourceparts=-" \
            -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache" -o "APT::Sandbox::User=root"
        apt-get "$@" update -qq
        (cd "$work" && apt-get "$@" download kustomize)
        dpkg -i "$work"/kustomize_*.deb
    fi
fi
if command -v kustomize >/dev/null; then say "kustomize: $(kustomize version)"; else say "kustomize: by kubectl"; fi
