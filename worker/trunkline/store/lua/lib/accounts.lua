-- accounts: an account's limits, its rate, and when it is due.

-- The account's rate (GCRA): every request has a slot, one interval after the one before it. A claim takes its slot up to
-- AHEAD early, so that the next batch is ready when its slot comes and no thread asks in vain; permit keeps it waiting.
local AHEAD = 1000

local function account(a)
  local max_calls, interval, calls, next_slot, paused, open_until, probe_lease, half_open, trips, moved_at = unpack(
    call('HMGET', P .. 'account:' .. a, ACCOUNT.max_calls, ACCOUNT.interval, ACCOUNT.calls, ACCOUNT.next_slot,
      ACCOUNT.paused,
    ACCOUNT.open_until, ACCOUNT.probe_lease, ACCOUNT.half_open, ACCOUNT.trips, ACCOUNT.moved_at))
  max_calls, interval = tonumber(max_calls) or 1, tonumber(interval) or 0
  next_slot, probe_lease = tonumber(next_slot) or 0, tonumber(probe_lease)
  if next_slot > NOW + AHEAD + max_calls * interval + FUTURE then next_slot = NOW end
  if probe_lease and probe_lease > NOW + FUTURE then probe_lease = nil end
  return { max_calls = half_open and 1 or max_calls, interval = interval, calls = tonumber(calls) or 0,
    next_slot = next_slot, paused = paused, open_until = tonumber(open_until), probe_lease = probe_lease,
    half_open = half_open, trips = tonumber(trips) or 0, moved_at = tonumber(moved_at) }
end

local function rate_opens(acc) return acc.next_slot - AHEAD end

local function take_slot(a, acc)
  local slot = math.max(acc.next_slot, NOW)
  acc.next_slot = slot + acc.interval
  call('HSET', P .. 'account:' .. a, ACCOUNT.next_slot, string.format('%.3f', acc.next_slot))
  return string.format('%.3f', slot)
end

-- Which accounts finish() has to look at again.
local to_touch = {}

-- Puts the account where its state says: in due at the first instant that a claim can succeed, or out of it while
-- an operator's pause or the concurrency cap holds (resume, settle and reap come back here).
local function touch(a)
  local first = call('ZRANGE', P .. 'due:' .. a, 0, 0, 'WITHSCORES')
  local acc = first[1] and account(a)
  if not acc or acc.paused or acc.calls >= acc.max_calls then
    call('ZREM', P .. 'due', a)
    return
  end
  local at = math.max(tonumber(first[2]), acc.open_until or 0, acc.probe_lease or 0, rate_opens(acc))
  call('ZADD', P .. 'due', at, a)
end

function finishers.accounts()
  for a in pairs(to_touch) do touch(a) end
end
