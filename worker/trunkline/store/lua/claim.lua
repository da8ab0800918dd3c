#!lua flags=allow-oom
-- claim: the earliest due batch that this worker's configuration carries, under a lease; accounts and, within one, profiles
-- take turns. What only other workers carry is passed over and stays due for them.
--
-- ARGV[2]  the lease, ms
-- ARGV[3]  64 random bits as hex: with the counter they are the batch's id, the fencing token
-- ARGV[4]  the lease of a probe, ms
-- ARGV[5]  the worker's id, or "" for one that has not registered
-- ARGV[6]  the digest of its configuration, or "": it carries everything as it was published
-- Result   {"batch", id, profile, account, fingerprint, kind, half-open (1 or 0), times in a row that the breaker opened, now,
--           numbers joined by "\n", JSON {number: {attempts, crashes, verify, forced, attached_under, sent_at, known_absent,
--           met_403, unread, queued_at}} of those that have any}
--          {"probe", account, times in a row that the breaker opened, now}: its time is over, ask GET /v1/me, then run probed
--          {"idle", when something is due next or "", now}
-- Cost     2 commands a number, and 2 for each 64 due profiles that are others'
-- @include configurations
-- @include claims
local LEASE, SALT, PROBE_LEASE, WORKER, DIGEST = tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4]), ARGV[5], ARGV[6]
local MOST_PLACES = 2000 -- places looked at in one call; stale ones are skipped

-- Whether an older profile that shares a direction with this one still has to go first.
local function goes_first(a, n, p)
  local claims = read_claims(a, n)
  local own = claims.of[p]
  for _, c in ipairs(claims.list) do
    local pol = c.p ~= p and own and c.t < own.t and policy(c.p)
    local may_go = pol and pol.account == a and not pol.paused and not pol.refused and not pol.canary
    if may_go and owns_any(claims, a, c.p) and shares(a, p, c.p) then
      local state, next_at = unpack(call('HMGET', entry_key(c.p, n), E.state, E.next_at))
      if state == STATE.queued and not next_at then return true end
    end
  end
  return false
end

