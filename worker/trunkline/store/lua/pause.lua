#!lua flags=allow-oom
-- pause: an operator stops and starts the calls of an account or a profile. No answer of the API overwrites his pause. To
-- resume an account also lets its open breaker probe at once; to resume a profile also ends its automatic pause.
--
-- ARGV[2]  pause_account, resume_account, pause_profile or resume_profile
-- ARGV[3]  the account or profile
-- ARGV[4]  the reason (pause_*)
-- Result   1, or 0 for a name that nobody published
-- Cost     constant
-- @include schedule
local what, name, reason = ARGV[2], ARGV[3], ARGV[4]

local moves = {}

function moves.pause_account(key)
  call('HSET', key, ACCOUNT.paused, reason, ACCOUNT.paused_at, NOW)
end

function moves.resume_account(key)
  call('HDEL', key, ACCOUNT.paused, ACCOUNT.paused_at, ACCOUNT.probe_lease)
  if call('HEXISTS', key, ACCOUNT.open_until) == 1 then call('HSET', key, ACCOUNT.open_until, NOW) end
end

function moves.pause_profile(key, pol)
  call('HSET', key, POLICY.paused, reason, POLICY.paused_at, NOW)
  pol.paused = reason
end

function moves.resume_profile(key, pol)
  call('HDEL', key, POLICY.paused, POLICY.paused_at, POLICY.refused, POLICY.refused_at, POLICY.canary,
    POLICY.alike_under, POLICY.alike_signature)
  call('DEL', P .. 'alike:' .. name)
  pol.paused, pol.refused, pol.canary = false, false, false
end

if what == 'pause_profile' or what == 'resume_profile' then
  local pol = policy(name)
  if not pol then return 0 end
  moves[what](P .. 'policy:' .. name, pol)
  schedule(name)
else
  if call('SISMEMBER', P .. 'accounts', name) == 0 then return 0 end
  moves[what](P .. 'account:' .. name)
  to_touch[name] = true
end
finish()
return 1
