# planecheck. `make help` lists the targets.

# The version that the Kubernetes components report. The module carries only a
# placeholder, which clients refuse to parse; see k8s.io/component-base/version.
K8S_VERSION := $(shell awk '$$1 == "k8s.io/kubernetes" { print $$2; exit }' go.mod)
K8S_MAJOR   := $(shell echo $(K8S_VERSION) | sed -E 's/v([0-9]+)\..*/\1/')
K8S_MINOR   := $(shell echo $(K8S_VERSION) | sed -E 's/v[0-9]+\.([0-9]+)\..*/\1/')
# Both packages: the components read the first, client-go's user agent the second.
# Nothing here changes from build to build, so that Go's build cache holds.
K8S_LDFLAGS := $(foreach pkg,k8s.io/component-base/version k8s.io/client-go/pkg/version,\
	-X $(pkg).gitVersion=$(K8S_VERSION) -X $(pkg).gitTreeState=archive \
	-X $(pkg).gitMajor=$(K8S_MAJOR) -X $(pkg).gitMinor=$(K8S_MINOR))
VERSION := $(shell git describe --always --dirty 2>/dev/null || echo unknown)

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.7.0

# All packages but the two small ones that link k8s.io/kubernetes, whose analysis would
# take minutes (a test in scenarios/rules sees to it that there are no others).
LIGHT = $$(go list ./... | grep -v -e /component$$ -e planecheck$$)

# Those with tests that need no control plane.
UNITS = $$(go list ./... | grep -v -e /component$$ -e planecheck$$ -e /scenarios$$)

# Those that judge hundreds of histories, or have an etcd in their process: with the race
# detector they take five times as long, which CI has not got. make race has.
HEAVY = /apiserver/storage$$ -e /storage/lies$$ -e /storage/memory$$ -e /checkers/oracle$$ -e /checkers/power -e /checkers/api/ \
	-e /checkers/versions$$ -e /checkers/storage -e /checkers/judge$$ -e /history/archive$$ -e /contract/store$$ -e /scenarios/faults$$ -e /scenarios/bench$$

# What `make scale` runs; empty: sized to the machine.
NODES ?=
PODS ?=
PROFILE ?= kubelet
ARGS ?=

.PHONY: help build quick scale test unit race suite long matrix kwok power power-store power-runs power-api power-histories power-etcd power-known power-lies1 power-lies2 power-broken1 power-broken2 power-page power-readme seeds reach known fidelity lint clean

help: ## this text
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## bin/planecheck (a cold build of Kubernetes takes 5 minutes and more)
	@mkdir -p bin
	go build -ldflags "$(K8S_LDFLAGS) -X main.version=$(VERSION)" -o bin/planecheck .

# The drain took as long as the fill, and together most of two minutes. What ARGS says
# comes later, and wins: ARGS=--drain.
quick: build ## 100 nodes, 3,000 pods: fill, a short hold and churn, no drain; one to two minutes; ARGS=
	bin/planecheck scale --nodes 100 --pods 3000 --hold 5s --churn-pods 150 --churn-rate 20 --drain=false $(ARGS)

scale: build ## the main job; NODES= PODS= PROFILE=lean|kubelet ARGS= (default: sized to the machine)
	bin/planecheck scale --profile $(PROFILE) $(if $(NODES),--nodes $(NODES)) $(if $(PODS),--pods $(PODS)) $(ARGS)

test: lint unit suite ## everything that CI runs
	@$(SUBMAKE) --no-print-directory power QUICK=1

unit: ## the tests without a control plane, the light ones with the race detector (all: make race)
	go test -timeout 60m -run '^TestBinary$$' ./apiserver/storage/kine # builds kine, once for this machine: minutes
	go test -timeout 60m -race $$(echo $(UNITS) | tr ' ' '\n' | grep -v -e $(HEAVY))
	go test -timeout 60m -parallel 4 $$(echo $(UNITS) | tr ' ' '\n' | grep -e $(HEAVY)) # they wait for elections, and for leases to end

race: ## the tests without a control plane, all of them with the race detector
	go test -timeout 60m -race $(UNITS)
	go test -ldflags "$(K8S_LDFLAGS)" -timeout 60m -race -skip '^TestScenarios$$' ./scenarios

