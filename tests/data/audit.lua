#!lua flags=no-writes,allow-oom
-- audit: checks the invariants over everything there is, and changes nothing.
--
-- ARGV[2]  how many milliseconds the clock may have stepped back (0; tests that step it say by how much)
-- Result   a list of sentences, one for each thing that is wrong; empty when all holds
-- Cost     a few commands for every entry, all at once
-- @include schedule
-- @include claims
local SLACK = tonumber(ARGV[2])
local wrong = {}
local function complain(...) wrong[#wrong + 1] = table.concat({ ... }, ' ') end

local function each(pattern, fn)
  local cursor, seen = '0', {}
  repeat
    local page = call('SCAN', cursor, 'MATCH', string.gsub(P, '[%[%]*?\\]', '\\%0') .. pattern, 'COUNT', 1000)
    cursor = page[1]
    for _, key in ipairs(page[2]) do
      if not seen[key] then
        seen[key] = true
        fn(string.sub(key, #P + 1))
      end
    end
  until cursor == '0'
end

-- 2, 5: leases and batches are the same; a batch is small, of one profile, and no number is under way twice in an account
local in_batch, running, in_flight = {}, {}, {}
each('batch:*', function(key)
  local id = string.sub(key, 7)
  if not call('ZSCORE', P .. 'leases', id) then complain('batch without a lease:', id) end
  local b = call('HMGET', P .. key, 'p', 'a', 'n')
  local numbers = lines(b[3])
  if #numbers > 100 or #numbers == 0 then complain('batch of', #numbers, ':', id) end
  running[b[2]] = (running[b[2]] or 0) + 1
  for _, n in ipairs(numbers) do
    local place = b[2] .. ' ' .. n
    if in_flight[place] then complain('twice under way:', place) end
    in_flight[place] = true
    if call('SISMEMBER', P .. 'inflight:' .. b[2], n) == 0 then complain('under way but not in inflight:', place) end
    local e = b[1] .. ' ' .. n
    in_batch[e] = (in_batch[e] or 0) + 1
  end
end)
for _, id in ipairs(call('ZRANGE', P .. 'leases', 0, -1)) do
  if call('EXISTS', P .. 'batch:' .. id) == 0 then complain('lease without a batch:', id) end
end
for _, a in ipairs(call('SMEMBERS', P .. 'accounts')) do
  if tonumber(call('HGET', P .. 'account:' .. a, 'run') or 0) ~= (running[a] or 0) then complain('batches under way miscounted:', a) end
  for _, n in ipairs(call('SMEMBERS', P .. 'inflight:' .. a)) do
    if not in_flight[a .. ' ' .. n] then complain('in inflight but in no batch:', a, n) end
  end
end

-- 3: every open number in exactly one place, and every place has its entry
local places, stale = {}, {}
local function place(p, n, where)
  local e = call('HMGET', entry_key(p, n), 's', 'n', 'z')
  local name = p .. ' ' .. n
  if e[1] == 'q' and ((where == 'retry') == (e[2] and true or false)) then
    places[name] = (places[name] or 0) + 1
  elseif where ~= 'retry' and e[1] and e[1] ~= 'q' and e[3] then
    stale[name] = (stale[name] or 0) + 1
  else
    complain('no such entry in', where, ':', name)
  end
end
for _, p in ipairs(call('SMEMBERS', P .. 'policies')) do
  for _, n in ipairs(call('LRANGE', P .. 'ready:' .. p, 0, -1)) do place(p, n, 'ready') end
  for _, child in ipairs(call('LRANGE', P .. 'split:' .. p, 0, -1)) do
    for _, n in ipairs(lines(child)) do place(p, n, 'split') end
  end
  local retries = call('ZRANGE', P .. 'retry:' .. p, 0, -1, 'WITHSCORES')
  for i = 1, #retries, 2 do
    place(p, retries[i], 'retry')
    if call('HGET', entry_key(p, retries[i]), 'n') ~= retries[i + 1] then complain('retry time differs:', p, retries[i]) end
  end
end

-- Who wants a number: every entry has a claim on one account, and every claim an entry
local migrated = tonumber(call('HGET', P .. 'meta', 'schema') or 0) >= SCHEMA
local claimed = {}
each('route:*', function(key)
  local a, n = string.match(key, '^route:([^:]+):(.+)$')
  for p in pairs(read_claims(a, n).of) do
    claimed[p .. ' ' .. n] = (claimed[p .. ' ' .. n] or 0) + 1
    if migrated and call('EXISTS', entry_key(p, n)) == 0 then complain('claim without an entry:', p, n, 'on', a) end
  end
end)

-- 6: the books, against a count of the entries
local found = {}
local n_dead = 0
each('entry:*', function(key)
  local p, n = string.match(key, '^entry:([^:]+):(.+)$')
  local e = call('HMGET', P .. key, 's', 'z')
  local name = p .. ' ' .. n
  local s = e[1]
  if not BOOK_OF[s or ''] then complain('entry without a state:', name); return end
  found[p] = found[p] or {}
  found[p][s] = (found[p][s] or 0) + 1
  if s == 'q' and places[name] ~= 1 then complain('queued in', places[name] or 0, 'places:', name) end
  if s ~= 'q' and places[name] then complain('closed but in a place:', name) end
  if s == 'f' and in_batch[name] ~= 1 then complain('attaching in', in_batch[name] or 0, 'batches:', name) end
  if s ~= 'f' and in_batch[name] then complain('in a batch but not attaching:', name) end
  if (e[2] and 1 or 0) ~= (stale[name] or 0) then complain('stale places', stale[name] or 0, 'of', name) end
  if migrated and s ~= 'x' and not claimed[name] then complain('entry without a claim:', name) end
  if migrated and s ~= 'q' and s ~= 'f' and not call('ZSCORE', P .. 'ended', name) then complain('ended, but not in the log:', name) end
  if s == 'd' then
    n_dead = n_dead + 1
    if not call('ZSCORE', P .. 'dead', name) then complain('dead but not in dead:', name) end
  end
end)
if call('ZCARD', P .. 'dead') ~= n_dead then complain('dead letters miscounted') end
local queued = 0
for _, p in ipairs(call('SMEMBERS', P .. 'policies')) do
  local book, flat = {}, call('HGETALL', P .. 'books:' .. p)
  for i = 1, #flat, 2 do book[flat[i]] = tonumber(flat[i + 1]) end
  for s, name in pairs(BOOK_OF) do
    if (book[name] or 0) ~= (found[p] and found[p][s] or 0) then
      complain('book of', p, name, 'says', book[name] or 0, 'entries', found[p] and found[p][s] or 0)
    end
  end
  local sum = 0
  for _, name in ipairs({ 'coalesced', 'queued', 'attaching', 'attached', 'dead', 'dropped', 'superseded', 'archived' }) do
    sum = sum + (book[name] or 0)
  end
  if sum ~= (book.accepted or 0) then complain('books of', p, 'do not balance: accepted', book.accepted or 0, 'accounted', sum) end
  queued = queued + (book.queued or 0)
end
if queued ~= tonumber(call('HGET', P .. 'books', 'waiting') or 0) then complain('waiting miscounted') end

-- 7: what could not be taken in is in the index, and its bytes in the books
local n_rejected, rejected_bytes = 0, 0
each('rejected:*', function(key)
  local id = string.sub(key, 10)
  local r = call('HMGET', P .. key, 's', 'c', 'm', 'r', 'b', 'z')
  local size = 0
  for i = 1, 5 do size = size + #(r[i] or '') end
  if tonumber(r[6]) ~= size then complain('rejection of', size, 'bytes says', r[6] or 0, ':', id) end
  if not call('ZSCORE', P .. 'rejected', id) then complain('rejected but not in rejected:', id) end
  n_rejected, rejected_bytes = n_rejected + 1, rejected_bytes + size
end)
if call('ZCARD', P .. 'rejected') ~= n_rejected then complain('rejections miscounted') end
if tonumber(call('HGET', P .. 'books', 'rejected_bytes') or 0) ~= rejected_bytes then complain('bytes of rejections miscounted') end

-- 1: something waits => it will be looked at in time
local latest = {}
for _, p in ipairs(call('SMEMBERS', P .. 'policies')) do
  local pol = policy(p)
  local expected = due_time(p, pol)
  local score = tonumber(call('ZSCORE', P .. 'due:' .. pol.account, p) or nil)
  if expected and not score then complain('waits, but is not due:', p) end
  if score and not expected then complain('due, but nothing may go:', p) end
  if expected and score and score > math.max(expected, NOW) + SLACK then complain('due too late:', p, 'by', score - expected) end
end
for _, a in ipairs(call('SMEMBERS', P .. 'accounts')) do
  local first = call('ZRANGE', P .. 'due:' .. a, 0, 0, 'WITHSCORES')
  local acc = account(a)
  local score = tonumber(call('ZSCORE', P .. 'due', a) or nil)
  if first[1] and not acc.paused and acc.calls < acc.max_calls then
    local expected = math.max(tonumber(first[2]), acc.open_until or 0, acc.probe_lease or 0, rate_opens(acc))
    if not score then
      complain('account has due profiles, but is not due:', a)
    elseif score > math.max(expected, NOW) + SLACK + 1 then
      complain('account due too late:', a, 'by', score - expected)
    end
  elseif score then
    complain('account due, but may not go:', a)
  end
end
return wrong
