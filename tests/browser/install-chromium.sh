#!/usr/bin/env bash
# Installs Chromium and its driver from Debian, for the tests of the page of results. Says what it did in one
# line, and fails nowhere: where it cannot install them, those tests are skipped and say why.
set -uo pipefail

if { command -v chromium || command -v google-chrome; } >/dev/null && command -v chromedriver >/dev/null; then
  echo "chromium and its driver are installed"
  exit 0
fi
if ! command -v apt-get >/dev/null; then
  echo "chromium is not installed, and there is no apt-get to install it: tests in a browser will be skipped"
  exit 0
fi
run=()
if [ "$(id -u)" != 0 ]; then
  # Without a password, or not at all: nobody is there to give it.
  run=(sudo --non-interactive)
fi
log=$(mktemp)
if { "${run[@]}" apt-get update -qq &&
  "${run[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    chromium chromium-driver; } >"$log" 2>&1; then
  echo "installed chromium and chromium-driver"
else
  echo "chromium could not be installed ($(tail -n 1 "$log")): tests in a browser will be skipped"
fi
rm -f "$log"
