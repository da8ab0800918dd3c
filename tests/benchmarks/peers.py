"""The receiver that people write today: FastAPI, a signature check, and a task of celery or dramatiq for each number.

It verifies, parses and reads the number as trunkline does; what trunkline also does (seen before? which profile? one
script for entry, route and queue) it leaves to the task. Started as `uvicorn peers:celery_app` by receiving.py.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import time
from collections.abc import Callable

from fastapi import FastAPI, HTTPException, Request

from trunkline.events.phone import NumberRefused, normalise

URL = os.environ.get("PEER_REDIS_URL", "redis://127.0.0.1:6379/2")
KEY = os.environ.get("PEER_KEY", "").encode()
TOLERANCE_S = 300


def make_app(enqueue: Callable[[dict[str, str]], object]) -> FastAPI:
    """The receiver, with `enqueue` as the way into the queue."""
    app = FastAPI()

    @app.post("/hooks/acme")
    async def hook(request: Request) -> dict[str, int]:
        body = await request.body()
        stamp = request.headers.get("x-timestamp", "")
        expected = hmac.new(KEY, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        fresh = stamp.isdigit() and abs(time.time() - int(stamp)) <= TOLERANCE_S
        if not fresh or not hmac.compare_digest(expected, request.headers.get("x-signature", "")):
            raise HTTPException(401)
        event = json.loads(body)
        try:
            number = normalise(event["data"]["phone"], region="US", check="possible")
        except NumberRefused as error:
            raise HTTPException(422) from error
        enqueue({"event_id": event["id"], "number": number, "customer": event["data"]["customer"]})
        return {"accepted": 1}

    return app


def celery_app() -> FastAPI:
    """With celery's `.delay`."""
    from celery import Celery

    tasks = Celery("peers", broker=URL)
    tasks.conf.task_ignore_result = True

    @tasks.task(name="attach")
    def attach(event: dict[str, str]) -> None:
        del event

    return make_app(attach.delay)


def dramatiq_app() -> FastAPI:
    """With dramatiq's `.send`."""
    import dramatiq
    from dramatiq.brokers.redis import RedisBroker

    broker = RedisBroker(url=URL)
    dramatiq.set_broker(broker)

    @dramatiq.actor(broker=broker)
    def attach(event: dict[str, str]) -> None:
        del event

    return make_app(attach.send)
