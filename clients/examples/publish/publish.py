#!/usr/bin/env python3
"""publish.py CHANNEL DATA [KEY]: publishes once, whatever happens on the way. Python 3.7 or newer, nothing to install.

    publish.py orders '{"id":42,"total":9.90}' order-42

DATA is any JSON value and arrives byte for byte. KEY names what is published (an order's number, say): the hub publishes it once, however often
it is sent. CARILLON_URL is where the API is, CARILLON_KEY the key, CARILLON_PATIENCE how many seconds to go on trying.
Prints the message's id. Status 0: published; 1: refused, or nobody answered in time; 2: not called like this.
"""
import json, os, random, sys, time, uuid
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

URL = os.environ.get("CARILLON_URL", "http://localhost:8001")
KEY = os.environ.get("CARILLON_KEY")
PATIENCE = float(os.environ.get("CARILLON_PATIENCE", 60))


def send(request):
    """Status, headers and document of the answer; status 0: there was none."""
    try:
        with urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers, json.load(answer)
    except HTTPError as error:
        try:
            return error.code, error.headers, json.load(error)
        except ValueError:      # of a proxy between
            return error.code, error.headers, {}
    except (OSError, HTTPException, ValueError) as error:       # refused, cut, too slow
        return 0, {}, {"code": "no answer", "detail": f"{request.full_url}: {error}"}


def may_retry(status, problem):
    return status in (0, 408, 429) or status >= 500 or problem.get("code") == "idempotency_in_progress"


def publish(channel, data, key=None):
    """The answer, with the message's id. `data` is JSON text."""
    headers = {"Content-Type": "application/json", "Idempotency-Key": key or str(uuid.uuid4())}
    if KEY:
        headers["Authorization"] = f"Bearer {KEY}"
    request = Request(f"{URL}/v1/channels/{quote(channel, safe='')}/messages", f'{{"data":{data}}}'.encode(), headers)
    end, pause = time.monotonic() + PATIENCE, 0.5
    while True:
        status, answer_headers, answer = send(request)
        if status == 201:
            return answer
        problem = f"{answer.get('code', status)}: {answer.get('detail', '')}"
        if not may_retry(status, answer):
            raise RuntimeError(problem)
        wait = float(answer_headers.get("Retry-After") or pause) + random.random() * pause
        if time.monotonic() + wait > end:
            raise RuntimeError(f"given up: {problem}")
        time.sleep(wait)
        pause = min(pause * 2, 30)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        print("usage: publish.py CHANNEL DATA [KEY]", file=sys.stderr)
        sys.exit(2)
    try:
        print(publish(*sys.argv[1:])["id"])
    except RuntimeError as error:
        sys.exit(str(error))
