"""The sandbox: a stand-in for the SIP endpoints of api.bland.ai, for tests, demos and benchmarks.

documented.py   what a request may say, as Bland's pages have it                   (pure)
rules.py        how the stand-in behaves: latency, rates, poison, shapes           (pure)
script.py       what it shall do on the next calls, said exactly                   (pure)
conduct.py      rules + request + script -> what happens in one attach call        (pure)
answers.py      the JSON of its answers                                            (pure)
book.py         which number has which configuration
witness.py      what it saw: counts, overlaps, numbers sent again, the call log
service.py      one request in, one reply out, behind one lock
control.py      its own paths: what it saw, and what it shall do
server.py       the sockets
"""

from trunkline.sandbox.rules import RulesError, SandboxError, SandboxRules
from trunkline.sandbox.server import Sandbox, serve
from trunkline.sandbox.service import STAND_IN

__all__ = ["STAND_IN", "RulesError", "Sandbox", "SandboxError", "SandboxRules", "serve"]
