#!lua
-- push: takes deliveries in, each once: makes or joins the entries, routes, queues, and marks the event last.
-- A delivery with any refused number leaves no mark, so that its redelivery is looked at again. It always writes, if only a
-- counter, so that waiting for the disk on the same connection covers an original that is still in the air.
--
-- ARGV[2]  how many numbers may wait in all
-- ARGV[3]  how long an event is remembered, ms
-- ARGV[4]  how long a forced event is remembered, ms: for as long as its sender may repeat it unanswered
-- ARGV[5…] a delivery: source, event id, when it happened (ms or ""), metadata, force ("1" or ""), numbers refused already,
--          how many numbers follow, then (profile, number) for each
-- Result   a list for each delivery of which not every number is a new entry: its index from 0, duplicate (0 or 1), accepted,
--          coalesced, then (index from 0, code) for each refusal
-- Cost     3 commands for a new number where all of them are new, and one for each thousand keys; a few more for a known one
-- @include claims
local MAX_WAITING, REMEMBER, REMEMBER_FORCED = tonumber(ARGV[2]), ARGV[3], ARGV[4]
local FIRST = 5
local waiting = nil
local pushed = {} -- profile -> numbers for ready

local function room_for(n)
  waiting = waiting or tonumber(call('HGET', P .. 'books', 'waiting') or 0)
  return waiting + (totals.waiting or 0) + n <= MAX_WAITING
end

