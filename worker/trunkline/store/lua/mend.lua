#!lua flags=allow-oom
-- mend: puts right what can be proved to be wrong, after it has looked at it again; and brings entries of schema 1 up to date.
-- It never says that a number is attached.
--
-- ARGV[2]  what; ARGV[3…] of which:
--   names    a profile, a number: the codes of what was mended, joined by spaces
--   batches  ids: the code of what was mended, or "", for each
--   missing  an account, numbers: those of them that are in a batch and were put in flight
--   adrift   an account, numbers: those that were in no batch and are not in flight any more
--   runs     accounts: 1 for each whose count was wrong
--   due      profiles; accounts: accounts: a code or "" for each
--   book     a profile, its books as inspect told them, (field, count) for each state of an entry: 1, or 0 if an entry moved since
--   balance  a profile: 1 if as many are said to be accepted as are accounted for, and were not before
--   waiting  1 if who waits was miscounted
--   rejected ids: a code or "" for each
--   bytes    of rejections as they were noted, as they were counted: 1, or 0 if they have changed since
--   entries  (profile, number) for each: {claims that were given, ends that were noted}
--   claims   (account, number) for each: how many claims without an entry were taken away
--   closed   how many at most: of what schema 1 listed by day, {taken over into the log of ends, looked at}
-- Cost     as inspect, and 10 commands for what is mended
-- @include judge
-- @include batches
-- @include waiting
local what = ARGV[2]


