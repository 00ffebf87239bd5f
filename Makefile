# `make` or `make help` lists what can be done here. Every target runs on a
# fresh clone with Go and a shell; what else a target uses, it says.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# Static and stripped: one file to copy, nothing to install beside it.
GO_BUILD = CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)'
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

.DEFAULT_GOAL := help
.PHONY: help build test test-large lint demo bench soak synth test-infra programs

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build the programs, static, into bin/
	@mkdir -p bin
	$(GO_BUILD) -o bin/ ./cmd/...

test: ## run all tests with the race detector
	go test -race -parallel 8 -timeout 15m ./...

test-large: ## test archives of 5 GB and of 200,000 files, and their memory (needs unzip)
	go test -count=1 -run '^TestLarge$$' -timeout 10m ./cmd/codebuild-bridge

lint: ## check formatting, go vet, staticcheck (and shellcheck where it is installed)
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$unformatted" ]; then echo "not gofmt'ed (run gofmt -w):"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	go run $(STATICCHECK) ./...
	@if command -v shellcheck >/dev/null; then shellcheck $$(git ls-files '*.sh' .ci/run ':!infra'); else echo "shellcheck is not installed: shell scripts were not checked"; fi

demo: build ## run GitLab CI jobs on Fargate, all of it on this machine
	bin/localaws demo

bench: build ## measure the targets of docs/performance.md, each against its peer
	go run ./bench

SOAK_ROUNDS ?= 1000
SOAK_TIME ?= 90m
soak: ## run 1,000 jobs of 100 MiB over a network that breaks all the time
	@mkdir -p bin
	$(GO_BUILD) -o bin/coordinator ./cmd/coordinator
	go test -count=1 -v -run '^TestSoak$$' -timeout 2h ./internal/sshexec -args -soak.agent=$(CURDIR)/bin/coordinator \
		-soak.rounds=$(SOAK_ROUNDS) -soak.time=$(SOAK_TIME) -soak.mib=100 -soak.flap=5

# The deployment (infra/cdk) is a module of its own. It needs Node 22 or 24
# beside Go (20 works too, with a warning that it is out of support).
INFRA_ENV = JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION=20
PROFILE ?= small
SETTINGS ?= profiles/$(PROFILE).toml

programs: ## build the manager's programs for infra/cdk, for both architectures
	for arch in amd64 arm64; do mkdir -p infra/cdk/build/$$arch && GOOS=linux GOARCH=$$arch $(GO_BUILD) -o infra/cdk/build/$$arch/ ./cmd/fargate-driver ./cmd/fargate-driver-run || exit 1; done

synth: programs ## show what would be deployed: PROFILE=small, team or closed, or SETTINGS=file (needs Node)
	@cd infra/cdk && rm -rf cdk.out && $(INFRA_ENV) SETTINGS=$(SETTINGS) CDK_OUTDIR=cdk.out go run . && go run ./show cdk.out

test-infra: ## test infra/cdk: settings, permissions, templates, host scripts (needs Node; cfn-lint, ruby and jq where installed)
	@cd infra/cdk/promises && npm ci --silent --no-audit --no-fund || echo "npm could not install cfn-guard: the rules of promises.guard are not checked"
	cd infra/cdk && go vet ./... && go run $(STATICCHECK) ./...
	cd infra/cdk && go test -race ./settings ./access ./render ./template ./show
	cd infra/cdk && $(INFRA_ENV) go test -p 1 -timeout 20m . ./stacks
	@if command -v cfn-lint >/dev/null; then cd infra/cdk && cfn-lint --non-zero-exit-code warning -- stacks/testdata/golden/*.json && echo "cfn-lint: the templates are clean"; else echo "cfn-lint is not installed: it did not check the templates"; fi
