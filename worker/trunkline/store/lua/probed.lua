#!lua flags=allow-oom
-- probed: what GET /v1/me said of an account whose breaker was open: it lets one batch through, or stays open.
--
-- ARGV[2]  the account
-- ARGV[3]  for how long the breaker stays open, ms; "" where the API answered as it should
-- ARGV[4]  why
-- Result   1, or 0 for an account that nobody published
-- Cost     4 commands
-- @include breaker
local a, ms, reason = ARGV[2], tonumber(ARGV[3]), ARGV[4]
local key = P .. 'account:' .. a
if call('SISMEMBER', P .. 'accounts', a) == 0 then return 0 end
if ms then
  open_breaker(a, ms, reason)
else
  call('HDEL', key, ACCOUNT.open_until, ACCOUNT.open_reason, ACCOUNT.probe_lease)
  call('HSET', key, ACCOUNT.half_open, 1)
end
to_touch[a] = true
finish()
return 1
