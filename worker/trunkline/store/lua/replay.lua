#!lua flags=allow-oom
-- replay: dead letters go back into the queue, with all their attempts.
--
-- ARGV[2…] (profile, number) for each
-- Result   how many were dead and are queued now
-- Cost     6 commands a number
-- @include books
-- @include places
local replayed = 0
for i = 2, #ARGV, 2 do
  local p, n = ARGV[i], ARGV[i + 1]
  local key = entry_key(p, n)
  local state, stale_place = unpack(call('HMGET', key, E.state, E.stale_place))
  if state == STATE.dead then
    call('ZREM', P .. 'dead', p .. ' ' .. n)
    call('HDEL', key, E.attempts, E.crashes, E.dead_code, E.dead_at, E.verify, E.sent_at, E.known_absent,
      E.failed_whole_at, E.unread)
    call('HSET', key, E.state, STATE.queued, E.queued_at, NOW, E.updated_at, NOW)
    move(p, STATE.dead, STATE.queued)
    enqueue_again(p, n, stale_place)
    replayed = replayed + 1
  end
end
finish()
return replayed
