#!/bin/sh
# Installs the system tools that tests use and a user may lack, from Debian's packages. Needs root, changes no
# apt source of the machine: kustomize, and docker-compose as it is today, are in Debian since 13, so on an older
# Debian they are taken from there alone.
set -eu

have_postgres() {
    command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1
}

have_kustomize() {
    kustomize version >/dev/null 2>&1 || kubectl kustomize --help >/dev/null 2>&1
}

# Installs the package $1 from Debian 13 and from nowhere else. It may need nothing but what is here.
from_trixie() (
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
    # $(SITE) is apt's own.
    # shellcheck disable=SC2016
    mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | head -n 1)
    keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    echo "deb [signed-by=$keyring] $mirror trixie main" > "$work/trixie.list"
    package=$1
    set -- -o "Dir::Etc::sourcelist=$work/trixie.list" -o "Dir::Etc::sourceparts=-" \
        -o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache" -o "APT::Sandbox::User=root"
    apt-get "$@" update -qq
    cd "$work" && apt-get "$@" download "$package"
    dpkg -i "$work/$package"_*.deb
)

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

# Compiles what of the gateway is in C; without it the gateway runs in Python. Only Debian's Python lacks its headers.
if ! command -v cc >/dev/null; then
    apt-get update -qq
    apt-get install -y --no-install-recommends gcc libc6-dev
fi
if ! python3 -c 'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null; then
    apt-get update -qq
    apt-get install -y --no-install-recommends python3-dev
fi
say "cc: $(cc --version | head -n 1)"

if ! command -v redis-server >/dev/null; then
    apt-get update -qq
    # Tests start servers of their own; one that the package starts would only be in the way.
    apt-get install -y --no-install-recommends -o Dpkg::Options::=--force-confold redis-server
fi
say "redis: $(redis-server --version)"

if ! have_postgres; then
    apt-get update -qq
    mkdir -p /etc/postgresql-common
    echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf # the same
    apt-get install -y --no-install-recommends -o Dpkg::Options::=--force-confold postgresql
fi
say "postgres: $(ls /usr/lib/postgresql 2>/dev/null || command -v initdb)"

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    apt-get update -qq
    apt-get install -y --no-install-recommends nodejs npm
fi
say "node: $(node --version), npm $(npm --version)"

if ! command -v chromium >/dev/null; then
    apt-get update -qq
    apt-get install -y --no-install-recommends chromium
fi
say "chromium: $(chromium --version)"

if ! command -v shellcheck >/dev/null; then
    apt-get update -qq
    apt-get install -y --no-install-recommends shellcheck
fi
say "shellcheck: $(shellcheck --version | sed -n 's/^version: //p')"

# Prints by Go's templates, as Argo CD's ApplicationSets do; no server is asked.
if ! command -v kubectl >/dev/null; then
    from_trixie kubectl
fi
say "kubectl: $(kubectl version --client 2>/dev/null | head -n 1)"

if ! have_kustomize; then
    apt-get update -qq
    apt-get install -y --no-install-recommends kustomize 2>/dev/null || from_trixie kustomize
fi
if command -v kustomize >/dev/null; then say "kustomize: $(kustomize version)"; else say "kustomize: by kubectl"; fi

# Asks the queries by which a new gateway is judged. Tests start servers of their own.
if ! command -v prometheus >/dev/null; then
    apt-get update -qq
    mkdir -p /etc/default
    [ -e /etc/default/prometheus ] || echo 'ARGS="--web.listen-address=127.0.0.1:9090"' > /etc/default/prometheus
    apt-get install -y --no-install-recommends -o Dpkg::Options::=--force-confold prometheus
fi
say "prometheus: $(prometheus --version 2>&1 | head -n 1)"

# Sends alerts on, in tests that start servers of their own.
if ! command -v prometheus-alertmanager >/dev/null; then
    apt-get update -qq
    [ -e /etc/default/prometheus-alertmanager ] ||
        echo 'ARGS="--web.listen-address=127.0.0.1:9093 --cluster.listen-address="' > /etc/default/prometheus-alertmanager
    apt-get install -y --no-install-recommends -o Dpkg::Options::=--force-confold prometheus-alertmanager
fi
say "alertmanager: $(prometheus-alertmanager --version 2>&1 | head -n 1)"

# Runs the health scripts of gitops/argocd/health/, whose dialect is 5.1.
if ! command -v lua5.1 >/dev/null; then
    apt-get update -qq
    apt-get install -y --no-install-recommends lua5.1
fi
say "lua: $(lua5.1 -v 2>&1)"

# Reads Compose files, in tests; nothing is started by it.
if ! docker compose version >/dev/null 2>&1; then
    apt-get update -qq
    command -v docker >/dev/null || apt-get install -y --no-install-recommends docker.io
    from_trixie docker-compose
fi
say "compose: $(docker compose version --short)"

# Loses and refuses packets in the network that `make chaos` has of its own.
if ! command -v iptables >/dev/null || ! command -v ip >/dev/null; then
    apt-get update -qq
    apt-get install -y --no-install-recommends iptables iproute2
fi
say "iptables: $(iptables --version)"

# What `make bench` holds the gateway against. No test needs them, so they are here for who asks: SERVICES=bench.
if [ "${SERVICES:-}" = bench ]; then
    if ! command -v nginx >/dev/null || ! command -v haproxy >/dev/null; then
        apt-get update -qq
        # The packages would start servers of their own, nginx's on port 80.
        if [ ! -e /usr/sbin/policy-rc.d ]; then
            trap 'rm -f /usr/sbin/policy-rc.d' EXIT
            printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
            chmod +x /usr/sbin/policy-rc.d
        fi
        apt-get install -y --no-install-recommends nginx-light haproxy
    fi
    say "nginx: $(nginx -v 2>&1)"
    say "haproxy: $(haproxy -v | head -n 1)"
fi
