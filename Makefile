# One verb a need, the same here and in CI.
#   make run      build page and server, start on http://localhost:8080 (TLS=dev: on https, for phones as well)
#   make test     everything that must hold: checks, unit, simulation, browsers
# Longer ones: make prove (every figure that is claimed), make attacks (the relay under attack), make bench, make scoreboard.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := run
.PHONY: run test server-tests check unit sim web web-test whip api e2e lab attacks asvs deploy-check bench scoreboard dashboards prove prove-adaptive prove-backend prove-call prove-data prove-deb prove-egress prove-events prove-forward prove-joins prove-lab prove-nat prove-page prove-recording prove-relay prove-whip doc clean

WEB_STAMP := web/node_modules/.installed
AIORTC := target/aiortc
GSTREAMER := target/gstreamer
API := target/api
MOTO := target/moto
PAGE := web/app/dist/index.html
WEB_SOURCES := $(shell find web/sdk/src web/app -path '*/node_modules' -prune -o -path '*/dist' -prune -o -path '*/paraglide' -prune -o -type f -print 2>/dev/null)
# With them the tests of faults and traces are built with all the others: once, where a build of its own took a hundred seconds. Neither does anything unless
# it is asked for; `make check` reads the crate as it ships.
WITH_HOOKS := --features fault-hooks,otel
comma := ,
say = @echo "==> [$$(date +%H:%M:%S)] $(1)"

run: web
	@scripts/need.sh build
	$(call say,building the server (the first time takes about ten minutes))
	@cargo build --release --locked
	@$(if $(TLS),ALTHING_TLS__MODE=$(TLS) )exec target/release/althing $(ARGS)

web: $(PAGE)

