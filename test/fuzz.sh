#!/usr/bin/env bash
# Runs every fuzz target of the tree for a while: test/fuzz.sh [TIME]. They are
# looked for, so that a new one cannot be forgotten.
#
# Go 1.26 now and then reports "context deadline exceeded" for a target whose
# time is simply up (golang/go#75804, mended in 1.27). Such an end names no
# failing input; it is tried once more. Every other failure counts.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
time=${1:-10s}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# fuzz MODULE PACKAGE TARGET
fuzz() {
    go -C "$1" test -run '^$' -fuzz "^$3\$" -fuzztime "$time" "$2" 2>&1 | tee "$log"
}

# only_late says whether the last failure was nothing but the end of the time.
only_late() {
    grep -q '^ *context deadline exceeded$' "$log" &&
        ! grep -Eq 'Failing input written|panic|hung or terminated|_test\.go:[0-9]+' "$log"
}

count=0
failed=()
for module in . test; do
    # Where one stands in a file; to build and ask all packages takes a minute.
    files=$(cd "$module" && grep -rl --include='*_test.go' --exclude-dir=test --exclude-dir=node_modules --exclude-dir=.tools '^func Fuzz' . || true)
    for dir in $(xargs -r -n1 dirname <<<"$files" | sort -u); do
        # In an assignment, so that a package that does not build ends the run.
        listed=$(go -C "$module" test -list '^Fuzz' "$dir")
        for target in $(grep '^Fuzz' <<<"$listed" || true); do
            echo "fuzz: $dir $target for $time"
            count=$((count + 1))
            fuzz "$module" "$dir" "$target" && continue
            if only_late; then
                echo "fuzz: the time ran out in the middle of an input; trying $target once more"
                fuzz "$module" "$dir" "$target" && continue
            fi
            failed+=("$dir.$target")
        done
    done
done

if ((${#failed[@]})); then
    printf 'fuzz: failed: %s\n' "${failed[@]}" >&2
    echo 'fuzz: commit the new file under testdata/fuzz with the repair' >&2
    exit 1
fi
if ((count == 0)); then
    echo 'fuzz: the tree has no fuzz target' >&2
    exit 1
fi
echo "fuzz: $count targets, no failure"
