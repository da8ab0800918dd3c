-- places: where a queued entry waits: ready, split or retry.
-- @include schedule

-- Queues an entry that is closed: its old place is used again if it still has one.
local function enqueue_again(p, n, had_place)
  if had_place then
    call('HDEL', entry_key(p, n), E.stale_place)
  else
    call('RPUSH', P .. 'ready:' .. p, n)
  end
  schedule(p)
end

-- Takes a queued entry out of retry, or leaves its place in ready or split to be skipped.
local function give_up_place(p, n, next_at)
  if next_at then
    call('ZREM', P .. 'retry:' .. p, n)
    call('HDEL', entry_key(p, n), E.next_at, E.held)
  else
    call('HSET', entry_key(p, n), E.stale_place, 1)
  end
  schedule(p)
end