local function take_out_of_children(p, n, children, keep_first)
  for i, child in ipairs(children) do
    if i > 1 or not keep_first then
      local left = {}
      for _, other in ipairs(lines(child)) do if other ~= n then left[#left + 1] = other end end
      call('LREM', P .. 'split:' .. p, 1, child)
      if #left > 0 then call('RPUSH', P .. 'split:' .. p, table.concat(left, '\n')) end
    end
  end
end

local function take_places(p, n, f)
  call('LREM', P .. 'ready:' .. p, 0, n)
  take_out_of_children(p, n, f.children, false)
  call('ZREM', P .. 'retry:' .. p, n)
  schedule(p)
end

local function take_out_of_batch(b, n)
  local left = {}
  for _, other in ipairs(lines(b.n)) do if other ~= n then left[#left + 1] = other end end
  if #left == 0 then
    end_batch(b.id, b.a, { n })
  else
    call('HSET', P .. 'batch:' .. b.id, BATCH.numbers, table.concat(left, '\n'))
    call('SREM', P .. 'inflight:' .. b.a, n)
  end
end

-- A claim as old as its entry; of one that was superseded, older than whoever has its directions.
local function give_claim(p, n, s, queued)
  local pol = policy(p)
  if not pol then return false end
  local claims, t = read_claims(pol.account, n), tonumber(queued or nil) or NOW
  for d in string.gmatch(s == STATE.superseded and pol.directions or '', '.') do
    local owner = owner_in(claims, pol.account, d)
    if owner then t = math.min(t, owner.t - 0.001) end
  end
  add_claim(claims, p, t)
  write_claims(claims, pol.account, n)
  return true
end

-- Nobody has it: a call of it may have gone out.
local function back_in_doubt(p, n)
  local key = entry_key(p, n)
  local wish = call('HGET', key, E.wish)
  call('HSET', key, E.state, wish or STATE.queued, E.verify, VERIFY.in_doubt, E.sent_at, NOW, E.updated_at, NOW)
  call('HDEL', key, E.again, E.wish, E.next_at, E.held)
  move(p, STATE.attaching, wish or STATE.queued)
  if wish then
    if wish == STATE.superseded then call('HSET', key, E.superseded_in, STATE.queued) end
    ends(p, n)
    local pol = policy(p)
    if wish == STATE.dropped and pol then release(pol.account, n, p, pol.directions, true) end
  else
    call('RPUSH', P .. 'ready:' .. p, n)
    schedule(p)
  end
end

local mends = {}

function mends.no_place(p, n, f)
  if f.at then call('ZADD', P .. 'retry:' .. p, f.at, n) else call('RPUSH', P .. 'ready:' .. p, n) end
  call('HDEL', entry_key(p, n), E.stale_place)
  schedule(p)
end

function mends.other_time(p, n, f)
  call('ZADD', P .. 'retry:' .. p, f.at, n)
  schedule(p)
end

function mends.wrong_list(p, n, f)
  if f.at then
    call('LREM', P .. 'ready:' .. p, 0, n)
    take_out_of_children(p, n, f.children, false)
  else
    call('ZREM', P .. 'retry:' .. p, n)
  end
  schedule(p)
end

function mends.many_places(p, n, f)
  if f.ready > 1 then call('LREM', P .. 'ready:' .. p, 1 - f.ready, n) end
  take_out_of_children(p, n, f.children, f.ready == 0)
  schedule(p)
end

function mends.closed_place(p, n, f)
  take_places(p, n, f)
  call('HDEL', entry_key(p, n), E.stale_place)
end

function mends.no_stale(p, n) call('HDEL', entry_key(p, n), E.stale_place) end

mends.place_only = take_places

function mends.batch_only(_, n, f) for _, b in ipairs(f.batches) do take_out_of_batch(b, n) end end

function mends.in_batch(p, n, f)
  mends.batch_only(p, n, f)
  if f.s == STATE.queued then
    call('HSET', entry_key(p, n), E.verify, VERIFY.in_doubt, E.sent_at, NOW, E.updated_at, NOW)
  end
end

mends.no_batch = back_in_doubt

-- `leased` reads batches by their leases' ends: the last one is the newest.
function mends.many_batches(_, n, f)
  local newest = f.batches[#f.batches]
  for i = 1, #f.batches - 1 do take_out_of_batch(f.batches[i], n) end
  call('SADD', P .. 'inflight:' .. newest.a, n)
end

function mends.dead_missing(p, n, f)
  local dead_at, updated_at, queued_at = unpack(call('HMGET', entry_key(p, n), E.dead_at, E.updated_at, E.queued_at))
  call('ZADD', P .. 'dead', dead_at or updated_at or queued_at or NOW, f.name)
end

function mends.dead_only(_, _, f) call('ZREM', P .. 'dead', f.name) end

function mends.no_claim(p, n, f) return give_claim(p, n, f.s, f.queued) end

function mends.claim_only(p, n)
  for _, a in ipairs(call('SMEMBERS', P .. 'accounts')) do
    local claims = read_claims(a, n)
    if claims.of[p] then
      remove_claim(claims, p)
      write_claims(claims, a, n)
    end
  end
end

function mends.not_ended(p, n) ends(p, n) end

local function each(from, fn)
  local out = {}
  for i = from, #ARGV do out[#out + 1] = fn(ARGV[i]) end
  return out
end

local function only(from, is)
  local found = {}
  for i = from, #ARGV do if is(ARGV[i]) then found[#found + 1] = ARGV[i] end end
  return found
end

local does = {}

function does.names()
  local p, n = ARGV[3], ARGV[4]
  local f, done = facts(p, n), {}
  for _, code in ipairs(problems(p, n, f)) do
    if mends[code] and mends[code](p, n, f) ~= false then done[#done + 1] = code end
  end
  return table.concat(done, ' ')
end

function does.batches()
  return each(3, function(id)
    local code, _, a, text = batch_problem(id)
    if code == 'lease_only' then
      call('ZREM', P .. 'leases', id)
    elseif code == 'no_lease' then
      call('ZADD', P .. 'leases', NOW, id) -- it is taken up at once
    elseif code == 'batch_size' and #lines(text) == 0 then
      call('DEL', P .. 'batch:' .. id)
      call('ZREM', P .. 'leases', id)
      to_touch[a] = true
    else
      return ''
    end
    return code
  end)
end

function does.missing()
  local a = ARGV[3]
  local carried = {}
  for _, b in ipairs(leased()) do
    if b.a == a then for _, n in ipairs(lines(b.n)) do carried[n] = true end end
  end
  return only(4, function(n) return carried[n] and call('SADD', P .. 'inflight:' .. a, n) == 1 end)
end

function does.adrift()
  local a = ARGV[3]
  local found = adrift(a, 4)
  if #found > 0 then
    call('SREM', P .. 'inflight:' .. a, unpack(found))
    wake_waiting(a, found)
  end
  return found
end

function does.runs()
  return each(3, function(a)
    local counted, noted = run_of(a)
    if counted == noted then return 0 end
    call('HSET', P .. 'account:' .. a, ACCOUNT.calls, counted)
    to_touch[a] = true
    return 1
  end)
end

function does.due()
  return each(3, function(p)
    local code = profile_due_problem(p, 0)
    if code ~= '' then schedule(p) end
    return code
  end)
end

function does.accounts()
  return each(3, function(a)
    local code = account_due_problem(a, 0)
    if code ~= '' then to_touch[a] = true end
    return code
  end)
end

function does.book()
  local p, key = ARGV[3], P .. 'books:' .. ARGV[3]
  if books_of(p) ~= ARGV[4] then return 0 end
  local queued = tonumber(call('HGET', key, 'queued') or 0)
  for i = 5, #ARGV, 2 do call('HSET', key, ARGV[i], ARGV[i + 1]) end
  tally('waiting', tonumber(call('HGET', key, 'queued') or 0) - queued)
  return 1
end

function does.balance()
  local key, sum = P .. 'books:' .. ARGV[3], 0
  local fields = { 'coalesced', 'queued', 'attaching', 'attached', 'dead', 'dropped', 'superseded', 'archived' }
  for _, field in ipairs(fields) do sum = sum + tonumber(call('HGET', key, field) or 0) end
  if sum == tonumber(call('HGET', key, 'accepted') or 0) then return 0 end
  call('HSET', key, 'accepted', sum)
  return 1
end

function does.waiting()
  local n = 0
  for _, p in ipairs(call('SMEMBERS', P .. 'policies')) do n = n + tonumber(call('HGET', P .. 'books:' .. p,
    'queued') or 0) end
  if n == tonumber(call('HGET', P .. 'books', 'waiting') or 0) then return 0 end
  call('HSET', P .. 'books', 'waiting', n)
  return 1
end

function does.rejected()
  return each(3, function(id)
    local code, says, size = rejection_problem(id)
    local key = P .. 'rejected:' .. id
    if code == 'rejected_gone' then
      call('ZREM', P .. 'rejected', id)
    elseif code == 'rejected_lost' then
      call('ZADD', P .. 'rejected', call('HGET', key, REJECTION.last_at) or NOW, id)
    elseif code == 'rejected_size' then
      call('HSET', key, REJECTION.size, size)
      tally('rejected_bytes', size - says)
    end
    return code
  end)
end

function does.bytes()
  if (call('HGET', P .. 'books', 'rejected_bytes') or '0') ~= ARGV[3] then return 0 end
  call('HSET', P .. 'books', 'rejected_bytes', ARGV[4])
  return 1
end

function does.entries()
  local given, noted = 0, 0
  for i = 3, #ARGV, 2 do
    local p, n = ARGV[i], ARGV[i + 1]
    local state, queued_at = unpack(call('HMGET', entry_key(p, n), E.state, E.queued_at))
    if BOOK_OF[state or ''] then
      if state ~= STATE.dropped and #claimed_on(p, n) == 0 and give_claim(p, n, state, queued_at) then
        given = given + 1
      end
      if not OPEN[state] and not call('ZSCORE', P .. 'ended', p .. ' ' .. n) then
        ends(p, n)
        noted = noted + 1
      end
    end
  end
  return { given, noted }
end

function does.claims()
  local taken = 0
  for i = 3, #ARGV, 2 do
    local a, n, gone = ARGV[i], ARGV[i + 1], {}
    local claims = read_claims(a, n)
    for _, c in ipairs(claims.list) do
      if call('EXISTS', entry_key(c.p, n)) == 0 then gone[#gone + 1] = c.p end
    end
    for _, p in ipairs(gone) do remove_claim(claims, p) end
    if #gone > 0 then write_claims(claims, a, n) end
    taken = taken + #gone
  end
  return taken
end

function does.closed()
  local most, noted, looked_at, known = tonumber(ARGV[3]), 0, 0, {}
  while looked_at < most do
    local day = call('ZRANGE', P .. 'closed', 0, 0)[1]
    if not day then break end
    local item = call('LPOP', P .. 'closed:' .. day)
    if not item then
      call('ZREM', P .. 'closed', day)
    else
      looked_at = looked_at + 1
      local p, n = string.match(item, '^(%S+) (.+)$')
      local s = call('HGET', entry_key(p, n), E.state)
      if s and not OPEN[s] and not call('ZSCORE', P .. 'ended', item) then
        ends(p, n) -- of several ends the last
        noted = noted + (known[item] and 0 or 1)
        known[item] = true
      end
    end
  end
  return { noted, looked_at }
end

local said = does[what]()
finish()
return said
