#!/bin/sh
# Import a bundle, correct what failed, take one certificate out.
set -eu
umask 077
usage="usage: automation.sh BUNDLE [CORRECTED-FOLDER]"
[ $# = 1 ] || [ $# = 2 ] || { echo "$usage" >&2; exit 2; }
URL=${URL:-https://localhost:4443} CA=${CA:-bulkcert-data/tls/certificate.pem} bundle=$1 corrected=${2:-}
CLIENT=${CLIENT:-${XDG_CONFIG_HOME:-$HOME/.config}/bulkcert/ca-script.json}
work=$(mktemp -d)  # everything secret is in here, and goes at the end
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
answer=$work/answer.json
call() { # send a request; where it is refused, show the answer and end
    rm -f "$answer"
    curl -sS --fail-with-body --cacert "$CA" -o "$answer" "$@" || { cat "$answer" >&2 2> /dev/null; exit 1; }
}
api() { call -H "@$work/header" "$@"; } # secrets come from files: everybody on the machine can read arguments
json() { python3 -c "import json, sys; answer = json.load(open(sys.argv[1])); print($1)" "${2:-$answer}"; }
import() { # upload the bundle $1 and wait for its end
    api -H 'Prefer: respond-async' -F identity_type=SERIAL_NUMBER -F "bundle=@$1" "$URL/api/v1/imports"
    items=$URL/api/v1/imports/$(json 'answer["id"]')/items
    while [ "$(json 'answer["finished_at"]')" = None ]; do sleep 1; api "${items%/items}"; done
    json 'answer["state"], answer["counts"]'
}

if [ ! -s "$CLIENT" ]; then
    bulkcert=$(command -v bulkcert) || bulkcert=$(dirname "$0")/../.venv/bin/bulkcert
    [ -x "$bulkcert" ] || { echo "automation.sh: no command bulkcert on PATH or in .venv: run make install" >&2; exit 1; }
    "$bulkcert" client create ca-script --json --scope imports:write --scope imports:read \
        --scope certificates:read --scope keys:release > "$work/client.json"
    mkdir -p "$(dirname "$CLIENT")"
    mv "$work/client.json" "$CLIENT"
fi
json '"user =", answer["client_id"] + ":" + answer["client_secret"]' "$CLIENT" > "$work/secret"
call -K "$work/secret" -d grant_type=client_credentials "$URL/api/v1/token"
json '"Authorization: Bearer", answer["access_token"]' > "$work/header"

import "$bundle"
if [ "$(json 'answer["state"]')" != succeeded ]; then
    api -H 'Accept: text/csv' "$items?outcome=failed"
    cat "$answer"
    [ -n "$corrected" ] || { echo "automation.sh: give a folder with the corrected files: $usage" >&2; exit 1; }
    python3 - "$answer" "${corrected%/}" "$work/again.zip" << 'END'
import csv, os, sys, zipfile
failures, corrected, again = sys.argv[1:]
with open(failures, newline="") as report, zipfile.ZipFile(again, "w") as bundle:
    for name in [row["file"] or row["identity"] + ".p12" for row in csv.DictReader(report)] + ["credential.txt"]:
        os.path.isfile(f"{corrected}/{name}") or sys.exit(f"automation.sh: {corrected}/{name} is missing")
        bundle.write(f"{corrected}/{name}", name)
END
    import "$work/again.zip"
    [ "$(json 'answer["state"]')" = succeeded ]
fi

api "$items?limit=1"
certificate=$(json 'answer["items"][0]["certificate_id"]')
api -H 'Content-Type: application/json' -d '{"format": "pkcs12"}' "$URL/api/v1/certificates/$certificate/release"
json 'answer["content"]' | openssl base64 -d -A > "$work/device.p12"
json 'answer["password"]' > "$work/secret"
openssl pkcs12 -in "$work/device.p12" -passin "file:$work/secret" -nodes -out "$work/device.pem"
[ "$(openssl x509 -in "$work/device.pem" -noout -pubkey)" = "$(openssl pkey -in "$work/device.pem" -pubout)" ]
openssl x509 -in "$work/device.pem" -noout -subject -fingerprint -sha256
