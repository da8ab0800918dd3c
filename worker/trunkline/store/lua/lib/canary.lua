-- canary: an attached number that is sent again, to see whether a profile or its numbers are to blame.
-- @include books
-- @include ends

-- The canary says no more: it stays attached as it was, and waits for a check where an event asked for it meanwhile.
local function keep_attached(p, n, again)
  local key = entry_key(p, n)
  call('HDEL', key, E.attempts, E.crashes, E.verify, E.sent_at, E.known_absent, E.forced, E.again, E.wish, E.met_403,
    E.failed_whole_at, E.unread, E.error_code, E.api_code, E.message, E.answer)
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
  pol.canary, pol.alike_under = false, false
end
