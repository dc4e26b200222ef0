#!/bin/sh
# Prints the seed arje-wasm: a console shell and 120 components of different kinds.
#
#     sh seeds/generate-wasm.sh > seeds/arje-wasm.card.json
#     ente pin seeds/arje-wasm.card.json --modules target/guests/components
#
# The same text each time. The pins that it prints stand for nothing; `ente pin` writes the real ones, and
# lays the file out. An identity is a number; a number is used once.
#
#   what      how many  module  what for
#   ready-N          4  greet   one-shots that provide something when they are through
#   chain-NN        12  hello   services, each of which requires the one before
#   fan-NN          10  hello   services that require all ready-N, in a group
#   quorum           1  hello   starts when 8 of the 10 are there
#   after            1  hello   starts after the end of the chain, and without it if it fails
#   web-tcp-N        4  web     HTTP on 127.0.0.1:8001 and up; require that the loopback interface is up
#   web-unix-N       4  web     HTTP on /run/web-N.sock; no permission at all
#   ticker-N         8  ticker  timers; half of them are asked for their health
#   greet-NN        12  greet   one-shots with arguments and environment
#   hello-NN        64  hello   services of every priority
set -eu

UNSET=1111111111111111111111111111111111111111111111111111111111111111
RESTART='{"Restart":{"initial":200,"max":30000}}'

number=0
comma=''

# Begins a Card: everything that all have. card LABEL SUPERVISION PAYLOAD
card() {
    printf '%s{"schema_version":1,"id":"01ARJEWASM%016d","label":"%s","supervision":%s,"payload":%s' \
        "$comma" "$number" "$1" "$2" "$3"
    number=$((number + 1))
    comma=',
'
}
end() { printf '}'; }

# A Virtual Card around the Cards up to `close`.
open() {
    card "$1" '"OneShot"' '"Virtual"'
    printf ',"genesis":[\n'
    comma=''
}
close() {
    printf '\n]}'
    comma=',
'
}

# The start of a component's Card. wasm LABEL MODULE ENTRY SUPERVISION [MORE-OF-THE-PAYLOAD]
wasm() {
    card "$1" "$4" "{\"Wasm\":{\"module_sha256\":\"$UNSET\",\"entry\":\"$3\"${5:-}}}"
    printf ',"module":"%s"' "$2"
}
service() { wasm "$1" "$2" service "$RESTART"; }
oneshot() { wasm "$1" greet run '"OneShot"' "$2"; printf ',"lifecycle":"oneshot"'; }

# A capability; each number names another interface.
endpoint() { printf '{"Endpoint":{"interface":"a27e0000-0000-4000-8000-%012d","version":1}}' "$1"; }
# endpoints FROM TO
endpoints() {
    n=$1
    while [ "$n" -le "$2" ]; do
        [ "$n" -eq "$1" ] || printf ','
        endpoint "$n"
        n=$((n + 1))
    done
}

UNCONFINED='"permissions":{"networking":"full","filesystem":"read-write","processes":true}'
# The shell is where `ente` is typed.
WITH_BUS='"permissions":{"networking":"full","filesystem":"read-write","processes":true,"ipc":{"allow":["wit-v1"]}}'
LOOPBACK=1
READY=100
CHAIN=200
FAN=300

native() {
    card shell '{"Restart":{"initial":100,"max":5000}}' \
        '{"Native":{"exec":"/bin/sh","envp":[["PS1","arje# "]]}}'
    printf ',"console":true,"priority":"critical",%s' "$WITH_BUS"
    end
    card loopback '"OneShot"' '{"Native":{"exec":"/bin/busybox","argv":["ip","link","set","lo","up"]}}'
    printf ',"lifecycle":"oneshot","provides":[%s],%s' "$(endpoint $LOOPBACK)" "$UNCONFINED"
    end
}

ready() {
    for i in 1 2 3 4; do
        oneshot "ready-$i" ",\"argv\":[\"ready $i\"]"
        printf ',"provides":[%s]' "$(endpoint $((READY + i)))"
        end
    done
}

chain() {
    open chain
    i=1
    while [ $i -le 12 ]; do
        service "$(printf 'chain-%02d' $i)" hello
        printf ',"provides":[%s]' "$(endpoint $((CHAIN + i)))"
        [ $i -eq 1 ] || printf ',"requires":[%s]' "$(endpoint $((CHAIN + i - 1)))"
        end
        i=$((i + 1))
    done
    close
}

fan() {
    open fan
    i=1
    while [ $i -le 10 ]; do
        service "$(printf 'fan-%02d' $i)" hello
        printf ',"provides":[%s]' "$(endpoint $((FAN + i)))"
        printf ',"requires":[%s]' "$(endpoints $((READY + 1)) $((READY + 4)))"
        end
        i=$((i + 1))
    done
    close
    service quorum hello
    printf ',"contracts":[{"Quorum":{"of":[%s],"at_least":8}}]' "$(endpoints $((FAN + 1)) $((FAN + 10)))"
    end
    service after hello
    printf ',"contracts":[{"After":[%s]}]' "$(endpoint $((CHAIN + 12)))"
    end
}

web() {
    for i in 1 2 3 4; do
        wasm "web-tcp-$i" web http "$RESTART"
        printf ',"listen":[{"name":"http","tcp":"127.0.0.1:%d"}]' $((8000 + i))
        printf ',"permissions":{"networking":"loopback"},"requires":[%s]' "$(endpoint $LOOPBACK)"
        end
    done
    for i in 1 2 3 4; do
        wasm "web-unix-$i" web http "$RESTART"
        printf ',"listen":[{"name":"http","unix":"/run/web-%d.sock"}]' "$i"
        end
    done
}

ticker() {
    for i in 1 2 3 4 5 6 7 8; do
        service "ticker-$i" ticker
        [ $((i % 2)) -eq 0 ] || printf ',"liveness_ms":20000'
        end
    done
}

greet() {
    i=1
    while [ $i -le 12 ]; do
        oneshot "$(printf 'greet-%02d' $i)" ",\"argv\":[\"Ente $i\"],\"envp\":[[\"TURN\",\"$i\"]]"
        end
        i=$((i + 1))
    done
}

hello() {
    i=1
    while [ $i -le 64 ]; do
        service "$(printf 'hello-%02d' $i)" hello
        case $((i % 4)) in
            0) printf ',"priority":"low"' ;;
            2) printf ',"priority":"high"' ;;
        esac
        end
        i=$((i + 1))
    done
}

open arje.seed.wasm
native
ready
chain
fan
web
ticker
greet
hello
close
printf '\n'
