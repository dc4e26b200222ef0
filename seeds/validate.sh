#!/bin/sh
# Verifies every seed of this folder: sh seeds/validate.sh ENTE COMPONENTS
#
# ENTE is the program `ente`, COMPONENTS the folder of NAME.wasm files. Two compilers give two hashes, so
# each seed is pinned in a copy first; then the copy must verify with its components, and nothing may be
# left to pin. The generated seed must be what its generator prints.
set -u

if [ $# -ne 2 ]; then
    echo "usage: sh seeds/validate.sh ENTE COMPONENTS" >&2
    exit 2
fi
ente=$1
components=$2
seeds=$(dirname "$0")
copies=$(mktemp -d) || exit 2
trap 'rm -rf "$copies"' EXIT
trap 'exit 1' HUP INT TERM
failed=0

# Runs a step and keeps what it says for the case that it fails.
step() { "$@" >"$copies/said" 2>&1; }

check() {
    step "$ente" verify "$1" &&
        step "$ente" pin "$1" --modules "$components" --out "$2" &&
        step "$ente" pin "$2" --modules "$components" --locked &&
        step "$ente" verify "$2" --modules "$components"
}

report() { # NAME STATUS
    if [ "$2" -eq 0 ]; then
        echo "ok      $1: $(tail -n 1 "$copies/said")"
    else
        echo "FAILED  $1"
        cat "$copies/said"
        failed=1
    fi
}

for seed in "$seeds"/*.card.json; do
    check "$seed" "$copies/$(basename "$seed")"
    report "$(basename "$seed")" $?
done

check_generated() {
    step sh "$seeds/generate-wasm.sh" && mv "$copies/said" "$copies/printed.json" &&
        step "$ente" pin "$copies/printed.json" --modules "$components" --out "$copies/generated.json" &&
        step diff "$copies/generated.json" "$copies/arje-wasm.card.json" &&
        echo "as printed by generate-wasm.sh" >"$copies/said"
}
check_generated
report "arje-wasm.card.json (generated)" $?

exit $failed
