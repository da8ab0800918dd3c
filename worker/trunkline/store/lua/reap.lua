#!lua flags=allow-oom
-- reap: takes up the numbers of batches whose lease ran out: their worker crashed, hangs or lost the store.
-- They go out again as they were together; two crashes split them, a lone number's third is a dead letter. A worker that still
-- lives did not crash: it could not say in time what became of them, and nothing is counted. A canary that crashed three is
-- attached as it was, and is not asked any more.
--
-- ARGV[2]  how many batches at most
-- Result   {batches reaped, numbers taken up, when the next lease ends or "", now}
-- Cost     4 commands a number
-- @include claims
-- @include canary
-- @include batches
-- @include waiting
local reaped, taken_up = 0, 0

local function die(p, n, code)
  call('HSET', entry_key(p, n), E.state, STATE.dead, E.dead_code, code, E.dead_at, NOW, E.updated_at, NOW)
  call('ZADD', P .. 'dead', NOW, p .. ' ' .. n)
  ends(p, n)
end

local function is_living(worker)
  if not worker or worker == '' then return false end
  local digest = call('HGET', P .. 'worker:' .. worker, 'digest')
  local lives_until = digest and tonumber(call('ZSCORE', P .. 'workers', digest .. ' ' .. worker) or nil)
  return (lives_until or 0) > NOW
end

local function take_up(a, p, n, sent, dirs, fp, crashed, absent, others_moved)
  local key = entry_key(p, n)
  local wish, again, contended, attempts, verify, attached_under, forced = unpack(call('HMGET', key, E.wish, E.again,
    E.contended, E.attempts, E.verify, E.attached_under, E.forced))
  call('HDEL', key, E.again, E.wish)
  local tried = sent or attempts or verify == VERIFY.in_doubt
  if sent and absent then call('HSET', key, E.known_absent, 1) end
  if wish then
    if sent and verify ~= VERIFY.check then call('HSET', key, E.verify, VERIFY.in_doubt, E.sent_at, sent) end
    if wish == STATE.superseded then call('HSET', key, E.superseded_in, STATE.queued) end
    call('HSET', key, E.state, wish, E.updated_at, NOW)
    call('HDEL', key, E.attempts, E.crashes, E.forced, E.failed_whole_at, E.unread)
    move(p, STATE.attaching, wish)
    ends(p, n)
    if wish == STATE.dropped then release(a, n, p, dirs, tried or attached_under) end
    if tried then reassert(a, n, p, dirs) end
    return nil
  end
  if (contended or others_moved) and tried then reassert(a, n, p, dirs) end
  if again == AGAIN.forced then call('HSET', key, E.forced, 1) end
  -- A call of what is attached already, with what it is attached with, leaves no doubt: to look is enough.
  local attached = verify == VERIFY.check and attached_under == fp and not contended and not forced
  if sent and not attached then call('HSET', key, E.verify, VERIFY.in_doubt, E.sent_at, sent) end
  return crashed and call('HINCRBY', key, E.crashes, 1) or tonumber(call('HGET', key, E.crashes) or 0), again
end

for _, id in ipairs(call('ZRANGEBYSCORE', P .. 'leases', '-inf', NOW, 'LIMIT', 0, ARGV[2])) do
  local p, a, text, sent, dirs, worker, fingerprint, known_absent, claimed_at = unpack(call('HMGET',
    P .. 'batch:' .. id, BATCH.profile, BATCH.account, BATCH.numbers, BATCH.sent_at, BATCH.directions, BATCH.worker,
    BATCH.fingerprint, BATCH.absent, BATCH.claimed_at))
  local numbers = lines(text)
  local pol = policy(p)
  dirs = dirs or (pol and pol.directions) or ''
  local crashed = not is_living(worker)
  local others_moved = has_moved_since(call('HGET', P .. 'account:' .. a, ACCOUNT.moved_at), claimed_at)
  local open, crashes, again, absent = {}, 0, nil, {}
  for _, n in ipairs(lines(known_absent or '')) do absent[n] = true end
  for _, n in ipairs(numbers) do
    local c
    c, again = take_up(a, p, n, sent, dirs, fingerprint, crashed, absent[n], others_moved)
    if c then
      open[#open + 1] = n
      crashes = math.max(crashes, c)
    end
  end
  if #open == 1 and crashes >= 3 and crashed and pol and pol.canary == open[1] then
    keep_attached(p, open[1], again)
    forget_alike(p, pol)
  elseif #open == 1 and crashes >= 3 and crashed then
    local key = entry_key(p, open[1])
    call('HSET', key, E.error_code, 'crashed_worker', E.api_code, '', E.message,
      'three workers in a row ended while they had this number', E.answer, '')
    move(p, STATE.attaching, STATE.dead)
    die(p, open[1], 'crashed_worker')
  elseif #open > 0 then
    for _, n in ipairs(open) do
      call('HSET', entry_key(p, n), E.state, STATE.queued, E.updated_at, NOW)
      move(p, STATE.attaching, STATE.queued)
    end
    local parts = (crashes >= 2 and #open > 1) and 2 or 1
    local middle = math.ceil(#open / parts)
    call('RPUSH', P .. 'split:' .. p, table.concat(open, '\n', 1, middle))
    if parts == 2 then call('RPUSH', P .. 'split:' .. p, table.concat(open, '\n', middle + 1)) end
  end
  end_batch(id, a, numbers)
  wake_waiting(a, numbers)
  schedule(p)
  reaped = reaped + 1
  taken_up = taken_up + #open
end
finish()
local soonest = call('ZRANGE', P .. 'leases', 0, 0, 'WITHSCORES')
return { reaped, taken_up, soonest[2] or '', NOW }
