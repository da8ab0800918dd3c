-- breaker: the circuit breaker of an account.
-- @include accounts

-- Opens the account's breaker. Calls that were already out may say the same again: they move its end, and count once.
local function open_breaker(a, ms, reason)
  local key = P .. 'account:' .. a
  local open_until = tonumber(call('HGET', key, ACCOUNT.open_until) or nil) or 0
  if open_until <= NOW then call('HINCRBY', key, ACCOUNT.trips, 1) end
  call('HSET', key, ACCOUNT.open_until, math.max(open_until, NOW + ms), ACCOUNT.open_reason, reason)
  call('HSETNX', key, ACCOUNT.open_since, NOW)
  call('HDEL', key, ACCOUNT.half_open, ACCOUNT.probe_lease)
  to_touch[a] = true
end
