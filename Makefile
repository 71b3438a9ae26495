# Building and judging flow2ipfix. "make test" is the one command that a change
# has to pass; the other targets are its steps, and "make help" lists them all.

SHELL       := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# A go.work above the tree, or go flags of the caller's, must not change what is
# built. The version is stamped below, so git is not asked a second time by go.
export GOWORK  := off
# Without C, as the program is released; the race detector alone needs it. One way for
# all means that nothing is compiled twice.
export CGO_ENABLED := 0
export GOFLAGS := -buildvcs=false -trimpath

TOOLS    := $(CURDIR)/.tools
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS  := -X main.version=$(VERSION)
FUZZTIME ?= 5s
BENCH    ?= .
KINDS    ?= vnet nsg v6
RUNS     ?= 5
FULL     ?=
LATENCIES ?= 5ms
COLLECTORS ?= tcp
SCENES   ?= 5
BURST    ?= 1000000

# The tools come first in the path, then the collectors, which Debian puts where
# only root looks.
export PATH := $(TOOLS):$(PATH):/usr/sbin:/sbin

# The modules with code of our own: the product, and test/, which needs what the
# product must never link. "./..." does not go from one into the other.
MODULES := . test

STEPS := peers tools fmt-check lint build unit fuzz judges daemon others

.PHONY: help
help: ## list the targets
	@echo 'usage: make TARGET [VARIABLE=VALUE...]'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo 'variables: FUZZTIME=$(FUZZTIME) for fuzz; KINDS="$(KINDS)" RUNS=$(RUNS) FULL=$(FULL) LATENCIES="$(LATENCIES)" COLLECTORS="$(COLLECTORS)" for bench; BENCH=$(BENCH) for microbench; BURST=$(BURST) for burst; SCENES=$(SCENES) for daemon; ARCHES="$(ARCHES)" for dist'

.PHONY: build
build: ## build bin/flow2ipfix
	go build -ldflags '$(LDFLAGS)' -o bin/flow2ipfix ./cmd/flow2ipfix

.PHONY: test
test: ## everything a change has to pass: all the steps below, in order
	@for step in $(STEPS); do \
		printf '\n== %s\n' "$$step"; start=$$SECONDS; \
		$(MAKE) --no-print-directory "$$step" || { echo "== $$step failed after $$((SECONDS - start)) s" >&2; exit 1; }; \
		echo "== $$step took $$((SECONDS - start)) s"; \
	done; \
	printf '\n== all steps passed in %s s: $(STEPS)\n' "$$SECONDS"

.PHONY: peers
peers: ## install the collectors that judge us (Debian packages), and gcc
	@test/setup.sh

# Each module under tools/ pins its programs and all they are made of. A stamp
# says what was installed from which go.sum.
.PHONY: tools
tools: $(TOOLS)/.tools.stamp $(TOOLS)/.golangci-lint.stamp $(TOOLS)/.goflow2.stamp $(TOOLS)/.telegraf.stamp $(TOOLS)/.nfpm.stamp ## install the development tools into .tools/
	@echo "tools in $(TOOLS):"
	@echo "  gofumpt       $$(gofumpt --version)"
	@echo "  staticcheck   $$(staticcheck --version)"
	@echo "  golangci-lint $$(golangci-lint version --short)"
	@echo "  benchstat     $$(go version -m $(TOOLS)/benchstat | awk '$$1 == "mod" { print $$3 }')"
	@echo "  goflow2       $$(go version -m $(TOOLS)/goflow2 | awk '$$1 == "mod" { print $$3 }')"
	@echo "  telegraf      $$(go version -m $(TOOLS)/telegraf | awk '$$1 == "mod" { print $$3 }')"
	@echo "  nfpm          $$(go version -m $(TOOLS)/nfpm | awk '$$1 == "mod" { print $$3 }')"

$(TOOLS)/.tools.stamp: tools/go.mod tools/go.sum
	@mkdir -p $(TOOLS)
	GOBIN=$(TOOLS) go -C tools install tool
	@touch $@

# Of Telegraf only the plugins that the tests use.
TAGS_telegraf := custom,inputs.netflow,outputs.file,serializers.json,serializers.influx

$(TOOLS)/.%.stamp: tools/%/go.mod tools/%/go.sum
	@mkdir -p $(TOOLS)
	GOBIN=$(TOOLS) go -C tools/$* install -tags '$(TAGS_$*)' tool
	@touch $@

.PHONY: fmt
fmt: tools ## format the tree with gofumpt
	gofumpt -w .

.PHONY: fmt-check
fmt-check: tools ## say which files gofumpt would change
	@files=$$(gofumpt -l .); \
	if [ -n "$$files" ]; then printf 'not formatted, run "make fmt":\n%s\n' "$$files" >&2; exit 1; fi; \
	echo "gofumpt: nothing to change"

.PHONY: vet
vet: ## go vet
	@for module in $(MODULES); do echo "go vet ./... in $$module"; go -C "$$module" vet ./...; done

.PHONY: lint
lint: tools ## golangci-lint, with vet and staticcheck in it
	@golangci-lint config verify --config $(CURDIR)/.golangci.yml
	@rc=0; for module in $(MODULES); do \
		echo "golangci-lint run in $$module"; (cd "$$module" && golangci-lint run --config $(CURDIR)/.golangci.yml ./...) || rc=1; \
	done; exit $$rc

