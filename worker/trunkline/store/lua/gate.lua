#!lua flags=allow-oom
-- gate: stops and starts calls. An account has an operator's pause and a breaker; a profile has an operator's pause and an automatic
-- one. No answer of the API overwrites an operator's pause; an operator's resume also lets an open breaker probe at once.
--
-- ARGV[2]  pause_account, resume_account, pause_profile, resume_profile, probe_ok or probe_failed
-- ARGV[3]  the account or profile
-- ARGV[4]  the reason (pause_*, probe_failed)
-- ARGV[5]  how long the gate stays closed, ms (probe_failed)
-- Result   1, or 0 for a name that nobody published
-- Cost     constant
-- @include schedule
-- @include breaker
local what, name, reason, ms = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])

local function account_gate(key)
  if what == 'pause_account' then
    call('HSET', key, ACCOUNT.paused, reason, ACCOUNT.paused_at, NOW)
  elseif what == 'resume_account' then
    call('HDEL', key, ACCOUNT.paused, ACCOUNT.paused_at, ACCOUNT.probe_lease)
    if call('HEXISTS', key, ACCOUNT.open_until) == 1 then call('HSET', key, ACCOUNT.open_until, NOW) end
  elseif what == 'probe_ok' then
    call('HDEL', key, ACCOUNT.open_until, ACCOUNT.open_reason, ACCOUNT.probe_lease)
    call('HSET', key, ACCOUNT.half_open, 1)
  else
    close_gate(name, ms, reason)
  end
  to_touch[name] = true
end

if what == 'pause_profile' or what == 'resume_profile' then
  local pol = policy(name)
  if not pol then return 0 end
  local key = P .. 'policy:' .. name
  if what == 'pause_profile' then
    call('HSET', key, POLICY.paused, reason, POLICY.paused_at, NOW)
    pol.paused = reason
  else
    call('HDEL', key, POLICY.paused, POLICY.paused_at, POLICY.refused, POLICY.refused_at, POLICY.canary,
      POLICY.alike_under, POLICY.alike_signature)
    call('DEL', P .. 'alike:' .. name)
    pol.paused, pol.refused, pol.canary = false, false, false
  end
  schedule(name)
else
  if call('SISMEMBER', P .. 'accounts', name) == 0 then return 0 end
  account_gate(P .. 'account:' .. name)
end
finish()
return 1
