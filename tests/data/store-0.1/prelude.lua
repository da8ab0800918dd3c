-- prelude: what every script shares; store/scripts.py puts it in front of each of them.
--
-- KEYS[1]  the prefix of every key, with the hash tag: "{tl}:" (one slot in a cluster)
-- ARGV[1]  now in milliseconds, or "" for the server's own clock (tests inject one)
--
-- Keys (P is the prefix, <a> an account, <p> a profile, <n> a number, times in ms):
--   due               zset   account -> when something of it may next be claimed
--   due:<a>           zset   profile -> when a batch of it may be claimed
--   policy:<p>        hash   a account, s batch size, w max wait, fp fingerprint, d directions ("i", "o", "io"), tr bound to a trunk,
--                            gone (no worker knows it), op/opt operator's pause (reason, since), au/aut automatic pause,
--                            ok (fingerprint that had a success), rf/rs/rn refused alike: fingerprint, signature, numbers
--   policies, accounts set   every name ever published
--   account:<a>       hash   cap, iv (ms between requests), run (batches under way), tat (rate, GCRA),
--                            op/opt operator's pause, gu/gr/gt/gn automatic gate (until, why, since, how often in a row),
--                            pl (lease of the probe), slot of the probe, half (open for one batch)
--   ready:<p>         list   numbers, first in first out
--   split:<p>         list   child batches, numbers joined by "\n", that go out as they are
--   retry:<p>         zset   number -> when it may go again
--   entry:<p>:<n>     hash   s state: q queued, f attaching, a attached, d dead, s superseded, x dropped
--                            q queued at, u updated at, n next attempt at (= it is in retry), h held for another profile
--                            k attempts, c crashes, e last 16 event ids, o source, m metadata
--                            v verify: d in doubt, c check that it is still there; t when the doubtful request left
--                            b known absent before, y met a bare 403, f forced, g again after the settle (1, or f forced)
--                            p fingerprint attached under, l fingerprint leased under
--                            x contended: another profile sends a direction of it too, so a read-back proves nothing
--                            z a stale place of it is still in ready or split, w closing wish (s or x) to apply at settle
--                            ec ea em er last error: code, the API's code, message, the API's own words; dc da dead code, at; j attempts it took to attach
--   route:<a>:<n>     hash   i, o: "<time of the newest event> <profile>" a direction
--   waiting:<a>       hash   number -> profiles held until the batch that has it is settled, joined by "\n"
--   batch:<id>        hash   p, a, fp, n numbers joined by "\n", k kind (r ready, s split), slot of its next request, sent
--   leases            zset   batch -> when its lease ends
--   inflight:<a>      set    the numbers under way
--   seen:<source>:<event_id>  string, 7 days
--   dead              zset   "<p> <n>" -> since when
--   closed            zset   day -> day;  closed:<day> list "<p> <n>" closed on that day, for the archive
--   rejected          zset   id -> when it last came, in the order of coming;  rejected_of:<source> the same of one source
--   rejected_counts, rejected_sizes  zset  source -> how many of them, how many bytes of them it holds
--   rejected:<id>     hash   what could not be taken in: s source, c code, m message, r request (JSON: method, URL, headers),
--                            b body (a character a byte), y the body's length as it came, z bytes of all that is kept,
--                            f first came, l last came, n times
--   inventory:<source>, purchases:<source>  string, 24 hours, 30 days: where reading a carrier's inventory or log goes on
--                            (of purchases with the event ids that were taken, a line each)
--   outcomes          stream, trimmed;  books hash;  books:<p> hash

local P = KEYS[1]
local call = redis.call
local NOW = tonumber(ARGV[1])
if not NOW then
  local t = call('TIME')
  NOW = t[1] * 1000 + math.floor(t[2] / 1000)
end

local BOOK_OF = { q = 'queued', f = 'attaching', a = 'attached', d = 'dead', s = 'superseded', x = 'dropped' }
local STREAM_LENGTH = 20000
local DAY = 86400000

local function entry_key(p, n) return P .. 'entry:' .. p .. ':' .. n end

