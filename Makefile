# `make` alone prints this menu. Every target works from a fresh clone with Python 3.11 to 3.13, git and make.
PYTHON ?= python3
BIN := .venv/bin
STATE ?= .nexus
# What `make update` gives to each lock: nothing is raised but by it.
RAISE ?=
LOCK = $(BIN)/uv pip compile $(RAISE) --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11
RUN_EXTRAS := --extra gateway --extra worker --extra release --extra forges --extra train --group tools
# PyTorch's own index of CPU builds; the wheels are named by hash in requirements/torch.txt.
TORCH_INDEX := https://download.pytorch.org/whl/cpu
DEMO_FLAGS ?=
# A file's tests stay together, since they share what the file has started.
SIDE_BY_SIDE := --numprocesses=logical --maxprocesses=4 --dist=loadfile --no-loadscope-reorder
# What takes longest stands at the end of a run, so that whoever makes it quicker knows where.
SLOWEST := --durations=30 --durations-min=5
# ENGINE=vllm serves by a real vLLM on the CPU instead of our own worker.
ifdef ENGINE
export NEXUS_ENGINE := $(ENGINE)
endif
# Whose gateway serves, in C where that can be built, and what that is made of.
SERVING := .venv .venv-litellm
NATIVE := $(wildcard gateway/native/*.* gateway/native/nexus_native/*.*) requirements/native.txt ops/build_native.py
ENGINE_SETUP := $(if $(filter vllm,$(ENGINE)),setup-vllm)
# Every process would compile its imports anew without bytecode: MLflow alone takes 15 s then.
export PYTHONDONTWRITEBYTECODE =
# Trust what the machine trusts: a company's registry often has a company's certificate.
export UV_SYSTEM_CERTS = 1
export NODE_EXTRA_CA_CERTS ?= $(wildcard /etc/ssl/certs/ca-certificates.crt)

.DEFAULT_GOAL := help
# Every word of the menu is a target and no file; a list of them by hand would be forgotten.
.PHONY: $(shell sed -nE 's/^([a-z-]+):.*/\1/p' $(MAKEFILE_LIST))

help: ## print this menu
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: setup $(ENGINE_SETUP) ## the whole loop on this machine: dataset, release, answer, canary, promotion, rollback
	$(BIN)/nexus demo $(DEMO_FLAGS)

up: setup $(ENGINE_SETUP) ## the same, and stay up: gateway, MLflow, engines
	$(BIN)/nexus demo --stay $(DEMO_FLAGS)

down: ## stop what `make up` started
	@if [ -x $(BIN)/nexus ]; then $(BIN)/nexus down; fi

setup: $(STATE)/setup/run $(STATE)/setup/native ## make .venv with nexus, nexus-gateway and nexus-worker

setup-dev: $(STATE)/setup/dev $(STATE)/setup/native ## the same with everything that tests and checks need

setup-vllm: $(STATE)/setup/vllm ## make .venv-vllm: a real vLLM on the CPU, for ENGINE=vllm

setup-checks: $(STATE)/setup/checks-node ## make tests/node/node_modules: checkers that run on Node

setup-clients: $(STATE)/setup/clients-python $(STATE)/setup/clients-node ## make .venv-clients and node_modules: what people ask the gateway with

setup-litellm: $(STATE)/setup/litellm $(STATE)/setup/native ## make .venv-litellm: a gateway with the extra for hosted providers

setup-airflow: $(STATE)/setup/airflow ## make .venv-airflow: Airflow, for the DAGs of dags/

setup-kfp: $(STATE)/setup/kfp ## make .venv-kfp: Kubeflow Pipelines' SDK, for the pipeline of pipelines/

setup-check: $(STATE)/setup/check ## make .venv-check: what check-pr needs in a CI, and no more

setup-hera: $(STATE)/setup/hera ## make .venv-hera: Hera, which renders workflows/

setup-docs: $(STATE)/setup/docs ## make .venv-docs: what makes a site of the documents

setup-bento: $(STATE)/setup/bento ## make .venv-bento: BentoML, which packs and serves the worker's engine

setup-bench: $(STATE)/setup/bench ## make .venv-bench: the gateways of others that `make bench` compares

test: setup-dev setup-checks setup-clients setup-litellm setup-airflow setup-kfp setup-hera setup-bento setup-docs ## run the tests
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) $(SLOWEST) $(PYTEST_FLAGS)

