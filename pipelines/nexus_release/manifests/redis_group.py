"""Three Redis pods of which one leads, and a Sentinel beside each, which say who: two of them make another lead.

A pod that starts asks the Sentinels who leads, and follows. Where none answers, since all start at once, the first one
leads: what only another had is lost then, which of counters and kept answers is little.
"""

from __future__ import annotations

PODS = 3
SENTINEL_PORT = 26379
GROUP = "nexus"
SCRIPTS = "/etc/redis/nexus"
SENTINEL_FOLDER = "/run/sentinel"
_DOWN_MILLISECONDS, _FAILOVER_MILLISECONDS = 5000, 10000


def scripts(port: int, auth: str) -> dict[str, str]:
    """File -> shell script. `NODES` names the pods in their order, `HOSTNAME` ends in this one's number."""
    return {"leader.sh": _leader(auth), "redis.sh": _redis(port), "sentinel.sh": _sentinel(port)}


def nodes(redis: str, service: str, namespace: str, domain: str) -> str:
    """Names by which the pods know each other, and gateways are told who leads."""
    return " ".join(f"{redis}-{number}.{service}.{namespace}.{domain}" for number in range(PODS))


def _leader(auth: str) -> str:
    return f"""# Who this pod is, and who leads: what a Sentinel says, else the first.
own() {{
    number=${{HOSTNAME##*-}}
    set -- $NODES
    shift "$number"
    echo "$1"
}}
password() {{
    sed -n 's/^requirepass //p' {auth}/auth.conf
}}
leader() {{
    for node in $NODES; do
        found=$(REDISCLI_AUTH="$(password)" timeout 2 redis-cli -h "$node" -p {SENTINEL_PORT} --raw \\
            sentinel get-master-addr-by-name {GROUP} 2>/dev/null | head -n 1) || true
        case $found in
            "" | *[!a-zA-Z0-9.-]*) ;; # silence, or an error's words
            *) echo "$found" && return ;;
        esac
    done
    echo "${{NODES%% *}}"
}}
"""


def _redis(port: int) -> str:
    return f"""set -eu
. {SCRIPTS}/leader.sh
own=$(own)
leader=$(leader)
set -- {SCRIPTS}/redis.conf --replica-announce-ip "$own"
[ "$leader" = "$own" ] || set -- "$@" --replicaof "$leader" {port}
exec redis-server "$@"
"""


def _sentinel(port: int) -> str:
    return f"""set -eu
. {SCRIPTS}/leader.sh
own=$(own)
leader=$(leader)
password=$(password)
cat > {SENTINEL_FOLDER}/sentinel.conf <<END
port {SENTINEL_PORT}
dir {SENTINEL_FOLDER}
requirepass $password
sentinel sentinel-pass $password
sentinel resolve-hostnames yes
sentinel announce-hostnames yes
sentinel announce-ip $own
sentinel announce-port {SENTINEL_PORT}
sentinel monitor {GROUP} $leader {port} 2
sentinel auth-pass {GROUP} $password
sentinel down-after-milliseconds {GROUP} {_DOWN_MILLISECONDS}
sentinel failover-timeout {GROUP} {_FAILOVER_MILLISECONDS}
END
exec redis-server {SENTINEL_FOLDER}/sentinel.conf --sentinel
"""