# A run of this size waits for most of its time, so two specs run at once, but for one
# whose pace yields to whatever else runs: it is Serial.
suite: build ## the tests with a real control plane (long ones: make long, lies: make power); how long each took: build/suite.json
	@mkdir -p build
	go test -ldflags "$(K8S_LDFLAGS)" -o scenarios/scenarios.test -skip '^TestScenarios$$' ./scenarios
	go tool ginkgo --procs 2 --output-interceptor-mode none --timeout 30m --label-filter '!long && !power' \
		--json-report suite.json --output-dir build scenarios/scenarios.test -- -test.run '^TestScenarios$$'

long: build ## the long specs too (6 h and more); a part: LABELS='long && nodes' (etcd apiserver controllers nodes clients interrupt power), FOCUS=faults/ha-etcd
	go test -ldflags "$(K8S_LDFLAGS)" -v -timeout 0 ./scenarios -ginkgo.timeout 24h \
		$(if $(LABELS),-ginkgo.label-filter '$(LABELS)') $(if $(FOCUS),-ginkgo.focus '$(FOCUS)')

matrix: build ## guarantees by backends, into the README (3 minutes a backend); BACKENDS= separated by blanks
	rm -rf build/matrix && mkdir -p build/matrix && : > build/matrix/absent
	for b in $(or $(BACKENDS),etcd kine-sqlite kine-postgres kine-mariadb kine-nats kine-memory kine-t4 memory); do \
		runs=build/matrix/$$(echo $$b | tr ':=,' '---'); status=0; \
		bin/planecheck run '$(or $(SCENARIO),contract/storage)' --backend $$b --nodes 20 --pods 100 --runs $$runs 2> $$runs.err || status=$$?; \
		cat $$runs.err >&2; \
		test $$status -ne 130 || exit 130; \
		ls $$runs/*/run.json > /dev/null 2>&1 || echo "$$b $$(tail -n 1 $$runs.err)" >> build/matrix/absent; \
	done
	bin/planecheck matrix --absent build/matrix/absent $$(ls -dtr build/matrix/*/*/ 2> /dev/null) > build/matrix.md
	sed -i -e '/^<!-- matrix -->$$/,/^<!-- end of matrix -->$$/{//!d}' -e '/^<!-- matrix -->$$/r build/matrix.md' README.md
	@! grep -E '^\* .* was (not run|cut short)' build/matrix.md >&2

kwok: build ## measure the simulation beside KWOK v0.8.0; NODES= PODS= ROUNDS=
	@mkdir -p build
	cd sim/kwok && go mod tidy -diff && go build -o ../../build/kwok . && go vet ./...
	go build -o build ./sim/kwokbench ./sim/kwokbench/simulator
	build/kwokbench --planecheck bin/planecheck --simulator build/simulator --kwok build/kwok $(if $(NODES),--nodes $(NODES)) $(if $(PODS),--pods $(PODS)) $(if $(ROUNDS),--rounds $(ROUNDS))

power: build ## what the checkers see: lies in histories, and live before etcd and API servers, into docs/power.md and the README (QUICK=1: minutes, into build/); MUTANTS= SEEDS=
	@mkdir -p build && rm -rf build/api-lies.* build/broken.* build/power-* && date +%s > build/power-began
	go test -ldflags "$(K8S_LDFLAGS)" -c -o scenarios/scenarios.test ./scenarios
	@$(SUBMAKE) --no-print-directory -j 2 power-store power-runs
	@$(SUBMAKE) --no-print-directory -j 2 power-lies1 power-lies2
	@$(SUBMAKE) --no-print-directory -j 2 power-api power-etcd power-histories
	@$(SUBMAKE) --no-print-directory -j 2 power-broken1 power-broken2
	@$(SUBMAKE) --no-print-directory VERSION=$(VERSION) power-page > $(if $(QUICK),build,docs)/power.md
	@$(if $(QUICK),,$(SUBMAKE) --no-print-directory VERSION=$(VERSION) power-readme)
	@echo "see $(if $(QUICK),build,docs)/power.md"

# A recipe that names $(MAKE) itself is run by make -n, too, which would lose the page.
SUBMAKE = $(MAKE)

# The parts of power, two at a time. Judging mutants takes all the CPU that it gets and
# waits for nothing, so it stands behind: a live run waits for most of its time, and must
# not be kept from what its clock says. Of live parts only halves run at once, of the lies
# before API servers and of what is broken on purpose: what they ask for is that it is seen,
# however late.
power-store:
	PLANECHECK_POWER_TABLE=$(CURDIR)/build/power-store.md PLANECHECK_POWER=$(or $(MUTANTS),$(if $(QUICK),20,200)) \
		nice -n 19 go test -count=1 -v -timeout 60m ./checkers/power -run TestPower

