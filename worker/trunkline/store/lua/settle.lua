#!lua flags=allow-oom
-- settle: one outcome for every number of a batch, at once; a batch settles at most once, and a stranger's settle changes nothing
-- (but a register password that came with it is kept). What it is not told of becomes in_doubt if it was sent, and goes back
-- as it was if not.
--
-- ARGV[2]  the batch's id
-- ARGV[3]  JSON {fp: fingerprint the worker sent under, attached: [number], healthy: the API answered as it should,
--            dispositions: [{number, kind, at ms, dead_code, code, api_code, message, answer, free, unread}],
--            absent: [numbers a read-back did not find], unsent: [numbers that were not in the request],
--            breaker: {ms, reason} or absent, trouble: {ms, reason, paid: a disposition, or absent} or absent,
--            refused: {signature, numbers, reason} or absent, password: {profile, field, text, numbers} or absent,
--            password_lost: profile or absent}
--          kinds: retry (at, counts an attempt unless it is free), in_doubt (the same, read back first), dead (dead_code), split
--          (halved into child batches), released (as it was, no attempt; at or 0 for at once; the code "forbidden" is
--          remembered: a bare 403 met it)
-- Result   1, or 0 if the batch is not ours any more
-- Cost     5 commands a number
-- @include claims
-- @include canary
-- @include batches
-- @include breaker
-- @include waiting
local id, said = ARGV[2], cjson.decode(ARGV[3])
local p, a, text, kind, sent, dirs, claimed_at = unpack(call('HMGET', P .. 'batch:' .. id, BATCH.profile,
  BATCH.account, BATCH.numbers, BATCH.kind, BATCH.sent_at, BATCH.directions, BATCH.claimed_at))

if said.password then -- shown once by the API, so it is kept whoever has the batch now
  call('HSET', P .. 'secret:' .. said.password.profile, said.password.field,
    cjson.encode({ at = NOW, sealed = said.password.text, batch = id, numbers = said.password.numbers }))
end
if said.password_lost then call('HSET', P .. 'secret:' .. said.password_lost, 'lost', NOW) end
if not p then return 0 end

local numbers = lines(text)
-- The worker reckons from its claim. If the clock has stepped back since, its times lie ahead by as much.
local ahead = (tonumber(claimed_at or nil) or NOW) - NOW
if ahead <= STEP then ahead = 0 end
local pol = policy(p)
dirs = dirs or (pol and pol.directions) or ''
local moved_meanwhile = not pol or pol.account ~= a or pol.directions ~= dirs
local KINDS = { retry = true, in_doubt = true, dead = true, split = true, released = true }
local ATTACHED = { kind = 'attached', message = '' }
local outcome, absent, unsent = {}, {}, {}
for _, n in ipairs(said.attached) do outcome[n] = ATTACHED end
for _, o in ipairs(said.dispositions) do
  if not KINDS[o.kind] then return redis.error_reply('TRUNKLINE a disposition of an unknown kind: ' .. o.kind) end
  outcome[o.number] = o
end
for _, n in ipairs(said.absent) do absent[n] = true end
for _, n in ipairs(said.unsent or {}) do unsent[n] = true end

-- Look first.
local entries = {}
for _, n in ipairs(numbers) do
  local wish, again, contended, attempts, verify, crashes, forced, known_absent, error_code, met_403, failed_whole_at,
    unread, attached_under = unpack(call('HMGET', entry_key(p, n), E.wish, E.again, E.contended, E.attempts, E.verify,
      E.crashes, E.forced, E.known_absent, E.error_code, E.met_403, E.failed_whole_at, E.unread, E.attached_under))
  entries[n] = { wish = wish, again = again, contended = contended, attempts = attempts, check = verify == VERIFY.check,
    doubt = verify == VERIFY.in_doubt, failed_whole_at = tonumber(failed_whole_at or nil),
    attached_under = attached_under, sent = sent and not unsent[n],
    marked = wish or again or attempts or verify or crashes or forced or known_absent or error_code or met_403
      or failed_whole_at or unread }
