"""One-line mutations of the store's scripts; each takes out a line that maintains an invariant."""

from __future__ import annotations

from dataclasses import dataclass

from trunkline.store import scripts


@dataclass(frozen=True, slots=True)
class Mutation:
    """In this file of Lua, without its suffix, `old` becomes `new`.

    `rare`: it takes the machine many runs to get there.
    """

    what: str
    file: str
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
        "lib/schedule",
        "if pol.paused or pol.refused then return nil",
        "if pol.refused then return nil",
        rare=True,
    ),
    Mutation("a resumed account is not made due", "pause", "  to_touch[name] = true\n"),
    Mutation("a settled batch keeps its lease", "lib/batches", "  call('ZREM', P .. 'leases', id)\n"),
    Mutation("a settled batch stays", "lib/batches", "  call('DEL', P .. 'batch:' .. id)\n"),
    Mutation(
        "a settled number stays in flight", "lib/batches", "  call('SREM', P .. 'inflight:' .. a, unpack(numbers))\n"
    ),
    Mutation("a number under way is not looked for", "claim", "busy[i] == 1 or ", "", rare=True),
    Mutation(
        "the cap is forgotten",
        "lib/accounts",
        "not acc or acc.paused or acc.calls >= acc.max_calls then",
        "not acc or acc.paused then",
        rare=True,
    ),
    Mutation(
        "a number that failed gets no place", "settle", "  retries[#retries + 1] = at\n  retries[#retries + 1] = n\n"
    ),
    Mutation("a stale place is not forgotten", "claim", "      call('HDEL', key, E.stale_place) -- it is gone now\n"),
    Mutation("a used place is not forgotten", "lib/places", "    call('HDEL', entry_key(p, n), E.stale_place)\n"),
    Mutation(
        "who waits for a number is not woken",
        "settle",
        "\nend_batch(id, a, numbers)\nwake_waiting(a, numbers)\n",
        "\nend_batch(id, a, numbers)\n",
    ),
    Mutation("the books miss a replay", "replay", "    move(p, STATE.dead, STATE.queued)\n"),
    Mutation("the books miss what is superseded", "lib/claims", "  move(p, s, STATE.superseded)\n"),
    Mutation(
        "an event with a refusal leaves a mark", "push", "    if clean and not full then\n", "    if not full then\n"
    ),
    Mutation("the older of two events wins", "lib/claims", "c.t > best.t", "c.t < best.t"),
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
        "or what == 'dead') then\n    reassert(a, n, p, dirs)\n",
        "or what == 'dead') then\n    local _ = 0\n",
        rare=True,
    ),
    Mutation(
        "a contended number is only read back", "claim", "forced = forced or contended", "forced = forced", rare=True
    ),
    # edits of a profile
    Mutation(
        "a doubt from before an edit is read back",
        "claim",
        "        if in_doubt then call('HSET', key, E.forced, 1) end\n",
        rare=True,
    ),
    # corrections
    Mutation(
        "a cancel gives nothing back",
        "drop",
        "given_back + release(pol.account, n, p, pol.directions, sent)",
        "given_back + 0",
    ),
    Mutation(
        "a cancel under way gives nothing back",
        "settle",
        "    if state == STATE.dropped then release(a, n, p, dirs, tried or e.attached_under) end\n",
    ),
    # configurations
    Mutation(
        "an edited profile's number is not claimed anew",
        "claim",
        "STATE.queued and has_moved and",
        "STATE.queued and false and",
        rare=True,
    ),
    Mutation(
        "a worker gets what it does not carry",
        "lib/configurations",
        "string.match(text, '^(%S+)') == pol.fingerprint",
        "true",
    ),
    Mutation(
        "the oldest configuration counts",
        "lib/workers",
        "return known[x] > known[y]",
        "return known[x] < known[y]",
    ),
    Mutation("a claim stays where the profile was", "claim", "        remove_claim(there, p)\n"),
    # attempts, the breaker, the canary
    Mutation(
        "trouble of the gateway spends an attempt",
        "settle",
        "  local free = o.free\n",
        "  local free = false\n",
    ),
    Mutation(
        "one call that fails opens the breaker", "settle", "ACCOUNT.failures, 1) >= 2", "ACCOUNT.failures, 1) >= 1"
    ),
    Mutation(
        "an answer does not end a row of failures",
        "settle",
        "ACCOUNT.half_open, ACCOUNT.failures)",
        "ACCOUNT.half_open)",
    ),
    Mutation(
        "a suspect batch is not split",
        "settle",
        "failed < healthy_at then return true",
        "false then return true",
    ),
    Mutation(
        "others of a profile do not wait for the canary",
        "lib/schedule",
        "  if canary ~= false then return canary end\n",
    ),
    Mutation("others of a profile go with the canary", "claim", "  if into then return into, special, kind end\n"),
    Mutation("a canary that was refused dies", "settle", "n == canary and canary_said == 'refused'", "false"),
    Mutation(
        "a worker that lives counts as crashed",
        "reap",
        "local crashed = not is_living(worker)",
        "local crashed = true",
    ),
    # the clock, and a server without memory
    Mutation("nobody notices that the clock stepped back", "beat", "if back > STEP then", "if false then"),
    Mutation(
        "a retry waits until the clock has caught up",
        "retime",
        "      call('ZADD', P .. 'retry:' .. p, at, ARGV[i])\n      call('HSET', key, E.next_at, at, E.updated_at, NOW)\n",
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
    """Every script, with this line of its file changed. AssertionError where the line is not there (once)."""

    def read(name: str) -> str:
        text = scripts.source(name)
        return text.replace(mutation.old, mutation.new) if name == mutation.file else text

    assert scripts.source(mutation.file).count(mutation.old) == 1, f"{mutation.what}: the line has changed"
    return {name: scripts.assembled(name, read(name), read) for name in scripts.NAMES}
