#!lua flags=allow-oom
-- drop: ends entries for good because somebody said so: dead letters (drop), or numbers that still wait (cancel). What such an
-- entry took from another profile goes back to that one.
-- A number that is under way can't be called back: if that call does not attach it, it is dropped instead of tried again.
--
-- ARGV[2]  the state to take them from: d for dead letters, q for waiting ones
-- ARGV[3…] (profile, number) for each
-- Result   {dropped, under way and marked, of the dropped those whose last call is in doubt, entries that got something back}
-- Cost     9 commands a number
-- @include claims
local from = ARGV[2]
local dropped, marked, in_doubt, given_back = 0, 0, 0, 0
for i = 3, #ARGV, 2 do
  local p, n = ARGV[i], ARGV[i + 1]
  local key = entry_key(p, n)
  local state, next_at, wish, contended, attempts, verify, crashes, error_code, failed_whole_at,
    attached_under = unpack(call('HMGET',
    key, E.state, E.next_at, E.wish, E.contended, E.attempts, E.verify, E.crashes, E.error_code, E.failed_whole_at,
    E.attached_under))
  if state == from then
    if from == STATE.dead then call('ZREM', P .. 'dead', p .. ' ' .. n) else give_up_place(p, n, next_at) end
    -- one that waits only for the check that it is still attached is attached, unless another profile sends to it too
    local to = (from == STATE.queued and verify == VERIFY.check and not contended) and STATE.attached or STATE.dropped
    call('HDEL', key, E.forced, E.again, E.superseded_in)
    if to == STATE.attached then call('HDEL', key, E.verify) end
    call('HSET', key, E.state, to, E.updated_at, NOW)
    move(p, from, to)
    ends(p, n)
    if to == STATE.dropped then
      local pol = policy(p)
      local sent = attempts or verify or crashes or error_code or failed_whole_at or attached_under
      if pol then given_back = given_back + release(pol.account, n, p, pol.directions, sent) end
      if verify == VERIFY.in_doubt then in_doubt = in_doubt + 1 end
    end
    dropped = dropped + 1
  elseif from == STATE.queued and state == STATE.attaching and not wish then
    call('HDEL', key, E.again)
    call('HSET', key, E.wish, STATE.dropped)
    marked = marked + 1
  end
end
finish()
return { dropped, marked, in_doubt, given_back }