local function append_ready(p, n)
  local list = pushed[p]
  if not list then list = {}; pushed[p] = list end
  list[#list + 1] = n
end

-- A profile's turn stays as it is where others wait in front of these and they make no batch full, alone or with retries.
flush_ready = function(p)
  local list = pushed[p]
  if not list then return end
  local length = 0
  for from = 1, #list, 1000 do
    length = call('RPUSH', P .. 'ready:' .. p, unpack(list, from, math.min(from + 999, #list)))
  end
  local before, size = length - #list, policy(p).size
  if before == 0 or (before < size and (length >= size or call('EXISTS', P .. 'retry:' .. p) == 1)) then schedule(p) end
  pushed[p] = nil
end

-- What is known of each entry, read before anything is written; read again where this script changed it. Most often nothing
-- is: one look at all the keys tells.
local seen_entries, touched, all_new = {}, {}, false
local NOTHING = {}

local function read_entry(p, n)
  local state, stale_place, leased_under, again = unpack(call('HMGET', entry_key(p, n), E.state, E.stale_place,
    E.leased_under, E.again))
  return { state = state, stale_place = stale_place, leased_under = leased_under, again = again }
end

local function entry(p, n)
  local name = p .. ' ' .. n
  local e = not touched[n] and (all_new and NOTHING or seen_entries[name]) or read_entry(p, n)
  touched[n] = true
  return e
end

local function remember_event(key, event_id)
  local ids = lines(call('HGET', key, E.event_ids) or '')
  if ids[#ids] == event_id then return end
  ids[#ids + 1] = event_id
  call('HSET', key, E.event_ids, table.concat(ids, '\n', math.max(1, #ids - 15)))
end

-- Enters a claim as old as this event. Times that lie ahead of the clock are not believed; an event without a time is the
-- newest there is; of equals the later arrival wins.
local function enter(claims, p, d)
  local at = d.at
  local ahead = {}
  for _, c in ipairs(claims.list) do
    if c.t > NOW + FUTURE then ahead[#ahead + 1] = c end
  end
  table.sort(ahead, function(x, y) return x.t > y.t end)
  for _, c in ipairs(ahead) do
    c.t = -1
    c.t = free_time(claims, at or NOW) -- in the order they had
  end
  local own = claims.of[p]
  local t = at or NOW
  if own and math.floor(own.t) > t and at then return end
  for _, c in ipairs(claims.list) do
    if c.p ~= p and c.t >= t and (not at or math.floor(c.t) <= at) then t = c.t + 0.001 end
  end
  if not own then
    own = { p = p, t = t }
    claims.of[p] = own
    claims.list[#claims.list + 1] = own
  end
  own.t = math.max(own.t, t)
end

-- Who owns which direction once this event counts. Returns whether the profile owns any, and the others it shares the number with.
local NOBODY = {}
local function route(p, pol, n, d)
  local a = pol.account
  local claims = not (all_new and not touched[n]) and read_claims(a, n)
  if not claims or #claims.list == 0 then
    local claim = string.format('%d %s', d.at or NOW, p)
    if pol.directions == 'io' then
      call('HSET', route_key(a, n), 'i', claim, 'o', claim)
    else
      call('HSET', route_key(a, n), pol.directions, claim)
    end
    return true, NOBODY
  end
  enter(claims, p, d)
  write_claims(claims, a, n)
  if #claims.list == 1 then return owns_any(claims, a, p), NOBODY end
  touched[n] = true
  return settle_claims(claims, a, n, p)
end

-- An event for a number that has an entry already: what it changes depends on where the entry is.
local function join(p, n, key, e, d, owns, pol)
  local s = e.state
  count(p, 'coalesced', 1)
  remember_event(key, d.event_id)
  if d.metadata ~= '' then call('HSET', key, E.metadata, d.metadata) end
  if not owns then return end
  if s == STATE.queued then
    if d.force then call('HSET', key, E.forced, 1) end
  elseif s == STATE.attaching then
    call('HDEL', key, E.wish)
    if d.force then
      call('HSET', key, E.again, AGAIN.forced)
    elseif e.leased_under ~= pol.fingerprint and not e.again then
      call('HSET', key, E.again, 1)
    end
  else
    local sent_in_any_case = s == STATE.superseded or s == STATE.dropped -- needs no check
    call('HDEL', key, E.attempts, E.crashes, E.superseded_in, E.failed_whole_at, E.unread, sent_in_any_case
      and E.verify or E.attempts, s == STATE.dead and E.known_absent or E.attempts)
    call('HSET', key, E.state, STATE.queued, E.queued_at, NOW, E.updated_at, NOW, E.source, d.source)
    if s == STATE.dead then
      call('ZREM', P .. 'dead', p .. ' ' .. n)
      call('HDEL', key, E.dead_code, E.dead_at)
    elseif s == STATE.attached then
      call('HSET', key, E.verify, VERIFY.check)
    end
    if d.force or sent_in_any_case then call('HSET', key, E.forced, 1) end
    move(p, s, STATE.queued)
    if e.stale_place then enqueue_again(p, n, true) else append_ready(p, n) end
  end
end

local function create(p, n, key, d, owns)
  local s = owns and STATE.queued or STATE.superseded
  local fields = { E.state, s, E.queued_at, NOW, E.event_ids, d.event_id, E.source, d.source }
  if d.metadata ~= '' then fields[#fields + 1] = E.metadata; fields[#fields + 1] = d.metadata end
  if d.force then fields[#fields + 1] = E.forced; fields[#fields + 1] = 1 end
  call('HSET', key, unpack(fields))
  count(p, BOOK_OF[s], 1)
  if owns then append_ready(p, n) else ends(p, n) end
end

local function take(p, n, d)
  local pol = policy(p)
  local key = entry_key(p, n)
  local owns, rivals = route(p, pol, n, d)
  local e = entry(p, n) -- after route: it may have sent this very entry again
  count(p, 'accepted', 1)
  if e.state then join(p, n, key, e, d, owns, pol) else create(p, n, key, d, owns) end
  contend(p, n, rivals)
  return e.state and 1 or 0
end

local function seen_key(i) return P .. (ARGV[i + 4] == '1' and 'forced:'
  or 'seen:') .. ARGV[i] .. ':' .. ARGV[i + 1] end

-- Look first: every profile, and every entry that a delivery is about.
local function is_all_new()
  local keys, i = {}, FIRST
  while i <= #ARGV do
    keys[#keys + 1] = seen_key(i)
    for j = i + 7, i + 5 + 2 * tonumber(ARGV[i + 6]), 2 do
      local pol = policy(ARGV[j])
      if pol then
        keys[#keys + 1] = entry_key(ARGV[j], ARGV[j + 1])
        keys[#keys + 1] = route_key(pol.account, ARGV[j + 1])
      end
    end
    i = i + 7 + 2 * tonumber(ARGV[i + 6])
  end
  for from = 1, #keys, 1000 do
    if call('EXISTS', unpack(keys, from, math.min(from + 999, #keys))) > 0 then return false end
  end
  return true
end
all_new = is_all_new()

local i = FIRST
while not all_new and i <= #ARGV do
  local n_numbers = tonumber(ARGV[i + 6])
  for j = 0, n_numbers - 1 do
    local p, n = ARGV[i + 7 + 2 * j], ARGV[i + 8 + 2 * j]
    if policy(p) then
      local e = read_entry(p, n)
      if e.state and not BOOK_OF[e.state] then
        return redis.error_reply('TRUNKLINEOLD the entry of ' .. p .. ' is in a state that this program does not know')
      end
      seen_entries[p .. ' ' .. n] = e
    end
  end
  i = i + 7 + 2 * n_numbers
end
i = FIRST

local results, index, marks = {}, 0, {}
while i <= #ARGV do
  local at = tonumber(ARGV[i + 2])
  local d = { source = ARGV[i], event_id = ARGV[i + 1], at = at and math.min(at, NOW), metadata = ARGV[i + 3],
    force = ARGV[i + 4] == '1' }
  local refused_before, n_numbers, first = tonumber(ARGV[i + 5]), tonumber(ARGV[i + 6]), i + 7
  local seen = seen_key(i)
  i = first + 2 * n_numbers
  local refused = {}
  for j = 0, n_numbers - 1 do
    if not policy(ARGV[first + 2 * j]) then
      refused[#refused + 1] = j
      refused[#refused + 1] = 'unknown_profile'
    end
  end
  local clean = refused_before == 0 and #refused == 0
  local full = not room_for(n_numbers)
  if marks[seen] or (not all_new and call('EXISTS', seen) == 1) then
    tally('duplicate', 1)
    results[#results + 1] = { index, 1, 0, 0 }
  else
    local accepted, coalesced = 0, 0
    if full then
      refused = {}
      for j = 0, n_numbers - 1 do refused[#refused + 1] = j; refused[#refused + 1] = 'queue_full' end
    else
      for j = 0, n_numbers - 1 do
        local p, n = ARGV[first + 2 * j], ARGV[first + 2 * j + 1]
        if policy(p) then
          coalesced = coalesced + take(p, n, d)
          accepted = accepted + 1
        end
      end
    end
    if clean and not full then
      marks[seen] = d.force and REMEMBER_FORCED or REMEMBER
      tally('accepted', 1)
    else
      tally('rejected', 1)
    end
    if accepted < n_numbers or coalesced > 0 then
      results[#results + 1] = { index, 0, accepted, coalesced, unpack(refused) }
    end
  end
  index = index + 1
end

local lists = {}
for p in pairs(pushed) do lists[#lists + 1] = p end
for _, p in ipairs(lists) do flush_ready(p) end
finish()
for seen, remember in pairs(marks) do call('SET', seen, 1, 'PX', remember) end
return results
