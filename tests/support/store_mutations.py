"""One-line mutations of the store's scripts; each takes out a line that maintains an invariant."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha1

from trunkline.store import scripts


@dataclass(frozen=True, slots=True)
class Mutation:
    """In the script `script` ("prelude": in all of them), `old` becomes `new`.

    `rare`: it takes the machine many runs to get there.
    """

    what: str
    script: str
    old: str
    new: str = ""
    rare: bool = False


MUTATIONS = (
    Mutation(
        "a push does not make its profile due", "push", "then schedule(p) end\n  pushed[p]", "then end\n  pushed[p]"
    ),
    Mutation("a push that makes a batch full leaves the turn as it was", "push", "length >= size or ", "", rare=True),
    Mutation("a push takes what it finds for new", "push", " > 0 then return false end", " < 0 then return false end"),
    Mutation(
        "a push takes a number that it has twice for new",
        "push",
        "not (all_new and not touched[n]) and read_claims",
        "not all_new and read_claims",
        rare=True,
    ),
    Mutation("a reap does not make its profile due", "reap", "  schedule(p)\n  reaped", "  reaped"),
    Mutation(
        "a paused profile stays due",
        "prelude",
        "if pol.op or pol.au then return nil",
        "if pol.au then return nil",
        rare=True,
    ),
    Mutation("a resumed account is not made due", "gate", "  to_touch[name] = true\n"),
    Mutation("a settled batch keeps its lease", "prelude", "  call('ZREM', P .. 'leases', id)\n"),
    Mutation("a settled batch stays", "prelude", "  call('DEL', P .. 'batch:' .. id)\n"),
    Mutation("a settled number stays in flight", "prelude", "  call('SREM', P .. 'inflight:' .. a, unpack(numbers))\n"),
    Mutation("a number under way is not looked for", "claim", "busy[i] == 1 or ", "", rare=True),
    Mutation(
        "the cap is forgotten",
        "prelude",
        "not acc or acc.op or acc.run >= acc.cap then",
        "not acc or acc.op then",
        rare=True,
    ),
    Mutation(
        "a number that failed gets no place", "settle", "  retries[#retries + 1] = at\n  retries[#retries + 1] = n\n"
    ),
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
    Mutation("the books miss a replay", "replay", "    move(p, 'd', 'q')\n"),
    Mutation("the books miss what is superseded", "prelude", "  move(p, s, 's')\n"),
    Mutation(
        "an event with a refusal leaves a mark", "push", "    if clean and not full then\n", "    if not full then\n"
    ),
    Mutation("the older of two events wins", "prelude", "c.t > best.t", "c.t < best.t"),
    Mutation(
        "what is attached is not in the log of ends",
        "settle",
        "    ends(p, n)\n    if tells",
        "    if tells",
    ),
    Mutation(
        "what dies is not in the log of ends",
        "settle",
        "    dead[#dead + 1] = p .. ' ' .. n\n    ends(p, n)\n",
        "    dead[#dead + 1] = p .. ' ' .. n\n",
    ),
    Mutation("what is archived wants its directions for ever", "archive", "  withdraw(n, p)\n"),
    Mutation(
        "the owner of a direction does not go again",
        "settle",
        "or what == 'dead') then reassert(a, n, p, dirs) end",
        "or what == 'dead') then local _ = 0 end",
        rare=True,
    ),
    Mutation("a contended number is only read back", "claim", "e[6] or contended", "e[6]", rare=True),
    # edits of a profile
    Mutation(
        "a doubt from before an edit is read back",
        "claim",
        "if e[5] == 'd' then call('HSET', key, 'f', 1) end",
        rare=True,
    ),
    # corrections
    Mutation(
        "a cancel gives nothing back",
        "drop",
        "given_back + release(pol.a, n, p, pol.dirs, sent)",
        "given_back + 0",
    ),
    Mutation(
        "a cancel under way gives nothing back",
        "settle",
        "    if state == 'x' then release(a, n, p, dirs, tried or e.attached_under) end\n",
    ),
    # configurations
    Mutation(
        "an edited profile's number is not claimed anew", "claim", "'q' and pol.mv and", "'q' and false and", rare=True
    ),
    Mutation("a worker gets what it does not carry", "prelude", "string.match(text, '^(%S+)') == pol.fp", "true"),
    Mutation(
        "the oldest configuration counts",
        "prelude",
        "return known[x] > known[y]",
        "return known[x] < known[y]",
    ),
    Mutation("a claim stays where the profile was", "claim", "        remove_claim(there, p)\n"),
    # attempts, the breaker, the canary
    Mutation(
        "trouble of the gateway spends an attempt",
        "settle",
        "  local free = o[8] == 1\n",
        "  local free = false\n",
    ),
    Mutation("one call that fails opens the breaker", "settle", "'fw', 1) >= 2", "'fw', 1) >= 1"),
    Mutation("an answer does not end a row of failures", "settle", "'half', 'fw')", "'half')"),
    Mutation(
        "a suspect batch is not split",
        "settle",
        "failed < healthy_at then return true",
        "false then return true",
    ),
    Mutation(
        "others of a profile do not wait for the canary",
        "prelude",
        "  if canary ~= false then return canary end\n",
    ),
    Mutation("others of a profile go with the canary", "claim", "  if into then return into, special, kind end\n"),
    Mutation("a canary that was refused dies", "settle", "n == canary and canary_said == 'refused'", "false"),
    Mutation(
        "a worker that lives counts as crashed",
        "reap",
        "local crashed = not is_living(b[6])",
        "local crashed = true",
    ),
    # the clock, and a server without memory
    Mutation("nobody notices that the clock stepped back", "beat", "if back > STEP then", "if false then"),
    Mutation(
        "a retry waits until the clock has caught up",
        "retime",
        "      call('ZADD', P .. 'retry:' .. p, at, ARGV[i])\n      call('HSET', key, 'n', at, 'u', NOW)\n",
    ),
    Mutation(
        "a lease lasts until the clock has caught up",
        "retime",
        "      call('ZADD', P .. 'leases', NOW + length, held[i])\n",
    ),
    Mutation("a claim from a time that has not come stays", "push", "if c.t > NOW + FUTURE then", "if false then"),
    Mutation("nothing is settled without memory", "settle", "#!lua flags=allow-oom", "#!lua"),
    Mutation("nothing is cancelled without memory", "drop", "#!lua flags=allow-oom", "#!lua"),
)


def mutated(mutation: Mutation) -> dict[str, scripts.Script]:
    """Every script, with this line changed. AssertionError where the line is not there (once)."""
    changed = scripts.load()
    prelude = scripts.source("prelude")
    for name, script in changed.items():
        if mutation.script in {name, "prelude"}:
            part = prelude if mutation.script == "prelude" else script.text
            assert part.count(mutation.old) == 1, f"{mutation.what}: the line has changed in {name}"
            text = script.text.replace(part, part.replace(mutation.old, mutation.new))
            digest = sha1(text.encode(), usedforsecurity=False).hexdigest()
            changed[name] = scripts.Script(name, text, digest)
    return changed