end
local account_key = P .. 'account:' .. a
local healthy_at, open_until, moved_at = unpack(call('HMGET', account_key, ACCOUNT.healthy_at, ACCOUNT.open_until,
  ACCOUNT.moved_at))
local others_moved = has_moved_since(moved_at, claimed_at)
healthy_at = tonumber(healthy_at or nil)
if healthy_at and healthy_at > NOW then healthy_at = nil end -- the clock has stepped back: nobody knows when

-- The call failed as a whole, and others of the account, sent since its numbers last failed so, did not: they are suspects.
local function are_suspects()
  if not said.trouble or not healthy_at then return false end
  for _, n in ipairs(numbers) do
    local o = outcome[n]
    local failed = entries[n].failed_whole_at
    if o and o.free and not o.unread and failed and failed < healthy_at then return true end
  end
  return false
end
local suspects = are_suspects()

local halves, backs = {}, {}
local retries, dead = {}, {} -- scores and members, written at once
local n_attached, last_attached = 0, nil

local function close(n, key, e, state, in_doubt)
  call('HSET', key, E.state, state, E.updated_at, NOW)
  call('HDEL', key, E.attempts, E.crashes, E.forced, E.again, E.wish, E.failed_whole_at, E.unread, E.next_at)
  if in_doubt and e.sent then
    call('HSET', key, E.verify, VERIFY.in_doubt, E.sent_at, sent)
  elseif not in_doubt then
    call('HDEL', key, E.verify, E.sent_at, E.known_absent)
  end
  move(p, STATE.attaching, state)
  ends(p, n)
end

local function attach(n, key, e)
  local tells = e.sent or not e.check -- that what was attached is still there says nothing of calls
  if tells then n_attached = n_attached + 1 end
  call('HSET', key, E.state, STATE.attached, E.updated_at, NOW, E.attached_under, said.fp, E.attempts_needed,
    (tonumber(e.attempts) or 0) + 1)
  if e.marked then
    call('HDEL', key, E.attempts, E.crashes, E.verify, E.sent_at, E.known_absent, E.forced, E.again, E.wish,
      E.met_403, E.failed_whole_at, E.unread, E.error_code, E.api_code, E.message, E.answer)
  end
  if e.again then
    call('HSET', key, E.state, STATE.queued, E.queued_at, NOW, E.verify, VERIFY.check)
    if e.again == AGAIN.forced then call('HSET', key, E.forced, 1) end
    move(p, STATE.attaching, STATE.queued)
    call('RPUSH', P .. 'ready:' .. p, n)
  else
    move(p, STATE.attaching, STATE.attached)
    ends(p, n)
    if tells then last_attached = n end
  end
  if e.contended and not is_contended(read_claims(a, n), a, n, p) then call('HDEL', key, E.contended) end
end

local function note_error(key, o)
  call('HSET', key, E.error_code, o.code, E.api_code, o.api_code, E.message, o.message, E.answer, o.answer)
end

local function not_before(at)
  return ahead > 0 and math.max(NOW, at - ahead) or at
end

