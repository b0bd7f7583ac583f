#!/bin/sh
# What runs beside Nexus: doors, certificates, and the controllers behind our kinds.
# shellcheck source=ops/kind/steps.sh
. "$(dirname "$0")/steps.sh"
need docker kubectl curl

ingress_nginx() {
    manifest=$(fetched ingress-nginx "$INGRESS_NGINX_URL" "$INGRESS_NGINX_SHA256")
    kube apply --server-side -f "$manifest"
    available ingress-nginx
}

cert_manager() {
    manifest=$(fetched cert-manager "$CERT_MANAGER_URL" "$CERT_MANAGER_SHA256")
    kube apply --server-side -f "$manifest"
    available cert-manager
}

# Its addresses are the last of Docker's network, which gives its own from the first.
metallb() {
    manifest=$(fetched metallb "$METALLB_URL" "$METALLB_SHA256")
    kube apply --server-side -f "$manifest"
    available metallb-system
    subnet=$(docker network inspect --format '{{range .IPAM.Config}}{{println .Subnet}}{{end}}' kind | grep -v : | head -n 1)
    front=$(printf '%s\n' "$subnet" | cut -d . -f 1-2)
    say "MetalLB gives out $front.255.200 to $front.255.250"
    quiet_kube kustomize "$here/metallb" | sed "s|172\.18\.255|$front.255|g" | kube apply --server-side -f -
}

# Standard mode: Deployments and Services; the gateway asks the Services, so KServe makes no Ingress.
kserve() {
    manifest=$(fetched kserve "$KSERVE_URL" "$KSERVE_SHA256")
    kube apply --server-side --force-conflicts -f "$manifest"
    kube -n kserve patch configmap inferenceservice-config --type merge --patch-file "$here/kserve.yaml"
    kube -n kserve rollout restart deployment kserve-controller-manager
    available kserve
}

argo_cd() {
    quiet_kube get namespace argocd >/dev/null 2>&1 || kube create namespace argocd
    manifest=$(fetched argo-cd "$ARGO_CD_URL" "$ARGO_CD_SHA256")
    kube -n argocd apply --server-side --force-conflicts -f "$manifest"
    available argocd
}

kubeflow_pipelines() {
    kube apply --server-side --force-conflicts -k "$KFP_CLUSTER_FOLDER"
    kube wait --for=condition=Established --timeout=60s crd/pipelines.pipelines.kubeflow.org
    kube apply --server-side --force-conflicts -k "$KFP_FOLDER"
    available kubeflow
}

# After Kubeflow, whose older CRDs of the same kinds these replace; its own controller keeps to its namespace, and so
# does this one.
argo_workflows() {
    quiet_kube get namespace argo >/dev/null 2>&1 || kube create namespace argo
    manifest=$(fetched argo-workflows "$ARGO_WORKFLOWS_URL" "$ARGO_WORKFLOWS_SHA256")
    kube -n argo apply --server-side --force-conflicts -f "$manifest"
    kube -n argo patch configmap workflow-controller-configmap --type merge --patch-file "$here/argo-workflows.yaml"
    kube -n argo patch deployment workflow-controller --type json --patch-file "$here/argo-workflows-controller.yaml"
    available argo
}

ingress_nginx
cert_manager
metallb
kserve
argo_cd
kubeflow_pipelines
argo_workflows
