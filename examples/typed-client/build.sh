#!/bin/sh
# Builds the clients of this folder: sh build.sh install|check|build LANGUAGE [INTO]
#
# LANGUAGE is c, python or javascript. `install` gets the tool that makes components of it, below target/examples of the
# tree, and for C a compiler, from Debian; `check` says whether there is one, there or in the path; `build` writes
# INTO/LANGUAGE-client.wasm.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
tree=$here/../..
tools=$tree/target/examples

die() { echo "build.sh: $*" >&2; exit 1; }
usage() { echo "usage: sh build.sh install|check|build c|python|javascript [INTO]" >&2; exit 2; }

[ $# -ge 2 ] || usage
action=$1
language=$2
case $language in
    c) name=wit-bindgen version=0.61.0 own=$tools/c/bin/wit-bindgen needs=cargo ;;
    python) name=componentize-py version=0.25.1 own=$tools/python/bin/componentize-py needs=python3 ;;
    javascript)
        name=componentize-js version=0.23.0 own=$tools/javascript/node_modules/.bin/componentize-js needs=npm ;;
    *) usage ;;
esac
how="\`sh examples/typed-client/build.sh install $language\` does that"

# The tool: the one installed here, else the one in the path.
tool() {
    if [ -x "$own" ]; then echo "$own"
    elif command -v "$name"; then :
    else die "$name is not installed; $how"
    fi
}

# What turns C into a component: clang with the C library's headers and its own functions, from Debian; the library itself and
# the linkers, from the tree's Rust compiler, which links its components with them.
clang_wasm() { clang --target=wasm32-wasi "$@"; }
builtins() { clang_wasm -print-libgcc-file-name; }
libc() { echo "$(rustc --print target-libdir --target wasm32-wasip2)/self-contained"; }
linkers() { dirname "$(rustc --print sysroot)"/lib/rustlib/*/bin/wasm-component-ld; }

missing_packages_for_c() {
    command -v clang >/dev/null || echo clang
    [ -d /usr/include/wasm32-wasi ] || echo wasi-libc
    { command -v clang >/dev/null && [ -f "$(builtins)" ]; } || echo libclang-rt-dev-wasm32
}

check_c() {
    missing=$(missing_packages_for_c | tr '\n' ' ')
    [ -z "$missing" ] || die "not installed: $missing; $how"
    [ -f "$(libc)/libc.a" ] || die "rustc has no target wasm32-wasip2, whose C library is used; $how"
    [ -x "$(linkers)/wasm-component-ld" ] || die "rustc has no wasm-component-ld"
}

install_c() {
    packages=$(missing_packages_for_c | tr '\n' ' ')
    if [ -n "$packages" ]; then
        [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || die "please install: $packages"
        apt-get update -qq
        # shellcheck disable=SC2086 # a list of words
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
    fi
    [ -f "$(libc)/libc.a" ] || rustup target add wasm32-wasip2
    cargo install --quiet --locked --root "$tools/c" --no-default-features --features c --version "$version" wit-bindgen-cli
}

install() {
    command -v "$needs" >/dev/null || die "$needs is missing, which installs $name"
    mkdir -p "$tools/$language"
    case $language in
        c) install_c ;;
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

# A program with a `main`, which the C library makes a command of.
build_c() {
    check_c
    "$tool" c "$tree/guests/kv/wit/store.wit" --world client --out-dir bindings 2>/dev/null
    for source in client.c bindings/client.c; do
        clang_wasm -Os -Wall -Wextra -Werror -Ibindings -c "$source" -o "${source%.c}.o"
    done
    "$(linkers)/wasm-component-ld" --wasm-ld-path "$(linkers)/gcc-ld/wasm-ld" --strip-all -o client.wasm \
        "$(libc)/crt1-command.o" client.o bindings/client.o bindings/client_component_type.o \
        -L "$(libc)" -lc "$(builtins)"
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
        c) build_c ;;
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
    check)
        tool
        [ "$language" != c ] || check_c
        ;;
    build) [ $# -eq 3 ] || usage; build "$3" ;;
    *) usage ;;
esac