power-runs:
	bin/planecheck run $(if $(QUICK),contract/api,$(CLEAN) --count 5) --nodes 20 --pods 100 --runs build/power-runs

power-api:
	PLANECHECK_POWER_TABLE=$(CURDIR)/build/power-api.md PLANECHECK_POWER_RUNS=$$(echo $(CURDIR)/build/power-runs/* | tr ' ' ':') \
		PLANECHECK_POWER=$(or $(MUTANTS),$(if $(QUICK),10,200)) nice -n 19 go test -count=1 -v -timeout 120m ./checkers/power/api -run TestPower

power-histories:
	PLANECHECK_POWER_TABLE=$(CURDIR)/build/power-histories.md PLANECHECK_POWER=$(or $(MUTANTS),$(if $(QUICK),10,200)) \
		PLANECHECK_POWER_RUNS=$$(echo $(CURDIR)/build/power-runs/* | tr ' ' ':') \
		GOGC=200 nice -n 19 go test -count=1 -v -timeout 120m ./checkers/power -run TestRecorded

# An etcd with a known bug beside the one that is linked, each case in so many clusters: it
# has to be built, which takes minutes, so a quick run leaves it out.
power-known:
	PLANECHECK_POWER_TABLE=$(CURDIR)/build/power-known.md PLANECHECK_KNOWN=$(or $(KNOWN),6) \
		go test -count=1 -v -timeout 30m ./apiserver/storage/known -run 'Etcd$$'

power-etcd: $(if $(QUICK),,power-known)
	PLANECHECK_POWER_TABLE=$(CURDIR)/build/power-etcd.md PLANECHECK_LIES_SEEDS=$(or $(SEEDS),$(if $(QUICK),1,8)) \
		go test -count=1 -v -timeout 60m ./apiserver/storage/lies -run 'TestCatalogue$$'

power-lies1 power-lies2 power-broken1 power-broken2:
	cd scenarios && PLANECHECK_LIES_TABLE=$(CURDIR)/build/api-lies.md PLANECHECK_BROKEN_TABLE=$(CURDIR)/build/broken.md \
		./scenarios.test -test.run TestScenarios -test.v \
		-ginkgo.timeout 6h -ginkgo.label-filter 'power && $(subst power-,,$@)$(if $(QUICK), && !long)'

power-page:
	@echo "# What the checkers see"; echo
	@echo "Written by \`make power\` on $$(date -u +%F), planecheck $(VERSION). What the columns mean is in docs/power-how.md."
	@echo; echo "## Lies in histories of a generated store"; echo; cat build/power-store.md
	@echo; echo "## Lies in recorded runs of a control plane"; echo; cat build/power-api.md
	@echo; echo "## Lies in the store's histories of recorded runs"; echo; cat build/power-histories.md
	@echo; echo "## A liar before a live etcd"; echo; cat build/power-etcd.md
	@echo; echo "## A known bug of a released etcd"; echo; echo "[#18667](https://github.com/etcd-io/etcd/issues/18667); who is asked, and who is written to next, goes round."; echo; cat build/power-known.md 2>/dev/null || echo "A quick run builds no other version of etcd."
	@echo; echo "## A liar before two live API servers"; echo; echo "| lie | told | breaks | failed |"; echo "|---|---|---|---|"; sort build/api-lies.md
	@echo; echo "## What no lie puts to the test"; echo; $(if $(QUICK),echo "A quick run breaks no control plane and cannot tell.",go run ./checkers/power/readme -parts build -unproven)
	@echo; echo "## Control planes that are broken on purpose"; echo; echo "| run | breaks | failed |"; echo "|---|---|---|"; sort build/broken.md 2>/dev/null | grep . || echo "| none in this run | | |"

power-readme:
	{ echo && echo "Written by \`make power\` on $$(date -u +%F), planecheck $(VERSION), in $$((($$(date +%s) - $$(cat build/power-began)) / 60)) minutes." && echo && \
		go run ./checkers/power/readme -parts build $(addprefix -seeds ,$(SEEDED) $(REACHED)) -runs "$$(echo bin/planecheck run $(CLEAN) as a part of this)" build/power-runs/* && \
		echo; } > build/power-readme.md
	sed -i -e '/^<!-- power -->$$/,/^<!-- end of power -->$$/{//!d}' -e '/^<!-- power -->$$/r build/power-readme.md' README.md

# The scenarios of clean runs, half of which have faults, and what make seeds leaves of them for the README.
CLEAN = 'contract/(api|faults)'
SEEDED = docs/clean-seeds.json
REACHED = docs/clean-reach.json

seeds: build ## clean runs under contradicting clients, half of them with faults: nothing may fail (an hour, with make reach); SEEDS= of each half
	rm -rf build/seeds build/seeds-*.log; mkdir -p build/seeds; status=0; \
	seq $(or $(SEEDS),25) | xargs -P 2 -I N $(SUBMAKE) --no-print-directory seed-N || status=$$?; \
	test $$status -lt 124 || exit $$status; \
	go run ./checkers/power/readme -runs "make seeds" -save $(SEEDED) build/seeds/* || exit $$?; \
	$(SUBMAKE) --no-print-directory reach && exit $$status

# What those do not reach: ends of members of the store, changes of leaders, failures of
# nodes, rollouts, Jobs, and namespaces that are removed; one seed in five.
reach: build ## clean runs that reach what those of make seeds do not (20 min); SEEDS= as there
	rm -rf build/reach build/reach-*.log; mkdir -p build/reach; status=0; \
	seq $$((($(or $(SEEDS),25) + 4) / 5)) | xargs -P 2 -I N $(SUBMAKE) --no-print-directory reach-N || status=$$?; \
	test $$status -lt 124 || exit $$status; \
	go run ./checkers/power/readme -runs "make reach" -save $(REACHED) $$(ls -d build/reach/* | grep -v -e -twin) && exit $$status

reach-%:
	@status=0; bin/planecheck run 'faults/(etcd-kill|leaders-kill|nodes-tenth)' --seed $* --runs build/reach > build/reach-$*.log 2>&1 || status=$$?; \
	test $$status -lt 124 || exit $$status; \
	bin/planecheck run scale/density --seed $* --nodes 20 --pods 300 --hold 5s --churn-pods 150 \
		--manifest scenarios/testdata/jobs.yaml --copies 5 --runs build/reach >> build/reach-$*.log 2>&1 || status=$$?; \
	sed -n -e '/-twin: /d' -e 's/^[a-z]*\/[^ ]*: /seed $*: &/p' build/reach-$*.log; exit $$status

# One seed. A run of this size waits for most of its time, so two of them fit on two cores.
seed-%:
	@status=0; bin/planecheck run $(CLEAN) --nodes 20 --pods 100 --seed $* --runs build/seeds > build/seeds-$*.log 2>&1 || status=$$?; \
	sed -n 's/^contract[^ ]*: /seed $*: &/p' build/seeds-$*.log; exit $$status

known: ## known bugs of released etcd, bad version and good, and of two versions of kine; KNOWN= repetitions
	cd apiserver/storage/oldetcd && go vet ./...
	PLANECHECK_KNOWN=$(or $(KNOWN),6) go test -count=1 -v -timeout 20m ./apiserver/storage/known
	PLANECHECK_KNOWN=1 go test -count=1 -v -timeout 60m -run Kine ./apiserver/storage ./apiserver/storage/kine

fidelity: ## compare a simulated node with a hollow kubelet (links the kubelet, so CI does not run it)
	cd sim/fidelity/hollow && go vet ./... && go test -ldflags "$(K8S_LDFLAGS)" -timeout 10m ./...

# gofmt reads the nested modules, too. To vet them means to compile what they link, from
# 150 packages more (the kubelet) to 690 (KWOK), which is minutes without a cache; and
# KWOK's tidy downloads for a minute. make fidelity, known and kwok, which compile it all
# anyway, do that; here a test in scenarios/rules compares their go.mod with their imports.
lint: ## gofmt, vet, staticcheck, tidy
	@test -z "$$(gofmt -l .)" || { echo "gofmt -l lists:"; gofmt -l .; exit 1; }
	go vet ./...
	go run $(STATICCHECK) $(LIGHT)
	go mod tidy -diff
	cd sim/fidelity/hollow && go mod tidy -diff
	cd apiserver/storage/oldetcd && go mod tidy -diff

clean: ## remove what was built and measured
	rm -rf bin build runs
