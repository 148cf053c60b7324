#!/usr/bin/env bash
# The first hour of a new user: clone, demo, wheel, README against the wheel, backup, restore elsewhere, release.
#
#     tests/fresh/first_hour.sh
#
# Each step is what a person would type; only paths and the port (PORT, default 4443) differ from the documents.
# It works in a new folder, which is removed at the end, with the PYTHON (default python3) of the machine.
set -euo pipefail
checkout=$(cd "$(dirname "$0")/../.." && pwd)
place=$(mktemp -d)
port=${PORT:-4443}
python=${PYTHON:-python3}
service=
for name in $(env | grep -o '^BULKCERT_[A-Z_]*'); do unset "$name"; done

step() { printf '\n== %s (%s s)\n' "$1" "$SECONDS"; }

finish() {
    local status=$?
    [ -z "$service" ] || kill "$service" 2>/dev/null || true
    [ -z "$service" ] || wait "$service" || true
    [ "$status" = 0 ] || tail -n 50 "$place"/*.log >&2 2>/dev/null || true
    rm -rf "$place"
}
trap finish EXIT

# start FOLDER: run `bulkcert serve` on the data directory of a folder until it is ready
start() {
    cd "$1"
    bulkcert serve --port "$port" >"$1.log" 2>&1 &
    service=$!
    for _ in $(seq 120); do
        kill -0 "$service"
        curl -sf --cacert bulkcert-data/tls/certificate.pem "https://localhost:$port/health/ready" >/dev/null && return
        sleep 0.5
    done
    echo "the service is not ready" >&2
    return 1
}

stop() {
    kill "$service"
    wait "$service"
    service=
}

# commands PAGE: the shell commands of a page, for a service on this port
commands() { "$python" "$checkout/tests/fresh/shell_blocks.py" "$1" | sed "s/localhost:4443/localhost:$port/"; }

step "clone"
git clone --quiet "$checkout" "$place/clone"
cd "$place/clone"

step "make demo"
make PYTHON="$python" demo
.venv/bin/bulkcert --version

step "build the wheel"
make PYTHON="$python" wheel
wheel=$(echo dist/*.whl)

step "install the wheel into a clean environment, away from the checkout"
"$python" -m venv "$place/environment"
"$place/environment/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
"$place/environment/bin/pip" install --quiet --disable-pip-version-check --no-deps "$wheel"
mkdir "$place/first" "$place/second"
cp -R sample_bundles "$place/first"
cp README.md "$place/README.md"
cd "$place"
rm -rf clone  # whatever still needs the checkout fails from here on
export PATH="$place/environment/bin:$PATH"
[ "$(command -v bulkcert)" = "$place/environment/bin/bulkcert" ]

step "the README, against the wheel"
commands "$place/README.md" >"$place/walk.sh"
PASSWORD=$(sed -n "s/^PASSWORD='\(.*\)'$/\1/p" "$place/walk.sh" | head -n 1)
cd "$place/first"
BULKCERT_ADMIN_PASSWORD=$PASSWORD bulkcert init
start "$place/first"
bash -euo pipefail "$place/walk.sh"

step "import again, since the walk-through deletes"
login='{"login": "administrator", "password": "'$PASSWORD'"}'
field() { "$python" -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
# api TOKEN PATH [OPTION...]: one request to the running service
api() {
    curl -sS --fail-with-body --cacert bulkcert-data/tls/certificate.pem -H "Authorization: Bearer $1" \
        "https://localhost:$port$2" "${@:3}"
}
log_in() {
    printf '%s' "$login" | api none /api/v1/sessions -H 'Content-Type: application/json' -d @- | field access_token
}
token=$(log_in)
api "$token" /api/v1/imports -H 'Prefer: wait=30' -F identity_type=SERIAL_NUMBER \
    -F bundle=@sample_bundles/serial-numbers.zip | field state | grep -x succeeded
api "$token" '/api/v1/certificates?state=current' >"$place/before.json"

step "back up while the service runs (docs/operations.md, What lies where)"
mkdir "$place/backup" "$place/keys"
cd "$place/first/bulkcert-data"
(umask 077 && sqlite3 bulkcert.sqlite3 ".backup $place/backup/bulkcert.sqlite3")
(umask 077 && cp master.key "$place/keys/master.key")
(umask 077 && cp -R tls "$place/backup/tls")
stop
rm -rf "$place/first"

step "restore elsewhere"
mkdir -m 700 "$place/second/bulkcert-data"
cd "$place/second"
cp -R "$place"/backup/* "$place/keys/master.key" bulkcert-data
bulkcert init
bulkcert check
start "$place/second"
token=$(log_in)
api "$token" '/api/v1/certificates?state=current' >"$place/after.json"
cmp "$place/before.json" "$place/after.json"

step "release a certificate"
certificate=$("$python" -c 'import json, sys; print(json.load(open(sys.argv[1]))["items"][0]["id"])' "$place/after.json")
printf '%s' 'a password of our own' >"$place/password"
bulkcert release "$certificate" --format pem --password-file "$place/password" --out "$place/device.pem" |
    tee "$place/released"
openssl x509 -in "$place/device.pem" -noout -subject
openssl pkey -in "$place/device.pem" -passin "file:$place/password" -pubout >"$place/key"
openssl x509 -in "$place/device.pem" -noout -pubkey | cmp - "$place/key"
stop

step "done"
