#!/bin/sh
# What the demo's green job builds.
set -eu
mkdir -p out
echo "$GREETING, commit $CI_COMMIT_SHORT_SHA of $CI_COMMIT_REF_NAME" > out/greeting.txt
echo "built out/greeting.txt in $(pwd)"
