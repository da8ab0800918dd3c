-- waiting: profiles that wait until another batch of the account is done with a number.
-- @include schedule

-- Wakes the profiles that hold a number until this account's batch is done with it.
local function wake_waiting(a, numbers)
  local key = P .. 'waiting:' .. a
  if call('EXISTS', key) == 0 then return end
  for _, n in ipairs(numbers) do
    local held = call('HGET', key, n)
    if held then
      call('HDEL', key, n)
      for _, p in ipairs(lines(held)) do
        local state, is_held = unpack(call('HMGET', entry_key(p, n), E.state, E.held))
        if state == STATE.queued and is_held then
          call('ZREM', P .. 'retry:' .. p, n)
          call('HDEL', entry_key(p, n), E.next_at, E.held)
          call('RPUSH', P .. 'ready:' .. p, n)
          schedule(p)
        end
      end
    end
  end
end
