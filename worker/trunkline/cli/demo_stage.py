"""Stage of the demo: an embedded store, the stand-in API, the receiver and workers, all for one run."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Final

from trunkline.bootstrap import open_store, policies_of
from trunkline.cli.demo_senders import Senders
from trunkline.cli.listening import address, listening_on, receiver_program
from trunkline.config.sandbox import KEY, load_for_stand_in
from trunkline.config.sandbox import STAND_IN as STAND_IN_VARIABLE
from trunkline.config.settings import Settings
from trunkline.runtime.supervisor import Supervisor
from trunkline.sandbox import Sandbox, SandboxRules
from trunkline.store import Store

PROCESSES: Final = 2
LATENCY_S: Final = 0.05
CONFIGURATION: Final = """
[accounts.default]
requests_per_second = 100
max_concurrency = 8

[batch]
max_wait_s = 1.0

[retry]
initial_s = 1.0
max_s = 8.0

[profiles.support]
[[profiles.support.directions]]
type = "inbound"

[profiles.sales]
[[profiles.sales.directions]]
type = "outbound"
sip_endpoint = "sip:trunk.provider.example"
options = { transport = "tls", secure_media = true }

[profiles.frontdesk]
[[profiles.frontdesk.directions]]
type = "inbound"
[[profiles.frontdesk.directions]]
type = "outbound"
sip_endpoint = "sip:pbx.example"
options = { transport = "tls", secure_media = true }
"""
RECEIVER: Final = """
[server]
public_url = "{url}"

[sources.telnyx]
type = "telnyx"
public_keys = [{{ env = "DEMO_TELNYX_KEY" }}]
profile = "support"

[sources.hubspot]
type = "hubspot"
keys = [{{ env = "DEMO_HUBSPOT_KEY" }}]
property = "phone"

[sources.billing]
type = "cloudevents"
verify = {{ scheme = "bearer" }}
keys = [{{ env = "DEMO_BILLING_KEY" }}]

[[routes]]
when = {{ source = "hubspot" }}
profile = "sales"
"""


@dataclass(frozen=True, slots=True)
class Stage:
    """Parts of a demo that are running: its store, its stand-in API, its folder, and the senders of its webhooks."""

    settings: Settings
    store: Store
    sandbox: Sandbox
    folder: Path
    senders: Senders


@contextmanager
def running(fail_rate: float) -> Iterator[Stage]:
    """Run a store, the stand-in API, the receiver and the workers in a temporary directory until the block ends.

    `fail_rate`: share of the numbers that fail at each try, 0 to 0.9.
    """
    with ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="trunkline-demo-", ignore_cleanup_errors=True))
        )
        config = folder / "trunkline.toml"
        listening = stack.enter_context(listening_on("127.0.0.1", 0))
        senders = stack.enter_context(Senders(f"http://{address(listening)}"))
        config.write_text(CONFIGURATION + RECEIVER.format(url=senders.url), encoding="utf-8")
        rules = SandboxRules(api_key=KEY, latency_s=LATENCY_S, fail_rate=fail_rate, dead_rate=0.001)
        sandbox = stack.enter_context(Sandbox(rules))
        env = dict(os.environ) | {
            "TRUNKLINE_CONFIG": str(config),
            "TRUNKLINE_DATA_DIR": str(folder / "data"),
            STAND_IN_VARIABLE: sandbox.base_url,
            **senders.environment(),
        }
        settings = load_for_stand_in(config, env, sandbox.base_url)
        opened = open_store(settings)
        stack.callback(opened.close)
        opened.store.publish(policies_of(settings))
        log = stack.enter_context((folder / "worker.log").open("wb"))
        beside = [receiver_program(listening)]
        supervisor = Supervisor(env, PROCESSES, settings.worker.grace_s, stderr=log, beside=beside)
        supervisor.start()
        watch = Thread(target=supervisor.run, name="supervisor")
        watch.start()
        stack.callback(watch.join)
        stack.callback(supervisor.stop, signal.SIGINT)
        yield Stage(settings, opened.store, sandbox, folder, senders)
