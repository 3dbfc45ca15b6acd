"""Asks a running demo's dashboard whatever its OpenAPI document allows, and what it does not.

    python run.py URL DEMO_DATA_DIR PROGRAM

As the public, as a household and as an operator. The last line is "N passed, N failed": one for
each route and role.
"""

import base64
import hashlib
import hmac
import json
import os
import re
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
PASSWORD = "an operator of the gate's own"
# Whoever asks like this has no page open beside it, and the stream of events has no end.
FIXED = ["--exclude-path", "/api/v1/events", "--seed", "1", "--max-examples", "30"]


def main(url, data_dir, program):
    household = sign_in(url, "link", {"link": link(url, data_dir, program)})
    operator = sign_in(url, "operator", credentials(data_dir, program))
    passed = failed = 0
    for role, cookie in [("public", None), ("household", household), ("operator", operator)]:
        tested, wrong = ask(url, role, cookie)
        passed, failed = passed + tested - wrong, failed + wrong
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def ask(url, role, cookie):
    """How many routes were asked as this role, and how many of them answered wrongly."""
    command = [Path(sys.executable).with_name("schemathesis"), "--config-file"]
    command += [HERE / "schemathesis.toml", "run", f"{url}/api/openapi.json", *FIXED]
    command += ["--header", f"Origin: {url}", "--generation-database", "none", "--no-color"]
    if cookie:
        # Signing out would make the rest of it the public's.
        command += ["--header", f"Cookie: {cookie}", "--exclude-method", "DELETE"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    tested = re.search(r"^\s+Tested: (\d+)$", run.stdout, re.MULTILINE)
    wrong = set(re.findall(r"^_+ ([A-Z]+ /\S*) _+$", run.stdout, re.MULTILINE))
    if run.returncode != 0 or tested is None:
        print(run.stdout, run.stderr)
    print(f"{role}: {len(wrong)} of {tested and tested[1]} routes answered wrongly")
    if tested is None:
        return 0, 1
    return int(tested[1]), max(len(wrong), 1 if run.returncode else 0)


def link(url, data_dir, program):
    config = data_dir / "house-01" / "agent.toml"
    return told(program, "agent", "sign-in", "--config", config, "--dashboard", url)["link"]


def credentials(data_dir, program):
    file = data_dir / "operator.password"
    file.touch(mode=0o600)
    file.write_text(PASSWORD)
    config = data_dir / "dashboard" / "dashboard.toml"
    added = told(
        program, "dashboard", "operator", "add", "gate", "--config", config,
        "--password-file", file, "--replace",
    )
    query = urllib.parse.urlsplit(added["authenticator"]).query
    secret = urllib.parse.parse_qs(query)["secret"][0]
    return {"name": "gate", "password": PASSWORD, "code": totp(secret)}


def totp(secret):
    """RFC 6238, written down once more."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    step = int(time.time() // 30).to_bytes(8, "big")
    mac = hmac.new(key, step, hashlib.sha1).digest()
    place = mac[-1] & 15
    return f"{(int.from_bytes(mac[place:place + 4], 'big') & 0x7FFFFFFF) % 1_000_000:06}"


def told(program, *words):
    run = subprocess.run([program, *words, "--json"], capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(f"{words[:3]}: {run.stdout}{run.stderr}")
    return json.loads(run.stdout.splitlines()[0])


def sign_in(url, how, body):
    headers = {"Origin": url, "Content-Type": "application/json"}
    body = json.dumps(body).encode()
    request = urllib.request.Request(f"{url}/api/v1/session/{how}", body, headers, method="POST")
    with urllib.request.urlopen(request) as answer:
        return answer.headers["Set-Cookie"].split(";")[0]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1].rstrip("/"), Path(sys.argv[2]), os.path.abspath(sys.argv[3])))