local function retry_at(n, at)
  retries[#retries + 1] = at
  retries[#retries + 1] = n
  move(p, STATE.attaching, STATE.queued)
end

local function wait_until(n, key, at)
  at = not_before(at)
  call('HSET', key, E.state, STATE.queued, E.next_at, at, E.updated_at, NOW)
  retry_at(n, at)
end

-- What the last request of a number left behind: in doubt when it may have arrived, as it was when it did not go out.
local function note_doubt(n, key, e, in_doubt)
  if absent[n] then call('HSET', key, E.known_absent, 1) end
  if in_doubt and e.sent then
    call('HSET', key, E.verify, VERIFY.in_doubt, E.sent_at, sent)
  elseif not in_doubt and e.sent then
    call('HDEL', key, E.verify, E.sent_at)
  elseif in_doubt and not e.check then -- a read-back that did not work: the doubt, and since when, stay as they were
    call('HSETNX', key, E.verify, VERIFY.in_doubt)
    call('HSETNX', key, E.sent_at, NOW)
  end
end

local function try_again(n, key, e, o, in_doubt)
  local at = not_before(o.at)
  local free = o.free
  call('HSET', key, E.state, STATE.queued, E.next_at, at, E.updated_at, NOW, E.error_code, o.code, E.api_code,
    o.api_code, E.message, o.message, E.answer, o.answer,
    free and E.failed_whole_at or E.attempts, free and NOW or (tonumber(e.attempts) or 0) + 1)
  if o.unread then call('HINCRBY', key, E.unread, 1) elseif e.marked then call('HDEL', key, E.unread) end
  note_doubt(n, key, e, in_doubt)
  if e.marked then call('HDEL', key, E.crashes) end
  retry_at(n, at)
end

local function halve(n, key, e, o, in_doubt)
  note_error(key, o)
  note_doubt(n, key, e, in_doubt)
  call('HSET', key, E.state, STATE.queued, E.updated_at, NOW)
  if o.free then call('HSET', key, E.failed_whole_at, NOW) end
  move(p, STATE.attaching, STATE.queued)
  halves[#halves + 1] = n
end

local function bury(n, key, e, o)
  -- refused: nothing is in doubt, and there is nothing left to check
  if e.marked then
    call('HDEL', key, E.attempts, E.crashes, E.again, E.forced, E.verify, E.sent_at, E.known_absent,
      E.failed_whole_at, E.unread)
  end
  if e.again then -- a newer event came while it was under way: it counts
    note_error(key, o)
    call('HSET', key, E.state, STATE.queued, E.queued_at, NOW, E.updated_at, NOW)
    if e.again == AGAIN.forced then call('HSET', key, E.forced, 1) end
    move(p, STATE.attaching, STATE.queued)
    call('RPUSH', P .. 'ready:' .. p, n)
  else
    call('HSET', key, E.state, STATE.dead, E.dead_code, o.dead_code, E.dead_at, NOW, E.updated_at, NOW, E.attempts,
      (tonumber(e.attempts) or 0) + 1,
      E.error_code, o.code, E.api_code, o.api_code, E.message, o.message, E.answer, o.answer)
    move(p, STATE.attaching, STATE.dead)
    dead[#dead + 1] = NOW
    dead[#dead + 1] = p .. ' ' .. n
    ends(p, n)
  end
end

-- What an event asked for during this call, the next one does.
local function carry(key, e)
  if e.again == AGAIN.forced then call('HSET', key, E.forced, 1) end
  if e.again then call('HDEL', key, E.again) end
end

local function put_back(n, key, o)
  if o.at > 0 then
    wait_until(n, key, o.at)
  else
    call('HSET', key, E.state, STATE.queued, E.updated_at, NOW)
    move(p, STATE.attaching, STATE.queued)
    backs[#backs + 1] = n
  end
  if o.code == 'forbidden' then call('HSET', key, E.met_403, 1) end
  call('HDEL', key, E.crashes)
end

local canary = pol and pol.canary
local canary_said, canary_words = nil, nil

-- For good, or in words that nobody knows: nothing that passes.
local function is_refusal(o) return o.kind == 'dead' or (o.kind == 'retry' and o.code == 'api_failed') end

for _, n in ipairs(numbers) do
  local key, e = entry_key(p, n), entries[n]
  local o = outcome[n]
  if not o then
    o = { kind = e.sent and 'in_doubt' or 'released', at = e.sent and NOW or 0, code = 'not_told', api_code = '',
      message = 'the worker did not say what became of it', answer = '' }
  end
  local free = said.trouble and o.free and not o.unread
  if free and suspects and #numbers == 1 and said.trouble.paid then o = said.trouble.paid end
  local what = o.kind
  local tried = e.sent or e.attempts or e.doubt
  local over = e.wish == STATE.superseded or (e.wish == STATE.dropped and what ~= 'attached')
  -- a cancelled check that said nothing new: the number is attached as it was, under the fingerprint it had
  local stays = e.wish == STATE.dropped and e.check and not e.contended and (what == 'in_doubt' or what == 'released')
  if n == canary then canary_said, canary_words = is_refusal(o) and 'refused' or what, o.message end
  if over then
    local state = stays and STATE.attached or e.wish
    if e.wish == STATE.superseded then
      call('HSET', key, E.superseded_in, what == 'attached' and STATE.attached or STATE.queued)
    end
    if what == 'attached' then call('HSET', key, E.attached_under, said.fp) end
    close(n, key, e, state, not stays and (what == 'in_doubt' or (what == 'released' and e.doubt)))
    if state == STATE.dropped then release(a, n, p, dirs, tried or e.attached_under) end
  elseif what == 'attached' then
    attach(n, key, e)
  elseif n == canary and canary_said == 'refused' then
    keep_attached(p, n, e.again)
  elseif (what == 'retry' or what == 'in_doubt') and free and suspects and #numbers > 1 then
    halve(n, key, e, o, what == 'in_doubt')
    carry(key, e)
  elseif what == 'retry' or what == 'in_doubt' then
    try_again(n, key, e, o, what == 'in_doubt')
    carry(key, e)
  elseif what == 'dead' then
    bury(n, key, e, o)
  elseif what == 'split' then
    halve(n, key, e, o, false)
    carry(key, e)
  else
    put_back(n, key, o)
    carry(key, e)
  end
  if (e.contended or moved_meanwhile or others_moved) and tried and (over or what == 'attached' or what == 'dead') then
    reassert(a, n, p, dirs)
  end
end

if #retries > 0 then call('ZADD', P .. 'retry:' .. p, unpack(retries)) end
if #dead > 0 then call('ZADD', P .. 'dead', unpack(dead)) end
if #halves > 0 then
  local middle = math.ceil(#halves / 2)
  -- in front: one half is split to its end before the other goes, so that a refusal of all is known after a few calls
  if #halves > 1 then call('LPUSH', P .. 'split:' .. p, table.concat(halves, '\n', middle + 1)) end
  call('LPUSH', P .. 'split:' .. p, table.concat(halves, '\n', 1, middle))
end
if #backs > 0 then
  if kind == KIND.from_split then
    call('RPUSH', P .. 'split:' .. p, table.concat(backs, '\n'))
  elseif said.breaker then
    call('RPUSH', P .. 'ready:' .. p, unpack(backs)) -- behind the others: the probe's batch is not the one that failed
  else
    local reversed = {}
    for i = #backs, 1, -1 do reversed[#reversed + 1] = backs[i] end
    call('LPUSH', P .. 'ready:' .. p, unpack(reversed))
  end
end

-- The account's breaker: opened by trouble with the account, or by calls that failed as a whole, twice in a row without an
-- answer between; closed by an answer that is in order.
if said.breaker then
  open_breaker(a, said.breaker.ms, said.breaker.reason)
elseif said.trouble and not suspects then
  if call('HINCRBY', account_key, ACCOUNT.failures, 1) >= 2 then
    open_breaker(a, said.trouble.ms, said.trouble.reason)
  end
elseif said.healthy then
  call('HDEL', account_key, ACCOUNT.half_open, ACCOUNT.failures)
  if sent then call('HSET', account_key, ACCOUNT.healthy_at, math.max(healthy_at or 0, sent)) end
  if not open_until then call('HDEL', account_key, ACCOUNT.trips, ACCOUNT.open_since, ACCOUNT.open_reason) end
end

-- Refused alike since the last success: either the profile is wrong, or the numbers are. One that is attached already decides.
local policy_key, ALIKE = P .. 'policy:' .. p, P .. 'alike:' .. p
local MOST_ALIKE = 1000

-- The profile is to blame for what these numbers were told: the dead wait again, and none has spent an attempt.
local function absolve(numbers_told)
  for _, n in ipairs(numbers_told) do
    local key = entry_key(p, n)
    local state, stale_place = unpack(call('HMGET', key, E.state, E.stale_place))
    if state == STATE.queued then
      call('HDEL', key, E.attempts)
    elseif state == STATE.dead then
      call('ZREM', P .. 'dead', p .. ' ' .. n)
      call('HDEL', key, E.dead_code, E.dead_at, E.attempts, E.crashes)
      call('HSET', key, E.state, STATE.queued, E.queued_at, NOW, E.updated_at, NOW)
      move(p, STATE.dead, STATE.queued)
      enqueue_again(p, n, stale_place)
    end
  end
end

local function pause_profile(reason)
  call('HSET', policy_key, POLICY.refused, 'refused alike: ' .. reason, POLICY.refused_at, NOW)
  pol.refused = true
  absolve(call('SMEMBERS', ALIKE))
  forget_alike(p, pol)
end

local function send_canary()
  if not pol.last_attached then return forget_alike(p, pol) end
  local key = entry_key(p, pol.last_attached)
  local state, attached_under, stale_place, contended = unpack(call('HMGET', key, E.state, E.attached_under,
    E.stale_place, E.contended))
  local has_been_asked = state == STATE.dead and call('SISMEMBER', ALIKE, pol.last_attached) == 1
  if has_been_asked then return pause_profile(said.refused.reason) end
  local is_alike = attached_under == said.fp and not contended
  -- it goes by itself; what comes of it tells
  if is_alike and (state == STATE.queued or state == STATE.attaching) then
    return
  end
  -- nobody to ask: the numbers stand as they are
  if not is_alike or state ~= STATE.attached or stale_place then
    return forget_alike(p, pol)
  end
  call('HSET', policy_key, POLICY.canary, pol.last_attached)
  pol.canary = pol.last_attached
  call('HSET', key, E.state, STATE.queued, E.forced, 1, E.verify, VERIFY.check, E.queued_at, NOW, E.updated_at, NOW)
  move(p, STATE.attached, STATE.queued)
  call('LPUSH', P .. 'split:' .. p, pol.last_attached)
end

if pol and canary_said == 'refused' then
  pause_profile('an attached number, sent again, was told: ' .. (canary_words or ''))
elseif pol and n_attached > 0 then
  if last_attached then
    call('HSET', policy_key, POLICY.succeeded_under, said.fp, POLICY.last_attached, last_attached)
  else
    call('HSET', policy_key, POLICY.succeeded_under, said.fp)
  end
  if pol.alike_under or canary_said then forget_alike(p, pol) end
elseif pol and said.refused and pol.fingerprint == said.fp and pol.refused then
  absolve(said.refused.numbers) -- this call was out already when the profile was paused
elseif pol and said.refused and pol.fingerprint == said.fp then
  if pol.alike_under ~= said.fp or pol.alike_signature ~= said.refused.signature then
    call('HSET', policy_key, POLICY.alike_under, said.fp, POLICY.alike_signature, said.refused.signature)
    if not pol.canary then call('DEL', ALIKE) end
  end
  if call('SCARD', ALIKE) < MOST_ALIKE then call('SADD', ALIKE, unpack(said.refused.numbers)) end
  if call('SCARD', ALIKE) >= 3 and not pol.canary then
    if pol.succeeded_under ~= said.fp then pause_profile(said.refused.reason) else send_canary() end
  end
end

end_batch(id, a, numbers)
wake_waiting(a, numbers)
schedule(p)
finish()
return 1
