-- judge: all that is wrong with one number of one profile, looked at at once.
-- @include claims

local LONGEST = 750000 -- places of ready that one script looks through, in less than 10 ms
local MOST_CHILDREN = 2000
local OPEN = { [STATE.queued] = true, [STATE.attaching] = true }

local migrated = (tonumber(call('HGET', P .. 'meta', 'schema') or nil) or 0) >= SCHEMA

-- The batches that have a lease, read once a script.
local batches = nil

local function leased()
  if not batches then
    batches = {}
    for _, id in ipairs(call('ZRANGE', P .. 'leases', 0, -1)) do
      local p, a, numbers = unpack(call('HMGET', P .. 'batch:' .. id, BATCH.profile, BATCH.account, BATCH.numbers))
      if p then batches[#batches + 1] = { id = id, p = p, a = a, n = numbers } end
    end
  end
  return batches
end

local function holds(text, n) return string.find('\n' .. text .. '\n', '\n' .. n .. '\n', 1, true) ~= nil end

-- The accounts where the profile has a claim on the number.
local function claimed_on(p, n)
  local pol = policy(p)
  if pol and read_claims(pol.account, n).of[p] then return { pol.account } end
  local found = {}
  for _, a in ipairs(call('SMEMBERS', P .. 'accounts')) do
    if read_claims(a, n).of[p] then found[#found + 1] = a end
  end
  return found
end

-- Every place of the number; `whole` unless its lists are too long to be looked through.
local function facts(p, n)
  local state, next_at, stale_place, queued_at = unpack(call('HMGET', entry_key(p, n), E.state, E.next_at,
    E.stale_place, E.queued_at))
  local ready, split = P .. 'ready:' .. p, P .. 'split:' .. p
  local f = { exists = call('EXISTS', entry_key(p, n)) == 1, s = state, at = next_at, stale = stale_place,
    queued = queued_at, name = p .. ' ' .. n,
    whole = call('LLEN', ready) <= LONGEST and call('LLEN', split) <= MOST_CHILDREN,
    ready = #call('LPOS', ready, n, 'COUNT', 3, 'MAXLEN', LONGEST), children = {}, batches = {}, rivals = {},
    retry = call('ZSCORE', P .. 'retry:' .. p, n) }
  for _, child in ipairs(call('LRANGE', split, 0, MOST_CHILDREN - 1)) do
    if holds(child, n) then f.children[#f.children + 1] = child end
  end
  for _, b in ipairs(leased()) do
    if holds(b.n, n) then
      if b.p == p then f.batches[#f.batches + 1] = b else f.rivals[b.a] = true end
    end
  end
  f.places = f.ready + #f.children
  return f
end

-- What is wrong, as codes; the words for each are in findings.py.
local function problems(p, n, f)
  local found = {}
  local function is(wrong, code) if wrong then found[#found + 1] = code end end
  if not f.exists then
    is(f.places > 0 or f.retry, 'place_only')
    is(#f.batches > 0, 'batch_only')
    is(call('ZSCORE', P .. 'dead', f.name), 'dead_only')
    is(migrated and #claimed_on(p, n) > 0, 'claim_only')
    return found
  end
  if not BOOK_OF[f.s or ''] then return { 'no_state' } end
  if f.s == STATE.queued and f.at then
    is(not f.retry, 'no_place')
    is(f.retry and tonumber(f.retry) ~= tonumber(f.at), 'other_time')
    is(f.places > 0, 'wrong_list')
  elseif f.s == STATE.queued then
    is(f.retry, 'wrong_list')
    is(f.places == 0, f.whole and 'no_place' or 'unknown')
    is(f.places > 1, 'many_places')
  else
    is(f.retry or f.places > (f.stale and 1 or 0), 'closed_place')
    is(f.stale and f.places == 0 and f.whole, 'no_stale')
  end
  if f.s == STATE.attaching then
    is(#f.batches == 0, 'no_batch')
    is(#f.batches > 1, 'many_batches')
    for _, b in ipairs(f.batches) do is(f.rivals[b.a], 'twice') end
  else
    is(#f.batches > 0, 'in_batch')
  end
  local in_dead = call('ZSCORE', P .. 'dead', f.name)
  is(f.s == STATE.dead and not in_dead, 'dead_missing')
  is(f.s ~= STATE.dead and in_dead, 'dead_only')
  is(migrated and f.s ~= STATE.dropped and #claimed_on(p, n) == 0, 'no_claim')
  is(migrated and not OPEN[f.s] and not call('ZSCORE', P .. 'ended', f.name), 'not_ended')
  return found
end

local function batch_problem(id)
  local p, a, text = unpack(call('HMGET', P .. 'batch:' .. id, BATCH.profile, BATCH.account, BATCH.numbers))
  local lease = call('ZSCORE', P .. 'leases', id)
  if not p then return lease and 'lease_only' or '', '', '', '' end
  local numbers = lines(text or '')
  local code = not lease and 'no_lease' or (#numbers == 0 or #numbers > 100) and 'batch_size' or ''
  return code, p, a, text
end

-- Of the numbers in ARGV from there on, those that are in flight in the account and in no batch of it.
local function adrift(a, from)
  local carried, found = {}, {}
  for _, b in ipairs(leased()) do
    if b.a == a then for _, n in ipairs(lines(b.n)) do carried[n] = true end end
  end
  for i = from, #ARGV do
    if not carried[ARGV[i]] and call('SISMEMBER', P .. 'inflight:' .. a, ARGV[i]) == 1 then
      found[#found + 1] = ARGV[i]
    end
  end
  return found
end

local function run_of(a)
  local n = 0
  for _, b in ipairs(leased()) do if b.a == a then n = n + 1 end end
  return n, tonumber(call('HGET', P .. 'account:' .. a, ACCOUNT.calls) or 0)
end

local function rejection_problem(id)
  local key = P .. 'rejected:' .. id
  local indexed = call('ZSCORE', P .. 'rejected', id)
  if call('EXISTS', key) == 0 then return indexed and 'rejected_gone' or '', 0, 0 end
  local size, says = 0, tonumber(call('HGET', key, REJECTION.size) or 0)
  for _, field in ipairs({ REJECTION.source, REJECTION.code, REJECTION.message, REJECTION.request, REJECTION.body }) do
    size = size + call('HSTRLEN', key, field)
  end
  return not indexed and 'rejected_lost' or says ~= size and 'rejected_size' or '', says, size
end

local function profile_due_problem(p, slack)
  local pol = policy(p)
  if not pol then return '' end
  local expected, score = due_time(p, pol), tonumber(call('ZSCORE', P .. 'due:' .. pol.account, p) or nil)
  if expected and not score then return 'not_due' end
  if score and not expected then return 'due_idle' end
  return expected and score > math.max(expected, NOW) + slack and 'due_late' or ''
end

local function account_due_problem(a, slack)
  local first = call('ZRANGE', P .. 'due:' .. a, 0, 0, 'WITHSCORES')
  local acc, score = account(a), tonumber(call('ZSCORE', P .. 'due', a) or nil)
  if not first[1] or acc.paused or acc.calls >= acc.max_calls then return score and 'account_idle' or '' end
  local expected = math.max(tonumber(first[2]), acc.open_until or 0, acc.probe_lease or 0, rate_opens(acc))
  return not score and 'account_not_due' or score > math.max(expected, NOW) + slack + 1 and 'account_late' or ''
end

-- All that moves an entry of a profile also moves one of these: as long as they are the same, no entry has moved.
local function books_of(p)
  local pol = policy(p)
  local flat, said = call('HGETALL', P .. 'books:' .. p), {}
  for i = 1, #flat, 2 do said[#said + 1] = flat[i] .. '=' .. flat[i + 1] end
  table.sort(said)
  said[#said + 1] = 'tat=' .. (pol and (pol.account .. ' ' .. (call('HGET', P .. 'account:' .. pol.account,
    ACCOUNT.next_slot) or '')) or '')
  return table.concat(said, '\n')
end
