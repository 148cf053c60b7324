# ruff: noqa: ANN001, ANN003, ANN201, D103, INP001, S310, T201 - an example, kept short
"""A deployer for the feed: `URL=... CA=... CLIENT_ID=... CLIENT_SECRET=... python3 deployer.py FOLDER`.

Its "devices" are files in FOLDER: put what carries profiles to yours into `install` and `remove`.
"""

import json
import os
import pathlib
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request

FOLDER, TLS = pathlib.Path(sys.argv[1]), ssl.create_default_context(cafile=os.environ["CA"])
FORM = {"grant_type": "client_credentials", "scope": "deployments:write keys:release",
        "client_id": os.environ["CLIENT_ID"], "client_secret": os.environ["CLIENT_SECRET"]}  # fmt: skip


def call(path, body, **headers):
    request = urllib.request.Request(urllib.parse.urljoin(os.environ["URL"], path), body, headers)
    return urllib.request.urlopen(request, context=TLS, timeout=60)


def post(path, **members):
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
    return call(path, json.dumps(members).encode(), **headers)


def install(file, profile):  # it holds a key: for its owner alone
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as delivered:
        delivered.write(profile)


def carry(item):
    deployment, lease = item["deployment"], item["lease"]
    file = FOLDER / f"{deployment['identity']}.mobileconfig"
    report = f"/api/v1/deployments/{deployment['id']}/report"
    if item["action"] == "remove":
        file.unlink(missing_ok=True)
        return post(report, lease=lease, state="removed")
    answer = post(item["profile"], lease=lease)
    install(file, answer.read())
    post(report, lease=lease, state="delivered")
    seen = answer.headers["X-Certificate-Sha256"]  # of a real device, ask which certificate it has
    return post(report, lease=lease, state="installed", certificate_sha256=seen)


TOKEN = json.load(call("/api/v1/token", urllib.parse.urlencode(FORM).encode()))["access_token"]
while items := json.load(post("/api/v1/deployments/lease", max=50))["items"]:
    for item in items:
        try:
            carry(item)
        except urllib.error.HTTPError as refusal:  # of this one alone: lost, or failed by the service
            print(item["deployment"]["identity"], json.load(refusal)["code"], file=sys.stderr)
