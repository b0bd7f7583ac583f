#!/bin/sh
# A cluster in Docker, and a registry beside it that its nodes pull from by the name that this machine pushes to.
# shellcheck source=ops/kind/steps.sh
. "$(dirname "$0")/steps.sh"
need docker kind kubectl

[ "$(docker container inspect --format '{{.State.Running}}' nexus-registry 2>/dev/null)" = true ] ||
    run docker run --detach --restart always --publish 127.0.0.1:5001:5000 --name nexus-registry "$REGISTRY_IMAGE"

if kind get clusters 2>/dev/null | grep -qx nexus; then
    say "the cluster is there"
else
    case $(kind version) in
        *"$KIND_VERSION"*) ;;
        *) say "kind $KIND_VERSION is what this was written for: $(kind version)" ;;
    esac
    chmod 0777 "$state/nexus" # pods write it as user 1000
    sed "s|STATE|$state|" "$here/cluster.yaml" >"$state/cluster.yaml"
    run kind create cluster --config "$state/cluster.yaml" --image "$NODE_IMAGE" --wait 5m
fi

for node in $(kind get nodes --name nexus); do
    docker exec "$node" mkdir -p "/etc/containerd/certs.d/$registry"
    printf '[host."http://nexus-registry:5000"]\n' |
        docker exec --interactive "$node" cp /dev/stdin "/etc/containerd/certs.d/$registry/hosts.toml"
done
docker network inspect --format '{{range .Containers}}{{println .Name}}{{end}}' kind | grep -qx nexus-registry ||
    run docker network connect kind nexus-registry
