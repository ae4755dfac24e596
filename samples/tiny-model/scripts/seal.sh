#!/bin/sh
# Writes the list of files and SHA-256 sums that TinyModel extracts by. Run it after any change of the resources.
set -eu
cd "$(dirname "$0")/../src/main/resources/META-INF/lorikeet/tiny-model"
find . -type f ! -name index.sha256 | sed 's:^\./::' | LC_ALL=C sort | xargs sha256sum > index.sha256
