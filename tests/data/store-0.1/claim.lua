-- claim: the earliest due batch, under a lease; accounts and, within one, profiles take turns.
--
-- ARGV[2]  the lease, ms
-- ARGV[3]  64 random bits as hex: with the counter they are the batch's id, the fencing token
-- ARGV[4]  the lease of a probe, ms
-- Result   {"batch", id, profile, account, fingerprint, kind, half-open (1 or 0), times in a row that the gate closed, now,
--           numbers joined by "\n", JSON {number: [attempts, crashes, verify, forced, attached under, sent at, known absent, met a bare 403]} of those that have any}
--          {"probe", account, times in a row that the gate closed, now}: the gate's time is over, ask GET /v1/me and report by gate
--          {"idle", when something is due next or "", now}
-- Cost     2 commands a number
local LEASE, SALT, PROBE_LEASE = tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local MOST_PLACES = 2000 -- places looked at in one call; stale ones are skipped
local FIELDS = { 's', 'n', 'k', 'c', 'v', 'f', 'p', 't', 'b', 'x', 'y' }

-- Whether an older profile that lost one of its directions to this one still has to go first.
local function goes_first(a, n, p, pol)
  for d in string.gmatch('io', '.') do
    local owner = owner_of(a, n, d)
    local other = owner and owner ~= p and policy(owner)
    if other and #other.dirs > 1 and not other.gone and not other.op and not other.au then
      local e = call('HMGET', entry_key(owner, n), 's', 'n')
      if e[1] == 'q' and not e[2] then return true end
    end
  end
  return false
end

-- A number that another batch of the account has, or an older profile must send first, waits for that settle.
local function hold(a, p, n)
  call('ZADD', P .. 'retry:' .. p, NOW + LEASE, n)
  call('HSET', entry_key(p, n), 'n', NOW + LEASE, 'h', 1)
  local held = call('HGET', P .. 'waiting:' .. a, n)
  local names = held and lines(held) or {}
  for _, name in ipairs(names) do if name == p then return end end
  names[#names + 1] = p
  call('HSET', P .. 'waiting:' .. a, n, table.concat(names, '\n'))
end

-- Of the numbers at these places, those that are live and free, with what is known of them.
local function pick(p, pol, numbers, into, special, from_retry)
  if #numbers == 0 then return end
  local busy = call('SMISMEMBER', P .. 'inflight:' .. pol.a, unpack(numbers))
  for i, n in ipairs(numbers) do
    local key = entry_key(p, n)
    local e = call('HMGET', key, unpack(FIELDS))
    if e[1] ~= 'q' or (e[2] and not from_retry) then
      call('HDEL', key, 'z') -- a stale place: it is gone now
    elseif busy[i] == 1 or (e[10] and not from_retry and goes_first(pol.a, n, p, pol)) then
      hold(pol.a, p, n)
    else
      if e[2] then call('HDEL', key, 'n', 'h') end
      call('HSET', key, 's', 'f', 'u', NOW, 'l', pol.fp)
      into[#into + 1] = n
      local forced = e[6] or e[10] -- what is there may be the other profile's
      if e[3] or e[4] or e[5] or forced or e[7] or e[11] then
        special[n] = { e[3] or '', e[4] or '', e[5] or '', forced or '', e[7] or '', e[8] or '', e[9] or '', e[11] or '' }
      end
    end
  end
end

local function take(p, pol)
  local into, special, places = {}, {}, 0
  while true do
    local child = call('LPOP', P .. 'split:' .. p)
    if not child then break end
    local numbers = lines(child)
    pick(p, pol, numbers, into, special, false)
    if #into > 0 then return into, special, 's' end
    places = places + #numbers
    if places > MOST_PLACES then return into, special, 's' end
  end
  local again = call('ZRANGEBYSCORE', P .. 'retry:' .. p, '-inf', NOW, 'LIMIT', 0, pol.size)
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
  return into, special, 'r'
end

local function lease(a, acc, p, pol, numbers, special, kind)
  local id = call('INCR', P .. 'batches') .. '-' .. SALT
  call('HSET', P .. 'batch:' .. id, 'p', p, 'a', a, 'fp', pol.fp, 'n', table.concat(numbers, '\n'), 'k', kind, 'slot', take_slot(a, acc))
  call('ZADD', P .. 'leases', NOW + LEASE, id)
  call('SADD', P .. 'inflight:' .. a, unpack(numbers))
  call('HINCRBY', P .. 'account:' .. a, 'run', 1)
  count(p, 'queued', -#numbers)
  count(p, 'attaching', #numbers)
  to_touch[a] = true
  return { 'batch', id, p, a, pol.fp, kind, acc.half and 1 or 0, acc.gn, NOW, table.concat(numbers, '\n'),
    next(special) and cjson.encode(special) or '{}' }
end

local function next_claim()
  for _ = 1, 64 do
    local top = call('ZRANGE', P .. 'due', 0, 0, 'WITHSCORES')
    if not top[1] then return { 'idle', '', NOW } end
    if tonumber(top[2]) > NOW then return { 'idle', math.ceil(tonumber(top[2])), NOW } end
    local a = top[1]
    local acc = account(a)
    local first = call('ZRANGE', P .. 'due:' .. a, 0, 0, 'WITHSCORES')
    if not first[1] or acc.op or acc.run >= acc.cap or (acc.gu or 0) > NOW or (acc.pl or 0) > NOW or rate_opens(acc) > NOW
      or tonumber(first[2]) > NOW then
      touch(a) -- its time has moved on
    elseif acc.gu then
      call('HSET', P .. 'account:' .. a, 'pl', NOW + PROBE_LEASE)
      to_touch[a] = true
      return { 'probe', a, acc.gn, NOW }
    else
      local p = first[1]
      local pol = policy(p)
      call('ZREM', P .. 'due:' .. a, p)
      if pol and pol.a == a and not pol.gone and not pol.op and not pol.au then
        local numbers, special, kind = take(p, pol)
        schedule(p)
        if #numbers > 0 then return lease(a, acc, p, pol, numbers, special, kind) end
        reschedule(p)
      end
      touch(a)
    end
  end
  return { 'idle', NOW, NOW }
end

local result = next_claim()
finish()
return result
