#!/usr/bin/env bash
# need.sh WHAT...: makes sure that what a verb needs is there. As root on Debian or Ubuntu it installs it; else it
# names the exact command. WHAT is one of: build web browsers files lab nat metrics acme python deb gstreamer
set -euo pipefail

missing=()
want() { # want COMMAND PACKAGE
  command -v "$1" >/dev/null 2>&1 || missing+=("$2")
}

for what in "$@"; do
  case $what in
  build)
    if ! command -v cargo >/dev/null 2>&1; then
      echo "Rust is missing. Install version 1.95 or newer: https://rustup.rs" >&2
      exit 69
    fi
    want cc build-essential
    ;;
  web)
    if ! command -v npm >/dev/null 2>&1 || [ "$(node -p 'process.versions.node.split(".")[0]')" -lt 20 ]; then
      echo "Node.js 20 or newer with npm is missing. Install it: https://nodejs.org" >&2
      exit 69
    fi
    ;;
  browsers)
    want chromium chromium
    want ffprobe ffmpeg
    want firefox-esr firefox-esr
    ;;
  python)
    want python3 python3
    python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || missing+=(python3-venv)
    ;;
  lab)
    want ip iproute2
    want nft nftables
    want ethtool ethtool
    ;;
  nat)
    want conntrack conntrack
    want turnserver coturn
    ;;
  files)
    want ffmpeg ffmpeg
    want unzip unzip
    # Without root the tests of disks are skipped, loudly.
    if [ "$(id -u)" = 0 ]; then want mkfs.ext4 e2fsprogs; fi
    ;;
  metrics)
    want promtool prometheus
    want prometheus prometheus
    ;;
  deb)
    want dpkg-shlibdeps dpkg-dev
    want mmdebstrap mmdebstrap
    want ip iproute2
    ;;
  gstreamer)
    want gst-inspect-1.0 gstreamer1.0-tools
    want pkg-config pkg-config
    pkg-config --exists gstreamer-webrtc-1.0 gstreamer-app-1.0 2>/dev/null || missing+=(libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev libgstreamer-plugins-bad1.0-dev)
    pkg-config --exists openssl 2>/dev/null || missing+=(libssl-dev)
    for of in nicesrc=nice dtlsenc=plugins-bad vp8enc=plugins-good x264enc=plugins-ugly opusenc=plugins-base; do
      gst-inspect-1.0 "${of%=*}" >/dev/null 2>&1 || missing+=("gstreamer1.0-${of#*=}")
    done
    ;;
  acme)
    want pebble pebble
    ;;
  *)
    echo "need.sh: unknown: $what" >&2
    exit 64
    ;;
  esac
done

[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "==> installing: ${missing[*]}"
  log=$(mktemp)
  if ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    exit 69
  fi
  rm -f "$log"
else
  echo "Missing: ${missing[*]}. Install them:  sudo apt-get update && sudo apt-get install -y ${missing[*]}" >&2
  exit 69
fi
