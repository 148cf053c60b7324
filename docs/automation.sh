#!/bin/sh
# Import a bundle, correct what failed, take one certificate out: automation.sh BUNDLE CORRECTED-FOLDER
set -eu
umask 077
URL=${URL:-https://localhost:4443} CA=${CA:-bulkcert-data/tls/certificate.pem} bundle=$1 corrected=$2
call() { curl -sS --fail-with-body --cacert "$CA" -o answer.json "$@" || { cat answer.json >&2; exit 1; }; }
api() { call -H @header "$@"; } # secrets come from files: everybody on the machine can read arguments
json() { python3 -c "import json, sys; answer = json.load(open(sys.argv[1])); print($1)" "${2:-answer.json}"; }
import() { # upload the bundle $1 and wait for its end
    api -H 'Prefer: respond-async' -F identity_type=SERIAL_NUMBER -F "bundle=@$1" "$URL/api/v1/imports"
    items=$URL/api/v1/imports/$(json 'answer["id"]')/items
    while [ "$(json 'answer["finished_at"]')" = None ]; do sleep 1; api "${items%/items}"; done
    json 'answer["state"], answer["counts"]'
}

[ -s client.json ] || bulkcert client create ca-script --json \
    --scope imports:write --scope imports:read --scope certificates:read --scope keys:release > client.json
json '"user =", answer["client_id"] + ":" + answer["client_secret"]' client.json > secret
call -K secret -d grant_type=client_credentials "$URL/api/v1/token"
json '"Authorization: Bearer", answer["access_token"]' > header

import "$bundle"
if [ "$(json 'answer["state"]')" != succeeded ]; then
    api -H 'Accept: text/csv' "$items?outcome=failed"
    mv answer.json failures.csv
    python3 - "$corrected" << 'END'
import csv, sys, zipfile
with open("failures.csv", newline="") as failures, zipfile.ZipFile("again.zip", "w") as again:
    for name in [row["file"] for row in csv.DictReader(failures)] + ["credential.txt"]:
        again.write(f"{sys.argv[1]}/{name}", name)
END
    import again.zip
    [ "$(json 'answer["state"]')" = succeeded ]
fi

api "$items?limit=1"
certificate=$(json 'answer["items"][0]["certificate_id"]')
api -H 'Content-Type: application/json' -d '{"format": "pkcs12"}' "$URL/api/v1/certificates/$certificate/release"
json 'answer["content"]' | openssl base64 -d -A > device.p12
json 'answer["password"]' > secret
openssl pkcs12 -in device.p12 -passin file:secret -nodes -out device.pem
[ "$(openssl x509 -in device.pem -noout -pubkey)" = "$(openssl pkey -in device.pem -pubout)" ]
openssl x509 -in device.pem -noout -subject -fingerprint -sha256
