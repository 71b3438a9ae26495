#!/usr/bin/env bash
# go test with the race detector, in random order. Arguments are go test's.
#
# The detector's runtime has a fault of its own: rarely it ends a test program with
# "ThreadSanitizer: CHECK failed: tsan_rtl.cpp". Such a package has no verdict, and
# is tested once more. Whatever else fails, fails.
set -uo pipefail

log=$(mktemp)
trap 'rm -f "$log"' EXIT
CGO_ENABLED=1 go test -race -shuffle=on "$@" 2>&1 | tee "$log" && exit 0

# A package's output stands before the line with its verdict.
again=$(awk '
	/^ThreadSanitizer: CHECK failed: tsan_rtl/ { fell = 1 }
	/^ *--- FAIL|^panic: |WARNING: DATA RACE/ { faulty = 1 }
	/^(ok|FAIL|\?)[ \t]/ {
		if ($1 == "FAIL" && (!fell || faulty)) verdict = 1
		if ($1 == "FAIL" && fell) print $2
		fell = faulty = 0
	}
	END { exit verdict }' "$log") || exit 1
[ -n "$again" ] || exit 1
echo "the race detector itself fell in $again: once more"
mapfile -t packages <<<"$again"
CGO_ENABLED=1 go test -race -shuffle=on -timeout 10m "${packages[@]}"