orchestrators: setup-dev setup-airflow setup-kfp setup-hera ## run the tests of every engine that runs releases
	$(BIN)/python -m pytest tests/orchestrators $(PYTEST_FLAGS)

serving: setup-dev setup-clients setup-litellm setup-bento ## run the tests of what answers and of who asks: engines, gRPC, BentoML, LiteLLM, clients
	$(BIN)/python -m pytest tests/serving tests/clients tests/gateway/test_grpc_upstream.py tests/gateway/test_litellm_upstream.py \
	  tests/gateway/test_import_litellm.py $(PYTEST_FLAGS)

test-clients: setup-dev setup-clients ## run the tests of the clients alone
	$(BIN)/python -m pytest tests/clients $(PYTEST_FLAGS)

check: setup-dev setup-kfp setup-hera ## lint, types, locks and generated files fresh, rendered manifests true
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python ops/check_fresh.py locks generated workflows
	$(BIN)/python ops/compatibility/check_public.py
	$(BIN)/nexus render --check
	$(BIN)/nexus policy
	$(MAKE) --no-print-directory scripts policy-tests

scripts: ## look at every shell script by shellcheck, those without .sh too
	@if command -v shellcheck >/dev/null; then shellcheck --external-sources $$(git ls-files '*.sh'; git grep -l '^#!/bin/sh' ops ':!*.sh'); \
	else echo "==> no shellcheck here (make services installs it): scripts are not looked at"; fi

