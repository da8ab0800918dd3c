-- prelude: what every script shares; store/scripts.py puts it in front of each of them.
--
-- KEYS[1]  the prefix of every key, with the hash tag: "{tl}:" (one slot in a cluster)
-- ARGV[1]  now in milliseconds, or "" for the server's own clock (tests inject one)
--
-- A script looks first and writes after, and refuses before its first write where the store asks for a newer one (meta).
--
-- Keys (P is the prefix, <a> an account, <p> a profile, <n> a number, times in ms):
--   meta              hash   schema (of the data), least (the oldest schema that may write), clock (latest time that a beat saw),
--                            stepped "<ms> <at>" (the clock's last step back), retime (what it left is being put right),
--                            beat (when any worker last was heard of), governed (the configurations that the policies are of)
--   workers           zset   "<digest> <id>" -> until when it counts as living
--   worker:<id>       hash   what it says of itself: host, pid, version, threads, busy, digest, seen
--   configs           zset   digest of a configuration -> when it was first seen
--   config:<digest>   hash   digest, p:<p> "fingerprint account size wait directions trunk", a:<a> "cap iv"
--   due               zset   account -> when something of it may next be claimed
--   due:<a>           zset   profile -> when a batch of it may be claimed
--   policy:<p>        hash   a account, s batch size, w max wait, fp fingerprint, d directions ("i", "o", "io"), tr bound to a trunk,
--                            dg digest of the configuration it is of, mv when directions or account last changed,
--                            op/opt operator's pause (reason, since), au/aut automatic pause,
--                            ok (fingerprint that had a success), ca (the number that had it last),
--                            rf/rs refused alike: fingerprint, signature; cw the canary: an attached number that is sent again to
--                            see whether the profile or the numbers are to blame; until then nothing else of the profile goes
--   alike:<p>         set    the numbers refused alike since the last success
--   policies, accounts set   every name ever published
--   account:<a>       hash   cap, iv (ms between requests), run (batches under way), tat (rate, GCRA),
--                            op/opt operator's pause, gu/gr/gt/gn the breaker (open until, why, since, how often in a row),
--                            pl (lease of the probe), slot of the probe, half (open for one batch),
--                            fw calls in a row that failed as a whole, hk when one was answered last
--   ready:<p>         list   numbers, first in first out
--   split:<p>         list   child batches, numbers joined by "\n", that go out as they are
--   retry:<p>         zset   number -> when it may go again
--   entry:<p>:<n>     hash   s state: q queued, f attaching, a attached, d dead, s superseded, x dropped
--                            q queued at, u updated at, n next attempt at (= it is in retry), h held for another profile
--                            k attempts, c crashes, e last 16 event ids, o source, m metadata
--                            v verify: d in doubt, c check that it is still there; t when the doubtful request left
--                            b known absent before, y met a bare 403, f forced, g again after the settle (1, or f forced)
--                            p fingerprint attached under, l fingerprint leased under
--                            tr when its call last failed as a whole, ur read-backs in a row that did not work
--                            x contended: another profile sends a direction of it too, so a read-back proves nothing
--                            z a stale place of it is still in ready or split, w closing wish (s or x) to apply at settle
--                            ss state it was superseded in
--                            ec ea em er last error: code, the API's code, message, the API's own words; dc da dead code, at; j attempts it took to attach
--   route:<a>:<n>     hash   everybody who wants the number, as "<time of its newest event> <profile>": i and o, those who own a
--                            direction; h, the others, a line each. Also the index of a number's profiles
--   waiting:<a>       hash   number -> profiles held until the batch that has it is settled, joined by "\n"
--   batch:<id>        hash   p, a, fp, n numbers joined by "\n", k kind (r ready, s split), slot of its next request, sent,
--                            w worker, d directions it sends, le lease, at when it was claimed
--   batches           string how many batches there have been
--   leases            zset   batch -> when its lease ends
--   inflight:<a>      set    the numbers under way
--   seen:<source>:<event_id>  string, 7 days;  forced:<source>:<event_id>  string, a minute
--   dead              zset   "<p> <n>" -> since when
--   ended             zset   "<p> <n>" -> sequence of its latest end, of whatever kind: a compacted log, read by cursor
--   sequence          string the last sequence;  cursors  hash  consumer -> the sequence it has read up to
--   closed            zset   day -> day;  closed:<day> list "<p> <n>": what version 0.1 wrote in place of ended
--   secret:<p>        hash   register passwords, sealed
--   rejected          zset   id -> when it last came, in the order of coming;  rejected_of:<source> the same of one source
--   rejected_counts, rejected_sizes  zset  source -> how many of them, how many bytes of them it holds
--   rejected:<id>     hash   what could not be taken in: s source, c code, m message, r request (JSON: method, URL, headers),
--                            b body (a character a byte), y the body's length as it came, z bytes of all that is kept,
--                            f first came, l last came, n times
--   inventory:<source>, purchases:<source>  string, 24 hours, 30 days: where reading a carrier's inventory or log goes on
--                            (of purchases with the event ids that were taken, a line each)
--   books hash;  books:<p> hash

local P = KEYS[1]
local call = redis.call
local SCHEMA = 2 -- what these scripts write
local least = tonumber(call('HGET', P .. 'meta', 'least') or nil)
if least and least > SCHEMA then
  return redis.error_reply('TRUNKLINEOLD this program writes schema ' .. SCHEMA .. ', and the store takes ' .. least .. ' or newer')
end
local NOW = tonumber(ARGV[1])
if not NOW then
  local t = call('TIME')
  NOW = t[1] * 1000 + math.floor(t[2] / 1000)
end

local BOOK_OF = { [STATE.queued] = 'queued', [STATE.attaching] = 'attaching', [STATE.attached] = 'attached', [STATE.dead] = 'dead',
  [STATE.superseded] = 'superseded', [STATE.dropped] = 'dropped' }
local DAY = 86400000
local STEP = 2000 -- ms back that are no jitter of the clock
local FUTURE = 60000 -- ms ahead of the clock that no time of ours can be: the clock stood wrong when it was written

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
    local v = call('HMGET', P .. 'policy:' .. p, POLICY.account, POLICY.batch_size, POLICY.max_wait, POLICY.fingerprint, POLICY.directions, POLICY.paused, POLICY.refused, POLICY.succeeded_under, POLICY.alike_under, POLICY.alike_signature, POLICY.moved_at, POLICY.last_attached, POLICY.canary)
    known = v[1] and { a = v[1], size = tonumber(v[2]), wait = tonumber(v[3]), fp = v[4], dirs = v[5],
      op = v[6], au = v[7], ok = v[8], rf = v[9], rs = v[10], mv = v[11], ca = v[12], cw = v[13] } or false
    policies[p] = known
  end
  return known or nil
end

-- The account's rate (GCRA): every request has a slot, one interval after the one before it. A claim takes its slot up to
-- AHEAD early, so that the next batch is ready when its slot comes and no thread asks in vain; permit keeps it waiting.
local AHEAD = 1000

local function account(a)
  local v = call('HMGET', P .. 'account:' .. a, ACCOUNT.max_calls, ACCOUNT.interval, ACCOUNT.calls, ACCOUNT.next_slot, ACCOUNT.paused, ACCOUNT.open_until, ACCOUNT.probe_lease, ACCOUNT.half_open, ACCOUNT.trips)
  local half = v[8]
  local cap, iv = tonumber(v[1]) or 1, tonumber(v[2]) or 0
  local tat, probe = tonumber(v[4]) or 0, tonumber(v[7])
  if tat > NOW + AHEAD + cap * iv + FUTURE then tat = NOW end
  if probe and probe > NOW + FUTURE then probe = nil end
  return { cap = half and 1 or cap, iv = iv, run = tonumber(v[3]) or 0, tat = tat, op = v[5],
    gu = tonumber(v[6]), pl = probe, half = half, gn = tonumber(v[9]) or 0 }
end

local function rate_opens(acc) return acc.tat - AHEAD end

local function take_slot(a, acc)
  local slot = math.max(acc.tat, NOW)
  acc.tat = slot + acc.iv
  call('HSET', P .. 'account:' .. a, ACCOUNT.next_slot, string.format('%.3f', acc.tat))
  return string.format('%.3f', slot)
end

-- Which profiles and accounts finish() has to look at again.
local to_schedule, to_touch = {}, {}

local function schedule(p) to_schedule[p] = true end

-- When the canary of a profile may go; nil while it is under way, false where there is none (any more).
local function canary_time(p, pol)
  if not pol.cw then return false end
  local e = call('HMGET', entry_key(p, pol.cw), E.state, E.next_at)
  if e[1] == STATE.attaching then return nil end
  return e[1] == STATE.queued and (tonumber(e[2]) or NOW)
end

-- When a batch of the profile may be claimed, from what waits now; nil when nothing does or it may not go.
local function due_time(p, pol)
  if pol.op or pol.au then return nil end
  local canary = canary_time(p, pol)
  if canary ~= false then return canary end
  if call('EXISTS', P .. 'split:' .. p) == 1 then return NOW end
  local ready = call('LLEN', P .. 'ready:' .. p)
  if ready >= pol.size then return NOW end
  local due = nil
  if ready > 0 then
    local v = call('HMGET', entry_key(p, call('LINDEX', P .. 'ready:' .. p, 0)), E.state, E.queued_at)
    local since = v[1] == STATE.queued and tonumber(v[2]) or NOW
    due = v[1] == STATE.queued and since <= NOW + STEP and since + pol.wait or NOW -- queued later than now: the clock has stepped back
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

-- The log of ends: what a script brings to an end goes to its end, with the next sequences.
local ended = {}

local function ends(p, n) ended[#ended + 1] = p .. ' ' .. n end

local function write_ended()
  if #ended == 0 then return end
  local sequence = call('INCRBY', P .. 'sequence', #ended) - #ended
  for from = 1, #ended, 500 do
    local args = {}
    for i = from, math.min(from + 499, #ended) do
      args[#args + 1] = sequence + i
      args[#args + 1] = ended[i]
    end
    call('ZADD', P .. 'ended', unpack(args))
  end
end

local function finish()
  write_ended()
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

-- Queues an entry that is closed: its old place is used again if it still has one.
local function enqueue_again(p, n, had_place)
  if had_place then
    call('HDEL', entry_key(p, n), E.stale_place)
  else
    call('RPUSH', P .. 'ready:' .. p, n)
  end
  schedule(p)
end

-- Takes a queued entry out of retry, or leaves its place in ready or split to be skipped.
local function give_up_place(p, n, next_at)
  if next_at then
    call('ZREM', P .. 'retry:' .. p, n)
    call('HDEL', entry_key(p, n), E.next_at, E.held)
  else
    call('HSET', entry_key(p, n), E.stale_place, 1)
  end
  schedule(p)
end

local function die(p, n, code)
  call('HSET', entry_key(p, n), E.state, STATE.dead, E.dead_code, code, E.dead_at, NOW, E.updated_at, NOW)
  call('ZADD', P .. 'dead', NOW, p .. ' ' .. n)
  ends(p, n)
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
        local e = call('HMGET', entry_key(p, n), E.state, E.held)
        if e[1] == STATE.queued and e[2] then
          call('ZREM', P .. 'retry:' .. p, n)
          call('HDEL', entry_key(p, n), E.next_at, E.held)
          call('RPUSH', P .. 'ready:' .. p, n)
          schedule(p)
        end
      end
    end
  end
end

-- @ownership

-- The canary says no more: it stays attached as it was, and waits for a check where an event asked for it meanwhile.
local function keep_attached(p, n, again)
  local key = entry_key(p, n)
  call('HDEL', key, E.attempts, E.crashes, E.verify, E.sent_at, E.known_absent, E.forced, E.again, E.wish, E.met_403, E.failed_whole_at, E.unread, E.error_code, E.api_code, E.message, E.answer)
  if again then
    call('HSET', key, E.state, STATE.queued, E.queued_at, NOW, E.updated_at, NOW, E.verify, VERIFY.check)
    if again == AGAIN.forced then call('HSET', key, E.forced, 1) end
    move(p, STATE.attaching, STATE.queued)
    call('RPUSH', P .. 'ready:' .. p, n)
  else
    call('HSET', key, E.state, STATE.attached, E.updated_at, NOW)
    move(p, STATE.attaching, STATE.attached)
    ends(p, n)
  end
end

-- What was refused alike until now, and the canary that was asked about it, count no more.
local function forget_alike(p, pol)
  call('HDEL', P .. 'policy:' .. p, POLICY.alike_under, POLICY.alike_signature, POLICY.canary)
  call('DEL', P .. 'alike:' .. p)
  pol.cw, pol.rf = false, false
end

-- Ends a batch: no lease, nothing of it in flight, the account's slot free.
local function end_batch(id, a, numbers)
  call('DEL', P .. 'batch:' .. id)
  call('ZREM', P .. 'leases', id)
  call('SREM', P .. 'inflight:' .. a, unpack(numbers))
  call('HINCRBY', P .. 'account:' .. a, ACCOUNT.calls, -1)
  to_touch[a] = true
end

-- Opens the account's breaker. Calls that were already out may say the same again: they move its end, and count once.
local function close_gate(a, ms, reason)
  local key = P .. 'account:' .. a
  local v = call('HMGET', key, ACCOUNT.open_until, ACCOUNT.trips)
  local closed_until = tonumber(v[1]) or 0
  if closed_until <= NOW then call('HINCRBY', key, ACCOUNT.trips, 1) end
  call('HSET', key, ACCOUNT.open_until, math.max(closed_until, NOW + ms), ACCOUNT.open_reason, reason)
  call('HSETNX', key, ACCOUNT.open_since, NOW)
  call('HDEL', key, ACCOUNT.half_open, ACCOUNT.probe_lease)
  to_touch[a] = true
end

-- What a worker's configuration carries; the digest "" carries everything.
local PAGE = 64

-- Of these profiles, those that it carries as they were published.
local function ours(digest, names)
  if digest == '' or #names == 0 then return names end
  local fields, carried = {}, {}
  for i, p in ipairs(names) do fields[i] = 'p:' .. p end
  for i, text in ipairs(call('HMGET', P .. 'config:' .. digest, unpack(fields))) do
    local pol = text and policy(names[i])
    if pol and string.match(text, '^(%S+)') == pol.fp then carried[#carried + 1] = names[i] end
  end
  return carried
end

local function is_ours(digest, a) return digest == '' or call('HEXISTS', P .. 'config:' .. digest, 'a:' .. a) == 1 end

-- When something of ours is due in an account that others' profiles keep due.
local function due_later(digest, a)
  local from = 0
  while true do
    local names = call('ZRANGEBYSCORE', P .. 'due:' .. a, '(' .. NOW, '+inf', 'LIMIT', from, PAGE)
    local first = ours(digest, names)[1]
    if first then return tonumber(call('ZSCORE', P .. 'due:' .. a, first)) end
    if #names < PAGE then return nil end
    from = from + PAGE
  end
end

-- The configurations of living workers, the newest first: of two, the one that was first seen later counts.
local function living_configurations()
  local digests, known = {}, {}
  for _, member in ipairs(call('ZRANGEBYSCORE', P .. 'workers', '(' .. NOW, '+inf')) do
    local digest = string.match(member, '^(%S+) ')
    if digest and not known[digest] then
      known[digest] = tonumber(call('ZSCORE', P .. 'configs', digest) or nil) or 0
      digests[#digests + 1] = digest
    end
  end
  table.sort(digests, function(x, y)
    if known[x] ~= known[y] then return known[x] > known[y] end
    return x > y
  end)
  return digests
end