-- A number that another batch of the account has, or an older profile must send first, waits for that settle.
local function hold(a, p, n)
  call('ZADD', P .. 'retry:' .. p, NOW + LEASE, n)
  call('HSET', entry_key(p, n), E.next_at, NOW + LEASE, E.held, 1, E.updated_at, NOW)
  local held = call('HGET', P .. 'waiting:' .. a, n)
  local names = held and lines(held) or {}
  for _, name in ipairs(names) do if name == p then return end end
  names[#names + 1] = p
  call('HSET', P .. 'waiting:' .. a, n, table.concat(names, '\n'))
end

-- The claim of a profile whose directions or account changed: it moves with the profile, and who owns what is settled anew;
-- what it leaves behind on another account goes back to who has it there. `tried`: a call of it may have gone out.
-- Returns whether the profile still owns a direction, and who shares one with it.
local function claim_anew(a, p, n, queued, tried)
  local claims = read_claims(a, n)
  if not claims.of[p] then
    local t = nil
    for _, other in ipairs(call('SMEMBERS', P .. 'accounts')) do
      local there = other ~= a and read_claims(other, n)
      if there and there.of[p] then
        t = math.max(t or 0, there.of[p].t)
        remove_claim(there, p)
        write_claims(there, other, n)
        give_back(there, other, n, not tried)
        if tried then reassert(other, n, p, 'io') end
      end
    end
    add_claim(claims, p, t or queued)
  end
  write_claims(claims, a, n)
  return settle_claims(claims, a, n, p)
end

local moved_at = nil -- when a profile of the account that is claimed from last came, went or changed its directions

-- Whether a number was queued before that: who owns it has to be looked at anew.
local function is_from_before(queued_at)
  return moved_at and (queued_at <= moved_at + STEP or queued_at > NOW + STEP) -- clocks jitter
end

-- Of the numbers at these places, those that are live and free, with what is known of them.
local function pick(p, pol, numbers, into, special, from_retry)
  if #numbers == 0 then return end
  local busy = call('SMISMEMBER', P .. 'inflight:' .. pol.account, unpack(numbers))
  for i, n in ipairs(numbers) do
    local key = entry_key(p, n)
    local state, next_at, attempts, crashes, verify, forced, attached_under, sent_at, known_absent, contended,
      met_403, unread, queued_at, leased_under = unpack(call('HMGET', key, E.state, E.next_at, E.attempts, E.crashes,
      E.verify, E.forced, E.attached_under, E.sent_at, E.known_absent, E.contended, E.met_403, E.unread, E.queued_at,
      E.leased_under))
    local in_doubt, waits_elsewhere, owns = verify == VERIFY.in_doubt, next_at and not from_retry, true
    local has_moved = pol.moved or is_from_before(tonumber(queued_at) or NOW)
    if state == STATE.queued and has_moved and busy[i] ~= 1 and not waits_elsewhere then
      local rivals
      owns, rivals = claim_anew(pol.account, p, n, tonumber(queued_at) or NOW,
        attempts or in_doubt or attached_under)
      contend(p, n, rivals)
      contended = contended or #rivals > 0
    end
    if state ~= STATE.queued or waits_elsewhere then
      call('HDEL', key, E.stale_place) -- it is gone now
    elseif not owns then
      call('HDEL', key, E.next_at, E.held)
      call('HSET', key, E.state, STATE.superseded, E.updated_at, NOW, E.superseded_in, STATE.queued)
      move(p, STATE.queued, STATE.superseded)
      ends(p, n)
      -- an earlier try, for directions of then, may have gone through
      if attempts or in_doubt then
        reassert(pol.account, n, p, 'io')
      end
    elseif busy[i] == 1 or (contended and not from_retry and goes_first(pol.account, n, p)) then
      hold(pol.account, p, n)
    else
      if next_at then call('HDEL', key, E.next_at, E.held) end
      -- what earlier calls left behind proves nothing of what is to be attached now
      if leased_under and leased_under ~= pol.fingerprint then
        if known_absent then call('HDEL', key, E.known_absent) end
        if in_doubt then call('HSET', key, E.forced, 1) end
        forced, known_absent = forced or in_doubt, false
      end
      call('HSET', key, E.state, STATE.attaching, E.updated_at, NOW, E.leased_under, pol.fingerprint)
      into[#into + 1] = n
      forced = forced or contended -- what is there may be the other profile's
      if attempts or crashes or verify or forced or attached_under or met_403 or unread then
        special[n] = { attempts = attempts or nil, crashes = crashes or nil, verify = verify or nil,
          forced = forced and 1 or nil, attached_under = attached_under or nil, sent_at = sent_at or nil,
          known_absent = known_absent and 1 or nil, met_403 = met_403 and 1 or nil, unread = unread or nil,
          queued_at = queued_at or nil }
      end
    end
  end
end

-- The canary alone; nil where there is none any more.
local function take_canary(p, pol)
  local canary = canary_time(p, pol)
  if canary == false then
    if pol.canary then
      call('HDEL', P .. 'policy:' .. p, POLICY.canary)
      pol.canary = false
    end
    return nil
  end
  local into, special, n = {}, {}, pol.canary
  if canary and canary <= NOW then
    local in_retry = call('ZREM', P .. 'retry:' .. p, n) == 1
    if not in_retry and call('LREM', P .. 'split:' .. p, 1, n) == 0 then
      call('LREM', P .. 'ready:' .. p, -1, n) -- where it goes if another profile's batch had the number
    end
    pick(p, pol, { n }, into, special, in_retry)
  end
  return into, special, KIND.from_split
end

local function take(p, pol)
  local into, special, kind = take_canary(p, pol)
  if into then return into, special, kind end
  into, special = {}, {}
  local places = 0
  while true do
    local child = call('LPOP', P .. 'split:' .. p)
    if not child then break end
    local numbers = lines(child)
    pick(p, pol, numbers, into, special, false)
    if #into > 0 then return into, special, KIND.from_split end
    places = places + #numbers
    if places > MOST_PLACES then return into, special, KIND.from_split end
  end
  -- Retries take half a batch at most while there is something fresh to fill the other half.
  local fresh = math.min(call('LLEN', P .. 'ready:' .. p), math.floor(pol.size / 2))
  local again = call('ZRANGEBYSCORE', P .. 'retry:' .. p, '-inf', NOW, 'LIMIT', 0, pol.size - fresh)
  if #again > 0 then
    call('ZREM', P .. 'retry:' .. p, unpack(again))
    pick(p, pol, again, into, special, true)
  end
  while #into < pol.size and places < MOST_PLACES do
    local numbers = call('LPOP', P .. 'ready:' .. p, pol.size - #into)
    if not numbers or #numbers == 0 then break end
    places = places + #numbers
    pick(p, pol, numbers, into, special, false)
  end
  return into, special, KIND.from_ready
end

local function lease(a, acc, p, pol, numbers, special, kind)
  local id = call('INCR', P .. 'batches') .. '-' .. SALT
  call('HSET', P .. 'batch:' .. id, BATCH.profile, p, BATCH.account, a, BATCH.fingerprint, pol.fingerprint,
    BATCH.numbers, table.concat(numbers, '\n'), BATCH.kind, kind, BATCH.slot, take_slot(a, acc),
    BATCH.worker, WORKER, BATCH.directions, pol.directions, BATCH.lease, LEASE, BATCH.claimed_at, NOW)
  call('ZADD', P .. 'leases', NOW + LEASE, id)
  call('SADD', P .. 'inflight:' .. a, unpack(numbers))
  call('HINCRBY', P .. 'account:' .. a, ACCOUNT.calls, 1)
  count(p, 'queued', -#numbers)
  count(p, 'attaching', #numbers)
  to_touch[a] = true
  return { 'batch', id, p, a, pol.fingerprint, kind, acc.half_open and 1 or 0, acc.trips, NOW,
    table.concat(numbers, '\n'), next(special) and cjson.encode(special) or '{}' }
end

-- The first due profile of an account that is ours.
local function first_of_ours(a)
  local from, most = 0, 1 -- it is the very first most often
  while true do
    local names = call('ZRANGEBYSCORE', P .. 'due:' .. a, '-inf', NOW, 'LIMIT', from, most)
    if #names == 0 then return nil end
    local first = ours(DIGEST, names)[1]
    if first then return first end
    from, most = from + most, PAGE
  end
end

local passed_over, later = 0, nil -- accounts that have nothing for us now, and when one of them will

local function pass_over(a)
  passed_over = passed_over + 1
  local at = is_ours(DIGEST, a) and due_later(DIGEST, a) or nil
  if at then later = math.min(later or at, at) end
end

local function idle()
  if call('ZRANGEBYSCORE', P .. 'due', '-inf', NOW, 'LIMIT', passed_over, 1)[1] then return { 'idle', NOW, NOW } end
  local next_due = call('ZRANGEBYSCORE', P .. 'due', '(' .. NOW, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  local at = math.min(tonumber(next_due[2]) or math.huge, later or math.huge)
  return { 'idle', at < math.huge and math.ceil(at) or '', NOW }
end

local function next_claim()
  for _ = 1, 256 do
    local a = call('ZRANGEBYSCORE', P .. 'due', '-inf', NOW, 'LIMIT', passed_over, 1)[1]
    if not a then return idle() end
    local acc = account(a)
    local first = call('ZRANGE', P .. 'due:' .. a, 0, 0, 'WITHSCORES')
    local is_full = acc.paused or acc.calls >= acc.max_calls
    local opens_at = math.max(acc.open_until or 0, acc.probe_lease or 0, rate_opens(acc), tonumber(first[2] or 0))
    if not first[1] or is_full or opens_at > NOW then
      touch(a) -- its time has moved on
    elseif not is_ours(DIGEST, a) then
      pass_over(a)
    elseif acc.open_until then
      call('HSET', P .. 'account:' .. a, ACCOUNT.probe_lease, NOW + PROBE_LEASE)
      to_touch[a] = true
      return { 'probe', a, acc.trips, NOW }
    else
      local p = first_of_ours(a)
      if not p then
        pass_over(a)
      else
        local pol = policy(p)
        call('ZREM', P .. 'due:' .. a, p)
        if pol and pol.account == a and not pol.paused and not pol.refused then
          moved_at = acc.moved_at
          local numbers, special, kind = take(p, pol)
          schedule(p)
          if #numbers > 0 then return lease(a, acc, p, pol, numbers, special, kind) end
          for each in pairs(to_schedule) do reschedule(each) end -- what lost a number may have given it to another
          for each in pairs(to_touch) do touch(each) end
        end
        touch(a)
      end
    end
  end
  return { 'idle', NOW, NOW }
end

local result = next_claim()
finish()
return result[1] == 'idle' and idle() or result -- what this very claim queued again counts