policy-tests: setup-dev ## hold every environment's policy tests, and break each rule of its policies to see them fail
	@for environment in $(patsubst environments/%/policy-tests.yaml,%,$(wildcard environments/*/policy-tests.yaml)); do \
	  echo "==> $$environment"; \
	  $(BIN)/nexus-gateway policy-test gitops/$$environment/gateway/routes.d \
	    --tests environments/$$environment/policy-tests.yaml --mutants policies --min-coverage 100 || exit 1; done

ops: setup-dev scripts ## check everything under ops/ by its own tools and servers (make services installs them)
	$(BIN)/python -m pytest tests/ops tests/repo/test_kind.py tests/repo/test_cost_rules.py $(PYTEST_FLAGS)

check-pr: setup-check ## prove what a pull request claims: BASE=origin/main HEAD=HEAD; needs Git and the whole history
	.venv-check/bin/nexus check-pr --base "$(or $(BASE),origin/main)" --head "$(or $(HEAD),HEAD)" $(CHECK_PR_FLAGS)

fmt: setup-dev ## format and mend what the linter can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: setup-dev ## compile requirements/*.txt from pyproject.toml
	$(LOCK) pyproject.toml $(RUN_EXTRAS) --extra kserve --extra otlp --extra presidio --group dev -o requirements/dev.txt
	$(LOCK) pyproject.toml $(RUN_EXTRAS) -c requirements/dev.txt -o requirements/run.txt
	$(LOCK) pyproject.toml --extra remote-data -c requirements/dev.txt -o requirements/remote-data.txt
	$(LOCK) pyproject.toml --extra gateway -c requirements/dev.txt -o requirements/gateway.txt
	$(LOCK) pyproject.toml --extra worker -c requirements/dev.txt -o requirements/worker.txt
	$(LOCK) --override requirements/vllm.overrides requirements/vllm.in -o requirements/vllm.txt
	$(LOCK) pyproject.toml requirements/check.in --extra forges --extra gateway -c requirements/dev.txt -o requirements/check.txt
	$(LOCK) requirements/clients.in -o requirements/clients.txt
	$(LOCK) pyproject.toml --extra gateway --extra litellm -o requirements/litellm.txt
	$(LOCK) requirements/airflow.in -o requirements/airflow.txt
	$(LOCK) requirements/kfp.in -o requirements/kfp.txt
	$(LOCK) requirements/hera.in -o requirements/hera.txt
	$(LOCK) requirements/docs.in -o requirements/docs.txt
	$(LOCK) pyproject.toml --extra worker requirements/bento.in -o requirements/bento.txt
	$(LOCK) requirements/bench.in -o requirements/bench.txt
	$(LOCK) requirements/native.in -o requirements/native.txt

update: setup-dev ## raise what is depended on as pyproject.toml allows: all, or PACKAGE=httpx alone
	$(MAKE) --no-print-directory lock RAISE="$(if $(PACKAGE),--upgrade-package $(PACKAGE),--upgrade)"
	@echo "==> read git diff requirements/, then: make check test"

generate: setup-dev setup-kfp setup-hera ## write every generated file anew
	$(BIN)/python ops/generate_contract.py serving/contracts
	$(BIN)/python ops/write_dashboards.py ops/grafana/dashboards
	$(BIN)/nexus schema > environments/schema.json
	$(BIN)/nexus schema --of record > gitops/record.schema.json
	$(BIN)/nexus policy --rules > docs/reference/object-rules.md
	for group in gateway slo canary engines costs logs watchdog; do \
	  $(BIN)/nexus rules $$group > ops/prometheus/rules/$$group.yaml || exit 1; done
	$(BIN)/nexus rules --page > docs/reference/alerts.md
	$(BIN)/nexus-gateway schema > gateway/routes.schema.json
	$(BIN)/nexus-gateway schema --of log > gateway/log.schema.json
	$(BIN)/nexus-gateway schema --of audit > gateway/audit.schema.json
	$(BIN)/nexus-gateway schema --of decisions > gateway/decision.schema.json
	$(BIN)/nexus-gateway schema --of openapi > gateway/openapi.json
	$(BIN)/nexus-gateway schema --of policy-tests > gateway/policy-tests.schema.json
	$(BIN)/nexus-gateway reference log > docs/reference/log-schema.md
	$(BIN)/nexus-gateway reference errors > docs/reference/errors.md
	$(BIN)/nexus-gateway reference settings > docs/reference/settings.md
	$(BIN)/nexus-gateway reference metrics > docs/reference/metrics.md
	$(BIN)/python ops/write_cli_reference.py > docs/reference/cli.md
	for page in http environment record; do \
	  $(BIN)/python ops/reference/write_page.py $$page > docs/reference/$$page.md || exit 1; done
	$(BIN)/python ops/kibana/saved_objects.py > ops/kibana/saved_objects.ndjson
	for name in gateway-logs gateway-audit gateway-unparsed; do \
	  $(BIN)/python ops/elasticsearch/index_templates.py $$name > ops/elasticsearch/$$name.template.json || exit 1; done
	.venv-kfp/bin/python pipelines/release_kfp.py compile > pipelines/release_kfp.yaml
	.venv-kfp/bin/python pipelines/release_kfp.py compile --kubernetes > pipelines/release_kfp_kubernetes.yaml
	.venv-hera/bin/python workflows/release_hera.py
	$(BIN)/nexus render

overlay: ## print gitops/overlays/NAME with our images from IMAGE_REPO by IMAGE_TAG: make overlay | kubectl apply -f -
	@ops/overlay.sh "$(or $(NAME),mock)" "$(IMAGE_REPO)" "$(or $(IMAGE_TAG),local)"

overlay-secrets: setup ## print the Secrets that an overlay's pods wait for, new ones: make overlay-secrets | kubectl apply -f -
	@$(BIN)/python ops/overlay_secrets.py

bom: setup ## write what each image's packages are to .nexus/bom: CycloneDX, from the locks
	@mkdir -p $(STATE)/bom
	$(BIN)/nexus bom requirements/run.txt requirements/torch.txt --name nexus-run > $(STATE)/bom/run.cdx.json
	@for lock in remote-data gateway worker litellm vllm airflow kfp hera bento; do \
	  $(BIN)/nexus bom requirements/$$lock.txt --name nexus-$$lock > $(STATE)/bom/$$lock.cdx.json || exit 1; done
	@ls $(STATE)/bom

serve-vllm: setup-vllm ## MODEL=FOLDER [NAME=... PORT=8001]: serve a checkpoint by a real vLLM on the CPU
	ops/serve-vllm.sh '$(MODEL)' '$(NAME)' '$(PORT)'

serve-sglang: ## MODEL=FOLDER [NAME=... PORT=30000], or MODEL_ID=...: serve by an SGLang that is installed, on a GPU
	ops/serve-sglang.sh '$(MODEL)' '$(NAME)' '$(PORT)'

bento: setup setup-bento ## pack the worker's engine for BentoML; then: .venv-bento/bin/bentoml containerize TAG
	BENTOML_HOME=$(abspath $(STATE))/bentoml BENTOML_DO_NOT_TRACK=True $(BIN)/python ops/build_bento.py

kfp-upload: setup-kfp ## upload the pipeline for ENV=dev to the KFP server at KFP_HOST
	.venv-kfp/bin/python pipelines/release_kfp.py upload --env $(or $(ENV),dev)

load: setup-dev ## SCENARIO=smoke|baseline|spike [URL=... MODEL=...]: ends by its thresholds; without SCENARIO all, into docs/reports/load.md
	$(BIN)/python -m tests.bench.scenario_load $(or $(SCENARIO),--page docs/reports/load.md) $(if $(URL),--url "$(URL)") \
	  $(if $(MODEL),--model "$(MODEL)")

chaos: setup-dev ## SCENARIO=NAME [EDGE=native]: strike a running stack and see that it does as declared; without SCENARIO all, on each edge, into docs/reports/chaos.md
	$(BIN)/python -m tests.chaos.scenarios $(if $(SCENARIO),--only $(SCENARIO) $(if $(EDGE),--edges $(EDGE)),--page docs/reports/chaos.md)

chaos-swaps: setup-dev ## a gateway under load through 1,000 configurations, a third of them bad, with engines and Redis failing
	$(BIN)/python -m tests.chaos.gateway --swaps 1000 $(CHAOS_FLAGS)

canary-simulation: setup-dev ## write docs/benchmarks-canary.md: false alarms and detection times over a thousand canaries (2 min of CPU)
	$(BIN)/python -m tests.simulations.canary docs/benchmarks-canary.md

soak: setup-dev ## MINUTES=10 of load on one gateway; prints the slope of its memory, its files and its loop's lag
	$(BIN)/python -m tests.chaos.soak --minutes $(or $(MINUTES),10)

many-routes: setup-dev ## ROUTES=10000 route files: how long until a change is served, and how late the loop is meanwhile
	$(BIN)/python -m tests.chaos.many_routes --routes $(or $(ROUTES),10000)

bench-engines: setup-dev ## write docs/benchmarks-engines.md: one load on all of ENGINES="NAME=URL ...", or on what starts here
	$(BIN)/python -m tests.bench.engines docs/benchmarks-engines.md $(STATE)/benchmarks-engines.json --engines "$(ENGINES)" $(BENCH_FLAGS)

bench: setup-dev setup-bench ## write docs/benchmarks.md: the gateway beside others, by turns; BENCH_FLAGS=--quick for a look
	$(BIN)/python -m tests.bench.gateways.side_by_side docs/benchmarks.md $(STATE)/benchmarks.json $(BENCH_FLAGS)

bench-stages: setup-dev ## what each stage of a request costs the gateway in user space: the table of docs/architecture.md
	$(BIN)/python -m tests.bench.gateway_stages

bench-guard: setup-dev ## hold what the gateway costs against the committed ratio to a bare proxy: fails where 10 % is lost
	$(BIN)/python -m tests.bench.gateways.guard $(BENCH_FLAGS)

bench-routing: setup-dev ## write docs/benchmarks-routing.md: hit ratios and waits by strategy, load and number of gateways (20 min of CPU; BENCH_FLAGS=--quick PAGE=...)
	$(BIN)/python -m tests.simulations.routing $(or $(PAGE),docs/benchmarks-routing.md) $(or $(PICTURES),docs/pictures) $(BENCH_FLAGS)

.PHONY: bench-routing-peers
bench-routing-peers: setup-dev setup-bench ## write the part of that page on real gateways: vllm-router, sglang-router, smg and ours before mock engines (15 min)
	$(BIN)/python -m tests.simulations.routing.real $(or $(PAGE),docs/benchmarks-routing.md) $(BENCH_FLAGS)

gpu: setup-dev ## the tests that need an NVIDIA GPU and a vLLM for it: GPU_PYTHON=..., GPU_MODEL=...; ON_CPU=1 proves the tests alone
	$(BIN)/python -m pytest -rs tests/gpu $(PYTEST_FLAGS)

chaos-release: setup-dev ## kill a release at every single effect, fill its disk, take its registry away: an hour
	$(BIN)/python -m tests.chaos.release --long $(CHAOS_FLAGS)

kind: setup setup-hera setup-kfp ## a real cluster in Docker, and the demo's loop on it: Argo CD, KServe, Argo Workflows, KFP, MLflow
	ops/kind/up.sh

kind-down: ## take that cluster down
	ops/kind/down.sh

compose: ## gateway, MLflow, Prometheus, Grafana by Docker Compose; ENGINE=vllm|sglang MODEL_ID=..., LOGGING=1
	ops/compose/stack.sh up

compose-down: ## stop it, and keep its volumes
	ops/compose/stack.sh down

images: setup setup-hera setup-kfp ## build and push our images of HEAD to IMAGE_REPO by IMAGE_TAG; ENV=dev proposes their digests on a branch
	ops/images.sh

restore-drill: setup-dev ## destroy a Nexus of a stated size, put it back by the clock, and write docs/benchmarks-restore.md
	$(BIN)/python -m tests.chaos.restore_drill docs/benchmarks-restore.md $(DRILL_FLAGS)

services: ## install the system tools that some tests use (Debian, root)
	ops/services.sh

crds: ## download the upstream CRDs that rendered manifests are held against
	$(PYTHON) ops/download_crds.py crds

docs: setup-docs ## make the site of the documents in .nexus/site, with every link checked
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build # --quiet would let warnings pass
	@echo "==> $(STATE)/site/index.html"

docs-demo: setup $(ENGINE_SETUP) ## write docs/demo.md from the last run of the demo
	$(BIN)/python -m nexus_release.demo.transcript $(STATE)/demo.md docs/demo.md

docs-pictures: setup-dev setup-kfp ## make docs/pictures/ anew: a release by KFP's local runner, in Chromium: minutes
	$(BIN)/python -m tests.orchestrators.pictures docs/pictures

console-pictures: setup-dev ## make the console's pictures in docs/pictures/ anew, in Chromium: a minute
	$(BIN)/python -m tests.console.pictures docs/pictures

console-vendor: setup-dev setup-clients ## copy what the console is made of from npm's packages, at the versions of tests/clients/node
	$(BIN)/python ops/vendor_console.py

clean: down ## remove everything that make has made
	rm -rf $(STATE) .venv .venv-vllm .venv-clients .venv-litellm .venv-airflow .venv-kfp .venv-hera .venv-check .venv-bento .venv-bench .venv-docs tests/clients/node/node_modules tests/node/node_modules

# --- environments -----------------------------------------------------------------------------------------------

# .venv is laid by one make at a time, however many there are in this clone.
ALONE = @$(PYTHON) ops/alone.py $(STATE)/setup/.venv.lock

$(BIN)/uv: requirements/dev.txt
	$(ALONE) $@ $^ -- $(MAKE) --no-print-directory install-uv

install-uv:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "Nexus needs Python 3.11, 3.12 or 3.13; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12"; exit 2; }
	@echo "==> .venv with uv, by its hash"
	@$(PYTHON) -m venv .venv || { echo "Python's venv module is missing (Debian: apt-get install python3-venv)"; exit 2; }
	@mkdir -p $(STATE)
	@awk '/^uv==/{take=1} take{print} take&&!/\\$$/{exit}' requirements/dev.txt > $(STATE)/uv.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(STATE)/uv.txt
	@touch $(BIN)/uv

# What one lock holds and no more, then torch, which the locks leave out, then Nexus itself.
define install
	@mkdir -p $(STATE)/setup
	@echo "==> $(1)"
	UV_COMPILE_BYTECODE=1 UV_CONCURRENT_INSTALLS=4 $(BIN)/uv pip sync --python $(BIN)/python $(1)
	@echo "==> torch, its CPU build"
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps --retries 0 --require-hashes \
	  --extra-index-url $(TORCH_INDEX) -r requirements/torch.txt
	@$(BIN)/python -c 'import sys, torch; sys.exit(torch.version.cuda is not None)' || \
	  { echo "torch is a CUDA build; requirements/torch.txt names the CPU wheels"; exit 1; }
	@echo "==> Nexus"
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e .
	$(BIN)/python -m compileall -q pipelines gateway serving # else the first start of each does it, and keeps that memory
	$(call with_native,.venv)
endef

# A sync takes out what no lock names, so it is laid in again where it has been built.
define with_native
	@for wheel in $(STATE)/native/*.whl; do \
	  [ ! -e "$$wheel" ] || $(BIN)/uv pip install --quiet --python $(1) --no-deps --reinstall "$$wheel" || exit 1; done
endef

# An environment beside it, .venv-$(1), with what its own lock holds; $(2) is its size.
define environment
	@echo "==> .venv-$(1) ($(2))"
	$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python .venv-$(1)
	UV_COMPILE_BYTECODE=1 $(BIN)/uv pip sync --python .venv-$(1)/bin/python requirements/$(1).txt
endef

# The same with Nexus itself in it, without what Nexus would ask for besides.
define environment_with_nexus
	$(call environment,$(1),$(2))
	$(BIN)/uv pip install --quiet --python .venv-$(1)/bin/python --no-deps -e .
	$(if $(filter .venv-$(1),$(SERVING)),$(call with_native,.venv-$(1)))
endef

# Where development's tools are, they stay: what has become old is then brought up to date with them.
$(STATE)/setup/run: requirements/run.txt requirements/torch.txt pyproject.toml | $(BIN)/uv
	$(ALONE) $@ $^ -- $(MAKE) --no-print-directory install-run

install-run:
	@if [ -e $(STATE)/setup/dev ]; then $(MAKE) --no-print-directory $(STATE)/setup/dev && touch $(STATE)/setup/run; else $(MAKE) --no-print-directory install-run-alone; fi

install-run-alone:
	$(call install,requirements/run.txt)
	@touch $(STATE)/setup/run

$(STATE)/setup/dev: requirements/dev.txt requirements/torch.txt pyproject.toml | $(BIN)/uv
	$(ALONE) $@ $^ -- $(MAKE) --no-print-directory install-dev

install-dev:
	$(call install,requirements/dev.txt)
	@touch $(STATE)/setup/run $(STATE)/setup/dev

# Without a compiler nothing is touched: whoever gets one has it by the next make.
$(STATE)/setup/native: $(NATIVE) | $(BIN)/uv
	$(ALONE) $@ $^ -- $(MAKE) --no-print-directory install-native

install-native:
	@$(BIN)/python ops/build_native.py $(STATE)/native $(SERVING)
	@if [ -d $(STATE)/native ]; then mkdir -p $(STATE)/setup && touch $(STATE)/setup/native; fi

# vLLM's pins disagree with llm-compressor's, so it has an environment of its own.
$(STATE)/setup/vllm: requirements/vllm.txt requirements/torch.txt | $(STATE)/setup/run
	$(call environment,vllm,3 GB)
	$(BIN)/python -m pip --python .venv-vllm/bin/python install --disable-pip-version-check --no-deps --retries 0 \
	  --require-hashes --extra-index-url $(TORCH_INDEX) -r requirements/torch.txt
	@touch $@

# Some clients hold `openai` below the version that Nexus has, so they have an environment of their own.
$(STATE)/setup/clients-python: requirements/clients.txt | $(STATE)/setup/run
	$(call environment,clients,450 MB)
	@touch $@

# LiteLLM's proxy, the routers of vLLM and SGLang, and smg; only `make bench` and `make bench-routing-peers` want them.
$(STATE)/setup/bench: requirements/bench.txt | $(STATE)/setup/run
	$(call environment,bench,740 MB)
	@touch $@

# Environments that hold Nexus too. litellm holds `openai`, Airflow `fastapi`, kfp `kubernetes` and `protobuf` below the
# versions that Nexus has elsewhere; Hera renders workflows/ and runs nothing, so nobody else's lock should carry it.
SIZE_litellm := 300 MB
SIZE_airflow := 270 MB
SIZE_kfp := 90 MB
SIZE_hera := 60 MB
SIZE_bento := 310 MB
WITH_NEXUS := $(addprefix $(STATE)/setup/,litellm airflow kfp hera bento)
$(WITH_NEXUS): $(STATE)/setup/%: requirements/%.txt pyproject.toml | $(STATE)/setup/run $(STATE)/setup/native
	$(call environment_with_nexus,$*,$(SIZE_$*))
	@touch $@

# A CI makes it from nothing for each pull request.
$(STATE)/setup/check: requirements/check.txt pyproject.toml | $(BIN)/uv
	$(call environment_with_nexus,check,60 MB)
	@mkdir -p $(@D) && touch $@

$(STATE)/setup/docs: requirements/docs.txt | $(STATE)/setup/run
	$(call environment,docs,130 MB)
	@mkdir -p $(@D) && touch $@

# Without npm (`make services` installs it) the tests of clients on Node, and those that use a checker of Node, are skipped.
define node_modules
	@mkdir -p $(@D)
	@if command -v npm >/dev/null; then \
	  echo "==> $(1)/node_modules ($(2))" && \
	  npm ci --prefix $(1) --ignore-scripts --no-audit --no-fund && touch $@; \
	else echo "==> no npm here: $(1) is left out"; fi
endef

$(STATE)/setup/clients-node: tests/clients/node/package-lock.json
	$(call node_modules,tests/clients/node,100 MB)

$(STATE)/setup/checks-node: tests/node/package-lock.json
	$(call node_modules,tests/node,11 MB)
