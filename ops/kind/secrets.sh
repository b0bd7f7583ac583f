#!/bin/sh
# What is in no commit: volumes, a database, passwords and keys. Passwords are made once and kept under .nexus/kind.
# shellcheck source=ops/kind/steps.sh
. "$(dirname "$0")/steps.sh"
need kubectl openssl

git_url=http://git.nexus-git.svc.cluster.local/nexus.git
gateway=${NEXUS_GATEWAY_BIN:-$root/.venv/bin/nexus-gateway}

# Prints the password $1, which is made when it is first asked for.
password() {
    [ -s "$state/$1.password" ] || (umask 077 && openssl rand -hex 16 >"$state/$1.password")
    cat "$state/$1.password"
}

# $1 namespace, $2 name, then kubectl's own words. Nothing of it is printed but the name.
secret() {
    space=$1
    name=$2
    shift 2
    say "Secret $space/$name"
    quiet_kube -n "$space" create secret generic "$name" "$@" --dry-run=client --output yaml |
        quiet_kube apply --server-side -f - >/dev/null
}

for space in nexus-dev nexus-release nexus-mlflow nexus-postgres; do
    quiet_kube get namespace "$space" >/dev/null 2>&1 || kube create namespace "$space"
done
kube apply --server-side -f "$here/volumes.yaml"

secret nexus-postgres postgres --from-literal=password="$(password postgres)"
kube apply --server-side -f "$here/postgres.yaml"

mlflow=$(password mlflow)
secret nexus-mlflow nexus-mlflow-server \
    --from-literal=MLFLOW_BACKEND_STORE_URI="postgresql+psycopg2://mlflow:$(password postgres)@postgres.nexus-postgres.svc.cluster.local:5432/mlflow" \
    --from-literal=MLFLOW_AUTH_ADMIN_PASSWORD="$mlflow" \
    --from-literal=MLFLOW_FLASK_SERVER_SECRET_KEY="$(password flask)"

secret nexus-release nexus-git --from-literal=NEXUS_REMOTE="$git_url"
secret nexus-release nexus-git-push --from-literal=NEXUS_PUSH_REMOTE="$git_url"
secret nexus-release nexus-git-canary --from-literal=NEXUS_PUSH_REMOTE="$git_url"
secret nexus-release nexus-mlflow --from-literal=MLFLOW_TRACKING_USERNAME=admin --from-literal=MLFLOW_TRACKING_PASSWORD="$mlflow"
secret nexus-release nexus-hub --from-literal=HF_TOKEN=none
secret nexus-release nexus-signing --from-file=NEXUS_SIGNING_KEY="$state/signing.pem"

[ -s "$state/keys.yaml" ] || (umask 077 && "$gateway" keys new --id kind --admin >"$state/keys.yaml")
secret nexus-dev nexus-gateway-keys --from-file=keys.yaml="$state/keys.yaml"
secret nexus-dev nexus-gateway-probe --from-literal=NEXUS_GATEWAY_KEY="$(sed -n 's/^# the key.*: //p' "$state/keys.yaml")"

(umask 077 && printf 'requirepass %s\n' "$(password redis)" >"$state/redis-auth.conf")
secret nexus-dev nexus-redis --from-file=auth.conf="$state/redis-auth.conf" \
    --from-literal=url="redis://:$(password redis)@nexus-redis.nexus-dev.svc.cluster.local:6379/0"
