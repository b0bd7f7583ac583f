#!/bin/sh
# Nexus on one machine by Docker Compose: `stack.sh up`, `stack.sh down`, or any other words of `docker compose`.
#   ENGINE=worker (a mock), vllm or sglang    LOGGING=1 adds Kafka, Elasticsearch and Kibana
# Passwords, tokens and the gateway's key are made at the first `up` and are never made again. They are in this folder, or
# in NEXUS_COMPOSE_STATE. NEXUS_BASE is another base of our images than the Dockerfiles'.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
state=${NEXUS_COMPOSE_STATE:-$here}
engine=${ENGINE:-worker}
NEXUS_SECRETS=$state/secrets
IMAGE_REPO=${IMAGE_REPO:-}
export NEXUS_SECRETS IMAGE_REPO

say() { printf 'compose: %s\n' "$*" >&2; }

# A subshell, so that nothing of it stays.
compose() (
    if [ -n "${NEXUS_BASE:-}" ]; then export BASE="$NEXUS_BASE"; else unset BASE; fi
    if [ -n "${LOGGING:-}" ]; then
        set -- --file "$here/logging.yaml" --file "$here/logged.yaml" --env-file "$state/logging.env" "$@"
    fi
    docker compose --file "$here/nexus.yaml" --file "$here/$engine.yaml" --env-file "$here/images.env" \
        --env-file "$state/mlflow.env" --env-file "$state/nexus.env" "$@"
)

passwords() {
    for stack in mlflow nexus ${LOGGING:+logging}; do
        python3 "$here/passwords.py" --of "$stack" "$state/$stack.env"
    done
}

# $1 file, $2 what it holds. Others on this machine cannot enter the folder; the containers' users read what is mounted.
secret() {
    [ -e "$NEXUS_SECRETS/$1" ] || printf '%s' "$2" >"$NEXUS_SECRETS/$1"
    chmod 644 "$NEXUS_SECRETS/$1"
}

receivers() {
    mkdir -p "$NEXUS_SECRETS/alertmanager" "$NEXUS_SECRETS/gateway"
    chmod 700 "$NEXUS_SECRETS"
    chmod 755 "$NEXUS_SECRETS/alertmanager" "$NEXUS_SECRETS/gateway"
    secret alertmanager/webhook-token "$(python3 -c 'import secrets; print(secrets.token_urlsafe(32))')"
    secret alertmanager/slack-url http://127.0.0.1:9/ # where nobody listens, until yours stands here
    secret alertmanager/smtp-password ''
}

# Made in the gateway's own image. Only its digest is kept.
key() {
    file=$NEXUS_SECRETS/gateway/keys.yaml
    [ ! -e "$file" ] || return 0
    made=$(compose run --rm --no-deps --no-TTY gateway keys new --id client)
    printf '%s\n' "$made" | sed 1d >"$file.part"
    chmod 644 "$file.part"
    mv "$file.part" "$file"
    printf '%s\n' "$made" | sed -n '1s/^# //p'
}

up() {
    receivers
    passwords
    compose build
    key
    compose up --detach --wait --remove-orphans
    say "gateway on http://${GATEWAY_ADDRESS:-127.0.0.1:8000}, Prometheus ${PROMETHEUS_ADDRESS:-127.0.0.1:9090}"
    say "Grafana ${GRAFANA_ADDRESS:-127.0.0.1:3000} and MLflow 127.0.0.1:5000, user admin; passwords: $state/*.env"
}

case $engine in
    worker | vllm | sglang) ;;
    *) say "ENGINE is '$engine': give worker, vllm or sglang" && exit 2 ;;
esac
case ${1:-} in
    '') say "say what to do: up, down, or other words of docker compose" && exit 2 ;;
    up) up ;;
    # By its name alone, so that it takes no variable, and takes down whatever engine was started.
    down) docker compose --project-name nexus down ;;
    *) compose "$@" ;;
esac