$(WEB_STAMP): web/package-lock.json
	@scripts/need.sh web
	$(call say,installing the page's packages)
	@cd web && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

$(PAGE): $(WEB_STAMP) $(WEB_SOURCES)
	$(call say,building the page)
	@cd web && npm run --silent build
	@touch $@

test:
	@scripts/need.sh build web browsers files lab nat metrics acme python
	$(call say,1/7 page: types$(comma) unit tests$(comma) build)
	@$(MAKE) --no-print-directory web web-test
	$(call say,2/7 server: building with its tests (cold about ten minutes)$(comma) programs of Python)
	@$(MAKE) --no-print-directory -j2 server-tests $(MOTO)/.installed $(AIORTC)/.installed $(API)/.installed
	$(call say,3/7 checks: format$(comma) lints$(comma) architecture)
	@$(MAKE) --no-print-directory check
	$(call say,4/7 unit tests and simulation)
	@$(MAKE) --no-print-directory unit
	$(call say,5/7 WHIP and WHEP with aiortc and FFmpeg$(comma) the HTTP API)
	@$(MAKE) --no-print-directory whip
	@$(MAKE) --no-print-directory api
	$(call say,6/7 browsers)
	@$(MAKE) --no-print-directory e2e
	$(call say,7/7 a browser behind a link that breaks down)
	@$(MAKE) --no-print-directory lab
	$(call say,all passed)

server-tests:
	@cargo build --locked $(WITH_HOOKS) --tests --bins --examples 2>&1 | scripts/progress.sh

check:
	@cargo fmt --check
	@cargo clippy --locked --all-targets -- -D warnings 2>&1 | scripts/progress.sh
	@cargo test --locked $(WITH_HOOKS) --quiet --test architecture

# Programs of Python beside the tests, each in a folder of its own: a server that speaks S3, WebRTC clients, what looks at descriptions.
$(MOTO)/.installed: tests/s3/requirements.txt
$(AIORTC)/.installed: tests/whip/requirements.txt
$(API)/.installed: tests/api/requirements.txt
$(MOTO)/.installed $(AIORTC)/.installed $(API)/.installed:
	@scripts/need.sh python
	$(call say,installing what $< names)
	@python3 -m venv $(@D)
	@$(@D)/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

unit: $(MOTO)/.installed
	@cargo test --locked $(WITH_HOOKS)

sim:
	@ALTHING_SIM_SEED=$(seed) cargo test --locked --test sim -- --nocapture

web-test: $(WEB_STAMP)
	@cd web && npm run --silent check && npm run --silent test

whip: $(AIORTC)/.installed server-tests
	@$(AIORTC)/bin/python tests/whip/aiortc_calls.py target/debug/althing

# Every operation of docs/openapi.json against a real server, each answer and each signaling message held to its description.
api: $(API)/.installed server-tests
	@$(API)/bin/python tests/api/operations.py target/debug/althing

e2e: web
	@scripts/need.sh build browsers lab
	@$(MAKE) --no-print-directory server-tests
	@cd web && npm run --silent e2e

# Needs root, and says loudly when it is skipped without.
lab: web
	@scripts/need.sh build browsers lab nat
	@$(MAKE) --no-print-directory server-tests
	@LAB_SHORT=1 node tests/lab/run.mjs capacity
	$(call say,two browsers behind NATs: holes$(comma) relays$(comma) IPv6$(comma) a server behind a NAT)
	@node tests/lab/nat.mjs --seconds 3 --short

# Every class of attacks with full counts (tests/attacks/classes.json), into docs/proof/attacks.jsonl; `make unit` has a part of it. A build with debug
# assertions, so that a sum that overflows is found, too.
attacks: web
	@scripts/need.sh build web browsers
	$(call say,building the server and the attackers)
	@cargo test --locked --tests --no-run 2>&1 | scripts/progress.sh
	$(call say,the relay: ten classes on loopback (about two minutes))
	@ALTHING_ATTACKS_FULL=1 cargo test --quiet --locked --test attacks -- --nocapture --test-threads=1
	$(call say,media$(comma) signaling and pages)
	@node tests/attacks/run.mjs

# The twelve requirements of OWASP ASVS 5.0, chapter V17, each with the tests that show it.
asvs: web
	@scripts/need.sh build web browsers
	@node tests/attacks/run.mjs --doc --check
	@cargo test --locked --tests --no-run 2>&1 | scripts/progress.sh
	@node tests/attacks/run.mjs --asvs

# Everything in deploy/ by the linters of what it is for; what cannot be had is skipped, and said so. CHECKS="helm proxies": some of them.
deploy-check: web
	@scripts/need.sh build python web
	$(call say,building the server)
	@cargo build --release --locked 2>&1 | scripts/progress.sh
	@deploy/check/run.sh $(CHECKS)

bench:
	@scripts/need.sh build
	$(call say,building the benches (the first time takes about ten minutes))
	@cargo bench --locked --benches --no-run 2>&1 | scripts/progress.sh
	@node scripts/bench.mjs

# Limited links in numbers, beside the committed board; fails where one has become worse. UPDATE_SCOREBOARD=1 writes it anew.
scoreboard:
	@scripts/need.sh build
	@cargo test --locked --test adaptive --no-run 2>&1 | scripts/progress.sh
	$(call say,thirteen scenarios (a minute or two))
	@cargo test --quiet --locked --test adaptive -- --nocapture no_number_of_the_board

prove: prove-call prove-forward prove-adaptive prove-lab prove-nat prove-page prove-recording prove-relay prove-data prove-egress prove-backend

# What it takes to stand behind a product: requirements, attacks, WHIP and WHEP, dashboards and alerts, events over kills, the package; then one table of all
# rows. As root, about an hour. STEPS=dashboards,prove-events: these alone.
prove-backend:
	@node tests/prove/backend.mjs

# Every test with real browsers; `make test` has those that are short.
prove-page: web
	@scripts/need.sh build browsers lab
	@cargo build --locked --tests --bins 2>&1 | scripts/progress.sh
	$(call say,real browsers$(comma) one file after another (about half an hour))
	@node tests/prove/page.mjs

# What a recording costs, whether its time is the wall's, and what a power cut (CUTS=50), a disk with faults, a server that is killed
# (KILLS=100 times) or a full disk leaves.
prove-recording: web
	@scripts/need.sh build browsers files
	$(call say,building the server and the takes)
	@cargo build --release --locked 2>&1 | scripts/progress.sh
	@cargo bench --quiet --locked --bench prove_recording
	$(call say,fifty power cuts and disks with faults (as root, about ten minutes))
	@cargo bench --quiet --locked --bench prove_disk
	$(call say,a hundred kills (about fifteen minutes))
	@E2E_SERVER=$(CURDIR)/target/release/althing node tests/prove/recording.mjs
	$(call say,the library: plays from anywhere, and strangers)
	@node tests/prove/library.mjs

# Althing's worker beside the bare forwarder, into a device that drops everything (as root), and over loopback.
prove-forward: prove-joins
	@scripts/need.sh build lab
	$(call say,building the forwarders)
	@cargo bench --locked --bench prove_forward --no-run 2>&1 | scripts/progress.sh
	$(call say,beside the limit (about fifteen minutes))
	@cargo bench --quiet --locked --bench prove_forward
	@node tests/prove/allocations.mjs prove-forward allocs forward

# Links that carry less than everything: simulations over several seeds, and what it all costs (beside the limit as root).
# ROWS=steady,room measures these alone: drop steady loss_10 loss_30 room engine sweep of_limit. ALTHING_SWEEP=0..500: fewer runs.
prove-adaptive:
	@scripts/need.sh build lab
	$(call say,building the simulation)
	@cargo bench --locked --bench prove_adaptive --no-run 2>&1 | scripts/progress.sh
	$(call say,measuring (all rows: about fifteen minutes$(comma) half of it ten thousand random scenarios))
	@ROWS="$(ROWS)" cargo bench --quiet --locked --bench prove_adaptive

# Ten participants of the webrtc crate for a minute, clean and with loss; lips and ciphers with real browsers.
prove-call: web
	@scripts/need.sh build browsers lab
	$(call say,building the server and the clients)
	@cargo bench --locked --bench prove_call --no-run 2>&1 | scripts/progress.sh
	$(call say,ten participants: 60 s clean$(comma) 60 s with 2 % loss each way)
	@cargo bench --quiet --locked --bench prove_call
	$(call say,allocations per forwarded packet)
	@node tests/prove/allocations.mjs
	$(call say,lips and ciphers in browsers)
	@E2E_SERVER=$(CURDIR)/target/release/althing node tests/prove/lips.mjs

# Real browsers, each in a network namespace behind a way of its own: capacity drops, loss, bursts, jitter. As root.
prove-lab: web
	@scripts/need.sh build browsers lab
	$(call say,building the server and the impaired way)
	@cargo build --locked --bins --example wan 2>&1 | scripts/progress.sh
	$(call say,browsers behind impaired ways (about twelve minutes))
	@node tests/lab/run.mjs --prove

# Direct calls: how long no picture arrives when a third member comes, and when two remain.
prove-nat: web
	@scripts/need.sh build browsers lab nat
	$(call say,building the server)
	@cargo build --release --locked 2>&1 | scripts/progress.sh
	$(call say,two browsers behind every pair of NATs (about half an hour))
	@E2E_SERVER=$(CURDIR)/target/release/althing node tests/lab/nat.mjs --prove
	$(call say,networks that change in the middle of a call (about ten minutes))
	@E2E_SERVER=$(CURDIR)/target/release/althing node tests/lab/move.mjs --prove
	$(call say,three browsers: twenty times to the server and back (about five minutes))
	@E2E_SERVER=$(CURDIR)/target/release/althing node tests/prove/promotion.mjs

# What a join costs beside a bare handshake, 500 who come at once, what a participant holds.
prove-joins:
	@scripts/need.sh build
	$(call say,building the server and the clients)
	@cargo build --release --locked 2>&1 | scripts/progress.sh
	@cargo bench --locked --bench prove_joins --no-run 2>&1 | scripts/progress.sh
	@cargo bench --quiet --locked --bench prove_joins

# Data channels over ways that lose a tenth each way, and ten thousand chunks of each kind that means harm, into docs/proof/data.jsonl; `make unit`
# has a part of it. A build with debug assertions, so that a sum that overflows is found, too.
prove-data:
	@scripts/need.sh build
	$(call say,building the server and its clients)
	@cargo test --locked --test data --no-run 2>&1 | scripts/progress.sh
	$(call say,lossy ways and hostile chunks (about a minute))
	@ALTHING_DATA_FULL=1 cargo test --quiet --locked --test data -- --nocapture --test-threads=1

# A node that is killed again and again during a thousand events: each reaches its receiver, in order, with a signature that another
# implementation takes. Into docs/proof/events.jsonl; `make unit` has a part of it.
prove-events: $(WEB_STAMP)
	@scripts/need.sh build web
	$(call say,building the server and its clients)
	@cargo test --locked --test events --no-run 2>&1 | scripts/progress.sh
	$(call say,kills during a thousand events (about a minute))
	@node tests/prove/events.mjs

prove-egress: $(AIORTC)/.installed $(WEB_STAMP)
	@scripts/need.sh build web python
	$(call say,building the server)
	@cargo build --release --locked 2>&1 | scripts/progress.sh
	$(call say,a server that goes away without a word (half a minute))
	@cargo test --quiet --locked --test egress -- --ignored
	$(call say,a call to a server made of aiortc (half a minute))
	@node tests/prove/egress.mjs $(AIORTC)/bin/python target/release/althing

# A minimal Debian boots, takes the package, and serves calls of browsers after one command. As root.
prove-deb: web
	@scripts/need.sh build web browsers deb
	$(call say,building the server)
	@cargo build --release --locked 2>&1 | scripts/progress.sh
	@node tests/prove/deb.mjs

# Other people's clients by WHIP and WHEP, what is decoded at the far side looked at: aiortc, FFmpeg, libdatachannel (OBS's library), GStreamer's Rust
# plugins, both browsers. As root (Firefox).
prove-whip: web $(AIORTC)/.installed tests/whip/datachannel/node_modules/.installed
	@scripts/need.sh build browsers files lab python gstreamer
	$(call say,building the server$(comma) and GStreamer's elements (the first time takes minutes))
	@cargo build --locked --bins 2>&1 | scripts/progress.sh
	@cargo build --locked --release --manifest-path tests/whip/gstreamer/Cargo.toml --target-dir $(GSTREAMER) 2>&1 | scripts/progress.sh
	$(call say,clients publish and play (about three minutes))
	@node tests/prove/whip.mjs

tests/whip/datachannel/node_modules/.installed: tests/whip/datachannel/package-lock.json
	@scripts/need.sh web
	$(call say,installing libdatachannel)
	@cd tests/whip/datachannel && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

# What a relayed packet costs, beside Debian's coturn: twenty and a hundred clients, in bursts and evenly spaced.
prove-relay:
	@scripts/need.sh build nat
	$(call say,building the server and the clients)
	@cargo build --release --locked 2>&1 | scripts/progress.sh
	@cargo bench --locked --bench prove_relay --no-run 2>&1 | scripts/progress.sh
	$(call say,beside coturn (about five minutes))
	@cargo bench --quiet --locked --bench prove_relay

# Dashboards are what their source says, every panel shows something when a real Prometheus scrapes a node under load, every alert fires and
# stays silent as it should. `make unit` has all of it but the first.
dashboards: deploy/grafana/source/node_modules/.installed $(MOTO)/.installed
	@scripts/need.sh build metrics
	@cd deploy/grafana/source && npm run --silent check
	$(call say,building the node and its callers)
	@cargo test --locked --test observability --no-run 2>&1 | scripts/progress.sh
	$(call say,a node under load$(comma) and every query (about a minute))
	@ALTHING_DASHBOARDS_ROWS=1 cargo test --quiet --locked --test observability -- --nocapture

deploy/grafana/source/node_modules/.installed: deploy/grafana/source/package-lock.json
	@scripts/need.sh web
	$(call say,installing what dashboards are written with)
	@cd deploy/grafana/source && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

doc:
	@cargo doc --locked --no-deps --document-private-items