local function lines(text)
  local out = {}
  for line in string.gmatch(text, '[^\n]+') do out[#out + 1] = line end
  return out
end

-- The books: changes are collected and written once, by finish().
local moved, totals = {}, {}

local function count(p, field, by)
  local book = moved[p]
  if not book then book = {}; moved[p] = book end
  book[field] = (book[field] or 0) + by
  if field == 'queued' then totals.waiting = (totals.waiting or 0) + by end
end

local function tally(field, by) totals[field] = (totals[field] or 0) + by end

local function move(p, from, to)
  count(p, BOOK_OF[from], -1)
  count(p, BOOK_OF[to], 1)
end

-- A profile's policy, read once a script; nil for one that nobody published.
local policies = {}

local function policy(p)
  local known = policies[p]
  if known == nil then
    local v = call('HMGET', P .. 'policy:' .. p, 'a', 's', 'w', 'fp', 'd', 'gone', 'op', 'au', 'ok', 'rf', 'rs', 'rn')
    known = v[1] and { a = v[1], size = tonumber(v[2]), wait = tonumber(v[3]), fp = v[4], dirs = v[5], gone = v[6],
      op = v[7], au = v[8], ok = v[9], rf = v[10], rs = v[11], rn = v[12] } or false
    policies[p] = known
  end
  return known or nil
end

local function account(a)
  local v = call('HMGET', P .. 'account:' .. a, 'cap', 'iv', 'run', 'tat', 'op', 'gu', 'pl', 'half', 'gn')
  local half = v[8]
  local iv = tonumber(v[2]) or 0
  return { cap = half and 1 or tonumber(v[1]) or 1, iv = iv, run = tonumber(v[3]) or 0, tat = tonumber(v[4]) or 0, op = v[5],
    gu = tonumber(v[6]), pl = tonumber(v[7]), half = half, gn = tonumber(v[9]) or 0 }
end

-- The account's rate (GCRA): every request has a slot, one interval after the one before it. A claim takes its slot up to
-- AHEAD early, so that the next batch is ready when its slot comes and no thread asks in vain; permit keeps it waiting.
local AHEAD = 1000

local function rate_opens(acc) return acc.tat - AHEAD end

local function take_slot(a, acc)
  local slot = math.max(acc.tat, NOW)
  acc.tat = slot + acc.iv
  call('HSET', P .. 'account:' .. a, 'tat', string.format('%.3f', acc.tat))
  return string.format('%.3f', slot)
end

-- Which profiles and accounts finish() has to look at again.
local to_schedule, to_touch = {}, {}

local function schedule(p) to_schedule[p] = true end

-- When a batch of the profile may be claimed, from what waits now; nil when nothing does or it may not go.
local function due_time(p, pol)
  if pol.gone or pol.op or pol.au then return nil end
  if call('EXISTS', P .. 'split:' .. p) == 1 then return NOW end
  local ready = call('LLEN', P .. 'ready:' .. p)
  if ready >= pol.size then return NOW end
  local due = nil
  if ready > 0 then
    local v = call('HMGET', entry_key(p, call('LINDEX', P .. 'ready:' .. p, 0)), 's', 'q')
    due = v[1] == 'q' and tonumber(v[2]) + pol.wait or NOW
  end
  local first = call('ZRANGE', P .. 'retry:' .. p, 0, 0, 'WITHSCORES')
  if first[1] then
    local nth = pol.size - ready - 1
    local full_at = tonumber(call('ZRANGE', P .. 'retry:' .. p, nth, nth, 'WITHSCORES')[2]) or math.huge
    if full_at <= NOW then return NOW end
    due = math.min(due or math.huge, tonumber(first[2]) + pol.wait, full_at)
  end
  return due
end

local function reschedule(p)
  local pol = policy(p)
  if not pol then return end
  local key = P .. 'due:' .. pol.a
  local due = due_time(p, pol)
  if due then
    local old = tonumber(call('ZSCORE', key, p) or nil)
    if not (old and old <= NOW and due <= NOW) then call('ZADD', key, due, p) end -- an earlier turn is kept
  else
    call('ZREM', key, p)
  end
  to_touch[pol.a] = true
end

-- Puts the account where its state says: in due at the first instant that a claim can succeed, or out of it while
-- an operator's pause or the concurrency cap holds (resume, settle and reap come back here).
local function touch(a)
  local first = call('ZRANGE', P .. 'due:' .. a, 0, 0, 'WITHSCORES')
  local acc = first[1] and account(a)
  if not acc or acc.op or acc.run >= acc.cap then
    call('ZREM', P .. 'due', a)
    return
  end
  local at = math.max(tonumber(first[2]), acc.gu or 0, acc.pl or 0, rate_opens(acc))
  call('ZADD', P .. 'due', at, a)
end

-- The outcome stream gets one entry for all numbers of a profile that a script brings to the same end.
local outcomes = {}

local function tell(p, n, state, code)
  local name = p .. ' ' .. state .. (code or '')
  local told = outcomes[name]
  if not told then told = { p = p, state = BOOK_OF[state], code = code or '' }; outcomes[name] = told end
  told[#told + 1] = n
end

local function write_outcomes()
  for _, told in pairs(outcomes) do
    call('XADD', P .. 'outcomes', 'MAXLEN', '~', STREAM_LENGTH, '*', 'profile', told.p, 'state', told.state, 'at', NOW,
      'code', told.code, 'numbers', table.concat(told, '\n'))
  end
end

local function finish()
  write_outcomes()
  for p in pairs(to_schedule) do reschedule(p) end
  for a in pairs(to_touch) do touch(a) end
  for p, book in pairs(moved) do
    for field, by in pairs(book) do
      if by ~= 0 then call('HINCRBY', P .. 'books:' .. p, field, by) end
    end
  end
  for field, by in pairs(totals) do
    if by ~= 0 then call('HINCRBY', P .. 'books', field, by) end
  end
end

-- Closed entries are listed by day, so that the archive finds the old ones without a scan.
local closing = {}

local function close_entry(p, n)
  closing[#closing + 1] = p .. ' ' .. n
end

local function write_closed()
  if #closing == 0 then return end
  local day = math.floor(NOW / DAY)
  call('ZADD', P .. 'closed', day, day)
  for i = 1, #closing, 1000 do
    call('RPUSH', P .. 'closed:' .. day, unpack(closing, i, math.min(i + 999, #closing)))
  end
end

-- Queues an entry that is closed: its old place is used again if it still has one.
local function enqueue_again(p, n, had_place)
  if had_place then
    call('HDEL', entry_key(p, n), 'z')
  else
    call('RPUSH', P .. 'ready:' .. p, n)
  end
  schedule(p)
end

-- Takes a queued entry out of retry, or leaves its place in ready or split to be skipped.
local function give_up_place(p, n, next_at)
  if next_at then
    call('ZREM', P .. 'retry:' .. p, n)
    call('HDEL', entry_key(p, n), 'n', 'h')
  else
    call('HSET', entry_key(p, n), 'z', 1)
  end
  schedule(p)
end

local function die(p, n, code)
  call('HSET', entry_key(p, n), 's', 'd', 'dc', code, 'da', NOW, 'u', NOW)
  call('ZADD', P .. 'dead', NOW, p .. ' ' .. n)
  tell(p, n, 'd', code)
end

-- Wakes the profiles that hold a number until this account's batch is done with it.
local function wake_waiting(a, numbers)
  local key = P .. 'waiting:' .. a
  if call('EXISTS', key) == 0 then return end
  for _, n in ipairs(numbers) do
    local held = call('HGET', key, n)
    if held then
      call('HDEL', key, n)
      for _, p in ipairs(lines(held)) do
        local e = call('HMGET', entry_key(p, n), 's', 'h')
        if e[1] == 'q' and e[2] then
          call('ZREM', P .. 'retry:' .. p, n)
          call('HDEL', entry_key(p, n), 'n', 'h')
          call('RPUSH', P .. 'ready:' .. p, n)
          schedule(p)
        end
      end
    end
  end
end

local function owner_of(a, n, direction)
  local v = call('HGET', P .. 'route:' .. a .. ':' .. n, direction)
  if not v then return nil end
  local at, p = string.match(v, '^(%S+) (.+)$')
  return p, tonumber(at)
end

-- The newest event by which a profile owns a direction of the number; nil if it owns none.
local function newest_of(a, n, p)
  local newest = nil
  for direction in string.gmatch('io', '.') do
    local owner, at = owner_of(a, n, direction)
    if owner == p then newest = math.max(newest or at, at) end
  end
  return newest
end

-- After an older profile's call went out, the newer owner of one of its directions has to go again. Of two that own a
-- direction each and send both, only the one with the newer event does: else each would undo the other for ever.
local function reassert(a, n, p)
  local pol = policy(p)
  local newest = newest_of(a, n, p)
  for direction in string.gmatch(pol and pol.dirs or '', '.') do
    local owner, at = owner_of(a, n, direction)
    local other = owner and owner ~= p and policy(owner)
    if other and not (#other.dirs > 1 and newest and newest >= at) then
      local key = entry_key(owner, n)
      local e = call('HMGET', key, 's', 'z')
      if e[1] == 'a' then
        call('HSET', key, 's', 'q', 'f', 1, 'q', NOW, 'u', NOW)
        move(owner, 'a', 'q')
        enqueue_again(owner, n, e[2])
      end
    end
  end
end

-- Ends a batch: no lease, nothing of it in flight, the account's slot free.
local function end_batch(id, a, numbers)
  call('DEL', P .. 'batch:' .. id)
  call('ZREM', P .. 'leases', id)
  call('SREM', P .. 'inflight:' .. a, unpack(numbers))
  call('HINCRBY', P .. 'account:' .. a, 'run', -1)
  to_touch[a] = true
end

-- Closes the automatic gate. Calls that were already out may say the same again: they move its end, and count once.
local function close_gate(a, ms, reason)
  local key = P .. 'account:' .. a
  local v = call('HMGET', key, 'gu', 'gn')
  local closed_until = tonumber(v[1]) or 0
  if closed_until <= NOW then call('HINCRBY', key, 'gn', 1) end
  call('HSET', key, 'gu', math.max(closed_until, NOW + ms), 'gr', reason)
  call('HSETNX', key, 'gt', NOW)
  call('HDEL', key, 'half', 'pl')
  to_touch[a] = true
end
