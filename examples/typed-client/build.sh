#!/bin/sh
# Builds the clients of this folder: sh build.sh install|check|build LANGUAGE [INTO]
#
# LANGUAGE is python or javascript. `install` gets the tool that makes components of it, below target/examples of the
# tree; `check` says whether there is one, there or in the path; `build` writes INTO/LANGUAGE-client.wasm.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
tree=$here/../..
tools=$tree/target/examples

die() { echo "build.sh: $*" >&2; exit 1; }
usage() { echo "usage: sh build.sh install|check|build python|javascript [INTO]" >&2; exit 2; }

[ $# -ge 2 ] || usage
action=$1
language=$2
case $language in
    python) name=componentize-py version=0.25.1 own=$tools/python/bin/componentize-py needs=python3 ;;
    javascript)
        name=componentize-js version=0.23.0 own=$tools/javascript/node_modules/.bin/componentize-js needs=npm ;;
    *) usage ;;
esac

# The tool: the one installed here, else the one in the path.
tool() {
    if [ -x "$own" ]; then echo "$own"
    elif command -v "$name"; then :
    else die "$name is not installed; \`sh examples/typed-client/build.sh install $language\` does that"
    fi
}

install() {
    command -v "$needs" >/dev/null || die "$needs is missing, which installs $name"
    mkdir -p "$tools/$language"
    case $language in
        python)
            python3 -m venv "$tools/python"
            "$tools/python/bin/pip" install --quiet "$name==$version"
            ;;
        javascript)
            cd "$tools/javascript"
            echo '{ "private": true }' >package.json
            npm install --no-audit --no-fund --silent "@bytecodealliance/$name@$version"
            ;;
    esac
}

build() {
    tool=$(tool)
    mkdir -p "$1"
    into=$(cd "$1" && pwd)
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    trap 'exit 1' HUP INT TERM
    # The store's interface is used as its provider has it.
    cp -r "$here/." "$work"
    mkdir "$work/wit/deps/kv"
    cp "$tree/guests/kv/wit/store.wit" "$work/wit/deps/kv/"
    cd "$work"
    case $language in
        python) "$tool" --quiet -d wit -w client componentize client -o client.wasm ;;
        # Without what it does not use, and what its Card would else have to grant.
        javascript)
            mv client.js client.mjs
            "$tool" client.mjs --wit wit -n client --disable http fetch-event random clocks -o client.wasm
            ;;
    esac
    mv client.wasm "$into/$language-client.wasm"
}

case $action in
    install) install ;;
    check) tool ;;
    build) [ $# -eq 3 ] || usage; build "$3" ;;
    *) usage ;;
esac
