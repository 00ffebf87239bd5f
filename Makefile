# `make` or `make help` lists what can be done here. Every target runs on a
# fresh clone with Go and a shell; what else a target uses, it says.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# Static and stripped: one file to copy, nothing to install beside it.
GO_BUILD = CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)'
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

.DEFAULT_GOAL := help
.PHONY: help build test lint demo bench soak

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build the programs, static, into bin/
	@mkdir -p bin
	$(GO_BUILD) -o bin/ ./cmd/...

test: ## run all tests with the race detector
	go test -race -parallel 8 -timeout 15m ./...

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
