-- push: takes deliveries in, each once: marks the event, makes or joins the entries, routes, queues.
-- A delivery with any refused number leaves no mark, so that its redelivery is looked at again. It always writes, if only a
-- counter, so that waiting for the disk on the same connection covers an original that is still in the air.
--
-- ARGV[2]  how many numbers may wait in all
-- ARGV[3]  how long an event is remembered, ms
-- ARGV[4…] a delivery: source, event id, when it happened (ms or ""), metadata, force ("1" or ""), numbers refused already,
--          how many numbers follow, then (profile, number) for each
-- Result   a list for each delivery of which not every number is a new entry: its index from 0, duplicate (0 or 1), accepted,
--          coalesced, then (index from 0, code) for each refusal
-- Cost     5 commands for a new number, a few more for a known one
local MAX_WAITING, REMEMBER = tonumber(ARGV[2]), ARGV[3]
local waiting = nil
local pushed = {} -- profile -> numbers for ready
local NOBODY = {}
local i = 4

local function room_for(n)
  waiting = waiting or tonumber(call('HGET', P .. 'books', 'waiting') or 0)
  return waiting + (totals.waiting or 0) + n <= MAX_WAITING
end

local function append_ready(p, n)
  local list = pushed[p]
  if not list then list = {}; pushed[p] = list end
  list[#list + 1] = n
  schedule(p)
end

local function remember_event(key, event_id)
  local ids = lines(call('HGET', key, 'e') or '')
  if ids[#ids] == event_id then return end
  ids[#ids + 1] = event_id
  call('HSET', key, 'e', table.concat(ids, '\n', math.max(1, #ids - 15)))
end

-- The newer event took every direction of this profile's entry.
local function supersede(p, n)
  local key = entry_key(p, n)
  local e = call('HMGET', key, 's', 'n', 'x', 'k', 'v')
  local s = e[1]
  if s == 'f' then call('HSET', key, 'w', 's'); return end
  if not s or s == 's' or s == 'x' then return end
  if s == 'q' then
    -- numbers pushed by this very script are not in the list yet
    if not e[2] and pushed[p] and pushed[p][#pushed[p]] then
      call('RPUSH', P .. 'ready:' .. p, unpack(pushed[p])); pushed[p] = nil
    end
    give_up_place(p, n, e[2])
  end
  if s == 'd' then call('ZREM', P .. 'dead', p .. ' ' .. n) end
  call('HSET', key, 's', 's', 'u', NOW)
  move(p, s, 's')
  tell(p, n, 's')
  close_entry(p, n)
  if s == 'q' and e[3] and (e[4] or e[5] == 'd') then reassert(policy(p).a, n, p) end -- an earlier try may have gone through
end

-- Who owns which direction once this event counts. Returns whether the profile owns any, and the others it shares the number with.
local function route(p, pol, n, at)
  local key = P .. 'route:' .. pol.a .. ':' .. n
  if #pol.dirs == 1 and call('HSETNX', key, pol.dirs, string.format('%d %s', at, p)) == 1 then return true, NOBODY end
  local v = call('HMGET', key, 'i', 'o')
  local cur = { i = v[1], o = v[2] }
  local owns, set, lost, rivals = false, {}, {}, {}
  for d in string.gmatch(pol.dirs, '.') do
    local t, owner
    if cur[d] then t, owner = string.match(cur[d], '^(%S+) (.+)$'); t = tonumber(t) end
    if not owner or owner == p or t <= at then
      owns = true
      set[#set + 1] = d
      set[#set + 1] = string.format('%d %s', math.max(at, owner == p and t or 0), p)
      if owner and owner ~= p then lost[owner] = true end
    else
      rivals[#rivals + 1] = owner
    end
  end
  if #set > 0 then call('HSET', key, unpack(set)) end
  for loser in pairs(lost) do
    local keeps = false
    local loser_policy = policy(loser)
    for d in string.gmatch(loser_policy and loser_policy.dirs or '', '.') do
      if owner_of(pol.a, n, d) == loser then keeps = true end
    end
    if keeps then rivals[#rivals + 1] = loser else supersede(loser, n) end
  end
  return owns, rivals
end

-- An event for a number that has an entry already: what it changes depends on where the entry is.
local function join(p, n, key, e, d, owns, pol)
  local s = e[1]
  count(p, 'coalesced', 1)
  remember_event(key, d.event_id)
  if d.metadata ~= '' then call('HSET', key, 'm', d.metadata) end
  if not owns then return end
  if s == 'q' then
    if d.force then call('HSET', key, 'f', 1) end
  elseif s == 'f' then
    call('HDEL', key, 'w')
    if d.force then
      call('HSET', key, 'g', 'f')
    elseif e[4] ~= pol.fp and not e[5] then
      call('HSET', key, 'g', 1)
    end
  else
    call('HDEL', key, 'k', 'c', (s == 's' or s == 'x') and 'v' or 'k') -- what is sent in any case needs no check
    call('HSET', key, 's', 'q', 'q', NOW, 'u', NOW, 'o', d.source)
    if s == 'd' then
      call('ZREM', P .. 'dead', p .. ' ' .. n)
      call('HDEL', key, 'dc', 'da')
    elseif s == 'a' then
      call('HSET', key, 'v', 'c')
    end
    if d.force or s == 's' or s == 'x' then call('HSET', key, 'f', 1) end
    move(p, s, 'q')
    if e[3] then enqueue_again(p, n, true) else append_ready(p, n) end
  end
end

local function create(p, n, key, d, owns)
  local s = owns and 'q' or 's'
  local fields = { 's', s, 'q', NOW, 'e', d.event_id, 'o', d.source }
  if d.metadata ~= '' then fields[#fields + 1] = 'm'; fields[#fields + 1] = d.metadata end
  if d.force then fields[#fields + 1] = 'f'; fields[#fields + 1] = 1 end
  call('HSET', key, unpack(fields))
  count(p, BOOK_OF[s], 1)
  if owns then
    append_ready(p, n)
  else
    tell(p, n, 's')
    close_entry(p, n)
  end
end

local function take(p, n, d)
  local pol = policy(p)
  local key = entry_key(p, n)
  local owns, rivals = route(p, pol, n, d.at)
  local e = call('HMGET', key, 's', 'n', 'z', 'l', 'g') -- after route: an entry superseded there may have sent this one again
  count(p, 'accepted', 1)
  if e[1] then join(p, n, key, e, d, owns, pol) else create(p, n, key, d, owns) end
  if #rivals > 0 then
    call('HSET', key, 'x', 1)
    for _, rival in ipairs(rivals) do
      if call('EXISTS', entry_key(rival, n)) == 1 then call('HSET', entry_key(rival, n), 'x', 1) end
    end
  end
  return e[1] and 1 or 0
end

-- Every profile is looked up before anything is written: a script that fails halfway keeps what it wrote until then.
while i <= #ARGV do
  local n_numbers = tonumber(ARGV[i + 6])
  for j = 0, n_numbers - 1 do policy(ARGV[i + 7 + 2 * j]) end
  i = i + 7 + 2 * n_numbers
end
i = 4

local results, index = {}, 0
while i <= #ARGV do
  local d = { source = ARGV[i], event_id = ARGV[i + 1], at = math.min(tonumber(ARGV[i + 2]) or NOW, NOW), metadata = ARGV[i + 3],
    force = ARGV[i + 4] == '1' }
  local refused_before, n_numbers, first = tonumber(ARGV[i + 5]), tonumber(ARGV[i + 6]), i + 7
  i = first + 2 * n_numbers
  local seen = P .. 'seen:' .. d.source .. ':' .. d.event_id
  local refused = {}
  for j = 0, n_numbers - 1 do
    if not policy(ARGV[first + 2 * j]) then
      refused[#refused + 1] = j
      refused[#refused + 1] = 'unknown_profile'
    end
  end
  local clean = refused_before == 0 and #refused == 0
  local full = not room_for(n_numbers)
  local duplicate = false
  if clean and not full and not d.force then
    duplicate = not call('SET', seen, 1, 'NX', 'PX', REMEMBER) -- looked up and marked at once
  elseif not d.force and call('EXISTS', seen) == 1 then
    duplicate = true
  elseif full then
    refused = {}
    for j = 0, n_numbers - 1 do refused[#refused + 1] = j; refused[#refused + 1] = 'queue_full' end
  elseif clean then
    call('SET', seen, 1, 'PX', REMEMBER)
  end
  if duplicate then
    tally('duplicate', 1)
    results[#results + 1] = { index, 1, 0, 0 }
  else
    local accepted, coalesced = 0, 0
    if not full then
      for j = 0, n_numbers - 1 do
        local p, n = ARGV[first + 2 * j], ARGV[first + 2 * j + 1]
        if policy(p) then
          coalesced = coalesced + take(p, n, d)
          accepted = accepted + 1
        end
      end
    end
    tally((clean and not full) and 'accepted' or 'rejected', 1)
    if accepted < n_numbers or coalesced > 0 then
      results[#results + 1] = { index, 0, accepted, coalesced, unpack(refused) }
    end
  end
  index = index + 1
end

for p, list in pairs(pushed) do
  for from = 1, #list, 1000 do
    call('RPUSH', P .. 'ready:' .. p, unpack(list, from, math.min(from + 999, #list)))
  end
end
write_closed()
finish()
return results
