#!/usr/bin/env bash
# Two and more people use the chat example in a real browser, clients of the sse example hear it, and the script for
# pages is tried over each transport, also where connections are cut (build them first:
# cargo build --release --example chat --example sse --example browser_server).
# Screenshots to look at: target/browser/*.png.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source tests/need.sh

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
out=$target/browser

need node nodejs
need npm npm
need python3 python3
need curl curl
# Debian keeps it where PATH of ordinary users does not look.
[ -x /usr/sbin/nginx ] || need nginx nginx-light
# A fresh machine may have no font at all, and then the screenshots show boxes.
need chromium chromium fonts-dejavu-core

mkdir -p "$out"
rm -f "$out"/*.png
# playwright-core is the driver without the browsers. It goes under target/ with a copy of the test beside it, for a
# module looks for others from where it lies itself.
if ! cmp -s tests/browser/package.json "$out/package.json" || ! [ -d "$out/node_modules" ]; then
  cp tests/browser/package.json "$out/"
  npm install --prefix "$out" --loglevel=error --no-audit --no-fund --no-package-lock
fi
cp tests/browser/*.mjs tests/browser/streams.py "$out/"
python=$out/python/bin/python
if ! "$python" -c 'import aiohttp, httpx' 2>/dev/null; then
  python3 -c 'import ensurepip' 2>/dev/null || debian_install python3-venv
  python3 -m venv "$out/python"
  "$python" -m pip install -q --disable-pip-version-check aiohttp==3.14.5 httpx==0.28.1
fi

# Each wait inside has its own deadline; this is for a browser that hangs.
CHAT=$target/release/examples/chat CHROMIUM=$(command -v chromium) timeout 300 node "$out/chat.mjs"
SSE=$target/release/examples/sse CHROMIUM=$(command -v chromium) PYTHON=$python timeout 120 node "$out/streams.mjs"
export SERVER=$target/release/examples/browser_server CHROMIUM
CHROMIUM=$(command -v chromium)
cp src/page/swio.d.ts tests/browser/usage.ts "$out/"
"$out/node_modules/.bin/tsc" --noEmit --ignoreConfig --strict --target es2020 --lib es2020,dom --types '' \
  "$out/usage.ts" "$out/swio.d.ts"
timeout 300 node "$out/page.mjs"
PROXY=$(command -v nginx || echo /usr/sbin/nginx) timeout 120 node "$out/proxies.mjs"
timeout 200 node "$out/cuts.mjs"