.PHONY: unit
unit: ## the packages' own tests, with the race detector and in random order
	@# flowlog starts no goroutine, and is six times slower with the race detector; of
	@# that it keeps the checks of pointers. So do those that have large pages, which are
	@# left to the Go runtime where the detector is.
	test/race.sh -timeout 10m $$(go list ./... | grep -v '/flowlog$$')
	go test -shuffle=on -timeout 5m -gcflags=-d=checkptr ./flowlog ./convert/starts ./internal/largepages
	cd test && ./race.sh -timeout 5m ./azureexamples/... ./bench/... ./expect/...

.PHONY: fuzz
fuzz: ## every fuzz target of the tree for FUZZTIME
	@test/fuzz.sh $(FUZZTIME)

.PHONY: judges
judges: tools ## the whole program against real collectors
	@# In its folder, so that go shows what it prints: the collectors' versions.
	cd test/judges && go test -count=1 -timeout 15m

.PHONY: burst
burst: tools ## BURST flow records at the default rates to nfcapd, nfacctd and goflow2 beside each other: none is lost; judges has a short one
	cd test/judges && FLOW2IPFIX_JUDGES_BURST=$(BURST) go test -count=1 -run TestBurst -v -timeout 10m

.PHONY: interop
interop: tools ## the matrix of docs/COLLECTORS.md, docs/RECIPES.md, what collector-config prints, metrics, and the status page in a browser
	@# The matrix mostly waits for nfacctd, which prints once a second.
	cd test/interop && go test -count=1 -parallel 8 -timeout 5m
	cd test/recipes && go test -count=1 -timeout 5m
	cd test/collectorside && go test -count=1 -timeout 5m
	cd test/telemetry && go test -count=1 -timeout 5m
	cd test/page && go test -count=1 -timeout 5m

# npm writes the hidden lock file when it is done.
AZURITE := test/azurite/node_modules/.package-lock.json

$(AZURITE): test/azurite/package-lock.json test/azurite/package.json test/azurite/.npmrc
	npm --prefix test/azurite ci
	@touch $@

.PHONY: daemon
daemon: $(AZURITE) ## the daemon before Azurite, a bad network and collectors that come and go
	@# Most of the time the scenarios wait, so more of them run at once than there
	@# are processors.
	cd test/daemon && go test -count=1 -parallel $(SCENES) -timeout 15m

.PHONY: service
service: ## the unit: what systemd says of it, and the daemon below its settings, under a notify socket
	cd test/service && go test -count=1 -parallel 8 -timeout 5m

ARCHES ?= amd64 arm64

.PHONY: dist
dist: $(TOOLS)/.nfpm.stamp ## a release in dist/: deb, rpm, tar.gz and bill of materials for ARCHES, and SHA256SUMS
	packaging/build.sh dist $(ARCHES)
	@cat dist/SHA256SUMS

# A fresh Debian, from Debian's mirrors.
$(TOOLS)/debian-12.tar: test/packages/base.sh
	@mkdir -p $(TOOLS)
	test/packages/base.sh $@

.PHONY: package-test
package-test: $(TOOLS)/.nfpm.stamp $(TOOLS)/debian-12.tar ## the packages: the same bytes twice, lintian and rpmlint, installed, upgraded, removed, purged
	cd test/packages && go test -count=1 -timeout 10m

# These stand being two at a time. judges and daemon do not: datagrams get lost, and
# deadlines pass, where a collector does not get its share of the machine.
.PHONY: others
others: tools ## interop, service and package-test, two at a time
	@$(MAKE) --no-print-directory -j 2 --output-sync=target interop service package-test

# What was measured is kept for the summary and the chart.
RESULTS := $(CURDIR)/bin/bench.json
MEASURE  = go -C test run ./bench/cmd/$(1) -root $(CURDIR) -flow2ipfix $(CURDIR)/bin/flow2ipfix

.PHONY: bench
bench: build $(TOOLS)/.tools.stamp ## all that docs/PERFORMANCE.md says, measured in its order; FULL=1 with 100 million tuples
	@rm -f $(RESULTS)
	go -C test run ./bench/cmd/limits -results $(RESULTS)
	go -C test run ./bench/cmd/parts -root $(CURDIR) -results $(RESULTS)
	$(call MEASURE,sending) -runs $(RUNS) -results $(RESULTS)
	@for kind in $(KINDS); do $(call MEASURE,compare) -kind "$$kind" -runs $(RUNS) -results $(RESULTS) || exit 1; done
	@$(MAKE) --no-print-directory profile
	$(call MEASURE,growth) -runs $(RUNS) $(if $(FULL),-full)
	@for latency in $(LATENCIES); do for collector in $(COLLECTORS); do \
		$(call MEASURE,simulate) -minutes 2 -poll 30s -latency "$$latency" -collector "$$collector" || exit 1; \
	done; done
	$(call MEASURE,start)
	@go -C test run ./bench/cmd/summary -results $(RESULTS)

.PHONY: profile
profile: ## where a replay spends its time and memory; profiles for go tool pprof in bin/profiles
	$(call MEASURE,profile) -kinds '$(KINDS)' -out $(CURDIR)/bin/profiles -results $(RESULTS)

.PHONY: chart
chart: ## docs/performance.svg, of what "make bench" has measured
	go -C test run ./bench/cmd/summary -results $(RESULTS) -svg $(CURDIR)/docs/performance.svg

.PHONY: microbench
microbench: ## the packages' own benchmarks, one after the other
	go test -run '^$$' -bench '$(BENCH)' -benchmem ./...

.PHONY: clean
clean: ## remove what make made
	rm -rf bin dist .tools test/azurite/node_modules
