"""One-line mutations of the store's scripts; each takes out a line that maintains an invariant."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha1

from trunkline.store import scripts


@dataclass(frozen=True, slots=True)
class Mutation:
    """In the script `script` ("prelude": in all of them but the audit), `old` becomes `new`.

    `rare`: it takes the machine many runs to get there.
    """

    what: str
    script: str
    old: str
    new: str = ""
    rare: bool = False


MUTATIONS = (
    Mutation(
        "a push does not make its profile due", "push", "  list[#list + 1] = n\n  schedule(p)", "  list[#list + 1] = n"
    ),
    Mutation("a reap does not make its profile due", "reap", "  schedule(p)\n  reaped", "  reaped"),
    Mutation("a paused profile stays due", "prelude", "pol.gone or pol.op or pol.au", "pol.gone or pol.au"),
    Mutation("a resumed account is not made due", "gate", "  to_touch[name] = true\n"),
    Mutation("a settled batch keeps its lease", "prelude", "  call('ZREM', P .. 'leases', id)\n"),
    Mutation("a settled batch stays", "prelude", "  call('DEL', P .. 'batch:' .. id)\n"),
    Mutation("a settled number stays in flight", "prelude", "  call('SREM', P .. 'inflight:' .. a, unpack(numbers))\n"),
    Mutation("a number under way is not looked for", "claim", "busy[i] == 1 or ", "", rare=True),
    Mutation(
        "the cap is forgotten", "prelude", "not acc or acc.op or acc.run >= acc.cap then", "not acc or acc.op then"
    ),
    Mutation("a number that failed gets no place", "settle", "  call('ZADD', P .. 'retry:' .. p, at, n)\n"),
    Mutation(
        "a stale place is not forgotten", "claim", "      call('HDEL', key, 'z') -- a stale place: it is gone now\n"
    ),
    Mutation("a used place is not forgotten", "prelude", "    call('HDEL', entry_key(p, n), 'z')\n"),
    Mutation(
        "who waits for a number is not woken",
        "settle",
        "\nend_batch(id, a, numbers)\nwake_waiting(a, numbers)\n",
        "\nend_batch(id, a, numbers)\n",
    ),
    Mutation("the books miss a replay", "replay", "    move(p, 'd', 'q')\n", rare=True),
    Mutation("the books miss what is superseded", "push", "  move(p, s, 's')\n"),
    Mutation("an event with a refusal leaves a mark", "push", "  elseif clean then\n", "  else\n"),
    Mutation("the older of two events wins", "push", "or t <= at then", "or t >= at then"),
    Mutation(
        "what is attached is not listed for the archive",
        "settle",
        "    move(p, 'f', 'a')\n    close_entry(p, n)",
        "    move(p, 'f', 'a')",
        rare=True,
    ),
    Mutation(
        "what is archived keeps its directions",
        "archive",
        "call('HDEL', P .. 'route:' .. pol.a .. ':' .. n, d)",
        "local _ = d",
        rare=True,
    ),
    Mutation(
        "the owner of a direction does not go again", "settle", "then reassert(a, n, p) end", "then local _ = 0 end"
    ),
    Mutation("a contended number is only read back", "claim", "e[6] or e[10]", "e[6]", rare=True),
)


def mutated(mutation: Mutation) -> dict[str, scripts.Script]:
    """Every script, with this line changed. AssertionError where the line is not there (once)."""
    changed = scripts.load()
    for name, script in changed.items():
        if name == mutation.script or (mutation.script == "prelude" and name != "audit"):
            assert script.text.count(mutation.old) == 1, f"{mutation.what}: the line has changed in {name}"
            text = script.text.replace(mutation.old, mutation.new)
            digest = sha1(text.encode(), usedforsecurity=False).hexdigest()
            changed[name] = scripts.Script(name, text, digest)
    return changed
